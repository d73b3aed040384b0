//! `[audio]` The JACK client on the audio thread: samples and MIDI bytes in and out.

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

/// Everything that the process callback owns.
pub(super) struct Process {
    pub(super) calls: Arc<Calls>,
    pub(super) inputs: Box<[Port<AudioIn>]>,
    pub(super) outputs: Box<[Port<AudioOut>]>,
    pub(super) callback: Box<Callback>,
    /// Brings a callback for another rate; the one that it replaces goes back, to be freed.
    pub(super) next: Consumer<Box<Callback>>,
    pub(super) old: Producer<Box<Callback>>,
    pub(super) events: Sender<BackendEvent>,
    pub(super) block: Frames,
    pub(super) midi: Box<[MidiPorts]>,
}

impl Process {
    /// `[audio]` Replaces the callback, if another one is waiting.
    fn replace_callback(&mut self) {
        if self.old.slots() > 0
            && let Ok(next) = self.next.pop()
        {
            let old = std::mem::replace(&mut self.callback, next);
            self.old.push(old).ok();
        }
    }
}

/// A controller's MIDI ports, and its rings.
pub(super) struct MidiPorts {
    pub(super) input: Port<MidiIn>,
    pub(super) output: Port<MidiOut>,
    pub(super) end: PortEnd,
}

impl MidiPorts {
    /// `[audio]` Copies bytes from and to the ports; they are interpreted on the MIDI thread.
    fn copy(&mut self, scope: &ProcessScope) {
        for message in self.input.iter(scope) {
            if let Some(raw) = Raw::new(message.bytes) {
                // If the ring is full the message is lost: the MIDI thread has not read a thousand messages.
                self.end.input.push(raw).ok();
            }
        }
        // Making the writer clears the port's buffer, so it is made in every cycle.
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
        guarded(|| self.replace_callback());
        let mut cycle = Cycle { inputs: &self.inputs, outputs: &mut self.outputs, scope };
        self.callback.block(scope.n_frames() as usize, &mut cycle);
        guarded(|| self.midi.iter_mut().for_each(|ports| ports.copy(scope)));
        Control::Continue
    }

    fn buffer_size(&mut self, _: &Client, size: Frames) -> Control {
        if std::mem::replace(&mut self.block, size) != size {
            self.events.try_send(BackendEvent::BlockSize(size as usize)).ok();
        }
        Control::Continue
    }
}
