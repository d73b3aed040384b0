//! Scenes: named sets of values, each of one chain or some of its nodes.

use crate::request::MOST_SCENES;
use crate::value::ParamValue;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;

/// Longest name of a scene, in characters.
const LONGEST_NAME: usize = 64;

/// A named set of values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scene {
    /// Its slot, 1 to [`MOST_SCENES`].
    pub slot: usize,
    /// Its name.
    pub name: String,
    /// The chain whose values it holds.
    pub chain: String,
    /// Values by their paths, as behind `/node`.
    pub values: BTreeMap<String, ParamValue>,
}

/// The scenes of a station, by slot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scenes {
    scenes: Vec<Scene>,
}

/// Why a scene was not saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SaveError {
    /// No scene can have this name.
    #[error("a scene's name has 1 to {LONGEST_NAME} characters")]
    Name,
    /// The name holds a control character.
    #[error("a scene's name holds no control characters (line ends, tabs)")]
    Control,
    /// There is no slot of this number.
    #[error("scenes are numbered from 1 to {MOST_SCENES}")]
    Number,
    /// No slot is free.
    #[error("there are {MOST_SCENES} scenes already")]
    Full,
}

impl Scenes {
    /// All, in the order of their slots.
    pub fn all(&self) -> &[Scene] {
        &self.scenes
    }

    /// The scene of this name, or of this number of a slot.
    pub fn find(&self, name: &str) -> Option<&Scene> {
        let slot = name.parse::<usize>().ok();
        self.scenes.iter().find(|scene| scene.name == name || Some(scene.slot) == slot)
    }

    /// Saves `values` under a name, or in the slot of a number, in place of the scene that is there.
    /// Returns its name.
    ///
    /// # Errors
    /// Why it cannot be saved: the name is not allowed, or all slots are used.
    pub fn save(
        &mut self,
        name: &str,
        chain: &str,
        values: BTreeMap<String, ParamValue>,
    ) -> Result<String, SaveError> {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > LONGEST_NAME {
            return Err(SaveError::Name);
        }
        if name.chars().any(char::is_control) {
            return Err(SaveError::Control);
        }
        let number = name.parse::<usize>().ok();
        if number.is_some_and(|slot| !(1..=MOST_SCENES).contains(&slot)) {
            return Err(SaveError::Number);
        }
        let known = self.find(name).map(|scene| (scene.slot, scene.name.clone()));
        let free = || (1..=MOST_SCENES).find(|slot| self.scenes.iter().all(|scene| scene.slot != *slot));
        let (slot, name) = match (known, number) {
            (Some(known), _) => known,
            (None, Some(slot)) => (slot, format!("Scene {slot}")),
            (None, None) => (free().ok_or(SaveError::Full)?, name.to_owned()),
        };
        self.insert(Scene { slot, name: name.clone(), chain: chain.to_owned(), values });
        Ok(name)
    }

    /// Inserts a scene in its slot, in place of one of the same slot or name.
    pub fn insert(&mut self, scene: Scene) {
        self.scenes.retain(|other| other.slot != scene.slot && other.name != scene.name);
        let at = self.scenes.partition_point(|other| other.slot < scene.slot);
        self.scenes.insert(at, scene);
    }

    /// Deletes a scene, and returns it.
    pub fn delete(&mut self, name: &str) -> Option<Scene> {
        let slot = self.find(name)?.slot;
        let at = self.scenes.iter().position(|scene| scene.slot == slot)?;
        Some(self.scenes.remove(at))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    #[test]
    fn scenes_are_found_by_name_and_by_number_and_replaced_in_place() {
        let mut scenes = Scenes::default();
        let values = |value: f64| BTreeMap::from([("/x".to_owned(), ParamValue::Number(value))]);
        assert_eq!(scenes.save("loud", "a", values(1.0)).unwrap(), "loud");
        assert_eq!(scenes.save("7", "a", values(2.0)).unwrap(), "Scene 7");
        assert_eq!(scenes.save("soft", "a", values(3.0)).unwrap(), "soft");
        assert_eq!(scenes.save("1", "a", values(4.0)).unwrap(), "loud");
        let slots: Vec<_> = scenes.all().iter().map(|scene| (scene.slot, scene.name.as_str())).collect();
        assert_eq!(slots, [(1, "loud"), (2, "soft"), (7, "Scene 7")]);
        assert_eq!(scenes.find("loud").unwrap().values, values(4.0));
        for (name, why) in [
            ("", "a scene's name has 1 to 64 characters"),
            ("  ", "a scene's name has 1 to 64 characters"),
            (&"x".repeat(65), "a scene's name has 1 to 64 characters"),
            ("a\tb", "a scene's name holds no control characters (line ends, tabs)"),
            ("a\u{7f}", "a scene's name holds no control characters (line ends, tabs)"),
            ("129", "scenes are numbered from 1 to 128"),
        ] {
            assert_eq!(scenes.save(name, "a", values(0.0)).unwrap_err().to_string(), why, "{name:?}");
        }
        assert!(scenes.save(&"ä".repeat(64), "a", values(0.0)).is_ok());
        assert!(scenes.delete(&"ä".repeat(64)).is_some());
        assert_eq!(scenes.delete("7").unwrap().name, "Scene 7");
        assert!(scenes.delete("7").is_none());
    }
}
