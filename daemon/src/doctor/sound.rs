//! Sound cards, the processes that use them, and the audio servers.

use super::machine::{Machine, Process};
use super::{Finding, finding};

/// Most frames a PipeWire cycle should have: 43 ms at 48 kHz.
const QUANTUM: u32 = 2_048;
/// The processes that may use a card: the audio servers, and a station itself.
const SERVERS: [&str; 6] = ["jackd", "jackdbus", "pipewire", "wireplumber", "pulseaudio", "lacquer"];

impl Machine {
    pub(super) fn cards(&self) -> Option<Finding> {
        let cards = self.read("proc/asound/cards").unwrap_or_default();
        let names: Vec<&str> = cards
            .lines()
            .filter_map(|line| line.split('[').nth(1)?.split(']').next().map(str::trim))
            .collect();
        let found = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        // Always fine: a station on a network or on the null backend needs no card.
        Some(finding("sound cards", found, true, ""))
    }

    /// The processes that use cards: no other process can open them meanwhile.
    pub(super) fn cards_in_use(&self) -> Option<Finding> {
        let mut owners: Vec<(u32, String, String)> = Vec::new();
        for card in self.list("proc/asound").into_iter().filter(|name| name.starts_with("card")) {
            for pcm in self.list(format!("proc/asound/{card}")) {
                for sub in self.list(format!("proc/asound/{card}/{pcm}")) {
                    let status = self.read(&format!("proc/asound/{card}/{pcm}/{sub}/status"));
                    let owner = status.as_deref().and_then(|status| {
                        let line = status.lines().find(|line| line.starts_with("owner_pid"))?;
                        line.split(':').nth(1)?.trim().parse().ok()
                    });
                    if let Some(thread) = owner {
                        let (pid, name) = self.process_of(thread);
                        owners.push((pid, name, card.clone()));
                    }
                }
            }
        }
        owners.sort();
        owners.dedup();
        if owners.is_empty() {
            return self.has("proc/asound/cards").then(|| finding("cards in use", "none", true, ""));
        }
        let found: Vec<_> =
            owners.iter().map(|(pid, name, card)| format!("{card} by {name} ({pid})")).collect();
        let foreign: Vec<_> = owners
            .iter()
            .filter(|(_, name, _)| !SERVERS.contains(&name.as_str()))
            .map(|owner| owner.0)
            .collect();
        let pids: Vec<_> = foreign.iter().map(u32::to_string).collect();
        let fix = format!(
            "no other program can use the card; end the program that holds it (kill {}), or set it to play through the audio server",
            pids.join(" ")
        );
        Some(finding("cards in use", found.join(", "), foreign.is_empty(), fix))
    }

    /// The process of a thread (a card's owner is a thread), and its name.
    fn process_of(&self, thread: u32) -> (u32, String) {
        let status = self.read(&format!("proc/{thread}/status")).unwrap_or_default();
        let group = status.lines().find_map(|line| line.strip_prefix("Tgid:")).map(str::trim);
        let pid = group.and_then(|group| group.parse().ok()).unwrap_or(thread);
        let name = self.read(&format!("proc/{pid}/comm"));
        (pid, name.unwrap_or_else(|| "an unknown process".to_owned()))
    }

    pub(super) fn sequencer(&self) -> Option<Finding> {
        let is_loaded = self.has("dev/snd/seq");
        let found = if is_loaded { "loaded" } else { "not loaded" };
        let fix = "needed for MIDI controllers on ALSA: sudo modprobe snd-seq; echo snd-seq | sudo tee /etc/modules-load.d/snd-seq.conf";
        Some(finding("ALSA sequencer", found, is_loaded || !self.has("dev/snd"), fix))
    }

    /// Whether JACK and PipeWire seem to run: their shared memory or socket exists.
    pub(super) fn running_servers(&self) -> (bool, bool) {
        let is_jack = |name: &String| name.starts_with("jack_") || name.starts_with("jack-shm");
        let has_jack = self.list("dev/shm").iter().any(is_jack);
        let of_user = |user: &String| self.has(&format!("run/user/{user}/pipewire-0"));
        (has_jack, self.list("run/user").iter().any(of_user))
    }

    pub(super) fn servers(&self) -> Option<Finding> {
        let (has_jack, has_pipewire) = self.running_servers();
        let found = match (has_jack, has_pipewire) {
            (true, true) => "JACK and PipeWire: both use the sound card",
            (true, false) => "JACK",
            (false, true) => "PipeWire",
            (false, false) => "none",
        };
        let fix = "stop one of them: systemctl --user mask --now pipewire.socket pipewire wireplumber, \
                    or jack_control exit (jackd by hand: pkill -x jackd)";
        Some(finding("audio server", found, !(has_jack && has_pipewire), fix))
    }

    /// The first process of one of these names.
    pub(super) fn process(&self, names: &[&str]) -> Option<Process> {
        self.processes().find(|process| names.contains(&process.name.as_str()))
    }

    pub(super) fn jack(&self) -> Option<Finding> {
        let process = self.process(&["jackd", "jackdbus"]);
        let policy = process.as_ref().and_then(|process| self.real_time_of(process));
        let mut words = Vec::new();
        if let Some((rate, block)) = self.answers.jack {
            words.push(format!("{rate} Hz, blocks of {block} = {:.1} ms", block as f64 * 1_000.0 / rate));
        } else if process.is_some() {
            words.push("does not answer; it may run for another user".to_owned());
        }
        words.extend(policy.map(|policy| match policy.is_real_time() {
            true => policy.to_string(),
            false => "no real-time priority".to_owned(),
        }));
        let is_fine = policy.is_none_or(|policy| policy.is_real_time());
        let fix = "sudo dpkg-reconfigure -p high jackd2 (answer yes), log in again, and start it with -R: jackd -R -P 75 -d alsa";
        (!words.is_empty()).then(|| finding("JACK", words.join(", "), is_fine, fix))
    }

    pub(super) fn pipewire(&self) -> Option<Finding> {
        let policy = self.real_time_of(&self.process(&["pipewire"])?)?;
        let found =
            if policy.is_real_time() { policy.to_string() } else { "no real-time priority".to_owned() };
        let fix = "sudo usermod -aG pipewire $USER; log in again (or: sudo apt install rtkit; systemctl --user restart pipewire)";
        Some(finding("PipeWire", found, policy.is_real_time(), fix))
    }

    /// Stations connect to PipeWire through its JACK library.
    pub(super) fn library(&self) -> Option<Finding> {
        let (_, has_pipewire) = self.running_servers();
        let has_library = |folder: &String| self.has(&format!("usr/lib/{folder}/pipewire-0.3/jack"));
        let is_installed =
            self.list("usr/lib").iter().any(has_library) || self.has("usr/lib/pipewire-0.3/jack");
        let found = if is_installed { "installed" } else { "not installed" };
        has_pipewire.then(|| {
            finding("PipeWire's JACK library", found, is_installed, "sudo apt install pipewire-jack")
        })
    }

    pub(super) fn quantum(&self) -> Option<Finding> {
        let settings = self.answers.pipewire.as_deref()?;
        // As in: update: id:0 key:'clock.rate' value:'48000' type:''
        let value = |key: &str| {
            let line = settings.lines().find(|line| line.contains(&format!("key:'{key}'")))?;
            line.split("value:'").nth(1)?.split('\'').next()
        };
        let number = |key: &str| value(key)?.parse::<u32>().ok().filter(|number| *number > 0);
        let rate = number("clock.force-rate").or_else(|| number("clock.rate"))?;
        let quantum = number("clock.force-quantum").or_else(|| number("clock.quantum"))?;
        let mut found = format!("{quantum} frames at {rate} Hz");
        if let Some((least, most)) = number("clock.min-quantum").zip(number("clock.max-quantum")) {
            found += &format!(", {least} to {most}");
        }
        if let Some(rates) = value("clock.allowed-rates") {
            found += &format!("; rates {rates}");
        }
        let fix = "pw-metadata -n settings 0 clock.force-quantum 1024";
        Some(finding("PipeWire's quantum", found, quantum <= QUANTUM, fix))
    }

    /// Without lingering, a user's services run only while the user is logged in.
    pub(super) fn linger(&self) -> Option<Finding> {
        let (user, folder) = self.user.as_ref()?;
        let units = self.list(folder.join(".config/systemd/user/default.target.wants"));
        let is_ours = |unit: &String| unit.starts_with("lacquer@");
        let is_on = self.has(&format!("var/lib/systemd/linger/{user}"));
        let found = match is_on {
            true => "on".to_owned(),
            false => format!("off: the stations of {user} play only while {user} is logged in"),
        };
        units
            .iter()
            .any(is_ours)
            .then(|| finding("linger", found, is_on, format!("loginctl enable-linger {user}")))
    }
}
