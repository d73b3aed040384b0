//! `lacquer doctor`: every finding, both fine and not, on copies of machines' files; and this machine, whatever it is
//! like.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer::doctor::station::folder_with_space;
use lacquer::doctor::{Answers, Finding, Machine};
use lacquer_tests::daemon::{Daemon, Folder, eventually, free_port, lacquer};
use lacquer_tests::jackd::{Server, alone};
use lacquer_tests::rights::{NO_BUS, without_rights};
use lacquer_tests::studio::Studio;
use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;

/// A picture of a machine, file by file.
struct Picture(Folder);

impl Picture {
    fn new(name: &str) -> Self {
        Self(Folder::new(name))
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn remove(&self, path: &str) {
        let path = self.0.at(path);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
    }

    /// A process with one thread of this policy and priority.
    fn process(&self, pid: u32, name: &str, policy: u32, priority: u32) {
        self.write(&format!("proc/{pid}/comm"), &format!("{name}\n"));
        // proc(5): 37 fields lie between the name and the priority.
        let between = "S ".repeat(37);
        let stat = format!("{pid} (a (b) c) {between}{priority} {policy} 0 0");
        self.write(&format!("proc/{pid}/task/{pid}/stat"), &stat);
    }

    /// A machine of this picture, whose user may have everything.
    fn machine(&self) -> Machine {
        Machine::under(&self.0.0, None, None)
    }
}

fn of<'a>(findings: &'a [Finding], what: &str) -> &'a Finding {
    let found = findings.iter().find(|finding| finding.what == what);
    found.unwrap_or_else(|| panic!("nothing of {what} in {findings:#?}"))
}

/// Checks a machine, and asserts one finding and its fix.
#[track_caller]
fn wrong(machine: Machine, what: &str, found: &str, fix: &str) {
    let findings = machine.check();
    let finding = of(&findings, what);
    let told = finding.fix.as_deref().unwrap_or_else(|| panic!("{what} is fine: {}", finding.found));
    assert_eq!(finding.found, found, "{what}");
    assert!(told.contains(fix), "{what}: {told}");
}

#[track_caller]
fn fine(machine: Machine, what: &str, found: &str) {
    let findings = machine.check();
    let finding = of(&findings, what);
    assert_eq!((finding.found.as_str(), &finding.fix), (found, &None), "{what}");
}

#[test]
fn rights_and_limits() {
    let picture = Picture::new("doctor-rights");
    let root = &picture.0.0;
    let may = |priority, locked| Machine::under(root, priority, locked);
    wrong(may(Some(20), None), "real-time priority", "up to 20", "@audio - rtprio 95");
    fine(may(Some(95), None), "real-time priority", "up to 95");
    fine(may(None, None), "real-time priority", "unlimited");
    wrong(may(None, Some(8 << 20)), "locked memory", "up to 8 MiB", "@audio - memlock unlimited");
    fine(may(None, Some(4 << 30)), "locked memory", "up to 4096 MiB");
    // Whoever has no right of his own needs rtkit.
    wrong(may(Some(0), None), "rtkit", "not installed", "sudo apt install rtkit");
    fine(may(None, None), "rtkit", "not installed; not needed");
    picture.write("usr/libexec/rtkit-daemon", "");
    wrong(may(Some(0), None), "rtkit", "installed, but there is no system bus", "sudo apt install dbus");
    picture.write("run/dbus/system_bus_socket", "");
    fine(may(Some(0), None), "rtkit", "installed");
    picture.write("proc/sys/kernel/sched_rt_runtime_us", "0\n");
    wrong(picture.machine(), "real-time share", "0 ms a second", "sysctl kernel.sched_rt_runtime_us=950000");
    picture.write("proc/sys/kernel/sched_rt_runtime_us", "-1\n");
    fine(picture.machine(), "real-time share", "off");
    picture.write("proc/self/cgroup", "4:cpu,cpuacct:/studio\n0::/\n");
    let budget = "sys/fs/cgroup/cpu,cpuacct/studio/cpu.rt_runtime_us";
    picture.write(budget, "0\n");
    let fix = format!("| sudo tee /{budget}");
    wrong(picture.machine(), "control group", "/studio has no real-time budget", &fix);
    picture.write(budget, "400000\n");
    fine(picture.machine(), "control group", "may use real time");
}

#[test]
fn the_limits_of_a_station_that_runs_as_a_service() {
    let picture = Picture::new("doctor-running");
    let limits = |priority: &str, memory: &str| {
        let text = format!(
            "Limit  Soft Limit  Hard Limit  Units\nMax locked memory  8388608  {memory}  bytes\n\
             Max realtime priority  0  {priority}\n"
        );
        picture.write("proc/77/limits", &text);
    };
    picture.process(77, "lacquer", 0, 0);
    picture.write("proc/77/cmdline", "lacquer\0run\0/etc/lacquer/studio.yaml\0");
    picture.write("proc/77/cgroup", "0::/system.slice/system-lacquer.slice/lacquer@studio.service\n");
    limits("0", "8388608");
    let words = "process 77: RLIMIT_RTPRIO and RLIMIT_MEMLOCK too low";
    let fix = "/etc/systemd/system/lacquer@studio.service.d/limits.conf; sudo systemctl daemon-reload; \
                sudo systemctl restart lacquer@studio.service";
    wrong(picture.machine(), "stations that run", words, fix);
    limits("95", "8388608");
    wrong(
        picture.machine(),
        "stations that run",
        "process 77: RLIMIT_MEMLOCK too low",
        "LimitMEMLOCK=infinity",
    );
    // A user's unit cannot have more than its user.
    picture
        .write("proc/77/cgroup", "0::/user.slice/user@1000.service/session.slice/lacquer@studio.service\n");
    limits("0", "unlimited");
    wrong(picture.machine(), "stations that run", "process 77: RLIMIT_RTPRIO too low", "limits of its user");
    limits("95", "unlimited");
    fine(picture.machine(), "stations that run", "process 77: limits are sufficient");
    // A capability goes beyond the limits.
    limits("0", "unlimited");
    picture.write("proc/77/status", "Name:\tlacquer\nCapEff:\t0000000000800000\n");
    fine(picture.machine(), "stations that run", "process 77: limits are sufficient");
    // Other commands of ours are no stations.
    picture.write("proc/77/cmdline", "lacquer\0doctor\0");
    assert!(picture.machine().check().iter().all(|finding| finding.what != "stations that run"));
}

#[test]
fn kernel_processors_and_memory() {
    let picture = Picture::new("doctor-kernel");
    let version = |kind: &str| {
        picture.write("proc/version", &format!("Linux version 6.1.0-42-amd64 (debian) #1 SMP {kind} Debian"));
    };
    version("");
    picture.write("proc/cmdline", "quiet\n");
    wrong(picture.machine(), "kernel", "6.1.0-42-amd64, not preemptible", "linux-image-rt-amd64");
    version("PREEMPT_DYNAMIC");
    fine(picture.machine(), "kernel", "6.1.0-42-amd64, preemption chosen at boot");
    picture.write("boot/config-6.1.0-42-amd64", "CONFIG_PREEMPT_VOLUNTARY=y\nCONFIG_PREEMPT_DYNAMIC=y\n");
    wrong(
        picture.machine(),
        "kernel",
        "6.1.0-42-amd64, preemptible, but booted without preempt=full",
        "preempt=full",
    );
    picture.write("sys/kernel/debug/sched/preempt", "none voluntary (full)\n");
    fine(picture.machine(), "kernel", "6.1.0-42-amd64, preemptible");
    picture.write("sys/kernel/debug/sched/preempt", "none (voluntary) full\n");
    wrong(
        picture.machine(),
        "kernel",
        "6.1.0-42-amd64, preemptible, but booted without preempt=full",
        "sudo update-grub",
    );
    picture.remove("sys/kernel/debug/sched/preempt");
    wrong(picture.machine(), "interrupts", "not threaded", "/&threadirqs /");
    picture.write("proc/cmdline", "quiet preempt=full threadirqs\n");
    fine(picture.machine(), "kernel", "6.1.0-42-amd64, preemptible");
    fine(picture.machine(), "interrupts", "threaded");
    picture.write("proc/cmdline", "quiet\n");
    version("PREEMPT_RT");
    fine(picture.machine(), "kernel", "6.1.0-42-amd64, real-time");
    fine(picture.machine(), "interrupts", "threaded");

    fine(picture.machine(), "processor clock", "fixed");
    let frequency = |file: &str, text: &str| {
        picture.write(&format!("sys/devices/system/cpu/cpu0/cpufreq/{file}"), text);
    };
    frequency("scaling_governor", "powersave\n");
    wrong(picture.machine(), "processor clock", "powersave", "sudo systemd-tmpfiles --create");
    frequency("scaling_governor", "performance\n");
    fine(picture.machine(), "processor clock", "performance");
    frequency("scaling_max_freq", "1200000\n");
    frequency("cpuinfo_max_freq", "4200000\n");
    let held = "performance, but cpu0 is limited to 1200 of 4200 MHz";
    wrong(picture.machine(), "processor clock", held, "sudo tee $cpu/scaling_max_freq");
    frequency("scaling_max_freq", "4200000\n");
    fine(picture.machine(), "processor clock", "performance");
    picture.write("sys/devices/system/cpu/online", "0-3\n");
    picture.write("sys/devices/system/cpu/isolated", "\n");
    fine(picture.machine(), "processors", "0-3; isolated: none");
    picture.write("sys/devices/system/cpu/isolated", "2-3\n");
    fine(picture.machine(), "processors", "0-3; isolated: 2-3");

    let clock = "sys/devices/system/clocksource/clocksource0";
    picture.write(&format!("{clock}/current_clocksource"), "hpet\n");
    wrong(picture.machine(), "clock source", "hpet", "tsc=reliable");
    picture.write(&format!("{clock}/available_clocksource"), "tsc hpet acpi_pm\n");
    wrong(picture.machine(), "clock source", "hpet", "echo tsc | sudo tee /sys/devices/system/clocksource");
    picture.write(&format!("{clock}/current_clocksource"), "tsc\n");
    fine(picture.machine(), "clock source", "tsc");

    picture.write("proc/sys/vm/swappiness", "60\n");
    picture.write("proc/swaps", "Filename Type\n/dev/sda2 partition\n");
    wrong(picture.machine(), "swap", "swappiness 60", "vm.swappiness=10");
    picture.write("proc/sys/vm/swappiness", "10\n");
    fine(picture.machine(), "swap", "swappiness 10");
    picture.write("proc/sys/vm/swappiness", "60\n");
    picture.write("proc/swaps", "Filename Type\n");
    fine(picture.machine(), "swap", "no swap");
}

#[test]
fn cards_and_who_has_them() {
    let picture = Picture::new("doctor-cards");
    fine(picture.machine(), "sound cards", "none");
    picture.write("proc/asound/cards", " 0 [Babyface       ]: USB-Audio - Babyface\n");
    fine(picture.machine(), "sound cards", "Babyface");
    fine(picture.machine(), "cards in use", "none");
    let status = "proc/asound/card0/pcm0p/sub0/status";
    picture.write(status, "closed\n");
    fine(picture.machine(), "cards in use", "none");
    // The owner is a thread of its process.
    picture.write(status, "state: RUNNING\nowner_pid   : 501\ntrigger_time: 1\n");
    picture.write("proc/501/status", "Name:\taudio\nTgid:\t500\n");
    picture.process(500, "firefox", 0, 0);
    wrong(picture.machine(), "cards in use", "card0 by firefox (500)", "kill 500");
    picture.process(500, "pipewire", 0, 0);
    fine(picture.machine(), "cards in use", "card0 by pipewire (500)");

    picture.write("dev/snd/controlC0", "");
    wrong(picture.machine(), "ALSA sequencer", "not loaded", "sudo modprobe snd-seq");
    picture.write("dev/snd/seq", "");
    fine(picture.machine(), "ALSA sequencer", "loaded");
}

#[test]
fn audio_servers() {
    let picture = Picture::new("doctor-servers");
    fine(picture.machine(), "audio server", "none");
    picture.write("dev/shm/jack_default_1000_0", "");
    fine(picture.machine(), "audio server", "JACK");
    picture.write("run/user/1000/pipewire-0", "");
    let both = "JACK and PipeWire: both use the sound card";
    wrong(picture.machine(), "audio server", both, "systemctl --user mask --now pipewire.socket");

    picture.process(200, "jackd", 0, 0);
    let jack = |rate: f64, block: usize| Answers { jack: Some((rate, block)), pipewire: None };
    let slow = "48000 Hz, blocks of 1024 = 21.3 ms, no real-time priority";
    wrong(picture.machine().with_answers(jack(48_000.0, 1_024)), "JACK", slow, "jackd -R");
    picture.process(200, "jackd", 1, 70);
    let good = "44100 Hz, blocks of 64 = 1.5 ms, SCHED_FIFO 70";
    fine(picture.machine().with_answers(jack(44_100.0, 64)), "JACK", good);
    fine(picture.machine(), "JACK", "does not answer; it may run for another user, SCHED_FIFO 70");
    picture.remove("dev/shm/jack_default_1000_0");
    picture.remove("proc/200");
    fine(picture.machine(), "audio server", "PipeWire");

    picture.process(300, "pipewire", 0, 0);
    wrong(picture.machine(), "PipeWire", "no real-time priority", "usermod -aG pipewire $USER");
    // rtkit's SCHED_RR, and the flag that children do not inherit it.
    picture.process(300, "pipewire", 0x4000_0002, 20);
    fine(picture.machine(), "PipeWire", "SCHED_RR 20");
    wrong(picture.machine(), "PipeWire's JACK library", "not installed", "sudo apt install pipewire-jack");
    picture.write("usr/lib/x86_64-linux-gnu/pipewire-0.3/jack/libjack.so.0", "");
    fine(picture.machine(), "PipeWire's JACK library", "installed");
    let settings = |quantum: u32, force: u32| {
        let line =
            |key: &str, value: &str| format!("update: id:0 key:'clock.{key}' value:'{value}' type:''\n");
        let text = line("rate", "48000")
            + &line("allowed-rates", "[ 44100 48000 ]")
            + &line("quantum", &quantum.to_string())
            + &line("min-quantum", "32")
            + &line("max-quantum", "8192")
            + &line("force-quantum", &force.to_string())
            + &line("force-rate", "0");
        Answers { jack: None, pipewire: Some(format!("Found \"settings\" metadata 32\n{text}")) }
    };
    let good = "1024 frames at 48000 Hz, 32 to 8192; rates [ 44100 48000 ]";
    fine(picture.machine().with_answers(settings(1_024, 0)), "PipeWire's quantum", good);
    let long = "8192 frames at 48000 Hz, 32 to 8192; rates [ 44100 48000 ]";
    let fix = "pw-metadata -n settings 0 clock.force-quantum 1024";
    wrong(picture.machine().with_answers(settings(1_024, 8_192)), "PipeWire's quantum", long, fix);
}

#[test]
fn stations_of_a_user_that_should_play_with_nobody_logged_in() {
    let picture = Picture::new("doctor-linger");
    let asked = || picture.machine().with_user("studio", Path::new("home/studio"));
    assert!(asked().check().iter().all(|finding| finding.what != "linger"));
    picture.write("home/studio/.config/systemd/user/default.target.wants/lacquer@studio.service", "");
    let off = "off: the stations of studio play only while studio is logged in";
    wrong(asked(), "linger", off, "loginctl enable-linger studio");
    picture.write("var/lib/systemd/linger/studio", "");
    fine(asked(), "linger", "on");
}

#[test]
fn the_place_of_the_state() {
    let folder = Folder::new("doctor-room");
    let fine = folder_with_space(&folder.at("state"), 1 << 20);
    assert!(fine.fix.is_none() && fine.found.ends_with("MiB free"), "{fine:?}");
    let full = folder_with_space(&folder.at("state"), u64::MAX);
    assert!(full.fix.is_some_and(|fix| fix.starts_with("free space on that disk: df -h")));
    let in_the_way = folder_with_space(&folder.write("file", ""), 0);
    assert!(in_the_way.found.contains("file exists"), "{in_the_way:?}");
    assert!(in_the_way.fix.is_some_and(|fix| fix.contains("sudo chown $USER:")));
    // Not even root writes here.
    let closed = folder_with_space(Path::new("/proc/self"), 0);
    assert!(closed.fix.is_some(), "{closed:?}");
}

/// What the command finds for a station, as its JSON says it, and its exit code.
fn doctor(studio: &Studio, change: impl FnOnce(&mut Command)) -> (Vec<serde_json::Value>, Option<i32>) {
    let mut command = Command::new(lacquer_tests::daemon::binary());
    command.args(["doctor", "--json"]).arg(&studio.station).env("XDG_STATE_HOME", studio.folder.at("state"));
    command.env_remove("STATE_DIRECTORY");
    change(&mut command);
    let out = command.output().unwrap();
    let findings: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    (findings.as_array().unwrap().clone(), out.status.code())
}

fn said<'a>(findings: &'a [serde_json::Value], what: &str) -> (&'a str, Option<&'a str>) {
    let found = findings.iter().find(|finding| finding["what"] == what);
    let finding = found.unwrap_or_else(|| panic!("nothing of {what} in {findings:#?}"));
    assert_eq!(finding["mend"], finding["fix"], "the old name of the key still works");
    (finding["found"].as_str().unwrap(), finding["fix"].as_str())
}

#[test]
fn ports_that_are_free_taken_and_ours() {
    let studio = Studio::new("doctor-ports");
    let web = free_port();
    let (osc, web_at) = (format!("127.0.0.1:{}", studio.port), format!("127.0.0.1:{web}"));
    let control = format!("osc: {{listen: \"{osc}\"}}, web: {{listen: \"{web_at}\"}}");
    studio.write_control("[a.yaml]", &control, "");
    let (findings, code) = doctor(&studio, |_| {});
    for what in ["OSC port (UDP)", "OSC port (TCP)"] {
        assert_eq!(said(&findings, what), (format!("{osc} is free").as_str(), None));
    }
    assert_eq!(said(&findings, "web port"), (format!("{web_at} is free").as_str(), None));
    let must_fix = findings.iter().any(|finding| !finding["fix"].is_null());
    assert_eq!(code, Some(i32::from(must_fix)));

    let taken = UdpSocket::bind(&osc).unwrap();
    let listener = std::net::TcpListener::bind(&web_at).unwrap();
    let (findings, code) = doctor(&studio, |_| {});
    let (found, fix) = said(&findings, "OSC port (UDP)");
    assert!(found.contains("in use"), "{found}");
    assert_eq!(
        fix,
        Some(
            format!("find the program that uses the port: sudo ss -lpn 'sport = :{}'", studio.port).as_str()
        )
    );
    assert!(said(&findings, "web port").1.is_some());
    assert_eq!(code, Some(1));
    drop((taken, listener));

    let daemon = studio.start();
    let mut findings = Vec::new();
    eventually("the audio thread has begun", || {
        findings = doctor(&studio, |_| {}).0;
        (!said(&findings, "audio thread").0.contains("no block")).then_some(())
    });
    for what in ["OSC port (UDP)", "OSC port (TCP)", "web port"] {
        let (found, fix) = said(&findings, what);
        assert!(found.ends_with("is used by a running station") && fix.is_none(), "{found}");
    }
    let (found, fix) = said(&findings, "audio thread");
    assert_eq!(found.starts_with("SCHED_"), fix.is_none(), "{found}");
    drop(daemon);
    // What nobody wants is not to be fixed; what could not be had is.
    let yaml = fs::read_to_string(&studio.station).unwrap();
    fs::write(&studio.station, yaml.replace("backend: none,", "backend: none, realtime: {priority: off},"))
        .unwrap();
    let daemon = studio.start();
    eventually("it is not wanted", || {
        let (findings, _) = doctor(&studio, |_| {});
        let (found, fix) = said(&findings, "audio thread");
        (found.starts_with("not wanted") && fix.is_none()).then_some(())
    });
    drop(daemon);
    fs::write(&studio.station, yaml).unwrap();
    let _daemon = Daemon::start_with(&studio.station, studio.port, |command| {
        without_rights(command, NO_BUS);
    });
    eventually("it is to be fixed", || {
        let (findings, _) = doctor(&studio, |_| {});
        let (found, fix) = said(&findings, "audio thread");
        (found.contains("; rtkit: ") && fix.is_some_and(|fix| fix.contains("real-time priority")))
            .then_some(())
    });
}

#[test]
fn processors_that_a_station_wants() {
    let studio = Studio::new("doctor-cpus");
    let write = |cpus: &str| {
        let yaml = format!("audio: {{backend: none, realtime: {{cpus: {cpus}}}}}\nchains: [a.yaml]\n");
        fs::write(&studio.station, yaml).unwrap();
    };
    write("[1000]");
    let (findings, code) = doctor(&studio, |_| {});
    let (found, fix) = said(&findings, "audio processors");
    assert_eq!((found, code), ("no processor 1000", Some(1)));
    assert!(fix.unwrap().contains("audio.realtime.cpus"));
    write("[0]");
    // Whatever the machine lets this test have, the first processor is the one the doctor runs on.
    let (findings, _) = doctor(&studio, |command| {
        let program = command.get_program().to_owned();
        let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        *command = Command::new("taskset");
        command.args(["-c", "0"]).arg(program).args(args).env("XDG_STATE_HOME", studio.folder.at("state"));
    });
    assert_eq!(said(&findings, "audio processors"), ("available", None));
}

#[test]
fn a_jack_server_that_runs_is_asked() {
    if !alone("a_jack_server_that_runs_is_asked") {
        return;
    }
    let _server = Server::at(44_100, 512);
    let studio = Studio::new("doctor-jack");
    let (findings, _) = doctor(&studio, |_| {});
    let (found, _) = said(&findings, "JACK");
    assert!(found.starts_with("44100 Hz, blocks of 512 = 11.6 ms"), "{found}");
}

#[test]
fn this_machine_in_words() {
    let out = lacquer(&["doctor", "configs/demo.yaml"]);
    let text = String::from_utf8_lossy(&out.stdout);
    let must_fix = text.lines().any(|line| line.starts_with("fix "));
    assert_eq!(out.status.code(), Some(i32::from(must_fix)), "{text}");
    for what in ["real-time priority", "rtkit", "state folder", "OSC port (UDP)"] {
        assert!(text.contains(what), "{text}");
    }
    // What is to be fixed is followed by how.
    let lines: Vec<&str> = text.lines().collect();
    for pair in lines.windows(2).filter(|pair| pair[0].starts_with("fix ")) {
        assert!(pair[1].starts_with("      "), "{text}");
    }
}
