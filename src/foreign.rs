//! The boundary to crates that decode untrusted bytes. A damaged file can make such a crate panic; here the
//! panic becomes an error, and nothing is printed for it.
//!
//! Only calls into another crate belong inside: a panic of taunet's own must not pass as a damaged file.

use std::any::Any;
use std::cell::Cell;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// A panic of another crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the decoder failed: {0}")]
pub(crate) struct Panicked(String);

/// Calls `decode`. What it holds must not be used again after a panic.
pub(crate) fn contain<T>(decode: impl FnOnce() -> T) -> Result<T, Panicked> {
    static QUIET: Once = Once::new();
    // A hook is one for all threads: it stays, and is silent only for a thread that is inside.
    QUIET.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !IS_INSIDE.get() {
                before(panic);
            }
        }));
    });
    let was_inside = IS_INSIDE.replace(true);
    let decoded = catch_unwind(AssertUnwindSafe(decode));
    IS_INSIDE.set(was_inside);
    decoded.map_err(|panic| Panicked(message(&*panic)))
}

/// The same for calls that return an error, as text.
pub(crate) fn contain_result<T, E: Display>(decode: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match contain(decode) {
        Ok(decoded) => decoded.map_err(|error| error.to_string()),
        Err(panicked) => Err(panicked.to_string()),
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no reason is given".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_and_the_next_call_works() {
        let none = std::hint::black_box(Vec::<u8>::new());
        let error = contain(|| none[0]).unwrap_err().to_string();
        assert!(error.starts_with("the decoder failed: index out of bounds"), "{error}");
        assert_eq!(contain_result(|| "x".parse::<u8>()).unwrap_err(), "invalid digit found in string");
        assert_eq!(contain(|| contain(|| 1)), Ok(Ok(1)));
        assert!(!IS_INSIDE.get());
    }
}
