//! Which JACK library is loaded: it decides whose server is reached. Once loaded it stays until the process ends.
//!
//! The `jack` crate loads `libjack.so.0` by that name. What has been loaded under the name before, from wherever, is what
//! it is then given.

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

/// Where packages put PipeWire's; the linker fills in what `$LIB` is on this machine. Last the system's own: it may be
/// PipeWire's.
const PIPEWIRE: [&str; 6] = [
    "/usr/$LIB/pipewire-0.3/jack/libjack.so.0",
    "/usr/lib64/pipewire-0.3/jack/libjack.so.0",
    "/usr/lib/pipewire-0.3/jack/libjack.so.0",
    "/usr/local/$LIB/pipewire-0.3/jack/libjack.so.0",
    "/usr/local/lib/pipewire-0.3/jack/libjack.so.0",
    JACK_LIB,
];

/// The library that is loaded.
pub(super) struct Loaded {
    version: String,
}

impl Loaded {
    /// Whether it leads to PipeWire.
    pub(super) fn is_pipewire(&self) -> bool {
        self.version.contains("PipeWire")
    }

    /// No server answers: what is missing, and what to do.
    pub(super) fn no_server(&self, why: String) -> BackendError {
        if self.is_pipewire() {
            let mend = "start it (systemctl --user start pipewire wireplumber), or set XDG_RUNTIME_DIR";
            return BackendError::NoServer { server: "PipeWire", why, mend: mend.to_owned() };
        }
        let mut mend = "start one (for example \"jackd -d alsa\"), or set JACK_DEFAULT_SERVER".to_owned();
        if is_pipewire_there() {
            mend.push_str(
                "; PipeWire runs here: \"jack: {library: pipewire}\" in the station plays through it",
            );
        }
        BackendError::NoServer { server: "JACK server", why, mend }
    }
}

/// Whether PipeWire can be reached by this user.
fn is_pipewire_there() -> bool {
    let folders = ["PIPEWIRE_RUNTIME_DIR", "XDG_RUNTIME_DIR"].into_iter().filter_map(env::var_os);
    folders.map(PathBuf::from).any(|folder| folder.join("pipewire-0").exists())
}

/// Loads the library that the station wants, or gives the one that is loaded.
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
    // The same name may have been loaded from elsewhere before, or the file may not bear it.
    let is_other = match library {
        Library::System => false,
        Library::Pipewire => mapped.len() > 1,
        Library::File(path) => mapped.iter().any(|file| fs::canonicalize(path).ok().as_ref() != Some(file)),
    };
    if is_other {
        let found: Vec<_> = mapped.iter().map(|file| shown(file)).collect();
        let (place, found) = (shown(Path::new(place)), found.join(" and "));
        return Err(format!(
            "{place} does not stand for {JACK_LIB}: {found} would be used; name a {JACK_LIB}"
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

/// Loads a library for good. Gives the version that it says it is.
fn open(place: &OsStr) -> Result<Option<String>, String> {
    // SAFETY: what runs at loading is what runs in every program that uses this JACK library; the file is the
    // system's, PipeWire's, or the one that the station names for it.
    let library = unsafe { unix::Library::open(Some(place), unix::RTLD_NOW | unix::RTLD_LOCAL) }
        .map_err(|error| error.source().map_or_else(|| error.to_string(), ToString::to_string))?;
    // SAFETY: JACK's interface declares it as a function of nothing that gives a string which is never freed.
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
