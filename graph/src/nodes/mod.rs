//! THE CATALOGUE: the node types, one file each. To add one: write the file, add its name below.

pub(crate) mod common;

use crate::node::NodeType;

macro_rules! catalogue {
    ($($name:ident,)*) => {
        $(mod $name;)*

        /// All node types, in alphabetical order.
        pub static CATALOGUE: &[&NodeType] = &[$(&$name::NODE_TYPE),*];
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

/// Node types for tests in development builds; they are not in any list.
#[cfg(debug_assertions)]
static UNLISTED: &[&NodeType] = &[&crate::nodes::common::fault::NODE_TYPE];
#[cfg(not(debug_assertions))]
static UNLISTED: &[&NodeType] = &[];

/// The node type named `name`.
pub fn node_type(name: &str) -> Option<&'static NodeType> {
    CATALOGUE.iter().chain(UNLISTED).copied().find(|node_type| node_type.name == name)
}
