//! Runs a command beside private RabbitMQ, PostgreSQL and Redis: `with-servers -- cargo nextest run`.
//!
//! The command finds them in `TEST_AMQP_URL`, `TEST_AMQP_ADMIN_URL`, `TEST_DATABASE_URL` and `TEST_REDIS_URL`. Its exit
//! code is passed on. All are stopped when it ends, on SIGINT and SIGTERM, and when this program is killed.

use std::{os::unix::process::ExitStatusExt, process::ExitCode};

use anyhow::Context;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::Command,
    signal::unix::{SignalKind, signal},
};
use touchstone_tests::servers::Servers;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let mut words = std::env::args_os().skip(1).skip_while(|word| word == "--");
    let program = words.next().context("usage: with-servers -- COMMAND [ARGUMENT...]")?;

    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let servers = tokio::select! {
        servers = Servers::start() => servers?,
        _ = interrupted.recv() => return Ok(ExitCode::from(130)),
        _ = terminated.recv() => return Ok(ExitCode::from(143)),
    };

    let mut command = Command::new(&program);
    command.args(words).envs(servers.addresses().to_environment());
    let mut child = command.spawn().with_context(|| format!("cannot run {}", program.display()))?;
    let status = loop {
        let received = tokio::select! {
            status = child.wait() => break status?,
            _ = interrupted.recv() => Signal::SIGINT,
            _ = terminated.recv() => Signal::SIGTERM,
        };
        if let Some(id) = child.id() {
            // An error means that it has just ended, which the next round sees.
            let _ = kill(Pid::from_raw(id.cast_signed()), received);
        }
    };
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}
