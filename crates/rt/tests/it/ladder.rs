//! The ends of the ladder: a kernel that refuses io_uring, a file system that refuses direct I/O.

use super::{Dir, real};
use ailurus_rt as rt;
use rt::{Backend, Config, File, OpenOptions, Rung};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

const EPERM: u32 = 1;
const EINVAL: u32 = 22;
const IO_URING_SETUP: i64 = 425;
const IO_URING_ENTER: i64 = 426;
/// IORING_ENTER_EXT_ARG.
const EXT_ARG: u64 = 8;
#[cfg(target_arch = "x86_64")]
const OPENAT: i64 = 257;
#[cfg(target_arch = "aarch64")]
const OPENAT: i64 = 56;
/// O_DIRECT.
#[cfg(target_arch = "x86_64")]
const DIRECT: u64 = 0o40000;
#[cfg(target_arch = "aarch64")]
const DIRECT: u64 = 0o200000;

/// Runs `f` on a thread (and all that it starts) for which `call` fails with `errno` where `rules` match.
fn refusing<T: Send + 'static>(
    call: i64,
    rules: Vec<SeccompRule>,
    errno: u32,
    f: impl FnOnce() -> T + Send + 'static,
) -> T {
    let filter = SeccompFilter::new(
        [(call, rules)].into(),
        SeccompAction::Allow,
        SeccompAction::Errno(errno),
        std::env::consts::ARCH.try_into().expect("an architecture that seccomp knows"),
    );
    let program: BpfProgram = filter.expect("a filter").try_into().expect("a program");
    let thread = std::thread::spawn(move || {
        seccompiler::apply_filter(&program).expect("a process may refuse itself something");
        f()
    });
    thread.join().expect("it went well")
}

fn without_uring<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    refusing(IO_URING_SETUP, vec![], EPERM, f)
}

#[test]
fn where_io_uring_is_refused_everything_works_on_epoll() {
    let dir = Dir::new("epoll");
    let (direct, buffered) = (dir.file("direct"), dir.file("buffered"));
    without_uring(move || {
        super::on_machine(move || async move {
            let report = rt::backend();
            assert_eq!(report.rung, Rung::Epoll);
            assert_eq!(report.refused.len(), 3, "{report}");
            assert!(report.refused.iter().all(|why| why.contains("os error 1)")), "what the kernel said: {report}");
            real::echo().await;
        });
        super::on_machine(move || real::write_and_read(direct, true));
        super::on_machine(move || real::write_and_read(buffered, false));
        super::on_machine(|| super::park_and_wake(2_000));
    });
}

/// Linux 5.6 to 5.10 grants a ring that cannot be waited on with a timeout.
#[test]
fn a_ring_that_cannot_wait_is_refused() {
    let flag = SeccompCondition::new(3, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(EXT_ARG), EXT_ARG);
    let rule = SeccompRule::new(vec![flag.expect("a condition")]).expect("a rule");
    let report = refusing(IO_URING_ENTER, vec![rule], EINVAL, || super::on_machine(|| async { rt::backend() }));
    assert_eq!((report.rung, report.refused.len()), (Rung::Epoll, 3), "{report}");
}

#[test]
fn who_insists_on_io_uring_hears_why_not() {
    let config = Config { backend: Backend::Uring, ..Config::small() };
    let error = without_uring(|| rt::run(config, || async {}).expect_err("refused"));
    assert!(error.to_string().contains("io_uring"), "{error}");
}

#[test]
fn epoll_can_be_asked_for() {
    let rung = rt::run(Config { backend: Backend::Epoll, ..Config::small() }, || async { rt::backend().rung });
    assert_eq!(rung.expect("the machine runs"), Rung::Epoll);
}

#[test]
fn where_direct_io_is_refused_files_are_buffered() {
    let dir = Dir::new("buffered");
    let path = dir.file("data");
    let flag = SeccompCondition::new(2, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(DIRECT), DIRECT);
    let rule = SeccompRule::new(vec![flag.expect("a condition")]).expect("a rule");
    let options = OpenOptions { direct: true, create_new: true, write: true, ..OpenOptions::default() };
    refusing(OPENAT, vec![rule], EINVAL, move || {
        super::on_machine(move || async move {
            let file = File::open(&path, options).await.expect("opens all the same");
            assert_eq!((file.is_direct(), file.alignment()), (false, 1));
            file.write_at(rt::IoClass::Raft, 1, rt::DmaBuf::from_slice(b"odd")).await.0.expect("written");
        });
    });
    let direct_off = Config { direct_io: false, ..Config::small() };
    let path = dir.file("other");
    rt::run(direct_off, move || async move {
        assert!(!File::open(&path, options).await.expect("opens").is_direct());
    })
    .expect("the machine runs");
}
