//! Faults of threads on request, for tests: a development build with `LACQUER_FAULTS=stdin` reads them from standard
//! input, one a line: `panic NAME`, `hang NAME`, `go NAME`. Release builds have none of this.

#[cfg(debug_assertions)]
pub(crate) use development::{InjectedFaults, read_faults_from_stdin};
#[cfg(not(debug_assertions))]
pub use none::{InjectedFaults, read_faults_from_stdin};

#[cfg(not(debug_assertions))]
mod none {
    /// No faults in release builds.
    #[derive(Default)]
    pub struct InjectedFaults;

    impl InjectedFaults {
        #[inline]
        pub fn inject(&self, _name: &str) {}
    }

    /// Reads nothing.
    pub fn read_faults_from_stdin() {}
}

#[cfg(debug_assertions)]
mod development {
    use crate::process::supervise::{THREADS, lock};
    use std::io::BufRead;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::Duration;

    /// The faults that were requested for a thread.
    #[derive(Default)]
    pub(crate) struct InjectedFaults {
        panics: AtomicBool,
        hangs: AtomicBool,
    }

    impl InjectedFaults {
        /// Panics or hangs, as requested.
        pub(crate) fn inject(&self, name: &str) {
            assert!(!self.panics.swap(false, Ordering::Relaxed), "thread {name} was asked to panic");
            while self.hangs.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(5));
            }
        }
    }

    /// Reads faults on a thread of its own, if `LACQUER_FAULTS` asks for it.
    pub(crate) fn read_faults_from_stdin() {
        if std::env::var("LACQUER_FAULTS").is_ok_and(|from| from == "stdin") {
            thread::spawn(|| {
                std::io::stdin().lock().lines().map_while(Result::ok).for_each(|line| read(&line))
            });
        }
    }

    fn read(line: &str) {
        let Some((what, name)) = line.split_once(' ') else { return };
        let threads = lock(&THREADS);
        for thread in threads.iter().filter(|thread| thread.name == name) {
            match what {
                "panic" => thread.faults.panics.store(true, Ordering::Relaxed),
                "hang" => thread.faults.hangs.store(true, Ordering::Relaxed),
                _ => thread.faults.hangs.store(false, Ordering::Relaxed),
            }
        }
    }
}
