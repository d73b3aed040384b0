//! Names that can stand in an address as they are.

use crate::file::error::{At, Mistake, Problem};

/// What may be written as a name.
pub const ALLOWED: &str = "write up to 64 letters, digits, - and _";

/// Whether a name can stand in an OSC address as it is.
pub fn is_name(text: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    !text.is_empty() && text.len() <= 64 && text.chars().all(good)
}

/// The mistake of a name that cannot stand in an address.
pub(crate) fn bad_name(at: At, owner: &str, key: &str, found: &str) -> Mistake {
    let (owner, key, found) = (owner.to_owned(), key.to_owned(), format!("\"{found}\""));
    Mistake::new(at, Problem::Text { owner, key, found, allowed: ALLOWED.to_owned() })
}
