//! [`Reader`]: the records of a capture in file order.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::format::{Format, RawRecord};
use super::input::Input;
use super::{CaptureError, LinkType, Options, compression};
use crate::units::Timestamp;

/// One packet of a capture, as recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Index in the file, from 0.
    pub index: u64,
    /// When it was captured. A pcapng Simple Packet Block has no time: it takes that of the record
    /// before it, or the start of 1970; see [`Reader::untimed`].
    pub timestamp: Timestamp,
    /// Length of the frame on the wire, in bytes.
    pub original_length: u32,
    /// The link-layer header that `bytes` starts with.
    pub link_type: LinkType,
    /// The interface that captured it, numbered over all sections of the file; 0 in classic pcap.
    pub interface: u32,
    /// The captured bytes: the frame, or its start.
    pub bytes: &'a [u8],
}

/// The records of a capture, one at a time, in file order.
///
/// Memory does not grow with the file: there is one window of 256 KiB (more for a larger record, at
/// most 32 MiB) and the decompressor's own state.
///
/// # Examples
///
/// ```
/// use taunet::capture::{Frame, Options, Reader};
///
/// let mut reader = Reader::open("tests/captures/two_interfaces.pcapng".as_ref(), &Options::default())?;
/// while let Some(record) = reader.next_record()? {
///     let frame = Frame::parse(record.link_type, record.bytes, record.original_length);
///     println!("{} {} B {}", record.timestamp, record.original_length, frame.flow_key());
/// }
/// # Ok::<(), taunet::capture::CaptureError>(())
/// ```
pub struct Reader {
    path: PathBuf,
    options: Options,
    input: Input,
    /// `None` after the end or an error.
    format: Option<Format>,
    index: u64,
    latest: Option<Timestamp>,
    untimed: u64,
    /// Unsupported link types of packets so far.
    refused: Vec<LinkType>,
    warnings: Vec<CaptureError>,
    bytes_read: Arc<AtomicU64>,
    file_size: Option<u64>,
}

impl Reader {
    /// Opens a capture and reads its header.
    ///
    /// # Errors
    ///
    /// The file cannot be opened or read, is not a capture, or is a classic pcap of an unsupported
    /// link type. [`Options::lenient`] changes nothing here.
    pub fn open(path: &Path, options: &Options) -> Result<Self, CaptureError> {
        let open = |error| CaptureError::Open { path: path.to_owned(), error };
        let file = File::open(path).map_err(open)?;
        let metadata = file.metadata().map_err(open)?;
        let mut reader = Self::from_source(file, path, options)?;
        reader.file_size = metadata.is_file().then_some(metadata.len());
        Ok(reader)
    }

    /// Reads a capture from any source of bytes; errors call it `name`.
    ///
    /// # Errors
    ///
    /// As [`Reader::open`].
    pub fn from_source(
        source: impl Read + Send + 'static,
        name: &Path,
        options: &Options,
    ) -> Result<Self, CaptureError> {
        let bytes_read = Arc::new(AtomicU64::new(0));
        let source = compression::decompress(source, Arc::clone(&bytes_read))
            .map_err(|error| CaptureError::Read { path: name.to_owned(), offset: 0, error })?;
        let mut input = Input::new(source);
        let format = Some(Format::open(&mut input, name)?);
        Ok(Reader {
            path: name.to_owned(),
            options: *options,
            input,
            format,
            index: 0,
            latest: None,
            untimed: 0,
            refused: Vec::new(),
            warnings: Vec::new(),
            bytes_read,
            file_size: None,
        })
    }

    /// The next record, or `None` at the end.
    ///
    /// # Errors
    ///
    /// The file is damaged or cannot be read, or (pcapng) the link type of the packet, or of every
    /// interface, is unsupported.
    /// After an error there are no more records. With [`Options::lenient`] damage is a warning, and
    /// packets of an unsupported link type are left out with one warning per link type.
    #[inline]
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, CaptureError> {
        let raw = loop {
            if self.options.max_packets.is_some_and(|limit| self.index >= limit) {
                return Ok(None);
            }
            let Some(format) = &mut self.format else { return Ok(None) };
            match format.next(&mut self.input, &self.path) {
                Ok(Some(raw)) if raw.link_type.is_supported() => break raw,
                Ok(Some(raw)) => self.refuse(&raw)?,
                Ok(None) => {
                    let unsupported = format.unsupported();
                    self.format = None;
                    // as in classic pcap, where a file without packets is refused as well
                    if let (Some((link_type, offset)), true) = (unsupported, self.refused.is_empty()) {
                        self.fail(self.unsupported(link_type, offset))?;
                    }
                    return Ok(None);
                }
                Err(error) => {
                    self.format = None;
                    self.fail(error)?;
                    return Ok(None);
                }
            }
        };
        let timestamp = raw.timestamp.unwrap_or_else(|| {
            self.untimed += 1;
            self.latest.unwrap_or_default()
        });
        self.latest = Some(timestamp);
        let index = self.index;
        self.index += 1;
        Ok(Some(Record {
            index,
            timestamp,
            original_length: raw.original_length,
            link_type: raw.link_type,
            interface: raw.interface,
            bytes: &self.input.take(raw.length)[raw.captured],
        }))
    }

    /// Leaves out a packet of an unsupported link type, or ends there.
    fn refuse(&mut self, raw: &RawRecord) -> Result<(), CaptureError> {
        if !self.refused.contains(&raw.link_type) {
            self.refused.push(raw.link_type);
            if !self.options.lenient {
                self.format = None;
            }
            self.fail(self.unsupported(raw.link_type, raw.offset))?;
        }
        self.input.take(raw.length);
        Ok(())
    }

    /// An error, or with [`Options::lenient`] a warning.
    fn fail(&mut self, error: CaptureError) -> Result<(), CaptureError> {
        if !self.options.lenient {
            return Err(error);
        }
        self.warnings.push(error);
        Ok(())
    }

    fn unsupported(&self, link_type: LinkType, offset: u64) -> CaptureError {
        CaptureError::UnsupportedLinkType { path: self.path.clone(), offset, link_type }
    }

    /// What [`Options::lenient`] has let pass so far.
    pub fn warnings(&self) -> &[CaptureError] {
        &self.warnings
    }

    /// Of each frame, at most so many bytes were kept, as the file says so far; `None` where it names no limit.
    pub fn snap_length(&self) -> Option<u32> {
        self.format.as_ref().and_then(Format::snap_length)
    }

    /// Records so far that have no time of their own (pcapng Simple Packet Blocks).
    pub fn untimed(&self) -> u64 {
        self.untimed
    }

    /// Bytes taken from the file so far: compressed ones, where it is compressed.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// Size of the file in bytes; `None` for a pipe or another source.
    pub fn file_size(&self) -> Option<u64> {
        self.file_size
    }

    /// The file, as errors name it.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("path", &self.path)
            .field("options", &self.options)
            .field("index", &self.index)
            .field("offset", &self.input.offset())
            .finish_non_exhaustive()
    }
}
