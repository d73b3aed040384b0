//! Whether a test may have real time, and commands that may not.

use std::process::{Command, Stdio};

/// A bus that is nowhere.
pub const NO_BUS: &str = "unix:path=/nonexistent/bus";

/// Whether a process may have real time here, by other means than ours. Says where not.
pub fn has_rights() -> bool {
    let tried = Command::new("chrt").args(["-f", "1", "true"]).stderr(Stdio::null()).status();
    let may = tried.expect("chrt: install util-linux").success();
    if !may {
        eprintln!("skipped: no right to real time here");
    }
    may
}

/// Whether this is root. Says where not.
pub fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("skipped: root is needed");
    }
    is_root
}

/// Makes a command run through another one, which becomes it, with a system bus at `bus`.
pub fn through(command: &mut Command, program: &str, first: &[&str], bus: &str) {
    let mut outer = Command::new(program);
    outer.args(first).arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(key, value),
            None => outer.env_remove(key),
        };
    }
    outer.env("DBUS_SYSTEM_BUS_ADDRESS", bus);
    outer.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    *command = outer;
}

/// Makes a command run without any right to real time of its own.
pub fn without_rights(command: &mut Command, bus: &str) {
    match is_root() {
        // Root goes beyond the limits by a capability.
        true => through(command, "setpriv", &["--bounding-set=-sys_nice", "--inh-caps=-sys_nice", "--"], bus),
        false => through(command, "prlimit", &["--rtprio=0:0", "--"], bus),
    }
}
