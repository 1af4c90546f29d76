//! Child processes and folders that never outlive the test that made them.
//!
//! Guarantee: a child and its process group die when its owner is dropped, and also when the owner is killed with
//! SIGKILL: a guardian shell holds the reading end of a pipe and acts as soon as the writing end is gone.
//! Failure: a child that ends early is reported with the tail of its log.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use crate::eventually;

/// How much of a log an error shows, in bytes.
const LOG_TAIL_BYTES: u64 = 4_000;

/// Ports handed out: below the range from which Linux takes the client ends of connections, so that a server which is
/// restarted under load finds its port free.
const PORTS: std::ops::Range<u16> = 10_000..31_000;

/// A port on 127.0.0.1 that no other process of these tests is given while this value lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// Locked; the operating system unlocks it when this process ends, however that happens.
    _lock: File,
}

impl Port {
    /// Finds one on which nothing listens.
    ///
    /// # Errors
    /// When none was found in many attempts.
    pub fn reserve() -> anyhow::Result<Self> {
        let locks = std::env::temp_dir().join("touchstone-ports");
        fs::create_dir_all(&locks)?;
        for _ in 0..1_000 {
            let offset = random_number() % u64::from(PORTS.end - PORTS.start);
            let number = PORTS.start + u16::try_from(offset)?;
            let lock = append(&locks.join(number.to_string()))?;
            if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", number)).is_ok() {
                return Ok(Self { number, _lock: lock });
            }
        }
        bail!("no free port in {PORTS:?}")
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }
}

/// A number for names that must not meet another test's.
pub(crate) fn random_number() -> u64 {
    u64::from_le_bytes(touchstone_platform::random::bytes())
}

/// A temporary folder that is removed with its owner, however that ends.
#[derive(Debug)]
pub struct TemporaryFolder {
    path: PathBuf,
    guardian: Guardian,
}

impl TemporaryFolder {
    /// Makes a new empty folder whose name says what it is for.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(purpose: &str) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("touchstone-{purpose}-{:016x}", random_number()));
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let guardian = Guardian::over_folder(&path)?;
        Ok(Self { path, guardian })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        self.guardian.dismiss();
        // A server that was killed a moment ago may still add a file while the folder is emptied.
        for _ in 0..20 {
            match fs::remove_dir_all(&self.path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                _ => break,
            }
        }
    }
}

/// A child process with a process group of its own and its output in a log file.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    guardian: Guardian,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; its output is appended to `log`.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn(name: &str, command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let output = append(log)?;
        let mut child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {name} ({})", command.get_program().display()))?;
        match Guardian::over_group(child.id()) {
            Ok(guardian) => Ok(Self { name: name.to_owned(), child, guardian, log: log.to_owned() }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    /// The operating system's number of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the operating system cannot tell.
    pub fn exit_status(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Sends a signal to the whole process group.
    ///
    /// # Errors
    /// When the group is gone.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        killpg(group(self.child.id()), signal).with_context(|| format!("cannot send {signal} to {}", self.name))
    }

    /// Asks `ready` until it says yes.
    ///
    /// # Errors
    /// When the process ends first or `within` passes; the message has the tail of the log.
    pub async fn wait_until_ready(
        &mut self,
        within: Duration,
        mut ready: impl AsyncFnMut() -> bool,
    ) -> anyhow::Result<()> {
        let what = format!("{} to be ready", self.name);
        let child = &mut self.child;
        let outcome = eventually(within, &what, async || match child.try_wait() {
            Ok(Some(status)) => Some(Err(status)),
            _ => ready().await.then_some(Ok(())),
        })
        .await;
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(status)) => bail!("{} ended early ({status}); its log ends:\n{}", self.name, log_tail(&self.log)),
            Err(error) => Err(error.context(format!("its log ends:\n{}", log_tail(&self.log)))),
        }
    }

    /// Waits for the process to end by itself.
    ///
    /// # Errors
    /// When `within` passes first; the message has the tail of the log.
    pub async fn wait_until_ended(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        let what = format!("{} to end", self.name);
        let child = &mut self.child;
        let ended = eventually(within, &what, async || child.try_wait().ok().flatten()).await;
        ended.with_context(|| format!("its log ends:\n{}", log_tail(&self.log)))
    }

    /// Kills the process group with SIGKILL and waits for its leader to be gone.
    pub fn kill(&mut self) {
        self.guardian.dismiss();
        // An error means that it has ended already.
        let _ = killpg(group(self.child.id()), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The last part of a log, or why it cannot be read.
pub(crate) fn log_tail(path: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_else(|error| format!("(cannot read {}: {error})", path.display()))
}

/// A shell that waits until its owner is gone, then clears up behind it.
#[derive(Debug)]
struct Guardian {
    shell: Child,
}

impl Guardian {
    fn over_group(id: u32) -> anyhow::Result<Self> {
        Self::spawn(r#"read -r _; kill -s KILL -- "-$1""#, id.to_string().as_ref())
    }

    fn over_folder(path: &Path) -> anyhow::Result<Self> {
        // Twice, because what the other guardians kill at this moment may still be writing.
        Self::spawn(r#"read -r _; rm -rf -- "$1"; sleep 2; rm -rf -- "$1""#, path.as_os_str())
    }

    fn spawn(script: &str, argument: &std::ffi::OsStr) -> anyhow::Result<Self> {
        let shell = Command::new("sh")
            .args(["-c", script, "guardian"])
            .arg(argument)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start a guardian shell")?;
        Ok(Self { shell })
    }

    fn dismiss(&mut self) {
        // An error means that it was dismissed before.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

fn group(id: u32) -> Pid {
    Pid::from_raw(id.cast_signed())
}

fn append(log: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(log);
    file.with_context(|| format!("cannot write {}", log.display()))
}
