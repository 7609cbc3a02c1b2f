//! [`Writer`]: writes classic pcap files.

use std::io::Write;

use super::{LinkType, WriteError};
use crate::units::{PS_PER_S, Timestamp};

/// The resolution of timestamps in a pcap file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// Microseconds (magic number 0xa1b2c3d4).
    Microseconds,
    /// Nanoseconds (magic number 0xa1b23c4d).
    Nanoseconds,
}

/// Writes a classic pcap file, little endian, version 2.4. It makes many small writes: use a buffered sink.
///
/// # Examples
///
/// ```
/// use taunet::capture::{LinkType, Options, Reader, Resolution, Writer};
/// use taunet::units::Timestamp;
///
/// let mut file = Vec::new();
/// let mut writer = Writer::new(&mut file, Resolution::Nanoseconds, LinkType::ETHERNET, 96)?;
/// writer.write(Timestamp::from_ns(1_000_000_001), 1514, &[0; 1514])?;
///
/// let mut reader = Reader::from_source(std::io::Cursor::new(file), "a.pcap".as_ref(), &Options::default())?;
/// let record = reader.next_record()?.unwrap();
/// assert_eq!((record.original_length, record.bytes.len()), (1514, 96));
/// assert_eq!(record.timestamp, Timestamp::from_ns(1_000_000_001));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Writer<W> {
    sink: W,
    unit_ps: i128,
    snap_length: usize,
}

impl<W: Write> Writer<W> {
    /// Writes the file header. At most `snap_length` bytes of each frame are kept.
    ///
    /// # Errors
    ///
    /// The sink fails.
    pub fn new(
        mut sink: W,
        resolution: Resolution,
        link_type: LinkType,
        snap_length: u32,
    ) -> Result<Self, WriteError> {
        let (magic, unit_ps) = match resolution {
            Resolution::Microseconds => (0xa1b2_c3d4_u32, 1_000_000),
            Resolution::Nanoseconds => (0xa1b2_3c4d, 1_000),
        };
        let mut header = [0; 24];
        header[..4].copy_from_slice(&magic.to_le_bytes());
        header[4..8].copy_from_slice(&[2, 0, 4, 0]);
        header[16..20].copy_from_slice(&snap_length.to_le_bytes());
        header[20..22].copy_from_slice(&link_type.0.to_le_bytes());
        sink.write_all(&header)?;
        Ok(Writer { sink, unit_ps, snap_length: usize::try_from(snap_length).unwrap_or(usize::MAX) })
    }

    /// Writes a frame of `original_length` bytes, of which `bytes` are present. The time is rounded down to
    /// the resolution of the file.
    ///
    /// # Errors
    ///
    /// The sink fails, the time is not in the years 1970 to 2106, or there are more bytes than
    /// `original_length`.
    pub fn write(
        &mut self,
        timestamp: Timestamp,
        original_length: u32,
        bytes: &[u8],
    ) -> Result<(), WriteError> {
        let second = i128::from(PS_PER_S);
        let seconds = u32::try_from(timestamp.as_ps().div_euclid(second))
            .map_err(|_| WriteError::TimeOutOfRange { timestamp })?;
        let fraction = (timestamp.as_ps().rem_euclid(second) / self.unit_ps) as u32;
        if bytes.len() > original_length as usize {
            return Err(WriteError::LongerThanOriginal { captured: bytes.len(), original: original_length });
        }
        let captured = &bytes[..bytes.len().min(self.snap_length)];
        let mut header = [0; 16];
        header[..4].copy_from_slice(&seconds.to_le_bytes());
        header[4..8].copy_from_slice(&fraction.to_le_bytes());
        header[8..12].copy_from_slice(&(captured.len() as u32).to_le_bytes());
        header[12..].copy_from_slice(&original_length.to_le_bytes());
        self.sink.write_all(&header)?;
        self.sink.write_all(captured)?;
        Ok(())
    }

    /// Flushes the sink and returns it.
    ///
    /// # Errors
    ///
    /// The sink fails.
    pub fn finish(mut self) -> Result<W, WriteError> {
        self.sink.flush()?;
        Ok(self.sink)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pcap_file_cannot_hold_is_refused() {
        let mut writer =
            Writer::new(std::io::sink(), Resolution::Microseconds, LinkType::ETHERNET, 60).unwrap();
        let error = writer.write(Timestamp::from_ps(-1), 60, &[]).unwrap_err();
        assert!(matches!(error, WriteError::TimeOutOfRange { .. }));
        let error = writer.write(Timestamp::from_ps(0), 60, &[0; 61]).unwrap_err();
        assert!(matches!(error, WriteError::LongerThanOriginal { captured: 61, original: 60 }));
        writer.finish().unwrap();
    }

    #[test]
    fn a_failing_sink_is_reported() {
        let mut full = [0; 3];
        let error = Writer::new(full.as_mut_slice(), Resolution::Nanoseconds, LinkType::RAW, 60);
        assert!(matches!(error.unwrap_err(), WriteError::Write(_)));
    }
}
