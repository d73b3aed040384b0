//! THE CATALOGUE: the node types, one file each. To add one: write the file, add its name below.

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
    crossover,
    deesser,
    delay,
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

/// The kind named `name`.
pub fn kind(name: &str) -> Option<&'static Kind> {
    CATALOGUE.iter().copied().find(|kind| kind.name == name)
}
