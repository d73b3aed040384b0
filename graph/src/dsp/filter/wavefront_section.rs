//! A second-order section in state-space form, in which many of them can be computed at once.

use crate::dsp::filter::svf::Coeffs;
use crate::dsp::simd::mul_add;

/// Coefficients of a section as state and output equations: with t = x - s2,
/// s1 becomes p s1 + q t, s2 becomes s2 + q s1 + r t, and y = d x + c1 s1 + c2 s2.
///
/// The same filter as [`Coeffs`] with fewer dependent operations between samples. The state does not grow by itself,
/// whatever path the coefficients take between two filters: the trapezoidal rule preserves energy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct StateSpace(pub [f64; 6]);

impl StateSpace {
    /// Passes the signal unchanged, without state.
    pub(crate) const IDENTITY: Self = Self::level(1.0);
    const STILL: Self = Self([0.0; 6]);

    /// A gain factor.
    pub(crate) const fn level(gain: f64) -> Self {
        Self([0.0, 0.0, 0.0, 0.0, 0.0, gain])
    }

    /// The same filter in this form.
    pub(crate) fn new(coeffs: &Coeffs) -> Self {
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
    fn add(&mut self, step: &StateSpace) {
        for (x, step) in self.0.iter_mut().zip(step.0) {
            *x += step;
        }
    }
}

/// Moving coefficients: current values, slopes and targets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct CoeffPath {
    /// The coefficients of the last frame.
    pub now: StateSpace,
    slope: StateSpace,
    bend: StateSpace,
    target: StateSpace,
}

impl CoeffPath {
    /// At rest, passing the signal unchanged.
    pub(crate) const IDENTITY: Self = Self::at(StateSpace::IDENTITY);

    /// At rest at `coeffs`.
    pub(crate) const fn at(coeffs: StateSpace) -> Self {
        Self { now: coeffs, slope: StateSpace::STILL, bend: StateSpace::STILL, target: coeffs }
    }

    /// Whether it is at rest and passes the signal unchanged.
    pub(crate) fn is_identity(&self) -> bool {
        self.now == StateSpace::IDENTITY && self.is_at_rest()
    }

    /// Whether the coefficients do not move.
    pub(crate) fn is_at_rest(&self) -> bool {
        (self.slope, self.bend) == (StateSpace::STILL, StateSpace::STILL)
    }

    /// `[audio]` Starts a move to `target`: during the next `span` frames the slope changes towards it, and after `span` more
    /// frames it arrives, unless there is another target.
    ///
    /// The path is the moving average over `span` frames of straight lines between the targets, so it has no corners.
    pub(crate) fn set_target(&mut self, target: &StateSpace, span: usize) {
        let span = span as f64;
        if self.is_at_rest() && *target == self.target {
            // Removes the rounding errors of the sum.
            self.now = *target;
            return;
        }
        for i in 0..self.bend.0.len() {
            let slope = (target.0[i] - self.target.0[i]) / span;
            self.bend.0[i] = (slope - self.slope.0[i]) / span;
        }
        self.target = *target;
    }

    /// Whether it has arrived at its target.
    pub(crate) fn has_arrived(&self) -> bool {
        self.now == self.target && self.is_at_rest()
    }

    /// `[audio]` Advances by one frame.
    #[inline(always)]
    pub(crate) fn step(&mut self) {
        self.slope.add(&self.bend);
        self.now.add(&self.slope);
    }

    /// `[audio]` Filters samples, and advances before each.
    #[inline(always)]
    pub(crate) fn run<const FUSED: bool>(&mut self, memory: &mut Memory, samples: &mut [f64]) {
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

/// State of a section for one channel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Memory {
    /// First integrator.
    pub s1: f64,
    /// Second integrator.
    pub s2: f64,
}
