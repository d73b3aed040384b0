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
//! | command | [`COMMANDS`] | stays on the control side, in order, until a [`ControlEnd::flush`] finds room: none is lost |
//! | value ([`ToAudio::Set`]) | the same ring | the same; while it waits, a newer value of its row replaces it |
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
//! (0..COMMANDS + 2).for_each(|_| control.enqueue(ToAudio::Mute(true)));
//! control.flush();
//! assert_eq!(control.waiting(), 2);
//!
//! // Values: of one row only the newest waits.
//! let target = Row { generation: 1, node: 0, row: 0 };
//! (1..=9).for_each(|n| control.enqueue(ToAudio::Set { target, value: f64::from(n) }));
//! assert_eq!(control.waiting(), 3);
//!
//! // When the audio thread has made room, the rest follows in order.
//! assert_eq!(std::iter::from_fn(|| audio.next_command()).count(), COMMANDS);
//! control.flush();
//! let rest: Vec<_> = std::iter::from_fn(|| audio.next_command()).collect();
//! assert!(matches!(rest[..], [ToAudio::Mute(_), ToAudio::Mute(_), ToAudio::Set { value: 9.0, .. }]));
//!
//! // Events: what finds no room is dropped and counted.
//! (0..EVENTS + 5).for_each(|_| audio.send_event(FromAudio::Load(Load::default())));
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
    /// Where in `waiting` the value for a row is, counted from the first command that was ever enqueued.
    values: HashMap<Row, u64>,
    flushed: u64,
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
    /// `[control]` Adds a command to those that the next [`Self::flush`] sends. A value replaces one that still waits for the
    /// same row, and keeps its place.
    pub fn enqueue(&mut self, command: ToAudio) {
        if let ToAudio::Set { target, .. } = command {
            let next = self.flushed + self.waiting.len() as u64;
            let at = *self.values.entry(target).or_insert(next);
            if let Some(older) = self.waiting.get_mut((at - self.flushed) as usize) {
                *older = command;
                return;
            }
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

    /// `[audio]` Sends an event to the control thread. Where the ring is full, the event is dropped and counted.
    pub fn send_event(&mut self, event: FromAudio) {
        if self.events.push(event).is_err() {
            self.events_lost += 1;
        }
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
