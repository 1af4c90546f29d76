//! Notices of Centra shops, and how long they are kept.

use std::time::Duration;

use touchstone_platform::random;
use touchstone_platform::store::accounts::ConnectionRow;
use touchstone_schema::centra::{ConnectionSettings, FAILED_NOTICE, Notice, WAITING_NOTICE};
use touchstone_schema::ids::{ConnectionId, RequestId};
use touchstone_schema::limits::NOTICES_KEPT;

use super::policies::known_tenant;
use super::{Database, START, after, on_both_databases, raw};

on_both_databases!(old_notices_go_and_those_of_open_holds_stay);

async fn old_notices_go_and_those_of_open_holds_stay(database: &Database) -> anyhow::Result<()> {
    let tenant = known_tenant(database).await?;
    let connection = ConnectionRow {
        id: ConnectionId::mint(START, random::bytes()),
        store_id: tenant.store_id.clone(),
        api_url: "https://shop.invalid/graphql".to_owned(),
        sealed_token: vec![1],
        token_set_at: START,
        path_hash: "ab".repeat(32),
        previous_path: None,
        settings: ConnectionSettings::default(),
        created_at: START,
        disconnected_at: None,
        stopped_reason: None,
        paused_until: START,
        swept_at: None,
        arguments: None,
    };
    database.system().add_connection(&connection).await?;
    let notice = |kind: &str, reference: &str, seconds: u64| Notice {
        version: Notice::VERSION,
        connection_id: connection.id.clone(),
        tenant: tenant.clone(),
        kind: kind.to_owned(),
        reference: reference.to_owned(),
        received_at: after(seconds),
        request_id: RequestId::mint(START, random::bytes()),
        document: raw(&format!(r#"{{"order":{{"order":"{reference}"}},"at":{seconds}}}"#)),
    };
    let month = NOTICES_KEPT.as_secs();
    for one in [
        notice(WAITING_NOTICE, "held", 0),
        notice(FAILED_NOTICE, "first", 1),
        notice(FAILED_NOTICE, "second", 2),
        notice(FAILED_NOTICE, "later", month),
    ] {
        database.system().take_notice(&one, &connection).await?;
    }
    let before = after(month + 10) - NOTICES_KEPT;
    assert_eq!(database.system().forget_notices(before, 1).await?, 1, "so many at once");
    assert_eq!(database.system().forget_notices(before, 500).await?, 1, "the one of an open hold stays");
    assert_eq!(database.system().forget_notices(before + Duration::from_secs(1), 500).await?, 0);
    assert_eq!(database.system().forget_notices(after(month * 2), 500).await?, 1);
    Ok(())
}
