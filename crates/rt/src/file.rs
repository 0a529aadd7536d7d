//! Files: direct where it is possible, through the ring where there is one, simulated where there is no machine.
//!
//! What always holds: a buffer comes back with the result, also on error; a read or write that was interrupted or cut
//! short by the kernel is continued; dropping the future of a write does not mean that the write does not happen.

use crate::blocking::{run_blocking, run_blocking_as};
use crate::dma::{DmaBuf, PAGE};
use crate::driver::Driver;
use crate::shard::Shard;
use crate::stats::{Counter, record};
use bytes::Bytes;
use compio::BufResult;
use compio::buf::{IntoInner, IoBuf, IoBufMut, SetLen};
use compio::driver::op;
use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags, StatxFlags};
use std::cell::Cell;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// What an operation is for: decides who waits for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum IoClass {
    /// The journal and what a producer waits for.
    Produce,
    /// What a consumer waits for.
    Fetch,
    /// Replication and metadata.
    Raft,
    /// Draining, compaction, recovery: at most two pieces of 128 KiB in flight per shard.
    Background,
}

impl IoClass {
    /// All classes, in the order of their numbers.
    pub const ALL: [IoClass; 4] = [IoClass::Produce, IoClass::Fetch, IoClass::Raft, IoClass::Background];

    /// Lower-case name, for metrics.
    pub fn name(self) -> &'static str {
        match self {
            IoClass::Produce => "produce",
            IoClass::Fetch => "fetch",
            IoClass::Raft => "raft",
            IoClass::Background => "background",
        }
    }
}

/// How to open a file. It can always be read.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenOptions {
    /// Bypass the page cache. Where the file system refuses, the file is buffered: see [`File::is_direct`].
    pub direct: bool,
    /// Make it if it is not there.
    pub create: bool,
    /// Make it, and fail with `AlreadyExists` if it is there.
    pub create_new: bool,
    /// Allow writes.
    pub write: bool,
    /// Cut it to nothing.
    pub truncate: bool,
}

/// An open file of this shard. Clones are the same file.
#[derive(Clone)]
pub struct File(Rc<Inside>);

enum Inside {
    Real(Real),
    #[cfg(feature = "sim")]
    Sim(crate::sim::SimFile),
}

struct Real {
    fd: Arc<OwnedFd>,
    driver: Rc<Driver>,
    direct: bool,
    alignment: usize,
    /// Size as far as the space limit has counted it; `None` where nothing is counted.
    counted: Option<Cell<u64>>,
}

impl File {
    /// Opens `path`.
    ///
    /// # Errors
    /// What the system says.
    pub async fn open(path: &Path, options: OpenOptions) -> io::Result<File> {
        let shard = Shard::current();
        #[cfg(feature = "sim")]
        if let crate::shard::Machine::Sim(world) = &shard.machine {
            let file = world.open(path, options).await?;
            return Ok(File(Rc::new(Inside::Sim(file))));
        }
        let driver = shard.driver().expect("a machine that is not simulated has a driver").clone();
        let hub = shard.hub.clone();
        let counted = hub.space.covers(path);
        let wanted = OpenOptions { direct: options.direct && hub.config.direct_io, ..options };
        let path = path.to_path_buf();
        let (fd, direct, alignment, size) = run_blocking(move || {
            let cut = if counted && options.truncate { size_of(&path) } else { 0 };
            let opened = open_real(&path, wanted)?;
            hub.space.release(cut);
            Ok::<_, io::Error>(opened)
        })
        .await?;
        let counted = counted.then(|| Cell::new(size));
        Ok(File(Rc::new(Inside::Real(Real { fd: Arc::new(fd), driver, direct, alignment, counted }))))
    }

    /// True if it bypasses the page cache: offsets, lengths and buffers must be multiples of [`File::alignment`].
    pub fn is_direct(&self) -> bool {
        match &*self.0 {
            Inside::Real(file) => file.direct,
            #[cfg(feature = "sim")]
            Inside::Sim(file) => file.direct,
        }
    }

    /// What offset and length of a direct read or write must be multiples of: 512 to 4096. 1 for buffered files.
    pub fn alignment(&self) -> usize {
        match &*self.0 {
            Inside::Real(file) => file.alignment,
            #[cfg(feature = "sim")]
            Inside::Sim(file) => file.alignment(),
        }
    }

    /// Writes all of `buf` at `offset`.
    ///
    /// # Errors
    /// What the system says; `InvalidInput` if the file is direct and something is not aligned. After an error, any part
    /// of the bytes may have been written.
    pub async fn write_at(&self, class: IoClass, offset: u64, buf: DmaBuf) -> (io::Result<()>, DmaBuf) {
        if let Err(error) = self.check_aligned(offset, buf.len()) {
            return (Err(error), buf);
        }
        let len = buf.len();
        let (result, buf) = self.timed(class, Kind::Write, move |file| file.write(class, offset, buf)).await;
        count(class, Kind::Write, if result.is_ok() { len } else { 0 });
        (result, buf)
    }

    /// Writes all of `bytes` at `offset`, one after the other.
    ///
    /// # Errors
    /// As [`File::write_at`].
    ///
    /// # Panics
    /// If the file is direct: these bytes are not aligned.
    pub(crate) async fn write_all_at(&self, class: IoClass, offset: u64, bytes: Vec<Bytes>) -> io::Result<()> {
        assert!(!self.is_direct(), "a direct file is written from aligned buffers");
        let mut place = offset;
        let mut buf = DmaBuf::new(bytes.iter().map(Bytes::len).sum::<usize>().min(1 << 20));
        for mut part in bytes {
            while !part.is_empty() {
                let fits = part.len().min(buf.capacity() - buf.len());
                buf.extend_from_slice(&part.split_to(fits));
                if buf.len() == buf.capacity() {
                    buf = self.write_some(class, &mut place, buf).await?;
                }
            }
        }
        self.write_some(class, &mut place, buf).await.map(drop)
    }

    async fn write_some(&self, class: IoClass, place: &mut u64, buf: DmaBuf) -> io::Result<DmaBuf> {
        let (result, mut buf) = self.write_at(class, *place, buf).await;
        result?;
        *place += buf.len() as u64;
        buf.clear();
        Ok(buf)
    }

    /// Reads from `offset` until `buf` is full (its capacity) or the file ends. The length of `buf` becomes what was
    /// read, which is also the result.
    ///
    /// # Errors
    /// As [`File::write_at`]; the buffer is then empty.
    pub async fn read_at(&self, class: IoClass, offset: u64, buf: DmaBuf) -> (io::Result<usize>, DmaBuf) {
        if let Err(error) = self.check_aligned(offset, buf.capacity()) {
            return (Err(error), buf);
        }
        let (result, mut buf) = self.timed(class, Kind::Read, move |file| file.read(class, offset, buf)).await;
        buf.set_filled(*result.as_ref().unwrap_or(&0));
        count(class, Kind::Read, buf.len());
        (result, buf)
    }

    /// Makes what was written before this call durable: data, and size if it grew (fdatasync).
    ///
    /// # Errors
    /// What the system says. After an error nobody knows what is on the disk: never retried.
    pub async fn sync_data(&self, class: IoClass) -> io::Result<()> {
        let (result, ()) = self.timed(class, Kind::Flush, |file| async move { (file.sync(class).await, ()) }).await;
        count(class, Kind::Flush, 0);
        result
    }

    /// Reserves room for `offset..offset + len` and grows the file to its end if it is shorter. New bytes read as zeros.
    ///
    /// # Errors
    /// What the system says; ENOSPC beyond the space limit.
    pub async fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        match &*self.0 {
            Inside::Real(file) => {
                file.grow(offset + len)?;
                let fd = file.fd.clone();
                let allocated = run_blocking(move || allocate_real(&fd, offset, len)).await;
                file.settle(offset + len, allocated.is_ok());
                allocated
            }
            #[cfg(feature = "sim")]
            Inside::Sim(file) => file.allocate(offset, len).await,
        }
    }

    /// Cuts or grows the file to `len`. New bytes read as zeros.
    ///
    /// # Errors
    /// What the system says; ENOSPC beyond the space limit.
    pub async fn set_len(&self, len: u64) -> io::Result<()> {
        match &*self.0 {
            Inside::Real(file) => {
                file.grow(len)?;
                let fd = file.fd.clone();
                let cut = run_blocking(move || rustix::fs::ftruncate(&*fd, len)).await;
                if cut.is_ok() {
                    file.shrink(len);
                }
                file.settle(len, cut.is_ok());
                Ok(cut?)
            }
            #[cfg(feature = "sim")]
            Inside::Sim(file) => file.set_len(len).await,
        }
    }

    /// Size in bytes.
    ///
    /// # Errors
    /// What the system says.
    pub async fn len(&self) -> io::Result<u64> {
        match &*self.0 {
            Inside::Real(file) => Ok(rustix::fs::fstat(&*file.fd)?.st_size as u64),
            #[cfg(feature = "sim")]
            Inside::Sim(file) => file.len(),
        }
    }

    /// Lets go of the file. If this was the last clone, the closing (which may free a removed file's blocks) happens off
    /// the shard. Flushes nothing.
    ///
    /// # Errors
    /// None today; what the system says, should it say something.
    pub async fn close(self) -> io::Result<()> {
        let Some(inside) = Rc::into_inner(self.0) else { return Ok(()) };
        match inside {
            Inside::Real(file) => run_blocking(move || drop(file.fd)).await,
            #[cfg(feature = "sim")]
            Inside::Sim(file) => drop(file),
        }
        Ok(())
    }

    fn check_aligned(&self, offset: u64, len: usize) -> io::Result<()> {
        let alignment = self.alignment();
        if offset.is_multiple_of(alignment as u64) && len.is_multiple_of(alignment) {
            return Ok(());
        }
        let what = format!("direct I/O of {len} bytes at {offset} is not aligned to {alignment}");
        Err(io::Error::new(io::ErrorKind::InvalidInput, what))
    }

    /// Runs one operation and counts it.
    async fn timed<'a, T, B, F>(
        &'a self,
        class: IoClass,
        kind: Kind,
        run: impl FnOnce(&'a Inside) -> F,
    ) -> (io::Result<T>, B)
    where
        F: Future<Output = (io::Result<T>, B)> + 'a,
    {
        let shard = Shard::current();
        let counters = &shard.stats.disk[class as usize];
        let begun = shard.now_ns();
        counters.in_flight.add(1);
        let _flight = InFlight(&counters.in_flight);
        let outcome = run(&self.0).await;
        let histogram = match kind {
            Kind::Read => &counters.read_ns,
            Kind::Write => &counters.write_ns,
            Kind::Flush => &counters.flush_ns,
        };
        record(histogram, shard.now_ns() - begun);
        if outcome.0.is_err() {
            counters.errors.add(1);
        }
        outcome
    }
}

struct InFlight<'a>(&'a Counter);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.sub(1);
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Read,
    Write,
    Flush,
}

fn count(class: IoClass, kind: Kind, bytes: usize) {
    Shard::with(|shard| {
        let counters = &shard.stats.disk[class as usize];
        match kind {
            Kind::Read => {
                counters.reads.add(1);
                counters.read_bytes.add(bytes as u64);
            }
            Kind::Write => {
                counters.writes.add(1);
                counters.write_bytes.add(bytes as u64);
            }
            Kind::Flush => counters.flushes.add(1),
        }
    });
}

impl Inside {
    async fn write(&self, class: IoClass, offset: u64, buf: DmaBuf) -> (io::Result<()>, DmaBuf) {
        let end = offset + buf.len() as u64;
        if let Inside::Real(file) = self
            && let Err(error) = file.grow(end)
        {
            return (Err(error), buf);
        }
        let (result, buf) = self.write_pieces(class, offset, buf).await;
        match self {
            Inside::Real(file) => file.settle(end, result.is_ok()),
            #[cfg(feature = "sim")]
            Inside::Sim(_) => {}
        }
        (result, buf)
    }

    async fn write_pieces(&self, class: IoClass, offset: u64, mut buf: DmaBuf) -> (io::Result<()>, DmaBuf) {
        let (mut done, end) = (0, buf.len());
        while done < end {
            let upto = end.min(done.saturating_add(class.piece_bytes()));
            let _turn = Shard::with(|shard| shard.disk.turn(class)).await;
            let result;
            (result, buf) = self.write_piece(class, offset, buf, (done, upto)).await;
            match result {
                Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), buf),
                Ok(written) => done += written,
                Err(error) if is_retried(&error) => {}
                Err(error) => return (Err(error), buf),
            }
        }
        (Ok(()), buf)
    }

    async fn read(&self, class: IoClass, offset: u64, mut buf: DmaBuf) -> (io::Result<usize>, DmaBuf) {
        let (mut done, end) = (0, buf.capacity());
        while done < end {
            let upto = end.min(done.saturating_add(class.piece_bytes()));
            let _turn = Shard::with(|shard| shard.disk.turn(class)).await;
            let result;
            (result, buf) = self.read_piece(class, offset, buf, (done, upto)).await;
            match result {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if is_retried(&error) => continue,
                Err(error) => return (Err(error), buf),
            }
            // Direct I/O ends short of the alignment only where the file ends; going on from there would be refused.
            if let Inside::Real(file) = self
                && !done.is_multiple_of(file.alignment)
            {
                break;
            }
        }
        (Ok(done), buf)
    }

    async fn write_piece(
        &self,
        class: IoClass,
        offset: u64,
        buf: DmaBuf,
        (from, to): (usize, usize),
    ) -> (io::Result<usize>, DmaBuf) {
        let place = offset + from as u64;
        match self {
            Inside::Real(file) if file.driver.is_uring() => {
                let operation = op::WriteAt::new(file.driver.hold(file.fd.clone()), place, Piece { buf, from, to });
                let BufResult(result, piece) = file.driver.submit(operation).await.into_inner();
                (result, piece.buf)
            }
            Inside::Real(file) => {
                let fd = file.fd.clone();
                run_blocking_as(class.urgency(), move || {
                    let result = rustix::io::pwrite(&*fd, &buf[from..to], place);
                    (result.map_err(io::Error::from), buf)
                })
                .await
            }
            #[cfg(feature = "sim")]
            Inside::Sim(file) => {
                let result = file.write(place, &buf[from..to]).await;
                (result.map(|()| to - from), buf)
            }
        }
    }

    async fn read_piece(
        &self,
        class: IoClass,
        offset: u64,
        mut buf: DmaBuf,
        (from, to): (usize, usize),
    ) -> (io::Result<usize>, DmaBuf) {
        let place = offset + from as u64;
        match self {
            Inside::Real(file) if file.driver.is_uring() => {
                let operation = op::ReadAt::new(file.driver.hold(file.fd.clone()), place, Piece { buf, from, to });
                let BufResult(result, piece) = file.driver.submit(operation).await.into_inner();
                (result, piece.buf)
            }
            Inside::Real(file) => {
                let fd = file.fd.clone();
                run_blocking_as(class.urgency(), move || {
                    let result = rustix::io::pread(&*fd, &mut buf.whole_mut()[from..to], place);
                    (result.map_err(io::Error::from), buf)
                })
                .await
            }
            #[cfg(feature = "sim")]
            Inside::Sim(file) => {
                let result = file.read(place, &mut buf.whole_mut()[from..to]).await;
                (result, buf)
            }
        }
    }

    async fn sync(&self, class: IoClass) -> io::Result<()> {
        let _turn = Shard::with(|shard| shard.disk.turn(class)).await;
        match self {
            Inside::Real(file) if file.driver.is_uring() => {
                file.driver.submit(op::Sync::new(file.driver.hold(file.fd.clone()), true)).await.0.map(drop)
            }
            Inside::Real(file) => {
                let fd = file.fd.clone();
                run_blocking_as(class.urgency(), move || rustix::fs::fdatasync(&*fd)).await.map_err(io::Error::from)
            }
            #[cfg(feature = "sim")]
            Inside::Sim(file) => file.sync().await,
        }
    }
}

impl Real {
    /// The file is about to reach up to `end`: counts what it grows by.
    fn grow(&self, end: u64) -> io::Result<()> {
        let Some(counted) = &self.counted else { return Ok(()) };
        if end > counted.get() {
            Shard::with(|shard| shard.hub.space.reserve(end - counted.get()))?;
            counted.set(end);
        }
        Ok(())
    }

    /// What was to make the file reach `end` is over. If it failed, the file is as long as the system says; if not, it
    /// reaches `end`, even if something else failed meanwhile and was counted back.
    fn settle(&self, end: u64, went_well: bool) {
        let Some(counted) = &self.counted else { return };
        if !went_well {
            // A file that cannot even be asked stays counted as it is.
            if let Ok(about) = rustix::fs::fstat(&*self.fd) {
                self.shrink(about.st_size as u64);
            }
        } else if end > counted.get() {
            Shard::with(|shard| shard.hub.space.add(end - counted.get()));
            counted.set(end);
        }
    }

    /// The file was cut to `len`.
    fn shrink(&self, len: u64) {
        let Some(counted) = &self.counted else { return };
        if len < counted.get() {
            Shard::with(|shard| shard.hub.space.release(counted.get() - len));
            counted.set(len);
        }
    }
}

/// A part of a buffer, as an operation sees it.
struct Piece {
    buf: DmaBuf,
    from: usize,
    to: usize,
}

impl IoBuf for Piece {
    fn as_init(&self) -> &[u8] {
        self.buf.whole().get(self.from..self.to).expect("a piece lies inside its buffer")
    }
}

impl SetLen for Piece {
    // SAFETY: a piece is initialised throughout and its length is fixed; nothing is done with the number.
    #[allow(unsafe_code, reason = "see SAFETY")]
    unsafe fn set_len(&mut self, _: usize) {}
}

impl IoBufMut for Piece {
    fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        crate::net::as_uninit(&mut self.buf.whole_mut()[self.from..self.to])
    }
}

fn is_retried(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}

#[allow(clippy::disallowed_methods, reason = "rt is the door")]
fn size_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |about| about.len())
}

fn open_real(path: &PathBuf, options: OpenOptions) -> io::Result<(OwnedFd, bool, usize, u64)> {
    let mut flags = OFlags::CLOEXEC;
    flags |= if options.write { OFlags::RDWR } else { OFlags::RDONLY };
    flags.set(OFlags::CREATE, options.create || options.create_new);
    flags.set(OFlags::EXCL, options.create_new);
    flags.set(OFlags::TRUNC, options.truncate);
    let open = |flags| rustix::fs::openat(rustix::fs::CWD, path, flags, Mode::from_raw_mode(0o644));
    let (fd, direct) = match options.direct.then(|| open(flags | OFlags::DIRECT)) {
        Some(Ok(fd)) => (fd, true),
        // tmpfs before Linux 6.6, some FUSE and network file systems. The refused open may have made the file.
        Some(Err(rustix::io::Errno::INVAL)) => (open(flags - OFlags::EXCL)?, false),
        Some(Err(error)) => return Err(error.into()),
        None => (open(flags)?, false),
    };
    let size = rustix::fs::fstat(&fd)?.st_size as u64;
    match direct.then(|| alignment_of(&fd)) {
        None => Ok((fd, false, 1, size)),
        Some(Some(alignment)) => Ok((fd, true, alignment, size)),
        Some(None) => Ok((open(flags - OFlags::EXCL - OFlags::TRUNC)?, false, 1, size)),
    }
}

/// Alignment of direct I/O; `None` if the file system says that it has none after all.
fn alignment_of(fd: &OwnedFd) -> Option<usize> {
    let about = rustix::fs::statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN).ok();
    let Some(about) = about.filter(|about| about.stx_mask & StatxFlags::DIOALIGN.bits() != 0) else {
        // Before Linux 6.1 nobody says: the page size is right for every disk we know.
        return Some(PAGE);
    };
    let alignment = about.stx_dio_offset_align.max(about.stx_dio_mem_align) as usize;
    (about.stx_dio_offset_align != 0 && alignment <= PAGE).then(|| alignment.max(512).next_power_of_two())
}

fn allocate_real(fd: &OwnedFd, offset: u64, len: u64) -> io::Result<()> {
    match rustix::fs::fallocate(fd, FallocateFlags::empty(), offset, len) {
        Err(rustix::io::Errno::OPNOTSUPP) => {
            // No reservation to be had: at least the size is right, and a full disk shows at the write.
            let size = rustix::fs::fstat(fd)?.st_size as u64;
            Ok(rustix::fs::ftruncate(fd, size.max(offset + len))?)
        }
        result => Ok(result?),
    }
}
