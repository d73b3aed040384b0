//! The lowest of the last n values, in constant time on average.

/// Sliding minimum over a window.
///
/// Keeps only values that can still become the lowest (a monotonic queue); its worst tick drops the whole
/// window at once and so costs one pass over it.
#[derive(Clone, Debug)]
pub struct Lowest {
    // A ring of (value, when it leaves the window).
    queue: Box<[(f64, u64)]>,
    head: usize,
    len: usize,
    now: u64,
}

impl Lowest {
    /// `[control]` Over the last `window` values (at least 1).
    pub fn new(window: usize) -> Self {
        Self { queue: vec![(0.0, 0); window.max(1)].into_boxed_slice(), head: 0, len: 0, now: 0 }
    }

    /// Takes a value and gives the lowest of the window that ends with it.
    #[inline]
    pub fn tick(&mut self, value: f64) -> f64 {
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

    /// Forgets all values.
    pub fn reset(&mut self) {
        (self.head, self.len, self.now) = (0, 0, 0);
    }

    /// Takes over the state of one with the same window.
    pub fn adopt(&mut self, old: &Lowest) {
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
            let mut lowest = Lowest::new(window);
            let values: Vec<f64> = (0..1000_u64).map(|i| ((i * 7919) % 101) as f64).collect();
            for end in 0..values.len() {
                let start = (end + 1).saturating_sub(window);
                let brute = values[start..=end].iter().copied().fold(f64::INFINITY, f64::min);
                assert_eq!(lowest.tick(values[end]), brute, "window {window}, value {end}");
            }
        }
    }
}
