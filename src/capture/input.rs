//! [`Input`]: a window of bytes over the decompressed capture, with its offset.

use std::io::{self, Read};

/// Bytes read at a time. A window of this size fits every record of usual size.
const CHUNK: usize = 256 * 1024;

/// A sliding window over a stream of bytes.
///
/// The window grows only as bytes arrive, so a damaged length field does not allocate memory.
pub(super) struct Input {
    source: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
}

impl Input {
    pub(super) fn new(source: Box<dyn Read + Send>) -> Self {
        Input { source, buffer: vec![0; CHUNK], start: 0, end: 0, offset: 0 }
    }

    /// The bytes in the window.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// The offset of the window's first byte.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads until the window holds `wanted` bytes. Returns `false` if the stream ends before.
    pub(super) fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        while self.end - self.start < wanted {
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            if self.end == self.buffer.len() {
                self.buffer.resize(2 * self.buffer.len(), 0);
            }
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => return Ok(false),
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Advances past the first `count` bytes of the window and returns them.
    #[inline]
    pub(super) fn take(&mut self, count: usize) -> &[u8] {
        let start = self.start;
        let count = count.min(self.end - start);
        self.start += count;
        self.offset += count as u64;
        &self.buffer[start..start + count]
    }

    /// Skips `count` bytes without keeping them. Returns the number of bytes skipped.
    pub(super) fn skip(&mut self, count: u64) -> io::Result<u64> {
        let mut skipped = 0;
        while skipped < count {
            if self.start == self.end && !self.fill(1)? {
                break;
            }
            let step = usize::try_from(count - skipped).unwrap_or(usize::MAX).min(self.end - self.start);
            self.take(step);
            skipped += step as u64;
        }
        Ok(skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time.
    struct Dripping(u64);

    impl Read for Dripping {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Ok(0);
            }
            self.0 -= 1;
            buffer[0] = self.0 as u8;
            Ok(1)
        }
    }

    #[test]
    fn the_window_slides_and_knows_its_offset() {
        let mut input = Input::new(Box::new(Dripping(10)));
        assert!(input.fill(4).unwrap());
        assert_eq!(input.bytes(), [9, 8, 7, 6]);
        assert_eq!(input.take(3), [9, 8, 7]);
        assert_eq!(input.offset(), 3);
        assert_eq!(input.skip(4).unwrap(), 4);
        assert_eq!(input.offset(), 7);
        assert!(!input.fill(4).unwrap());
        assert_eq!(input.bytes(), [2, 1, 0]);
        assert_eq!(input.skip(100).unwrap(), 3);
    }

    #[test]
    fn the_window_grows_only_with_what_arrives() {
        let mut input = Input::new(Box::new(io::repeat(7).take(1_000_000)));
        assert!(!input.fill(usize::MAX).unwrap());
        assert_eq!(input.bytes().len(), 1_000_000);
        assert!(input.buffer.len() <= 1 << 20);
    }
}
