//! [`PcapngWriter`]: writes pcapng files with one interface.

use std::io::Write;

use super::{LinkType, WriteError};
use crate::units::Timestamp;

/// Writes a pcapng file with one named interface, little endian, with nanosecond timestamps. Each packet
/// carries its id (`epb_packetid`), which identifies it across files. The writer makes many small writes: use
/// a buffered sink.
///
/// # Examples
///
/// ```
/// use taunet::capture::{LinkType, Options, PcapngWriter, Reader};
/// use taunet::units::Timestamp;
///
/// let mut file = Vec::new();
/// let mut writer = PcapngWriter::new(&mut file, LinkType::ETHERNET, "r1:1")?;
/// writer.write(Timestamp::from_ns(1_000_000_001), 1514, &[0; 42], 7)?;
///
/// let mut reader = Reader::from_source(std::io::Cursor::new(file), "a.pcapng".as_ref(), &Options::default())?;
/// let record = reader.next_record()?.unwrap();
/// assert_eq!((record.original_length, record.bytes.len()), (1514, 42));
/// assert_eq!(record.timestamp, Timestamp::from_ns(1_000_000_001));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Source
/// draft-ietf-opsawg-pcapng, Sections 4.1 to 4.3.
#[derive(Debug)]
pub struct PcapngWriter<W> {
    sink: W,
    /// The block under construction.
    block: Vec<u8>,
}

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const EPB_PACKETID: u16 = 5;

impl<W: Write> PcapngWriter<W> {
    /// Writes the file header and the description of the interface.
    ///
    /// # Errors
    /// The sink fails.
    pub fn new(sink: W, link_type: LinkType, interface: &str) -> Result<Self, WriteError> {
        let mut writer = PcapngWriter { sink, block: Vec::new() };
        // The byte-order magic, version 1.0, and a section of unspecified length.
        writer.block.extend(0x1a2b_3c4d_u32.to_le_bytes());
        writer.block.extend([1, 0, 0, 0]);
        writer.block.extend(u64::MAX.to_le_bytes());
        writer.option(SHB_USERAPPL, concat!("taunet ", env!("CARGO_PKG_VERSION")).as_bytes());
        writer.end_block(SECTION_HEADER)?;
        writer.block.extend(link_type.0.to_le_bytes());
        // Reserved bytes, and no limit on the captured length.
        writer.block.extend([0; 6]);
        writer.option(IF_NAME, interface.as_bytes());
        writer.option(IF_TSRESOL, &[9]);
        writer.end_block(INTERFACE_DESCRIPTION)?;
        Ok(writer)
    }

    /// Writes a frame of `original_length` bytes, of which `bytes` are present. The time is rounded down to
    /// nanoseconds.
    ///
    /// # Errors
    /// The sink fails, the time is before 1970 or after 2554, or there are more bytes than `original_length`.
    pub fn write(
        &mut self,
        timestamp: Timestamp,
        original_length: u32,
        bytes: &[u8],
        packet_id: u64,
    ) -> Result<(), WriteError> {
        let ns = u64::try_from(timestamp.as_ps().div_euclid(1_000))
            .map_err(|_| WriteError::TimeOutOfRange { timestamp })?;
        if bytes.len() > original_length as usize {
            return Err(WriteError::LongerThanOriginal { captured: bytes.len(), original: original_length });
        }
        let (high, low) = ((ns >> 32) as u32, ns as u32);
        for field in [0, high, low, bytes.len() as u32, original_length] {
            self.block.extend(field.to_le_bytes());
        }
        self.padded(bytes);
        self.option(EPB_PACKETID, &packet_id.to_le_bytes());
        self.end_block(ENHANCED_PACKET)
    }

    fn padded(&mut self, bytes: &[u8]) {
        self.block.extend_from_slice(bytes);
        self.block.resize(self.block.len().next_multiple_of(4), 0);
    }

    fn option(&mut self, code: u16, value: &[u8]) {
        // Device names may be longer than an option, which holds 65535 bytes.
        let value = &value[..value.len().min(usize::from(u16::MAX))];
        self.block.extend(code.to_le_bytes());
        self.block.extend((value.len() as u16).to_le_bytes());
        self.padded(value);
    }

    /// Ends the options and writes the block with its type and lengths.
    fn end_block(&mut self, block_type: u32) -> Result<(), WriteError> {
        self.option(0, &[]);
        let length = self.block.len() as u32 + 12;
        self.sink.write_all(&block_type.to_le_bytes())?;
        self.sink.write_all(&length.to_le_bytes())?;
        self.sink.write_all(&self.block)?;
        self.sink.write_all(&length.to_le_bytes())?;
        self.block.clear();
        Ok(())
    }

    /// Flushes the sink and returns it.
    ///
    /// # Errors
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
    fn what_a_pcapng_file_cannot_hold_is_refused() {
        let mut writer = PcapngWriter::new(std::io::sink(), LinkType::ETHERNET, "a:0").unwrap();
        let error = writer.write(Timestamp::from_ps(-1), 60, &[], 0).unwrap_err();
        assert!(matches!(error, WriteError::TimeOutOfRange { .. }));
        let error = writer.write(Timestamp::from_ps(0), 60, &[0; 61], 0).unwrap_err();
        assert!(matches!(error, WriteError::LongerThanOriginal { captured: 61, original: 60 }));
        writer.finish().unwrap();
        let mut full = [0; 3];
        let error = PcapngWriter::new(full.as_mut_slice(), LinkType::ETHERNET, "a:0");
        assert!(matches!(error.unwrap_err(), WriteError::Write(_)));
    }
}
