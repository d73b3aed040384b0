//! rtkit, over D-Bus: a service that gives real-time priority, within limits, to processes that may not set it
//! themselves.

use crate::process::os_error::plain;
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, getpid, getrlimit, setrlimit};
use std::io;
use std::time::Duration;
use thiserror::Error;
use tokio::runtime::Builder;
use tokio::time::timeout;
use zbus::message::Message;
use zbus::{Connection, DynamicType, OwnedVariant, fdo};

const NAME: &str = "org.freedesktop.RealtimeKit1";
const PATH: &str = "/org/freedesktop/RealtimeKit1";
/// Time limit for the bus and rtkit together: rtkit may have to be started, and asks polkit itself.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why rtkit gave no real-time priority.
#[derive(Debug, Error)]
pub(super) enum RtkitError {
    /// No thread or file descriptor could be made for the request.
    #[error("{}", plain(.0))]
    System(#[from] io::Error),
    /// No answer within the time limit.
    #[error("no answer within {} s", TIMEOUT.as_secs())]
    NoAnswer,
    /// There is no system bus, or it refuses.
    #[error("no system bus: {0}")]
    NoBus(zbus::Error),
    /// RLIMIT_RTTIME cannot be set, which rtkit requires.
    #[error("RLIMIT_RTTIME: {}", plain(&(*.0).into()))]
    Limit(Errno),
    /// There is no rtkit.
    #[error("it is not installed")]
    NotInstalled,
    /// The reply does not say which of the two.
    #[error("refused: polkit allows only users with a session, or rtkit's limit of threads is reached")]
    Refused,
    /// Its highest priority cannot be read.
    #[error("{name}: {why}")]
    Property {
        /// The property that was asked for.
        name: String,
        /// What is wrong with its value.
        why: String,
    },
    /// The bus refuses.
    #[error(transparent)]
    Bus(zbus::Error),
}

/// Asks for real time for a thread of this process, at `priority` or what rtkit gives at most. Blocks.
///
/// # Errors
/// Why the request failed.
pub(super) fn request_priority(thread: Pid, priority: u32) -> Result<(), RtkitError> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(async { timeout(TIMEOUT, request(thread, priority)).await });
    result.unwrap_or(Err(RtkitError::NoAnswer))
}

async fn request(thread: Pid, priority: u32) -> Result<(), RtkitError> {
    let bus = Connection::system().await.map_err(RtkitError::NoBus)?;
    let longest = property(&bus, "RTTimeUSecMax").await?;
    let highest = property(&bus, "MaxRealtimePriority").await?;
    // A limit of 0 would end the process at once.
    let longest = u64::try_from(longest).ok().filter(|longest| *longest > 0).ok_or_else(|| {
        let why = format!("{longest} is no time");
        RtkitError::Property { name: "RTTimeUSecMax".to_owned(), why }
    })?;
    limit_time(longest).map_err(RtkitError::Limit)?;
    let priority = priority.min(u32::try_from(highest).unwrap_or(1));
    let id = |pid: Pid| pid.as_raw_pid().unsigned_abs();
    let body = (u64::from(id(getpid())), u64::from(id(thread)), priority);
    call(&bus, NAME, "MakeThreadRealtimeWithPID", &body).await.map(drop)
}

async fn call<B: serde::Serialize + DynamicType>(
    bus: &Connection,
    interface: &str,
    method: &str,
    body: &B,
) -> Result<Message, RtkitError> {
    let answer = bus.call_method(Some(NAME), PATH, Some(interface), method, body).await;
    answer.map_err(|error| {
        let zbus::Error::FDO(reply) = &error else { return RtkitError::Bus(error) };
        match **reply {
            fdo::Error::ServiceUnknown(_) => RtkitError::NotInstalled,
            fdo::Error::AccessDenied(_) => RtkitError::Refused,
            _ => RtkitError::Bus(error),
        }
    })
}

/// A property of rtkit's that is a number.
async fn property(bus: &Connection, name: &str) -> Result<i64, RtkitError> {
    let answer = call(bus, "org.freedesktop.DBus.Properties", "Get", &(NAME, name)).await?;
    let property = |error: &dyn std::fmt::Display| RtkitError::Property {
        name: name.to_owned(),
        why: error.to_string(),
    };
    let value: OwnedVariant = answer.body().deserialize().map_err(|error| property(&error))?;
    let number = i64::try_from(&value).or_else(|_| i32::try_from(&value).map(i64::from));
    number.map_err(|error| property(&error))
}

/// Limits the time that a real-time thread may run without sleeping, in µs: rtkit refuses processes without this limit.
/// At half of it the thread loses its priority (SIGXCPU); at the whole of it the kernel would end the process.
fn limit_time(longest_us: u64) -> Result<(), Errno> {
    let limit = getrlimit(Resource::Rttime);
    let within = |limit: Option<u64>, most: u64| Some(limit.unwrap_or(most).min(most));
    let maximum = within(limit.maximum, longest_us);
    let current = within(limit.current, maximum.unwrap_or(longest_us) / 2);
    setrlimit(Resource::Rttime, Rlimit { current, maximum })
}
