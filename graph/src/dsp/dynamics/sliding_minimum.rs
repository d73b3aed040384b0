//! Minimum of the last n values, in constant time on average.

/// Sliding minimum over a window.
///
/// It keeps only values that can still become the minimum (a monotonic queue). The worst call drops the whole
/// window, which takes one pass over it.
#[derive(Clone, Debug)]
pub(crate) struct SlidingMinimum {
    // A ring of values, each with the time at which it leaves the window.
    queue: Box<[(f64, u64)]>,
    head: usize,
    len: usize,
    now: u64,
}

impl SlidingMinimum {
    /// `[control]` Over the last `window` values (at least 1).
    pub(crate) fn new(window: usize) -> Self {
        Self { queue: vec![(0.0, 0); window.max(1)].into_boxed_slice(), head: 0, len: 0, now: 0 }
    }

    /// `[audio]` Adds a value and returns the minimum of the window that ends with it.
    #[inline]
    pub(crate) fn tick(&mut self, value: f64) -> f64 {
        let size = self.queue.len();
        let slot = |head: usize, i: usize| if head + i >= size { head + i - size } else { head + i };
        if self.len > 0 && self.queue[self.head].1 <= self.now {
            self.head = slot(self.head, 1);
            self.len -= 1;
        }
        while self.len > 0 && self.queue[slot(self.head, self.len - 1)].0 >= value {
            self.len -= 1;
        }
        self.queue[slot(self.head, self.len)] = (value, self.now + size as u64);
        self.len += 1;
        self.now += 1;
        self.queue[self.head].0
    }

    /// `[audio]` Removes all values.
    pub(crate) fn reset(&mut self) {
        (self.head, self.len, self.now) = (0, 0, 0);
    }

    /// `[audio]` Adopts the state of another one with the same window.
    pub(crate) fn adopt(&mut self, old: &SlidingMinimum) {
        if self.queue.len() == old.queue.len() {
            self.queue.copy_from_slice(&old.queue);
            (self.head, self.len, self.now) = (old.head, old.len, old.now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_minimum_of_the_window() {
        for window in [1, 2, 3, 7, 64] {
            let mut minimum = SlidingMinimum::new(window);
            let values: Vec<f64> = (0..1000_u64).map(|i| ((i * 7919) % 101) as f64).collect();
            for end in 0..values.len() {
                let start = (end + 1).saturating_sub(window);
                let brute = values[start..=end].iter().copied().fold(f64::INFINITY, f64::min);
                assert_eq!(minimum.tick(values[end]), brute, "window {window}, value {end}");
            }
        }
    }
}
