//! Undo and redo: whose change is taken back, and what stays; and where values go while a chain is on its way.

use super::{A, Station, chain, client};
use crate::desk::turn::Command;
use crate::request::{CompareRequest, Request, SceneRequest, Scope};
use crate::subscribe::Recipients;
use crate::value::Value;
use std::collections::BTreeSet;

const GAIN: &str = "/node/g/gain";
const WIDTH: &str = "/node/wide/width";

fn undo(station: &mut Station, by: u16, scope: Scope) {
    station.lines.clear();
    station.ask(by, Request::Undo(scope));
}

fn redo(station: &mut Station, by: u16, scope: Scope) {
    station.lines.clear();
    station.ask(by, Request::Redo(scope));
}

fn save(station: &mut Station, by: u16, name: &str) {
    station.ask(by, Request::Scene(SceneRequest::Save { name: name.to_owned(), nodes: Vec::new() }));
}

#[test]
fn undo_takes_back_the_last_change_of_who_asks_and_all_that_of_anybody() {
    let mut station = Station::new();
    station.set(1, GAIN, -4.0);
    station.set(2, WIDTH, 0.5);
    undo(&mut station, 1, Scope::Own);
    assert_eq!((station.value(GAIN), station.value(WIDTH)), (0.0, 0.5));
    undo(&mut station, 1, Scope::Own);
    assert!(
        station.has_line("/error /undo nothing to undo on chain \"a\" by this client"),
        "{:?}",
        station.lines
    );
    undo(&mut station, 1, Scope::All);
    assert_eq!((station.value(GAIN), station.value(WIDTH)), (0.0, 100.0));
    redo(&mut station, 2, Scope::Own);
    assert!(station.has_line("nothing to redo"), "it was the other one that undid it");
    redo(&mut station, 1, Scope::Own);
    assert_eq!(station.value(WIDTH), 0.5);
    redo(&mut station, 3, Scope::All);
    assert_eq!(station.value(GAIN), -4.0);
}

#[test]
fn a_new_change_of_one_client_leaves_what_another_one_can_redo() {
    let mut station = Station::new();
    station.set(1, GAIN, -4.0);
    undo(&mut station, 1, Scope::Own);
    station.set(2, WIDTH, 0.5);
    redo(&mut station, 1, Scope::Own);
    assert_eq!(station.value(GAIN), -4.0);
    undo(&mut station, 1, Scope::Own);
    station.set(1, WIDTH, 0.7);
    redo(&mut station, 1, Scope::Own);
    assert!(station.has_line("nothing to redo"));
}

#[test]
fn a_value_that_another_client_has_moved_since_stays_and_who_asks_is_told() {
    let mut station = Station::new();
    station.set(1, GAIN, -12.0);
    station.set(1, WIDTH, 0.5);
    save(&mut station, 3, "soft");
    station.set(3, GAIN, 0.0);
    station.set(3, WIDTH, 1.0);
    station.wait(2_000);
    // One gesture of two values, of which another client then moves one.
    station.ask(1, Request::Scene(SceneRequest::Recall { name: "soft".to_owned(), morph: 0.0 }));
    station.set(2, GAIN, -6.0);
    undo(&mut station, 1, Scope::Own);
    assert_eq!((station.value(GAIN), station.value(WIDTH)), (-6.0, 1.0));
    let error = format!("/error /undo {GAIN} was changed since by osc 127.0.0.1:2; it stays");
    assert_eq!(station.lines, [(Recipients::One(client(1)), error)]);
    redo(&mut station, 1, Scope::Own);
    assert_eq!((station.value(GAIN), station.value(WIDTH)), (-6.0, 0.5), "only what was undone");
    // When the other one has taken its own back, nothing is in the way.
    station.wait(2_000);
    station.set(1, GAIN, -7.0);
    station.set(2, GAIN, -8.0);
    undo(&mut station, 2, Scope::Own);
    undo(&mut station, 1, Scope::Own);
    assert_eq!((station.value(GAIN), station.lines.len()), (-6.0, 0));
    // A gesture of which nothing is left does nothing, and is not in the way of the one before.
    station.set(1, WIDTH, 0.9);
    station.wait(2_000);
    station.set(1, GAIN, -1.0);
    station.set(2, GAIN, -2.0);
    undo(&mut station, 1, Scope::Own);
    assert_eq!((station.value(GAIN), station.value(WIDTH)), (-2.0, 0.9));
    undo(&mut station, 1, Scope::Own);
    assert_eq!((station.value(GAIN), station.value(WIDTH)), (-2.0, 0.5));
}

#[test]
fn a_change_that_changes_nothing_any_more_is_passed_over() {
    let mut station = Station::new();
    station.set(1, GAIN, -3.0);
    station.set(1, WIDTH, 50.0);
    station.ask(2, Request::Reload { reset: true });
    station.settle();
    station.set(1, GAIN, -6.0);
    undo(&mut station, 1, Scope::Own);
    assert_eq!(station.value(GAIN), 0.0);
    undo(&mut station, 1, Scope::Own);
    assert!(station.has_line("nothing to undo"), "the file's values hold already: {:?}", station.lines);
    redo(&mut station, 1, Scope::Own);
    assert_eq!((station.value(GAIN), station.value(WIDTH)), (-6.0, 100.0));
}

#[test]
fn bypass_and_the_matches_are_undone_on_any_chain_and_not_over_a_newer_change() {
    let mut station = Station::new();
    let switches = [
        ("/bypass", Request::Bypass as fn(bool) -> Request),
        ("/bypass/match", Request::BypassMatched),
        ("/ab/match", |on| Request::Compare(CompareRequest::Match(on))),
    ];
    for (address, request) in switches {
        station.ask(1, request(true));
        // Once more is no change.
        station.ask(1, request(true));
        let other = if station.newest() == "a" { "b" } else { "a" };
        station.swap(2, other);
        station.settle();
        undo(&mut station, 1, Scope::Own);
        assert_eq!(station.known[address], [Value::Switch(false)], "{address}");
        redo(&mut station, 1, Scope::Own);
        assert_eq!(station.known[address], [Value::Switch(true)], "{address}");
        station.ask(2, request(false));
        undo(&mut station, 1, Scope::Own);
        assert!(station.has_line("was changed since; it stays"), "{address}: {:?}", station.lines);
        undo(&mut station, 1, Scope::Own);
        assert!(station.has_line("nothing to undo"), "{address}: {:?}", station.lines);
    }
}

#[test]
fn a_scene_that_was_saved_over_or_deleted_comes_back_in_its_slot() {
    let mut station = Station::new();
    save(&mut station, 1, "first");
    station.set(1, GAIN, -4.0);
    save(&mut station, 1, "second");
    let second = station.desk.scenes.find("second").cloned();
    station.set(1, GAIN, -8.0);
    save(&mut station, 1, "second");
    let saved = station.desk.scenes.find("second").cloned();
    undo(&mut station, 1, Scope::Own);
    assert_eq!(station.desk.scenes.find("2").cloned(), second);
    assert_eq!(station.value(GAIN), -8.0, "the values are the next to undo");
    redo(&mut station, 1, Scope::Own);
    assert_eq!(station.desk.scenes.find("2").cloned(), saved);
    station.ask(1, Request::Scene(SceneRequest::Delete("first".to_owned())));
    assert_eq!(station.known["/scene/1/name"], [Value::Text(String::new())]);
    undo(&mut station, 1, Scope::Own);
    assert_eq!(station.known["/scene/1/name"], [Value::Text("first".to_owned())]);
    redo(&mut station, 1, Scope::Own);
    assert!(station.desk.scenes.find("first").is_none());
    save(&mut station, 2, "other");
    undo(&mut station, 1, Scope::Own);
    assert!(station.has_line("/error /undo scene first was changed since; it stays"), "{:?}", station.lines);
    assert_eq!(station.known["/scene/1/name"], [Value::Text("other".to_owned())]);
}

#[test]
fn a_scene_that_is_deleted_while_it_glides_is_not_the_active_one() {
    let mut station = Station::new();
    station.set(1, GAIN, -4.0);
    save(&mut station, 1, "soft");
    station.set(1, GAIN, 0.0);
    station.ask(1, Request::Scene(SceneRequest::Recall { name: "soft".to_owned(), morph: 1.0 }));
    station.wait(500);
    station.ask(1, Request::Scene(SceneRequest::Delete("soft".to_owned())));
    station.wait(600);
    assert_eq!((station.value(GAIN), station.desk.kept(Vec::new()).scene), (-4.0, None));
}

#[test]
fn a_copy_of_a_to_b_is_taken_back_while_a_is_active() {
    let mut station = Station::new();
    let select = |b: bool| Request::Compare(CompareRequest::Select(b));
    station.ask(1, select(true));
    station.set(1, GAIN, -8.0);
    station.ask(1, select(false));
    station.ask(1, Request::Compare(CompareRequest::Copy));
    station.ask(1, select(true));
    assert_eq!(station.value(GAIN), 0.0);
    undo(&mut station, 1, Scope::Own);
    assert!(station.has_line("send \"/ab a\" first"), "{:?}", station.lines);
    station.ask(1, select(false));
    undo(&mut station, 1, Scope::Own);
    station.ask(1, select(true));
    assert_eq!(station.value(GAIN), -8.0);
    station.ask(1, select(false));
    station.ask(1, Request::Compare(CompareRequest::Chain("c".to_owned())));
    assert_eq!(station.known["/ab/chain"], [Value::Text("c".to_owned())]);
    undo(&mut station, 1, Scope::Own);
    assert_eq!(station.known["/ab/chain"], [Value::Text("a".to_owned())]);
}

#[test]
fn a_swap_is_undone_by_its_own_word_alone_which_says_where_it_goes() {
    let mut station = Station::new();
    undo(&mut station, 1, Scope::Swap);
    assert!(station.has_line("/error /undo no swap to undo"));
    station.swap(2, "b");
    station.settle();
    station.swap(1, "c");
    station.settle();
    undo(&mut station, 2, Scope::All);
    assert!(station.has_line("nothing to undo on chain \"c\""));
    for (back, forth) in [("b", "c"), ("a", "b")] {
        undo(&mut station, 1, Scope::Swap);
        assert_eq!(station.lines[0], (Recipients::One(client(1)), format!("/undo swap to {back}")));
        assert_eq!(station.newest(), forth, "told before it happens");
        station.settle();
        assert_eq!(station.newest(), back);
    }
    redo(&mut station, 2, Scope::Swap);
    assert_eq!(station.lines[0], (Recipients::One(client(2)), "/redo swap to b".to_owned()));
    station.settle();
    assert_eq!(station.newest(), "b");
    station.swap(1, "a");
    station.settle();
    redo(&mut station, 1, Scope::Swap);
    assert!(station.has_line("no swap to redo"), "a new swap is where it goes on from");
}

#[test]
fn a_swap_back_that_fails_can_be_asked_for_again() {
    let mut station = Station::new();
    station.swap(1, "b");
    station.settle();
    undo(&mut station, 1, Scope::Swap);
    let Some(super::Task::Plan(ticket, ..)) = station.tasks.pop_front() else {
        panic!("a plan is asked for")
    };
    station.handle(super::Input::Failed { ticket, why: "the disk does not answer".to_owned() });
    assert_eq!(station.newest(), "b");
    undo(&mut station, 1, Scope::Swap);
    station.settle();
    assert_eq!(station.newest(), "a");
}

/// The chains that were sent a value.
fn told(station: &mut Station) -> BTreeSet<u64> {
    let generation = |command: Command| match command {
        Command::Set { target, .. } => Some(target.generation),
        _ => None,
    };
    station.sent.drain(..).filter_map(generation).collect()
}

#[test]
fn whichever_way_a_value_comes_it_goes_where_the_surfaces_were_told() {
    let ways: [fn(&mut Station); 5] = [
        |station| station.set(2, GAIN, -5.0),
        |station| station.ask(2, Request::Nudge { address: GAIN.to_owned(), by: -0.1 }),
        |station| {
            station.handle(super::Input::Request {
                by: crate::peer::Peer::Midi(0),
                request: Request::Set { address: "/norm/g/gain".to_owned(), value: Value::Number(0.2) },
            })
        },
        |station| {
            station.ask(2, Request::Scene(SceneRequest::Recall { name: "soft".to_owned(), morph: 0.0 }))
        },
        |station| station.ask(2, Request::Undo(Scope::Own)),
    ];
    for (at, way) in ways.into_iter().enumerate() {
        for is_warming in [false, true] {
            let mut station = Station::new();
            station.set(1, GAIN, -20.0);
            save(&mut station, 1, "soft");
            station.set(1, GAIN, 0.0);
            station.set(2, GAIN, -1.0);
            station.wait(2_000);
            // To the same chain with one more node, so that the scene and the move are of it.
            station.files[0] = chain("a", &format!("{A}  - gain: {{id: more}}\n"));
            station.handle(super::Input::FileChanged("a.yaml".into()));
            station.end_task();
            station.end_task();
            if is_warming {
                station.end_task();
            }
            station.sent.clear();
            way(&mut station);
            let before = station.value(GAIN);
            assert_ne!(before, -1.0, "way {at}: others do not wait");
            let chains = told(&mut station);
            assert_eq!(chains.len(), 1 + usize::from(is_warming), "way {at}: {chains:?}");
            station.settle();
            assert_eq!(station.value(GAIN), before, "way {at}: it is not lost");
            // Before the word the other chain was not sent anything: it starts with the value.
            assert_eq!(told(&mut station).is_empty(), is_warming, "way {at}");
        }
    }
}

#[test]
fn between_loading_and_warming_the_values_of_others_are_those_of_the_chain_on_air_alone() {
    let mut station = Station::new();
    station.swap(1, "b");
    station.set(2, GAIN, -9.0);
    assert_eq!(
        (station.values()[0]["/g/gain"].number(), station.values()[1]["/g/gain"].number()),
        (Some(-9.0), Some(-3.0))
    );
    station.end_task();
    station.end_task();
    assert!(station.has_line("/event/swap warming b"));
    station.set(2, GAIN, -2.0);
    assert_eq!(
        (station.values()[0]["/g/gain"].number(), station.values()[1]["/g/gain"].number()),
        (Some(-2.0), Some(-2.0))
    );
}

#[test]
fn what_a_client_sets_waits_for_its_chain_too_when_another_one_asks_for_the_same() {
    let mut station = Station::new();
    station.swap(1, "b");
    station.set(1, GAIN, -9.0);
    station.swap(2, "b");
    assert_eq!(station.value(GAIN), 0.0, "it is not meant for the chain on air");
    station.settle();
    assert_eq!((station.newest().as_str(), station.value(GAIN)), ("b", -9.0));
}

#[test]
fn what_a_client_sets_waits_for_a_chain_that_waits_for_the_running_swap() {
    let mut station = Station::new();
    station.swap(2, "c");
    station.end_task();
    station.end_task();
    assert!(station.desk.running().is_swapping());
    station.swap(1, "b");
    station.set(1, GAIN, -9.0);
    station.settle();
    assert!(!station.has_line("/error"), "{:?}", station.lines);
    assert_eq!((station.newest().as_str(), station.value(GAIN)), ("b", -9.0));
}
