//! Click-free switching from one signal to another: the step between the two decays exponentially.

/// One channel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Splice {
    /// The last output sample.
    last: f64,
    /// The remaining step.
    step: f64,
    factor: f64,
}

impl Splice {
    /// `[control]` At `rate` Hz. A step decays by 60 dB within 5 ms.
    pub(crate) fn new(rate: f64) -> Self {
        Self { last: 0.0, step: 0.0, factor: 0.001_f64.powf(1000.0 / (5.0 * rate)) }
    }

    /// `[audio]` Switches to another signal, whose first sample is `first`.
    pub(crate) fn switch(&mut self, first: f64) {
        self.step = self.last - first;
    }

    /// `[audio]` Adopts the state of another one.
    pub(crate) fn adopt(&mut self, old: &Splice) {
        (self.last, self.step) = (old.last, old.step);
    }

    /// `[audio]` Adds the decaying step to the samples, in place.
    pub(crate) fn process(&mut self, samples: &mut [f64]) {
        if self.step != 0.0 {
            for sample in &mut *samples {
                *sample += self.step;
                self.step *= self.factor;
            }
            if self.step.abs() < 1e-9 {
                self.step = 0.0;
            }
        }
        self.last = samples.last().copied().unwrap_or(self.last);
    }
}
