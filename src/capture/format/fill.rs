//! Functions shared by both formats: numbers in either byte order, and filling the window, with the errors at
//! its end.

use std::path::Path;

use crate::capture::CaptureError;
use crate::capture::input::Input;

/// Largest accepted captured length in bytes, as in libpcap (`MAXIMUM_SNAPLEN`).
pub(super) const MAX_CAPTURED: u32 = 262_144;

/// The byte order of numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ByteOrder {
    pub is_big_endian: bool,
}

impl ByteOrder {
    pub fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let chunk = chunk(bytes, at);
        if self.is_big_endian { u32::from_be_bytes(chunk) } else { u32::from_le_bytes(chunk) }
    }

    pub fn u16(self, bytes: &[u8], at: usize) -> u16 {
        let chunk = chunk(bytes, at);
        if self.is_big_endian { u16::from_be_bytes(chunk) } else { u16::from_le_bytes(chunk) }
    }

    /// The options of a pcapng block, up to the end marker or to a truncated option.
    pub fn options(self, mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
        std::iter::from_fn(move || {
            if bytes.len() < 4 {
                return None;
            }
            let (code, size) = (self.u16(bytes, 0), usize::from(self.u16(bytes, 2)));
            let value = bytes.get(4..4 + size).filter(|_| code != 0)?;
            bytes = bytes.get(4 + size.next_multiple_of(4)..).unwrap_or_default();
            Some((code, value))
        })
    }
}

/// `N` bytes from `at`. Missing bytes are zero; callers check the length before.
pub(super) fn chunk<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

pub(super) fn fill(input: &mut Input, path: &Path, wanted: usize) -> Result<bool, CaptureError> {
    input.fill(wanted).map_err(|error| read(input, path, error))
}

pub(super) fn read(input: &Input, path: &Path, error: std::io::Error) -> CaptureError {
    let offset = input.offset() + input.bytes().len() as u64;
    CaptureError::Read { path: path.to_owned(), offset, error }
}

pub(super) fn cut_off(input: &Input, path: &Path, what: &'static str, needed: usize) -> CaptureError {
    CaptureError::CutOff {
        path: path.to_owned(),
        offset: input.offset(),
        what,
        needed: needed as u64,
        present: input.bytes().len() as u64,
    }
}

pub(super) fn absurd(path: &Path, offset: u64, what: &'static str, claimed: u64, limit: u32) -> CaptureError {
    CaptureError::AbsurdLength { path: path.to_owned(), offset, what, claimed, limit: limit.into() }
}
