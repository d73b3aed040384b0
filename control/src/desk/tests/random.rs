//! Random requests, files, results and times against what always holds.

use super::{B, RATE, Station, Task, chain, planned};
use crate::desk::Desk;
use crate::desk::chains::Chains;
use crate::desk::kept::Kept;
use crate::desk::settings::Settings;
use crate::desk::turn::Input;
use crate::request::{CompareRequest, Request, SceneRequest, Scope};
use lacquer_graph::plan::Io;
use std::time::Duration;

/// Numbers by a linear congruence.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % end
    }
}

/// One random thing that happens to a station.
fn step(station: &mut Station, random: &mut Random) {
    let by = 1 + random.below(3) as u16;
    let names = ["a", "b", "c"];
    let name = names[random.below(3)].to_owned();
    let addresses: Vec<String> = {
        let newest = station.desk.running().newest().unwrap();
        newest.addresses.all().iter().map(|place| place.norm_address()).collect()
    };
    let address = addresses[random.below(addresses.len())].clone();
    let scene = format!("s{}", random.below(3));
    let scope = [Scope::Own, Scope::Own, Scope::All, Scope::Swap][random.below(4)];
    match random.below(23) {
        0..5 => station.set(by, &address, random.below(101) as f64 / 100.0),
        5 => station.ask(by, Request::Nudge { address, by: 0.1 }),
        6 => station.ask(by, Request::Undo(scope)),
        7 => station.ask(by, Request::Redo(scope)),
        8 => station.swap(by, &name),
        9 => station.scene(SceneRequest::Save { name: scene, nodes: Vec::new() }),
        10 => station.scene(SceneRequest::Recall { name: scene, morph: random.below(2) as f64 }),
        11 => station.ask(by, Request::Compare(CompareRequest::Select(random.below(2) == 0))),
        12 => station.ask(by, Request::Compare(CompareRequest::Copy)),
        13 => station.ask(by, Request::Bypass(random.below(2) == 0)),
        14 => station.ask(by, Request::Reload { reset: random.below(4) == 0 }),
        15 => {
            station.files[1] = chain("b", &B.replace("-3 dB", &format!("-{} dB", random.below(9))));
            station.handle(Input::FileChanged("b.yaml".into()));
        }
        16 => drop(station.end_swap()),
        17 => station.wait(random.below(1_500) as u64),
        18 if random.below(8) == 0 => {
            if let Some(Task::Plan(ticket, ..) | Task::Build(ticket, _) | Task::Load(ticket, _)) =
                station.tasks.pop_front()
            {
                station.handle(Input::Failed { ticket, why: "given up".to_owned() });
            }
        }
        19 => station.ask(by, Request::Compare(CompareRequest::Match(random.below(2) == 0))),
        20 => station.ask(by, Request::BypassMatched(random.below(2) == 0)),
        21 => station.ask(by, Request::Scene(SceneRequest::Delete(scene))),
        _ => drop(station.end_task()),
    }
}

#[test]
fn whatever_happens_all_know_the_current_values_and_nothing_is_lost_or_done_twice() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let mut station = Station::new();
        for _ in 0..120 {
            step(&mut station, &mut random);
        }
        station.settle();
        station.wait(2_000);
        station.settle();
        assert!(station.built.is_empty(), "seed {seed}: every chain is sent or freed");
        assert!(station.desk.tasks.deferred.is_empty(), "seed {seed}");
        let newest = station.desk.running().newest().unwrap();
        for place in newest.addresses.all() {
            let current = station.desk.running().value(station.desk.chains(), place).unwrap();
            let address = place.address();
            assert_eq!(station.known[&address], [place.value(&current)], "seed {seed}: {address}");
        }
        // Undo takes back the last move, and redo does it again.
        let before = station.values();
        let places = station.desk.running().newest().unwrap().addresses.all();
        let address = places[random.below(places.len())].norm_address();
        station.set(1, &address, random.below(101) as f64 / 100.0);
        station.settle();
        let after = station.values();
        if after != before {
            station.ask(1, Request::Undo(Scope::Own));
            station.settle();
            assert_eq!(station.values(), before, "seed {seed}: {address}");
            station.ask(1, Request::Redo(Scope::Own));
            station.settle();
            assert_eq!(station.values(), after, "seed {seed}: {address}");
        }
        // What a peer undoes is as it was when it redoes it, whoever made it.
        let by = 1 + random.below(3) as u16;
        let scope = [Scope::Own, Scope::All, Scope::Swap][random.below(3)];
        let kept = |station: &Station| Kept { scene: None, ..station.desk.kept(Vec::new()) };
        let before = kept(&station);
        station.lines.clear();
        station.ask(by, Request::Undo(scope));
        station.settle();
        if !station.has_line("/error /undo") {
            station.ask(by, Request::Redo(scope));
            station.settle();
            assert_eq!(kept(&station), before, "seed {seed}: {by} {scope:?}: {:?}", station.lines);
        }
        // What is kept restores to the same.
        let saved = station.desk.kept(Vec::new());
        let chains = Chains::new(planned(&station.files), Io::stereo(), RATE, None);
        let mut next = Desk::new(Settings::default(), chains, Vec::new(), &saved.chain, Duration::ZERO);
        next.restore(saved.clone(), true);
        let again = Kept { chain: saved.chain.clone(), ..next.kept(Vec::new()) };
        assert_eq!(again, saved, "seed {seed}");
        assert_eq!(station.desk.clone().kept(Vec::new()), saved, "a clone is the same");
    }
}
