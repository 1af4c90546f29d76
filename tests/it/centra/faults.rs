//! A shop that fails in every way: each order is settled once all the same.

use anyhow::{Result, ensure};
use touchstone_centra_double::{Fault, Kind, On, Order, RetryAfter};
use touchstone_schema::centra::{HoldOutcome, HoldState};
use touchstone_tests::eventually;

use super::fixture::HeldShop;
use crate::pipeline::fixture::{PATIENCE, events};

on_both_ways_to_run!(
    a_mutation_that_failed_is_asked_for_again_until_it_is_done,
    a_mutation_whose_answer_was_lost_is_found_done_and_not_repeated,
    a_reading_that_failed_is_repeated,
    a_shop_that_is_busy_is_left_alone_as_long_as_it_says,
    a_refused_token_stops_the_shop_until_there_is_another,
    errors_of_the_shop_are_given_to_a_person_after_some_attempts,
    warnings_are_told_with_the_event,
);

async fn a_mutation_that_failed_is_asked_for_again_until_it_is_done(shop: HeldShop) -> Result<()> {
    let faults = [
        Fault::Status(500),
        Fault::Status(503),
        Fault::NeverAnswer,
        Fault::CloseWithoutAnswer,
        Fault::GraphqlErrors,
        Fault::NotJson,
        Fault::UserErrors,
    ];
    for (number, fault) in (1..).zip(faults) {
        shop.centra.fail_next_on(On::Mutations, fault);
        let id = shop.hold(Order::ordinary(number)).await?;
        assert_eq!(shop.ended(&id).await?, [HoldOutcome::Resumed], "{fault:?}");
        assert_eq!(shop.applied(&id), [Kind::Resume], "{fault:?}");
        assert_eq!(events(&shop.transaction(&id).await?), ["order.scored", "order.resumed"], "{fault:?}");
    }
    Ok(())
}

async fn a_mutation_whose_answer_was_lost_is_found_done_and_not_repeated(shop: HeldShop) -> Result<()> {
    let faults = [
        Fault::StatusAfterApplying(502),
        Fault::NeverAnswerAfterApplying,
        Fault::CloseAfterApplying,
        Fault::HalfAnswer,
    ];
    for (number, fault) in (1..).zip(faults) {
        shop.centra.fail_next_on(On::Mutations, fault);
        let (order, kind, outcome) = if number % 2 == 0 {
            (Order::ordinary(number), Kind::Resume, HoldOutcome::Resumed)
        } else {
            (Order::suspicious(number), Kind::Cancel, HoldOutcome::Cancelled)
        };
        let id = shop.hold(order).await?;
        assert_eq!(shop.ended(&id).await?, [outcome], "{fault:?}");
        assert_eq!((shop.applied(&id), shop.asked(&id)), (vec![kind], 1), "{fault:?}");
        assert_eq!(events(&shop.transaction(&id).await?).len(), 2, "{fault:?}");
    }
    Ok(())
}

async fn a_reading_that_failed_is_repeated(shop: HeldShop) -> Result<()> {
    for (number, fault) in (1..).zip([Fault::Status(500), Fault::NeverAnswer, Fault::HalfAnswer, Fault::NotJson]) {
        shop.centra.fail_next_on(On::Queries, fault);
        let id = shop.hold(Order::ordinary(number)).await?;
        assert_eq!(shop.ended(&id).await?, [HoldOutcome::Resumed], "{fault:?}");
    }
    Ok(())
}

async fn a_shop_that_is_busy_is_left_alone_as_long_as_it_says(shop: HeldShop) -> Result<()> {
    for (number, form) in (1..).zip([RetryAfter::Seconds, RetryAfter::HttpDate, RetryAfter::EpochSeconds]) {
        shop.centra.fail_next_on(On::Mutations, Fault::TooMany(form));
        let id = shop.hold(Order::ordinary(number)).await?;
        assert_eq!(shop.ended(&id).await?, [HoldOutcome::Resumed], "{form:?}");
        assert_eq!(shop.applied(&id), [Kind::Resume], "{form:?}");
    }
    Ok(())
}

async fn a_refused_token_stops_the_shop_until_there_is_another(shop: HeldShop) -> Result<()> {
    shop.centra.expire_token();
    let id = shop.hold(Order::ordinary(1)).await?;
    let system = shop.pipeline.system();
    let reason = eventually(PATIENCE, "the connection to be stopped", async || {
        system.connection(&shop.connection).await.ok()??.stopped_reason
    })
    .await?;
    ensure!(reason.contains("token"), "{reason}");
    let asked = shop.centra.requests().refused_for_token;
    // What comes meanwhile is kept, and the shop is not asked.
    let other = shop.hold(Order::ordinary(2)).await?;
    shop.in_state(&other, HoldState::Reading).await?;
    assert_eq!(shop.centra.requests().refused_for_token, asked);

    shop.centra.set_token("a-fresh-token");
    shop.set_token("a-fresh-token").await?;
    for id in [&id, &other] {
        assert_eq!(shop.ended(id).await?, [HoldOutcome::Resumed]);
        assert_eq!(shop.applied(id), [Kind::Resume]);
    }
    Ok(())
}

async fn errors_of_the_shop_are_given_to_a_person_after_some_attempts(shop: HeldShop) -> Result<()> {
    for _ in 0..5 {
        shop.centra.fail_next_on(On::Mutations, Fault::UserErrors);
    }
    let id = shop.hold(Order::ordinary(1)).await?;
    let hold = shop.in_state(&id, HoldState::Waiting).await?;
    ensure!(hold.last_error.as_deref().is_some_and(|error| error.starts_with("the shop refuses")), "{hold:?}");
    assert_eq!((shop.applied(&id), shop.asked(&id)), (vec![], 5));
    assert_eq!(events(&shop.transaction(&id).await?), ["order.scored", "order.action_failed"]);
    Ok(())
}

async fn warnings_are_told_with_the_event(shop: HeldShop) -> Result<()> {
    shop.centra.fail_next_on(On::Mutations, Fault::UserWarnings);
    let id = shop.hold(Order::ordinary(1)).await?;
    assert_eq!(shop.ended(&id).await?, [HoldOutcome::Resumed]);
    let data = shop.told(&id, "order.resumed").await?;
    ensure!(data["warnings"].as_array().is_some_and(|warnings| !warnings.is_empty()), "{data}");
    assert_eq!((&data["outcome"], &data["wanted_by"]), (&"resumed".into(), &"verdict".into()));
    Ok(())
}
