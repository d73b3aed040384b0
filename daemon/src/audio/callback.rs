//! The callback, whole: orders in, sound through the seat, readings out.
//!
//! Nothing here allocates, frees, locks, blocks, logs or makes a system call. Whoever drives it (a JACK
//! server, a timer, a file) calls [`Callback::block`] and nothing else.

use crate::audio::load::LoadMeter;
use crate::audio::ports::Ports;
use crate::audio::realtime::{Mark, guarded};
use crate::audio::taps::Probe;
use lacquer_control::message::{FromAudio, Load, ToAudio};
use lacquer_control::queues::AudioEnd;
use lacquer_graph::{Engine, SUBBLOCK};
use std::time::Instant;

/// `[audio]` All that the audio thread owns.
pub struct Callback {
    wire: AudioEnd,
    seat: Engine,
    load: LoadMeter,
    before: Option<Probe>,
    after: Option<Probe>,
    mark: Mark,
}

impl Callback {
    /// `[control]` A callback for a seat at `rate` Hz, with a probe before and one after it.
    pub fn new(wire: AudioEnd, seat: Engine, rate: f64, probes: Option<(Probe, Probe)>) -> Self {
        let (before, after) = probes.unzip();
        Self { wire, seat, load: LoadMeter::new(rate), before, after, mark: Mark::default() }
    }

    /// `[control]` The same, that leaves the id of its thread at `mark`.
    pub(crate) fn marked(self, mark: Mark) -> Self {
        Self { mark, ..self }
    }

    /// `[audio]` One block of the host's, of any length.
    pub fn block(&mut self, frames: usize, ports: &mut impl Ports) {
        guarded(|| {
            self.mark.here();
            let begin = Instant::now();
            self.seat.trace().turn();
            while let Some(command) = self.wire.next_command() {
                obey(&mut self.seat, command);
            }
            for from in (0..frames).step_by(SUBBLOCK) {
                self.quantum(from, SUBBLOCK.min(frames - from), ports);
            }
            while let Some(panicked) = self.seat.panicked() {
                self.wire.return_panic(panicked);
            }
            let spent = begin.elapsed();
            if let Some(why) = self.load.missed(begin, spent, frames) {
                self.wire.send_event(FromAudio::Missed(why));
            }
            if let Some(load) = self.load.note(spent, frames) {
                let lost = |probe: &Option<Probe>| probe.as_ref().map_or(0, Probe::lost);
                let tap_lost = lost(&self.before) + lost(&self.after);
                self.wire.send_event(FromAudio::Load(Load {
                    tap_lost,
                    readings_lost: self.wire.events_lost(),
                    ..load
                }));
            }
            self.seat.trace().turn();
        });
    }

    fn quantum(&mut self, from: usize, frames: usize, ports: &mut impl Ports) {
        let inputs = self.seat.inputs();
        for (channel, plane) in inputs.iter_mut().enumerate() {
            ports.read(channel, from, &mut plane[..frames]);
        }
        if let Some(probe) = &mut self.before {
            probe.take(inputs, frames);
        }
        let wire = &mut self.wire;
        self.seat.process(frames, |event| wire.send_event(FromAudio::Engine(event)));
        let outputs = self.seat.outputs();
        if let Some(probe) = &mut self.after {
            probe.take(outputs, frames);
        }
        for (channel, plane) in outputs.iter().enumerate() {
            ports.write(channel, from, &plane[..frames]);
        }
    }
}

fn obey(seat: &mut Engine, order: ToAudio) {
    match order {
        ToAudio::Start(chain) => seat.start(chain),
        // An Owned: whatever it replaces goes home by itself.
        ToAudio::Swap { chain, warmup, fade } => seat.swap(chain, warmup, fade),
        ToAudio::Set { target, value } => {
            seat.set(target.generation, target.node as usize, target.row as usize, value);
        }
        ToAudio::Enable { generation, node, on } => seat.enable(generation, node as usize, on),
        ToAudio::Trim { generation, chain, dry } => seat.trim(generation, chain, dry),
        ToAudio::Bypass(on) => seat.bypass(on),
        ToAudio::Mute(on) => seat.mute(on),
    }
}
