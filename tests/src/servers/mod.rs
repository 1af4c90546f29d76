//! Private real servers: RabbitMQ, PostgreSQL and Redis on free ports with folders of their own.
//!
//! Guarantee: the machine's own instances are never touched, and nothing outlives the process that started it.
//! Failure: a server that does not start is an error with the tail of its log, never a skipped test.

mod admin;
mod postgres;
mod rabbitmq;
mod redis;

use std::time::Duration;

use anyhow::Context;

use crate::Authority;

pub(crate) use self::redis::DATABASES;
pub use self::{admin::Admin, postgres::Postgres, rabbitmq::RabbitMq, redis::Redis};

/// How long a server may take to start: a broker on a busy machine needs the longest.
const START_WITHIN: Duration = Duration::from_secs(90);

/// How long a server may take to stop in order.
const STOP_WITHIN: Duration = Duration::from_secs(60);

/// One of each.
#[derive(Debug)]
pub struct Servers {
    /// The broker.
    pub rabbitmq: RabbitMq,
    /// The database.
    pub postgres: Postgres,
    /// The cache.
    pub redis: Redis,
}

impl Servers {
    /// Starts one of each, at the same time.
    ///
    /// # Errors
    /// When one does not start; the others are stopped.
    pub async fn start() -> anyhow::Result<Self> {
        let (rabbitmq, postgres, redis) =
            tokio::try_join!(Box::pin(RabbitMq::start()), Box::pin(Postgres::start()), Box::pin(Redis::start()))?;
        Ok(Self { rabbitmq, postgres, redis })
    }

    /// Starts one of each that speaks TLS too, with certificates of this authority.
    ///
    /// # Errors
    /// As [`Servers::start`].
    pub async fn start_with_tls(authority: &Authority) -> anyhow::Result<Self> {
        let (rabbitmq, postgres, redis) = tokio::try_join!(
            Box::pin(RabbitMq::start_with_tls(authority)),
            Box::pin(Postgres::start_with_tls(authority)),
            Box::pin(Redis::start_with_tls(authority))
        )?;
        Ok(Self { rabbitmq, postgres, redis })
    }

    /// Where they are.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        Addresses {
            amqp_url: self.rabbitmq.url(),
            amqp_admin_url: self.rabbitmq.admin_url(),
            database_url: self.postgres.url("postgres"),
            redis_url: self.redis.url(),
        }
    }
}

/// Where one of each is, with the rights to make and remove databases and virtual hosts.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The broker, without a virtual host.
    pub amqp_url: String,
    /// The broker's management API, with credentials.
    pub amqp_admin_url: String,
    /// The database `postgres`, as superuser.
    pub database_url: String,
    /// The cache, without a database number.
    pub redis_url: String,
}

impl Addresses {
    /// Reads what `with-servers` has set; `None` when it was not used.
    ///
    /// # Errors
    /// When only a part of the variables is set.
    pub fn from_environment() -> anyhow::Result<Option<Self>> {
        if std::env::var_os("TEST_AMQP_URL").is_none() {
            return Ok(None);
        }
        let read = |name: &str| std::env::var(name).with_context(|| format!("TEST_AMQP_URL is set, but {name} is not"));
        Ok(Some(Self {
            amqp_url: read("TEST_AMQP_URL")?,
            amqp_admin_url: read("TEST_AMQP_ADMIN_URL")?,
            database_url: read("TEST_DATABASE_URL")?,
            redis_url: read("TEST_REDIS_URL")?,
        }))
    }

    /// The variables by which `with-servers` tells them.
    #[must_use]
    pub fn to_environment(&self) -> [(&'static str, &str); 4] {
        [
            ("TEST_AMQP_URL", &self.amqp_url),
            ("TEST_AMQP_ADMIN_URL", &self.amqp_admin_url),
            ("TEST_DATABASE_URL", &self.database_url),
            ("TEST_REDIS_URL", &self.redis_url),
        ]
    }
}
