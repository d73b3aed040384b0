//! The `audio.realtime` section: scheduling of the audio thread.

use lacquer_graph::file::table::{Holds, Key, List, Section};
use lacquer_graph::file::values::{Held, Values};
use lacquer_graph::param::{Param, Unit};

const PRIORITY: Param = Param::new(0, "priority", Unit::Count)
    .range(0.0, 95.0)
    .default(70.0)
    .bottom("off")
    .help("SCHED_FIFO priority of the audio thread; with JACK the server sets it.");
const CPU: Param = Param::new(0, "cpus", Unit::Count).range(0.0, 1023.0);

/// Its table.
pub static SECTION: Section = Section::new(
    "realtime",
    &[
        Key::row(PRIORITY),
        Key::new(
            CPU.name,
            Holds::List(List::of(&Holds::Row(CPU), "a list of processors, as in [2, 3]")),
            "The processors that the audio thread may run on, counted from 0 as in the kernel; default: all.",
        ),
    ],
);

/// Scheduling of the audio thread.
#[derive(Clone, Debug, PartialEq)]
pub struct Realtime {
    /// SCHED_FIFO priority, 1 to 95; 0: normal scheduling.
    pub priority: u32,
    /// The processors that it may run on; all if empty.
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
