//! Many files that change on disk at once.

use super::{A, B, Station, Task};
use crate::desk::turn::{Input, ToLoad};
use crate::request::Request;

#[test]
fn files_that_change_at_once_are_all_read_a_few_at_a_time_and_a_reload_finds_room_among_them() {
    let mut station = Station::new();
    let names: Vec<String> = (0..100).map(|n| format!("x{n}.yaml")).collect();
    names.iter().for_each(|name| station.handle(Input::FileChanged(name.into())));
    assert_eq!(station.tasks.len(), 8);
    station.ask(1, Request::Reload { reset: false });
    assert!(station.lines.is_empty(), "{:?}", station.lines);
    let (mut read, mut reloads) = (Vec::new(), 0);
    while let Some(task) = station.tasks.front() {
        match task {
            Task::Load(_, ToLoad::Chain(path)) => read.push(path.to_string_lossy().into_owned()),
            Task::Load(_, ToLoad::Station) => reloads += 1,
            _ => {}
        }
        station.end_task();
    }
    let mut all = names;
    all.sort();
    read.sort();
    assert_eq!((read, reloads), (all, 1));
}

#[test]
fn one_that_changes_again_while_it_waits_is_read_once_and_one_that_is_being_read_once_more() {
    let mut station = Station::new();
    let changes = |station: &mut Station, name: &str| station.handle(Input::FileChanged(name.into()));
    changes(&mut station, "a.yaml");
    (0..7).for_each(|n| changes(&mut station, &format!("x{n}.yaml")));
    (0..3).for_each(|_| changes(&mut station, "b.yaml"));
    changes(&mut station, "a.yaml");
    station.files = vec![super::chain("a", &A.replace("id: g", "id: g, gain: -5 dB")), super::chain("b", B)];
    let mut read = Vec::new();
    while let Some(task) = station.tasks.front() {
        if let Task::Load(_, ToLoad::Chain(path)) = task {
            read.push(path.to_string_lossy().into_owned());
        }
        if !station.end_task() {
            break;
        }
    }
    let times = |name: &str| read.iter().filter(|path| *path == name).count();
    assert_eq!((times("a.yaml"), times("b.yaml")), (2, 1));
    station.settle();
    assert_eq!(station.value("/node/g/gain"), -5.0);
}
