//! Linear phase: filters of finite length for a curve that may change while they play.
//!
//! A new curve is sampled, transformed and cut into a filter a piece at a time (`design`), and the old filter fades over to
//! it (`bank`). Nothing is allocated for it, and no piece takes long.

pub mod bank;
pub mod design;
pub mod equaliser;
pub mod split;

use bank::{Bank, Sources};
use design::{Curve, Design, Reach};

/// A bank of filters and their design.
pub struct Linear {
    /// Where samples go in and come out.
    pub bank: Bank,
    design: Design,
}

impl Linear {
    /// `[control]` `filters` that have the responses of `curve`, at `rate` Hz.
    pub fn new(
        rate: f64,
        reach: Reach,
        [inputs, filters]: [usize; 2],
        outputs: Vec<Sources>,
        curve: &impl Curve,
    ) -> Self {
        let bank = Bank::new(rate, reach.taps, inputs, filters, outputs);
        let mut linear = Self { bank, design: Design::new(rate, reach, filters) };
        linear.begin();
        while !linear.design.is_at_rest() {
            linear.work(curve);
        }
        linear.bank.jump();
        linear
    }

    /// Whether a new design may begin.
    pub fn is_free(&self) -> bool {
        self.design.is_at_rest() && !self.bank.is_fading()
    }

    /// `[audio]` Begins a new design. The curve must stay as it is until [`Self::is_free`].
    pub fn begin(&mut self) {
        self.design.begin();
    }

    /// `[audio]` Does a piece of the design, to be called on every tick of the bank.
    pub fn work(&mut self, curve: &impl Curve) {
        self.design.work(curve, &mut self.bank);
    }

    /// `[audio]` Forgets what came in. The filters stay; a design under way is left off.
    pub fn reset(&mut self) {
        self.design.cancel();
        self.bank.reset();
    }
}
