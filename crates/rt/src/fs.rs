//! Directories and whole files: names, removal, locks, space. Cold work, on the small thread pool (or the simulated
//! disk). A name is durable only after [`sync_dir`] of its directory.

use crate::blocking::run_blocking;
use crate::file::{File, IoClass, OpenOptions};
use crate::shard::Shard;
use crate::space::size_below;
use bytes::Bytes;
use rustix::fs::FlockOperation;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name, without the directory's.
    pub name: OsString,
    /// A directory, or something else.
    pub is_dir: bool,
    /// Size in bytes; of a directory, whatever the system says.
    pub len: u64,
}

/// Runs `$real` on the pool, or `$sim` on the simulated machine.
macro_rules! on_machine {
    ($world:ident => $sim:expr, $real:expr) => {{
        #[cfg(feature = "sim")]
        if let Some($world) = Shard::with(|shard| shard.world().cloned()) {
            return $sim;
        }
        run_blocking($real).await
    }};
}

/// Makes a directory and those above it. It is not an error if they are there.
///
/// # Errors
/// What the system says.
pub async fn create_dir_all(path: &Path) -> io::Result<()> {
    let path = path.to_path_buf();
    #[allow(clippy::disallowed_methods, reason = "rt is the door")]
    let real = {
        let path = path.clone();
        move || std::fs::create_dir_all(path)
    };
    on_machine!(world => world.name_op(|disk| disk.create_dir_all(&path)).await, real)
}

/// Removes a directory and everything in it.
///
/// # Errors
/// What the system says.
pub async fn remove_dir_all(path: &Path) -> io::Result<()> {
    let path = path.to_path_buf();
    let hub = Shard::with(|shard| shard.hub.clone());
    #[allow(clippy::disallowed_methods, reason = "rt is the door")]
    let real = {
        let path = path.clone();
        move || {
            let bytes = if hub.space.covers(&path) { size_below(&path) } else { 0 };
            std::fs::remove_dir_all(path)?;
            hub.space.release(bytes);
            Ok(())
        }
    };
    on_machine!(world => world.name_op(|disk| disk.remove_dir_all(&path)).await, real)
}

/// Removes a directory that has nothing in it.
///
/// # Errors
/// `DirectoryNotEmpty` if it has; what the system says.
pub async fn remove_dir(path: &Path) -> io::Result<()> {
    let path = path.to_path_buf();
    #[allow(clippy::disallowed_methods, reason = "rt is the door")]
    let real = {
        let path = path.clone();
        move || std::fs::remove_dir(path)
    };
    on_machine!(world => world.name_op(|disk| disk.remove_dir(&path)).await, real)
}

/// Removes a file's name. Who has it open goes on using it.
///
/// # Errors
/// What the system says.
pub async fn remove_file(path: &Path) -> io::Result<()> {
    let path = path.to_path_buf();
    let hub = Shard::with(|shard| shard.hub.clone());
    #[allow(clippy::disallowed_methods, reason = "rt is the door")]
    let real = {
        let path = path.clone();
        move || {
            let bytes = if hub.space.covers(&path) { size_below(&path) } else { 0 };
            std::fs::remove_file(path)?;
            hub.space.release(bytes);
            Ok(())
        }
    };
    on_machine!(world => world.name_op(|disk| disk.remove_file(&path)).await, real)
}

/// Gives a file or directory another name, in place of the file that has it.
///
/// # Errors
/// What the system says.
pub async fn rename(from: &Path, to: &Path) -> io::Result<()> {
    let (from, to) = (from.to_path_buf(), to.to_path_buf());
    let hub = Shard::with(|shard| shard.hub.clone());
    #[allow(clippy::disallowed_methods, reason = "rt is the door")]
    let real = {
        let (from, to) = (from.clone(), to.clone());
        move || {
            let bytes = if hub.space.covers(&to) { size_below(&to) } else { 0 };
            std::fs::rename(from, to)?;
            hub.space.release(bytes);
            Ok(())
        }
    };
    on_machine!(world => world.name_op(|disk| disk.rename(&from, &to)).await, real)
}

/// What is in a directory, by name.
///
/// # Errors
/// What the system says.
pub async fn read_dir(path: &Path) -> io::Result<Vec<Entry>> {
    let path = path.to_path_buf();
    let real = {
        let path = path.clone();
        move || read_dir_real(&path)
    };
    on_machine!(world => world.name_op(|disk| {
        let entries = disk.read_dir(&path)?;
        Ok(entries.into_iter().map(|entry| Entry { name: entry.name, is_dir: entry.is_dir, len: entry.len }).collect())
    }).await, real)
}

#[allow(clippy::disallowed_methods, reason = "rt is the door")]
fn read_dir_real(path: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        match entry.metadata() {
            Ok(about) => entries.push(Entry { name: entry.file_name(), is_dir: about.is_dir(), len: about.len() }),
            // Removed while we looked.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// Makes the names in a directory durable.
///
/// # Errors
/// What the system says.
pub async fn sync_dir(path: &Path) -> io::Result<()> {
    let path = path.to_path_buf();
    let real = {
        let path = path.clone();
        move || {
            let dir = open_dir(&path)?;
            Ok(rustix::fs::fsync(dir)?)
        }
    };
    on_machine!(world => world.flush(|disk| disk.flush_dir_begin(&path)).await, real)
}

/// Makes everything on the file system of `path` durable (syncfs): many files with one flush. Background work, which waits
/// for its turn.
///
/// # Errors
/// What the system says. Before Linux 5.8 write errors of earlier times may go unseen.
pub async fn sync_fs(path: &Path) -> io::Result<()> {
    let path = path.to_path_buf();
    let _turn = Shard::with(|shard| shard.disk.turn(IoClass::Background)).await;
    let real = move || {
        let dir = open_dir(&path)?;
        Ok(rustix::fs::syncfs(dir)?)
    };
    on_machine!(world => world.flush(|disk| disk.flush_all_begin()).await, real)
}

/// A whole file.
///
/// # Errors
/// What the system says.
pub async fn read(path: &Path) -> io::Result<Vec<u8>> {
    let path = path.to_path_buf();
    #[allow(clippy::disallowed_methods, reason = "rt is the door")]
    let real = {
        let path = path.clone();
        move || std::fs::read(path)
    };
    on_machine!(world => world.read_whole(&path).await, real)
}

/// Puts `bytes` in place of the file at `path`, or leaves it as it was: a temporary file beside it, flushed, renamed,
/// and the directory flushed. When it returns without an error, the new content survives a crash.
///
/// # Errors
/// What the system says.
pub async fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_os_string();
    name.push(".new");
    let temporary = parent.join(name);
    let file = write_anew(&temporary, bytes).await?;
    file.sync_data(IoClass::Raft).await?;
    file.close().await?;
    rename(&temporary, path).await?;
    sync_dir(parent).await
}

/// Puts `bytes` in place of what the file at `path` holds, without a flush: a crash may leave the old, any part of the new, or
/// no file. For what is told from rubbish when it is read, and can be made again.
///
/// # Errors
/// What the system says; the file may hold any part then, too.
pub async fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_anew(path, bytes).await?.close().await
}

async fn write_anew(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let options = OpenOptions { create: true, write: true, truncate: true, ..OpenOptions::default() };
    let file = File::open(path, options).await?;
    file.write_all_at(IoClass::Raft, 0, vec![Bytes::copy_from_slice(bytes)]).await?;
    Ok(file)
}

/// True if there is something of that name.
///
/// # Errors
/// What the system says, other than that it is not there.
pub async fn exists(path: &Path) -> io::Result<bool> {
    let path = path.to_path_buf();
    #[allow(clippy::disallowed_methods, reason = "rt is the door")]
    let real = {
        let path = path.clone();
        move || path.try_exists()
    };
    on_machine!(world => world.name_op(|disk| Ok(disk.find(&path).is_some())).await, real)
}

/// Room for files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    /// Bytes that files may take in all.
    pub total: u64,
    /// Bytes that nobody has taken.
    pub free: u64,
}

/// How much room there is where `path` is, within the machine's own limit ([`crate::Config::disk_space_max`]).
///
/// # Errors
/// What the system says.
pub async fn space(path: &Path) -> io::Result<Space> {
    let path = path.to_path_buf();
    let hub = Shard::with(|shard| shard.hub.clone());
    let real = move || {
        let about = rustix::fs::statvfs(&path)?;
        let disk = Space { total: about.f_blocks * about.f_frsize, free: about.f_bavail * about.f_frsize };
        let limits = hub.space.covers(&path).then(|| (hub.space.max(), hub.space.free()));
        let (total, free) = limits.unwrap_or((u64::MAX, u64::MAX));
        Ok(Space { total: disk.total.min(total), free: disk.free.min(free) })
    };
    on_machine!(world => world.name_op(|disk| Ok(Space { total: disk.used().saturating_add(disk.free()), free: disk.free() })).await, real)
}

/// Bytes that may still be written where `path` is.
///
/// # Errors
/// What the system says.
pub async fn free_space(path: &Path) -> io::Result<u64> {
    Ok(space(path).await?.free)
}

/// A lock on a file, given back when dropped or when the process ends.
pub struct Lock(#[allow(dead_code, reason = "it is held to be dropped")] Held);

enum Held {
    Real(#[allow(dead_code, reason = "closing it gives the lock back")] OwnedFd),
    #[cfg(feature = "sim")]
    Sim(#[allow(dead_code, reason = "dropping it gives the lock back")] crate::sim::SimLock),
}

/// Locks the file at `path` against other processes, making it if need be.
///
/// # Errors
/// `WouldBlock` if another process has it; else what the system says.
pub async fn lock(path: &Path) -> io::Result<Lock> {
    let path = path.to_path_buf();
    let real = {
        let path = path.clone();
        move || {
            use rustix::fs::{Mode, OFlags};
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
            let fd = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o644))?;
            rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive)?;
            Ok(fd)
        }
    };
    let fd: io::Result<OwnedFd> = on_machine!(world => world.lock(path).await.map(|lock| Lock(Held::Sim(lock))), real);
    fd.map(|fd| Lock(Held::Real(fd)))
}

fn open_dir(path: &PathBuf) -> io::Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags};
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}
