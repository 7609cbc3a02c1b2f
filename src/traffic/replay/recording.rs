//! The packets of a capture, with the instants at which they are replayed.

use std::path::{Path, PathBuf};

use super::Speed;
use crate::capture::{CaptureError, Frame, MatchFields, Observation, Options, Sorted, standard_input};
use crate::link::Link;
use crate::traffic::TrafficError;
use crate::traffic::rate::RateSpec;
use crate::units::{ByteCount, Time, Timestamp};

/// A speed of 1, in the units of [`Recording`].
const AS_RECORDED: u128 = 1_000_000_000;

/// A capture before its replay. Before it reads the first packet, a run gets the start of the recording and
/// the fields for match keys from it, and sets the start of the run and the fields to use.
pub struct Recording {
    path: PathBuf,
    capture: Sorted,
    first: Option<Observation>,
    start: Timestamp,
    /// The fields covered by the match keys of its packets; `None` for all captured bytes.
    fields: Option<MatchFields>,
    /// The speed, in billionths.
    speed: u128,
    /// Whether no speed could be computed.
    timeless: bool,
    /// The longest frame that the link where it enters carries.
    mtu: ByteCount,
    /// Frames that are longer, and the length of the longest.
    oversized: (u64, u32),
    /// There is no packet in it.
    is_empty: bool,
}

/// What a frame may have beyond the MTU: two VLAN tags, or a longer link-layer header than Ethernet's (Linux SLL2).
const BEYOND_MTU: u64 = 8;

impl Recording {
    pub(super) fn open(path: &Path, options: &Options, speed: &Speed) -> Result<Self, CaptureError> {
        let times = match speed {
            Speed::Recorded => Some(1.0),
            Speed::Times(times) => Some(*times),
            Speed::To(rate, link) => {
                let recorded = Recorded::of(path, options)?;
                recorded.map(|recorded| recorded.speed_to(rate, link.as_ref().map(|(link, _)| link)))
            }
        };
        let mut capture = Sorted::open(path, options)?;
        let first = capture.next_observation()?;
        Ok(Recording {
            path: path.to_owned(),
            capture,
            first,
            start: Timestamp::default(),
            fields: None,
            speed: times.map_or(AS_RECORDED, |times| (times * AS_RECORDED as f64).round().max(1.0) as u128),
            timeless: times.is_none(),
            mtu: ByteCount::new(u64::MAX),
            oversized: (0, 0),
            is_empty: first.is_none(),
        })
    }

    pub(super) fn next(&mut self) -> Result<Option<(Time, Observation)>, TrafficError> {
        let observation = match self.first.take() {
            Some(first) => Some(first),
            None => self.capture.next_observation()?,
        };
        let Some(observation) = observation else { return Ok(None) };
        if u64::from(observation.length) > self.mtu.get().saturating_add(BEYOND_MTU) {
            let (count, longest) = self.oversized;
            self.oversized = (count + 1, longest.max(observation.length));
        }
        let timestamp =
            observation.timestamp.relative_to(self.start).and_then(|recorded| self.replayed(recorded));
        let timestamp = timestamp.ok_or_else(|| TrafficError::OutOfReach {
            path: self.path.display().to_string(),
            record: observation.record,
            at: observation.timestamp,
            start: self.start,
        })?;
        Ok(Some((timestamp, observation)))
    }

    /// When a packet is replayed: its time since the start of the run divided by the speed, rounded half up.
    fn replayed(&self, recorded: Time) -> Option<Time> {
        if self.speed == AS_RECORDED {
            return Some(recorded);
        }
        let picoseconds = (u128::from(recorded.as_ps()) * AS_RECORDED + self.speed / 2) / self.speed;
        u64::try_from(picoseconds).ok().filter(|ps| *ps != u64::MAX).map(Time::from_ps)
    }

    pub(super) fn progress(&self) -> Option<f64> {
        let reader = self.capture.reader();
        reader.file_size().map(|size| reader.bytes_read() as f64 / size.max(1) as f64)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// When its first packet was recorded; none of an empty capture.
    pub fn recorded_start(&self) -> Option<Timestamp> {
        self.first.map(|observation| observation.timestamp)
    }

    /// Sets the absolute start of the run; by default the Unix epoch.
    pub fn start_at(&mut self, start: Timestamp) {
        self.start = start;
    }

    /// Says what the link where it enters carries: longer frames cause a warning. Without it, none does.
    pub fn enters_at(&mut self, mtu: ByteCount) {
        self.mtu = mtu;
    }

    /// The fields of its frames that are available for match keys.
    pub fn match_fields(&mut self) -> MatchFields {
        let first = MatchFields::of(self.first.iter().map(|first| &first.frame), None);
        let rest = self.capture.match_fields();
        let mut fields = first.and(rest);
        fields.identification = first.identification || rest.identification;
        fields
    }

    /// Sets the fields covered by the match keys of its packets; by default all captured bytes.
    pub fn match_over(&mut self, fields: MatchFields) {
        self.fields = Some(fields);
    }

    pub(super) fn match_key(&self, frame: &Frame) -> Option<u64> {
        match &self.fields {
            Some(fields) => frame.match_key_over(fields),
            None => frame.match_key(),
        }
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = self.capture.remarks();
        if self.is_empty {
            warnings.push(format!("{} holds no packets to replay", self.path.display()));
        } else if self.timeless {
            let path = self.path.display();
            warnings
                .push(format!("{path} is replayed as recorded: it has no two packets at different times, so its rate is unknown"));
        }
        if let (count @ 1.., longest) = self.oversized {
            let (path, mtu) = (self.path.display(), self.mtu.get());
            warnings.push(format!(
                "{count} frames of {path} are longer than the {mtu} B that the link carries (the longest has {longest} B): \
                 segmentation offload merged packets before they were captured, and each is simulated as one; switch it off \
                 where you record (`ethtool -K DEVICE gro off gso off tso off`), or give the link its `mtu`"
            ));
        }
        warnings
    }
}

/// The measurements of a capture for its rate.
#[derive(Debug, Clone, Copy)]
struct Recorded {
    mean_length: f64,
    /// The mean time between packets, in picoseconds.
    mean_gap_ps: f64,
}

impl Recorded {
    /// Reads the whole capture; `None` if no two packets have different times.
    fn of(path: &Path, options: &Options) -> Result<Option<Self>, CaptureError> {
        standard_input::check_twice(path, "a replay finds its `rate` in the first pass")?;
        let mut capture = Sorted::open(path, options)?;
        let (mut packets, mut bytes) = (0u64, 0u64);
        let mut ends: Option<(Timestamp, Timestamp)> = None;
        while let Some(observation) = capture.next_observation()? {
            packets += 1;
            bytes += u64::from(observation.length);
            let at = observation.timestamp;
            ends = Some(ends.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
        }
        let Some((first, last)) = ends.filter(|(first, last)| last > first) else { return Ok(None) };
        let lasts = (last.as_ps() - first.as_ps()) as f64;
        let mean_length = bytes as f64 / packets as f64;
        Ok(Some(Recorded { mean_length, mean_gap_ps: lasts / (packets - 1) as f64 }))
    }

    /// The speed at which it reaches a rate.
    fn speed_to(&self, rate: &RateSpec, link: Option<&Link>) -> f64 {
        let wanted_ps = match rate {
            RateSpec::Bandwidth(rate) => rate.gap(self.mean_length).as_ps_f64(),
            RateSpec::Packets(rate) => rate.gap().as_ps_f64(),
            RateSpec::Load(load) => {
                let link = link.expect("the scenario finds the link of a load");
                let overhead = link.overhead.get() as f64;
                let whole = ByteCount::new(1_000_000);
                let ps_per_byte = link.bandwidth.transmission_time(whole).as_ps() as f64 / 1e6;
                (self.mean_length + overhead) * ps_per_byte / *load.load.get_ref()
            }
        };
        self.mean_gap_ps / wanted_ps
    }
}
