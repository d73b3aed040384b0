//! The limits of this user and of running stations: real-time priority and locked memory.

use super::machine::Machine;
use super::{Finding, PRIORITY, finding};
use crate::audio::realtime::sched::group_without_budget;

/// Memory that a process should be able to lock, in bytes: a JACK server's shared memory alone is above 100 MB.
const LOCKED: u64 = 512 << 20;
/// Capabilities that replace the limits, as bits in `/proc/PID/status`.
const IPC_LOCK: u64 = 1 << 14;
const SYS_NICE: u64 = 1 << 23;

impl Machine {
    fn may_be_real_time(&self) -> bool {
        self.priority.is_none_or(|most| most >= PRIORITY)
    }

    pub(super) fn real_time(&self) -> Option<Finding> {
        let found = self.priority.map_or("unlimited".to_owned(), |most| format!("up to {most}"));
        let fix = "printf '@audio - rtprio 95\\n@audio - memlock unlimited\\n' | sudo tee /etc/security/limits.d/lacquer.conf; \
                    sudo usermod -aG audio $USER; then log in again (a service: LimitRTPRIO=95)";
        Some(finding("real-time priority", found, self.may_be_real_time(), fix))
    }

    pub(super) fn locked_memory(&self) -> Option<Finding> {
        let found = self.locked.map_or("unlimited".to_owned(), |most| format!("up to {} MiB", most >> 20));
        let is_fine = self.locked.is_none_or(|most| most >= LOCKED);
        let fix = "printf '@audio - rtprio 95\\n@audio - memlock unlimited\\n' | sudo tee /etc/security/limits.d/lacquer.conf; \
                    sudo usermod -aG audio $USER; then log in again (a service: LimitMEMLOCK=infinity)";
        Some(finding("locked memory", found, is_fine, fix))
    }

    pub(super) fn share(&self) -> Option<Finding> {
        let runtime: i64 = self.read("proc/sys/kernel/sched_rt_runtime_us")?.parse().ok()?;
        let found = if runtime < 0 { "off".to_owned() } else { format!("{} ms a second", runtime / 1_000) };
        let fix = "sudo sysctl kernel.sched_rt_runtime_us=950000";
        Some(finding("real-time share", found, !(0..500_000).contains(&runtime), fix))
    }

    /// With RT_GROUP_SCHED a group without a budget gets no real-time priority, whatever the limits are.
    pub(super) fn control_group(&self) -> Option<Finding> {
        let groups = self.read("proc/self/cgroup")?;
        Some(match group_without_budget(&self.root) {
            None => finding("control group", "may use real time", true, ""),
            Some(group) => {
                let line =
                    groups.lines().find(|line| line.ends_with(&format!(":{group}")) && line.contains("cpu"));
                let controllers = line.and_then(|line| line.split(':').nth(1)).unwrap_or("cpu").to_owned();
                let fix =
                    format!("echo 400000 | sudo tee /sys/fs/cgroup/{controllers}{group}/cpu.rt_runtime_us");
                finding("control group", format!("{group} has no real-time budget"), false, fix)
            }
        })
    }

    /// rtkit gives real-time priority to users whose limits do not allow it.
    pub(super) fn rtkit(&self) -> Option<Finding> {
        let places = ["usr/libexec/rtkit-daemon", "usr/lib/rtkit/rtkit-daemon", "usr/lib/rtkit-daemon"];
        let is_installed = places.iter().any(|place| self.has(place));
        let has_bus = self.has("run/dbus/system_bus_socket");
        let (found, fix) = match (is_installed, has_bus) {
            (true, true) => ("installed", ""),
            (true, false) => {
                ("installed, but there is no system bus", "sudo apt install dbus; sudo systemctl start dbus")
            }
            (false, _) => ("not installed", "sudo apt install rtkit"),
        };
        let is_needed = !self.may_be_real_time();
        let found = if is_needed { found.to_owned() } else { format!("{found}; not needed") };
        Some(finding("rtkit", found, !is_needed || fix.is_empty(), fix))
    }

    /// The limits of running stations: a service has other limits than this user.
    pub(super) fn running(&self) -> Option<Finding> {
        let mut found = Vec::new();
        let mut fixes = Vec::new();
        for process in self.processes().filter(|process| process.name == "lacquer") {
            let pid = process.pid;
            let command = self.read(&format!("proc/{pid}/cmdline")).unwrap_or_default();
            if !command.split('\0').any(|word| word == "run") {
                continue;
            }
            let limits = self.read(&format!("proc/{pid}/limits")).unwrap_or_default();
            let may = |name: &str, wanted: u64, capability: u64| {
                let line = limits.lines().find_map(|line| line.strip_prefix(name));
                let hard = line.and_then(|line| line.split_whitespace().nth(1));
                let is_enough = |hard: &str| hard.parse().map_or(true, |hard: u64| hard >= wanted);
                hard.is_none_or(is_enough) || self.capabilities(pid) & capability != 0
            };
            let has_priority = may("Max realtime priority", PRIORITY, SYS_NICE);
            let has_memory = may("Max locked memory", LOCKED, IPC_LOCK);
            let words = match (has_priority, has_memory) {
                (true, true) => "limits are sufficient",
                (false, true) => "RLIMIT_RTPRIO too low",
                (true, false) => "RLIMIT_MEMLOCK too low",
                (false, false) => "RLIMIT_RTPRIO and RLIMIT_MEMLOCK too low",
            };
            found.push(format!("process {pid}: {words}"));
            if !(has_priority && has_memory) {
                fixes.push(self.raise_limits(pid));
            }
        }
        let is_fine = fixes.is_empty();
        (!found.is_empty()).then(|| finding("stations that run", found.join(", "), is_fine, fixes.join("; ")))
    }

    fn capabilities(&self, pid: u32) -> u64 {
        let status = self.read(&format!("proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
    }

    /// How to raise a process's limits: in its unit, if systemd started it.
    fn raise_limits(&self, pid: u32) -> String {
        let groups = self.read(&format!("proc/{pid}/cgroup")).unwrap_or_default();
        let group = groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default();
        let unit = group.rsplit('/').next().filter(|unit| unit.ends_with(".service"));
        match unit {
            // A user's unit cannot have higher limits than the user.
            Some(unit) if !group.contains("/user@") => format!(
                "sudo mkdir -p /etc/systemd/system/{unit}.d; printf '[Service]\\nLimitRTPRIO=95\\nLimitMEMLOCK=infinity\\n' | \
                 sudo tee /etc/systemd/system/{unit}.d/limits.conf; sudo systemctl daemon-reload; sudo systemctl restart {unit}"
            ),
            _ => "raise the limits of its user as above, then restart it".to_owned(),
        }
    }
}
