//! A private RabbitMQ with its own node name, Erlang cookie and port mapper, and the management API.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use anyhow::Context;
use nix::sys::signal::Signal;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{START_WITHIN, STOP_WITHIN, admin::Admin};
use crate::process::{Port, Process, TemporaryFolder};
use crate::{Authority, ServerFiles};

/// The administrator of the private broker, who can connect from this machine only.
const CREDENTIALS: &str = "touchstone:touchstone";

/// A RabbitMQ broker on free ports of 127.0.0.1 with a folder of its own.
#[derive(Debug)]
pub struct RabbitMq {
    process: Option<Process>,
    /// Erlang's port mapper: started in the foreground, or the broker would leave a daemon behind.
    port_mapper: Process,
    ports: Ports,
    folder: TemporaryFolder,
}

#[derive(Debug)]
struct Ports {
    amqp: Port,
    amqps: Port,
    admin: Port,
    cluster: Port,
    mapper: Port,
}

impl RabbitMq {
    /// Starts a fresh broker and waits until it takes connections and its management API answers.
    ///
    /// # Errors
    /// When it does not start; the message has the tail of its log.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_as(None).await
    }

    /// The same, of a broker that speaks TLS on a port of its own too.
    ///
    /// # Errors
    /// As [`RabbitMq::start`].
    pub async fn start_with_tls(authority: &Authority) -> anyhow::Result<Self> {
        Self::start_as(Some(authority)).await
    }

    async fn start_as(authority: Option<&Authority>) -> anyhow::Result<Self> {
        let folder = TemporaryFolder::new("rabbitmq")?;
        let tls = authority.map(|authority| authority.server_files(folder.path())).transpose()?;
        let ports = Ports {
            amqp: Port::reserve()?,
            amqps: Port::reserve()?,
            admin: Port::reserve()?,
            cluster: Port::reserve()?,
            mapper: Port::reserve()?,
        };
        let mut mapper = Command::new("epmd");
        mapper.args(["-address", "127.0.0.1", "-port", &ports.mapper.number().to_string()]);
        let port_mapper = Process::spawn("epmd", &mut mapper, &folder.path().join("epmd-log"))?;
        let mut broker = Self { process: None, port_mapper, ports, folder };
        broker.write_settings(tls.as_ref())?;
        broker.restart().await?;
        Ok(broker)
    }

    /// The AMQP port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.ports.amqp.number()
    }

    /// The AMQP address without a virtual host.
    #[must_use]
    pub fn url(&self) -> String {
        format!("amqp://{CREDENTIALS}@127.0.0.1:{}", self.port())
    }

    /// The same over TLS, of a broker that was started with it.
    #[must_use]
    pub fn tls_url(&self) -> String {
        format!("amqps://{CREDENTIALS}@127.0.0.1:{}", self.ports.amqps.number())
    }

    /// The address of the management API, with credentials.
    #[must_use]
    pub fn admin_url(&self) -> String {
        format!("http://{CREDENTIALS}@127.0.0.1:{}", self.ports.admin.number())
    }

    /// Starts it on the same ports and data, stopping it before if it runs.
    ///
    /// # Errors
    /// When it does not start; the message has the tail of its log.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.stop().await?;
        let mut process = Process::spawn("rabbitmq-server", &mut self.command()?, &self.folder.path().join("log"))?;
        let admin = Admin::new(&self.admin_url())?;
        let port = self.port();
        let ready = async || greets(port).await && admin.get("/api/overview").await.is_ok();
        process.wait_until_ready(START_WITHIN, ready).await?;
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

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_settings(&self, tls: Option<&ServerFiles>) -> anyhow::Result<()> {
        let (amqp, admin) = (self.port(), self.ports.admin.number());
        let (user, password) = CREDENTIALS.split_once(':').context("credentials are user:password")?;
        let mut settings = format!(
            "listeners.tcp.1 = 127.0.0.1:{amqp}\n\
             management.tcp.ip = 127.0.0.1\n\
             management.tcp.port = {admin}\n\
             disk_free_limit.absolute = 50MB\n\
             default_user = {user}\n\
             default_pass = {password}\n"
        );
        if let Some(tls) = tls {
            settings.push_str(&format!(
                "listeners.ssl.1 = 127.0.0.1:{}\n\
                 ssl_options.cacertfile = {}\n\
                 ssl_options.certfile = {}\n\
                 ssl_options.keyfile = {}\n\
                 ssl_options.verify = verify_none\n\
                 ssl_options.fail_if_no_peer_cert = false\n",
                self.ports.amqps.number(),
                tls.root.display(),
                tls.certificate.display(),
                tls.key.display()
            ));
        }
        fs::write(self.path("rabbitmq.conf"), settings)?;
        fs::write(self.path("enabled_plugins"), "[rabbitmq_management].\n")?;
        fs::write(self.path("env.conf"), "")?;
        Ok(())
    }

    fn command(&self) -> anyhow::Result<Command> {
        let mut command = Command::new(program()?);
        command
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env("ERL_EPMD_PORT", self.ports.mapper.number().to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODENAME", format!("touchstone-{}@localhost", self.port()))
            .env("RABBITMQ_DIST_PORT", self.ports.cluster.number().to_string())
            .env("RABBITMQ_CONF_ENV_FILE", self.path("env.conf"))
            .env("RABBITMQ_CONFIG_FILE", self.path("rabbitmq.conf"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", self.path("advanced.config"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", self.path("enabled_plugins"))
            .env("RABBITMQ_MNESIA_BASE", self.path("mnesia"))
            .env("RABBITMQ_LOG_BASE", self.path("logs"))
            .env("RABBITMQ_LOGS", "-")
            .env("RABBITMQ_PID_FILE", self.path("pid"))
            // Replaces the start script by the broker itself, so that signals reach it.
            .env("RUNNING_UNDER_SYSTEMD", "true")
            .env_remove("NOTIFY_SOCKET")
            .env("RABBITMQ_SERVER_ERL_ARGS", "+P 1048576 +t 5000000 +stbt db +sbwt none +sbwtdcpu none +sbwtdio none")
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}");
        Ok(command)
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        self.kill();
        self.port_mapper.kill();
    }
}

/// The start script itself: Debian's wrapper on the search path changes the account and the folders.
fn program() -> anyhow::Result<PathBuf> {
    let debian = PathBuf::from("/usr/lib/rabbitmq/bin/rabbitmq-server");
    if debian.exists() {
        return Ok(debian);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("rabbitmq-server")).find(|file| file.exists());
    found.context("RabbitMQ is not installed: no rabbitmq-server on the PATH")
}

/// Whether the broker answers the AMQP protocol header with its first frame, `connection.start` on channel 0.
async fn greets(port: u16) -> bool {
    let greeting = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"AMQP\x00\x00\x09\x01").await?;
        let mut frame = [0; 3];
        stream.read_exact(&mut frame).await?;
        std::io::Result::Ok(frame == [1, 0, 0])
    };
    matches!(tokio::time::timeout(Duration::from_secs(2), greeting).await, Ok(Ok(true)))
}
