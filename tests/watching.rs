//! `watch: true`: files that change on disk are noticed, whatever part of their path is replaced, lost or mounted, and
//! whatever the system does not report.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_control::value::Value;
use lacquer_tests::daemon::{Daemon, Folder, Listener, eventually, pass, text};
use lacquer_tests::studio::{A, Studio, number};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The chain, at another threshold.
fn chain(threshold: i32) -> String {
    A.replace("threshold: -20 dB", &format!("threshold: {threshold} dB"))
}

/// A station that watches the chain `a` at this place, and one beside it.
fn studio(name: &str, place: &str) -> Studio {
    let studio = Studio::new(name);
    studio.write(&format!("[{place}, b.yaml]"), "watch: true\n");
    studio
}

fn write(folder: &Folder, name: &str, text: &str) {
    let path = folder.at(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Waits until the chain has this threshold.
fn takes_over(client: &Listener, threshold: i32) {
    eventually(&format!("a threshold of {threshold} dB"), || {
        let found = number(&client.ask("/node/glue/threshold", vec![]));
        (found == f64::from(threshold)).then_some(())
    });
}

/// Puts a link that leads to `target` in the place of what is there, at once.
fn switch(folder: &Folder, link: &str, target: &str) {
    symlink(target, folder.at("link.new")).unwrap();
    fs::rename(folder.at("link.new"), folder.at(link)).unwrap();
}

/// Starts the daemon when the clock of files has moved on: what is written in the tick of its start is read twice.
fn start_later(studio: &Studio) -> Daemon {
    pass(Duration::from_millis(50));
    studio.start()
}

fn count(daemon: &Daemon, text: &str) -> usize {
    daemon.log().matches(text).count()
}

#[test]
fn a_new_tree_in_the_place_of_the_old_one_is_taken_over_with_all_its_chains_and_watched() {
    let studio = Studio::new("watch-tree");
    let small: Vec<String> = (0..24).map(|n| format!("chains/in/small{n}.yaml")).collect();
    studio.write(&format!("[chains/in/a.yaml, {}]", small.join(", ")), "watch: true\n");
    let fill = |tree: &str, threshold: i32, gain: i32| {
        write(&studio.folder, &format!("{tree}/in/a.yaml"), &chain(threshold));
        for name in &small {
            let name = name.replacen("chains", tree, 1);
            write(&studio.folder, &name, &format!("nodes:\n  - gain: {{id: level, gain: {gain} dB}}\n"));
        }
    };
    fill("chains", -20, -1);
    fill("new", -31, -22);
    let daemon = start_later(&studio);
    let client = daemon.client();
    let place = |name: &str| studio.folder.at(name);
    renameat_with(CWD, place("new"), CWD, place("chains"), RenameFlags::EXCHANGE).unwrap();
    takes_over(&client, -31);
    // More than are read at a time.
    for n in 0..24 {
        daemon.logged(&format!("small{n}.yaml changed on disk"));
    }
    write(&studio.folder, "chains/in/a.yaml", &chain(-32));
    takes_over(&client, -32);
    // The old tree is no longer the station's.
    write(&studio.folder, "new/in/a.yaml", &chain(-50));
    write(&studio.folder, "chains/in/small0.yaml", "nodes:\n  - gain: {id: level, gain: -33 dB}\n");
    eventually("the small one", || (count(&daemon, "small0.yaml changed on disk") == 2).then_some(()));
    takes_over(&client, -32);
    assert!(!daemon.log().contains(" is lost") && !daemon.log().contains("failed"), "it was never lost");
}

#[test]
fn links_that_are_switched_are_followed_for_chains_and_for_impulses_elsewhere() {
    let studio = studio("watch-link", "current/chains/a.yaml");
    let with_room = |threshold: i32| {
        format!("{}  - convolver: {{id: room, impulse: ../rooms/room.txt}}\n", chain(threshold))
    };
    for (release, threshold) in [("1", -20), ("2", -31), ("3", -32)] {
        write(&studio.folder, &format!("releases/{release}/chains/a.yaml"), &with_room(threshold));
        symlink("../../rooms/now", studio.folder.at(&format!("releases/{release}/rooms"))).unwrap();
    }
    for (room, gain) in [("small", "0.5"), ("large", "0.25")] {
        write(&studio.folder, &format!("rooms/{room}/room.txt"), gain);
    }
    symlink("small", studio.folder.at("rooms/now")).unwrap();
    symlink("releases/1", studio.folder.at("current")).unwrap();
    let daemon = studio.start();
    let client = daemon.client();
    client.say("/subscribe", vec![Value::Number(600.0)]);
    switch(&studio.folder, "current", "releases/2");
    takes_over(&client, -31);
    client.swap_phase("done", "a");
    switch(&studio.folder, "current", "releases/3");
    takes_over(&client, -32);
    client.swap_phase("done", "a");
    write(&studio.folder, "releases/3/chains/a.yaml", &with_room(-33));
    takes_over(&client, -33);
    client.swap_phase("done", "a");
    // The impulse changes when its own link does, and by itself.
    switch(&studio.folder, "rooms/now", "large");
    client.swap_phase("done", "a");
    write(&studio.folder, "rooms/large/room.txt", "0.125");
    client.swap_phase("done", "a");
    // As `ln -sfn` does it: there is no link for a moment.
    fs::remove_file(studio.folder.at("current")).unwrap();
    symlink("releases/1", studio.folder.at("current")).unwrap();
    takes_over(&client, -20);
}

#[test]
fn a_folder_that_is_deleted_is_said_to_be_lost_once_and_watched_when_it_comes_back() {
    let studio = studio("watch-lost", "on/stage/a.yaml");
    write(&studio.folder, "on/stage/a.yaml", &chain(-20));
    let daemon = start_later(&studio);
    let client = daemon.client();
    // Twice, because the second time all watches are those after a return.
    for (round, threshold) in [(1, -31), (2, -41)] {
        // At once, or it might be lost and come back in parts, and be said to.
        fs::rename(studio.folder.at("on"), studio.folder.at("gone")).unwrap();
        fs::remove_dir_all(studio.folder.at("gone")).unwrap();
        let lost = format!("{} is lost, and with it the watched file ", studio.folder.at("on").display());
        eventually("the loss", || (count(&daemon, &lost) == round).then_some(()));
        daemon.logged("no such file; chains play on as they were read, and read it again when it returns");
        write(&studio.folder, "back/stage/a.yaml", &chain(threshold));
        fs::rename(studio.folder.at("back"), studio.folder.at("on")).unwrap();
        takes_over(&client, threshold);
        write(&studio.folder, "on/stage/a.yaml", &chain(threshold - 1));
        takes_over(&client, threshold - 1);
        eventually("the return", || (count(&daemon, " is found again") == round).then_some(()));
    }
    assert_eq!(count(&daemon, " is lost"), 2);
    assert!(!daemon.log().contains("reload failed"), "what is lost is not read");
}

/// Runs a command in the namespaces of a daemon.
fn inside(daemon: &Daemon, command: &str) {
    let pid = daemon.pid().to_string();
    let mut nsenter = Command::new("nsenter");
    nsenter.args(["--preserve-credentials", "-U", "-m", "-t", &pid, "sh", "-c", command]);
    assert!(nsenter.status().unwrap().success(), "{command}");
}

/// Starts the daemon in namespaces for users and mounts of its own, after `first`; `None` where the system has none.
fn start_inside(studio: &Studio, first: &str) -> Option<Daemon> {
    let own = ["-U", "-r", "-m"];
    let mut tried = Command::new("unshare");
    if !tried
        .args(own)
        .args(["mount", "-t", "tmpfs", "none", "/mnt"])
        .stderr(Stdio::null())
        .status()
        .unwrap()
        .success()
    {
        eprintln!("skipped: no namespaces here");
        return None;
    }
    Some(Daemon::start_with(&studio.station, studio.port, |command| {
        let mut outer = Command::new("unshare");
        outer.args(own).args(["sh", "-c", &format!("{first}\nexec \"$0\" \"$@\"")]);
        outer.arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => outer.env(key, value),
                None => outer.env_remove(key),
            };
        }
        outer.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        *command = outer;
    }))
}

#[test]
fn a_mount_that_comes_and_goes_is_noticed_and_what_lies_on_it_watched() {
    let studio = studio("watch-mount", "disk/a.yaml");
    write(&studio.folder, "disk/a.yaml", &chain(-20));
    let Some(daemon) = start_inside(&studio, "") else { return };
    let client = daemon.client();
    let disk = studio.folder.at("disk");
    for threshold in [-31, -41] {
        inside(&daemon, &format!("mount -t tmpfs none '{}'", disk.display()));
        daemon.logged(&format!("watched file {} is lost: no such file", disk.join("a.yaml").display()));
        studio.folder.write("new.yaml", &chain(threshold));
        let copy =
            format!("cp '{}' '{}'", studio.folder.at("new.yaml").display(), disk.join("a.yaml").display());
        inside(&daemon, &copy);
        takes_over(&client, threshold);
        studio.folder.write("new.yaml", &chain(threshold - 1));
        inside(&daemon, &copy);
        takes_over(&client, threshold - 1);
        inside(&daemon, &format!("umount '{}'", disk.display()));
        takes_over(&client, -20);
        write(&studio.folder, "disk/a.yaml", &chain(threshold - 2));
        takes_over(&client, threshold - 2);
        write(&studio.folder, "disk/a.yaml", &chain(-20));
        takes_over(&client, -20);
    }
}

#[test]
fn where_the_system_allows_no_watches_the_log_names_the_limit_and_they_come_when_it_does() {
    let studio = studio("watch-limit", "a.yaml");
    for (limit, name) in
        [("max_inotify_instances", "max_user_instances"), ("max_inotify_watches", "max_user_watches")]
    {
        let Some(daemon) = start_inside(&studio, &format!("echo 0 > /proc/sys/user/{limit}")) else { return };
        let client = daemon.client();
        daemon.logged(&format!("(fs.inotify.{name}"));
        daemon.logged("not noticed; trying again every 10 s");
        studio.folder.write("a.yaml", &chain(-31));
        inside(&daemon, &format!("echo 1000 > /proc/sys/user/{limit}"));
        daemon.signal("HUP");
        daemon.logged("all files are watched again");
        takes_over(&client, -31);
        studio.folder.write("a.yaml", &chain(-32));
        takes_over(&client, -32);
    }
}

/// Most reports that wait to be read.
fn queue_length() -> usize {
    let text = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    text.trim().parse().unwrap()
}

#[test]
fn a_change_that_the_system_had_no_room_to_report_is_found() {
    let studio = studio("watch-overflow", "a.yaml");
    let daemon = studio.start();
    let client = daemon.client();
    studio.folder.write("a.yaml", &chain(-31));
    takes_over(&client, -31);
    daemon.signal("STOP");
    // Each is reported twice: as the old name and as the new one.
    let others = [studio.folder.at("x"), studio.folder.at("y")];
    fs::write(&others[0], "").unwrap();
    for n in 0..queue_length() {
        fs::rename(&others[n % 2], &others[(n + 1) % 2]).unwrap();
    }
    studio.folder.write("a.yaml", &chain(-32));
    daemon.signal("CONT");
    takes_over(&client, -32);
    studio.folder.write("a.yaml", &chain(-33));
    takes_over(&client, -33);
}

#[test]
fn what_is_not_the_stations_changes_nothing_and_a_copy_that_is_the_same_is_no_swap() {
    let studio = studio("watch-others", "a.yaml");
    let daemon = start_later(&studio);
    let client = daemon.client();
    client.say("/subscribe", vec![Value::Number(600.0)]);
    for name in ["other.yaml", "a.yaml.new", ".a.yaml.swp"] {
        studio.folder.write(name, "nodes: [");
    }
    fs::create_dir(studio.folder.at("chains")).unwrap();
    studio.folder.write("a.yaml", &chain(-20));
    daemon.logged("a.yaml changed on disk");
    client.hear("the reload", |line| line.address == "/event/reload" && line.values[0] == text("done"));
    studio.folder.write("b.yaml", "nodes:\n  - gain: {id: level, gain: -4 dB}\n");
    daemon.logged("b.yaml changed on disk");
    assert_eq!(count(&daemon, "changed on disk"), 2);
    assert!(!daemon.log().contains("warming up"), "there was no swap");
}
