//! Faults of threads on demand, for tests: development builds with `LACQUER_FAULTS=stdin` read them from the standard
//! input, a line each: `panic NAME`, `hang NAME`, `go NAME`. Others have none.

#[cfg(debug_assertions)]
pub use development::{Wanted, obey_stdin};
#[cfg(not(debug_assertions))]
pub use none::{Wanted, obey_stdin};

#[cfg(not(debug_assertions))]
mod none {
    /// Nothing is wanted.
    #[derive(Default)]
    pub struct Wanted;

    impl Wanted {
        #[inline]
        pub fn obey(&self, _name: &str) {}
    }

    /// Reads nothing.
    pub fn obey_stdin() {}
}

#[cfg(debug_assertions)]
mod development {
    use crate::process::supervise::{THREADS, lock};
    use std::io::BufRead;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::Duration;

    /// What a thread is to do wrong.
    #[derive(Default)]
    pub struct Wanted {
        panics: AtomicBool,
        hangs: AtomicBool,
    }

    impl Wanted {
        /// Does it.
        pub fn obey(&self, name: &str) {
            assert!(!self.panics.swap(false, Ordering::Relaxed), "thread {name} was asked to panic");
            while self.hangs.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(5));
            }
        }
    }

    /// Reads faults on a thread of its own, where they are wanted.
    pub fn obey_stdin() {
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
                "panic" => thread.wanted.panics.store(true, Ordering::Relaxed),
                "hang" => thread.wanted.hangs.store(true, Ordering::Relaxed),
                _ => thread.wanted.hangs.store(false, Ordering::Relaxed),
            }
        }
    }
}
