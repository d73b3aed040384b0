//! The nearest valid name, for errors: "did you mean".

use std::fmt;

/// The nearest valid name, if one is similar enough.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hint(pub Option<String>);

impl Hint {
    /// The name in `names` that is most similar to `found`, if any is similar enough.
    pub fn nearest<'a>(found: &str, names: impl IntoIterator<Item = &'a str>) -> Self {
        let found = found.to_lowercase();
        let near = names
            .into_iter()
            .map(|name| (strsim::jaro_winkler(&found, &name.to_lowercase()), name))
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .filter(|(likeness, _)| *likeness > 0.75);
        Self(near.map(|(_, name)| name.to_owned()))
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(name) => write!(f, ", did you mean \"{name}\"?"),
            None => Ok(()),
        }
    }
}
