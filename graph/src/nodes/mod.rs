//! THE CATALOGUE: the node types, one file each. To add one: write the file, add its name below.

pub(crate) mod common;

use crate::node::Kind;

macro_rules! catalogue {
    ($($name:ident,)*) => {
        $(mod $name;)*

        /// Every kind that there is, in alphabetical order.
        pub static CATALOGUE: &[&Kind] = &[$(&$name::KIND),*];
    };
}

catalogue! {
    clipper,
    compressor,
    convolver,
    crossover,
    declick,
    declip,
    deesser,
    dehum,
    delay,
    denoise,
    dither,
    eq,
    exciter,
    expander,
    gain,
    leveler,
    limiter,
    mix,
    multiband,
    noise,
    phase,
    stereo,
    tone,
}

/// What only tests name, in development builds; users are not told of it.
#[cfg(debug_assertions)]
static UNLISTED: &[&Kind] = &[&crate::nodes::common::fault::KIND];
#[cfg(not(debug_assertions))]
static UNLISTED: &[&Kind] = &[];

/// The kind named `name`.
pub fn kind(name: &str) -> Option<&'static Kind> {
    CATALOGUE.iter().chain(UNLISTED).copied().find(|kind| kind.name == name)
}
