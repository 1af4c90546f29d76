//! What hot history promises, on Redis.

use super::*;

/// History that is declared complete.
async fn complete() -> anyhow::Result<Fixture> {
    let fixture = Fixture::redis().await?;
    fixture.complete().await?;
    Ok(fixture)
}

#[tokio::test]
async fn history_is_withheld_until_it_is_complete() -> anyhow::Result<()> {
    let fixture = Fixture::redis().await?;
    fixture.remember(&[entry(1, fixture.clock.now(), card(1))]).await?;
    assert_eq!(fixture.transactions(1).await?, None);
    fixture.complete().await?;
    assert_eq!(fixture.transactions(1).await?, Some(vec![transaction(1)]));
    assert_eq!(fixture.transactions(2).await?, Some(vec![]), "an unknown key has an empty history");
    let holder = fixture.claim().await?;
    assert_eq!(fixture.transactions(1).await?, Some(vec![transaction(1)]), "nothing was forgotten yet");
    assert!(fixture.hot()?.forget(&holder).await?);
    assert_eq!(fixture.transactions(1).await?, None);
    assert!(fixture.hot()?.release(&holder, true).await?);
    assert_eq!(fixture.transactions(1).await?, Some(vec![]));
    Ok(())
}

#[tokio::test]
async fn history_is_given_per_key_newest_first_and_unchanged() -> anyhow::Result<()> {
    let fixture = complete().await?;
    let at = |seconds| fixture.clock.now() - Duration::from_secs(seconds);
    let full = HistoryKeys {
        card: Some(key(1)),
        email: Some(key(2)),
        phone: Some(key(3)),
        device: Some(key(4)),
        ip: Some(key(5)),
        address: Some(key(6)),
        customer: Some(key(i64::MAX)),
    };
    let refund = HistoryEntry { what: Happening::Refunded, ordered_at: at(30), ..entry(1, at(5), card(1)) };
    let entries = [
        entry(1, at(30), full),
        entry(2, at(10), card(1)),
        entry(3, at(20), card(1)),
        entry(4, at(0), card(7)),
        refund,
    ];
    fixture.remember(&entries).await?;
    let history = fixture.load(&[1, 2, 3, 4, 5, 6, i64::MAX, 8]).await?.unwrap_or_default();
    assert_eq!(history.len(), 8);
    let given = |of| history[&key(of)].iter().map(|entry| HistoryEntry::clone(entry)).collect::<Vec<_>>();
    assert_eq!(given(1), [4, 1, 2, 0].map(|at| entries[at].clone()));
    for held in [2, 3, 4, 5, 6, i64::MAX] {
        assert_eq!(given(held), [entries[0].clone()]);
    }
    Ok(())
}

#[tokio::test]
async fn entries_are_found_under_the_keys_that_a_policy_declares() -> anyhow::Result<()> {
    let fixture = complete().await?;
    let declared = KeyedEntry { entry: entry(1, fixture.clock.now(), card(1)), keys: vec![key(1), key(1_000)] };
    fixture.hot()?.remember(&[declared], fixture.clock.now()).await?;
    assert_eq!(fixture.transactions(1_000).await?, Some(vec![transaction(1)]));
    assert_eq!(fixture.transactions(1).await?, Some(vec![transaction(1)]));
    Ok(())
}

#[tokio::test]
async fn remembering_again_changes_nothing_and_a_revision_is_one_more_entry() -> anyhow::Result<()> {
    let fixture = complete().await?;
    let (first, other) = (entry(1, fixture.clock.now(), card(1)), entry(2, fixture.clock.now(), card(1)));
    fixture.remember(&[first.clone(), other, first.clone()]).await?;
    fixture.remember(std::slice::from_ref(&first)).await?;
    assert_eq!(fixture.transactions(1).await?.map(|known| known.len()), Some(2));
    fixture.clock.advance(Duration::from_secs(1));
    let revised_at = fixture.clock.now();
    let revised = HistoryEntry { received_at: revised_at, ordered_at: revised_at, amount: usd(1), ..first };
    fixture.remember(std::slice::from_ref(&revised)).await?;
    let history = fixture.load(&[1]).await?.unwrap_or_default();
    assert_eq!(history[&key(1)].len(), 3);
    assert_eq!(*history[&key(1)][0], revised);
    Ok(())
}

#[tokio::test]
async fn history_keeps_the_newest_entries_and_is_cut() -> anyhow::Result<()> {
    let fixture = complete().await?;
    let count = 5 * HISTORY_DEPTH as u64;
    let start = fixture.clock.now() - Duration::from_secs(count);
    let entries: Vec<_> =
        (0..count).map(|number| entry(number, start + Duration::from_secs(number), card(1))).collect();
    let (older, newer) = entries.split_at(entries.len() / 2);
    for batch in newer.chunks(64).chain(older.chunks(64)) {
        fixture.remember(batch).await?;
    }
    let newest: Vec<_> = (0..count).rev().take(HISTORY_DEPTH).map(transaction).collect();
    assert_eq!(fixture.transactions(1).await?, Some(newest));
    let names: Vec<Vec<u8>> = redis::from_redis_value(fixture.command(&["KEYS", "hist:*"]).await?)?;
    let url = fixture.redis.as_ref().map(Redis::url).unwrap_or_default();
    let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let bytes: usize = redis::cmd("STRLEN").arg(&names).query_async(&mut connection).await?;
    assert!(bytes < 2 * HISTORY_DEPTH * 108 + 108, "{bytes}");
    Ok(())
}

#[tokio::test]
async fn entries_beyond_the_span_are_not_given() -> anyhow::Result<()> {
    let fixture = complete().await?;
    let now = fixture.clock.now();
    let early = entry(1, now - HISTORY_SPAN, card(1));
    let too_early = entry(3, early.received_at - Duration::from_millis(1), card(1));
    fixture.remember(&[early, entry(2, now, card(1)), too_early]).await?;
    assert_eq!(fixture.transactions(1).await?, Some(vec![transaction(2), transaction(1)]));
    fixture.clock.advance(HISTORY_SPAN + Duration::from_millis(1));
    assert_eq!(fixture.transactions(1).await?, Some(vec![]));
    Ok(())
}

#[tokio::test]
async fn flushed_redis_withholds_history_and_takes_the_right_to_fill_it() -> anyhow::Result<()> {
    let fixture = complete().await?;
    let holder = fixture.claim().await?;
    assert!(fixture.hot()?.claim().await?.is_none(), "one at a time");
    fixture.command(&["FLUSHALL"]).await?;
    assert_eq!(fixture.transactions(1).await?, None);
    let entries = keyed(&[entry(1, fixture.clock.now(), card(1))]);
    assert!(!fixture.hot()?.refill(&holder, &entries, fixture.clock.now()).await?);
    assert!(!fixture.hot()?.release(&holder, true).await?);
    assert_eq!(fixture.transactions(1).await?, None);
    fixture.complete().await?;
    assert_eq!(fixture.transactions(1).await?, Some(vec![]), "what came without the right was not taken");
    Ok(())
}

#[tokio::test]
async fn refilling_adds_only_what_is_missing() -> anyhow::Result<()> {
    let fixture = complete().await?;
    let now = fixture.clock.now();
    let entries = [1, 2, 3].map(|number| entry(number, now, card(1)));
    fixture.remember(&entries[..2]).await?;
    let holder = fixture.claim().await?;
    for _ in 0..2 {
        assert!(fixture.hot()?.refill(&holder, &keyed(&entries), now).await?);
    }
    assert!(fixture.hot()?.release(&holder, false).await?);
    assert_eq!(fixture.transactions(1).await?.map(|known| known.len()), Some(3));
    let names: Vec<Vec<u8>> = redis::from_redis_value(fixture.command(&["KEYS", "hist:*"]).await?)?;
    assert_eq!(names.len(), 1);
    Ok(())
}

#[tokio::test]
async fn history_is_withheld_after_entries_were_lost_on_the_way() -> anyhow::Result<()> {
    let mut fixture = complete().await?;
    assert_eq!(fixture.transactions(1).await?, Some(vec![]));
    fixture.server()?.stop().await?;
    assert!(fixture.remember(&[entry(1, fixture.clock.now(), card(1))]).await.is_err());
    assert_eq!(fixture.transactions(1).await?, None, "nothing is given before the server has heard of it");
    fixture.server()?.restart().await?;
    // Whoever lost nothing learns it from the server.
    eventually(HEALS_WITHIN, "the claim to be taken back", async || {
        let mark: i64 = redis::from_redis_value(fixture.command(&["EXISTS", "history:complete"]).await.ok()?).ok()?;
        (mark == 0).then_some(())
    })
    .await?;
    eventually(HEALS_WITHIN, "history to be given again", async || {
        fixture.complete().await.ok()?;
        fixture.transactions(1).await.ok()?
    })
    .await?;
    Ok(())
}
