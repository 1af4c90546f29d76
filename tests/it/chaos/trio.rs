//! The processes of one installation: the three roles of production, or the one process of the embedded mode.

use anyhow::Context;
use touchstone_tests::{Backend, Touchstone};

/// See the module. The first process has the public door.
pub(super) struct Processes(Vec<Touchstone>);

impl Processes {
    /// Starts ingest, scorer and notifier.
    pub(super) async fn production(backend: &Backend) -> anyhow::Result<Self> {
        Self::start(&["ingest", "scorer", "notifier"], backend).await
    }

    /// Starts the one process that does everything.
    pub(super) async fn embedded(backend: &Backend) -> anyhow::Result<Self> {
        Self::start(&["all"], backend).await
    }

    async fn start(roles: &[&str], backend: &Backend) -> anyhow::Result<Self> {
        let mut processes = Self(Vec::new());
        for role in roles {
            let mut process = Touchstone::new(role, backend)?;
            process.launch()?;
            processes.0.push(process);
        }
        processes.wait_until_ready().await?;
        Ok(processes)
    }

    /// Waits until each says that it is ready.
    pub(super) async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        for process in &mut self.0 {
            process.wait_until_ready().await?;
        }
        Ok(())
    }

    /// Where orders are sent to.
    pub(super) fn url(&self) -> String {
        self.0.first().map(Touchstone::url).unwrap_or_default()
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// One of them.
    pub(super) fn get(&mut self, index: usize) -> anyhow::Result<&mut Touchstone> {
        self.0.get_mut(index).context("there is no such process")
    }

    /// What the operating system calls them; a process that died and came back has another number.
    pub(super) fn ids(&self) -> Vec<Option<u32>> {
        self.0.iter().map(Touchstone::id).collect()
    }

    /// Adds the ends of the logs to an error.
    pub(super) fn with_logs<T>(&self, outcome: anyhow::Result<T>) -> anyhow::Result<T> {
        outcome.with_context(|| {
            let logs = self.0.iter().map(|process| {
                let log = process.log().unwrap_or_default();
                log.chars().skip(log.chars().count().saturating_sub(3_000)).collect::<String>()
            });
            logs.collect::<Vec<_>>().join("\n=====\n")
        })
    }
}
