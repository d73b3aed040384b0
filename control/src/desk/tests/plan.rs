//! What a swap would do, asked before it is made.

use super::Station;
use crate::request::Request;

#[test]
fn what_a_swap_would_do_holds_up_no_value_and_sync_waits_for_the_answer() {
    let mut station = Station::new();
    station.ask(1, Request::Plan("b".to_owned()));
    station.set(1, "/node/g/gain", -5.0);
    assert_eq!(station.value("/node/g/gain"), -5.0);
    station.ask(1, Request::Sync);
    let is_synced = |station: &Station| station.synced > 0;
    assert!(!is_synced(&station));
    let latency = station.desk.chains().latency();
    station.settle();
    assert!(is_synced(&station) && !station.plans.is_empty());
    assert_eq!(station.desk.chains().latency(), latency, "what is only shown changes nothing");
}

#[test]
fn what_a_swap_would_do_is_answered_and_nothing_is_done() {
    let mut station = Station::new();
    let before = station.desk.running().newest_name();
    station.lines.clear();
    let mut answer = |name: &str| {
        station.plans.clear();
        station.ask(1, Request::Plan(name.to_owned()));
        station.settle();
        std::mem::take(&mut station.plans)
    };
    let same = answer("a");
    assert!(
        same.contains(&"a changed".to_owned()) && same.iter().any(|line| line.starts_with("a kept g")),
        "{same:?}"
    );
    assert!(answer("b").iter().any(|line| line.starts_with("b latency ")));
    assert!(answer("nothing").is_empty());
    assert_eq!((station.newest(), station.swaps()), (before, 0));
    assert!(station.lines.iter().any(|(_, line)| line.starts_with("/error /plan no chain \"nothing\"")));
}
