//! Compressed captures, recognized by content, not by file name.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};

use crate::foreign::contain;

/// Compressed bytes read at a time.
const CHUNK: usize = 64 * 1024;
/// Memory limit for decompressing xz. `xz -9` needs 65 MiB.
const XZ_MEMORY: u64 = 96 << 20;
/// Largest Zstandard window: 128 MiB, the default limit of the reference decompressor.
const ZSTD_WINDOW_LOG: u32 = 27;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const XZ: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];

/// Returns the content of `file`, decompressed if it is gzip (any number of members), Zstandard (frames) or
/// xz (streams). `counter` counts the bytes read from `file`.
pub(super) fn decompress(
    file: impl Read + Send + 'static,
    counter: Arc<AtomicU64>,
) -> io::Result<Box<dyn Read + Send>> {
    let mut file = BufReader::with_capacity(CHUNK, Counted { file, counter });
    let mut start = [0; 6];
    let length = peek(&mut file, &mut start)?;
    let start = &start[..length];
    Ok(if start.starts_with(&GZIP) {
        Box::new(Contained(MultiGzDecoder::new(file)))
    } else if start.starts_with(&ZSTD) || is_skippable_zstd_frame(start) {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(file)?;
        decoder.window_log_max(ZSTD_WINDOW_LOG)?;
        Box::new(Contained(decoder))
    } else if start.starts_with(&XZ) {
        Box::new(Contained(XzDecoder::new_stream(file, Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)?)))
    } else {
        Box::new(file)
    })
}

/// A Zstandard file may start with frames without content (RFC 8878, section 3.1.2).
fn is_skippable_zstd_frame(start: &[u8]) -> bool {
    matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// Returns the first bytes without consuming them. One read suffices: every signature is shorter than the
/// first read from any file or pipe.
fn peek<R: Read>(file: &mut BufReader<R>, start: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.fill_buf() {
            Ok(bytes) => {
                let length = bytes.len().min(start.len());
                start[..length].copy_from_slice(&bytes[..length]);
                return Ok(length);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A decompressor whose panic is an error.
struct Contained<R>(R);

impl<R: Read> Read for Contained<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        contain(|| self.0.read(buffer))
            .unwrap_or_else(|panicked| Err(io::Error::new(io::ErrorKind::InvalidData, panicked)))
    }
}

struct Counted<R> {
    file: R,
    counter: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.counter.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn decompressed(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        decompress(io::Cursor::new(bytes), Arc::default())?.read_to_end(&mut content)?;
        Ok(content)
    }

    #[test]
    fn a_panic_of_a_decompressor_is_an_error() {
        struct Panics;
        impl Read for Panics {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                panic!("a table is inconsistent")
            }
        }
        let error = Contained(Panics).read(&mut [0]).unwrap_err();
        assert_eq!(error.to_string(), "the decoder failed: a table is inconsistent");
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_member_frame_and_stream_is_read() {
        let (first, second) = (b"first ".as_slice(), b"second".as_slice());
        let whole = [first, second].concat();
        assert_eq!(decompressed([gzip(first), gzip(second)].concat()).unwrap(), whole);
        let zst = |content| zstd::stream::encode_all(content, 1).unwrap();
        assert_eq!(decompressed([zst(first), zst(second)].concat()).unwrap(), whole);
        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9], zst(&whole).as_slice()].concat();
        assert_eq!(decompressed(skippable).unwrap(), whole);
        let xz = |content| {
            let mut bytes = Vec::new();
            liblzma::read::XzEncoder::new(content, 1).read_to_end(&mut bytes).unwrap();
            bytes
        };
        assert_eq!(decompressed([xz(first), xz(second)].concat()).unwrap(), whole);
        assert_eq!(decompressed(whole.clone()).unwrap(), whole);
        assert_eq!(decompressed(Vec::new()).unwrap(), b"");
    }

    #[test]
    fn a_cut_compressed_file_is_an_error() {
        let mut bytes = gzip(b"some content");
        bytes.truncate(bytes.len() - 4);
        assert!(decompressed(bytes).is_err());
    }
}
