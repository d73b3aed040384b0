//! A synthetic, music-like programme: something to master where there is no source.
//!
//! Drums, bass, chords and a melody at 96 beats a minute, in sections of changing level, tone and width, without end
//! and with variations. The same after every start, whatever the block size. Peaks stay below −1.4 dBFS.

/// Beats a minute.
const TEMPO: f64 = 96.0;
/// Steps in a beat, beats in a bar.
const STEPS: usize = 4;
const BEATS: usize = 4;
/// The chords, as MIDI notes, one a bar.
const CHORDS: [[f64; 4]; 8] = [
    [57.0, 60.0, 64.0, 67.0],
    [53.0, 57.0, 60.0, 64.0],
    [48.0, 55.0, 60.0, 64.0],
    [55.0, 59.0, 62.0, 66.0],
    [57.0, 60.0, 64.0, 69.0],
    [52.0, 55.0, 59.0, 64.0],
    [53.0, 57.0, 60.0, 65.0],
    [55.0, 59.0, 62.0, 67.0],
];
/// The melody's notes, in semitones above the chord's root.
const SCALE: [f64; 6] = [12.0, 14.0, 15.0, 19.0, 22.0, 24.0];

/// A part of the piece.
struct Section {
    bars: usize,
    level: f64,
    brightness: f64,
    width: f64,
    drums: f64,
    melody: f64,
}

const SECTIONS: [Section; 5] = [
    Section { bars: 2, level: 0.1, brightness: 0.3, width: 0.2, drums: 0.0, melody: 0.0 },
    Section { bars: 4, level: 0.16, brightness: 0.5, width: 0.4, drums: 0.6, melody: 0.5 },
    Section { bars: 8, level: 0.42, brightness: 1.0, width: 1.0, drums: 1.0, melody: 1.0 },
    Section { bars: 1, level: 0.015, brightness: 0.2, width: 0.1, drums: 0.0, melody: 0.0 },
    Section { bars: 4, level: 0.26, brightness: 0.7, width: 0.7, drums: 0.9, melody: 0.8 },
];

/// An oscillator of a few harmonics; its level glides to `wanted`.
#[derive(Clone, Copy, Default)]
struct Voice {
    phase: f64,
    step: f64,
    level: f64,
    wanted: f64,
}

impl Voice {
    /// One sample of `harmonics` partials, each `fall` of the one before.
    fn tick(&mut self, glide: f64, harmonics: usize, fall: f64) -> f64 {
        self.level += (self.wanted - self.level) * glide;
        self.phase += self.step;
        self.phase -= self.phase.floor();
        let (mut sum, mut gain) = (0.0, 1.0);
        for harmonic in 1..=harmonics {
            // Harmonics near Nyquist would alias.
            if self.step * harmonic as f64 > 0.45 {
                break;
            }
            sum += gain * sine(self.phase * harmonic as f64);
            gain *= fall;
        }
        sum * self.level
    }
}

/// An approximation of sin(2 pi x) that costs less: a parabola with one correction.
fn sine(turns: f64) -> f64 {
    let x = turns - turns.round();
    let y = 8.0 * x - 16.0 * x * x.abs();
    0.775 * y + 0.225 * y * y.abs()
}

/// The programme.
pub struct Programme {
    rate: f64,
    seed: u64,
    /// Frames in a step, and until the next one.
    step_frames: f64,
    left: f64,
    /// The next step, counted from the start.
    step: usize,
    chords: [[Voice; 2]; 4],
    bass: Voice,
    melody: Voice,
    vibrato: f64,
    /// Decaying levels of kick, snare and hat; snare and hat have a target to which they rise.
    kick: f64,
    kick_phase: f64,
    snare: [f64; 2],
    hat: [f64; 2],
    /// The last noise sample, for a high-pass.
    hiss: f64,
    /// Level, brightness, width and drums, which glide to `wanted`.
    now: [f64; 4],
    wanted: [f64; 4],
}

impl Programme {
    /// The programme from its beginning, at `sample_rate` Hz.
    pub fn new(sample_rate: f64) -> Self {
        Self {
            rate: sample_rate,
            seed: 0x2545_F491_4F6C_DD1D,
            step_frames: sample_rate * 60.0 / TEMPO / STEPS as f64,
            left: 0.0,
            step: 0,
            chords: Default::default(),
            bass: Voice::default(),
            melody: Voice::default(),
            vibrato: 0.0,
            kick: 0.0,
            kick_phase: 0.0,
            snare: [0.0; 2],
            hat: [0.0; 2],
            hiss: 0.0,
            now: [0.0; 4],
            wanted: [0.0; 4],
        }
    }

    /// -1..1, by Marsaglia's xorshift.
    fn noise(&mut self) -> f64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    fn pitch(&self, note: f64) -> f64 {
        440.0 * 2.0_f64.powf((note - 69.0) / 12.0) / self.rate
    }

    /// Plays the notes and drums of one sixteenth.
    fn play_step(&mut self) {
        let in_bar = self.step % (STEPS * BEATS);
        let bar = self.step / (STEPS * BEATS);
        let length: usize = SECTIONS.iter().map(|section| section.bars).sum();
        let mut left = bar % length;
        let section = SECTIONS.iter().find(|section| {
            let is_here = left < section.bars;
            left = left.saturating_sub(section.bars);
            is_here
        });
        let Some(section) = section else { return };
        self.wanted = [section.level, section.brightness, section.width, section.drums];
        let chord = CHORDS[bar % CHORDS.len()];
        if in_bar == 0 {
            let steps = chord.map(|note| self.pitch(note));
            for (voices, step) in self.chords.iter_mut().zip(steps) {
                for (voice, detune) in voices.iter_mut().zip([0.9985, 1.0015]) {
                    (voice.step, voice.wanted) = (step * detune, 0.11);
                }
            }
        }
        if in_bar.is_multiple_of(2) {
            let octave = if self.noise() > 0.6 { 12.0 } else { 0.0 };
            self.bass.step = self.pitch(chord[0] - 24.0 + octave);
            self.bass.wanted = if in_bar % 8 == 6 { 0.1 } else { 0.42 };
        } else {
            self.bass.wanted *= 0.5;
        }
        if in_bar.is_multiple_of(8) || (in_bar == 10 && self.noise() > 0.2) {
            (self.kick, self.kick_phase) = (1.0, 0.0);
        }
        if in_bar % 8 == 4 || (in_bar == 15 && self.noise() > 0.5) {
            self.snare[1] = 1.0;
        }
        if in_bar.is_multiple_of(2) || self.noise() > 0.3 {
            self.hat[1] = if in_bar % 4 == 2 { 1.0 } else { 0.5 };
        }
        let chance = self.noise();
        if in_bar.is_multiple_of(2) && chance > 0.1 {
            let note = SCALE[((chance * 6.0) as usize).min(5)];
            self.melody.step = self.pitch(chord[0] + note);
            self.melody.wanted = 0.2 * section.melody;
        } else {
            self.melody.wanted *= 0.6;
        }
        self.step += 1;
    }

    /// The next frame, left and right.
    pub fn frame(&mut self) -> [f64; 2] {
        if self.left <= 0.0 {
            self.left += self.step_frames;
            self.play_step();
        }
        self.left -= 1.0;
        let rate = self.rate;
        let per = |ms: f64| 1000.0 / (ms * rate);
        let (slow, quick, drum_rise) = (per(120.0), per(8.0), per(1.5));
        for (now, wanted) in self.now.iter_mut().zip(self.wanted) {
            *now += (wanted - *now) * slow;
        }
        let [level, brightness, width, drums] = self.now;
        let (mut mid, mut side) = (0.0, 0.0);
        for voices in &mut self.chords {
            let [left, right] = voices.each_mut().map(|voice| voice.tick(quick, 4, 0.2 + 0.4 * brightness));
            mid += left + right;
            side += left - right;
        }
        mid += self.bass.tick(quick, 3, 0.35 * brightness);
        self.vibrato += 5.2 / self.rate;
        self.vibrato -= self.vibrato.floor();
        self.melody.phase += 0.004 * self.melody.step * sine(self.vibrato);
        let melody = self.melody.tick(quick, 5, 0.5 * brightness);
        mid += melody;
        side += 0.4 * melody * sine(self.vibrato * 0.5);
        // The kick falls in pitch as it falls in level.
        self.kick_phase += (46.0 + 140.0 * self.kick * self.kick) / self.rate;
        self.kick -= self.kick * per(110.0);
        mid += drums * 0.8 * self.kick * sine(self.kick_phase);
        let noise = self.noise();
        for (drum, fall) in [(&mut self.snare, per(70.0)), (&mut self.hat, per(25.0))] {
            drum[1] -= drum[1] * fall;
            drum[0] += (drum[1] - drum[0]) * drum_rise;
        }
        let bright = noise - self.hiss;
        self.hiss = noise;
        mid += drums * (0.4 * self.snare[0] * noise + 0.16 * self.hat[0] * bright);
        side += drums * 0.1 * self.hat[0] * noise;
        let side = side * width * 1.4;
        // A soft ceiling: never above 0.85 of full scale.
        let soft = |x: f64| 0.85 * x / (1.0 + x * x).sqrt();
        [soft(level * (mid + side)), soft(level * (mid - side))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(rate: f64, count: f64) -> Vec<[f64; 2]> {
        let mut programme = Programme::new(rate);
        (0..(count * rate) as usize).map(|_| programme.frame()).collect()
    }

    fn rms_db(frames: &[[f64; 2]]) -> f64 {
        let sum: f64 = frames.iter().flatten().map(|x| x * x).sum();
        10.0 * (sum / (2.0 * frames.len() as f64)).log10()
    }

    fn correlation(frames: &[[f64; 2]]) -> f64 {
        let sum = |f: fn(&[f64; 2]) -> f64| frames.iter().map(f).sum::<f64>();
        sum(|x| x[0] * x[1]) / (sum(|x| x[0] * x[0]) * sum(|x| x[1] * x[1])).sqrt()
    }

    // A bar lasts 2.5 s: intro to 5 s, verse to 15 s, chorus to 35 s, break to 37.5 s.
    #[test]
    fn level_and_width_change_with_the_sections() {
        let all = seconds(48_000.0, 37.4);
        let part = |from: f64, to: f64| &all[(from * 48_000.0) as usize..(to * 48_000.0) as usize];
        let (verse, chorus, pause) = (part(6.0, 14.0), part(16.0, 34.0), part(36.0, 37.4));
        println!("verse {:.1}, chorus {:.1}, break {:.1} dB", rms_db(verse), rms_db(chorus), rms_db(pause));
        assert!(rms_db(chorus) > rms_db(verse) + 6.0);
        assert!(rms_db(verse) > rms_db(pause) + 12.0);
        assert!(correlation(verse) > correlation(chorus) + 0.05);
    }

    fn assert_is_fit(rate: f64, once: &[[f64; 2]]) {
        let peak = once.iter().flatten().fold(0.0_f64, |peak, x| peak.max(x.abs()));
        assert!((0.3..0.86).contains(&peak), "peak {peak} at {rate} Hz");
        let dc: f64 = once.iter().map(|x| x[0]).sum::<f64>() / once.len() as f64;
        assert!(dc.abs() < 1e-3, "{dc:e} of direct current at {rate} Hz");
    }

    #[test]
    fn it_is_the_same_each_time_and_never_too_hot() {
        let once = seconds(8_000.0, 60.0);
        assert!(once == seconds(8_000.0, 60.0));
        assert_is_fit(8_000.0, &once);
        assert_is_fit(48_000.0, &seconds(48_000.0, 60.0));
    }

    #[test]
    fn at_a_high_rate_it_is_not_too_hot_either() {
        // Into the chorus, which is the loudest.
        assert_is_fit(192_000.0, &seconds(192_000.0, 20.0));
    }
}
