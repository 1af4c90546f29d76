//! Plans of batches: which submissions are scored, which are answered from what is known.

use touchstone_platform::directory::Snapshot;
use touchstone_platform::enrichment;
use touchstone_schema::ids::{MerchantId, RequestId, StoreId, SubmissionId};
use touchstone_schema::secret::Secret;
use touchstone_schema::tenant::{Product, Surface, Tenant};

use super::*;

const RECEIVED_AT: Timestamp = Timestamp::from_millis(1_777_900_000_000);
const NOW: Timestamp = Timestamp::from_millis(1_777_900_000_500);

fn profile(mode: StoreMode) -> Arc<StoreProfile> {
    Arc::new(StoreProfile {
        store_id: StoreId::mint(RECEIVED_AT, [1; 10]),
        merchant_id: MerchantId::mint(RECEIVED_AT, [1; 10]),
        name: "Boots".to_owned(),
        mode,
        product: Product::Guaranteed,
        currency: "EUR".to_owned(),
        rate_limit_per_minute: 100,
        risk_groups: touchstone_schema::tenant::RiskGroups::default(),
        input: touchstone_schema::tenant::InputSettings::default(),
        data_key: Secret::new("data key"),
    })
}

fn reading<'a>(profile: &'a StoreProfile, mode: KeyMode, policy: &'a Policy) -> Reading<'a> {
    Reading { data_key: &profile.data_key, mode, policy, own_domains: &profile.input.own_domains }
}

/// The `number`-th submission, of this order with this amount, received so many seconds after the first.
fn submission(number: u8, order_id: &str, amount: u32, after_s: u64) -> Submission {
    let document = format!(
        r#"{{"order_id":"{order_id}","amount":{amount},"currency":"EUR","customer":{{"email":"ada@example.com"}}}}"#
    );
    let profile = profile(StoreMode::Live);
    Submission {
        version: Submission::VERSION,
        id: SubmissionId::mint(RECEIVED_AT, [number; 10]),
        tenant: Tenant { store_id: profile.store_id.clone(), mode: KeyMode::Live },
        surface: Surface::Signed,
        kind: SubmissionKind::Order,
        transaction_id: TransactionId::of_order(&profile.data_key, KeyMode::Live, Surface::Signed, order_id),
        order_id: order_id.to_owned(),
        body_hash: format!("hash of {amount}"),
        received_at: RECEIVED_AT + std::time::Duration::from_secs(after_s),
        deadline: None,
        request_id: RequestId::mint(RECEIVED_AT, [number; 10]),
        trace: None,
        document: RawValue::from_string(document).unwrap(),
    }
}

fn reanalysis(number: u8, order_id: &str, after_s: u64) -> Submission {
    Submission {
        kind: SubmissionKind::Reanalyze,
        body_hash: String::new(),
        document: RawValue::NULL.to_owned(),
        ..submission(number, order_id, 0, after_s)
    }
}

fn prepared<'a>(submission: &'a Submission, loaded: &Loaded) -> Prepared<'a> {
    let profile = profile(StoreMode::Live);
    let policy = Arc::new(Policy::built_in());
    let (document, mode) = (submission.document.get(), submission.tenant.mode);
    let order = match submission.kind {
        SubmissionKind::Reanalyze => None,
        _ => Some(reading(&profile, mode, &policy).order(document, Surface::Signed).unwrap()),
    };
    let enrichment = enrichment::Enricher::built_in().snapshot();
    let (lists, norms) = (None, Arc::default());
    let (vouched, stored_hash, is_fresh) = (None, None, false);
    let mut ready =
        Prepared { submission, profile, policy, lists, enrichment, norms, order, vouched, is_fresh, stored_hash };
    ready.tell_hearsay();
    ready.read_stored(loaded).unwrap();
    ready
}

/// Plans the submissions upon what is stored, and shows each plan as a line.
fn planned(submissions: &[Submission], stored: &[(&Submission, u32)]) -> Vec<String> {
    let loaded = known(stored);
    let batch: Vec<_> = submissions.iter().map(|one| prepared(one, &loaded)).collect();
    plan(&batch, loaded, HistoryByKey::new(), NOW).iter().map(line).collect()
}

fn line(plan: &Plan<'_>) -> String {
    let id = |verdict: &RawValue| serde_json::from_str::<serde_json::Value>(verdict.get()).unwrap()["by"].to_string();
    match plan {
        Plan::New(new) => {
            format!("{} {} {} {}", new.event.kind, new.revision, new.event.sequence, new.amount_minor)
        }
        Plan::Attempt(new) => format!("{} of {}", new.event.kind, new.history.what),
        Plan::Settled(Answer::Verdict { verdict }) => format!("verdict {}", id(verdict)),
        Plan::Settled(Answer::Conflict { verdict }) => format!("conflict {}", id(verdict)),
        Plan::Settled(answer) => format!("{answer:?}"),
        Plan::Poison(reason) => format!("poison: {reason}"),
        Plan::Again => "again".to_owned(),
    }
}

/// What is loaded when these submissions are the newest revisions, with these numbers, of their transactions. Each
/// transaction had one event more than revisions.
fn known(stored: &[(&Submission, u32)]) -> Loaded {
    let mut loaded = Loaded::default();
    for (submission, revision) in stored {
        let verdict = format!(r#"{{"by":"{}"}}"#, submission.body_hash);
        let latest = LatestRevision {
            revision: *revision,
            sequence: revision + 1,
            body_hash: submission.body_hash.clone(),
            received_at: submission.received_at,
            verdict,
            document: submission.document.get().to_owned(),
        };
        loaded.latest.insert(submission.transaction_id.clone(), latest);
    }
    loaded
}

#[test]
fn a_new_order_is_scored_as_its_first_revision() {
    assert_eq!(planned(&[submission(1, "A", 20, 0)], &[]), ["order.scored 1 1 2000"]);
}

#[test]
fn the_same_order_within_the_hour_has_the_stored_verdict_and_another_one_a_conflict() {
    let first = submission(1, "A", 20, 3_600);
    for after_s in [1, 3_600, 7_199] {
        assert_eq!(planned(&[submission(2, "A", 20, after_s)], &[(&first, 1)]), [r#"verdict "hash of 20""#]);
        assert_eq!(planned(&[submission(2, "A", 21, after_s)], &[(&first, 1)]), [r#"conflict "hash of 20""#]);
    }
}

#[test]
fn a_submission_older_than_the_newest_revision_makes_none_however_late_it_comes() {
    let newest = submission(1, "A", 21, 7_200);
    assert_eq!(planned(&[submission(2, "A", 21, 0)], &[(&newest, 2)]), [r#"verdict "hash of 21""#]);
    assert_eq!(planned(&[submission(2, "A", 20, 0)], &[(&newest, 2)]), [r#"conflict "hash of 21""#]);
}

#[test]
fn after_the_hour_an_order_is_scored_upon_the_newest_revision_and_event() {
    let first = submission(1, "A", 20, 0);
    for amount in [20, 21] {
        let plans = planned(&[submission(2, "A", amount, 3_600)], &[(&first, 3)]);
        assert_eq!(plans, [format!("order.rescored 4 5 {amount}00")]);
    }
}

#[test]
fn repetitions_and_conflicts_within_a_batch_see_the_verdict_before_them() {
    let batch = [submission(1, "A", 20, 0), submission(2, "A", 20, 0), submission(3, "A", 21, 1)];
    let loaded = Loaded::default();
    let ready: Vec<_> = batch.iter().map(|one| prepared(one, &loaded)).collect();
    let plans = plan(&ready, loaded, HistoryByKey::new(), NOW);
    let [Plan::New(new), Plan::Settled(Answer::Verdict { verdict }), Plan::Settled(Answer::Conflict { verdict: told })] =
        plans.as_slice()
    else {
        panic!("{plans:?}")
    };
    assert_eq!((verdict.get(), told.get()), (new.verdict.as_str(), new.verdict.as_str()));
}

#[test]
fn one_submission_by_two_lanes_is_scored_once() {
    let one = submission(1, "A", 20, 0);
    let interactive = Submission { deadline: Some(NOW), ..one.clone() };
    let plans = planned(&[interactive, one], &[]);
    assert_eq!(plans[0], "order.scored 1 1 2000");
    assert!(plans[1].starts_with("verdict "), "{plans:?}");
}

#[test]
fn a_submission_that_was_scored_has_its_own_verdict_whatever_came_after() {
    let late = submission(1, "A", 20, 0);
    let newest = submission(2, "A", 21, 7_200);
    let mut loaded = known(&[(&newest, 2)]);
    loaded.scored.insert(late.id.clone(), r#"{"by":"itself"}"#.to_owned());
    let batch = [prepared(&late, &loaded)];
    let plans: Vec<_> = plan(&batch, loaded, HistoryByKey::new(), NOW).iter().map(line).collect();
    assert_eq!(plans, [r#"verdict "itself""#]);
}

#[test]
fn reanalysis_scores_the_stored_order_and_needs_one() {
    let first = submission(1, "A", 20, 0);
    assert_eq!(planned(&[reanalysis(2, "A", 60)], &[(&first, 1)]), ["order.rescored 2 3 2000"]);
    assert_eq!(planned(&[reanalysis(2, "B", 60)], &[(&first, 1)]), ["NotFound"]);
    let twice = [reanalysis(2, "A", 60), reanalysis(3, "A", 61)];
    assert_eq!(planned(&twice, &[(&first, 1)]), ["order.rescored 2 3 2000", "order.rescored 3 4 2000"]);
}

#[test]
fn reanalysis_of_an_order_that_changes_in_the_same_batch_is_planned_anew() {
    let first = submission(1, "A", 20, 0);
    let batch = [submission(2, "A", 21, 3_600), reanalysis(3, "A", 3_601)];
    assert_eq!(planned(&batch, &[(&first, 1)]), ["order.rescored 2 3 2100", "again"]);
}

#[test]
fn a_damaged_verdict_is_poison_for_its_own_order_alone() {
    let first = submission(1, "A", 20, 0);
    let mut loaded = known(&[(&first, 1)]);
    loaded.latest.values_mut().for_each(|latest| latest.verdict = "{".to_owned());
    let batch = [submission(2, "A", 20, 0), submission(3, "B", 30, 0)];
    let ready: Vec<_> = batch.iter().map(|one| prepared(one, &loaded)).collect();
    let plans: Vec<_> = plan(&ready, loaded, HistoryByKey::new(), NOW).iter().map(line).collect();
    assert!(plans[0].starts_with("poison: the stored verdict is not JSON"), "{plans:?}");
    assert_eq!(plans[1], "order.scored 1 1 3000");
}

#[test]
fn orders_that_cannot_be_read_are_refused_with_the_reason() {
    let profile = profile(StoreMode::Live);
    let policy = Policy::built_in();
    let reading = reading(&profile, KeyMode::Live, &policy);
    let refusal = |document: &str| reading.order(document, Surface::Signed).err().unwrap_or_default();
    assert!(refusal("{").starts_with("the order is not JSON: "));
    assert!(refusal(r#"{"order_id":"A"}"#).starts_with("the order is not valid: "));
    let enrichment = enrichment::Enricher::built_in().snapshot();
    let one = submission(1, "A", 20, 0);
    let unknown = Prepared::new(&one, true, &Snapshot::default(), &enrichment, &mut PolicyCache::new()).err();
    assert_eq!(unknown.as_deref(), Some("the store is not known"));
}

#[test]
fn each_order_of_a_batch_sees_those_before_it() {
    let batch: Vec<_> = (0..5).map(|n| submission(n, &format!("A-{n}"), 20, u64::from(n) * 60)).collect();
    let loaded = Loaded::default();
    let ready: Vec<_> = batch.iter().map(|one| prepared(one, &loaded)).collect();
    let plans = plan(&ready, loaded, HistoryByKey::new(), NOW);
    let fired = plans.iter().map(|plan| matches!(plan, Plan::New(new) if new.verdict.contains("\"email_velocity\"")));
    assert_eq!(fired.collect::<Vec<_>>(), [false, false, false, true, true]);
}

#[test]
fn the_world_of_a_verdict_is_the_keys_then_the_stores() {
    let live = submission(1, "A", 20, 0);
    let mut test = live.clone();
    test.tenant.mode = KeyMode::Test;
    assert_eq!(verdict_mode(&live, &profile(StoreMode::Live)), VerdictMode::Live);
    assert_eq!(verdict_mode(&live, &profile(StoreMode::Shadow)), VerdictMode::Shadow);
    assert_eq!(verdict_mode(&test, &profile(StoreMode::Shadow)), VerdictMode::Test);
}

#[test]
fn the_event_carries_revision_sequence_and_the_verdict() {
    let one = submission(1, "A", 20, 0);
    let loaded = Loaded::default();
    let batch = [prepared(&one, &loaded)];
    let plans = plan(&batch, loaded, HistoryByKey::new(), NOW);
    let [Plan::New(new)] = plans.as_slice() else { panic!("{plans:?}") };
    let mut data: serde_json::Value = serde_json::from_str(new.event.data.get()).unwrap();
    let members = data.as_object_mut().unwrap();
    assert_eq!((members.remove("revision"), members.remove("sequence")), (Some(1.into()), Some(1.into())));
    assert_eq!(data, serde_json::from_str::<serde_json::Value>(&new.verdict).unwrap());
    assert_eq!(data["scored_at"], NOW.to_rfc3339());
}

/// Which of these orders, each with its e-mail address, are looked up when those named are fresh.
fn looked_up(orders: &[(&str, &str)], fresh: &[usize]) -> Vec<usize> {
    let submissions = orders.iter().zip(0..).map(|((order_id, email), number)| {
        let mut one = submission(number, order_id, 20, 0);
        let document = one.document.get().replace("ada@example.com", email);
        one.document = RawValue::from_string(document).unwrap();
        one
    });
    let submissions: Vec<_> = submissions.collect();
    let ready = submissions.iter().enumerate().map(|(index, one)| {
        let is_fresh = fresh.contains(&index);
        Prepared { is_fresh, ..prepared(one, &Loaded::default()) }
    });
    let known = perhaps_known(&ready.collect::<Vec<_>>());
    let places = known.iter().map(|one| submissions.iter().position(|other| other.id == one.id).unwrap());
    places.collect()
}

#[test]
fn only_fresh_orders_that_share_nothing_within_their_batch_are_planned_without_a_look() {
    let strangers = [("A", "a@example.com"), ("B", "b@example.com"), ("C", "c@example.com")];
    assert_eq!(looked_up(&strangers, &[0, 1, 2]), [0_usize; 0]);
    assert_eq!(looked_up(&strangers, &[0, 2]), [1]);
    let one_mailbox = [("A", "a@example.com"), ("B", "b@example.com"), ("C", "A@example.com")];
    assert_eq!(looked_up(&one_mailbox, &[0, 1, 2]), [0, 2]);
    let one_order = [("A", "a@example.com"), ("B", "b@example.com"), ("A", "c@example.com")];
    assert_eq!(looked_up(&one_order, &[0, 1, 2]), [0, 2]);
}

/// A payment of the same customer that failed, as the door hands it on: told again it has the same ids.
fn attempt(number: u8, after_s: u64) -> Submission {
    let profile = profile(StoreMode::Live);
    let connection = touchstone_schema::ids::ConnectionId::mint(RECEIVED_AT, [1; 10]);
    let hash = format!("attempt {number}");
    let mut one = submission(number, &format!("A-{number}"), 0, after_s);
    let document = one.document.get().replacen('{', "{\"metadata\":{\"connection_id\":\"cen_1\"},", 1);
    one.document = RawValue::from_string(document).unwrap();
    one.transaction_id = TransactionId::of_attempt(&profile.data_key, KeyMode::Live, &connection, &hash);
    Submission { id: SubmissionId::of_attempt(&connection, &hash), kind: SubmissionKind::FailedAttempt, ..one }
}

#[test]
fn failed_attempts_of_a_batch_count_once_for_the_orders_behind_them() {
    let fired = |attempts: &[u8]| {
        let mut batch: Vec<_> = attempts.iter().zip(0..).map(|(number, at)| attempt(*number, at)).collect();
        batch.push(submission(9, "B", 20, 60));
        let loaded = Loaded::default();
        let ready: Vec<_> = batch.iter().map(|one| prepared(one, &loaded)).collect();
        let plans = plan(&ready, loaded, HistoryByKey::new(), NOW);
        matches!(plans.last(), Some(Plan::New(new)) if new.verdict.contains("\"declines_per_email\""))
    };
    assert!(fired(&[1, 2, 3]));
    assert!(!fired(&[1, 2, 2, 1, 2]), "told again, it is the same attempt");
}

#[test]
fn a_failed_attempt_is_an_event_without_a_transaction_and_names_nobody() {
    let one = attempt(1, 0);
    let loaded = Loaded::default();
    let batch = [prepared(&one, &loaded)];
    let plans = plan(&batch, loaded, HistoryByKey::new(), NOW);
    let [Plan::Attempt(new)] = plans.as_slice() else { panic!("{plans:?}") };
    assert_eq!((new.event.kind, &new.event.transaction_id), (EventKind::PaymentFailed, &None));
    assert_eq!((new.history.received_at, new.history.declines), (RECEIVED_AT, 1));
    assert!(new.history.keys.email.is_some() && new.history.keys.card.is_none());
    let data: serde_json::Value = serde_json::from_str(new.event.data.get()).unwrap();
    let expected = serde_json::json!({
        "order_id": "A-1", "mode": "live", "connection_id": "cen_1", "occurred_at": RECEIVED_AT.to_rfc3339(),
    });
    assert_eq!(data, expected);
}
