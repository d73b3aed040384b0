//! The kernel's scheduling of single threads, by their ids.

use super::{has, most};
use crate::process::os_error::plain;
use rustix::io::{self, Errno};
use rustix::process::{Pid, Resource};
use rustix::thread::{CapabilitySet, CpuSet, sched_getaffinity, sched_setaffinity};
use signal_hook::consts::SIGXCPU;
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;
use thiserror::Error;

/// How the kernel schedules a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// First in, first out, at this priority.
    Fifo(u32),
    /// The same; threads of equal priority take turns.
    RoundRobin(u32),
    /// SCHED_DEADLINE: before every priority, within a budget.
    Deadline,
    /// No real-time policy: it shares time with all other threads.
    Shared,
}

impl Policy {
    /// Whether it is a real-time policy.
    pub(crate) fn is_real_time(self) -> bool {
        self != Policy::Shared
    }

    /// The policy with the kernel's numbers.
    pub(crate) fn of(policy: i32, priority: u32) -> Self {
        match policy & !libc::SCHED_RESET_ON_FORK {
            libc::SCHED_FIFO => Policy::Fifo(priority),
            libc::SCHED_RR => Policy::RoundRobin(priority),
            libc::SCHED_DEADLINE => Policy::Deadline,
            _ => Policy::Shared,
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Policy::Fifo(priority) => write!(f, "SCHED_FIFO {priority}"),
            Policy::RoundRobin(priority) => write!(f, "SCHED_RR {priority}"),
            Policy::Deadline => f.write_str("SCHED_DEADLINE"),
            Policy::Shared => f.write_str("none"),
        }
    }
}

/// How long a thread of this process has run, time in the run queue excluded; `None` where the kernel does not say.
pub(crate) fn run_time(thread: Pid) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?;
    Some(Duration::from_nanos(stat.split(' ').next()?.parse().ok()?))
}

/// How a thread of this process is scheduled.
///
/// # Errors
/// The thread has ended.
pub(crate) fn policy(thread: Pid) -> io::Result<Policy> {
    let thread = thread.as_raw_pid();
    let mut param = libc::sched_param { sched_priority: 0 };
    // SAFETY: both calls only read, by thread number; the pointer is to a live value of the expected type.
    let policy = unsafe {
        libc::sched_getparam(thread, &raw mut param);
        libc::sched_getscheduler(thread)
    };
    if policy < 0 { Err(last_error()) } else { Ok(Policy::of(policy, param.sched_priority.unsigned_abs())) }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::PERM)
}

fn set(thread: i32, policy: i32, priority: u32) -> io::Result<()> {
    let param = libc::sched_param { sched_priority: priority.cast_signed() };
    // SAFETY: the kernel checks all arguments, and a number without a thread is an error; the pointer is to a live
    // value.
    let refused = unsafe { libc::sched_setscheduler(thread, policy, &raw const param) };
    if refused == 0 { Ok(()) } else { Err(last_error()) }
}

/// Why a thread has no real time by the process's own rights.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum TakeError {
    /// The system refuses, whatever the rights.
    #[error("{}", plain(&(*.0).into()))]
    System(Errno),
    /// The process may have none.
    #[error("RLIMIT_RTPRIO is 0")]
    Limit,
    /// RLIMIT_RTPRIO allows it, and the control group does not.
    #[error(
        "{} although RLIMIT_RTPRIO allows it: the control group {group} has no real-time budget",
        plain(&(*refused).into())
    )]
    Budget {
        /// What the system says.
        refused: Errno,
        /// The control group.
        group: String,
    },
    /// RLIMIT_RTPRIO allows it, and something else does not.
    #[error(
        "{} although RLIMIT_RTPRIO allows it: RestrictRealtime= of the unit, or a kernel with RT_GROUP_SCHED, forbids it",
        plain(&(*.0).into())
    )]
    Forbidden(Errno),
}

/// Gives a thread SCHED_FIFO at `priority`, or what the limit lets, by the process's own rights. What the thread starts
/// itself does not inherit it.
///
/// # Errors
/// Why the kernel refused.
pub(crate) fn set_fifo(thread: Pid, priority: u32) -> Result<(), TakeError> {
    let fifo = |priority| set(thread.as_raw_pid(), libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, priority);
    let limit = most(Resource::Rtprio);
    let mut refused = match fifo(priority) {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    if refused != Errno::PERM {
        return Err(TakeError::System(refused));
    }
    let within = limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(priority).min(priority);
    if within > 0 {
        match fifo(within) {
            Ok(()) => return Ok(()),
            Err(error) => refused = error,
        }
    } else if !has(CapabilitySet::SYS_NICE) {
        return Err(TakeError::Limit);
    }
    Err(match group_without_budget(Path::new("/")) {
        Some(group) => TakeError::Budget { refused, group },
        None => TakeError::Forbidden(refused),
    })
}

/// The control group of this process, if a kernel with RT_GROUP_SCHED gives it no real-time budget: then the limits do
/// not matter. `root` is the machine's root folder.
pub(crate) fn group_without_budget(root: &Path) -> Option<String> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    // Only the first version of control groups shows a budget: "4:cpu,cpuacct:/group".
    let mut lines = groups.lines().map(|line| line.splitn(3, ':').skip(1));
    lines.find_map(|mut line| {
        let (controllers, group) = (line.next()?, line.next()?);
        controllers.split(',').find(|controller| *controller == "cpu")?;
        let file = format!("sys/fs/cgroup/{controllers}{group}/cpu.rt_runtime_us");
        let budget = fs::read_to_string(root.join(file)).ok()?;
        (budget.trim() == "0").then(|| group.to_owned())
    })
}

/// Restricts a thread to these processors. Returns those of them that it may use.
///
/// # Errors
/// None of them exists.
pub(crate) fn pin(thread: Pid, cpus: &[usize]) -> io::Result<Vec<usize>> {
    let mut wanted = CpuSet::new();
    cpus.iter().filter(|cpu| **cpu < CpuSet::MAX_CPU).for_each(|cpu| wanted.set(*cpu));
    sched_setaffinity(Some(thread), &wanted)?;
    let got = sched_getaffinity(Some(thread))?;
    Ok((0..CpuSet::MAX_CPU).filter(|cpu| got.is_set(*cpu)).collect())
}

// A thread that runs too long at once -------------------------------------------------------------------------

/// The threads that lose their real-time priority when one of them runs longer at once than RLIMIT_RTTIME allows.
static WATCHED: [AtomicI32; 16] = [const { AtomicI32::new(0) }; 16];
static HAS_OVERRUN: AtomicBool = AtomicBool::new(false);

/// From now on SIGXCPU takes the thread's real-time priority away. Without this it would end the process.
pub(crate) fn demote_on_overrun(thread: Pid) {
    static REGISTER: Once = Once::new();
    for place in &WATCHED {
        if place.compare_exchange(0, thread.as_raw_pid(), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            break;
        }
    }
    REGISTER.call_once(|| {
        // SAFETY: `demote_all` uses atomics and system calls only, which is allowed in a signal handler.
        if let Err(error) = unsafe { signal_hook::low_level::register(SIGXCPU, demote_all) } {
            tracing::warn!(
                "cannot catch SIGXCPU: {}; a block that exceeds RLIMIT_RTTIME ends the process",
                plain(&error)
            );
        }
    });
}

/// The thread has ended.
pub(crate) fn forget(thread: Pid) {
    for place in &WATCHED {
        place.compare_exchange(thread.as_raw_pid(), 0, Ordering::Relaxed, Ordering::Relaxed).ok();
    }
}

/// The signal handler; the kernel runs it on the thread that has run too long, most likely.
fn demote_all() {
    HAS_OVERRUN.store(true, Ordering::Relaxed);
    for place in &WATCHED {
        let thread = place.load(Ordering::Relaxed);
        if thread != 0 {
            set(thread, libc::SCHED_OTHER, 0).ok();
        }
    }
}

/// Whether threads have lost their priority that way since the last call.
pub(crate) fn take_overrun() -> bool {
    HAS_OVERRUN.swap(false, Ordering::Relaxed)
}
