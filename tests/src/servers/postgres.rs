//! A private PostgreSQL with real fsync.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, ensure};
use nix::{sys::signal::Signal, unistd::Uid};
use sea_orm::{ConnectOptions, Database};

use super::{START_WITHIN, STOP_WITHIN};
use crate::{
    Authority, ServerFiles, eventually,
    process::{Port, Process, TemporaryFolder, log_tail},
};

/// The superuser of the private server; connections from this machine need no password.
const USER: &str = "touchstone";

/// The account under which a server runs when the tests run as root, which PostgreSQL refuses.
const ACCOUNT: &str = "postgres";

/// A PostgreSQL server on a free port of 127.0.0.1 with a folder of its own.
#[derive(Debug)]
pub struct Postgres {
    process: Option<Process>,
    port: Port,
    folder: TemporaryFolder,
    programs: PathBuf,
    tls: Option<ServerFiles>,
}

impl Postgres {
    /// Makes a fresh cluster, starts it and waits until it accepts connections.
    ///
    /// # Errors
    /// When it does not start; the message has the tail of its log.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_as(None).await
    }

    /// The same, of a server that also speaks TLS.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub async fn start_with_tls(authority: &Authority) -> anyhow::Result<Self> {
        Self::start_as(Some(authority)).await
    }

    async fn start_as(authority: Option<&Authority>) -> anyhow::Result<Self> {
        let folder = TemporaryFolder::new("postgres")?;
        let tls = authority.map(|authority| authority.server_files(folder.path())).transpose()?;
        let mut postgres = Self { process: None, port: Port::reserve()?, folder, programs: programs()?, tls };
        postgres.make_cluster().await?;
        postgres.restart().await?;
        Ok(postgres)
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The address of one database, as superuser. `postgres` always exists.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port())
    }

    /// Starts it on the same port and data, stopping it before if it runs.
    ///
    /// # Errors
    /// When it does not start; the message has the tail of its log.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.stop().await?;
        // The sessions of a killed server hold its memory for a moment, and a new one refuses to start beside them.
        let mut outcome = Ok(());
        let _ = eventually(START_WITHIN, "PostgreSQL to start", async || {
            outcome = self.start_once().await;
            outcome.is_ok().then_some(())
        })
        .await;
        outcome
    }

    /// Stops it in order, ending open sessions; its data stays.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::SIGINT)?;
            process.wait_until_ended(STOP_WITHIN).await?;
        }
        Ok(())
    }

    /// Kills it with SIGKILL; its data stays, to be recovered from the log of the next start.
    pub fn kill(&mut self) {
        self.process = None;
    }

    async fn start_once(&mut self) -> anyhow::Result<()> {
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.data());
        for setting in [
            format!("port={}", self.port()),
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
            "max_connections=300".to_owned(),
            // As in compose.yaml.
            "shared_buffers=256MB".to_owned(),
            "max_wal_size=4GB".to_owned(),
            "fsync=on".to_owned(),
            "synchronous_commit=on".to_owned(),
        ] {
            command.arg("-c").arg(setting);
        }
        if let Some(tls) = &self.tls {
            for (setting, file) in [("ssl_cert_file", &tls.certificate), ("ssl_key_file", &tls.key)] {
                command.arg("-c").arg(format!("{setting}={}", file.display()));
            }
            command.args(["-c", "ssl=on"]);
        }
        let mut process = Process::spawn("postgres", &mut command, &self.folder.path().join("log"))?;
        let url = self.url("postgres");
        process.wait_until_ready(START_WITHIN, async || accepts(&url).await).await?;
        self.process = Some(process);
        Ok(())
    }

    async fn make_cluster(&self) -> anyhow::Result<()> {
        let data = self.data();
        fs::create_dir(&data)?;
        if Uid::effective().is_root() {
            let key = self.tls.as_ref().map(|tls| &tls.key);
            let status = Command::new("chown").arg(ACCOUNT).arg(&data).args(key).status()?;
            ensure!(status.success(), "cannot hand {} to the account {ACCOUNT}", data.display());
        }
        let mut command = self.program("initdb");
        command.args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--username", USER, "-D"]);
        command.arg(&data);
        let log = self.folder.path().join("initdb-log");
        let status = Process::spawn("initdb", &mut command, &log)?.wait_until_ended(START_WITHIN).await?;
        ensure!(status.success(), "initdb failed:\n{}", log_tail(&log));
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A program of the installation, under an account that PostgreSQL accepts.
    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        let mut command = if Uid::effective().is_root() {
            let mut command = Command::new("setpriv");
            command
                .arg(format!("--reuid={ACCOUNT}"))
                .arg(format!("--regid={ACCOUNT}"))
                .arg("--init-groups")
                .arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir("/");
        command
    }
}

/// The folder of the newest installation: Debian keeps it off the search path.
fn programs() -> anyhow::Result<PathBuf> {
    let debian =
        fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let newest = debian.filter(|folder| folder.join("initdb").exists()).max_by_key(|folder| version(folder));
    let path = std::env::var_os("PATH").unwrap_or_default();
    newest
        .or_else(|| std::env::split_paths(&path).find(|folder| folder.join("initdb").exists()))
        .context("PostgreSQL is not installed: no initdb in /usr/lib/postgresql/*/bin nor on the PATH")
}

fn version(programs: &Path) -> Option<u32> {
    programs.parent()?.file_name()?.to_str()?.parse().ok()
}

async fn accepts(url: &str) -> bool {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).connect_timeout(Duration::from_secs(1)).sqlx_logging(false);
    match Box::pin(Database::connect(options)).await {
        Ok(connection) => connection.close().await.is_ok(),
        Err(_) => false,
    }
}
