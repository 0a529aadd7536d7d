//! Disks that flip bits, fill up, fail, or lie about flushing.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use ailurus_model::{Index, Offset};
use ailurus_rt::fs;
use ailurus_rt::sim::{Dice, DiskFaults, DiskOp, Outcome, Sim, SimConfig};

use super::model::{Model, dir, shard, tiny};
use super::random::{Shared, checkpoint, live, open};
use crate::segment::frame::Body;
use crate::segment::{Frame, SegmentError, SegmentSet};

fn machine(seed: u64, disk: DiskFaults) -> (Sim, Shared) {
    let sim = Sim::new(seed, SimConfig { shards: 1, disk, ..SimConfig::default() });
    (sim, Rc::new(RefCell::new(Model::new(seed, tiny()))))
}

/// Fills the log with `count` entries and checkpoints it.
async fn fill(model: Shared, count: usize) {
    let set = open(&model).await;
    for _ in 0..count / 10 {
        (0..10).for_each(|_| model.borrow_mut().grow());
        append(&model, &set).await.expect("appends");
    }
    checkpoint(&model, &set).await.expect("flushes");
}

async fn append(model: &Shared, set: &Rc<SegmentSet>) -> Result<(), SegmentError> {
    let frames: Vec<Frame> = {
        let model = model.borrow();
        model.between(set.end().index, model.end().index)
    };
    set.append(&frames).await
}

/// Reads every batch by itself; gives how many are offline. What is served is right.
async fn read_each(model: Shared) -> usize {
    let set = open_as_is(&model).await;
    let entries = model.borrow().entries.clone();
    let mut offline = 0;
    for entry in entries {
        let header = entry.header();
        let Body::Batch(bytes) = &entry.body else { continue };
        match set.read(header.offset, header.end().offset, usize::MAX, true).await {
            Ok(read) => {
                let bases: Vec<u8> = read.batches.iter().map(|batch| batch[7]).collect();
                assert!(
                    read.batches == [bytes.clone()],
                    "wrong bytes at offset {}: {bases:?}, next {}",
                    header.offset,
                    read.next
                );
            }
            Err(SegmentError::Corrupt { .. }) => offline += 1,
            Err(other) => panic!("{other}"),
        }
    }
    offline
}

async fn open_as_is(model: &Shared) -> Rc<SegmentSet> {
    let seen = model.replace(Model::new(0, tiny()));
    let set = seen.open(&shard()).await.expect("opens");
    model.replace(seen);
    set
}

#[test]
fn a_flipped_bit_takes_its_range_offline_and_is_never_served() {
    let (mut offline, mut flips) = (0, 0);
    for seed in 0..60 {
        let (mut sim, model) = machine(seed, DiskFaults::default());
        let filling = model.clone();
        sim.run(move || fill(filling, 60)).finished();
        let mut names = sim.disk().read_dir(dir()).expect("there").into_iter();
        let closed = names.find(|file| file.name.to_string_lossy().ends_with(".log")).expect("a segment");
        if sim.disk().flip_random_bit(dir().join(&closed.name)).expect("there").is_some() {
            flips += 1;
        }
        let bad = sim.run(move || read_each(model)).finished();
        offline += usize::from(bad > 0);
    }
    assert!(flips == 60 && offline > 10, "{offline} of {flips} flips were in the way of a reader");
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let (mut sim, model) = machine(3, DiskFaults { space: Some(96 << 10), ..DiskFaults::default() });
    let main = async move || {
        let set = open(&model).await;
        let mut refused = 0;
        for _ in 0..60 {
            (0..10).for_each(|_| model.borrow_mut().grow());
            match append(&model, &set).await {
                Ok(()) => {}
                Err(SegmentError::Full { .. }) => {
                    refused += 1;
                    assert!(!set.failed(), "a full disk is no failure");
                    // Half of what is there may go; then the same entries are taken.
                    let start = model.borrow_mut().advance_start(set.end().index);
                    set.truncate_prefix(start).await.expect("removes");
                }
                Err(other) => panic!("{other}"),
            }
            let mut seen = model.replace(Model::new(0, tiny()));
            seen.compare(&set).await;
            model.replace(seen);
        }
        assert!(refused > 2, "refused {refused} times");
        assert!(set.end().index > Index(300), "it went on: {}", set.end());
    };
    sim.run(main).finished();
}

#[test]
fn a_failed_write_or_flush_takes_the_log_offline_until_it_is_opened_again() {
    let mut offline = 0;
    let cases = [DiskOp::Write, DiskOp::Flush, DiskOp::Name].map(|op| (1..12).map(move |n| (op, n * 4 - 1)));
    for (op, nth) in cases.into_iter().flatten() {
        let (mut sim, model) = machine(nth, DiskFaults::default());
        let first = model.clone();
        sim.disk().fail_nth(op, nth);
        let failed = sim
            .run(async move || {
                let set = open(&first).await;
                for _ in 0..40 {
                    (0..10).for_each(|_| first.borrow_mut().grow());
                    let done = match append(&first, &set).await {
                        Ok(()) => checkpoint(&first, &set).await,
                        failed => failed,
                    };
                    if done.is_err() {
                        assert!(matches!(append(&first, &set).await, Err(SegmentError::Offline { .. })));
                        assert!(matches!(set.flush().await, Err(SegmentError::Offline { .. })));
                        return set.failed();
                    }
                }
                false
            })
            .finished();
        // A sidecar that could not be written is made again when it is needed.
        offline += usize::from(failed);
        sim.crash();
        sim.run(move || live(model, 30)).finished();
    }
    assert!(offline > 16, "{offline} of 33 failures were in the way of the log");
}

#[test]
fn a_disk_that_does_not_flush_is_noticed() {
    let noticed = (0..20).any(|seed| {
        let disk = DiskFaults { honour_flush: false, ..DiskFaults::default() };
        let (mut sim, model) = machine(seed, disk);
        let mut dice = Dice::new(!seed);
        let lied_to = catch_unwind(AssertUnwindSafe(|| {
            for _ in 0..4 {
                let model = model.clone();
                sim.crash_after(50 + dice.below(600));
                if let Outcome::Finished(()) = sim.run(move || live(model, 60)) {
                    sim.crash();
                }
            }
        }));
        lied_to.is_err()
    });
    assert!(noticed, "the crash tests would not notice a missing flush");
}

#[test]
fn files_of_a_log_that_was_removed_are_gone() {
    let (mut sim, model) = machine(5, DiskFaults::default());
    let main = async move || {
        fill(model.clone(), 60).await;
        let set = open(&model).await;
        set.read(Offset(0), Offset(1), 1, true).await.expect("readable");
        set.remove().await.expect("removes");
        assert!(!fs::exists(&dir()).await.expect("answers"));
        assert!(matches!(append(&model, &set).await, Err(SegmentError::Offline { .. })));
    };
    sim.run(main).finished();
}
