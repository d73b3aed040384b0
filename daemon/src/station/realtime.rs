//! Real time for the audio thread: the `audio.realtime` section of a station file.

use lacquer_graph::file::error::{Mistake, Problem};
use lacquer_graph::file::fields::{Fields, scalar, wrong_shape};
use lacquer_graph::file::yaml::Value;
use lacquer_graph::param::{Param, Unit};

const PRIORITY: Param = Param::new(0, "priority", Unit::Count)
    .range(0.0, 95.0)
    .default(70.0)
    .bottom("off")
    .help("SCHED_FIFO priority of the audio thread; on JACK the server's own holds.");

/// One of the processors of the audio thread.
pub const CPU: Param = Param::new(1, "cpus", Unit::Count)
    .range(0.0, 1023.0)
    .help("A processor that the audio thread is kept to, counted from 0 as the kernel does.");

/// The rows of the section that have a table, for schema and docs.
pub const ROWS: &[Param] = &[PRIORITY];

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
        Self { priority: PRIORITY.default as u32, cpus: Vec::new() }
    }
}

/// Reads the section.
pub fn read(value: &Value, mistakes: &mut Vec<Mistake>) -> Realtime {
    let mut realtime = Realtime::default();
    let mut fields = Fields::of(value, "realtime", mistakes);
    if let Some(priority) = fields.row(&PRIORITY, mistakes) {
        realtime.priority = priority as u32;
    }
    for value in fields.list(CPU.name).unwrap_or_default() {
        let Some(text) = scalar(value) else {
            mistakes.push(wrong_shape("realtime: cpus", "a list of processors, as in [2, 3]", value));
            continue;
        };
        match CPU.parse(text) {
            Ok(cpu) => realtime.cpus.push(cpu as usize),
            Err(error) => {
                let (owner, key) = ("realtime".to_owned(), CPU.name.to_owned());
                mistakes.push(Mistake::new(value.at, Problem::Value { owner, key, error }));
            }
        }
    }
    fields.finish(&[PRIORITY.name, CPU.name], mistakes);
    realtime
}
