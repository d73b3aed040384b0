//! The `overload:` section: what to bypass while the machine is too slow, in order.

use lacquer_control::desk::chains::ChainFile;
use lacquer_graph::file::error::{At, Mistake, Problem};
use lacquer_graph::file::table::{Holds, Key, List, Section, Text};
use lacquer_graph::file::values::Values;
use lacquer_graph::param::hint::Hint;

/// Its table.
pub static SECTION: Section = Section::new(
    "overload",
    &[
        Key::new(
            "bypass",
            Holds::List(List::of(&Holds::Text(Text::ANY), "a list of the ids of nodes")),
            "Ids of nodes to bypass, in this order.",
        ),
        Key::new("chain", Holds::Text(Text::ANY), "The chain to swap to if that is not enough."),
    ],
);

/// What to bypass, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overload {
    /// Ids of nodes to bypass, each with its position.
    pub bypass: Vec<(String, At)>,
    /// The chain to swap to in the end, and its position.
    pub chain: Option<(String, At)>,
}

pub(super) fn read(values: &Values<'_>) -> Overload {
    let bypass = values.items("bypass").iter();
    let bypass = bypass.filter_map(|held| Some((held.text()?.to_owned(), held.at))).collect();
    Overload { bypass, chain: values.placed("chain") }
}

impl Overload {
    /// A mistake for each name that no chain of the station has.
    pub fn mistakes<'a>(&self, chains: impl Iterator<Item = &'a ChainFile> + Clone) -> Vec<Mistake> {
        let mut ids: Vec<&str> =
            chains.clone().flat_map(|chain| &chain.spec.nodes).map(|node| node.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        let names: Vec<&str> = chains.map(|chain| chain.name.as_str()).collect();
        let unknown = |key: &'static str, known: &[&str], (found, at): &(String, At)| {
            if known.contains(&found.as_str()) {
                return None;
            }
            let hint = Hint::nearest(found, known.iter().copied());
            let allowed = format!("there are {}", known.join(", "));
            let (owner, key, found) = ("overload".to_owned(), key.to_owned(), format!("\"{found}\"{hint}"));
            Some(Mistake::new(*at, Problem::Text { owner, key, found, allowed }))
        };
        let nodes = self.bypass.iter().filter_map(|id| unknown("bypass", &ids, id));
        nodes.chain(self.chain.iter().filter_map(|chain| unknown("chain", &names, chain))).collect()
    }
}
