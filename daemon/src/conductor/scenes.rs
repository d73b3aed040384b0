//! Scenes: save, recall, delete, morph.

use super::Conductor;
use crate::conductor::chains::ChainError;
use crate::conductor::on_air::{Change, SetError};
use lacquer_control::desk::history::Gesture;
use lacquer_control::desk::scene::Scene;
use lacquer_control::peer::Peer;
use lacquer_control::request::SceneRequest;
use lacquer_control::subscribe::Recipients;
use lacquer_control::update::Update;
use lacquer_control::value::ParamValue;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use thiserror::Error;
use tracing::info;

/// Time between two steps of a morph; the ramps of the audio thread interpolate between them.
const MORPH_PERIOD: Duration = Duration::from_millis(10);
/// Slots that are always sent, empty or not: surfaces have buttons for them.
const MIN_SLOTS: usize = 8;

/// Why a scene was not recalled.
#[derive(Debug, Error)]
pub(super) enum RecallError {
    /// No scene of this name; the text names those there are.
    #[error("{0}")]
    Unknown(String),
    /// The chain of the scene cannot be planned with its values.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The chain on air cannot be planned with its values.
    #[error(transparent)]
    Set(#[from] SetError),
}

/// A running morph to a scene.
pub struct Morph {
    scene: String,
    by: Peer,
    values: Vec<MorphedValue>,
    since: Instant,
    duration: Duration,
    next: Instant,
}

/// One value of a morph. `from` and `to` are normalised along its taper.
struct MorphedValue {
    path: String,
    from: f64,
    to: f64,
    /// The target in its unit.
    value: f64,
    has_steps: bool,
    is_done: bool,
}

impl Conductor {
    pub(super) fn scene(&mut self, by: Peer, request: SceneRequest) {
        match request {
            SceneRequest::Save { name, nodes } => match self.save_scene(&name, &nodes) {
                Ok((name, chain)) => {
                    info!("scene \"{name}\" saved");
                    self.audit(by, &chain, &format!("scene {name}"), "", "saved");
                    if nodes.is_empty() {
                        self.scene = Some(name);
                    }
                    self.scenes_changed();
                }
                Err(why) => self.send_error(by, "/scene/save", &why),
            },
            SceneRequest::Recall { name, morph } => {
                if let Err(why) = self.recall(by, &name, morph) {
                    self.send_error(by, "/scene/recall", &why.to_string());
                }
            }
            SceneRequest::Delete(name) => match self.scenes.delete(&name) {
                Some(scene) => {
                    self.audit(by, &scene.chain, &format!("scene {}", scene.name), "", "deleted");
                    self.scene = self.scene.take().filter(|on| *on != scene.name);
                    self.scenes_changed();
                }
                None => self.send_error(by, "/scene/delete", &self.unknown_scene(&name)),
            },
        }
    }

    fn unknown_scene(&self, name: &str) -> String {
        let names: Vec<_> = self.scenes.all().iter().map(|scene| scene.name.as_str()).collect();
        match names.is_empty() {
            true => format!("no scene \"{name}\"; none has been saved yet"),
            false => format!("no scene \"{name}\"; there are {}", names.join(", ")),
        }
    }

    fn save_scene(&mut self, name: &str, nodes: &[String]) -> Result<(String, String), String> {
        let newest = self.on_air.newest().ok_or("no chain is on air")?;
        let chain = newest.name.clone();
        if let Some(unknown) = nodes.iter().find(|id| newest.plan.find(id).is_none()) {
            return Err(format!("chain {chain} has no node \"{unknown}\""));
        }
        let is_wanted = |path: &String| {
            nodes.is_empty() || nodes.iter().any(|id| path.split('/').nth(1) == Some(id.as_str()))
        };
        let mut values = self.user_values(&chain);
        values.retain(|path, _| is_wanted(path));
        let name = self.scenes.save(name, &chain, values).map_err(|error| error.to_string())?;
        Ok((name, chain))
    }

    fn scenes_changed(&mut self) {
        self.state_saver.touch();
        self.send_updates(Recipients::All, self.scene_lines());
    }

    /// The active scene, all scenes, and the slots.
    pub(super) fn scene_list(&self) -> Vec<Update> {
        let names: Vec<_> = self.scenes.all().iter().map(|scene| scene.name.as_str()).collect();
        let on = self.scene.as_deref().unwrap_or_default();
        let mut lines = vec![Update::words("/scene", &[on]), Update::words("/scenes", &names)];
        lines.extend(self.scene_lines());
        lines
    }

    /// For each slot whether its scene is active, and its name.
    pub(super) fn scene_lines(&self) -> Vec<Update> {
        let last = self.scenes.all().last().map_or(0, |scene| scene.slot).max(MIN_SLOTS);
        (1..=last).flat_map(|slot| self.slot_lines(slot)).collect()
    }

    /// Whether the scene of a slot is active, and its name.
    pub(super) fn slot_lines(&self, slot: usize) -> [Update; 2] {
        let scene = self.scenes.all().iter().find(|scene| scene.slot == slot);
        let name = scene.map_or("", |scene| scene.name.as_str());
        let is_on = !name.is_empty() && self.scene.as_deref() == Some(name);
        [
            Update::number(format!("/scene/{slot}"), f64::from(u8::from(is_on))),
            Update::words(format!("/scene/{slot}/name"), &[name]),
        ]
    }

    /// A value was changed: no scene is active.
    pub(super) fn clear_scene(&mut self) {
        if self.scene.take().is_some() {
            self.send_updates(Recipients::All, self.scene_lines());
        }
    }

    pub(super) fn recall(&mut self, by: Peer, name: &str, morph: f64) -> Result<(), RecallError> {
        let scene =
            self.scenes.find(name).cloned().ok_or_else(|| RecallError::Unknown(self.unknown_scene(name)))?;
        let on_air = self.on_air.newest().map(|running| running.name.clone());
        self.morph = None;
        if on_air.as_ref() == Some(&scene.chain) {
            self.morph_to(by, &scene, morph)?;
        } else {
            self.on_air.store_values(&scene.chain, &scene.values)?;
            self.swap(by, &scene.chain);
            self.finish_recall(by, &scene.chain, &scene.name);
        }
        Ok(())
    }

    fn finish_recall(&mut self, by: Peer, chain: &str, name: &str) {
        info!("scene \"{name}\" recalled");
        self.audit(by, chain, &format!("scene {name}"), "", "recalled");
        self.scene = Some(name.to_owned());
        self.scenes_changed();
    }

    /// Morphs the chain on air to a scene within `seconds`.
    fn morph_to(&mut self, by: Peer, scene: &Scene, seconds: f64) -> Result<(), SetError> {
        let values = scene.values.iter().map(|(path, value)| (path.as_str(), value.clone()));
        let changes: Vec<Change> = self.on_air.changes(values).into_iter().filter(Change::is_move).collect();
        let title = format!("scene {}", scene.name);
        let (immediate, morphed_changes): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|change| seconds <= 0.0 || change.place.row.is_setting);
        // One gesture for all values; a morphed value is recorded with its target.
        let moves = immediate.iter().chain(&morphed_changes).map(Change::as_move).collect();
        let gesture = Gesture { by, chain: scene.chain.clone(), name: Some(title), moves };
        self.apply_changes(by, Recipients::All, immediate)?;
        if !gesture.moves.is_empty() {
            self.record_gesture(gesture);
        }
        if morphed_changes.is_empty() {
            self.finish_recall(by, &scene.chain, &scene.name);
            return Ok(());
        }
        let morphed = |change: &Change| {
            let (row, value) = (change.place.row, change.value.number()?);
            Some(MorphedValue {
                path: change.place.path.clone(),
                from: row.to_norm(change.from.number()?),
                to: row.to_norm(value),
                value,
                has_steps: row.is_whole(),
                is_done: false,
            })
        };
        let now = Instant::now();
        self.morph = Some(Morph {
            scene: scene.name.clone(),
            by,
            values: morphed_changes.iter().filter_map(morphed).collect(),
            since: now,
            duration: Duration::from_secs_f64(seconds),
            next: now,
        });
        Ok(())
    }

    /// Touching a control removes that parameter from the morph.
    pub(super) fn stop_morphing(&mut self, changes: &[Change]) {
        if let Some(morph) = &mut self.morph {
            morph.values.retain(|value| changes.iter().all(|change| change.place.path != value.path));
        }
    }

    /// Moves the values of the running morph.
    pub(super) fn tick_morph(&mut self, now: Instant) {
        let Some(morph) = self.morph.as_mut().filter(|morph| now >= morph.next) else { return };
        morph.next = now + MORPH_PERIOD;
        let along = (now.duration_since(morph.since).as_secs_f64() / morph.duration.as_secs_f64()).min(1.0);
        let mut targets: BTreeMap<String, (Option<f64>, f64)> = BTreeMap::new();
        for value in morph.values.iter_mut().filter(|value| !value.is_done) {
            // A stepped value changes half-way.
            value.is_done = along >= if value.has_steps { 0.5 } else { 1.0 };
            let norm = value.from + along * (value.to - value.from);
            let norm = (!value.is_done && !value.has_steps).then_some(norm);
            if norm.is_some() || value.is_done {
                targets.insert(value.path.clone(), (norm, value.value));
            }
        }
        let mut changes =
            self.on_air.changes(targets.iter().map(|(path, (_, value))| (path.as_str(), (*value).into())));
        for change in &mut changes {
            if let Some((Some(norm), _)) = targets.get(&change.place.path) {
                change.value =
                    change.place.row.from_norm(*norm).map_or(change.value.clone(), ParamValue::Number);
            }
        }
        let is_over = along >= 1.0;
        let Some(by) = self.morph.as_ref().map(|morph| morph.by) else { return };
        // A morph contains no settings, and only those can be refused.
        self.apply_changes(by, Recipients::All, changes).ok();
        if is_over && let Some(morph) = self.morph.take() {
            let chain = self.on_air.last_requested();
            self.finish_recall(by, &chain, &morph.scene);
        }
    }
}
