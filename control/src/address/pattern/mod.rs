//! Address patterns of OSC: which addresses a message is for.
//!
//! `?` is one character, `*` any number of them, `[abc]`, `[a-c]` and `[!abc]` one of a set, `{foo,bar}` one of some
//! texts. None of them crosses a `/`; a `-` at an end of a set, and a `!` behind its beginning, stand for themselves.
//! `//` is any number of whole parts, also none. A `/` at the end is ignored.
//!
//! A pattern is a row of positions, each of which accepts one character (a non-deterministic automaton). All positions
//! that are possible after a part of the address are one set of bits, so a match costs at most the length of the pattern
//! times that of the address.
//!
//! Source: M. Wright, *The Open Sound Control 1.0 Specification*, 2002, "OSC Message Dispatching and Pattern
//! Matching"; A. Freed, A. Schmeder, *Features and Future of Open Sound Control version 1.1*, 2009, for `//`.

use std::ops::Range;
use thiserror::Error;

/// Longest pattern, in bytes.
pub const LONGEST: usize = 1024;
/// Most words of bits in a set of positions: one position a byte, and the end.
const WORDS: usize = LONGEST / 64 + 1;

/// A set of positions.
type Bits = [u64; WORDS];

/// Why a text is not a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PatternError {
    /// It is too long.
    #[error("longer than {LONGEST} bytes")]
    Long,
    /// A set or a list that does not end.
    #[error("\"{0}\" without \"{1}\" before the next \"/\"")]
    Open(char, char),
}

/// Whether an address holds anything that makes it a pattern.
pub fn is_pattern(address: &str) -> bool {
    let address = trimmed(address);
    address.contains(['?', '*', '[', '{']) || address.contains("//")
}

/// An address without slashes at its end.
pub fn trimmed(address: &str) -> &str {
    address.trim_end_matches('/')
}

/// What a position accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sign {
    /// This character.
    One(char),
    /// Any character of a part.
    Any,
    /// A character of a part that lies in one of the ranges, or in none of them.
    Set { ranges: Vec<(char, char)>, is_not: bool },
    /// Any number of characters of a part.
    Star,
    /// Any number of whole parts, each with the `/` behind it.
    Parts,
}

impl Sign {
    /// Whether it accepts a character.
    fn accepts(&self, sign: char) -> bool {
        match self {
            Sign::One(one) => *one == sign,
            Sign::Any => sign != '/',
            Sign::Set { ranges, is_not } => {
                sign != '/' && ranges.iter().any(|(low, high)| (*low..=*high).contains(&sign)) != *is_not
            }
            Sign::Star => false,
            Sign::Parts => sign == '/',
        }
    }
}

/// A stretch of a pattern: one position, or the texts of a `{}`.
struct Item {
    /// Its first position.
    at: usize,
    /// Where it can begin; for the texts of a `{}` one for each.
    firsts: Vec<usize>,
    /// Whether it also matches nothing.
    may_be_empty: bool,
}

/// The positions that are possible when an item is reached.
#[derive(Clone)]
struct Open {
    /// The positions.
    bits: Bits,
    /// The words that hold them.
    words: Range<usize>,
    /// The first position that leads to a later item.
    until: usize,
}

/// A pattern, ready to be matched.
pub struct Pattern {
    signs: Vec<Sign>,
    /// How many words the sets need.
    words: usize,
    /// For each item, and for the end, the positions that are possible when it is reached.
    open: Vec<Open>,
    /// For each position the item that it leads to.
    leads: Vec<usize>,
    /// The positions that lead to the next position and nowhere else.
    simple: Bits,
    stars: Bits,
    parts: Bits,
    /// For each ASCII character the positions that accept it.
    takers: Vec<Bits>,
}

impl Pattern {
    /// Reads a pattern. A plain address is a pattern that matches itself.
    ///
    /// # Errors
    /// Why it is not a pattern.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let text = trimmed(text);
        if text.len() > LONGEST {
            return Err(PatternError::Long);
        }
        let (signs, items) = read(text)?;
        Ok(Self::of(signs, &items))
    }

    fn of(signs: Vec<Sign>, items: &[Item]) -> Self {
        let end = signs.len();
        let ended = Open { bits: bits([end]), words: end / 64..end / 64 + 1, until: end };
        let mut open = vec![ended; items.len() + 1];
        for (at, item) in items.iter().enumerate().rev() {
            let last = item.firsts.last().unwrap_or(&item.at);
            let mut here = Open {
                bits: bits(item.firsts.iter().copied()),
                words: item.at / 64..last / 64 + 1,
                until: item.at + usize::from(signs.get(item.at) == Some(&Sign::Star)),
            };
            if item.may_be_empty {
                let behind = &open[at + 1];
                add(&mut here.bits, &behind.bits);
                (here.words.end, here.until) = (behind.words.end, behind.until);
            }
            open[at] = here;
        }
        let mut leads = vec![0; end];
        let mut simple = bits([]);
        for (at, item) in items.iter().enumerate() {
            let next = items.get(at + 1).map_or(end, |next| next.at);
            for position in item.at..next {
                // A position that repeats leads to its own item, and so to all positions behind it again.
                leads[position] = if signs[position] == Sign::Star { at } else { at + 1 };
                let is_within = position + 1 < next && !item.firsts.contains(&(position + 1));
                let mut only = bits([position + 1]);
                if signs[position] == Sign::Star {
                    add(&mut only, &bits([position]));
                }
                if is_within || open[leads[position]].bits == only {
                    add(&mut simple, &bits([position]));
                }
            }
        }
        let these = |is: &dyn Fn(&Sign) -> bool| {
            bits(signs.iter().enumerate().filter(|(_, sign)| is(sign)).map(|(position, _)| position))
        };
        let takers = (0..128_u8).map(|sign| these(&|taker| taker.accepts(char::from(sign)))).collect();
        let (stars, parts) = (these(&|sign| *sign == Sign::Star), these(&|sign| *sign == Sign::Parts));
        Self { words: end / 64 + 1, open, leads, simple, stars, parts, takers, signs }
    }

    /// Whether it matches an address.
    pub fn matches(&self, address: &str) -> bool {
        self.within("").matches(address)
    }

    /// The pattern behind a beginning that many addresses share.
    pub fn within(&self, beginning: &str) -> Within<'_> {
        let mut set = Some(self.open[0].bits);
        for sign in beginning.chars() {
            set = set.and_then(|set| self.step(&set, sign, &mut 0));
        }
        Within { pattern: self, set, way: Vec::new() }
    }

    /// The positions that one character leads to; `None` where there is none. `steps` counts the words that were read.
    fn step(&self, set: &Bits, sign: char, steps: &mut usize) -> Option<Bits> {
        let mut taken = match self.takers.get(sign as usize) {
            Some(takers) => *takers,
            None => bits((0..self.signs.len()).filter(|position| self.signs[*position].accepts(sign))),
        };
        let mut next = bits([]);
        let mut carry = 0;
        *steps += self.words;
        for word in 0..self.words {
            let stays = if sign == '/' { 0 } else { set[word] & self.stars[word] };
            taken[word] = (taken[word] & set[word]) | stays;
            let moved = taken[word] & self.simple[word];
            next[word] = moved << 1 | carry | stays | (set[word] & self.parts[word]);
            carry = moved >> 63;
        }
        // A position that leads to more than the next one opens an item with all that follows from it. These ranges do
        // not overlap, so together they have few more words than the whole.
        let mut from = 0;
        while from / 64 < self.words {
            let word = from / 64;
            let left = taken[word] & !self.simple[word] & !0 << (from % 64);
            if left == 0 {
                from = (word + 1) * 64;
                continue;
            }
            let position = word * 64 + left.trailing_zeros() as usize;
            let Open { bits, words, until } = &self.open[self.leads[position]];
            *steps += 1 + words.len();
            words.clone().for_each(|word| next[word] |= bits[word]);
            from = (position + 1).max(*until);
        }
        next[..self.words].iter().any(|word| *word != 0).then_some(next)
    }

    fn is_end(&self, set: &Bits) -> bool {
        has(set, self.signs.len())
    }
}

/// A pattern after a common beginning. What an address shares with the one before it is not matched again.
pub struct Within<'a> {
    pattern: &'a Pattern,
    /// Where the beginning leads to.
    set: Option<Bits>,
    /// The address before, and the positions after each of its characters, as far as it matched.
    way: Vec<(char, Option<Bits>)>,
}

impl Within<'_> {
    /// Whether any address with this beginning could match.
    pub(crate) fn is_possible(&self) -> bool {
        self.set.is_some()
    }

    /// Whether the address that continues with `rest` matches.
    pub fn matches(&mut self, rest: &str) -> bool {
        self.matches_counted(rest, &mut 0)
    }

    fn matches_counted(&mut self, rest: &str, steps: &mut usize) -> bool {
        let rest = trimmed(rest);
        let same = self.way.iter().zip(rest.chars()).take_while(|((was, _), is)| was == is).count();
        self.way.truncate(same);
        let mut set = self.way.last().map_or(self.set, |(_, set)| *set);
        for sign in rest.chars().skip(same) {
            let Some(here) = set else { break };
            set = self.pattern.step(&here, sign, steps);
            self.way.push((sign, set));
        }
        set.is_some_and(|set| self.pattern.is_end(&set))
    }
}

fn bits(positions: impl IntoIterator<Item = usize>) -> Bits {
    let mut bits = [0; WORDS];
    positions.into_iter().for_each(|position| bits[position / 64] |= 1 << (position % 64));
    bits
}

fn add(bits: &mut Bits, more: &Bits) {
    bits.iter_mut().zip(more).for_each(|(bits, more)| *bits |= more);
}

fn has(bits: &Bits, position: usize) -> bool {
    bits[position / 64] & 1 << (position % 64) != 0
}

/// The positions of a pattern, and its items.
fn read(text: &str) -> Result<(Vec<Sign>, Vec<Item>), PatternError> {
    let (mut signs, mut items) = (Vec::new(), Vec::new());
    let mut rest = text.chars();
    while let Some(sign) = rest.next() {
        let item = Item { at: signs.len(), firsts: vec![signs.len()], may_be_empty: false };
        match sign {
            '?' => signs.push(Sign::Any),
            '*' => {
                // Several are the same as one.
                rest = rest.as_str().trim_start_matches('*').chars();
                signs.push(Sign::Star);
                items.push(Item { may_be_empty: true, ..item });
                continue;
            }
            '[' => signs.push(set(closed(&mut rest, '[', ']')?)),
            '{' => {
                let texts = closed(&mut rest, '{', '}')?.split(',');
                items.push(list(texts, &mut signs));
                continue;
            }
            '/' if rest.as_str().starts_with('/') => {
                rest = rest.as_str().trim_start_matches('/').chars();
                signs.extend([Sign::One('/'), Sign::Parts]);
                items.push(item);
                items.push(Item { at: signs.len() - 1, firsts: vec![signs.len() - 1], may_be_empty: true });
                continue;
            }
            sign => signs.push(Sign::One(sign)),
        }
        items.push(item);
    }
    Ok((signs, items))
}

/// The text before the closing character, within the same part.
fn closed<'a>(rest: &mut std::str::Chars<'a>, opens: char, closes: char) -> Result<&'a str, PatternError> {
    let part = rest.as_str().split('/').next().unwrap_or_default();
    let (inside, _) = part.split_once(closes).ok_or(PatternError::Open(opens, closes))?;
    *rest = rest.as_str()[inside.len() + closes.len_utf8()..].chars();
    Ok(inside)
}

/// The texts of a `{}`, one behind the other.
fn list<'a>(texts: impl Iterator<Item = &'a str>, signs: &mut Vec<Sign>) -> Item {
    let mut item = Item { at: signs.len(), firsts: Vec::new(), may_be_empty: false };
    for text in texts {
        match text.is_empty() {
            true => item.may_be_empty = true,
            false => item.firsts.push(signs.len()),
        }
        signs.extend(text.chars().map(Sign::One));
    }
    item
}

/// The set between `[` and `]`.
fn set(inside: &str) -> Sign {
    let listed = inside.strip_prefix('!');
    let signs: Vec<char> = listed.unwrap_or(inside).chars().collect();
    let mut ranges = Vec::new();
    let mut at = 0;
    while let Some(low) = signs.get(at).copied() {
        match signs.get(at + 1..at + 3) {
            Some(['-', high]) => {
                // Between the two, whichever comes first.
                ranges.push((low.min(*high), low.max(*high)));
                at += 3;
            }
            _ => {
                ranges.push((low, low));
                at += 1;
            }
        }
    }
    Sign::Set { ranges, is_not: listed.is_some() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests;
