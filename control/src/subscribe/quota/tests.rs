//! Tests of the lines that clients cause.

use super::*;
use std::net::SocketAddr;

/// A line: an address that was set from a value to another one.
#[derive(Clone, Debug, PartialEq)]
struct Set(u32, f64, f64);

impl Line for Set {
    type Key = u32;

    fn key(&self) -> u32 {
        self.0
    }

    fn merge(&mut self, later: Self) {
        self.2 = later.2;
    }
}

fn at(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn client(ip: impl Into<IpAddr>, port: u16) -> SocketAddr {
    (ip.into(), port).into()
}

fn local(port: u16) -> Peer {
    Peer::Osc(client(Ipv4Addr::LOCALHOST, port))
}

fn far(ip: u32, port: u16) -> Peer {
    Peer::Osc(client(Ipv4Addr::from(0x0A00_0000 | ip), port))
}

/// How many of so many lines a peer may write at once.
fn written(quota: &mut Quota<()>, by: Peer, lines: usize, now: f64) -> usize {
    (0..lines).filter(|_| quota.admit(by, (), at(now)).is_some()).count()
}

#[test]
fn after_a_burst_changes_are_merged_and_follow_with_their_count_and_their_last_value() {
    let mut quota = Quota::default();
    for n in 0..START as u32 {
        let line = Set(n, 0.0, 1.0);
        assert_eq!(quota.admit(local(1), line.clone(), at(0.0)), Some(line));
    }
    for n in 0..50 {
        let value = f64::from(n);
        assert_eq!(quota.admit(local(1), Set(7, value, value + 1.0), at(1.0)), None);
        assert_eq!(quota.admit(local(1), Set(8, -value, -value - 1.0), at(2.0)), None);
    }
    assert_eq!(quota.drain_due(at(10.9)), []);
    let [left] = &quota.drain_due(at(11.0))[..] else { panic!("one client's lines") };
    let held = |line, count, last| Held { line, count, last: at(last) };
    assert_eq!(left.of, Source::Client(local(1)));
    assert_eq!(left.lines, [held(Set(7, 0.0, 50.0), 50, 1.0), held(Set(8, 0.0, -50.0), 50, 2.0)]);
    assert_eq!(left.text(left.count()), "100 more lines of this client left out in the last 10 s");
    assert_eq!(quota.drain_all(at(11.0)), [], "each once");
    // What followed is counted as well.
    let room = (11.0 / EVERY.as_secs_f64()) as usize - 3;
    let more = (0..10).filter(|_| quota.admit(local(1), Set(1, 0.0, 0.0), at(11.0)).is_some());
    assert_eq!(more.count(), room);
    assert_eq!(quota.drain_all(at(11.0))[0].count(), 10 - room as u64);
}

#[test]
fn a_line_that_comes_while_others_are_held_back_does_not_overtake_them() {
    let mut quota = Quota::default();
    for n in 0..=START as u32 {
        quota.admit(local(1), Set(0, f64::from(n), f64::from(n) + 1.0), at(0.0));
    }
    assert_eq!(quota.admit(local(1), Set(0, START + 1.0, 0.0), at(9.0)), None, "though there is room again");
    assert_eq!(quota.drain_due(at(10.0))[0].lines[0].line, Set(0, START, 0.0));
}

#[test]
fn of_a_client_that_sends_for_hours_few_lines_are_written_and_none_is_uncounted() {
    for by in [local(1), Peer::Midi(0)] {
        let mut quota = Quota::default();
        let (hours, a_second) = (4, 20);
        let (mut lines, mut counted, mut others) = (0, 0, 0);
        let sent = hours * 3_600 * a_second;
        for n in 0..sent {
            let now = at(n as f64 / a_second as f64);
            counted += u64::from(quota.admit(by, (), now).inspect(|()| lines += 1).is_some());
            // One that sends little is not disturbed, here or elsewhere.
            if n % (3 * a_second) == 0 {
                others += usize::from(quota.admit(local(2), (), now).is_some());
            }
            for left in quota.drain_due(now) {
                counted += left.count();
                lines += 1;
            }
        }
        counted += quota.drain_all(at(1e6)).iter().map(LeftOut::count).sum::<u64>();
        assert_eq!(counted, sent as u64);
        assert!(lines <= 100 + hours * 3_600 / 2, "{lines} lines in {hours} hours");
        assert_eq!(others, hours * 1_200);
    }
}

/// Sends for an hour from a new client each time; a client that was there before sends a line now and then. Returns how
/// many lines were written of each, and how many were left out.
fn newcomers(known: Peer, new: impl Fn(u32) -> Peer) -> (usize, usize, u64) {
    let mut quota = Quota::default();
    assert_eq!(written(&mut quota, known, 1, 0.0), 1);
    let (mut lines, mut of_known, mut left_out) = (0, 0, 0);
    for n in 0..36_000 {
        let now = f64::from(n) / 10.0;
        lines += written(&mut quota, new(n), 1, now);
        if n % 50 == 0 {
            of_known += written(&mut quota, known, 1, now);
        }
        left_out += quota.drain_due(at(now)).iter().map(LeftOut::count).sum::<u64>();
        assert!(quota.accounts.iter_mut().count() <= MOST_ACCOUNTS);
    }
    left_out += quota.drain_all(at(3_600.0)).iter().map(LeftOut::count).sum::<u64>();
    assert_eq!((lines + of_known) as u64 + left_out, 36_000 + 720);
    (lines, of_known, left_out)
}

#[test]
fn new_ports_are_no_new_bursts_and_do_not_hide_a_client_of_the_same_address() {
    let (lines, of_known, _) = newcomers(local(1), |n| local(2 + n as u16));
    assert!(lines < 6_000, "{lines} lines");
    assert_eq!(of_known, 720);
}

#[test]
fn forged_addresses_do_not_hide_a_udp_client_of_another_machine() {
    let (lines, of_known, _) = newcomers(far(1 << 20, 1), |n| far(n, 9_000));
    assert!(lines < 6_000, "{lines} lines");
    assert_eq!(of_known, 720);
    let six = |n: u32| {
        let host = 0x2001_0DB8_u128 << 96 | u128::from(n);
        Peer::Stream(client(Ipv6Addr::from_bits(host), 1))
    };
    let (lines, of_known, _) = newcomers(six(1 << 20), six);
    assert!(lines < 6_000 && of_known == 720, "a /64 is one address: {lines} lines, {of_known}");
}

#[test]
fn an_address_may_cause_as_much_as_eight_clients_and_others_are_not_disturbed() {
    let mut quota = Quota::default();
    let bursts: Vec<usize> = (0..12).map(|port| written(&mut quota, local(port), 1_000, 0.0)).collect();
    assert_eq!(
        bursts,
        [50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 50, 0],
        "ten new clients, and the others together"
    );
    assert_eq!(written(&mut quota, far(1, 1), 20, 0.0), 20, "another address");
    assert_eq!(written(&mut quota, Peer::Midi(1), 200, 0.0), BURST as usize);
    assert_eq!(written(&mut quota, Peer::Station, 5_000, 0.0), 5_000);
    let left = quota.drain_all(at(1.0));
    assert_eq!(left.iter().map(LeftOut::count).sum::<u64>(), 12_000 - 550 + 100);
    // Later, eight of them may cause a whole burst.
    let bursts: Vec<usize> = (0..10).map(|port| written(&mut quota, local(port), 1_000, 3_600.0)).collect();
    assert_eq!(bursts, [100, 100, 100, 100, 100, 100, 100, 100, 0, 0]);
}

#[test]
fn what_a_forgotten_client_held_back_is_still_counted_with_its_last_value() {
    let mut quota = Quota::default();
    let stream = |ip: u32| Peer::Stream(client(Ipv4Addr::from(0x0A00_0000 | ip), 1));
    for (time, from) in [(0.0, 0.0), (2.0, 1_000.0)] {
        for n in 0..BURST as usize + 10 {
            quota.admit(Peer::Midi(0), Set(1, 0.0, from + n as f64), at(time));
        }
        (0..1_000).for_each(|ip| _ = quota.admit(stream(ip), Set(2, 0.0, 0.0), at(time + 1.0)));
    }
    let left = quota.drain_all(at(4.0));
    let [Held { line, count, last }] = &left[0].lines[..] else { panic!("{left:?}") };
    assert_eq!((line, *count, *last), (&Set(1, 0.0, 1_109.0), 20, at(2.0)));
    assert_eq!(quota.held, 0);
}

#[test]
fn what_is_held_back_is_bounded_and_nothing_of_it_is_lost() {
    let mut quota = Quota::default();
    let count = 50_000;
    let mut follow = 0;
    for n in 0..count {
        follow += usize::from(quota.admit(local(1), Set(n, 0.0, 1.0), at(0.0)).is_some());
        assert!(quota.held <= MOST_HELD);
    }
    follow += quota.drain_all(at(0.0)).iter().map(|left| left.lines.len()).sum::<usize>();
    assert_eq!(follow, count as usize);
}
