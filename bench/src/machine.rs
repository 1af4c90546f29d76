//! What the processes of the machine cost, read from `/proc`.
//!
//! Failure: a server that runs elsewhere or under an account that cannot be looked into has no column; steal time is
//! always known.

use std::{collections::HashMap, fs, time::Duration};

use anyhow::Context;
use url::Url;

/// One tick of `/proc/PID/stat`: Linux reports in hundredths of a second on every architecture (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// Above this share of stolen CPU time a run tells nothing (floor.md).
pub(crate) const STEAL_LIMIT: f64 = 0.05;

/// The processes whose CPU time is told, by name; each with its descendants.
#[derive(Clone, Default)]
pub(crate) struct Processes(Vec<(&'static str, u32)>);

/// All counters at one moment.
pub(crate) struct Reading {
    cpu: Vec<(&'static str, u64)>,
    machine: Machine,
}

/// What was used between two readings.
pub(crate) struct Usage {
    /// CPU time by process.
    pub(crate) cpu: Vec<(&'static str, Duration)>,
    /// Share of the machine's time that its host took away.
    pub(crate) steal: f64,
    /// Share of the machine's time that other processes used.
    pub(crate) others: f64,
}

#[derive(Clone, Copy)]
struct Machine {
    total: u64,
    idle: u64,
    steal: u64,
}

struct Ticks {
    parent: u32,
    own: u64,
    ended_children: u64,
}

impl Processes {
    /// Adds a process.
    pub(crate) fn with(mut self, name: &'static str, id: Option<u32>) -> Self {
        self.0.extend(id.map(|id| (name, id)));
        self
    }

    /// Adds the process that listens at a URL's port, if it is on this machine and can be looked into.
    pub(crate) fn with_listener(self, name: &'static str, url: &str) -> Self {
        let port = Url::parse(url).ok().and_then(|url| url.port());
        self.with(name, port.and_then(|port| listener(port).ok().flatten()))
    }

    /// Reads all counters.
    ///
    /// # Errors
    /// Without `/proc`.
    pub(crate) fn reading(&self) -> anyhow::Result<Reading> {
        let all = all_ticks()?;
        let bench = std::process::id();
        let own = all.get(&bench).map_or(0, |ticks| ticks.own);
        let cpu = self.0.iter().map(|(name, id)| (*name, tree(*id, &all))).chain([("bench", own)]).collect();
        Ok(Reading { cpu, machine: machine()? })
    }
}

impl Reading {
    /// What was used since `before`.
    pub(crate) fn since(&self, before: &Self) -> Usage {
        let spent = self.cpu.iter().zip(&before.cpu).map(|((name, now), (_, then))| (*name, now.saturating_sub(*then)));
        let spent: Vec<_> = spent.collect();
        let total = (self.machine.total - before.machine.total).max(1) as f64;
        let steal = (self.machine.steal - before.machine.steal) as f64;
        let idle = (self.machine.idle - before.machine.idle) as f64;
        let known: u64 = spent.iter().map(|(_, ticks)| ticks).sum();
        let cpu = spent.iter().map(|(name, ticks)| (*name, TICK * u32::try_from(*ticks).unwrap_or(u32::MAX))).collect();
        let others = ((total - steal - idle - known as f64) / total).max(0.0);
        Usage { cpu, steal: steal / total, others }
    }
}

/// The ticks of a process, of its living descendants, and of those that have ended.
fn tree(root: u32, all: &HashMap<u32, Ticks>) -> u64 {
    let own = all.get(&root).map_or(0, |ticks| ticks.own + ticks.ended_children);
    let children = all.iter().filter(|(_, ticks)| ticks.parent == root).map(|(id, _)| tree(*id, all));
    own + children.sum::<u64>()
}

fn all_ticks() -> anyhow::Result<HashMap<u32, Ticks>> {
    let mut all = HashMap::new();
    for entry in fs::read_dir("/proc").context("CPU time is read from /proc, which Linux has")?.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process may end while it is looked at.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        all.extend(ticks(&stat).map(|ticks| (id, ticks)));
    }
    Ok(all)
}

/// Reads `PID (NAME) STATE PPID …`; the name may hold spaces and brackets.
fn ticks(stat: &str) -> Option<Ticks> {
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    // The first field here is the third of proc(5): utime, stime, cutime and cstime are 14 to 17 there.
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Ticks {
        parent: fields.get(1)?.parse().ok()?,
        own: number(11)? + number(12)?,
        ended_children: number(13)? + number(14)?,
    })
}

/// Reads the first line of `/proc/stat`: user nice system idle iowait irq softirq steal.
fn machine() -> anyhow::Result<Machine> {
    let stat = fs::read_to_string("/proc/stat").context("CPU time is read from /proc, which Linux has")?;
    let fields: Vec<u64> = stat.split_ascii_whitespace().skip(1).take(8).filter_map(|word| word.parse().ok()).collect();
    let at = |index: usize| fields.get(index).copied().unwrap_or_default();
    Ok(Machine { total: fields.iter().sum(), idle: at(3) + at(4), steal: at(7) })
}

/// The process that listens at a port of this machine.
fn listener(port: u16) -> anyhow::Result<Option<u32>> {
    let mut sockets = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let Ok(table) = fs::read_to_string(table) else { continue };
        for line in table.lines().skip(1) {
            let fields: Vec<_> = line.split_ascii_whitespace().collect();
            let [_, local, _, "0A", ..] = fields.as_slice() else { continue };
            if local.ends_with(&format!(":{port:04X}")) {
                sockets.extend(fields.get(9).map(|inode| format!("socket:[{inode}]")));
            }
        }
    }
    let owns = |id: &u32| {
        let files = fs::read_dir(format!("/proc/{id}/fd")).into_iter().flatten().flatten();
        files
            .filter_map(|file| fs::read_link(file.path()).ok())
            .any(|link| link.to_str().is_some_and(|link| sockets.iter().any(|socket| socket == link)))
    };
    // The oldest: PostgreSQL's and Redis's children may hold their parent's socket too.
    Ok(all_ticks()?.keys().copied().filter(owns).min())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_read_behind_a_name_with_brackets_and_spaces() {
        let ticks = ticks("7 (a) b (c)) S 3 7 7 0 -1 0 1 2 3 4 10 20 30 40 20 0").unwrap();
        assert_eq!((ticks.parent, ticks.own, ticks.ended_children), (3, 30, 70));
    }

    #[test]
    fn listener_of_a_port_is_this_process() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let found = listener(socket.local_addr().unwrap().port()).unwrap();
        assert_eq!(found, Some(std::process::id()));
    }
}
