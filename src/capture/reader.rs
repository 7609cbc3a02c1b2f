//! [`Reader`]: the records of a capture in file order.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::format::{Format, RawRecord};
use super::frame::Place;
use super::input::Input;
use super::selector::Selector;
use super::{CaptureError, LinkType, Options, Record, compression, standard_input};
use crate::units::Timestamp;

/// The records of a capture, one at a time, in file order.
///
/// Memory does not grow with the file: the reader holds one window of 256 KiB (more for a larger record, at
/// most 32 MiB) and the state of the decompressor.
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
    /// Selects packets; `None` if all are read.
    selector: Option<Selector>,
    /// Records read, including skipped ones.
    index: u64,
    /// Records returned.
    given: u64,
    understated: u64,
    latest: Option<Timestamp>,
    untimed: u64,
    /// Unsupported link types of the packets so far.
    refused: Vec<LinkType>,
    warnings: Vec<CaptureError>,
    bytes_read: Arc<AtomicU64>,
    file_size: Option<u64>,
}

impl Reader {
    /// Opens a capture and reads its header. The path `-` is standard input.
    ///
    /// # Errors
    ///
    /// The file cannot be opened or read, is not a capture, or is a classic pcap of an unsupported link type,
    /// even with [`Options::lenient`]. Standard input is a terminal, or was read before.
    pub fn open(path: &Path, options: &Options) -> Result<Self, CaptureError> {
        if standard_input::is_meant(path) {
            return Self::from_source(standard_input::take()?, standard_input::NAME.as_ref(), options);
        }
        let open = |error| CaptureError::Open { path: path.to_owned(), error };
        let file = File::open(path).map_err(open)?;
        let metadata = file.metadata().map_err(open)?;
        if metadata.is_dir() {
            return Err(CaptureError::Directory(path.to_owned()));
        }
        let mut reader = Self::from_source(file, path, options)?;
        reader.file_size = metadata.is_file().then_some(metadata.len());
        Ok(reader)
    }

    /// Reads a capture from any source of bytes. Errors name it `name`.
    ///
    /// # Errors
    ///
    /// As for [`Reader::open`].
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
            options: options.clone(),
            input,
            format,
            selector: Selector::new(options),
            index: 0,
            given: 0,
            understated: 0,
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
    /// - The file is damaged or cannot be read.
    /// - The link type of the packet, or of every interface, is not supported (pcapng).
    /// - At the end of the file: no packet matched [`Options::interface`] and [`Options::direction`].
    ///
    /// After an error there are no more records. With [`Options::lenient`], damage is a warning, and packets
    /// of an unsupported link type are skipped with one warning per link type.
    #[inline]
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, CaptureError> {
        let raw = loop {
            if self.options.max_packets.is_some_and(|limit| self.given >= limit) {
                return Ok(None);
            }
            let Some(format) = &mut self.format else { return Ok(None) };
            match format.next(&mut self.input, &self.path) {
                Ok(Some(raw)) => {
                    self.index += 1;
                    if self.selector.is_some() && !self.selects(&raw) {
                        self.input.take(raw.length);
                    } else if raw.is_plain || raw.link_type.is_supported() {
                        break raw;
                    } else {
                        self.refuse(&raw)?;
                    }
                }
                Ok(None) => return self.end().map(|()| None),
                Err(error) => {
                    self.fail(error).inspect_err(|_| self.format = None)?;
                    return self.end().map(|()| None);
                }
            }
        };
        let timestamp = raw.timestamp.unwrap_or_else(|| {
            self.untimed += 1;
            self.latest.unwrap_or_default()
        });
        self.latest = Some(timestamp);
        self.given += 1;
        let captured = raw.captured.len() as u32;
        self.understated += u64::from(raw.original_length < captured);
        let bytes = &self.input.take(raw.length)[raw.captured.clone()];
        Ok(Some(record(&raw, self.index - 1, timestamp, self.format.as_ref(), bytes)))
    }

    /// Whether a record is selected.
    fn selects(&mut self, raw: &RawRecord) -> bool {
        self.latest = raw.timestamp.or(self.latest);
        let bytes = &self.input.bytes()[raw.captured.clone()];
        let record = record(raw, self.index - 1, Timestamp::default(), self.format.as_ref(), bytes);
        self.selector.as_mut().is_none_or(|selector| selector.takes(&record))
    }

    /// Ends the records. A file without any selected packet is an error.
    #[cold]
    fn end(&mut self) -> Result<(), CaptureError> {
        let Some(format) = self.format.take() else { return Ok(()) };
        if let Some(selector) = &mut self.selector {
            let described = (0..).zip(format.interfaces());
            let described =
                described.map(|(number, (name, link_type))| (number, name.as_deref(), *link_type));
            selector.check(&self.path, described)?;
        }
        // as in classic pcap, where a file without packets is rejected as well
        if let (Some((link_type, offset)), true) = (format.unsupported(), self.refused.is_empty()) {
            self.fail(self.unsupported(link_type, offset))?;
        }
        Ok(())
    }

    /// Skips a packet of an unsupported link type, or ends with an error.
    #[cold]
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

    /// Returns the error, or records it as a warning with [`Options::lenient`].
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

    /// Damage that [`Options::lenient`] has accepted so far.
    pub fn warnings(&self) -> &[CaptureError] {
        &self.warnings
    }

    /// All warnings about the records read so far: accepted damage and corrected fields.
    pub fn remarks(&self) -> Vec<String> {
        let path = self.path.display();
        let understated = (self.understated > 0).then(|| {
            format!(
                "{path}: {} packets have an original length of 0 or below the captured length: the captured length is used",
                self.understated
            )
        });
        let selector = self.selector.as_ref().and_then(|selector| selector.remark(&self.path));
        let corrected = understated.into_iter().chain(selector);
        self.warnings.iter().map(CaptureError::without_remedy).chain(corrected).collect()
    }

    /// Records so far whose original length was below the captured length. The captured length is used
    /// instead.
    pub fn understated(&self) -> u64 {
        self.understated
    }

    /// The number of bytes kept per frame, as far as the file gives it; `None` without a limit.
    pub fn snap_length(&self) -> Option<u32> {
        self.format.as_ref().and_then(Format::snap_length)
    }

    /// Records so far without a time of their own (pcapng Simple Packet Blocks).
    pub fn untimed(&self) -> u64 {
        self.untimed
    }

    /// Bytes read from the file so far, before decompression.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// Size of the file in bytes; `None` for a pipe or another source.
    pub fn file_size(&self) -> Option<u64> {
        self.file_size
    }

    /// The path of the file, as in error messages.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Converts a raw record into the returned form.
#[inline]
fn record<'a>(
    raw: &RawRecord,
    index: u64,
    timestamp: Timestamp,
    format: Option<&'a Format>,
    bytes: &'a [u8],
) -> Record<'a> {
    let original_length = raw.original_length.max(bytes.len() as u32);
    if raw.is_plain {
        return Record {
            index,
            timestamp,
            original_length,
            link_type: raw.link_type,
            interface: 0,
            interface_name: None,
            direction: None,
            has_other_places: false,
            bytes,
        };
    }
    let place = Place::of(raw.link_type, bytes);
    let described = format.and_then(|format| format.interfaces().get(raw.interface as usize));
    Record {
        index,
        timestamp,
        original_length,
        link_type: raw.link_type,
        interface: place.interface.unwrap_or(raw.interface),
        interface_name: described.and_then(|(name, _)| name.as_deref()),
        direction: place.direction.or(raw.direction),
        has_other_places: place.interface.is_some() || format.is_some_and(Format::has_several_interfaces),
        bytes,
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
