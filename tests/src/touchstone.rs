//! The real binary: its commands, and its roles as child processes that a test can stop, kill and start again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

use anyhow::{Context, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    Backend, HttpClient,
    process::{Port, Process, TemporaryFolder},
};

/// How long a role may take to be ready, migration included, on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How long a role may drain after SIGTERM.
const DRAIN_WITHIN: Duration = Duration::from_secs(45);

/// How long a command may run.
const COMMAND_WITHIN: Duration = Duration::from_secs(120);

/// Deliveries to this machine are allowed, because the receivers of tests are here.
const EGRESS_ALLOW: (&str, &str) = ("TOUCHSTONE_EGRESS_ALLOW", "127.0.0.0/8");

/// Settings which must not leak from the environment of the tests into the program.
const SETTINGS: [&str; 24] = [
    "AMQP_URL",
    "AMQP_URL_FILE",
    "DATABASE_URL",
    "DATABASE_URL_FILE",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_HEADERS_FILE",
    "OTEL_SERVICE_NAME",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "REDIS_URL",
    "REDIS_URL_FILE",
    "TOUCHSTONE_CA_FILE",
    "TOUCHSTONE_CENTRA_TIMEOUT",
    "TOUCHSTONE_DATA_DIR",
    "TOUCHSTONE_DATA_VOLUME",
    "TOUCHSTONE_EGRESS_ALLOW",
    "TOUCHSTONE_LISTEN",
    "TOUCHSTONE_LOG",
    "TOUCHSTONE_MASTER_KEY",
    "TOUCHSTONE_MASTER_KEY_FILE",
    "TOUCHSTONE_PUBLIC_URL",
    "TOUCHSTONE_STORE",
    "TOUCHSTONE_UPLOAD_DAY_BYTES",
];

/// Deliveries to this machine are allowed, because the receivers of tests are here.
const LOCAL_EGRESS: [&str; 2] = ["TOUCHSTONE_EGRESS_ALLOW", "127.0.0.0/8"];

/// One process of a role. It is killed when dropped.
#[derive(Debug)]
pub struct Touchstone {
    role: String,
    settings: Vec<(String, String)>,
    listen: Port,
    probe: Port,
    folder: TemporaryFolder,
    process: Option<Process>,
}

impl Touchstone {
    /// Prepares a process of a role: `all`, `ingest`, `scorer` or `notifier`, on ports of its own that it keeps.
    ///
    /// # Errors
    /// When no port or folder can be had.
    pub fn new(role: &str, backend: &Backend) -> anyhow::Result<Self> {
        let (listen, probe) = (Port::reserve()?, Port::reserve()?);
        let mut settings = owned(&backend.environment());
        settings.push(("TOUCHSTONE_LISTEN".to_owned(), format!("127.0.0.1:{}", listen.number())));
        settings.extend(owned(&[(EGRESS_ALLOW.0, EGRESS_ALLOW.1.to_owned())]));
        let folder = TemporaryFolder::new(role)?;
        Ok(Self { role: role.to_owned(), settings, listen, probe, folder, process: None })
    }

    /// Sets or replaces a setting of the next start.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it and waits until it says that it is ready.
    ///
    /// # Errors
    /// When it ends early or is not ready in time; the message has the tail of its log.
    pub async fn start(mut self) -> anyhow::Result<Self> {
        self.restart().await?;
        Ok(self)
    }

    /// Starts it again with the same settings and ports, killing it before if it runs, and waits until it is ready.
    ///
    /// # Errors
    /// As [`Touchstone::start`].
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.launch()?;
        self.wait_until_ready().await
    }

    /// Starts it again without waiting, killing it before if it runs.
    ///
    /// # Errors
    /// When the binary is missing.
    pub fn launch(&mut self) -> anyhow::Result<()> {
        self.kill();
        let mut command = command(self.folder.path(), &self.settings)?;
        command.args(["serve", &self.role, "--probe-listen", &format!("127.0.0.1:{}", self.probe.number())]);
        let name = format!("touchstone serve {}", self.role);
        self.process = Some(Process::spawn(&name, &mut command, &self.log_file())?);
        Ok(())
    }

    /// Waits until `/readyz` of the probe door says 200.
    ///
    /// # Errors
    /// When it does not run, ends early or is not ready in time; the message has the tail of its log.
    pub async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let url = format!("{}/readyz", self.probe_url());
        let http = HttpClient::new();
        let ready = async || http.get(&url).await.is_ok_and(|answer| answer.status.is_success());
        self.running()?.wait_until_ready(READY_WITHIN, ready).await
    }

    /// The public door, such as `http://127.0.0.1:20000`. Roles without one leave it closed.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.listen.number())
    }

    /// The probe door: `/healthz`, `/readyz`, `/metrics`.
    #[must_use]
    pub fn probe_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.probe.number())
    }

    /// The operating system's number of the process, when it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Everything that it has logged, over all its starts.
    ///
    /// # Errors
    /// When it never ran.
    pub fn log(&self) -> anyhow::Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(self.log_file())?).into_owned())
    }

    /// Sends SIGTERM and waits for it to have drained.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        self.running()?.signal(Signal::SIGTERM)?;
        let status = self.running()?.wait_until_ended(DRAIN_WITHIN).await?;
        self.process = None;
        Ok(status)
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }

    fn running(&mut self) -> anyhow::Result<&mut Process> {
        self.process.as_mut().with_context(|| format!("{} does not run", self.role))
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

/// How a command ended and what it printed.
#[derive(Debug)]
pub struct Printed {
    /// 0, 1 (failed) or 2 (usage); `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs a command of the binary against a backend.
///
/// # Errors
/// When the binary is missing or the command does not end within 120 s.
pub async fn touchstone(backend: &Backend, arguments: &[&str]) -> anyhow::Result<Printed> {
    touchstone_with(backend, &[], arguments).await
}

/// Runs a command of the binary against a backend, with more in its environment.
///
/// # Errors
/// As [`touchstone`].
pub async fn touchstone_with(
    backend: &Backend,
    environment: &[(&str, String)],
    arguments: &[&str],
) -> anyhow::Result<Printed> {
    let folder = TemporaryFolder::new("command")?;
    let mut settings = owned(&backend.environment());
    settings.push(LOCAL_EGRESS.map(str::to_owned).into());
    let mut command = tokio::process::Command::from(command(folder.path(), &settings)?);
    command.env(EGRESS_ALLOW.0, EGRESS_ALLOW.1).envs(owned(environment));
    command.args(arguments).stdin(std::process::Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(COMMAND_WITHIN, command.output()).await;
    let output = output.with_context(|| format!("touchstone {}: still running", arguments.join(" ")))??;
    Ok(Printed {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Starts a command and leaves it running: it is killed with SIGKILL when dropped.
///
/// # Errors
/// When the binary is missing.
pub fn touchstone_running(backend: &Backend, folder: &Path, arguments: &[&str]) -> anyhow::Result<Process> {
    let mut command = command(folder, &owned(&backend.environment()))?;
    command.args(arguments);
    Process::spawn(&format!("touchstone {}", arguments.join(" ")), &mut command, &folder.join("log"))
}

/// Runs a command with `--json` and gives the document that it printed.
///
/// # Errors
/// When it fails or prints anything but one JSON document.
pub async fn touchstone_json(backend: &Backend, arguments: &[&str]) -> anyhow::Result<Value> {
    let with_json: Vec<_> = arguments.iter().copied().chain(["--json"]).collect();
    let printed = touchstone(backend, &with_json).await?;
    let what = format!("touchstone {}", with_json.join(" "));
    ensure!(printed.code == Some(0), "{what}: exit {:?}\n{}{}", printed.code, printed.stdout, printed.stderr);
    serde_json::from_str(&printed.stdout).with_context(|| format!("{what} printed no JSON:\n{}", printed.stdout))
}

/// The binary, in a folder without a `touchstone.toml`, with these settings and no others.
fn command(folder: &Path, settings: &[(String, String)]) -> anyhow::Result<Command> {
    let mut command = Command::new(binary()?);
    for name in SETTINGS {
        command.env_remove(name);
    }
    command.current_dir(folder).envs(settings.iter().cloned());
    Ok(command)
}

/// The binary beside the test's own executable: `target/<profile>/deps/it-…` → `target/<profile>/touchstone`.
fn binary() -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let found = test.ancestors().skip(1).take(2).map(|folder| folder.join("touchstone")).find(|file| file.is_file());
    found.with_context(|| format!("no touchstone binary near {}: run `cargo build` first", test.display()))
}

fn owned(settings: &[(&str, String)]) -> Vec<(String, String)> {
    settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}
