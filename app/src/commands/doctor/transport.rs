//! Whether the services are reached over TLS.

use touchstone_platform::transport::{Protection, of_postgres, of_rabbitmq, of_redis};
use touchstone_schema::secret::Secret;

use super::{Findings, place_of};

const WHAT: &str = "TLS to services";

pub(super) fn examine(database_url: &Secret, amqp_url: &Secret, redis_url: &Secret, findings: &mut Findings) {
    let reached = [
        (
            "PostgreSQL",
            database_url,
            of_postgres(database_url),
            "take `sslmode` out of DATABASE_URL, or set `sslmode=verify-full`",
        ),
        ("RabbitMQ", amqp_url, of_rabbitmq(amqp_url), "begin AMQP_URL with `amqps://`, whose port is 5671 by default"),
        ("Redis", redis_url, of_redis(redis_url), "begin REDIS_URL with `rediss://`, without `#insecure`"),
    ];
    let mut is_sound = true;
    for (service, url, protection, mend) in reached {
        let problem = match protection {
            Protection::Verified | Protection::Local => continue,
            Protection::Unverified => "encrypted, but the server's certificate is not verified",
            Protection::Plain => "in plain text: passwords and orders can be read on the way",
        };
        is_sound = false;
        let mend = format!("{mend}; for an authority of your own, TOUCHSTONE_CA_FILE (docs/operate.md)");
        findings.warn(WHAT, format!("{service} at {} is reached {problem}", place_of(url)), mend);
    }
    if is_sound {
        findings.ok(WHAT, "encrypted and verified, or on this machine");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_to_another_machine_is_warned_of_and_shows_no_password() {
        let mut findings = Findings::default();
        let [database, amqp, redis] = [
            "postgres://u:hunter2@db:5432/t?sslmode=disable",
            "amqp://u:hunter2@mq:5672/%2f",
            "rediss://:hunter2@cache:6379/0#insecure",
        ]
        .map(Secret::new);
        examine(&database, &amqp, &redis, &mut findings);
        let found: Vec<_> = findings.0.iter().map(|finding| finding.found.as_str()).collect();
        assert_eq!(found.len(), 3);
        assert!(found[0].contains("db:5432 is reached in plain text"), "{found:?}");
        assert!(found[1].contains("mq:5672 is reached in plain text"), "{found:?}");
        assert!(found[2].contains("not verified"), "{found:?}");
        assert!(!format!("{findings:?}").contains("hunter2"));
    }

    #[test]
    fn verified_and_local_services_are_in_order() {
        let mut findings = Findings::default();
        let [database, amqp, redis] =
            ["postgres://u@db/t", "amqps://u@mq/%2f", "redis://127.0.0.1:6379/0"].map(Secret::new);
        examine(&database, &amqp, &redis, &mut findings);
        assert_eq!((findings.0.len(), findings.0[0].grade), (1, super::super::Grade::Ok));
    }
}
