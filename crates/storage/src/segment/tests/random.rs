//! Random operations, with and without crashes.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use ailurus_model::Index;
use ailurus_rt::fs;
use ailurus_rt::sim::{Dice, DiskFaults, Outcome, Sim, SimConfig, seeds};

use super::model::{Model, dir, shard, tiny};
use crate::segment::{SegmentError, SegmentSet};

pub(super) type Shared = Rc<RefCell<Model>>;

/// What the journal would do, in its order: the model changes first where the journal is durable first.
async fn act(model: &Shared, set: &Rc<SegmentSet>) -> Result<(), SegmentError> {
    let choice = model.borrow_mut().dice.below(16);
    match choice {
        0..=6 => drain(model, set).await?,
        7..=9 => checkpoint(model, set).await?,
        10 => {
            let floor = model.borrow().start.index;
            let cut = model.borrow_mut().cut(floor);
            if let Some(to) = cut {
                set.truncate_suffix(to).await?;
                // The journal checkpoints after a cut was applied, so that it need not be repeated.
                let checkpoint = set.flush().await?;
                let mut model = model.borrow_mut();
                set.checkpoint_durable(&checkpoint);
                (model.checkpoint, model.cut) = (Some(checkpoint), None);
            }
        }
        11 => {
            let start = model.borrow_mut().advance_start(set.end().index);
            set.truncate_prefix(start).await?;
        }
        12 => set.roll_if_due(i64::MAX).await?,
        _ => {
            let mut seen = std::mem::replace(&mut *model.borrow_mut(), Model::new(0, tiny()));
            seen.compare(set).await;
            *model.borrow_mut() = seen;
        }
    }
    Ok(())
}

async fn drain(model: &Shared, set: &Rc<SegmentSet>) -> Result<(), SegmentError> {
    let frames = {
        let mut model = model.borrow_mut();
        for _ in 0..model.dice.below(12) {
            model.grow();
        }
        let end = model.end().index;
        model.between(set.end().index, end)
    };
    let some = model.borrow_mut().dice.below(frames.len() as u64 + 1) as usize;
    set.append(&frames[..some]).await
}

pub(super) async fn checkpoint(model: &Shared, set: &Rc<SegmentSet>) -> Result<(), SegmentError> {
    let whole_file_system = model.borrow_mut().dice.below(2) == 0;
    let checkpoint = if whole_file_system {
        let pending = set.begin_flush();
        if let Err(source) = fs::sync_fs(&dir()).await {
            set.state.borrow_mut().failed = true;
            return Err(SegmentError::Io { doing: "flush", path: dir(), source });
        }
        set.end_flush(pending).expect("nobody cut meanwhile")
    } else {
        set.flush().await?
    };
    set.checkpoint_durable(&checkpoint);
    let mut model = model.borrow_mut();
    (model.checkpoint, model.cut) = (Some(checkpoint), None);
    Ok(())
}

/// Opens, checks what was found, gives back what was not, and goes on.
pub(super) async fn live(model: Shared, steps: u64) {
    let set = open(&model).await;
    for _ in 0..steps {
        act(&model, &set).await.expect("a disk without faults");
    }
}

pub(super) async fn open(model: &Shared) -> Rc<SegmentSet> {
    fs::create_dir_all(dir().parent().expect("not the root")).await.expect("makes a directory");
    fs::sync_dir(std::path::Path::new("/")).await.expect("flushes");
    let mut seen = std::mem::replace(&mut *model.borrow_mut(), Model::new(0, tiny()));
    let set = seen.open(&shard()).await.expect("opens");
    seen.compare(&set).await;
    let flushed = seen.checkpoint.as_ref().map_or(Index(0), |checkpoint| checkpoint.end.index);
    let kept = seen.cut.map_or(flushed, |cut| cut.min(flushed));
    assert!(set.end().index >= kept, "what was flushed is there");
    *model.borrow_mut() = seen;
    set
}

fn shared(seed: u64) -> Shared {
    Rc::new(RefCell::new(Model::new(seed, tiny())))
}

#[test]
fn random_operations_agree_with_the_model() {
    for seed in seeds(30) {
        let model = shared(seed);
        let mut sim = Sim::new(seed, SimConfig { shards: 1, ..SimConfig::default() });
        for _ in 0..3 {
            let model = model.clone();
            sim.run(move || live(model, 60)).finished();
        }
    }
}

#[test]
fn whatever_was_flushed_survives_a_crash_at_any_moment() {
    for seed in seeds(150) {
        let model = shared(seed);
        let mut dice = Dice::new(!seed);
        let disk = DiskFaults { sector_bytes: 512, ..DiskFaults::default() };
        let mut sim = Sim::new(seed, SimConfig { shards: 1, disk, ..SimConfig::default() });
        for _ in 0..6 {
            let model = model.clone();
            sim.crash_after(20 + dice.below(600));
            match sim.run(move || live(model, 60)) {
                Outcome::Finished(()) => sim.crash(),
                Outcome::Crashed => {}
                Outcome::Fatal(why) => panic!("seed {seed}: {why}"),
            }
        }
    }
}

/// Appends while another task flushes and checkpoints, as drain and housekeeping do.
async fn live_beside_a_flusher(model: Shared, steps: u64) {
    let set = open(&model).await;
    let flusher = ailurus_rt::spawn(ailurus_rt::Group::Raft, {
        let (model, set) = (model.clone(), set.clone());
        async move {
            loop {
                checkpoint(&model, &set).await.expect("a disk without faults");
                ailurus_rt::sleep(Duration::from_micros(100)).await;
            }
        }
    });
    for _ in 0..steps {
        drain(&model, &set).await.expect("a disk without faults");
    }
    drop(flusher);
}

#[test]
fn flushes_beside_appends_cover_what_they_say() {
    for seed in seeds(100) {
        let model = shared(seed);
        let mut dice = Dice::new(!seed);
        let disk = DiskFaults { latency: Duration::from_micros(100), ..DiskFaults::default() };
        let mut sim = Sim::new(seed, SimConfig { shards: 1, disk, ..SimConfig::default() });
        for _ in 0..6 {
            let model = model.clone();
            sim.crash_after(50 + dice.below(600));
            if let Outcome::Finished(()) = sim.run(move || live_beside_a_flusher(model, 60)) {
                sim.crash();
            }
        }
    }
}

/// The checkpoint then speaks of bytes and files that the cut has taken.
#[test]
fn a_cut_after_the_checkpoint_loses_nothing_before_it() {
    for seed in 0..60 {
        let model = shared(seed);
        let mut sim = Sim::new(seed, SimConfig { shards: 1, ..SimConfig::default() });
        let cutting = model.clone();
        sim.run(async move || {
            let set = open(&cutting).await;
            (0..40).for_each(|_| cutting.borrow_mut().grow());
            let frames = cutting.borrow().entries.clone();
            set.append(&frames).await.expect("appends");
            checkpoint(&cutting, &set).await.expect("flushes");
            let to = cutting.borrow_mut().cut(Index(0)).expect("there are entries");
            set.truncate_suffix(to).await.expect("cuts");
            assert_eq!(set.end().index, to);
        })
        .finished();
        sim.crash();
        sim.run(async move || {
            let set = open(&model).await;
            assert_eq!(set.end(), model.borrow().end());
        })
        .finished();
    }
}
