//! Real time for the audio thread: the `audio.realtime` section of a station file.

use lacquer_graph::file::table::{Holds, Key, List, Section};
use lacquer_graph::file::values::{Held, Values};
use lacquer_graph::param::{Param, Unit};

const PRIORITY: Param = Param::new(0, "priority", Unit::Count)
    .range(0.0, 95.0)
    .default(70.0)
    .bottom("off")
    .help("SCHED_FIFO priority of the audio thread; on JACK the server's own holds.");
const CPU: Param = Param::new(0, "cpus", Unit::Count).range(0.0, 1023.0);

/// Its table.
pub static SECTION: Section = Section::new(
    "realtime",
    &[
        Key::row(PRIORITY),
        Key::new(
            CPU.name,
            Holds::List(List::of(&Holds::Row(CPU), "a list of processors, as in [2, 3]")),
            "The processors that the audio thread is kept to, counted from 0 as the kernel does; else all.",
        ),
    ],
);

/// What the audio thread is to have.
#[derive(Clone, Debug, PartialEq)]
pub struct Realtime {
    /// SCHED_FIFO priority, 1 to 95; 0: it shares time with all else.
    pub priority: u32,
    /// The processors that it is kept to; all where there are none.
    pub cpus: Vec<usize>,
}

impl Default for Realtime {
    fn default() -> Self {
        read(&Values::none(&SECTION))
    }
}

pub(super) fn read(values: &Values<'_>) -> Realtime {
    let cpus = values.items("cpus").iter().filter_map(Held::number).map(|cpu| cpu as usize).collect();
    Realtime { priority: values.number("priority") as u32, cpus }
}
