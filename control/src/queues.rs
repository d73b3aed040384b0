//! Queues between the control thread and the audio thread: bounded wait-free rings, and basedrop, which returns memory to
//! the control side to be freed there.
//!
//! ```text
//!                         commands: ToAudio  ─────────►
//!   control (conductor)   ◄────────  events: FromAudio    audio (callback)
//!                         ◄────────  panics: Panicked
//!                         ◄ ─ ─ ─ ─  basedrop: memory
//! ```
//!
//! Each ring has one writer and one reader, and neither end waits for the other. The contract:
//!
//! | what | capacity | when the ring is full |
//! | --- | --- | --- |
//! | chain ([`ToAudio::Start`], [`ToAudio::Swap`]) | [`COMMANDS`] | stays on the control side, in order, until a [`ControlEnd::flush`] finds room: none is lost |
//! | value ([`ToAudio::Set`] and all others) | the same ring | the same; while it waits, a newer one of its row, node, chain or kind replaces it |
//! | event | [`EVENTS`] | dropped and counted: [`AudioEnd::events_lost`] |
//! | panic | [`PANICS`] | its payload is leaked, for the audio thread may not free it |
//!
//! Values and swaps share one ring, so a value that is sent after a swap addresses the new chain. All commands of one flush
//! are in the ring at once, so the audio thread receives them in the same block.
//!
//! ```
//! use lacquer_control::message::{FromAudio, Load, Row, ToAudio};
//! use lacquer_control::queues::{COMMANDS, EVENTS, queues};
//!
//! let (mut control, mut audio) = queues();
//!
//! // Commands: what finds no room waits.
//! let row = |row: usize| Row { generation: 1, node: 0, row: row as u32 };
//! (0..COMMANDS + 2).for_each(|n| control.enqueue(ToAudio::Set { target: row(n), value: 0.0 }));
//! control.flush();
//! assert_eq!(control.waiting(), 2);
//!
//! // Of one row only the newest value waits.
//! (1..=9).for_each(|n| control.enqueue(ToAudio::Set { target: row(0), value: f64::from(n) }));
//! assert_eq!(control.waiting(), 3);
//!
//! // When the audio thread has made room, the rest follows in order.
//! assert_eq!(std::iter::from_fn(|| audio.next_command()).count(), COMMANDS);
//! control.flush();
//! let rest: Vec<_> = std::iter::from_fn(|| audio.next_command()).collect();
//! assert!(matches!(rest[..], [ToAudio::Set { .. }, ToAudio::Set { .. }, ToAudio::Set { value: 9.0, .. }]));
//!
//! // Events: what finds no room is dropped and counted.
//! let sent = (0..EVENTS + 5).filter(|_| audio.send_event(FromAudio::Load(Load::default()))).count();
//! assert_eq!(sent, EVENTS);
//! assert_eq!(audio.events_lost(), 5);
//! assert_eq!(std::iter::from_fn(|| control.next_event()).count(), EVENTS);
//! ```

use crate::message::{FromAudio, Row, ToAudio};
use lacquer_graph::run::engine::Panicked;
use rtrb::{Consumer, Producer, RingBuffer};
use std::collections::{HashMap, VecDeque};

/// Most commands in the ring: values, swaps and the rest.
pub const COMMANDS: usize = 1024;
/// Most events in the ring.
pub const EVENTS: usize = 4096;
/// Most panics in the ring.
pub const PANICS: usize = 64;

/// The control thread's end.
pub struct ControlEnd {
    commands: Producer<ToAudio>,
    events: Consumer<FromAudio>,
    panics: Consumer<Panicked>,
    waiting: VecDeque<ToAudio>,
    /// Where in `waiting` a value is, counted from the first command that was ever enqueued.
    values: HashMap<Key, u64>,
    flushed: u64,
}

/// What a value is of: a newer one of the same makes it needless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Row(Row),
    Node { generation: u64, node: u32 },
    Trim { generation: u64 },
    Bypass,
    Mute,
}

impl Key {
    /// Of a command; `None` of those that carry a chain.
    fn of(command: &ToAudio) -> Option<Self> {
        match *command {
            ToAudio::Start(_) | ToAudio::Swap { .. } => None,
            ToAudio::Set { target, .. } => Some(Self::Row(target)),
            ToAudio::Enable { generation, node, .. } => Some(Self::Node { generation, node }),
            ToAudio::Trim { generation, .. } => Some(Self::Trim { generation }),
            ToAudio::Bypass(_) => Some(Self::Bypass),
            ToAudio::Mute(_) => Some(Self::Mute),
        }
    }
}

/// The audio thread's end.
pub struct AudioEnd {
    commands: Consumer<ToAudio>,
    events: Producer<FromAudio>,
    panics: Producer<Panicked>,
    events_lost: u64,
}

/// Both ends of new queues.
pub fn queues() -> (ControlEnd, AudioEnd) {
    let (command_in, command_out) = RingBuffer::new(COMMANDS);
    let (event_in, event_out) = RingBuffer::new(EVENTS);
    let (panic_in, panic_out) = RingBuffer::new(PANICS);
    let control = ControlEnd {
        commands: command_in,
        events: event_out,
        panics: panic_out,
        waiting: VecDeque::new(),
        values: HashMap::new(),
        flushed: 0,
    };
    (control, AudioEnd { commands: command_out, events: event_in, panics: panic_in, events_lost: 0 })
}

impl ControlEnd {
    /// `[control]` Adds a command to those that the next [`Self::flush`] sends. A value replaces one of the same that still
    /// waits, and keeps its place.
    pub fn enqueue(&mut self, command: ToAudio) {
        match Key::of(&command) {
            Some(key) => {
                let next = self.flushed + self.waiting.len() as u64;
                let at = *self.values.entry(key).or_insert(next);
                if let Some(older) = self.waiting.get_mut((at - self.flushed) as usize) {
                    *older = command;
                    return;
                }
            }
            // What is sent after a chain stays after it.
            None => self.values.clear(),
        }
        self.waiting.push_back(command);
    }

    /// `[control]` Sends the commands that wait, as many as there is room for. They enter the ring at once, so the audio
    /// thread receives them in the same block. The rest waits for the next call.
    pub fn flush(&mut self) {
        let count = self.waiting.len().min(self.commands.slots());
        if count == 0 {
            return;
        }
        if let Ok(chunk) = self.commands.write_chunk_uninit(count) {
            self.flushed += chunk.fill_from_iter(self.waiting.drain(..count)) as u64;
        }
        let flushed = self.flushed;
        self.values.retain(|_, at| *at >= flushed);
    }

    /// `[control]` How many commands wait to be sent.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// `[control]` The next event from the audio thread, if there is one.
    pub fn next_event(&mut self) -> Option<FromAudio> {
        self.events.pop().ok()
    }

    /// `[control]` The next panic that a node caused on the audio thread, if there is one.
    pub fn next_panic(&mut self) -> Option<Panicked> {
        self.panics.pop().ok()
    }
}

impl AudioEnd {
    /// `[audio]` The next command, if there is one.
    pub fn next_command(&mut self) -> Option<ToAudio> {
        self.commands.pop().ok()
    }

    /// `[audio]` Sends an event to the control thread. Where the ring is full, the event is dropped and counted. Returns
    /// whether it was sent.
    pub fn send_event(&mut self, event: FromAudio) -> bool {
        let is_sent = self.events.push(event).is_ok();
        self.events_lost += u64::from(!is_sent);
        is_sent
    }

    /// `[audio]` Returns what a panic threw to the control thread, which frees it. Where the ring is full, it is leaked: it
    /// owns memory, and the audio thread frees none.
    pub fn return_panic(&mut self, panicked: Panicked) {
        if let Err(rtrb::PushError::Full(panicked)) = self.panics.push(panicked) {
            std::mem::forget(panicked);
        }
    }

    /// `[audio]` How many events were dropped so far.
    pub fn events_lost(&self) -> u64 {
        self.events_lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(row: u32, value: f64) -> ToAudio {
        ToAudio::Set { target: Row { generation: 1, node: 0, row }, value }
    }

    fn values(audio: &mut AudioEnd) -> Vec<(u32, f64)> {
        std::iter::from_fn(|| audio.next_command())
            .map(|command| match command {
                ToAudio::Set { target, value } => (target.row, value),
                _ => panic!("only values were sent"),
            })
            .collect()
    }

    #[test]
    fn a_full_ring_loses_no_last_value() {
        let (mut control, mut audio) = queues();
        for round in 0..100 {
            for row in 0..100 {
                control.enqueue(set(row, f64::from(round)));
            }
            control.flush();
        }
        assert!(control.waiting() <= 100, "only the newest of each row waits");
        let mut last = HashMap::new();
        while control.waiting() > 0 {
            last.extend(values(&mut audio));
            control.flush();
        }
        last.extend(values(&mut audio));
        assert!((0..100).all(|row| last[&row] == 99.0));
    }

    #[test]
    fn of_every_kind_only_the_newest_waits_and_the_last_state_is_that_of_an_endless_queue() {
        let (mut control, mut audio) = queues();
        let mut random = 1_u64;
        let mut below = |end: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % end
        };
        let mut command = || {
            let (generation, node, on) = (below(2), below(20) as u32, below(2) == 0);
            match below(5) {
                0 => ToAudio::Set {
                    target: Row { generation, node, row: below(10) as u32 },
                    value: below(100) as f64,
                },
                1 => ToAudio::Enable { generation, node, on },
                2 => ToAudio::Trim { generation, chain: below(100) as f64, dry: 1.0 },
                3 => ToAudio::Bypass(on),
                _ => ToAudio::Mute(on),
            }
        };
        fn apply(state: &mut HashMap<Key, String>, command: &ToAudio) {
            let text = match command {
                ToAudio::Set { value, .. } => value.to_string(),
                ToAudio::Enable { on, .. } | ToAudio::Bypass(on) | ToAudio::Mute(on) => on.to_string(),
                ToAudio::Trim { chain, .. } => chain.to_string(),
                ToAudio::Start(_) | ToAudio::Swap { .. } => panic!("no chain was sent"),
            };
            state.insert(Key::of(command).expect("a value"), text);
        }
        let (mut expected, mut received) = (HashMap::new(), HashMap::new());
        for _ in 0..50_000 {
            let command = command();
            apply(&mut expected, &command);
            control.enqueue(command);
            control.flush();
            assert!(control.waiting() <= 2 * 20 * 11 + 2 + 2, "{} wait", control.waiting());
        }
        while control.waiting() > 0 {
            std::iter::from_fn(|| audio.next_command()).for_each(|command| apply(&mut received, &command));
            control.flush();
        }
        std::iter::from_fn(|| audio.next_command()).for_each(|command| apply(&mut received, &command));
        assert_eq!(received, expected);
    }

    #[test]
    fn values_of_different_rows_keep_their_order() {
        let (mut control, mut audio) = queues();
        for (row, value) in [(1, 1.0), (2, 2.0), (1, 3.0), (3, 4.0)] {
            control.enqueue(set(row, value));
        }
        control.flush();
        assert_eq!(values(&mut audio), [(1, 3.0), (2, 2.0), (3, 4.0)]);
        control.enqueue(set(1, 5.0));
        control.flush();
        assert_eq!(values(&mut audio), [(1, 5.0)]);
    }
}
