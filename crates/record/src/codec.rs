//! The codecs of KIP-98 batches: gzip, snappy, lz4, zstd (KIP-110). Decompression is always bounded.
//!
//! Reading takes whatever the clients write: gzip of several members, snappy raw or in the framing of xerial's
//! snappy-java, lz4 frames with linked or independent blocks and with or without checksums, zstd of any level.
//! Beside the caller's bytes a decompressor holds one window: at most 8 MiB for lz4, what the frame asks for with zstd
//! (128 MiB at level 22, of which only what is written becomes memory), one block for snappy, 32 KiB for gzip.

mod snappy;

use std::io::{self, Read, Write};

use crate::RecordError;
use snappy::SnappyReader;

/// How the records of a batch are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Codec {
    /// Not at all.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Blocks of snappy in xerial's framing, or one block without it.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// RFC 8878.
    Zstd,
}

/// How far compressed records may unfold. Decompression stops at the bound, whatever the bytes announce.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Never more than this, in bytes.
    pub bytes_max: u64,
    /// Nor more than this many times the compressed size,
    pub ratio_max: u64,
    /// unless it is within this, in bytes: a small batch of equal records may shrink a thousandfold, honestly.
    pub bytes_free: u64,
}

impl Limits {
    /// For what clients send: 128 MiB, and 200-fold beyond 16 MiB. It is the time on the core that these bound;
    /// memory is bounded by streaming.
    pub const PRODUCE: Limits = Limits { bytes_max: 128 << 20, ratio_max: 200, bytes_free: 16 << 20 };
    /// For what has been accepted once, perhaps rewritten by compaction since.
    pub const STORED: Limits = Limits { bytes_max: 256 << 20, ratio_max: u64::MAX, bytes_free: 0 };

    /// How many bytes `compressed` bytes may become.
    pub fn allowance(&self, compressed: usize) -> u64 {
        self.ratio_max.saturating_mul(compressed as u64).max(self.bytes_free).min(self.bytes_max)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits::PRODUCE
    }
}

impl Codec {
    /// From the three bits in a batch's attributes.
    pub fn from_id(id: u8) -> Result<Codec, RecordError> {
        Ok(match id {
            0 => Codec::None,
            1 => Codec::Gzip,
            2 => Codec::Snappy,
            3 => Codec::Lz4,
            4 => Codec::Zstd,
            unknown => return Err(RecordError::UnknownCodec(unknown)),
        })
    }

    /// The three bits in a batch's attributes.
    pub fn id(self) -> u8 {
        self as u8
    }

    /// Kafka's name, as in `compression.type`.
    pub fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }

    /// From Kafka's name.
    pub fn from_name(name: &str) -> Option<Codec> {
        [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd].into_iter().find(|c| c.name() == name)
    }

    /// Compresses as Kafka's own producer does by default: gzip level 6, xerial snappy in 32 KiB blocks, lz4 frames of
    /// independent 64 KiB blocks, zstd level 3.
    pub fn compress(self, bytes: &[u8]) -> Vec<u8> {
        self.try_compress(bytes).expect("writing to memory cannot fail")
    }

    fn try_compress(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        Ok(match self {
            Codec::None => bytes.to_vec(),
            Codec::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(bytes)?;
                encoder.finish()?
            }
            Codec::Snappy => snappy::compress_framed(bytes)?,
            Codec::Lz4 => {
                let info = lz4_flex::frame::FrameInfo::new().block_size(lz4_flex::frame::BlockSize::Max64KB);
                let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
                encoder.write_all(bytes)?;
                encoder.finish().map_err(io::Error::other)?
            }
            Codec::Zstd => zstd::stream::encode_all(bytes, zstd::DEFAULT_COMPRESSION_LEVEL)?,
        })
    }

    /// Decompresses all of `bytes`; fails as soon as it would be more than `limits` allow.
    pub fn decompress(self, bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, RecordError> {
        let mut stream = Decompressor::new(self, bytes, limits)?;
        let mut out = Vec::with_capacity(bytes.len().saturating_mul(2));
        let mut chunk = [0; 8 << 10];
        loop {
            match stream.read(&mut chunk)? {
                0 => return Ok(out),
                read => out.extend_from_slice(&chunk[..read]),
            }
        }
    }
}

/// A stream of decompressed bytes that ends with an error at its bound.
pub(crate) struct Decompressor<'a> {
    inner: Inner<'a>,
    codec: Codec,
    limit: u64,
    left: u64,
}

enum Inner<'a> {
    None(&'a [u8]),
    Gzip(Box<flate2::bufread::MultiGzDecoder<&'a [u8]>>),
    Snappy(SnappyReader<'a>),
    Lz4(Box<lz4_flex::frame::FrameDecoder<&'a [u8]>>),
    Zstd(zstd::stream::read::Decoder<'static, &'a [u8]>),
}

/// The largest window zstd's own decoder takes by default, and what its level 22 writes: Java producers may be set to it.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

impl<'a> Decompressor<'a> {
    pub(crate) fn new(codec: Codec, bytes: &'a [u8], limits: &Limits) -> Result<Self, RecordError> {
        let limit = limits.allowance(bytes.len());
        let fault = |error: io::Error| RecordError::Decompression { codec, reason: error.to_string() };
        let inner = match codec {
            Codec::None => Inner::None(bytes),
            Codec::Gzip => Inner::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(bytes))),
            Codec::Snappy => Inner::Snappy(SnappyReader::new(bytes, limit)),
            Codec::Lz4 => Inner::Lz4(Box::new(lz4_flex::frame::FrameDecoder::new(bytes))),
            Codec::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(fault)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(fault)?;
                Inner::Zstd(decoder)
            }
        };
        Ok(Decompressor { inner, codec, limit, left: limit })
    }

    /// The next bytes; 0 at the end.
    pub(crate) fn read(&mut self, out: &mut [u8]) -> Result<usize, RecordError> {
        let read = match &mut self.inner {
            Inner::None(bytes) => bytes.read(out),
            Inner::Gzip(stream) => stream.read(out),
            Inner::Snappy(stream) => stream.read(out),
            Inner::Lz4(stream) => stream.read(out),
            Inner::Zstd(stream) => stream.read(out),
        };
        let read = read.map_err(|error| match snappy::is_too_large(&error) {
            true => RecordError::TooLarge { limit: self.limit },
            false => RecordError::Decompression { codec: self.codec, reason: error.to_string() },
        })?;
        if read as u64 > self.left {
            return Err(RecordError::TooLarge { limit: self.limit });
        }
        self.left -= read as u64;
        Ok(read)
    }
}
