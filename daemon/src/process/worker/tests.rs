//! The worker with real tasks. Time is simulated: a check counts at most [`MAX_STEP`], whatever the clock says.

use super::*;
use basedrop::{Collector, Owned};
use crossbeam_channel::{Sender, unbounded};
use std::thread;

const SECOND: Duration = Duration::from_secs(1);

/// A task that says when it runs, and then waits until its sender is dropped.
fn stuck(result: &'static str) -> (impl FnOnce() -> &'static str + Send, Receiver<()>, Sender<()>) {
    let (begins, begun) = bounded(1);
    let (release, released) = bounded::<()>(0);
    let task = move || {
        begins.send(()).ok();
        released.recv().ok();
        result
    };
    (task, begun, release)
}

/// Lets time pass, check by check, until one gives something.
fn check<R: Send + 'static>(worker: &mut Worker<R>, now: &mut Instant) -> Vec<Failed> {
    loop {
        *now += MAX_STEP;
        let failed = worker.check(*now);
        if !failed.is_empty() {
            return failed;
        }
        thread::yield_now();
    }
}

/// Gives the worker a task that hangs, and abandons it.
fn abandon(worker: &mut Worker<&'static str>, now: &mut Instant) -> (u64, Sender<()>) {
    let (task, begun, release) = stuck("late");
    let ticket = worker.run("reading b.yaml".to_owned(), SECOND, task);
    begun.recv().unwrap();
    let why = Reason::TooLong { limit: SECOND };
    assert_eq!(check(worker, now), [Failed { ticket, what: "reading b.yaml".to_owned(), why }]);
    (ticket, release)
}

#[test]
fn tasks_run_one_after_another_in_the_order_given() {
    let mut worker = Worker::new().unwrap();
    let (ran, order) = unbounded();
    let tickets: Vec<u64> = (0..20)
        .map(|n| {
            let ran = ran.clone();
            worker.run(format!("task {n}"), SECOND, move || {
                ran.send(n).unwrap();
                2 * n
            })
        })
        .collect();
    assert!(tickets.is_sorted_by(|a, b| a < b), "{tickets:?}");
    for (n, ticket) in tickets.into_iter().enumerate() {
        assert_eq!(worker.results().recv(), Ok((ticket, Ok(2 * n))));
        assert_eq!(order.recv(), Ok(n));
    }
    assert_eq!(worker.check(Instant::now()), []);
}

#[test]
fn a_panic_comes_back_as_a_failure_and_the_next_task_runs() {
    let mut worker = Worker::new().unwrap();
    let first = worker.run("planning a".to_owned(), SECOND, || panic!("no plan"));
    let second = worker.run("planning b".to_owned(), SECOND, || "planned");
    let (ticket, result) = worker.results().recv().unwrap();
    let failed = result.unwrap_err();
    assert_eq!((ticket, failed.ticket), (first, first));
    assert_eq!(failed.to_string(), "planning a: failed by a fault in this program: no plan");
    assert_eq!(worker.results().recv(), Ok((second, Ok("planned"))));
}

#[test]
fn a_task_past_its_limit_is_abandoned_the_others_go_on_and_its_late_result_is_dropped() {
    let (mut worker, mut now) = (Worker::new().unwrap(), Instant::now());
    let (task, begun, release) = stuck("late");
    let first = worker.run("reading a.yaml".to_owned(), SECOND, task);
    let second = worker.run("reading b.yaml".to_owned(), SECOND, || "read");
    begun.recv().unwrap();
    let failed = check(&mut worker, &mut now);
    assert_eq!(failed.len(), 1);
    assert_eq!(
        failed[0].to_string(),
        "reading a.yaml: not done after 1 s, abandoned; the disk may not answer, or the files are too large"
    );
    assert_eq!(failed[0].ticket, first);
    assert_eq!(worker.results().recv(), Ok((second, Ok("read"))));
    // It comes back, and its thread ends.
    drop(release);
    while !worker.abandoned.is_empty() {
        now += MAX_STEP;
        assert_eq!(worker.check(now), [], "it failed already");
        thread::yield_now();
    }
    let third = worker.run("reading c.yaml".to_owned(), SECOND, || "read");
    assert_eq!(worker.results().recv(), Ok((third, Ok("read"))), "nothing came before it");
}

#[test]
fn only_the_time_in_which_a_task_runs_counts_and_a_jump_of_the_clock_counts_as_one_step() {
    let (mut worker, mut now) = (Worker::new().unwrap(), Instant::now());
    let (task, begun, release) = stuck("read");
    let first = worker.run("reading a.yaml".to_owned(), SECOND, task);
    // It waits as long as the first runs, which is longer than its own limit.
    let second = worker.run("reading b.yaml".to_owned(), MAX_STEP, || "read");
    begun.recv().unwrap();
    for _ in 0..10 {
        now += 1_000 * SECOND;
        assert_eq!(worker.check(now), [], "the machine slept");
    }
    drop(release);
    assert_eq!(worker.results().recv(), Ok((first, Ok("read"))));
    assert_eq!(worker.results().recv(), Ok((second, Ok("read"))));
}

#[test]
fn at_most_four_are_abandoned_then_tasks_are_refused_until_one_comes_back() {
    let (mut worker, mut now) = (Worker::new().unwrap(), Instant::now());
    let mut held: Vec<_> = (1..MAX_ABANDONED).map(|_| abandon(&mut worker, &mut now).1).collect();
    let (task, begun, release) = stuck("late");
    let fourth = worker.run("reading d.yaml".to_owned(), SECOND, task);
    let waits = worker.run("reading e.yaml".to_owned(), SECOND, || "read");
    begun.recv().unwrap();
    held.push(release);
    let failed = check(&mut worker, &mut now);
    let refused =
        |ticket: u64, what: &str| Failed { ticket, what: what.to_owned(), why: Reason::TooManyAbandoned };
    assert_eq!(failed[0].ticket, fourth);
    assert_eq!(failed[1..], [refused(waits, "reading e.yaml")]);
    let ticket = worker.run("reading f.yaml".to_owned(), SECOND, || "read");
    let failed = worker.check(now);
    assert_eq!(failed, [refused(ticket, "reading f.yaml")]);
    assert!(failed[0].to_string().contains("because 4 earlier tasks are still not done"), "{}", failed[0]);
    // One comes back: its place is free, and a replacement takes tasks.
    held.pop();
    while worker.active.is_none() {
        assert_eq!(worker.check(now), []);
        thread::yield_now();
    }
    let ticket = worker.run("reading g.yaml".to_owned(), SECOND, || "read");
    assert_eq!(worker.results().recv(), Ok((ticket, Ok("read"))));
    assert_eq!(worker.abandoned.len(), MAX_ABANDONED - 1);
    // And that place can be taken again.
    held.push(abandon(&mut worker, &mut now).1);
    assert!(worker.active.is_none());
}

#[test]
fn a_full_queue_refuses_and_every_ticket_comes_back_once() {
    let (mut worker, now) = (Worker::new().unwrap(), Instant::now());
    let (task, begun, release) = stuck("read");
    let mut tickets = vec![worker.run("reading a.yaml".to_owned(), SECOND, task)];
    begun.recv().unwrap();
    tickets.extend((0..MAX_TASKS).map(|n| worker.run(format!("task {n}"), SECOND, || "done")));
    assert_eq!(worker.check(now), []);
    let refused = worker.run("one more".to_owned(), SECOND, || "never");
    let why = Reason::QueueFull;
    assert_eq!(worker.check(now), [Failed { ticket: refused, what: "one more".to_owned(), why }]);
    drop(release);
    let done: Vec<u64> = tickets.iter().map(|_| worker.results().recv().unwrap().0).collect();
    assert_eq!(done, tickets);
}

#[test]
fn a_collector_is_owned_by_the_worker_and_frees_there_also_after_a_thread_was_abandoned() {
    /// Says on which thread it is dropped.
    struct Says(Sender<Option<String>>);
    impl Drop for Says {
        fn drop(&mut self) {
            self.0.send(thread::current().name().map(str::to_owned)).ok();
        }
    }
    let (mut worker, mut now) = (Worker::new().unwrap(), Instant::now());
    let mut collector = Collector::new();
    let handle = collector.handle();
    worker.every(Duration::from_millis(1), "freeing chains", move || collector.collect());
    let (dropped, drops) = unbounded();
    let freed = || drops.recv().unwrap();
    drop(Owned::new(&handle, Says(dropped.clone())));
    assert_eq!(freed().as_deref(), Some("worker"));
    let (_, _release) = abandon(&mut worker, &mut now);
    drop(Owned::new(&handle, Says(dropped.clone())));
    assert_eq!(freed().as_deref(), Some("worker"));
    worker.free(Says(dropped));
    assert_eq!(freed().as_deref(), Some("worker"));
}

#[test]
fn repeated_work_that_hangs_is_abandoned_and_goes_on_once_it_is_back_and_a_panic_does_not_end_it() {
    let (mut worker, mut now) = (Worker::new().unwrap(), Instant::now());
    let (says, calls) = bounded(0);
    let (release, released) = bounded::<()>(0);
    let mut count = 0;
    worker.every(Duration::ZERO, "freeing chains", move || {
        count += 1;
        says.send(count).ok();
        match count {
            1 => panic!("once"),
            2 => drop(released.recv()),
            _ => {}
        }
    });
    assert_eq!((calls.recv(), calls.recv()), (Ok(1), Ok(2)));
    let ticket = worker.run("reading a.yaml".to_owned(), SECOND, || "read");
    // Nobody asked for it, so no ticket comes back.
    while worker.abandoned.is_empty() {
        now += MAX_STEP;
        assert_eq!(worker.check(now), []);
        thread::yield_now();
    }
    assert_eq!(worker.results().recv(), Ok((ticket, Ok("read"))));
    drop(release);
    assert_eq!(calls.recv(), Ok(3));
}

#[test]
fn a_worker_that_is_dropped_waits_for_nothing() {
    let mut worker = Worker::new().unwrap();
    let (task, begun, release) = stuck("late");
    worker.run("reading a.yaml".to_owned(), SECOND, task);
    begun.recv().unwrap();
    drop(worker);
    drop(release);
}
