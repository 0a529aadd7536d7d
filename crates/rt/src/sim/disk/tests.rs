//! Directed cases first, then random operations against a model that keeps whole snapshots.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const PAGE: u64 = PAGE_BYTES as u64;

fn disk(seed: u64) -> SimDisk {
    SimDisk::new(seed, DiskFaults::default())
}

fn make(disk: &mut SimDisk, path: &str) -> FileId {
    disk.open(path, OpenMode { create_new: true, ..OpenMode::default() }).unwrap()
}

fn open(disk: &mut SimDisk, path: &str) -> FileId {
    disk.open(path, OpenMode::default()).unwrap()
}

/// A file whose name is durable.
fn make_durable(disk: &mut SimDisk, path: &str) -> FileId {
    let id = make(disk, path);
    disk.sync_dir("/").unwrap();
    id
}

fn content(disk: &mut SimDisk, path: &str) -> Vec<u8> {
    let id = open(disk, path);
    let mut bytes = vec![0xEE; disk.len(id).unwrap() as usize + 10];
    let n = disk.read_at(id, 0, &mut bytes).unwrap();
    bytes.truncate(n);
    disk.close(id);
    bytes
}

fn names(disk: &SimDisk, path: &str) -> Vec<String> {
    disk.read_dir(path).unwrap().into_iter().map(|entry| entry.name.into_string().unwrap()).collect()
}

fn errno<T: std::fmt::Debug>(result: io::Result<T>) -> i32 {
    result.unwrap_err().raw_os_error().unwrap()
}

/// How many of 200 seeds satisfy the scenario.
fn seeds(scenario: impl Fn(u64) -> bool) -> usize {
    (0..200).filter(|seed| scenario(*seed)).count()
}

#[test]
fn reads_see_what_was_not_flushed() {
    let mut disk = disk(1);
    let id = make(&mut disk, "a");
    disk.write_at(id, 4090, b"across a page").unwrap();
    let mut got = [1; 20];
    assert_eq!(disk.read_at(id, 4088, &mut got).unwrap(), 15);
    assert_eq!(&got[..15], b"\0\0across a page");
    assert_eq!(disk.unflushed_pages(), 2);
}

#[test]
fn what_was_flushed_survives_every_crash() {
    for seed in 0..200 {
        let mut disk = disk(seed);
        let id = make_durable(&mut disk, "a");
        disk.write_at(id, 0, &[7; 10_000]).unwrap();
        disk.sync_data(id).unwrap();
        for _ in 0..3 {
            disk.crash();
            assert_eq!(content(&mut disk, "a"), [7; 10_000]);
        }
    }
}

#[test]
fn unflushed_pages_are_kept_lost_and_mixed() {
    let outcome = |seed| {
        let mut disk = disk(seed);
        let id = make_durable(&mut disk, "a");
        disk.write_at(id, 0, &[1; 4 * PAGE_BYTES]).unwrap();
        disk.sync_data(id).unwrap();
        disk.write_at(id, 0, &[2; 4 * PAGE_BYTES]).unwrap();
        disk.crash();
        let bytes = content(&mut disk, "a");
        for page in bytes.chunks(PAGE_BYTES) {
            assert!(page.iter().all(|byte| *byte == page[0]), "a page is kept or lost as a whole");
        }
        bytes.chunks(PAGE_BYTES).filter(|page| page[0] == 2).count()
    };
    assert!(seeds(|seed| outcome(seed) == 0) > 20);
    assert!(seeds(|seed| outcome(seed) == 4) > 20);
    assert!(seeds(|seed| (1..4).contains(&outcome(seed))) > 20);
}

#[test]
fn an_older_unflushed_write_may_win() {
    let newest = |seed| {
        let mut disk = disk(seed);
        let id = make_durable(&mut disk, "a");
        for version in 1..=3 {
            disk.write_at(id, 0, &[version; PAGE_BYTES]).unwrap();
        }
        disk.crash();
        content(&mut disk, "a").first().copied().unwrap_or(0)
    };
    assert!(seeds(|seed| newest(seed) == 1) > 0);
    assert!(seeds(|seed| newest(seed) == 2) > 0);
    assert!(seeds(|seed| newest(seed) == 3) > 20);
}

#[test]
fn small_sectors_tear_inside_a_page() {
    let torn = |seed| {
        let mut disk = SimDisk::new(seed, DiskFaults { sector_bytes: 512, ..DiskFaults::default() });
        let id = make_durable(&mut disk, "a");
        disk.write_at(id, 0, &[1; PAGE_BYTES]).unwrap();
        disk.sync_data(id).unwrap();
        disk.write_at(id, 0, &[2; PAGE_BYTES]).unwrap();
        disk.crash();
        let bytes = content(&mut disk, "a");
        assert!(bytes.chunks(512).all(|sector| sector.iter().all(|byte| *byte == sector[0])));
        bytes.contains(&1) && bytes.contains(&2)
    };
    assert!(seeds(torn) > 20);
}

#[test]
fn a_size_is_kept_or_lost_apart_from_its_data() {
    let outcome = |seed| {
        let mut disk = disk(seed);
        let id = make_durable(&mut disk, "a");
        disk.write_at(id, 0, &[1; 100]).unwrap();
        disk.crash();
        let bytes = content(&mut disk, "a");
        assert!(bytes.is_empty() || bytes == [0; 100] || bytes == [1; 100]);
        (bytes.len(), bytes.first().copied())
    };
    for expected in [(0, None), (100, Some(0)), (100, Some(1))] {
        assert!(seeds(|seed| outcome(seed) == expected) > 5, "{expected:?} never came up");
    }
}

#[test]
fn a_flush_covers_what_came_before_it_began() {
    let mut later_lost = 0;
    for seed in 0..100 {
        let mut disk = disk(seed);
        let id = make_durable(&mut disk, "a");
        disk.write_at(id, 0, &[1; PAGE_BYTES]).unwrap();
        let flush = disk.flush_begin(id).unwrap();
        // More versions than are remembered: the covered one must not be forgotten meanwhile.
        (2..20).for_each(|version| disk.write_at(id, 0, &[version; PAGE_BYTES]).unwrap());
        disk.flush_end(flush).unwrap();
        disk.crash();
        let first = content(&mut disk, "a")[0];
        assert!(first >= 1);
        later_lost += usize::from(first == 1);
    }
    assert!(later_lost > 10);
}

#[test]
fn a_flush_that_a_crash_overtook_says_so() {
    let mut disk = disk(5);
    let id = make_durable(&mut disk, "a");
    let flush = disk.flush_begin(id).unwrap();
    disk.crash();
    assert_eq!(errno(disk.flush_end(flush)), 9);
    assert_eq!(errno(disk.write_at(id, 0, b"x")), 9);
    assert_eq!(errno(disk.len(id)), 9);
}

#[test]
fn after_a_failed_flush_no_flush_helps() {
    let lost = seeds(|seed| {
        let mut disk = disk(seed);
        let id = make_durable(&mut disk, "a");
        disk.write_at(id, 0, &[1; PAGE_BYTES]).unwrap();
        disk.fail_nth(DiskOp::Flush, 0);
        assert_eq!(errno(disk.sync_data(id)), 5);
        assert_eq!(content(&mut disk, "a"), [1; PAGE_BYTES], "the running machine still sees it");
        disk.sync_data(id).unwrap();
        disk.write_at(id, PAGE, &[2; PAGE_BYTES]).unwrap();
        disk.sync_data(id).unwrap();
        disk.crash();
        let bytes = content(&mut disk, "a");
        assert_eq!(bytes[PAGE_BYTES..], [2; PAGE_BYTES], "what came after the failure is flushed as ever");
        bytes[0] == 0
    });
    assert!(lost > 20);
}

#[test]
fn a_disk_that_ignores_flushes_loses_what_was_flushed() {
    let lost = seeds(|seed| {
        let mut disk = SimDisk::new(seed, DiskFaults { honour_flush: false, ..DiskFaults::default() });
        let id = make_durable(&mut disk, "a");
        disk.write_at(id, 0, &[1; PAGE_BYTES]).unwrap();
        disk.sync_data(id).unwrap();
        disk.sync_fs().unwrap();
        disk.crash();
        disk.find("a").is_none() || content(&mut disk, "a") != [1; PAGE_BYTES]
    });
    assert!(lost > 40);
}

#[test]
fn a_cut_then_grown_file_reads_zeros() {
    let mut disk = disk(3);
    let id = make_durable(&mut disk, "a");
    disk.write_at(id, 0, &[9; 3 * PAGE_BYTES]).unwrap();
    disk.sync_data(id).unwrap();
    disk.set_len(id, 100).unwrap();
    assert_eq!(disk.used(), PAGE);
    disk.set_len(id, 2 * PAGE).unwrap();
    let mut expected = vec![0; 2 * PAGE_BYTES];
    expected[..100].fill(9);
    assert_eq!(content(&mut disk, "a"), expected);
    disk.sync_data(id).unwrap();
    disk.crash();
    assert_eq!(content(&mut disk, "a"), expected);
}

#[test]
fn a_full_disk_refuses_new_pages_and_takes_old_ones() {
    let mut disk = SimDisk::new(1, DiskFaults { space: Some(4 * PAGE), ..DiskFaults::default() });
    let a = make(&mut disk, "a");
    disk.allocate(a, 0, 2 * PAGE).unwrap();
    assert_eq!((disk.used(), disk.free(), disk.len(a).unwrap()), (2 * PAGE, 2 * PAGE, 2 * PAGE));
    let b = make(&mut disk, "b");
    assert_eq!(errno(disk.write_at(b, 0, &[1; 3 * PAGE_BYTES])), 28);
    assert_eq!(disk.len(b).unwrap(), 2 * PAGE, "the pages that had room are written");
    assert_eq!(errno(disk.allocate(a, 0, 3 * PAGE)), 28);
    disk.write_at(a, 0, &[5; 2 * PAGE_BYTES]).unwrap();
    disk.remove_file("b").unwrap();
    assert_eq!(disk.free(), 0, "an open file keeps its room");
    disk.close(b);
    assert_eq!(disk.free(), 2 * PAGE);
    disk.write_at(a, 2 * PAGE, &[5; PAGE_BYTES]).unwrap();
    assert_eq!(disk.used(), 3 * PAGE);
}

#[test]
fn a_flipped_bit_stays_flipped() {
    let mut disk = disk(1);
    let id = make_durable(&mut disk, "a");
    disk.write_at(id, 0, &[0; 200]).unwrap();
    assert!(!disk.flip_bit("a", 17, 3).unwrap(), "nothing is stored yet");
    assert_eq!(disk.flip_random_bit("a").unwrap(), None);
    disk.sync_data(id).unwrap();
    assert!(disk.flip_bit("a", 17, 3).unwrap());
    assert!(!disk.flip_bit("a", 200, 3).unwrap());
    disk.crash();
    let mut expected = [0; 200];
    expected[17] = 8;
    assert_eq!(content(&mut disk, "a"), expected);
    let at = disk.flip_random_bit("a").unwrap().unwrap() as usize;
    assert_ne!(content(&mut disk, "a")[at], expected[at]);
}

#[test]
fn the_nth_operation_fails_once() {
    let mut disk = disk(1);
    let id = make(&mut disk, "a");
    disk.fail_nth(DiskOp::Write, 1);
    disk.write_at(id, 0, b"one").unwrap();
    assert_eq!(errno(disk.write_at(id, 0, b"two")), 5);
    disk.write_at(id, 0, b"three").unwrap();
    disk.fail_nth(DiskOp::Read, 0);
    assert_eq!(errno(disk.read_at(id, 0, &mut [0; 4])), 5);
    disk.fail_nth(DiskOp::Name, 0);
    assert_eq!(errno(disk.rename("a", "b")), 5);
    assert_eq!(names(&disk, "/"), ["a"], "a failed change of names does nothing");
    assert_eq!((disk.ops(DiskOp::Write), disk.ops(DiskOp::Read), disk.ops(DiskOp::Name)), (3, 1, 2));
}

#[test]
fn random_faults_come_as_often_as_told() {
    let faults = DiskFaults { write_error_ppm: 100_000, ..DiskFaults::default() };
    let mut disk = SimDisk::new(11, faults);
    let id = make(&mut disk, "a");
    let failed = (0..10_000).filter(|_| disk.write_at(id, 0, b"x").is_err()).count();
    assert!((800..1200).contains(&failed), "{failed}");
}

#[test]
fn a_misdirected_write_lands_elsewhere() {
    let mut disk = disk(2);
    let id = make(&mut disk, "a");
    (0..8).for_each(|page| disk.write_at(id, page * PAGE, &[page as u8; PAGE_BYTES]).unwrap());
    disk.set_faults(DiskFaults { misdirected_ppm: 1_000_000, ..DiskFaults::default() });
    (0..20).for_each(|_| disk.write_at(id, 0, &[99; PAGE_BYTES]).unwrap());
    let hit = content(&mut disk, "a").chunks(PAGE_BYTES).filter(|page| page[0] == 99).count();
    assert!(hit > 1);
}

#[test]
fn slow_operations_are_marked() {
    let (usual, slow) = (Duration::from_micros(100), Duration::from_millis(100));
    let mut disk =
        SimDisk::new(1, DiskFaults { latency: usual, slow_ppm: 100_000, latency_slow: slow, ..DiskFaults::default() });
    let delays: Vec<Duration> = (0..1000).map(|_| disk.latency(DiskOp::Flush)).collect();
    assert!(delays.iter().all(|d| (usual / 2..usual * 2).contains(d) || (slow / 2..slow * 2).contains(d)));
    let count = delays.iter().filter(|d| **d >= slow / 2).count();
    assert!((60..140).contains(&count), "{count}");
}

#[test]
fn a_name_needs_its_directory_flushed() {
    let outcome = |seed| {
        let mut disk = disk(seed);
        let id = make(&mut disk, "a");
        disk.write_at(id, 0, b"data").unwrap();
        disk.sync_data(id).unwrap();
        disk.crash();
        disk.find("a").is_some()
    };
    let kept = seeds(outcome);
    assert!((20..180).contains(&kept), "{kept}");
}

#[test]
fn a_directory_needs_its_parent_flushed() {
    let kept = seeds(|seed| {
        let mut disk = disk(seed);
        disk.create_dir_all("x/y").unwrap();
        make(&mut disk, "x/y/a");
        disk.sync_dir("x/y").unwrap();
        disk.sync_dir("/").unwrap();
        disk.crash();
        assert!(disk.find("x").is_some(), "flushed with the root");
        disk.find("x/y/a").is_some()
    });
    assert!((20..180).contains(&kept), "only the name of y in x was never flushed: {kept}");
}

#[test]
fn a_rename_is_atomic() {
    for seed in 0..200 {
        let mut disk = disk(seed);
        for (path, byte) in [("old", b"old"), ("new", b"new")] {
            let id = make(&mut disk, path);
            disk.write_at(id, 0, byte).unwrap();
            disk.sync_data(id).unwrap();
        }
        disk.sync_dir("/").unwrap();
        disk.rename("new", "old").unwrap();
        disk.crash();
        match names(&disk, "/").as_slice() {
            [one] => assert_eq!((one.as_str(), content(&mut disk, "old")), ("old", b"new".to_vec())),
            [_, _] => assert_eq!(content(&mut disk, "old"), b"old"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_rename_across_directories_is_durable_with_either() {
    for seed in 0..100 {
        for flushed in ["x", "y"] {
            let mut disk = disk(seed);
            disk.create_dir("x").unwrap();
            disk.create_dir("y").unwrap();
            disk.sync_dir("/").unwrap();
            make(&mut disk, "x/a");
            disk.rename("x/a", "y/b").unwrap();
            disk.sync_dir(flushed).unwrap();
            disk.crash();
            assert_eq!((names(&disk, "x").len(), names(&disk, "y").len()), (0, 1));
        }
    }
}

#[test]
fn a_removed_file_may_come_back_with_its_content() {
    let back = seeds(|seed| {
        let mut disk = disk(seed);
        let id = make_durable(&mut disk, "a");
        disk.write_at(id, 0, &[4; PAGE_BYTES]).unwrap();
        disk.sync_data(id).unwrap();
        disk.close(id);
        disk.remove_file("a").unwrap();
        assert_eq!(disk.used(), 0);
        disk.crash();
        let back = disk.find("a").is_some();
        assert!(!back || content(&mut disk, "a") == [4; PAGE_BYTES]);
        assert_eq!(disk.used(), if back { PAGE } else { 0 });
        back
    });
    assert!((20..180).contains(&back), "{back}");
}

#[test]
fn sync_fs_makes_everything_durable() {
    for seed in 0..50 {
        let mut disk = disk(seed);
        disk.create_dir_all("x/y").unwrap();
        let id = make(&mut disk, "x/y/a");
        disk.write_at(id, 0, b"data").unwrap();
        disk.sync_fs().unwrap();
        assert_eq!(disk.unflushed_pages(), 0);
        disk.crash();
        assert_eq!(content(&mut disk, "x/y/a"), b"data");
    }
}

#[test]
fn names_answer_as_the_system_does() {
    let mut disk = disk(1);
    let new = OpenMode { create_new: true, ..OpenMode::default() };
    assert_eq!(errno(disk.open("a", OpenMode::default())), 2);
    disk.open("a", new).unwrap();
    assert_eq!(errno(disk.open("a", new)), 17);
    assert_eq!(errno(disk.open("missing/a", new)), 2);
    assert_eq!(errno(disk.open("a/b", new)), 20);
    assert_eq!(errno(disk.create_dir_all("a/b")), 20);
    disk.create_dir("d").unwrap();
    assert_eq!(errno(disk.create_dir("d")), 17);
    assert_eq!(errno(disk.open("d", OpenMode::default())), 21);
    assert_eq!(errno(disk.remove_file("d")), 21);
    assert_eq!(errno(disk.remove_dir_all("a")), 20);
    assert_eq!(errno(disk.read_dir("a")), 20);
    assert_eq!(errno(disk.rename("a", "d")), 21);
    assert_eq!(errno(disk.rename("b", "c")), 2);
    assert!(disk.open("../a", new).is_err());
    make(&mut disk, "d/inner");
    disk.rename("d", "e").unwrap();
    assert_eq!(names(&disk, "e"), ["inner"]);
    assert_eq!(errno(disk.remove_dir("e")), 39);
    assert_eq!(errno(disk.remove_dir("a")), 20);
    assert_eq!(errno(disk.remove_dir("d")), 2);
    disk.remove_dir_all("e").unwrap();
    disk.create_dir("f").unwrap();
    disk.remove_dir("f").unwrap();
    assert_eq!(names(&disk, "/"), ["a"]);
    let cut = disk.open("/a", OpenMode { truncate: true, ..OpenMode::default() }).unwrap();
    assert_eq!(disk.len(cut).unwrap(), 0);
}

#[test]
fn the_same_seed_gives_the_same_disk() {
    let run = |seed| {
        let mut disk = SimDisk::new(seed, DiskFaults { write_error_ppm: 50_000, ..DiskFaults::default() });
        let id = make_durable(&mut disk, "a");
        for n in 0..100_u64 {
            disk.write_at(id, n % 7 * PAGE, &[n as u8; PAGE_BYTES]).ok();
        }
        disk.crash();
        content(&mut disk, "a")
    };
    assert!((0..20).all(|seed| run(seed) == run(seed)));
    assert!((1..20).any(|seed| run(seed) != run(0)));
}

// -- random operations against a model --------------------------------------------------------------------------------

#[derive(Clone, Debug)]
enum FileStep {
    Write { offset: u64, len: usize, byte: u8 },
    Resize(u64),
    Allocate { offset: u64, len: u64 },
    FlushBegin,
    FlushEnd,
    Flush,
    FlushAll,
    Crash,
}

fn file_step() -> impl Strategy<Value = FileStep> {
    let size = 0..5 * PAGE;
    prop_oneof![
        6 => (size.clone(), 1..2 * PAGE_BYTES, 1..=255_u8).prop_map(|(offset, len, byte)| FileStep::Write { offset, len, byte }),
        1 => size.clone().prop_map(FileStep::Resize),
        1 => (size.clone(), 1..PAGE).prop_map(|(offset, len)| FileStep::Allocate { offset, len }),
        1 => Just(FileStep::FlushBegin),
        1 => Just(FileStep::FlushEnd),
        1 => Just(FileStep::Flush),
        1 => Just(FileStep::FlushAll),
        2 => Just(FileStep::Crash),
    ]
}

/// The whole content after each step since the last flush; the first is the flushed one.
struct FileModel(Vec<Vec<u8>>);

impl FileModel {
    fn live(&self) -> &Vec<u8> {
        self.0.last().unwrap()
    }

    fn change(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut content = self.live().clone();
        change(&mut content);
        self.0.push(content);
    }

    fn page(content: &[u8], page: usize, size: usize) -> Vec<u8> {
        let at = |n: usize| if n < size { content.get(n).copied().unwrap_or(0) } else { 0 };
        (page * PAGE_BYTES..(page + 1) * PAGE_BYTES).map(at).collect()
    }

    /// A crash may have left this.
    fn allows(&self, found: &[u8]) -> bool {
        let size = found.len();
        self.0.iter().any(|content| content.len() == size)
            && (0..size.div_ceil(PAGE_BYTES)).all(|page| {
                let found = FileModel::page(found, page, size);
                self.0.iter().any(|content| FileModel::page(content, page, size) == found)
            })
    }
}

fn check_file(seed: u64, steps: Vec<FileStep>) {
    let mut disk = disk(seed);
    let mut id = make_durable(&mut disk, "f");
    let mut model = FileModel(vec![Vec::new()]);
    let mut begun: Option<(Flush, usize)> = None;
    for step in steps {
        match step {
            FileStep::Write { offset, len, byte } => {
                disk.write_at(id, offset, &vec![byte; len]).unwrap();
                // A write that crosses pages is one write per page, also in what it does to the size.
                for part in file::parts(offset, len) {
                    let (at, end) = (offset as usize + part.at, offset as usize + part.at + part.len);
                    model.change(|content| {
                        content.resize(content.len().max(end), 0);
                        content[at..end].fill(byte);
                    });
                }
            }
            FileStep::Resize(len) => {
                disk.set_len(id, len).unwrap();
                model.change(|content| content.resize(len as usize, 0));
            }
            FileStep::Allocate { offset, len } => {
                disk.allocate(id, offset, len).unwrap();
                model.change(|content| content.resize(content.len().max((offset + len) as usize), 0));
            }
            FileStep::FlushBegin if begun.is_none() => begun = Some((disk.flush_begin(id).unwrap(), model.0.len() - 1)),
            FileStep::FlushBegin => {}
            FileStep::FlushEnd => {
                if let Some((flush, upto)) = begun.take() {
                    disk.flush_end(flush).unwrap();
                    model.0.drain(..upto);
                }
            }
            FileStep::Flush | FileStep::FlushAll => {
                if matches!(step, FileStep::Flush) {
                    disk.sync_data(id).unwrap()
                } else {
                    disk.sync_fs().unwrap()
                }
                model.0.drain(..model.0.len() - 1);
                // What the open flush covers is durable already.
                begun = begun.map(|(flush, _)| (flush, 0));
            }
            FileStep::Crash => {
                disk.crash();
                id = open(&mut disk, "f");
                begun = None;
                let found = content(&mut disk, "f");
                assert!(model.allows(&found), "{} bytes that no crash can leave", found.len());
                model = FileModel(vec![found]);
            }
        }
        assert_eq!(&content(&mut disk, "f"), model.live());
    }
}

#[derive(Clone, Debug)]
enum NameStep {
    Make(u8),
    Remove(u8),
    Rename(u8, u8),
    Flush,
    Crash,
}

fn name_step() -> impl Strategy<Value = NameStep> {
    let name = 0..6_u8;
    prop_oneof![
        3 => name.clone().prop_map(NameStep::Make),
        1 => name.clone().prop_map(NameStep::Remove),
        3 => (name.clone(), name).prop_map(|(from, to)| NameStep::Rename(from, to)),
        1 => Just(NameStep::Flush),
        1 => Just(NameStep::Crash),
    ]
}

/// Which file each name stands for, after each step since the last flush.
type NameModel = Vec<BTreeMap<u8, u32>>;

fn check_names(seed: u64, steps: Vec<NameStep>) {
    let mut disk = disk(seed);
    let mut model: NameModel = vec![BTreeMap::new()];
    let mut next = 0_u32;
    for step in steps {
        let mut now = model.last().unwrap().clone();
        match step {
            NameStep::Make(name) => {
                if disk.find(name.to_string()).is_none() {
                    next += 1;
                    let id = make(&mut disk, &name.to_string());
                    disk.write_at(id, 0, &next.to_le_bytes()).unwrap();
                    disk.sync_data(id).unwrap();
                    disk.close(id);
                    now.insert(name, next);
                }
            }
            NameStep::Remove(name) => {
                assert_eq!(disk.remove_file(name.to_string()).is_ok(), now.remove(&name).is_some())
            }
            NameStep::Rename(from, to) => {
                let done = disk.rename(from.to_string(), to.to_string()).is_ok();
                assert_eq!(done, now.contains_key(&from));
                if let Some(file) = now.remove(&from) {
                    now.insert(to, file);
                }
            }
            NameStep::Flush => {
                disk.sync_dir("/").unwrap();
                model = vec![now.clone()];
            }
            NameStep::Crash => {
                disk.crash();
                now = found_names(&mut disk);
                check_names_after_crash(&model, &now);
                model = vec![now.clone()];
            }
        }
        model.push(now);
        assert_eq!(&found_names(&mut disk), model.last().unwrap());
    }
}

fn found_names(disk: &mut SimDisk) -> BTreeMap<u8, u32> {
    let file = |disk: &mut SimDisk, name: &str| u32::from_le_bytes(content(disk, name).try_into().unwrap());
    names(disk, "/").into_iter().map(|name| (name.parse().unwrap(), file(disk, &name))).collect()
}

fn check_names_after_crash(model: &NameModel, found: &BTreeMap<u8, u32>) {
    for name in 0..6 {
        assert!(model.iter().any(|then| then.get(&name) == found.get(&name)), "{name} never stood for that");
    }
    let mut files: Vec<u32> = found.values().copied().collect();
    files.sort_unstable();
    assert!(files.windows(2).all(|pair| pair[0] != pair[1]), "one file under two names: {files:?}");
    let always = |file: &u32| model.iter().all(|then| then.values().any(|other| other == file));
    for file in model[0].values().filter(|file| always(file)) {
        assert!(files.contains(file), "file {file} was flushed, never removed, and is gone");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_file_is_what_the_model_allows(seed in any::<u64>(), steps in prop::collection::vec(file_step(), 1..40)) {
        check_file(seed, steps);
    }

    #[test]
    fn names_are_what_the_model_allows(seed in any::<u64>(), steps in prop::collection::vec(name_step(), 1..40)) {
        check_names(seed, steps);
    }
}
