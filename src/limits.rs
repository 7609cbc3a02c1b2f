//! How much is read of an input file: bytes, the length of a row, the depth of nesting.
//!
//! A file may be a device such as `/dev/zero`, or the pipe of a program that never ends. Each whole file is
//! read by this module, and each table of comma-separated values through `Rows`.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The most bytes of a file that is read as a whole: a text or a model. A topology of a million devices has
/// about half of it.
pub const MOST_BYTES: u64 = 512 << 20;

/// The most bytes of a row of comma-separated values.
pub const MOST_ROW: u64 = 1 << 20;

/// The most levels of tables and arrays in TOML, and the most keys in a path of `--set`.
pub const MOST_NESTING: usize = 64;

/// Reads a whole file.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if file.metadata()?.len() > MOST_BYTES {
        return Err(too_long());
    }
    read_from(file)
}

/// Reads a whole file as text in UTF-8.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    text(read(path)?)
}

/// Reads a text in UTF-8 to its end.
#[cfg(feature = "cli")]
pub(crate) fn read_text_from(reader: impl Read) -> io::Result<String> {
    text(read_from(reader)?)
}

fn read_from(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES { Err(too_long()) } else { Ok(bytes) }
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not text in UTF-8"))
}

fn too_long() -> io::Error {
    let message = format!("it has more than {} MiB, the most that taunet reads", MOST_BYTES >> 20);
    io::Error::new(io::ErrorKind::FileTooLarge, message)
}

/// A file of comma-separated values. Reading fails in a row of more than [`MOST_ROW`] bytes, and, where the
/// file is a device or a pipe, after [`MOST_BYTES`]. A regular file may have any length.
pub(crate) struct Rows<R> {
    file: R,
    at: At,
    /// Bytes of the row so far.
    row: u64,
    /// Bytes that may still be read.
    left: u64,
}

/// Where in a row a byte is.
#[derive(Clone, Copy)]
enum At {
    /// At the first byte of a field.
    Start,
    Field,
    Quoted,
    /// After a quote in a quoted field: its end, or the first of two quotes.
    Quote,
}

impl Rows<File> {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Rows::of(File::open(path)?)
    }

    pub(crate) fn of(file: File) -> io::Result<Self> {
        let left = if file.metadata()?.is_file() { u64::MAX } else { MOST_BYTES };
        Ok(Rows { file, at: At::Start, row: 0, left })
    }
}

impl<R> Rows<R> {
    fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        for byte in bytes {
            self.row += 1;
            self.at = match (self.at, byte) {
                (At::Quoted, b'"') => At::Quote,
                (At::Quoted, _) => At::Quoted,
                (At::Start | At::Quote, b'"') => At::Quoted,
                (_, b',') => At::Start,
                (_, b'\n' | b'\r') => {
                    self.row = 0;
                    At::Start
                }
                _ => At::Field,
            };
            if self.row > MOST_ROW {
                let message = format!("a row has more than {} MiB: is a quote not closed?", MOST_ROW >> 20);
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Rows<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(too_long)?;
        self.pass(&buffer[..read])?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: impl Read) -> Result<usize, String> {
        let file = Rows { file: text, at: At::Start, row: 0, left: MOST_BYTES };
        let mut reader = csv::Reader::from_reader(file);
        reader.records().try_fold(0, |rows, row| row.map(|_| rows + 1)).map_err(|error| error.to_string())
    }

    #[test]
    fn an_endless_file_is_refused() {
        #[cfg(unix)]
        {
            let told = read(Path::new("/dev/zero")).unwrap_err().to_string();
            assert_eq!(told, "it has more than 512 MiB, the most that taunet reads");
            let mut byte = [0; 1 << 16];
            let mut table = Rows::open(Path::new("/dev/zero")).unwrap();
            let told = std::iter::repeat_with(|| table.read(&mut byte)).find_map(Result::err).unwrap();
            assert_eq!(told.to_string(), "a row has more than 1 MiB: is a quote not closed?");
        }
        assert_eq!(read_text_from(io::repeat(b'a')).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_row_that_does_not_end_is_refused() {
        let long = "a row has more than 1 MiB: is a quote not closed?";
        assert_eq!(rows(io::repeat(b'a')), Err(long.to_owned()));
        assert_eq!(rows("a,b\n1,\"2".as_bytes().chain(io::repeat(b'\n'))), Err(long.to_owned()));
        // A quote inside a field, doubled quotes and line breaks in quotes are part of a row.
        let head = "a,b\n5\",x\n\"6\"\"\",\"y\nz\"\n";
        let body = "1,\"2\"\r\n".repeat(400_000);
        assert_eq!(rows(head.as_bytes().chain(body.as_bytes())), Ok(400_002));
    }

    #[test]
    fn a_pipe_has_a_last_byte() {
        let mut file = Rows { file: io::repeat(b'\n'), at: At::Start, row: 0, left: 1 << 20 };
        let mut buffer = [0; 1 << 16];
        let told = std::iter::repeat_with(|| file.read(&mut buffer)).find_map(Result::err).unwrap();
        assert_eq!(told.kind(), io::ErrorKind::FileTooLarge);
    }
}
