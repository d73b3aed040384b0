//! `[audio]` The JACK client's half on the audio thread: samples and MIDI bytes in and out.

use crate::audio::backend::BackendEvent;
use crate::audio::backend::jack::calls::Calls;
use crate::audio::callback::Callback;
use crate::audio::midi_ports::{PortEnd, Raw};
use crate::audio::ports::Ports;
use crate::audio::realtime::guarded;
use crossbeam_channel::Sender;
use jack::{
    AudioIn, AudioOut, Client, Control, Frames, MidiIn, MidiOut, Port, ProcessHandler, ProcessScope, RawMidi,
};
use lacquer_graph::block::to_f32;
use rtrb::{Consumer, Producer};
use std::sync::Arc;

/// What the callback works with.
pub(super) struct Process {
    pub(super) calls: Arc<Calls>,
    pub(super) inputs: Box<[Port<AudioIn>]>,
    pub(super) outputs: Box<[Port<AudioOut>]>,
    pub(super) callback: Box<Callback>,
    /// Where one for another rate comes from, and where the one before it goes to be freed.
    pub(super) fresh: Consumer<Box<Callback>>,
    pub(super) old: Producer<Box<Callback>>,
    pub(super) happenings: Sender<BackendEvent>,
    pub(super) block: Frames,
    pub(super) midi: Box<[Wires]>,
}

impl Process {
    /// `[audio]` Takes the callback that is to take the place of this one.
    fn renew(&mut self) {
        if self.old.slots() > 0
            && let Ok(fresh) = self.fresh.pop()
        {
            let old = std::mem::replace(&mut self.callback, fresh);
            self.old.push(old).ok();
        }
    }
}

/// A pair of MIDI ports, and the rings behind them.
pub(super) struct Wires {
    pub(super) input: Port<MidiIn>,
    pub(super) output: Port<MidiOut>,
    pub(super) end: PortEnd,
}

impl Wires {
    /// `[audio]` Copies bytes from and to the ports; what they mean is not looked at here.
    fn pass(&mut self, scope: &ProcessScope) {
        for message in self.input.iter(scope) {
            if let Some(raw) = Raw::new(message.bytes) {
                // Without room it is lost: the MIDI thread has stood still for a thousand messages.
                self.end.input.push(raw).ok();
            }
        }
        // The writer clears what was written in the last cycle.
        let mut writer = self.output.writer(scope);
        while let Ok(raw) = self.end.output.peek() {
            if writer.write(&RawMidi { time: 0, bytes: raw.bytes() }).is_err() {
                break;
            }
            self.end.output.pop().ok();
        }
    }
}

struct Cycle<'a> {
    inputs: &'a [Port<AudioIn>],
    outputs: &'a mut [Port<AudioOut>],
    scope: &'a ProcessScope,
}

impl Ports for Cycle<'_> {
    fn read(&mut self, channel: usize, from: usize, into: &mut [f64]) {
        let samples = &self.inputs[channel].as_slice(self.scope)[from..];
        into.iter_mut().zip(samples).for_each(|(into, sample)| *into = f64::from(*sample));
    }

    fn write(&mut self, channel: usize, from: usize, samples: &[f64]) {
        let port = &mut self.outputs[channel].as_mut_slice(self.scope)[from..];
        port.iter_mut().zip(samples).for_each(|(port, sample)| *port = to_f32(*sample));
    }
}

impl ProcessHandler for Process {
    fn process(&mut self, _: &Client, scope: &ProcessScope) -> Control {
        let _call = self.calls.begin();
        guarded(|| self.renew());
        let mut cycle = Cycle { inputs: &self.inputs, outputs: &mut self.outputs, scope };
        self.callback.block(scope.n_frames() as usize, &mut cycle);
        guarded(|| self.midi.iter_mut().for_each(|wires| wires.pass(scope)));
        Control::Continue
    }

    fn buffer_size(&mut self, _: &Client, size: Frames) -> Control {
        if std::mem::replace(&mut self.block, size) != size {
            self.happenings.try_send(BackendEvent::BlockSize(size as usize)).ok();
        }
        Control::Continue
    }
}
