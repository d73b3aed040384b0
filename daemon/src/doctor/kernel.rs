//! The kernel, the processors and the memory.

use super::machine::Machine;
use super::{Finding, finding};

/// The command that adds an option to the kernel's command line.
fn boot_with(option: &str) -> String {
    format!(
        "sudo sed -i 's/^GRUB_CMDLINE_LINUX=\"/&{option} /' /etc/default/grub; sudo update-grub; sudo reboot"
    )
}

impl Machine {
    fn version(&self) -> Option<String> {
        self.read("proc/version")
    }

    fn is_booted_with(&self, option: &str) -> bool {
        self.read("proc/cmdline").is_some_and(|line| line.split(' ').any(|word| word == option))
    }

    pub(super) fn kernel(&self) -> Option<Finding> {
        let version = self.version()?;
        let release = version.split(' ').nth(2).unwrap_or_default().to_owned();
        let (kind, is_fine) = match () {
            () if version.contains("PREEMPT_RT") => ("real-time", true),
            () if version.contains("PREEMPT_DYNAMIC") => match self.preemption(&release) {
                Some(false) => ("preemptible, but booted without preempt=full", false),
                Some(true) => ("preemptible", true),
                None => ("preemption chosen at boot", true),
            },
            () if version.contains("PREEMPT") => ("preemptible", true),
            () => ("not preemptible", false),
        };
        let fix = match version.contains("PREEMPT_DYNAMIC") {
            true => format!("needed for small blocks: {}", boot_with("preempt=full")),
            false => {
                "small blocks need a preemptible kernel: sudo apt install linux-image-rt-amd64; sudo reboot"
                    .to_owned()
            }
        };
        Some(finding("kernel", format!("{release}, {kind}"), is_fine, fix))
    }

    /// Whether a kernel with PREEMPT_DYNAMIC is preemptible now; `None` if that is not known.
    fn preemption(&self, release: &str) -> Option<bool> {
        // As in "none voluntary (full)": the active mode is in brackets. Only root can read it.
        if let Some(modes) = self.read("sys/kernel/debug/sched/preempt") {
            return Some(modes.contains("(full)") || modes.contains("(lazy)"));
        }
        if self.is_booted_with("preempt=full") || self.is_booted_with("preempt=lazy") {
            return Some(true);
        }
        let config = self.read(&format!("boot/config-{release}"))?;
        Some(config.lines().any(|line| line == "CONFIG_PREEMPT=y" || line == "CONFIG_PREEMPT_LAZY=y"))
    }

    pub(super) fn interrupts(&self) -> Option<Finding> {
        self.read("proc/cmdline")?;
        let is_threaded = self.is_booted_with("threadirqs")
            || self.version().is_some_and(|version| version.contains("PREEMPT_RT"));
        let found = if is_threaded { "threaded" } else { "not threaded" };
        Some(finding("interrupts", found, is_threaded, boot_with("threadirqs")))
    }

    pub(super) fn governor(&self) -> Option<Finding> {
        let cpus = self.list("sys/devices/system/cpu");
        let of =
            |cpu: &String, file: &str| self.read(&format!("sys/devices/system/cpu/{cpu}/cpufreq/{file}"));
        let mut governors: Vec<String> = cpus.iter().filter_map(|cpu| of(cpu, "scaling_governor")).collect();
        governors.sort();
        governors.dedup();
        // A machine with a fixed clock needs no governor.
        if governors.is_empty() {
            return Some(finding("processor clock", "fixed", true, ""));
        }
        if governors != ["performance"] {
            // A file that systemd also applies at the next boot.
            let file = "/etc/tmpfiles.d/audio-governor.conf";
            let fix = format!(
                "echo 'w /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor - - - - performance' | sudo tee {file}; \
                 sudo systemd-tmpfiles --create {file}"
            );
            return Some(finding("processor clock", governors.join(", "), false, fix));
        }
        let mhz = |cpu: &String, file: &str| of(cpu, file)?.parse::<u64>().ok().map(|khz| khz / 1_000);
        let slowed = cpus.iter().find_map(|cpu| {
            let (most, can) = (mhz(cpu, "scaling_max_freq")?, mhz(cpu, "cpuinfo_max_freq")?);
            (most < can).then_some((cpu, most, can))
        });
        Some(match slowed {
            None => finding("processor clock", "performance", true, ""),
            Some((cpu, most, can)) => {
                let found = format!("performance, but {cpu} is limited to {most} of {can} MHz");
                let fix = "for cpu in /sys/devices/system/cpu/cpu*/cpufreq; \
                            do sudo tee $cpu/scaling_max_freq < $cpu/cpuinfo_max_freq; done";
                finding("processor clock", found, false, fix)
            }
        })
    }

    /// Always fine: information for users who reserve processors for the audio thread.
    pub(super) fn isolation(&self) -> Option<Finding> {
        let online = self.read("sys/devices/system/cpu/online")?;
        let isolated = self.read("sys/devices/system/cpu/isolated").filter(|cpus| !cpus.is_empty());
        let isolated = isolated.map_or("none".to_owned(), |cpus| cpus);
        Some(finding("processors", format!("{online}; isolated: {isolated}"), true, ""))
    }

    pub(super) fn clock(&self) -> Option<Finding> {
        let folder = "sys/devices/system/clocksource/clocksource0";
        let source = self.read(&format!("{folder}/current_clocksource"))?;
        let is_slow = |source: &str| ["hpet", "acpi_pm", "jiffies"].contains(&source);
        let available = self.read(&format!("{folder}/available_clocksource")).unwrap_or_default();
        // The kernel has found the processor's own counter (TSC) unstable and does not use it.
        let fix = match available.split(' ').find(|source| !is_slow(source) && !source.is_empty()) {
            Some(better) => {
                format!("this one is slow to read: echo {better} | sudo tee /{folder}/current_clocksource")
            }
            None => format!("this one is slow to read: {}", boot_with("tsc=reliable clocksource=tsc")),
        };
        let is_fine = !is_slow(&source);
        Some(finding("clock source", source, is_fine, fix))
    }

    pub(super) fn swapping(&self) -> Option<Finding> {
        let swappiness: u32 = self.read("proc/sys/vm/swappiness")?.parse().ok()?;
        let has_swap = self.read("proc/swaps").is_some_and(|swaps| swaps.lines().count() > 1);
        let found = if has_swap { format!("swappiness {swappiness}") } else { "no swap".to_owned() };
        let fix = "echo vm.swappiness=10 | sudo tee /etc/sysctl.d/90-audio.conf; sudo sysctl --system";
        Some(finding("swap", found, !has_swap || swappiness <= 10, fix))
    }
}
