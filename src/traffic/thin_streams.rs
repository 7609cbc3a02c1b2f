//! Thin streams: many slow flows of small packets, as sent by games and sensors.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::arrivals::{Arrivals, Clock};
use super::draw::{log_normal, unit};
use super::mistake::Mistake;
use super::rate::{Gap, RateSpec};
use super::spec::generated;
use crate::config::Spanned;
use crate::random::Stream;
use crate::units::{Span, Time};

generated!(
    /// The parameters of a `thin-streams`: `flows` is the number of streams of each sending host.
    ThinStreamsSpec {
        /// The mean time between the packets of one stream; alternatively, give the `rate`.
        #[schemars(with = "Option<Span>")]
        gap: Option<Spanned<Span>>,
        /// The mean rate of each sending host, over all its streams; alternatively, give the `gap`.
        #[schemars(with = "Option<RateSpec>")]
        rate: Option<Spanned<RateSpec>>,
        /// The coefficient of variation of the gaps: standard deviation divided by mean.
        #[schemars(with = "f64", range(min = 0))]
        variation: Spanned<f64>,
    }
);

impl ThinStreamsSpec {
    /// The standard deviation of the logarithm of a gap: `sigma^2 = ln(1 + variation^2)`.
    ///
    /// # Errors
    /// The variation is negative, or not a number.
    pub fn sigma(&self) -> Result<f64, Mistake> {
        const LARGEST: f64 = 100.0;
        let variation = *self.variation.get_ref();
        if !(0.0..=LARGEST).contains(&variation) {
            return Err(Mistake::new(self.variation.span(), format!("a variation cannot be {variation}"))
                .with_help("it is from 0, where gaps are even, to 100"));
        }
        Ok(libm::sqrt(libm::log1p(variation * variation)))
    }
}

/// Merged streams with independent log-normal gaps; each stream is a flow.
///
/// Each stream starts at a random point of its first gap, so the streams are not synchronized.
///
/// # Source
/// Petlund, Evensen, Griwodz, Halvorsen, "TCP mechanisms for improving the user experience for time-dependent
/// thin-stream applications", 2008, for the definition of thin streams; Färber, "Network game traffic
/// modelling", 2002, for games: nearly periodic, small packets. The log-normal distribution is used because
/// it is positive and can have any variation.
pub struct ThinStreams {
    mean_ps: f64,
    sigma: f64,
    streams: Vec<Clock>,
    /// The next packet of each stream: instant and stream.
    next: BinaryHeap<Reverse<(Time, u32)>>,
    begun: bool,
    flow: u32,
}

impl ThinStreams {
    /// `streams` streams from `start` on, whose packets together have this mean gap.
    pub fn new(gap: Gap, sigma: f64, streams: u32, start: Time) -> Self {
        ThinStreams {
            mean_ps: gap.as_ps_f64() * f64::from(streams),
            sigma,
            streams: vec![Clock::new(start); streams as usize],
            next: BinaryHeap::with_capacity(streams as usize + 1),
            begun: false,
            flow: 0,
        }
    }
}

impl Arrivals for ThinStreams {
    const HAS_FLOWS: bool = true;

    #[inline]
    fn next_instant(&mut self, random: &mut Stream) -> Time {
        if !self.begun {
            self.begun = true;
            for (number, stream) in (0..).zip(&mut self.streams) {
                let first = stream.advance(unit(random) * self.mean_ps);
                self.next.push(Reverse((first, number)));
            }
        }
        let Some(mut first) = self.next.peek_mut() else { return Time::NEVER };
        let Reverse((now, number)) = *first;
        let then = self.streams[number as usize].advance(log_normal(random, self.sigma) * self.mean_ps);
        *first = Reverse((then, number));
        self.flow = number;
        now
    }

    fn flow(&self) -> u32 {
        self.flow
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::stream;
    use crate::traffic::statistics::moments;

    #[test]
    fn each_stream_has_log_normal_gaps() {
        let variation: f64 = 0.5;
        let sigma = libm::log1p(variation * variation).sqrt();
        let mut streams = ThinStreams::new(Gap::new(1_000_000_000, 1), sigma, 20, Time::ZERO);
        let mut random = stream(1, "test", "thin");
        let mut last = vec![None; 20];
        let mut gaps = Vec::new();
        let mut before = Time::ZERO;
        for _ in 0..400_000 {
            let now = streams.next_instant(&mut random);
            assert!(now >= before);
            before = now;
            if let Some(last) = last[streams.flow() as usize].replace(now) {
                gaps.push(now.since(last).as_seconds_f64());
            }
        }
        assert_eq!(gaps.len(), 400_000 - 20);
        let (mean, squared) = moments(&gaps);
        assert!((mean / 20e-3 - 1.0).abs() < 0.005, "{mean}");
        assert!((squared / 0.25 - 1.0).abs() < 0.03, "{squared}");
        let logarithms: Vec<f64> = gaps.iter().map(|gap| libm::log(*gap)).collect();
        let (mean, squared) = moments(&logarithms);
        assert!(((squared * mean * mean).sqrt() / sigma - 1.0).abs() < 0.01);
        assert!((mean - (libm::log(20e-3) - sigma * sigma / 2.0)).abs() < 0.01, "{mean}");
    }

    #[test]
    fn a_variation_below_zero_is_told() {
        let spec = |variation: f64| {
            let text = format!("size = \"64 B\"\nvariation = {variation:?}").replace("NaN", "nan");
            let document = crate::config::Document::parse("f", &text).unwrap();
            document.deserialize::<ThinStreamsSpec>().unwrap().sigma()
        };
        assert_eq!(spec(0.0), Ok(0.0));
        assert_eq!(spec(-0.5).unwrap_err().message, "a variation cannot be -0.5");
        assert!(spec(f64::NAN).is_err());
    }
}
