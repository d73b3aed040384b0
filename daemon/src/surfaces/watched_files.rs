//! What each watched file last was: a change counts when it has settled, a loss is logged once, and so is the return.

use super::lookup::{Found, Lost, Places, Stamp};
use crate::process::named::shown;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use tracing::{info, warn};

/// Time without changes before a file is read again: editors write in several steps.
const SETTLE: Duration = Duration::from_millis(100);

/// The watched files, as the station names them.
#[derive(Default)]
pub(super) struct WatchedFiles(BTreeMap<PathBuf, WatchedFile>);

/// What is known of a file.
struct WatchedFile {
    /// The station did not read it before this time of files.
    read_since: SystemTime,
    /// What it was when the station last read it, or is to read it.
    stamp: Option<Stamp>,
    /// Why it cannot be found.
    lost: Option<Lost>,
    /// What it was at the last look, where that is something else, and since when.
    unsettled: Option<(Result<Stamp, Lost>, Instant)>,
}

/// What has settled.
enum Settled {
    Changed,
    Lost(Lost),
    Returned(Lost),
}

/// What a look at all files has found.
#[derive(Default)]
pub(super) struct Look {
    /// Where the files were looked up.
    pub places: Places,
    /// Those that changed, and have settled.
    pub changed: BTreeSet<PathBuf>,
    /// When to look again at those that have not settled.
    pub again: Option<Instant>,
}

impl WatchedFiles {
    /// Watches `files`, and no others. Those that are new were read after `read_since`.
    pub(super) fn set(&mut self, files: BTreeSet<PathBuf>, read_since: SystemTime) {
        self.0.retain(|file, _| files.contains(file));
        for file in files {
            self.0.entry(file).or_insert(WatchedFile {
                read_since,
                stamp: None,
                lost: None,
                unsettled: None,
            });
        }
    }

    /// Looks at all files; before each it calls `beat`.
    pub(super) fn look(&mut self, now: Instant, mut beat: impl FnMut()) -> Look {
        let mut look = Look::default();
        let (mut lost, mut returned) = (BTreeMap::new(), BTreeMap::new());
        for (path, file) in &mut self.0 {
            beat();
            let found = look.places.find(path);
            let settled = file.compare(found, now);
            match settled {
                Some(Settled::Lost(lost_at)) => {
                    lost.entry(lost_at.at).or_insert((lost_at.why, Vec::new())).1.push(path)
                }
                Some(Settled::Returned(lost_at)) => {
                    returned.entry(lost_at.at).or_insert(Vec::new()).push(path);
                    look.changed.insert(path.clone());
                }
                Some(Settled::Changed) => drop(look.changed.insert(path.clone())),
                None => {}
            }
            let settles = file.unsettled.as_ref().map(|(_, since)| *since + SETTLE);
            look.again = look.again.into_iter().chain(settles).min();
        }
        for (at, (why, files)) in lost {
            let what = words(&at, "is lost", &files);
            warn!("{what}: {why}; chains play on as they were read, and read it again when it returns");
        }
        for (at, files) in returned {
            info!("{}", words(&at, "is found again", &files));
        }
        look
    }
}

/// What has become of a place, and of the files that are looked up there.
fn words(at: &Path, has_become: &str, files: &[&PathBuf]) -> String {
    let place = shown(at);
    match files {
        [file] if file.as_path() == at => format!("watched file {place} {has_become}"),
        [file] => format!("{place} {has_become}, and with it the watched file {}", shown(file)),
        files => format!("{place} {has_become}, and with it {} watched files", files.len()),
    }
}

impl WatchedFile {
    /// Compares what was found with what the file last was.
    fn compare(&mut self, found: Result<Found, Lost>, now: Instant) -> Option<Settled> {
        if let (Ok(found), None, None) = (&found, self.stamp, &self.lost)
            && found.changed < self.read_since
        {
            self.stamp = Some(found.stamp);
        }
        let found = found.map(|found| found.stamp);
        if self.is_known(&found) {
            self.unsettled = None;
            return None;
        }
        match &self.unsettled {
            Some((before, since)) if *before == found => {
                if now.duration_since(*since) < SETTLE {
                    return None;
                }
            }
            _ => {
                self.unsettled = Some((found, now));
                return None;
            }
        }
        self.unsettled = None;
        Some(match found {
            Ok(stamp) => {
                self.stamp = Some(stamp);
                // One that returns is read again even if it is the same: what was read of it may be older.
                self.lost.take().map_or(Settled::Changed, Settled::Returned)
            }
            Err(lost) => {
                self.lost = Some(lost.clone());
                Settled::Lost(lost)
            }
        })
    }

    fn is_known(&self, found: &Result<Stamp, Lost>) -> bool {
        match (found, &self.lost) {
            (Ok(stamp), None) => self.stamp == Some(*stamp),
            // When more of its path is lost, nothing new is; when a part has returned, the rest is.
            (Err(found), Some(lost)) => !found.at.starts_with(&lost.at) || found.at == lost.at,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A look at one file, `ms` after the first.
    fn look(files: &mut WatchedFiles, begin: Instant, ms: u64) -> (Vec<PathBuf>, bool) {
        let look = files.look(begin + Duration::from_millis(ms), || {});
        (look.changed.into_iter().collect(), look.again.is_some())
    }

    fn watched(file: &Path, read_since: SystemTime) -> WatchedFiles {
        let mut files = WatchedFiles::default();
        files.set(BTreeSet::from([file.to_owned()]), read_since);
        files
    }

    #[test]
    fn a_change_counts_once_when_it_has_settled() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        fs::write(&file, "1").unwrap();
        let later = SystemTime::now() + Duration::from_secs(60);
        let (mut files, begin) = (watched(&file, later), Instant::now());
        assert_eq!(look(&mut files, begin, 0), (vec![], false), "nothing has changed");
        fs::write(&file, "22").unwrap();
        assert_eq!(look(&mut files, begin, 1_000), (vec![], true));
        fs::write(&file, "333").unwrap();
        assert_eq!(look(&mut files, begin, 1_090), (vec![], true), "it changed again");
        assert_eq!(look(&mut files, begin, 1_180), (vec![], true));
        assert_eq!(look(&mut files, begin, 1_190), (vec![file], false));
        assert_eq!(look(&mut files, begin, 9_000), (vec![], false));
    }

    #[test]
    fn what_changed_after_the_station_read_it_and_before_the_first_look_counts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        let before = SystemTime::now() - Duration::from_secs(1);
        fs::write(&file, "1").unwrap();
        let (mut files, begin) = (watched(&file, before), Instant::now());
        assert_eq!(look(&mut files, begin, 0), (vec![], true));
        assert_eq!(look(&mut files, begin, 100), (vec![file], false));
    }

    #[test]
    fn a_file_that_returns_unchanged_is_read_again_and_one_away_for_a_moment_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let (file, away) = (folder.path().join("a.yaml"), folder.path().join("away"));
        fs::write(&file, "1").unwrap();
        let later = SystemTime::now() + Duration::from_secs(60);
        let (mut files, begin) = (watched(&file, later), Instant::now());
        look(&mut files, begin, 0);
        fs::rename(&file, &away).unwrap();
        assert_eq!(look(&mut files, begin, 100), (vec![], true));
        fs::rename(&away, &file).unwrap();
        assert_eq!(look(&mut files, begin, 150), (vec![], false), "it was away for a moment");
        fs::rename(&file, &away).unwrap();
        look(&mut files, begin, 200);
        assert_eq!(look(&mut files, begin, 300), (vec![], false));
        let known = files.0.get(&file).and_then(|file| file.lost.clone()).unwrap();
        assert_eq!((known.at, known.why.as_str()), (file.clone(), "no such file"));
        fs::rename(&away, &file).unwrap();
        look(&mut files, begin, 400);
        assert_eq!(look(&mut files, begin, 500), (vec![file], false));
    }

    #[test]
    fn of_a_folder_that_is_lost_and_returns_in_part_what_is_missing_is_lost_anew() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("in");
        let file = inner.join("a.yaml");
        let (mut files, begin) = (watched(&file, SystemTime::now()), Instant::now());
        let mut lost_at = |ms: u64| {
            look(&mut files, begin, ms);
            look(&mut files, begin, ms + 100);
            files.0.get(&file).and_then(|file| file.lost.clone()).map(|lost| lost.at)
        };
        assert_eq!(lost_at(0), Some(inner.clone()));
        fs::create_dir(&inner).unwrap();
        assert_eq!(lost_at(1_000), Some(file.clone()));
        fs::remove_dir(&inner).unwrap();
        assert_eq!(lost_at(2_000), Some(file.clone()), "it is logged once");
        fs::create_dir(&inner).unwrap();
        fs::write(&file, "1").unwrap();
        assert_eq!(lost_at(3_000), None);
    }

    #[test]
    fn a_loss_is_named_by_its_place() {
        let (a, b) = (PathBuf::from("/in/a.yaml"), PathBuf::from("/in/b.yaml"));
        let lost = |at: &Path, files: &[&PathBuf]| words(at, "is lost", files);
        assert_eq!(lost(&a, &[&a]), "watched file /in/a.yaml is lost");
        assert_eq!(lost(Path::new("/in"), &[&a]), "/in is lost, and with it the watched file /in/a.yaml");
        assert_eq!(lost(Path::new("/in"), &[&a, &b]), "/in is lost, and with it 2 watched files");
    }
}
