//! The wire: two bounded wait-free rings, and basedrop for what comes home.
//!
//! ```text
//!               orders ───────────────►
//!   conductor  ◄──────────── readings    callback
//!              ◄──────────── panics
//!              ◄─ ─ ─ basedrop ─ ─ ─ ─
//! ```
//!
//! An order is never lost: what finds no room waits on the control side, of a value only the newest. A
//! reading may be: a late meter is worth nothing. Both ends only ever try; nobody waits for the other.
//! Values and swaps share one ring with one writer, so a value sent after a swap addresses the new chain.

use crate::message::{FromAudio, Row, ToAudio};
use lacquer_graph::run::engine::Panicked;
use rtrb::{Consumer, Producer, RingBuffer};
use std::collections::{HashMap, VecDeque};

/// Orders that can be under way at once.
const ORDERS: usize = 1024;
/// Readings that can be under way at once.
const READINGS: usize = 4096;
/// Panics that can be under way at once.
const PANICS: usize = 64;

/// The conductor's end.
pub struct ControlEnd {
    orders: Producer<ToAudio>,
    readings: Consumer<FromAudio>,
    panics: Consumer<Panicked>,
    staged: VecDeque<ToAudio>,
    /// Where in `staged` the value for a row waits, counted from the first order ever staged.
    values: HashMap<Row, u64>,
    flushed: u64,
}

/// The callback's end.
pub struct AudioEnd {
    orders: Consumer<ToAudio>,
    readings: Producer<FromAudio>,
    panics: Producer<Panicked>,
    lost: u64,
}

/// Both ends of a new wire.
pub fn queues() -> (ControlEnd, AudioEnd) {
    let (order_in, order_out) = RingBuffer::new(ORDERS);
    let (reading_in, reading_out) = RingBuffer::new(READINGS);
    let (panic_in, panic_out) = RingBuffer::new(PANICS);
    let control = ControlEnd {
        orders: order_in,
        readings: reading_out,
        panics: panic_out,
        staged: VecDeque::new(),
        values: HashMap::new(),
        flushed: 0,
    };
    (control, AudioEnd { orders: order_out, readings: reading_in, panics: panic_in, lost: 0 })
}

impl ControlEnd {
    /// `[control]` Makes an order ready; [`Self::flush`] sends it. A newer value for a row takes the place
    /// of one that still waits.
    pub fn stage(&mut self, order: ToAudio) {
        if let ToAudio::Set { target, .. } = order {
            let next = self.flushed + self.staged.len() as u64;
            let at = *self.values.entry(target).or_insert(next);
            if let Some(waiting) = self.staged.get_mut((at - self.flushed) as usize) {
                *waiting = order;
                return;
            }
        }
        self.staged.push_back(order);
    }

    /// `[control]` Sends what is staged, as far as there is room, and all of it at once: orders that are
    /// flushed together are heard in the same block. The rest waits for the next call.
    pub fn flush(&mut self) {
        let count = self.staged.len().min(self.orders.slots());
        if count == 0 {
            return;
        }
        if let Ok(chunk) = self.orders.write_chunk_uninit(count) {
            self.flushed += chunk.fill_from_iter(self.staged.drain(..count)) as u64;
        }
        let flushed = self.flushed;
        self.values.retain(|_, at| *at >= flushed);
    }

    /// `[control]` How many orders wait for room.
    pub fn waiting(&self) -> usize {
        self.staged.len()
    }

    /// `[control]` The next reading, if there is one.
    pub fn reading(&mut self) -> Option<FromAudio> {
        self.readings.pop().ok()
    }

    /// `[control]` What has panicked since the last call.
    pub fn panicked(&mut self) -> Option<Panicked> {
        self.panics.pop().ok()
    }
}

impl AudioEnd {
    /// `[audio]` The next order, if there is one.
    pub fn order(&mut self) -> Option<ToAudio> {
        self.orders.pop().ok()
    }

    /// `[audio]` Tells the conductor something; without room it is lost, and counted.
    pub fn tell(&mut self, reading: FromAudio) {
        if self.readings.push(reading).is_err() {
            self.lost += 1;
        }
    }

    /// `[audio]` Sends what was thrown home: it is freed there. Without room it is never freed, for it cannot be here.
    pub fn send_home(&mut self, panicked: Panicked) {
        if let Err(rtrb::PushError::Full(panicked)) = self.panics.push(panicked) {
            std::mem::forget(panicked);
        }
    }

    /// `[audio]` How many readings were lost so far.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(row: u32, value: f64) -> ToAudio {
        ToAudio::Set { target: Row { generation: 1, node: 0, row }, value }
    }

    fn values(audio: &mut AudioEnd) -> Vec<(u32, f64)> {
        std::iter::from_fn(|| audio.order())
            .map(|order| match order {
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
                control.stage(set(row, f64::from(round)));
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
            control.stage(set(row, value));
        }
        control.flush();
        assert_eq!(values(&mut audio), [(1, 3.0), (2, 2.0), (3, 4.0)]);
        control.stage(set(1, 5.0));
        control.flush();
        assert_eq!(values(&mut audio), [(1, 5.0)]);
    }
}
