//! Numbers as text: little-endian floats in base64 (RFC 4648), which a page decodes into typed arrays.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// Single precision: seven digits.
pub(crate) fn singles(values: impl IntoIterator<Item = f64>) -> String {
    let bytes: Vec<u8> = values.into_iter().flat_map(|value| (value as f32).to_le_bytes()).collect();
    BASE64_STANDARD.encode(bytes)
}

/// Double precision.
pub(super) fn doubles(values: impl IntoIterator<Item = f64>) -> String {
    let bytes: Vec<u8> = values.into_iter().flat_map(f64::to_le_bytes).collect();
    BASE64_STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_little_endian_and_padded() {
        assert_eq!(singles([]), "");
        assert_eq!(singles([1.0]), "AACAPw==");
        assert_eq!(doubles([1.0]), "AAAAAAAA8D8=");
    }
}
