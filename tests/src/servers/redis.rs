//! A private Redis, set as production must be: append-only file on, nothing evicted.

use std::{process::Command, time::Duration};

use nix::sys::signal::Signal;

use super::{START_WITHIN, STOP_WITHIN};
use crate::process::{Port, Process, TemporaryFolder};
use crate::{Authority, ServerFiles};

/// Numbered databases, so that each test has one of its own; the first is the harness's.
pub(crate) const DATABASES: u32 = 4_096;

/// A Redis server on a free port of 127.0.0.1 with a folder of its own.
#[derive(Debug)]
pub struct Redis {
    process: Option<Process>,
    port: Port,
    tls_port: Port,
    tls: Option<ServerFiles>,
    folder: TemporaryFolder,
}

impl Redis {
    /// Starts a fresh server and waits until it answers.
    ///
    /// # Errors
    /// When it does not start; the message has the tail of its log.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_as(None).await
    }

    /// The same, of a server that speaks TLS on a port of its own too.
    ///
    /// # Errors
    /// As [`Redis::start`].
    pub async fn start_with_tls(authority: &Authority) -> anyhow::Result<Self> {
        Self::start_as(Some(authority)).await
    }

    async fn start_as(authority: Option<&Authority>) -> anyhow::Result<Self> {
        let folder = TemporaryFolder::new("redis")?;
        let tls = authority.map(|authority| authority.server_files(folder.path())).transpose()?;
        let mut redis = Self { process: None, port: Port::reserve()?, tls_port: Port::reserve()?, tls, folder };
        redis.restart().await?;
        Ok(redis)
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The address without a database number.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port())
    }

    /// The same over TLS, of a server that was started with it.
    #[must_use]
    pub fn tls_url(&self) -> String {
        format!("rediss://127.0.0.1:{}", self.tls_port.number())
    }

    /// Starts it on the same port and data, stopping it before if it runs.
    ///
    /// # Errors
    /// When it does not start; the message has the tail of its log.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.stop().await?;
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &self.port().to_string(), "--dir"]);
        command.arg(self.folder.path());
        command.args(["--appendonly", "yes", "--maxmemory-policy", "noeviction", "--save", ""]);
        command.args(["--databases", &DATABASES.to_string()]);
        if let Some(tls) = &self.tls {
            command.args(["--tls-port", &self.tls_port.number().to_string(), "--tls-auth-clients", "no"]);
            command.arg("--tls-cert-file").arg(&tls.certificate);
            command.arg("--tls-key-file").arg(&tls.key);
            command.arg("--tls-ca-cert-file").arg(&tls.root);
        }
        let mut process = Process::spawn("redis-server", &mut command, &self.folder.path().join("log"))?;
        let url = self.url();
        process.wait_until_ready(START_WITHIN, async || answers(&url).await).await?;
        self.process = Some(process);
        Ok(())
    }

    /// Stops it in order; its data stays.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::SIGTERM)?;
            process.wait_until_ended(STOP_WITHIN).await?;
        }
        Ok(())
    }

    /// Kills it with SIGKILL; its data stays.
    pub fn kill(&mut self) {
        self.process = None;
    }
}

async fn answers(url: &str) -> bool {
    let ping = async {
        let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
        redis::cmd("PING").query_async::<String>(&mut connection).await
    };
    matches!(tokio::time::timeout(Duration::from_secs(1), ping).await, Ok(Ok(_)))
}
