//! The conductor: the one thread that builds chains and sends commands to the audio thread. It receives requests from
//! every surface and events from the audio thread, and sends updates to the surfaces.

mod effects;
mod files;
mod hang;
mod session;
mod status;

use crate::audio::backend::BackendEvent;
use crate::audio::link::Link;
use crate::audio::session::{Opening, PortSetup, Session};
use crate::process::restart::HangRecord;
use crate::process::state_saver::StateSaver;
use crate::process::state_writer::WriteRequest;
use crate::process::supervise::{Pulse, Report, Watcher};
use crate::process::{client_log, systemd};
use crate::station::Station;
use crate::station::work::{Work, plan};
use crate::surfaces::osc::SurfaceSender;
use crossbeam_channel::{Receiver, Sender, never, select};
use files::WatchedFiles;
use lacquer_control::desk::Desk;
use lacquer_control::desk::kept::Kept;
use lacquer_control::desk::turn::Input;
use lacquer_control::message::{FromAudio, Missed, ToAudio};
use lacquer_control::request::{Request, RequestBundle};
use lacquer_control::schedule::Schedule;
use lacquer_control::subscribe::{Recipients, SurfaceMessage};
use lacquer_control::surface::client::format_update;
use lacquer_control::update::Update;
use lacquer_graph::run::engine::Event;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};
use tracing::{error, info, warn};

/// Period in which events are received and memory is freed.
const TICK: Duration = Duration::from_millis(5);
/// Period in which readings of nodes are sent.
const METER_PERIOD: Duration = Duration::from_millis(50);
/// Time limit for the fade-out at the end.
const END_LIMIT: Duration = Duration::from_secs(2);

/// Everything needed to start the conductor.
pub(crate) struct ConductorParts {
    /// The station file.
    pub path: PathBuf,
    /// The parsed station.
    pub station: Station,
    /// Sends requests to the conductor.
    pub request_sender: Sender<RequestBundle>,
    /// Receives the requests.
    pub requests: Receiver<RequestBundle>,
    /// The surfaces that receive updates.
    pub surfaces: Vec<Sender<SurfaceMessage>>,
    /// The model of the station.
    pub desk: Desk,
    /// Sends state and audit lines to the thread that writes them.
    pub writer: Option<Sender<WriteRequest>>,
    /// The state that was saved when the station ended.
    pub kept: Option<Kept>,
    /// What hung, if the process has executed itself again because of a hang.
    pub hang_record: Option<HangRecord>,
    /// The port connections to make.
    pub port_setup: PortSetup,
    /// The session that is still being opened.
    pub opening: Option<Opening>,
    /// The time of files (`named::file_time`) before they were read.
    pub read_since: SystemTime,
}

/// The conductor and everything it owns.
pub(crate) struct Conductor {
    /// The model of the station, which decides.
    desk: Desk,
    /// When the desk's clock began.
    since: Instant,
    work: Work,
    link: Link,
    requests: Receiver<RequestBundle>,
    request_sender: Sender<RequestBundle>,
    surfaces: Vec<SurfaceSender>,
    files: WatchedFiles,
    /// Requests for a later time.
    schedule: Schedule,
    saver: StateSaver,
    watch: Watch,
    next_meters: Instant,
    end: End,
}

/// What watches over the process.
struct Watch {
    /// Period of systemd's watchdog, and the next time to notify it.
    dog: Option<(Duration, Instant)>,
    threads: Watcher,
    /// What hung before the process executed itself again.
    hang_record: Option<HangRecord>,
}

/// Whether the station ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// It does not.
    No,
    /// The output fades out, since then.
    Fading(Instant),
    /// At once.
    Now,
}

impl Conductor {
    /// A conductor for a station with an open `session`, or one that retries to open it.
    ///
    /// # Errors
    /// The system cannot start the worker's thread.
    pub(crate) fn new(session: Option<Session>, parts: ConductorParts) -> io::Result<Self> {
        let now = Instant::now();
        let mut conductor = Self {
            desk: parts.desk,
            since: now,
            work: Work::new(parts.path, parts.station)?,
            link: Link::new(session, parts.opening, parts.port_setup, now),
            requests: parts.requests,
            request_sender: parts.request_sender,
            surfaces: parts.surfaces.into_iter().map(SurfaceSender::new).collect(),
            files: WatchedFiles::new(parts.read_since),
            schedule: Schedule::default(),
            saver: StateSaver::new(parts.writer, now),
            watch: Watch {
                dog: systemd::watchdog_interval().map(|every| (every, now)),
                threads: Watcher::new(now),
                hang_record: parts.hang_record,
            },
            next_meters: now,
            end: End::No,
        };
        if let Some(kept) = parts.kept {
            let all = conductor.watch.hang_record.is_some() || conductor.work.station.starts_where_it_ended();
            conductor.turn(|desk, turn| {
                desk.restore(kept, all);
                desk.check_restored(turn, |chain, io, rate| plan(&chain, io, rate, true));
            });
        }
        let addresses = conductor.status().into_iter().map(|line| line.address).collect();
        conductor.desk.set_status_addresses(addresses);
        conductor.watch_files();
        if let Some(record) = conductor.watch.hang_record.clone() {
            conductor.resume(&record);
        }
        Ok(conductor)
    }

    /// Runs until a request to quit.
    pub(crate) fn run(mut self) {
        match self.link.session {
            Some(_) => self.start(),
            None => self.wait_for_audio(),
        }
        let pulse = Pulse::new("conductor");
        while self.end != End::Now {
            // A panic in the handling of one request must not end the programme.
            if pulse.catch_panic(|| self.run_once(&pulse)).is_none() {
                std::thread::sleep(TICK);
            }
        }
        self.turn(Desk::end_gesture);
        self.saver.end(saved_state(&self.desk, &self.link));
        self.link.close();
    }

    /// Waits for a request or an event, and handles it.
    fn run_once(&mut self, pulse: &Pulse) {
        pulse.beat();
        let (meters, events) = match &self.link.session {
            Some(session) => (session.meters.clone(), session.events.clone()),
            None => (never(), never()),
        };
        select! {
            recv(self.requests) -> bundle => bundle.into_iter().for_each(|bundle| self.receive(bundle)),
            recv(meters) -> lines => lines.into_iter().for_each(|lines| self.handle(Input::Readings(lines))),
            recv(self.work.results()) -> done => {
                let input = done.ok().and_then(|(number, done)| self.work.finish(number, done));
                input.into_iter().for_each(|input| self.handle(input));
            }
            recv(events) -> event => event.into_iter().for_each(|event| self.handle_backend_event(event)),
            default(self.time_to_next()) => {}
        }
        self.tick();
    }

    /// Reports threads that panicked or make no progress. A thread that was started again receives the full state.
    fn report_threads(&mut self, now: Instant) {
        for Report { thread, text, is_restart } in self.watch.threads.check(now) {
            self.send_event("fault", &[&format!("thread {thread}"), &text]);
            if is_restart {
                self.surfaces.iter().for_each(SurfaceSender::mark_missed);
                self.saver.touch();
            }
        }
    }

    /// Time until the next tick.
    fn time_to_next(&self) -> Duration {
        self.schedule.time_to_next(SystemTime::now()).map_or(TICK, |next| next.min(TICK))
    }

    fn tick(&mut self) {
        let now = Instant::now();
        self.receive_events(now);
        if let Some(session) = &mut self.link.session {
            session.queues.flush();
            if session.update(now) {
                self.saver.touch();
            }
            let (missed, gone, silent) =
                (session.missed(), session.failure(), session.input_silence_changed(now));
            self.count_missed(missed, now);
            self.report_input_silence(silent);
            if let Some(why) = gone {
                self.session_lost(&why);
            }
        }
        self.check_for_hang(now);
        self.check_link();
        self.feed_watchdog(now);
        for bundle in self.schedule.take_due(SystemTime::now()) {
            self.receive(bundle);
        }
        if now.duration_since(self.since) >= self.desk.next_deadline() {
            self.handle(Input::Time);
        }
        self.work.check(now).into_iter().for_each(|input| self.handle(input));
        let (desk, link) = (&self.desk, &self.link);
        self.saver.tick(now, || saved_state(desk, link));
        self.report_threads(now);
        client_log::report_left_out(false);
        self.resend_to_surfaces();
        if now >= self.next_meters {
            self.next_meters = now + METER_PERIOD;
            self.send_meters();
        }
        match self.end {
            End::No if self.link.session.is_none() => self.reopen(now),
            End::Fading(since) if since.elapsed() > END_LIMIT => {
                warn!("output did not fade out within {} s: ending anyway", END_LIMIT.as_secs());
                self.end = End::Now;
            }
            _ => {}
        }
    }

    fn send_command(&mut self, command: ToAudio) {
        if let Some(session) = &mut self.link.session {
            session.queues.enqueue(command);
        }
    }

    /// Sends the full state to surfaces that have missed updates.
    fn resend_to_surfaces(&self) {
        for surface in self.surfaces.iter().filter(|surface| surface.take_missed()) {
            self.desk.full_state_messages().iter().for_each(|message| surface.send(message));
        }
    }

    fn send_updates(&self, to: Recipients, lines: Vec<Update>) {
        if lines.is_empty() {
            return;
        }
        self.send_to_surfaces(&SurfaceMessage::Updates { to, updates: lines.into() });
    }

    fn send_event(&self, kind: &str, words: &[&str]) {
        self.send_updates(Recipients::All, vec![Update::words(format!("/event/{kind}"), words)]);
    }

    fn send_to_surfaces(&self, message: &SurfaceMessage) {
        self.surfaces.iter().for_each(|surface| surface.send(message));
    }

    fn receive(&mut self, bundle: RequestBundle) {
        let by = bundle.by;
        let bundle = match self.schedule.add(bundle, SystemTime::now()) {
            Ok(Some(bundle)) => bundle,
            Ok(None) => return,
            Err(why) => return self.handle(Input::Request { by, request: Request::wrong("/", why) }),
        };
        for request in bundle.requests {
            match request {
                Request::Changed(paths) => self.files_changed(&paths),
                Request::Dump => self.status().iter().for_each(|line| info!("{}", format_update(line))),
                Request::Quit => self.quit(),
                request => self.handle(Input::Request { by, request }),
            }
        }
        // The requests of a bundle take effect together.
        if let Some(session) = &mut self.link.session {
            session.queues.flush();
        }
    }

    /// Receives all events of the audio thread.
    fn receive_events(&mut self, now: Instant) {
        while let Some(event) = self.link.session.as_mut().and_then(|session| session.queues.next_event()) {
            match event {
                FromAudio::Engine(Event::InputFault) => {
                    if self.link.health.input_fault(Instant::now()) {
                        error!("input NaN or infinite: replaced by silence");
                        self.send_event("fault", &["input", "NaN or infinite; replaced by silence"]);
                    }
                }
                FromAudio::Engine(Event::Muted) if self.end != End::No => self.end = End::Now,
                FromAudio::Engine(event) => {
                    self.link.health.faults += u64::from(matches!(event, Event::Fault { .. }));
                    self.handle(Input::Engine(event));
                }
                FromAudio::Load(load) => {
                    self.handle(Input::Load(load));
                    self.link.health.record_load(load);
                }
                FromAudio::Missed(why) => {
                    self.link.health.xruns.record_reason(why, now);
                    if why == Missed::Own {
                        self.handle(Input::OwnMiss);
                    }
                }
            }
        }
        if self.link.health.becomes_ready(self.desk.is_starting()) {
            systemd::ready();
        }
        // The payload of a panic is freed here.
        while let Some(panicked) = self.link.session.as_mut().and_then(|session| session.queues.next_panic())
        {
            self.link.health.faults += 1;
            let (generation, node) = (panicked.generation, panicked.node);
            self.handle(Input::Panicked { generation, node, message: panicked.message().to_owned() });
        }
    }

    /// Counts the deadlines missed since the session was opened.
    fn count_missed(&mut self, missed: u64, now: Instant) {
        let lines = self.link.health.count_missed(missed, now);
        self.send_updates(Recipients::All, lines.into_iter().collect());
    }

    fn handle_backend_event(&mut self, event: BackendEvent) {
        match event {
            BackendEvent::BlockSize(frames) => {
                info!("server changed its block size to {frames} frames");
                self.send_event("connection", &["block size", &frames.to_string()]);
                if let Some(session) = &mut self.link.session {
                    session.block = frames;
                }
            }
            BackendEvent::Freewheel(is_on) => {
                let words = if is_on { "on" } else { "off" };
                self.link.health.freewheel(is_on);
                self.handle(Input::Freewheel(is_on));
                info!("freewheel {words}");
                self.send_event("connection", &["freewheel", words]);
            }
            BackendEvent::SampleRate(rate) => self.rate_changed(rate),
        }
    }
}

/// What is saved of the station.
fn saved_state(desk: &Desk, link: &Link) -> Kept {
    let cables = link.session.as_ref().and_then(Session::connections);
    desk.kept(cables.unwrap_or_else(|| link.setup.kept.clone()).into_iter().collect())
}
