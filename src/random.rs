//! Random numbers: one stream per (seed, purpose, name), from a generator whose output is portable.
//!
//! A stream belongs to one object, so adding a device or a source does not change the numbers of others.
//! Where the order of the calls differs between engines (the impairments of a link, the path of a packet), a
//! number is drawn for the packet itself: [`Draws`].

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};
use twox_hash::XxHash3_64;

/// A random stream: ChaCha with 8 rounds, with the same output on every platform.
pub type Stream = ChaCha8Rng;

/// The stream of an object. `purpose` says what it is used for (`"traffic"`, `"ptm"`), `name` by which object
/// (`"r1:0"`).
///
/// # Examples
/// ```
/// use rand::Rng;
/// use taunet::random::stream;
///
/// let first = stream(1, "traffic", "a").next_u64();
/// assert_eq!(first, stream(1, "traffic", "a").next_u64());
/// assert_ne!(first, stream(1, "traffic", "b").next_u64());
/// assert_ne!(first, stream(2, "traffic", "a").next_u64());
/// ```
pub fn stream(seed: u64, purpose: &str, name: &str) -> Stream {
    ChaCha8Rng::from_seed(key(seed, purpose, name))
}

/// The next number of `stream`, uniform in [0, 1) in steps of 2^-53.
#[inline]
pub fn unit(stream: &mut Stream) -> f64 {
    unit_of(stream.next_u64())
}

/// Uniform in [0, 1) from 64 uniform bits: the upper 53 of them.
#[inline]
fn unit_of(bits: u64) -> f64 {
    (bits >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// Random numbers by packet: the same for the same packet, whatever the order of the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draws(u64);

impl Draws {
    /// The draws of an object, as in [`stream`].
    pub fn new(seed: u64, purpose: &str, name: &str) -> Self {
        let key = key(seed, purpose, name);
        Draws(u64::from_le_bytes(key[..8].try_into().expect("a digest has 32 bytes")))
    }

    /// The draws of a part of the object, selected by number.
    pub fn of(&self, number: u64) -> Self {
        Draws(self.bits(number))
    }

    /// 64 random bits for `number` (a packet's id, a flow's hash): XXH3-64, seeded.
    #[inline]
    pub fn bits(&self, number: u64) -> u64 {
        XxHash3_64::oneshot_with_seed(self.0, &number.to_le_bytes())
    }

    /// Uniform in 0 to `most - 1` for `number`, with a bias of at most `most` / 2^32.
    #[inline]
    pub fn below(&self, most: u32, number: u64) -> u32 {
        (((self.bits(number) >> 32) * u64::from(most)) >> 32) as u32
    }

    /// Uniform in [0, 1) for `number`, in steps of 2^-53.
    #[inline]
    pub fn unit(&self, number: u64) -> f64 {
        unit_of(self.bits(number))
    }
}

fn key(seed: u64, purpose: &str, name: &str) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_le_bytes());
    hasher.update((purpose.len() as u64).to_le_bytes());
    hasher.update(purpose);
    hasher.update(name);
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_portable() {
        // A changed value changes every seeded result.
        assert_eq!(stream(1, "traffic", "a").next_u64(), 2_018_199_342_747_706_758);
        assert_eq!(Draws::new(1, "link", "a").bits(7), 15_611_260_715_020_469_110);
    }

    #[test]
    fn purpose_and_name_do_not_run_together() {
        assert_ne!(key(1, "ab", "c"), key(1, "a", "bc"));
    }

    #[test]
    fn draws_below_a_number_are_uniform() {
        let draws = Draws::new(1, "link", "a");
        let mut counts = [0; 7];
        (0..7_000).for_each(|number| counts[draws.below(7, number) as usize] += 1);
        assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
    }

    #[test]
    fn draws_are_uniform_enough() {
        let draws = Draws::new(1, "link", "a");
        let mean = (0..10_000).map(|pid| draws.unit(pid)).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
    }
}
