//! What one test stores its data in: apart from every other test, gone afterwards.
//!
//! Guarantee: a production backend is a database, a virtual host and a Redis number that no other test uses; an
//! embedded one is a folder. Failure: what cannot be removed at the end stays behind in a server that ends soon anyway.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use base64::{Engine, prelude::BASE64_STANDARD};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use serde_json::json;
use tokio::sync::OnceCell;
use url::Url;

use crate::{
    process::{TemporaryFolder, random_number},
    servers::{Addresses, Admin, DATABASES, Servers},
};

/// How long the clearing up after a test may take.
const CLEAR_WITHIN: Duration = Duration::from_secs(20);

/// Where Redis numbers are drawn from, in database 0.
const REDIS_COUNTER: &str = "touchstone:tests:database";

/// Storage of one test, and the settings that lead Touchstone to it.
pub struct Backend {
    /// `DATABASE_URL`.
    pub database_url: String,
    /// `AMQP_URL`; `None` when embedded.
    pub amqp_url: Option<String>,
    /// `REDIS_URL`; `None` when embedded.
    pub redis_url: Option<String>,
    /// `TOUCHSTONE_MASTER_KEY`; `None` when embedded, which makes its own.
    pub master_key: Option<String>,
    /// The broker's management API, with credentials; `None` when embedded. No setting of Touchstone's.
    pub amqp_admin_url: Option<String>,
    folder: TemporaryFolder,
    lease: Option<Lease>,
}

/// What a production backend holds on servers that others use too.
#[derive(Clone)]
struct Lease {
    servers: Addresses,
    name: String,
    redis_url: String,
}

impl Backend {
    /// A folder with a SQLite file to be.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn embedded() -> anyhow::Result<Self> {
        let folder = TemporaryFolder::new("data")?;
        let database_url = format!("sqlite://{}?mode=rwc", folder.path().join("touchstone.sqlite").display());
        Ok(Self {
            database_url,
            amqp_url: None,
            redis_url: None,
            master_key: None,
            amqp_admin_url: None,
            folder,
            lease: None,
        })
    }

    /// A fresh database, virtual host and Redis number on the servers of `with-servers`, or on servers that this
    /// process starts once for itself.
    ///
    /// # Errors
    /// When a server cannot be started or reached.
    pub async fn production() -> anyhow::Result<Self> {
        Self::on(shared_addresses().await?).await
    }

    /// The same on servers of the caller's, who may stop and restart them.
    ///
    /// # Errors
    /// When a server cannot be reached.
    pub async fn on(servers: &Addresses) -> anyhow::Result<Self> {
        let name = format!("test_{:016x}", random_number());
        let lease = Lease { servers: servers.clone(), redis_url: draw_redis_database(&servers.redis_url).await?, name };
        lease.create().await?;
        let mut database_url = Url::parse(&servers.database_url).context("the database address is no URL")?;
        database_url.set_path(&lease.name);
        Ok(Self {
            database_url: database_url.into(),
            amqp_url: Some(format!("{}/{}", servers.amqp_url, lease.name)),
            redis_url: Some(lease.redis_url.clone()),
            master_key: Some(BASE64_STANDARD.encode(touchstone_platform::random::bytes::<32>())),
            amqp_admin_url: Some(servers.amqp_admin_url.clone()),
            folder: TemporaryFolder::new("data")?,
            lease: Some(lease),
        })
    }

    /// `TOUCHSTONE_DATA_DIR`, an existing folder.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        self.folder.path()
    }

    /// The database itself, to be looked into.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn open_database(&self) -> anyhow::Result<Tables> {
        let mut options = ConnectOptions::new(&self.database_url);
        options.max_connections(1).sqlx_logging(false);
        Ok(Tables(Box::pin(Database::connect(options)).await?))
    }

    /// The settings as environment variables.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let data_dir = PathBuf::from(self.data_dir()).display().to_string();
        let mut settings = vec![("TOUCHSTONE_DATA_DIR", data_dir)];
        // Embedded mode is what runs when no service is named.
        settings.extend(self.amqp_url.is_some().then(|| ("DATABASE_URL", self.database_url.clone())));
        let optional =
            [("AMQP_URL", &self.amqp_url), ("REDIS_URL", &self.redis_url), ("TOUCHSTONE_MASTER_KEY", &self.master_key)];
        settings.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
        settings
    }
}

/// The tables of a backend.
pub struct Tables(DatabaseConnection);

impl Tables {
    /// Makes the database refuse every row that is to be put in a table.
    ///
    /// # Errors
    /// When there is no such table.
    pub async fn refuse(&self, table: &str) -> anyhow::Result<()> {
        let text = match self.0.get_database_backend() {
            DbBackend::Sqlite => {
                format!("CREATE TRIGGER refuse BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'refused'); END")
            }
            _ => format!("ALTER TABLE {table} ADD CONSTRAINT refuse CHECK (FALSE) NOT VALID"),
        };
        self.0.execute_unprepared(&text).await?;
        Ok(())
    }

    /// Has it take them again.
    ///
    /// # Errors
    /// When it did not refuse them.
    pub async fn accept(&self, table: &str) -> anyhow::Result<()> {
        let text = match self.0.get_database_backend() {
            DbBackend::Sqlite => "DROP TRIGGER refuse".to_owned(),
            _ => format!("ALTER TABLE {table} DROP CONSTRAINT refuse"),
        };
        self.0.execute_unprepared(&text).await?;
        Ok(())
    }

    /// Runs a statement.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn run(&self, statement: &str) -> anyhow::Result<()> {
        self.0.execute_unprepared(statement).await.with_context(|| statement.to_owned())?;
        Ok(())
    }

    /// How many rows a table has, or what else comes behind `FROM`.
    ///
    /// # Errors
    /// When there is no such table.
    pub async fn count(&self, of: &str) -> anyhow::Result<u64> {
        let text = format!("SELECT COUNT(*) AS counted FROM {of}");
        let row = self.0.query_one_raw(Statement::from_string(self.0.get_database_backend(), text)).await?;
        let counted: i64 = row.context("a count has a row")?.try_get("", "counted")?;
        Ok(u64::try_from(counted)?)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        // A thread of its own, because a test's runtime cannot be waited for from inside itself.
        let clearing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async { tokio::time::timeout(CLEAR_WITHIN, lease.remove()).await? })
        });
        // Servers that the test has stopped need no clearing.
        let _: Result<anyhow::Result<()>, _> = clearing.join();
    }
}

impl Lease {
    async fn create(&self) -> anyhow::Result<()> {
        self.sql(&format!("CREATE DATABASE {} TEMPLATE template0", self.name)).await?;
        let admin = Admin::new(&self.servers.amqp_admin_url)?;
        admin.put(&self.vhost(), &json!({})).await?;
        let user = Url::parse(&self.servers.amqp_url)?.username().to_owned();
        let rights = json!({"configure": ".*", "write": ".*", "read": ".*"});
        admin.put(&format!("/api/permissions/{}/{user}", self.name), &rights).await?;
        Ok(())
    }

    async fn remove(&self) -> anyhow::Result<()> {
        let vhost = Admin::new(&self.servers.amqp_admin_url)?.delete(&self.vhost()).await;
        let database = self.sql(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)).await;
        flush(&self.redis_url).await?;
        database?;
        vhost?;
        Ok(())
    }

    fn vhost(&self) -> String {
        format!("/api/vhosts/{}", self.name)
    }

    async fn sql(&self, statement: &str) -> anyhow::Result<()> {
        let mut options = ConnectOptions::new(&self.servers.database_url);
        options.max_connections(1).connect_timeout(Duration::from_secs(10)).sqlx_logging(false);
        let connection = Box::pin(Database::connect(options)).await.context("cannot reach PostgreSQL")?;
        connection.execute_unprepared(statement).await.with_context(|| statement.to_owned())?;
        connection.close().await?;
        Ok(())
    }
}

async fn shared_addresses() -> anyhow::Result<&'static Addresses> {
    /// Never dropped: its guardians stop the servers when this process ends.
    static SERVERS: OnceCell<Servers> = OnceCell::const_new();
    static ADDRESSES: OnceCell<Addresses> = OnceCell::const_new();
    ADDRESSES
        .get_or_try_init(|| async {
            match Addresses::from_environment()? {
                Some(addresses) => Ok(addresses),
                None => Ok(SERVERS.get_or_try_init(Servers::start).await?.addresses()),
            }
        })
        .await
}

async fn draw_redis_database(url: &str) -> anyhow::Result<String> {
    let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let drawn: u32 = redis::cmd("INCR").arg(REDIS_COUNTER).query_async(&mut connection).await?;
    let url = format!("{url}/{}", 1 + drawn % (DATABASES - 1));
    flush(&url).await?;
    Ok(url)
}

async fn flush(url: &str) -> anyhow::Result<()> {
    let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    redis::cmd("FLUSHDB").query_async::<()>(&mut connection).await.context("cannot clear a Redis database")
}
