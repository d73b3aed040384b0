//! The callback, whole: commands in, audio through the engine, events out.
//!
//! Nothing here allocates, frees, locks, blocks, logs or makes a system call. A backend (a JACK server, a timer, a
//! file) calls [`Callback::block`] and nothing else.

use crate::audio::load::LoadMeter;
use crate::audio::ports::Ports;
use crate::audio::realtime::{ThreadId, guarded};
use crate::audio::taps::Probe;
use lacquer_control::message::{FromAudio, Load, ToAudio};
use lacquer_control::queues::AudioEnd;
use lacquer_graph::{Engine, SUBBLOCK};
use std::time::Instant;

/// `[audio]` Everything that the audio thread owns.
pub struct Callback {
    queues: AudioEnd,
    engine: Engine,
    load: LoadMeter,
    before: Option<Probe>,
    after: Option<Probe>,
    thread: ThreadId,
}

impl Callback {
    /// `[control]` A callback for an engine at `rate` Hz, with probes before and after the engine.
    pub fn new(queues: AudioEnd, engine: Engine, rate: f64, probes: Option<(Probe, Probe)>) -> Self {
        let (before, after) = probes.unzip();
        Self { queues, engine, load: LoadMeter::new(rate), before, after, thread: ThreadId::default() }
    }

    /// `[control]` The same; it records the id of its thread in `thread`.
    pub fn with_thread(self, thread: ThreadId) -> Self {
        Self { thread, ..self }
    }

    /// `[audio]` Processes one block of the host, of any length.
    pub fn block(&mut self, frames: usize, ports: &mut impl Ports) {
        guarded(|| {
            self.thread.record();
            let begin = Instant::now();
            self.engine.trace().turn();
            while let Some(command) = self.queues.next_command() {
                apply(&mut self.engine, command);
            }
            for from in (0..frames).step_by(SUBBLOCK) {
                self.subblock(from, SUBBLOCK.min(frames - from), ports);
            }
            while let Some(panicked) = self.engine.panicked() {
                self.queues.return_panic(panicked);
            }
            let spent = begin.elapsed();
            if let Some(why) = self.load.check_deadline(begin, spent, frames) {
                self.queues.send_event(FromAudio::Missed(why));
            }
            if let Some(load) = self.load.record(spent, frames) {
                let lost = |probe: &Option<Probe>| probe.as_ref().map_or(0, Probe::lost);
                let tap_lost = lost(&self.before) + lost(&self.after);
                self.queues.send_event(FromAudio::Load(Load {
                    tap_lost,
                    readings_lost: self.queues.events_lost(),
                    ..load
                }));
            }
            self.engine.trace().turn();
        });
    }

    fn subblock(&mut self, from: usize, frames: usize, ports: &mut impl Ports) {
        let inputs = self.engine.inputs();
        for (channel, plane) in inputs.iter_mut().enumerate() {
            ports.read(channel, from, &mut plane[..frames]);
        }
        if let Some(probe) = &mut self.before {
            probe.copy(inputs, frames);
        }
        let queues = &mut self.queues;
        self.engine.process(frames, |event| queues.send_event(FromAudio::Engine(event)));
        let outputs = self.engine.outputs();
        if let Some(probe) = &mut self.after {
            probe.copy(outputs, frames);
        }
        for (channel, plane) in outputs.iter().enumerate() {
            ports.write(channel, from, &plane[..frames]);
        }
    }
}

fn apply(engine: &mut Engine, command: ToAudio) {
    match command {
        ToAudio::Start(chain) => engine.start(chain),
        // An `Owned`: when the chain is replaced, basedrop's collector frees it.
        ToAudio::Swap { chain, warmup, fade } => engine.swap(chain, warmup, fade),
        ToAudio::Set { target, value } => {
            engine.set(target.generation, target.node as usize, target.row as usize, value);
        }
        ToAudio::Enable { generation, node, on } => engine.enable(generation, node as usize, on),
        ToAudio::Trim { generation, chain, dry } => engine.trim(generation, chain, dry),
        ToAudio::Bypass(on) => engine.bypass(on),
        ToAudio::Mute(on) => engine.mute(on),
    }
}
