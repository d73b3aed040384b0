//! What a control of a MIDI map does with what it sends, and the words for it.

/// How a relative encoder says which way and how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// 1..63 up, 65..127 down: bit 6 is the sign. Mackie's.
    SignedBit,
    /// 65..127 up, 1..63 down.
    SignedBit2,
    /// 1..64 up, 127..65 down.
    TwosComplement,
    /// 65.. up, 63.. down, from 64.
    BinaryOffset,
}

/// What a control does with what it sends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act {
    /// Its position is the value.
    Absolute,
    /// It goes up and down from wherever the value is; the faster, the farther.
    Relative(Encoding, f64),
    /// Each press turns it over.
    Toggle,
    /// On while it is held.
    Momentary,
    /// Each press does something.
    Trigger,
}

/// A word for it in a map, and what it means at an acceleration.
type Row = (&'static str, fn(f64) -> Act);

const ACTS: [Row; 8] = [
    ("absolute", |_| Act::Absolute),
    ("toggle", |_| Act::Toggle),
    ("momentary", |_| Act::Momentary),
    ("trigger", |_| Act::Trigger),
    ("signed-bit", |acceleration| Act::Relative(Encoding::SignedBit, acceleration)),
    ("signed-bit-2", |acceleration| Act::Relative(Encoding::SignedBit2, acceleration)),
    ("twos-complement", |acceleration| Act::Relative(Encoding::TwosComplement, acceleration)),
    ("binary-offset", |acceleration| Act::Relative(Encoding::BinaryOffset, acceleration)),
];

/// The words.
pub(crate) const WORDS: [&str; ACTS.len()] = {
    let mut words = [""; ACTS.len()];
    let mut at = 0;
    while at < words.len() {
        words[at] = ACTS[at].0;
        at += 1;
    }
    words
};

impl Act {
    /// What a word means.
    pub(crate) fn of(word: &str, acceleration: f64) -> Option<Self> {
        ACTS.iter().find(|(known, _)| *known == word).map(|(_, act)| act(acceleration))
    }
}
