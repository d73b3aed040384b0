//! How many lines each client may cause in the log, and in the audit log.
//!
//! A client may cause some lines at once ([`START`] at first, later up to [`BURST`]), and one more in each [`EVERY`]. What is
//! beyond that is held back: lines about the same thing are merged into one and counted. After [`ROUND`] the merged lines
//! follow, with their count. So one client neither fills a disk nor hides the lines of another one, and nothing is left out
//! without a count.
//!
//! | whose lines are counted together | as many as |
//! | --- | --- |
//! | a client (address and port), a controller, the changes of files | 1 client |
//! | all clients of an address (of IPv6, of a /64) | 8 clients |
//! | all UDP clients of other machines, whose addresses may be forged | 64 clients |
//!
//! A line needs room in each that it belongs to. An address may have some new clients at once ([`NEWCOMERS`]), and one more in
//! each [`NEW_EVERY`]; beyond that they are counted together as one client. So are new addresses that may be forged. The
//! station's own lines are never held back.

use crate::peer::Peer;
use crate::subscribe::recent::Recent;
use std::collections::BTreeMap;
use std::fmt;
use std::mem::{Discriminant, discriminant};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Most lines that one client may cause at once.
pub const BURST: f64 = 100.0;
/// Lines that a new client may cause at once.
pub const START: f64 = 50.0;
/// Time in which it may cause one more.
pub const EVERY: Duration = Duration::from_secs(2);
/// Clients of one address, or addresses of UDP clients, that may be new at once.
pub const NEWCOMERS: f64 = 10.0;
/// Time in which there may be one more.
pub const NEW_EVERY: Duration = Duration::from_secs(60);
/// Shortest time for which lines are held back.
pub const ROUND: Duration = Duration::from_secs(10);
/// Most clients and addresses that are remembered. For a new one, the least recently seen goes.
const MOST_ACCOUNTS: usize = 512;
/// Most merged lines that are held back. For one more, those of the same client follow at once.
const MOST_HELD: usize = 16_384;

/// A line that can be merged with later ones.
pub trait Line {
    /// What it is about: lines of equal keys are merged.
    type Key: Ord;

    /// What it is about.
    fn key(&self) -> Self::Key;

    /// Becomes what is written of it and of a later line of the same key.
    fn merge(&mut self, later: Self);
}

/// Lines of which only the number counts.
impl Line for () {
    type Key = ();

    fn key(&self) {}

    fn merge(&mut self, (): ()) {}
}

/// Whose lines are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// One client.
    Client(Peer),
    /// All clients of an address.
    Address(IpAddr),
    /// The new clients of an address, at one surface, that are more than it may have; `None` for those of new addresses.
    Newcomers(Option<(IpAddr, Discriminant<Peer>)>),
    /// All UDP clients of other machines.
    All,
}

impl Source {
    /// How many clients' lines it may cause.
    fn share(self) -> f64 {
        match self {
            Source::Client(_) | Source::Newcomers(_) => 1.0,
            Source::Address(_) => 8.0,
            Source::All => 64.0,
        }
    }

    /// How many it may cause at first.
    fn start(self) -> f64 {
        match self {
            Source::Client(peer) if address(peer).is_some() => START,
            Source::Newcomers(_) => START,
            _ => self.share() * BURST,
        }
    }

    /// Whose lines they are, as words.
    pub fn whose(self) -> &'static str {
        match self {
            Source::Client(_) => "this client",
            Source::Address(_) => "this address",
            Source::Newcomers(Some(_)) => "new clients of this address",
            Source::Newcomers(None) => "new clients",
            Source::All => "UDP clients",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Client(peer) => peer.fmt(f),
            Source::Address(address) | Source::Newcomers(Some((address, _))) => address.fmt(f),
            Source::Newcomers(None) | Source::All => f.write_str("osc"),
        }
    }
}

/// The address of a peer, if it comes over the network, and whether it may be forged.
fn address(by: Peer) -> Option<(IpAddr, bool)> {
    match by {
        Peer::Osc(from) => Some((network(from.ip()), !from.ip().to_canonical().is_loopback())),
        Peer::Stream(from) | Peer::Web(from) => Some((network(from.ip()), false)),
        Peer::Midi(_) | Peer::Files | Peer::Cues | Peer::Signal | Peer::Station => None,
    }
}

/// The address that identifies a machine: all of this machine's are one, and so is a /64 of IPv6, of which a machine may
/// use any address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        address if address.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

/// A merged line that was held back.
#[derive(Clone, Debug, PartialEq)]
pub struct Held<L> {
    /// The line.
    pub line: L,
    /// How many lines it stands for.
    pub count: u64,
    /// When the last of them came.
    pub last: Duration,
}

impl<L: Line> Held<L> {
    /// Takes in another one of the same key, earlier or later.
    fn merge(&mut self, other: Self) {
        let count = self.count + other.count;
        let later = if other.last < self.last { std::mem::replace(self, other) } else { other };
        self.line.merge(later.line);
        (self.count, self.last) = (count, later.last);
    }
}

/// Lines that were held back, to be written now.
#[derive(Clone, Debug, PartialEq)]
pub struct LeftOut<L> {
    /// Whose lines they are.
    pub of: Source,
    /// In how many seconds they came.
    pub seconds: u64,
    /// The merged lines, in the order of their last changes.
    pub lines: Vec<Held<L>>,
}

impl<L> LeftOut<L> {
    /// How many lines came.
    pub fn count(&self) -> u64 {
        self.lines.iter().map(|held| held.count).sum()
    }

    /// Says that so many of them were left out.
    pub fn text(&self, count: u64) -> String {
        format!("{count} more lines of {} left out in the last {} s", self.of.whose(), self.seconds)
    }
}

/// The lines of one source.
struct Account<L: Line> {
    /// How many it may cause now; below zero where held lines took more.
    tokens: f64,
    /// How many new clients it may have now.
    newcomers: f64,
    seen: Duration,
    /// Since when lines are held back; until they follow, all are.
    since: Option<Duration>,
    held: BTreeMap<L::Key, Held<L>>,
}

impl<L: Line> Account<L> {
    fn new(source: Source, now: Duration) -> Self {
        let (tokens, newcomers) = (source.start(), NEWCOMERS);
        Self { tokens, newcomers, seen: now, since: None, held: BTreeMap::new() }
    }

    fn refill(&mut self, source: Source, now: Duration) {
        let passed = now.saturating_sub(self.seen).as_secs_f64();
        let more = passed / EVERY.as_secs_f64() * source.share();
        self.tokens = (self.tokens + more).min(BURST * source.share());
        self.newcomers = (self.newcomers + passed / NEW_EVERY.as_secs_f64()).min(NEWCOMERS);
        self.seen = self.seen.max(now);
    }

    fn has_room(&self) -> bool {
        self.since.is_none() && self.tokens >= 1.0
    }

    /// Whether it may have one more new client; this counts as one.
    fn takes_newcomer(&mut self) -> bool {
        let is_taken = self.newcomers >= 1.0;
        self.newcomers -= f64::from(u8::from(is_taken));
        is_taken
    }

    fn is_due(&self, now: Duration) -> bool {
        self.since.is_some_and(|since| now >= since + ROUND) && self.tokens >= 0.0
    }

    /// Holds a line back. True where it is about something new.
    fn hold(&mut self, held: Held<L>, now: Duration) -> bool {
        self.since.get_or_insert(now);
        let key = held.line.key();
        match self.held.get_mut(&key) {
            Some(earlier) => earlier.merge(held),
            None => return self.held.insert(key, held).is_none(),
        }
        false
    }

    /// Removes what is held back, and counts it as written.
    fn take(&mut self, of: Source, now: Duration) -> Option<LeftOut<L>> {
        let since = self.since.take()?;
        let mut lines: Vec<_> = std::mem::take(&mut self.held).into_values().collect();
        lines.sort_by_key(|held| held.last);
        self.tokens -= lines.len() as f64 + 1.0;
        let seconds = now.saturating_sub(since).as_secs_f64().ceil().max(1.0) as u64;
        Some(LeftOut { of, seconds, lines })
    }
}

/// The lines that each client may cause in one log.
pub struct Quota<L: Line> {
    accounts: Recent<Source, Account<L>>,
    all: Account<L>,
    /// What clients held back that are no longer remembered.
    forgotten: Account<L>,
    /// How many merged lines are held back.
    held: usize,
    /// What had to follow before it was due.
    early: Vec<LeftOut<L>>,
}

impl<L: Line> Default for Quota<L> {
    fn default() -> Self {
        let all = || Account::new(Source::All, Duration::ZERO);
        let accounts = Recent::new(MOST_ACCOUNTS);
        Self { accounts, all: all(), forgotten: all(), held: 0, early: Vec::new() }
    }
}

impl<L: Line> Quota<L> {
    /// Gives a line back that may be written now; else it is held back.
    pub fn admit(&mut self, by: Peer, line: L, now: Duration) -> Option<L> {
        let sources = self.sources(by, now);
        if let Some(full) = sources.iter().find(|source| !self.account(**source, now).has_room()) {
            self.hold(*full, Held { line, count: 1, last: now }, now);
            return None;
        }
        sources.iter().for_each(|source| self.account(*source, now).tokens -= 1.0);
        Some(line)
    }

    /// What a line of a peer is counted with.
    fn sources(&mut self, by: Peer, now: Duration) -> Vec<Source> {
        let client = Source::Client(by);
        let Some((ip, is_forgeable)) = address(by) else {
            let is_own = matches!(by, Peer::Cues | Peer::Signal | Peer::Station);
            return if is_own { Vec::new() } else { vec![client] };
        };
        let is_known = self.accounts.get(&Source::Address(ip)).is_some();
        if is_forgeable && !is_known && !self.account(Source::All, now).takes_newcomer() {
            return vec![Source::Newcomers(None), Source::All];
        }
        let is_known = self.accounts.get(&client).is_some();
        let is_own = is_known || self.account(Source::Address(ip), now).takes_newcomer();
        let first = if is_own { client } else { Source::Newcomers(Some((ip, discriminant(&by)))) };
        let all = is_forgeable.then_some(Source::All);
        [first, Source::Address(ip)].into_iter().chain(all).collect()
    }

    /// Removes the lines that may follow now, and returns them.
    pub fn drain_due(&mut self, now: Duration) -> Vec<LeftOut<L>> {
        if self.held == 0 && self.early.is_empty() {
            return Vec::new();
        }
        self.drain(now, |account| account.is_due(now))
    }

    /// Removes all lines that are held back, and returns them.
    pub fn drain_all(&mut self, now: Duration) -> Vec<LeftOut<L>> {
        self.drain(now, |_| true)
    }

    fn drain(&mut self, now: Duration, is_meant: impl Fn(&Account<L>) -> bool) -> Vec<LeftOut<L>> {
        let mut drained = std::mem::take(&mut self.early);
        let each = self.accounts.iter_mut().map(|(source, account)| (*source, account));
        let of_all = [&mut self.all, &mut self.forgotten].map(|account| (Source::All, account));
        for (source, account) in each.chain(of_all) {
            account.refill(source, now);
            if is_meant(account) {
                drained.extend(account.take(source, now));
            }
        }
        let held = self.accounts.iter_mut().map(|(_, account)| account.held.len()).sum::<usize>();
        self.held = held + self.all.held.len() + self.forgotten.held.len();
        drained
    }

    /// The account of a source. For a new one another may be forgotten.
    fn account(&mut self, source: Source, now: Duration) -> &mut Account<L> {
        if source == Source::All {
            self.all.refill(source, now);
            return &mut self.all;
        }
        let (account, gone) = self.accounts.use_or_insert(source, || Account::new(source, now));
        account.refill(source, now);
        for held in gone.into_iter().flat_map(|(_, gone)| gone.held.into_values()) {
            let is_new = self.forgotten.hold(held, now);
            self.held -= usize::from(!is_new);
        }
        account
    }

    fn hold(&mut self, source: Source, held: Held<L>, now: Duration) {
        if self.held >= MOST_HELD {
            let early = self.account(source, now).take(source, now);
            self.held -= early.as_ref().map_or(0, |early| early.lines.len());
            self.early.extend(early);
        }
        let is_new = self.account(source, now).hold(held, now);
        self.held += usize::from(is_new);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests;
