//! A node that does as little as can be heard with its texts: for tests, and in development builds alone. It is in no
//! catalogue, schema or list; a chain file that names it finds it.

use crate::block::Block;
use crate::meter::{Meter, Reading};
use crate::node::{Kind, Node, Params, Setup};
use crate::param::{Param, Unit, gain_to_db};
use crate::text::{Form, PROFILE_BANDS, Text};

const LEARN: Param =
    Param::new(0, "learn", Unit::Switch).ramp_ms(0.0).momentary().help("Learns while it is on.");
const FLOOR: Reading = Reading { name: "floor", unit: Unit::Dbfs, help: "The lowest band of its profile." };
const TEXTS: &[Text] = &[
    Text { name: "impulse", form: Form::Impulse, help: "Its frames are summed to the gain of each channel." },
    Text { name: "profile", form: Form::Profile, help: "The noise that was learned." },
];

/// See the module.
pub const KIND: Kind =
    Kind::new("stub", "Does little with its texts.", &[LEARN], build).texts(TEXTS).readings(&[FLOOR]);

fn build(setup: &Setup<'_>) -> Box<dyn Node> {
    let gain = |channel: usize| {
        let impulse = setup.impulse(0)?;
        Some(impulse.channels[channel % impulse.channels.len()].iter().sum())
    };
    let floor = setup.profile(1).map(|profile| profile.bands[0]);
    let gains = (0..setup.channels).map(|channel| gain(channel).unwrap_or(1.0)).collect();
    Box::new(Stub { gains, floor, was_learning: false, peak: 0.0 })
}

struct Stub {
    gains: Box<[f64]>,
    floor: Option<f64>,
    was_learning: bool,
    peak: f64,
}

impl Node for Stub {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, meter: &mut Meter) {
        let is_learning = params.value(&LEARN) >= 0.5;
        for frame in 0..block.frames() {
            for (channel, gain) in self.gains.iter().enumerate() {
                let sample = block.at(channel, frame);
                if is_learning {
                    self.peak = self.peak.max(sample.abs());
                }
                *sample *= gain;
            }
        }
        if self.was_learning && !is_learning {
            let peak = gain_to_db(self.peak);
            self.floor = Some(meter.learned(0, peak));
            (1..PROFILE_BANDS).for_each(|band| _ = meter.learned(band, peak - band as f64));
            self.peak = 0.0;
        }
        self.was_learning = is_learning;
        if let Some(floor) = self.floor {
            meter.now(0, floor);
        }
    }

    fn reset(&mut self) {
        (self.was_learning, self.peak) = (false, 0.0);
    }

    fn adopt(&mut self, old: &dyn Node) {
        if let Some(old) = crate::node::same::<Stub>(old) {
            (self.was_learning, self.peak) = (old.was_learning, old.peak);
        }
    }
}
