//! `overload:` what a station may leave out where the machine is too slow, and in which order.

use crate::station::load::ChainFile;
use lacquer_graph::file::error::{At, Mistake, Problem};
use lacquer_graph::file::fields::{Fields, scalar, wrong_shape};
use lacquer_graph::file::yaml::Value;
use lacquer_graph::param::hint::Hint;

/// What may be left out, first first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overload {
    /// Ids of nodes that go into bypass, each with its place.
    pub bypass: Vec<(String, At)>,
    /// The chain to swap to in the end, and its place.
    pub chain: Option<(String, At)>,
}

pub(super) fn read(value: &Value, mistakes: &mut Vec<Mistake>) -> Overload {
    let mut fields = Fields::of(value, "overload", mistakes);
    let mut bypass = Vec::new();
    for value in fields.list("bypass").unwrap_or_default() {
        match scalar(value) {
            Some(id) => bypass.push((id.to_owned(), value.at)),
            None => mistakes.push(wrong_shape("overload.bypass", "a list of the ids of nodes", value)),
        }
    }
    let chain = fields.text("chain", mistakes).map(|(text, at)| (text.to_owned(), at));
    fields.finish(&["bypass", "chain"], mistakes);
    Overload { bypass, chain }
}

impl Overload {
    /// What it names that no chain of the station has.
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
            let (owner, found) = ("overload".to_owned(), format!("\"{found}\"{hint}"));
            Some(Mistake::new(*at, Problem::Text { owner, key, found, allowed }))
        };
        let nodes = self.bypass.iter().filter_map(|id| unknown("bypass", &ids, id));
        nodes.chain(self.chain.iter().filter_map(|chain| unknown("chain", &names, chain))).collect()
    }
}
