//! What takes another signal's place without a click: the step between the two dies away.

/// One channel of it.
#[derive(Clone, Copy, Debug)]
pub struct Slip {
    /// The last sample that left.
    last: f64,
    /// How much of the step is left.
    step: f64,
    factor: f64,
}

impl Slip {
    /// At `rate` Hz: a step is down by 60 dB within 5 ms.
    pub fn new(rate: f64) -> Self {
        Self { last: 0.0, step: 0.0, factor: 0.001_f64.powf(1000.0 / (5.0 * rate)) }
    }

    /// The next sample is another signal's, and is `first`.
    pub fn jump(&mut self, first: f64) {
        self.step = self.last - first;
    }

    /// Goes on where another one was.
    pub fn adopt(&mut self, old: &Slip) {
        (self.last, self.step) = (old.last, old.step);
    }

    /// Lets what is left of a step into at least one sample, and remembers the last.
    pub fn process(&mut self, samples: &mut [f64]) {
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
