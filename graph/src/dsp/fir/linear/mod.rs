//! Linear-phase FIR filters whose response can change while they play.
//!
//! A new response is sampled, transformed and windowed a piece at a time (`design`), then the output is crossfaded from the
//! old filter to the new one (`fir_bank`). Nothing is allocated, and every piece of the work is short.

pub(crate) mod crossover;
pub(crate) mod design;
pub(crate) mod equaliser;
pub(crate) mod fir_bank;

use design::{Curve, Design, Reach};
use fir_bank::{FirBank, Sources};

/// FIR filters and their design.
pub(crate) struct Linear {
    /// The filters.
    pub bank: FirBank,
    design: Design,
}

impl Linear {
    /// `[control]` Filters with the responses of `curve`, at `rate` Hz.
    pub(crate) fn new(
        rate: f64,
        reach: Reach,
        [inputs, filters]: [usize; 2],
        outputs: Vec<Sources>,
        curve: &impl Curve,
    ) -> Self {
        let bank = FirBank::new(rate, reach.taps, inputs, filters, outputs);
        let mut linear = Self { bank, design: Design::new(rate, reach, filters) };
        linear.begin();
        while !linear.design.is_idle() {
            linear.work(curve);
        }
        linear.bank.switch();
        linear
    }

    /// Whether a new design may begin.
    pub(crate) fn is_free(&self) -> bool {
        self.design.is_idle() && !self.bank.is_fading()
    }

    /// `[audio]` Begins a new design. The curve must not change until [`Self::is_free`].
    pub(crate) fn begin(&mut self) {
        self.design.begin();
    }

    /// `[audio]` Computes a piece of the design. To be called on every tick of the filters.
    pub(crate) fn work(&mut self, curve: &impl Curve) {
        self.design.work(curve, &mut self.bank);
    }

    /// `[audio]` Clears the input history. The filters stay; a running design is cancelled.
    pub(crate) fn reset(&mut self) {
        self.design.cancel();
        self.bank.reset();
    }
}
