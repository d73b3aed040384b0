//! Scenes: save, recall, delete, morph.

use crate::desk::Desk;
use crate::desk::glide::{Glide, To};
use crate::desk::history::{Gesture, StateMove};
use crate::desk::on_air::{Change, Goal, SetError, Wanted};
use crate::desk::scene::Scene;
use crate::desk::turn::Turn;
use crate::peer::Peer;
use crate::request::SceneRequest;
use crate::subscribe::Recipients;
use crate::update::Update;
use crate::value::ParamValue;
use thiserror::Error;

/// Slots that are always sent, empty or not: surfaces have buttons for them.
const MIN_SLOTS: usize = 8;

/// Why a scene was not saved or recalled.
#[derive(Debug, Error)]
pub(super) enum SceneError {
    /// No scene of this name; the text names those there are.
    #[error("no scene \"{name}\"; {there_are}")]
    Unknown { name: String, there_are: String },
    /// The chain on air has no such node.
    #[error("chain {chain} has no node \"{id}\"")]
    NoNode { chain: String, id: String },
    /// It cannot have this name.
    #[error(transparent)]
    Save(#[from] crate::desk::scene::SaveError),
    /// The chain on air does not take its values.
    #[error(transparent)]
    Set(#[from] SetError),
}

impl Desk {
    pub(super) fn scene(&mut self, turn: &mut Turn<'_>, by: Peer, request: SceneRequest) {
        let (address, done) = match request {
            SceneRequest::Save { name, nodes } => ("/scene/save", self.save_scene(turn, by, &name, &nodes)),
            SceneRequest::Recall { name, morph } => ("/scene/recall", self.recall(turn, by, &name, morph)),
            SceneRequest::Delete(name) => ("/scene/delete", self.delete_scene(turn, by, &name)),
        };
        if let Err(why) = done {
            turn.error(by, address, &why.to_string());
        }
    }

    fn unknown_scene(&self, name: &str) -> SceneError {
        let names: Vec<_> = self.scenes.all().iter().map(|scene| scene.name.as_str()).collect();
        let there_are = match names.is_empty() {
            true => "none has been saved yet".to_owned(),
            false => format!("there are {}", names.join(", ")),
        };
        SceneError::Unknown { name: name.to_owned(), there_are }
    }

    fn save_scene(
        &mut self,
        turn: &mut Turn<'_>,
        by: Peer,
        name: &str,
        nodes: &[String],
    ) -> Result<(), SceneError> {
        let newest = self.on_air.newest().ok_or(SetError::Silence)?;
        let chain = newest.name.clone();
        if let Some(id) = nodes.iter().find(|id| newest.plan.find(id).is_none()) {
            return Err(SceneError::NoNode { chain, id: id.clone() });
        }
        let is_wanted = |path: &String| {
            nodes.is_empty() || nodes.iter().any(|id| path.split('/').nth(1) == Some(id.as_str()))
        };
        let mut values = self.user_values(&chain);
        values.retain(|path, _| is_wanted(path));
        let before = self.scenes.find(name.trim()).cloned();
        let name = self.scenes.save(name, &chain, values)?;
        turn.info(format!("scene \"{name}\" saved"));
        self.audit(turn, by, &chain, &format!("scene {name}"), "", "saved");
        // A new scene is nothing to take back: it can be deleted.
        let after = self.scenes.find(&name).cloned();
        if let Some(before) = before.filter(|before| after.as_ref() != Some(before)) {
            self.record_state(by, StateMove::Scene { before, after });
        }
        if nodes.is_empty() {
            self.scene = Some(name);
        }
        self.scenes_changed(turn);
        Ok(())
    }

    fn delete_scene(&mut self, turn: &mut Turn<'_>, by: Peer, name: &str) -> Result<(), SceneError> {
        let scene = self.scenes.delete(name).ok_or_else(|| self.unknown_scene(name))?;
        self.audit(turn, by, &scene.chain, &format!("scene {}", scene.name), "", "deleted");
        self.scene = self.scene.take().filter(|on| *on != scene.name);
        self.record_state(by, StateMove::Scene { before: scene, after: None });
        self.scenes_changed(turn);
        Ok(())
    }

    pub(super) fn scenes_changed(&mut self, turn: &mut Turn<'_>) {
        turn.save();
        turn.update(Recipients::All, self.scene_lines());
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
    pub(super) fn clear_scene(&mut self, turn: &mut Turn<'_>) {
        if self.scene.take().is_some() {
            turn.update(Recipients::All, self.scene_lines());
        }
    }

    pub(super) fn recall(
        &mut self,
        turn: &mut Turn<'_>,
        by: Peer,
        name: &str,
        morph: f64,
    ) -> Result<(), SceneError> {
        let scene = self.scenes.find(name).cloned().ok_or_else(|| self.unknown_scene(name))?;
        self.glide = None;
        if self.on_air.newest().is_some_and(|newest| newest.name == scene.chain) {
            return Ok(self.morph_to(turn, by, &scene, morph)?);
        }
        self.chains.check_name(&scene.chain).map_err(SetError::from)?;
        let Some(values) = self.chains.values(&scene.chain).cloned() else { return Ok(()) };
        self.chains.store(&scene.chain, &scene.values);
        self.swap(turn, Wanted::new(scene.chain, by, Goal::Scene { name: scene.name, values }));
        Ok(())
    }

    /// A scene has been recalled.
    pub(super) fn finish_recall(&mut self, turn: &mut Turn<'_>, by: Peer, chain: &str, name: &str) {
        turn.info(format!("scene \"{name}\" recalled"));
        self.audit(turn, by, chain, &format!("scene {name}"), "", "recalled");
        // It may have been deleted on the way.
        self.scene = self.scenes.find(name).map(|scene| scene.name.clone());
        self.scenes_changed(turn);
    }

    /// Morphs the chain on air to a scene within `seconds`.
    fn morph_to(
        &mut self,
        turn: &mut Turn<'_>,
        by: Peer,
        scene: &Scene,
        seconds: f64,
    ) -> Result<(), SetError> {
        let values = scene.values.iter().map(|(path, value)| (path.as_str(), value.clone()));
        let changes = self.on_air.changes(&self.chains, values).into_iter().filter(Change::is_move);
        let (immediate, gliding): (Vec<_>, Vec<_>) =
            changes.partition(|change| seconds <= 0.0 || change.place.row.is_setting);
        // One gesture for all values; a gliding value is recorded with its target.
        let moves = immediate.iter().chain(&gliding).map(Change::as_move).collect();
        let name = Some(format!("scene {}", scene.name));
        let gesture = Gesture { by, chain: scene.chain.clone(), name, moves, state: None };
        self.apply_changes(turn, by, Recipients::All, immediate, "/scene/recall")?;
        if !gesture.moves.is_empty() {
            self.record_gesture(turn, gesture);
        }
        if gliding.is_empty() {
            self.finish_recall(turn, by, &scene.chain, &scene.name);
        } else {
            self.glide = Some(Glide::new(&scene.name, by, &gliding, seconds, turn.now.monotonic));
        }
        Ok(())
    }

    /// Touching a control removes that parameter from the morph.
    pub(super) fn release(&mut self, changes: &[Change]) {
        if let Some(glide) = &mut self.glide {
            glide.release(changes);
        }
    }

    /// Moves the values of the running morph.
    pub(super) fn tick_glide(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now.monotonic;
        let Some(glide) = self.glide.as_mut().filter(|glide| now >= glide.deadline()) else { return };
        let (moves, is_over) = glide.step(now);
        let (by, scene) = (glide.by, glide.scene.clone());
        let targets = moves.iter().map(|(path, to)| {
            let target = match to {
                To::Target(value) => *value,
                // Only a place until the row is known.
                To::Norm(norm) => *norm,
            };
            (path.as_str(), ParamValue::Number(target))
        });
        let mut changes = self.on_air.changes(&self.chains, targets);
        for change in &mut changes {
            let to = moves.iter().find(|(path, _)| *path == change.place.path).map(|(_, to)| *to);
            if let Some(To::Norm(norm)) = to
                && let Some(value) = change.place.row.from_norm(norm)
            {
                change.value = ParamValue::Number(value);
            }
        }
        // A morph contains no settings, and only those can be refused.
        self.apply_changes(turn, by, Recipients::All, changes, "/scene/recall").ok();
        if is_over {
            self.glide = None;
            let chain = self.on_air.last_requested();
            self.finish_recall(turn, by, &chain, &scene);
        }
    }
}
