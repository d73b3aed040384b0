//! What the benches share: a noise, and the plan of a chain.

use lacquer_graph::Spec;
use lacquer_graph::file::error::Mistake;
use lacquer_graph::param::text::{Data, Impulse};
use lacquer_graph::plan::{Io, Plan};
use std::sync::Arc;

/// Sample rate in Hz.
pub(crate) const RATE: f64 = 48_000.0;

/// Endless noise from -1 to 1.
pub(crate) struct Noise(u64);

/// The noise from its beginning.
pub(crate) fn noise() -> Noise {
    Noise(1)
}

impl Iterator for Noise {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        let sample = (self.0 >> 40) as f64 / (1 << 23) as f64 - 1.0;
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Some(sample)
    }
}

/// The plan of a chain between one stereo input and one stereo output. Whatever impulse a node names is a hall of half a second.
#[allow(dead_code, reason = "not every bench plays such a chain")]
pub(crate) fn plan(yaml: &str) -> Result<Plan, Vec<Mistake>> {
    let (spec, mistakes) = Spec::parse(yaml.as_bytes());
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let hall = |_: &str, rate: f64| {
        let taps = noise().take(24_000).enumerate().map(|(n, x)| x * (-(n as f64) / 4_000.0).exp());
        Ok(Arc::new(Data::Impulse(Impulse::new(vec![taps.collect()], rate)?)))
    };
    Plan::with(&spec, &Io::stereo(), RATE, &hall)
}
