//! Loudness of a live programme, divided into programme, pauses and changes of scene.
//!
//! Loudness, blocks and gates are those of ITU-R BS.1770-5, Annex 1: blocks of 400 ms, one begun every 100 ms; an
//! absolute gate, set by the caller; a relative gate 10 LU below the mean. Because the programme is live, the relative
//! gate depends on the recent past only. A level that stays below it for long is not a pause but a quieter programme.

use crate::dsp::bs1770::{BLOCKS_PER_SECOND, RELATIVE_GATE, SECTIONS_PER_BLOCK};

/// What lies that far below the recent loudness in the mean of [`SCENE`] is another scene: −6 LU.
const CHANGE: f64 = 0.251_188_643_150_958;
/// Blocks over which a change is detected: a pause of 3 s leaves 2 s of programme, which is not a change.
const SCENE: usize = 5 * BLOCKS_PER_SECOND;
/// The newest of them, which belong to the new scene: the oldest may contain the end of the old one.
const NEW_SCENE: usize = 35;
/// Power ratio of a change to a louder scene: each half second of [`LOUD_SCENE`] is 4 LU above the recent loudness. That
/// includes these blocks already, so a step of about 6 LU is needed.
const LOUDER: f64 = 2.511_886_431_509_58;
/// Blocks over which a change to a louder scene is detected: fast, but a single shout is not a scene.
const LOUD_SCENE: usize = 2 * BLOCKS_PER_SECOND;
/// Smallest number of blocks for a loudness value.
const FEWEST: usize = 10;
/// Largest number of stored blocks: a minute.
pub(crate) const LONGEST: usize = 60 * BLOCKS_PER_SECOND;

/// The last `N` powers.
#[derive(Clone, Copy, Debug)]
struct Past<const N: usize> {
    held: [f64; N],
    at: usize,
    count: usize,
}

impl<const N: usize> Past<N> {
    const EMPTY: Self = Self { held: [0.0; N], at: 0, count: 0 };

    fn push(&mut self, power: f64) {
        self.held[self.at] = power;
        self.at = (self.at + 1) % N;
        self.count = (self.count + 1).min(N);
    }

    /// The newest `most` powers, newest first.
    fn newest(&self, most: usize) -> impl Iterator<Item = f64> + '_ {
        (1..=most.min(self.count)).map(|age| self.held[(self.at + N - age) % N])
    }

    /// Mean of the newest `most` powers.
    fn mean(&self, most: usize) -> f64 {
        self.newest(most).sum::<f64>() / most.min(self.count).max(1) as f64
    }
}

/// Classification of a section of 100 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Silence, room noise, or a pause.
    Pause,
    /// Programme.
    Programme,
    /// Programme, much quieter or louder than before: the earlier programme is discarded.
    Change,
}

/// The powers of the recent programme. Its size is fixed; a copy contains its whole state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loudness {
    sections: Past<BLOCKS_PER_SECOND>,
    /// Blocks above the absolute gate.
    scene: Past<SCENE>,
    /// Blocks above both gates.
    programme: Past<LONGEST>,
}

impl Default for Loudness {
    fn default() -> Self {
        Self { sections: Past::EMPTY, scene: Past::EMPTY, programme: Past::EMPTY }
    }
}

impl Loudness {
    /// `[audio]` Adds the weighted power of the next 100 ms and classifies it. `gate` is the absolute gate as a power; the
    /// relative gate depends on the last `recent` blocks.
    pub(crate) fn tick(&mut self, section: f64, gate: f64, recent: usize) -> Heard {
        self.sections.push(section);
        if self.sections.count < SECTIONS_PER_BLOCK {
            return Heard::Pause;
        }
        let block = self.sections.mean(SECTIONS_PER_BLOCK);
        if block <= gate {
            return Heard::Pause;
        }
        self.scene.push(block);
        let known = self.programme.mean(recent);
        if self.scene.count == SCENE && self.scene.mean(SCENE) < CHANGE * known {
            self.change();
            return Heard::Change;
        }
        if block <= RELATIVE_GATE * known {
            return Heard::Pause;
        }
        self.programme.push(block);
        if self.is_louder(recent) {
            self.forget_before(LOUD_SCENE);
            return Heard::Change;
        }
        if self.programme.count < FEWEST { Heard::Pause } else { Heard::Programme }
    }

    /// Whether the last seconds of programme are a new, louder scene.
    fn is_louder(&self, recent: usize) -> bool {
        const HALF: usize = BLOCKS_PER_SECOND / 2;
        let least = LOUDER * self.programme.mean(recent) * HALF as f64;
        let is_loud = |from: usize| self.programme.newest(from + HALF).skip(from).sum::<f64>() > least;
        self.programme.count > LOUD_SCENE && (0..LOUD_SCENE).step_by(HALF).all(is_loud)
    }

    /// Restarts the programme with the last blocks, after a relative gate of their own.
    fn change(&mut self) {
        let gate = RELATIVE_GATE * self.scene.mean(NEW_SCENE);
        self.programme.count = 0;
        for age in (1..=NEW_SCENE).rev() {
            let block = self.scene.held[(self.scene.at + SCENE - age) % SCENE];
            if block > gate {
                self.programme.push(block);
            }
        }
        self.scene.count = 0;
    }

    /// Mean power of the newest `most` blocks of programme.
    pub(crate) fn mean(&self, most: usize) -> f64 {
        self.programme.mean(most)
    }

    /// Mean power of the last second, including pauses.
    pub(crate) fn last_second(&self) -> f64 {
        self.sections.mean(BLOCKS_PER_SECOND)
    }

    /// `[audio]` Discards all but the newest `most` blocks.
    pub(crate) fn forget_before(&mut self, most: usize) {
        self.programme.count = self.programme.count.min(most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsp::bs1770::{lufs, power};

    fn play(loudness: &mut Loudness, level: f64, sections: usize) -> Vec<Heard> {
        (0..sections).map(|_| loudness.tick(power(level), power(-45.0), 100)).collect()
    }

    #[test]
    fn pauses_and_room_noise_do_not_count() {
        let mut loudness = Loudness::default();
        play(&mut loudness, -23.0, 100);
        for level in [-34.0, -60.0, -300.0] {
            play(&mut loudness, level, 30);
            assert!((lufs(loudness.mean(100)) + 23.0).abs() < 0.4, "{}", lufs(loudness.mean(100)));
            play(&mut loudness, -23.0, 50);
        }
        let room = play(&mut loudness, -55.0, 10_000);
        assert!(room[4..].iter().all(|heard| *heard == Heard::Pause));
    }

    #[test]
    fn what_stays_low_is_another_scene() {
        for level in [-35.0, -43.0] {
            let mut loudness = Loudness::default();
            play(&mut loudness, -23.0, 100);
            let heard = play(&mut loudness, level, 60);
            let change = heard.iter().position(|heard| *heard == Heard::Change);
            assert!(change.is_some_and(|at| (30..55).contains(&at)), "{level} LUFS: {change:?}");
            assert!((lufs(loudness.mean(100)) - level).abs() < 0.01);
        }
    }

    #[test]
    fn two_seconds_of_much_louder_programme_are_another_scene() {
        let mut loudness = Loudness::default();
        play(&mut loudness, -23.0, 100);
        let heard = play(&mut loudness, -9.0, 30);
        let change = heard.iter().position(|heard| *heard == Heard::Change);
        assert!(change.is_some_and(|at| (8..25).contains(&at)), "{change:?}");
        assert!((lufs(loudness.mean(100)) + 9.0).abs() < 1.5, "{}", lufs(loudness.mean(100)));
        // A shout of half a second is none.
        let mut loudness = Loudness::default();
        play(&mut loudness, -23.0, 100);
        let heard = [play(&mut loudness, -9.0, 5), play(&mut loudness, -23.0, 50)].concat();
        assert!(!heard.contains(&Heard::Change));
    }
}
