//! Loads the JACK library, which decides whose server is reached. It stays loaded until the process ends.
//!
//! The `jack` crate loads `libjack.so.0` by that name. If a library of that name has been loaded before, from any
//! place, the crate gets that one.

use crate::audio::backend::BackendError;
use crate::process::named::shown;
use crate::station::jack::Library;
use jack::jack_sys::JACK_LIB;
use libloading::os::unix;
use std::error::Error;
use std::ffi::{CStr, OsStr, c_char};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{env, fs};
use tracing::info;

/// Where packages install PipeWire's library; the linker replaces `$LIB`. The last one is the system's own, which may
/// be PipeWire's.
const PIPEWIRE: [&str; 6] = [
    "/usr/$LIB/pipewire-0.3/jack/libjack.so.0",
    "/usr/lib64/pipewire-0.3/jack/libjack.so.0",
    "/usr/lib/pipewire-0.3/jack/libjack.so.0",
    "/usr/local/$LIB/pipewire-0.3/jack/libjack.so.0",
    "/usr/local/lib/pipewire-0.3/jack/libjack.so.0",
    JACK_LIB,
];

/// The loaded library.
pub(super) struct Loaded {
    version: String,
}

impl Loaded {
    /// Whether it is PipeWire's.
    pub(super) fn is_pipewire(&self) -> bool {
        self.version.contains("PipeWire")
    }

    /// The error for a server that does not answer: what is missing, and what to do.
    pub(super) fn no_server(&self, why: String) -> BackendError {
        if self.is_pipewire() {
            let fix = "start it (systemctl --user start pipewire wireplumber), or set XDG_RUNTIME_DIR";
            return BackendError::NoServer { server: "PipeWire", why, fix: fix.to_owned() };
        }
        let mut fix = "start one (for example \"jackd -d alsa\"), or set JACK_DEFAULT_SERVER".to_owned();
        if pipewire_runs() {
            fix.push_str("; or use PipeWire, which runs here: \"jack: {library: pipewire}\" in the station");
        }
        BackendError::NoServer { server: "JACK server", why, fix }
    }
}

/// Whether PipeWire runs for this user.
fn pipewire_runs() -> bool {
    let folders = ["PIPEWIRE_RUNTIME_DIR", "XDG_RUNTIME_DIR"].into_iter().filter_map(env::var_os);
    folders.map(PathBuf::from).any(|folder| folder.join("pipewire-0").exists())
}

/// Loads the library that the station names, or returns the one that is loaded.
pub(super) fn load(library: &Library) -> Result<&'static Loaded, BackendError> {
    static LOADED: OnceLock<Result<Loaded, String>> = OnceLock::new();
    let loaded = LOADED.get_or_init(|| find(library));
    loaded.as_ref().map_err(|why| BackendError::NoLibrary(why.clone()))
}

fn find(library: &Library) -> Result<Loaded, String> {
    let places: Vec<&OsStr> = match library {
        Library::System => vec![OsStr::new(JACK_LIB)],
        Library::Pipewire => PIPEWIRE.iter().map(OsStr::new).collect(),
        Library::File(path) => vec![path.as_os_str()],
    };
    let mut failures = Vec::new();
    let (place, version) = places
        .into_iter()
        .find_map(|place| match open(place) {
            Ok(version) => Some((place, version)),
            Err(why) => {
                failures.push(why);
                None
            }
        })
        .ok_or_else(|| match library {
            Library::Pipewire => {
                format!("{}; install PipeWire's (Debian: pipewire-jack)", failures.join("; "))
            }
            _ => format!(
                "{}; install one (Debian: libjack-jackd2-0), or for PipeWire pipewire-jack and write \"jack: {{library: \
                 pipewire}}\" in the station",
                failures.join("; ")
            ),
        })?;
    let loaded = Loaded { version: version.clone().unwrap_or_else(|| "unknown".to_owned()) };
    if *library == Library::Pipewire && !loaded.is_pipewire() {
        return Err(format!("{} is not PipeWire's; install pipewire-jack", shown(Path::new(place))));
    }
    jack::jack_sys::library().map_err(|error| error.to_string())?;
    let mapped = mapped();
    // A library of that name may have been loaded before, or the file may have another name.
    let is_other = match library {
        Library::System => false,
        Library::Pipewire => mapped.len() > 1,
        Library::File(path) => mapped.iter().any(|file| fs::canonicalize(path).ok().as_ref() != Some(file)),
    };
    if is_other {
        let found: Vec<_> = mapped.iter().map(|file| shown(file)).collect();
        let (place, found) = (shown(Path::new(place)), found.join(" and "));
        return Err(format!(
            "{place} cannot serve as {JACK_LIB}: {found} would be loaded instead; name a file called {JACK_LIB}"
        ));
    }
    let file = mapped.first().map_or_else(|| place.to_string_lossy(), |file| file.to_string_lossy());
    info!("JACK library {file}, version {}", loaded.version);
    Ok(loaded)
}

/// The JACK libraries in this process.
fn mapped() -> Vec<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let files = maps.lines().filter_map(|line| line.find('/').map(|at| PathBuf::from(&line[at..])));
    let is_jack = |file: &PathBuf| {
        file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libjack.so"))
    };
    let mut files: Vec<PathBuf> = files.filter(is_jack).collect();
    files.dedup();
    files
}

/// Loads a library, never to be unloaded. Returns its version.
fn open(place: &OsStr) -> Result<Option<String>, String> {
    // SAFETY: loading runs the same code as in every program that uses this JACK library; the file is the system's,
    // PipeWire's, or the one that the station names.
    let library = unsafe { unix::Library::open(Some(place), unix::RTLD_NOW | unix::RTLD_LOCAL) }
        .map_err(|error| error.source().map_or_else(|| error.to_string(), ToString::to_string))?;
    // SAFETY: JACK's interface declares it as a function without arguments that returns a string which is never freed.
    let version = unsafe {
        library
            .get::<unsafe extern "C" fn() -> *const c_char>("jack_get_version_string")
            .ok()
            .map(|version| CStr::from_ptr(version()).to_string_lossy().into_owned())
    };
    // The `jack` crate keeps pointers into it.
    std::mem::forget(library);
    Ok(version)
}
