//! Every limit that the wire or the pipeline has, by name. Sources: contract sections 0 and 1, design promises 5 and 7.

use std::time::Duration;

/// Largest request body, in bytes (256 KiB).
pub const BODY_BYTES: usize = 262_144;
/// Largest body that is read where its connection is served, in bytes (32 KiB). A longer one is read off the async threads,
/// after its sender was admitted.
pub const READ_INLINE_BYTES: usize = 32_768;
/// Most longer bodies that a process reads at a time: as many threads are busy with them, and the others wait.
pub const LONG_READS: usize = 4;
/// Deepest nesting of a JSON document.
pub const JSON_DEPTH: usize = 32;
/// Longest order id, in characters.
pub const ORDER_ID_CHARS: usize = 128;
/// Longest id of an order or cart on the checks surface, in characters.
pub const CHECK_ID_CHARS: usize = 256;
/// Longest issuer number that the checks surface takes, in digits; no more than [`CARD_BIN_DIGITS`] of them are looked at.
pub const CHECK_BIN_DIGITS: usize = 11;
/// Digits of an issuer number that an order is compared by, at most.
pub const CARD_BIN_DIGITS: usize = 8;
/// Longest nonce, in visible ASCII characters.
pub const NONCE_CHARS: usize = 128;
/// Most line items or discount codes of one order: a body of [`BODY_BYTES`] holds no more that have any content.
pub const ORDER_LIST_ITEMS: usize = 32_768;
/// Most line items or discount codes of one order that is read strictly.
pub const ORDER_LIST_DOCUMENTED: usize = 1_000;
/// Most metadata entries of one order.
pub const ORDER_METADATA_ENTRIES: usize = 1_000;
/// Most warnings that are kept of one order: a verdict with all of them is still small.
pub const ORDER_WARNINGS: usize = 32;
/// Longest text of any known field of an order, in characters.
pub const FIELD_CHARS: usize = 4_096;
/// Furthest that a request's timestamp may lie from now.
pub const TIMESTAMP_SKEW: Duration = Duration::from_secs(300);
/// How long a nonce is remembered: both sides of the skew and a minute.
pub const NONCE_TTL: Duration = Duration::from_secs(660);
/// How long the same order id means the same order.
pub const IDEMPOTENCY_WINDOW: Duration = Duration::from_secs(3_600);
/// How long a caller of a waiting surface waits for a verdict, from arrival.
pub const VERDICT_WAIT: Duration = Duration::from_millis(4_000);
/// When a promised order must have been answered 202, from arrival.
pub const PROMISE_WAIT: Duration = Duration::from_millis(4_500);
/// Most orders scored and committed together.
pub const SCORING_BATCH: usize = 64;
/// Unacknowledged messages that a consumer holds.
pub const PREFETCH: u16 = 256;
/// Redeliveries by the broker before a message is dead-lettered.
pub const DELIVERY_LIMIT: u32 = 64;
/// Age at which a pending row without verdict is enqueued again.
pub const PENDING_SWEEP_AGE: Duration = Duration::from_secs(60);
/// Times that a pending row is enqueued again before it is set aside for a person.
pub const PENDING_ATTEMPTS: u32 = 10;
/// Age at which an event without deliveries is planned by the sweep.
pub const EVENT_SWEEP_AGE: Duration = Duration::from_secs(10);
/// Most recent orders of one history key that are looked at.
pub const HISTORY_DEPTH: usize = 256;
/// How far back history is looked at.
pub const HISTORY_SPAN: Duration = Duration::from_secs(90 * 86_400);
/// Most orders of a store, newest first, that tell what is usual there: enough for its 99th percentile to be steady, few
/// enough to be read in one look.
pub const NORMS_ORDERS: usize = 10_000;
/// Most entries of a store's lists, in each world.
pub const LIST_ENTRIES: usize = 10_000;
/// Most reasons of a verdict: of each signal, each list and each rule at most one.
pub const VERDICT_REASONS: usize = 512;
/// Most changes of one update of a check that are flagged: each is of another member.
pub const CHECK_FLAGS: usize = 8;
/// Most warnings of a shop that are kept of one request to it.
pub const SHOP_WARNINGS: usize = 20;
/// Largest page of any listing.
pub const PAGE_ITEMS: u64 = 100;
/// Highest score of the risk group low of a store that set none.
pub const DEFAULT_RISK_LOW: u8 = 30;
/// Highest score of the risk group medium of a store that set none.
pub const DEFAULT_RISK_MEDIUM: u8 = 75;
/// Most revisions, decisions, outcomes and events that a transaction shows of itself, of each the newest.
pub const TRANSACTION_LIST_ITEMS: u64 = 100;
/// Revisions of a transaction within [`REVISION_DAY`] from which on it is not scored again on demand. An order that comes
/// again is, so there may be one more for each hour ([`IDEMPOTENCY_WINDOW`]).
pub const REVISIONS_PER_DAY: u64 = 100;
/// The day in which they are counted, back from now.
pub const REVISION_DAY: Duration = Duration::from_secs(86_400);
/// Requests a minute of a store that set none.
pub const DEFAULT_RATE_PER_MINUTE: u32 = 100;
/// Largest policy document, in bytes.
pub const POLICY_BYTES: usize = 262_144;
/// Most points that a policy may give to one signal or rule, either way.
pub const POLICY_POINTS: i32 = 1_000;
/// Most rules of a store's own.
pub const POLICY_RULES: usize = 200;
/// Most history keys that a policy declares.
pub const POLICY_HISTORY_KEYS: usize = 8;
/// Most elements of any list of a policy.
pub const POLICY_LIST_ITEMS: usize = 1_000;
/// Most patterns (`matches`) of one policy: each may take [`PATTERN_BYTES`] of memory.
pub const POLICY_PATTERNS: usize = 32;
/// Deepest nesting of a rule's groups of conditions.
pub const RULE_DEPTH: usize = 5;
/// Most conditions of one rule, whatever their nesting.
pub const RULE_CONDITIONS: usize = 50;
/// Longest name of a rule, of a declared history key and of a metadata key, in characters.
pub const RULE_NAME_CHARS: usize = 64;
/// Longest text that a rule compares with, and longest line that it explains itself by, in characters.
pub const RULE_TEXT_CHARS: usize = 256;
/// Most headers of the merchant's own of one webhook endpoint.
pub const OWN_HEADERS: usize = 10;
/// Longest name of such a header, in characters.
pub const OWN_HEADER_NAME_CHARS: usize = 64;
/// Longest value of such a header, in visible ASCII characters and spaces.
pub const OWN_HEADER_VALUE_CHARS: usize = 512;
/// Longest description of a webhook endpoint, in characters.
pub const ENDPOINT_DESCRIPTION_CHARS: usize = 256;
/// Most deliveries a second that a webhook endpoint can be limited to.
pub const ENDPOINT_RATE_MOST: u32 = 1_000;
/// Largest compiled pattern, in bytes.
pub const PATTERN_BYTES: usize = 65_536;
/// Longest `tracestate` that is passed on, in characters.
pub const TRACE_STATE_CHARS: usize = 512;
/// Largest row of a file of past orders, in bytes.
pub const BACKFILL_ROW_BYTES: usize = 262_144;
/// Most columns of a CSV file of past orders.
pub const BACKFILL_COLUMNS: usize = 2_048;
/// Most elements of a list that CSV columns spell out, such as products.
pub const BACKFILL_LIST_ITEMS: usize = 1_000;
/// Bytes at the beginning of a file of past orders by which its form is recognised (1 MiB).
pub const BACKFILL_SAMPLE_BYTES: usize = 1 << 20;
/// Lists within each other around the rows of a file of past orders: a list of pages is one of two.
pub const BACKFILL_NESTED_LISTS: usize = 8;
/// Longest text before the list of a file of past orders that is taken for the opening of a call, in bytes.
pub const BACKFILL_PROLOGUE_BYTES: usize = 1_024;
/// Largest upload of past orders, in bytes (1 GiB).
pub const BACKFILL_UPLOAD_BYTES: u64 = 1 << 30;
/// Most uploads of one tenant that wait to be read.
pub const BACKFILLS_OPEN: u64 = 8;
/// Most refused rows of an upload that are kept to be looked at; all are counted.
pub const BACKFILL_REFUSALS: u64 = 1_000;
/// Most warnings of an upload that are kept to be looked at; all are counted.
pub const BACKFILL_WARNINGS: u64 = 1_000;
/// Uploads of one store that may come in at once, over all its keys: each holds a slot of the process that takes it.
pub const BACKFILL_UPLOADS_AT_ONCE: u64 = 2;
/// Bytes that a store may upload in a day (UTC) unless the settings say otherwise (8 GiB): as many files of the largest size
/// as may wait at once.
pub const BACKFILL_DAY_BYTES: u64 = 8 * BACKFILL_UPLOAD_BYTES;
/// How far back an endpoint can be recovered, and its deliveries replayed together.
pub const RECOVERY_SPAN: Duration = Duration::from_secs(14 * 86_400);
/// Most deliveries that are looked at to fill one page of the log: a page that found less than it may hold says where to go on.
pub const LOG_LOOKED_AT: u64 = 5_000;
/// How long notices of Centra shops are kept, but for those of orders that are still on hold.
pub const NOTICES_KEPT: Duration = Duration::from_secs(30 * 86_400);
/// How long settled deliveries, their attempts, and events that belong to no transaction are kept.
pub const DELIVERIES_KEPT: Duration = Duration::from_secs(90 * 86_400);
