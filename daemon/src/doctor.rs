//! What of this machine stands in the way of real-time audio, and the command that mends it.

use crate::state;
use rustix::process::{Resource, getrlimit};
use std::fs;
use std::path::{Path, PathBuf};

/// Real-time priority that the audio thread should be able to have.
const PRIORITY: u64 = 70;
/// Memory that should be lockable, in bytes: a JACK server's segment alone is above 100 MB.
const LOCKED: u64 = 512 << 20;
/// Free space for state and logs, in bytes.
const FREE: u64 = 64 << 20;

/// What was found at one point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub what: &'static str,
    /// What was found.
    pub found: String,
    /// What to do, where something should be done.
    pub mend: Option<String>,
}

/// The machine, or a picture of one under another root.
pub struct Machine {
    root: PathBuf,
    /// The most that real-time priority and locked memory may be raised to; `None` is without limit.
    priority: Option<u64>,
    locked: Option<u64>,
}

impl Machine {
    /// The machine that this runs on.
    pub fn here() -> Self {
        let most = |resource| getrlimit(resource).maximum;
        Self { root: PathBuf::from("/"), priority: most(Resource::Rtprio), locked: most(Resource::Memlock) }
    }

    /// A machine whose files lie under `root`, with these limits.
    pub fn under(root: &Path, priority: Option<u64>, locked: Option<u64>) -> Self {
        Self { root: root.to_owned(), priority, locked }
    }

    fn read(&self, path: &str) -> Option<String> {
        let text = fs::read_to_string(self.root.join(path)).ok()?;
        Some(text.trim().to_owned())
    }

    fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// The names in a folder.
    fn list(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.root.join(path)).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// All that is looked at, in this order.
    pub fn look(&self) -> Vec<Finding> {
        let looks = [
            Self::priority,
            Self::memory,
            Self::throttling,
            Self::kernel,
            Self::interrupts,
            Self::governor,
            Self::clock,
            Self::swapping,
            Self::cards,
            Self::sequencer,
            Self::servers,
        ];
        looks.iter().filter_map(|look| look(self)).collect()
    }

    fn priority(&self) -> Option<Finding> {
        let found = self.priority.map_or("without limit".to_owned(), |most| format!("up to {most}"));
        let is_fine = self.priority.is_none_or(|most| most >= PRIORITY);
        let mend = "printf '@audio - rtprio 95\\n@audio - memlock unlimited\\n' | sudo tee /etc/security/limits.d/audio.conf; \
                    sudo usermod -aG audio $USER; then log in anew (a service: LimitRTPRIO=95)";
        Some(finding("real-time priority", found, is_fine, mend))
    }

    fn memory(&self) -> Option<Finding> {
        let found =
            self.locked.map_or("without limit".to_owned(), |most| format!("up to {} MiB", most >> 20));
        let is_fine = self.locked.is_none_or(|most| most >= LOCKED);
        let mend = "echo '@audio - memlock unlimited' | sudo tee -a /etc/security/limits.d/audio.conf; then log in anew \
                    (a service: LimitMEMLOCK=infinity)";
        Some(finding("locked memory", found, is_fine, mend))
    }

    /// A group without a budget is refused real time whatever its limits are.
    fn throttling(&self) -> Option<Finding> {
        let runtime: i64 = self.read("proc/sys/kernel/sched_rt_runtime_us")?.parse().ok()?;
        let found = if runtime < 0 { "off".to_owned() } else { format!("{} ms a second", runtime / 1_000) };
        let mend = "sudo sysctl kernel.sched_rt_runtime_us=950000";
        Some(finding("real-time share", found, !(0..500_000).contains(&runtime), mend))
    }

    fn kernel(&self) -> Option<Finding> {
        let version = self.read("proc/version")?;
        let release = version.split(' ').nth(2).unwrap_or_default().to_owned();
        let kind = match () {
            () if version.contains("PREEMPT_RT") => "real-time",
            () if version.contains("PREEMPT_DYNAMIC") => "preemption chosen at boot",
            () if version.contains("PREEMPT") => "preemptible",
            () => "not preemptible",
        };
        let mend =
            "a preemptible kernel keeps small blocks: sudo apt install linux-image-rt-amd64, then reboot";
        Some(finding("kernel", format!("{release}, {kind}"), version.contains("PREEMPT"), mend))
    }

    fn interrupts(&self) -> Option<Finding> {
        let line = self.read("proc/cmdline")?;
        let is_threaded = line.split(' ').any(|word| word == "threadirqs")
            || self.read("proc/version").is_some_and(|version| version.contains("PREEMPT_RT"));
        let found = if is_threaded { "in threads" } else { "not in threads" }.to_owned();
        let mend = "add threadirqs to GRUB_CMDLINE_LINUX in /etc/default/grub; sudo update-grub; reboot";
        Some(finding("interrupts", found, is_threaded, mend))
    }

    fn governor(&self) -> Option<Finding> {
        let of = |cpu: String| self.read(&format!("sys/devices/system/cpu/{cpu}/cpufreq/scaling_governor"));
        let mut governors: Vec<String> =
            self.list("sys/devices/system/cpu").into_iter().filter_map(of).collect();
        governors.sort();
        governors.dedup();
        // A machine that does not change its clock needs no governor.
        if governors.is_empty() {
            return Some(finding("processor clock", "fixed".to_owned(), true, ""));
        }
        let is_fine = governors == ["performance"];
        let mend = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor";
        Some(finding("processor clock", governors.join(", "), is_fine, mend))
    }

    fn clock(&self) -> Option<Finding> {
        let folder = "sys/devices/system/clocksource/clocksource0";
        let source = self.read(&format!("{folder}/current_clocksource"))?;
        let is_fine = !["hpet", "acpi_pm", "jiffies"].contains(&source.as_str());
        let mend = "it is slow to read: add tsc=reliable clocksource=tsc to the kernel's command line, if the machine allows";
        Some(finding("clock source", source, is_fine, mend))
    }

    fn swapping(&self) -> Option<Finding> {
        let swappiness: u32 = self.read("proc/sys/vm/swappiness")?.parse().ok()?;
        let has_swap = self.read("proc/swaps").is_some_and(|swaps| swaps.lines().count() > 1);
        let found = if has_swap { format!("swappiness {swappiness}") } else { "no swap".to_owned() };
        let mend = "echo vm.swappiness=10 | sudo tee /etc/sysctl.d/90-audio.conf; sudo sysctl --system";
        Some(finding("swap", found, !has_swap || swappiness <= 10, mend))
    }

    fn cards(&self) -> Option<Finding> {
        let cards = self.read("proc/asound/cards").unwrap_or_default();
        let names: Vec<&str> = cards
            .lines()
            .filter_map(|line| line.split('[').nth(1)?.split(']').next().map(str::trim))
            .collect();
        let found = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        // A station on a network or on the null backend has none, and needs none.
        Some(finding("sound cards", found, true, ""))
    }

    fn sequencer(&self) -> Option<Finding> {
        let is_there = self.has("dev/snd/seq");
        let found = if is_there { "there" } else { "not there" }.to_owned();
        let mend = "for MIDI controllers on ALSA: sudo modprobe snd-seq";
        Some(finding("ALSA sequencer", found, is_there || !self.has("dev/snd"), mend))
    }

    fn servers(&self) -> Option<Finding> {
        let is_jack = |name: &String| name.starts_with("jack_") || name.starts_with("jack-shm");
        let has_jack = self.list("dev/shm").iter().any(is_jack);
        let has_pipewire =
            self.list("run/user").iter().any(|user| self.has(&format!("run/user/{user}/pipewire-0")));
        let found = match (has_jack, has_pipewire) {
            (true, true) => "JACK and PipeWire: both want the card",
            (true, false) => "JACK",
            (false, true) => "PipeWire",
            (false, false) => "none",
        };
        let mend =
            "let one of them have it: systemctl --user stop pipewire.socket pipewire, or jack_control stop";
        Some(finding("audio server", found.to_owned(), !(has_jack && has_pipewire), mend))
    }
}

fn finding(what: &'static str, found: String, is_fine: bool, mend: &str) -> Finding {
    Finding { what, found, mend: (!is_fine).then(|| mend.to_owned()) }
}

/// Whether what a station keeps has its place, and room there.
pub fn place() -> Finding {
    let Some(folder) = state::folder() else {
        return finding(
            "state folder",
            "none".to_owned(),
            false,
            "set HOME, XDG_STATE_HOME or STATE_DIRECTORY",
        );
    };
    let shown = folder.display().to_string();
    let mend = format!("mkdir -p {shown}, and let it be yours");
    if let Err(error) = fs::create_dir_all(&folder) {
        return finding("state folder", format!("{shown}: {error}"), false, &mend);
    }
    match rustix::fs::statvfs(&folder) {
        Ok(disk) => {
            let free = disk.f_bavail * disk.f_frsize;
            let found = format!("{shown}, {} MiB free", free >> 20);
            finding("state folder", found, free >= FREE, "make room on that disk")
        }
        Err(error) => finding("state folder", format!("{shown}: {error}"), false, &mend),
    }
}
