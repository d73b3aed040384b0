//! A second-order section in the form in which many of them are computed at once.

use crate::dsp::filter::svf::Coeffs;
use crate::dsp::simd::mul_add;

/// A section as state and output equations: with t = x - s2,
/// s1 becomes p s1 + q t, s2 becomes s2 + q s1 + r t, and y = d x + c1 s1 + c2 s2.
///
/// The same filter as [`Coeffs`] with fewer steps from a sample to the next. The state never grows of itself, whatever
/// path the coefficients take between two filters: the trapezoidal rule keeps the energy of what it integrates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flow(pub [f64; 6]);

impl Flow {
    /// What goes in comes out, and nothing is remembered.
    pub const IDENTITY: Self = Self::level(1.0);
    const STILL: Self = Self([0.0; 6]);

    /// A change of level alone.
    pub const fn level(gain: f64) -> Self {
        Self([0.0, 0.0, 0.0, 0.0, 0.0, gain])
    }

    /// The same filter in this form.
    pub fn new(coeffs: &Coeffs) -> Self {
        if coeffs.is_identity() {
            return Self::IDENTITY;
        }
        let [a1, a2, a3, m0, m1, m2] = coeffs.parts();
        Self([
            2.0 * a1 - 1.0,
            2.0 * a2,
            2.0 * a3,
            m1 * a1 + m2 * a2,
            m2 * (1.0 - a3) - m1 * a2,
            m0 + m1 * a2 + m2 * a3,
        ])
    }

    #[inline(always)]
    fn add(&mut self, step: &Flow) {
        for (x, step) in self.0.iter_mut().zip(step.0) {
            *x += step;
        }
    }
}

/// Coefficients under way: where they are, how they move, and where to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Course {
    /// The coefficients of the last frame.
    pub now: Flow,
    slope: Flow,
    bend: Flow,
    target: Flow,
}

impl Course {
    /// A wire at rest.
    pub const IDENTITY: Self = Self::at(Flow::IDENTITY);

    /// At rest.
    pub const fn at(flow: Flow) -> Self {
        Self { now: flow, slope: Flow::STILL, bend: Flow::STILL, target: flow }
    }

    /// Whether it is a wire that stays one.
    pub fn is_identity(&self) -> bool {
        self.now == Flow::IDENTITY && self.is_at_rest()
    }

    /// Whether it stays what it is.
    pub fn is_at_rest(&self) -> bool {
        (self.slope, self.bend) == (Flow::STILL, Flow::STILL)
    }

    /// Sets out for `target`: over the next `span` frames the path bends towards it, over the `span` after them it arrives
    /// there, if no other target comes.
    ///
    /// The path is the moving average over `span` frames of straight lines from target to target, so it has no corners.
    pub fn aim(&mut self, target: &Flow, span: usize) {
        let span = span as f64;
        if self.is_at_rest() && *target == self.target {
            // What was added up on the way has its roundings.
            self.now = *target;
            return;
        }
        for i in 0..self.bend.0.len() {
            let slope = (target.0[i] - self.target.0[i]) / span;
            self.bend.0[i] = (slope - self.slope.0[i]) / span;
        }
        self.target = *target;
    }

    /// Whether it stands where it was last sent.
    pub fn has_arrived(&self) -> bool {
        self.now == self.target && self.is_at_rest()
    }

    /// Moves on by one frame.
    #[inline(always)]
    pub fn step(&mut self) {
        self.slope.add(&self.bend);
        self.now.add(&self.slope);
    }

    /// Filters samples, and moves on before each.
    #[inline(always)]
    pub fn run<const FUSED: bool>(&mut self, memory: &mut Memory, samples: &mut [f64]) {
        for sample in samples {
            self.step();
            let [p, q, r, c1, c2, d] = self.now.0;
            let Memory { s1, s2 } = *memory;
            let t = *sample - s2;
            let held = mul_add::<FUSED>(c1, s1, c2 * s2);
            memory.s1 = mul_add::<FUSED>(q, t, p * s1);
            memory.s2 = mul_add::<FUSED>(r, t, mul_add::<FUSED>(q, s1, s2));
            *sample = mul_add::<FUSED>(d, *sample, held);
        }
    }
}

/// What a section remembers of one channel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Memory {
    /// First integrator.
    pub s1: f64,
    /// Second integrator.
    pub s2: f64,
}
