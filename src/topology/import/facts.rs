//! Interprets attributes of devices and links, by the names in common use.

use ipnet::IpNet;

use super::ImportOptions;
use super::attributes::Attributes;
use super::keys::{BANDWIDTH, BUFFER, DELAY, KIND, LABEL, LENGTH, LOSS, PORTS};
use super::notes::{Note, Notes};
use super::quantity::{self, Said};
use crate::impairment::Jitter;
use crate::topology::{DeviceKind, DraftTiming, Position, Prefix};
use crate::units::{Bandwidth, Distance, Probability, Span};

/// The properties of a node.
#[derive(Debug, Clone)]
pub(super) struct NodeFacts {
    pub label: Option<String>,
    pub kind: Option<DeviceKind>,
    pub addresses: Vec<IpNet>,
    pub position: Option<Position>,
}

/// The properties of an edge.
#[derive(Debug, Clone)]
pub(super) struct EdgeFacts {
    /// Bandwidth, delay or length, loss, jitter and queue, as far as they are given.
    pub timing: DraftTiming,
    /// The ports at its ends, by name or number.
    pub ports: [Option<String>; 2],
}

impl NodeFacts {
    /// Takes the interpreted attributes.
    ///
    /// # Errors
    /// Coordinates in degrees that are invalid.
    pub fn take(attributes: &mut Attributes) -> Result<Self, String> {
        let label = attributes.take(LABEL).map(|label| first_line(label, attributes));
        let kind = attributes.read(KIND, |text| kind(text).ok_or("devices are hosts, switches or routers"));
        let addresses = match kind {
            Some(DeviceKind::Host) => addresses(attributes),
            _ => Vec::new(),
        };
        Ok(NodeFacts { label, kind, addresses, position: position(attributes)? })
    }
}

/// The name is the first line of a label.
fn first_line(label: String, attributes: &mut Attributes) -> String {
    let mut lines = label.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        attributes.leave("label", line, "the first line of a label is the name");
    }
    first
}

fn kind(text: &str) -> Option<DeviceKind> {
    match text.to_lowercase().as_str() {
        "host" | "server" | "client" | "pc" | "endhost" | "end-host" | "end_host" | "workstation"
        | "endpoint" | "computer" => Some(DeviceKind::Host),
        "switch" | "bridge" | "openvswitch" | "ovs" => Some(DeviceKind::Switch),
        "router" | "gateway" => Some(DeviceKind::Router),
        _ => None,
    }
}

/// The addresses of a host: prefixes of taunet's own exports, or the address of an interface, whose mask is
/// that of its network.
fn addresses(attributes: &mut Attributes) -> Vec<IpNet> {
    let list = |text: &str, read: fn(&str) -> Option<IpNet>| {
        let words = text.split([' ', ',', ';', '\n', '\t']).filter(|word| !word.is_empty());
        words.map(read).collect::<Option<Vec<_>>>().ok_or("not an address")
    };
    let prefix = |text: &str| text.parse().ok().map(|Prefix(net)| net);
    let interface = |text: &str| text.split('/').next()?.parse::<std::net::IpAddr>().ok().map(IpNet::from);
    let own = attributes.read(&["addresses"], |text| list(text, prefix));
    let own = own.or_else(|| {
        let keys = ["ip", "ipv4", "ip_address", "ipaddress", "ip_addr", "address", "ipv6"];
        attributes.read(&keys, |text| list(text, interface))
    });
    own.unwrap_or_default()
}

/// A position on the Earth.
///
/// # Errors
/// The texts, if they are numbers but invalid coordinates.
fn position(attributes: &mut Attributes) -> Result<Option<Position>, String> {
    let degrees = |text: &str| match text.parse::<f64>() {
        Ok(degrees) if degrees.is_finite() => Ok(degrees),
        _ => Err("not degrees"),
    };
    let is_latitude = ["latitude", "lat"];
    let is_longitude = ["longitude", "lon", "lng", "long"];
    let both = |attributes: &Attributes| {
        [&is_latitude[..], &is_longitude].map(|keys| keys.iter().any(|key| attributes.get(key).is_some()))
    };
    if both(attributes) != [true, true] {
        return Ok(on_a_plane(attributes));
    }
    let latitude = attributes.read(&is_latitude, degrees);
    let longitude = attributes.read(&is_longitude, degrees);
    match (latitude, longitude) {
        (Some(latitude), Some(longitude)) => match Position::geographic(latitude, longitude) {
            Some(position) => Ok(Some(position)),
            None => Err(format!("latitude {latitude}, longitude {longitude}")),
        },
        (Some(degrees), None) => {
            attributes.leave("latitude", degrees.to_string(), "the longitude is not in degrees");
            Ok(None)
        }
        (None, Some(degrees)) => {
            attributes.leave("longitude", degrees.to_string(), "the latitude is not in degrees");
            Ok(None)
        }
        (None, None) => Ok(None),
    }
}

/// A position on a plane, if its coordinates have units. Coordinates of pictures have none.
fn on_a_plane(attributes: &mut Attributes) -> Option<Position> {
    let distance = |text: &str| match quantity::length(text) {
        Some(Said::Clearly(distance)) => Some(distance),
        _ => None,
    };
    let [x, y] = ["x", "y"].map(|key| attributes.get(key).and_then(distance));
    let position = Position::Plane { x: x?, y: y? };
    attributes.take(&["x"]);
    attributes.take(&["y"]);
    Some(position)
}

impl EdgeFacts {
    /// Takes the interpreted attributes, and counts assumptions.
    pub fn take(attributes: &mut Attributes, options: &ImportOptions, notes: &mut Notes) -> Self {
        let mut timing = DraftTiming {
            bandwidth: bandwidth(attributes, options, notes),
            delay: delay(attributes, options, notes),
            ..DraftTiming::default()
        };
        // A delay replaces the length.
        if timing.delay.is_none() {
            timing.length = length(attributes, options, notes);
        }
        by_label(attributes, &mut timing, notes);
        timing.loss = loss(attributes, notes).or(timing.loss);
        timing.buffer = buffer(attributes, notes);
        let ports = PORTS.map(|keys| attributes.take(keys));
        EdgeFacts { timing, ports }
    }
}

fn bandwidth(attributes: &mut Attributes, options: &ImportOptions, notes: &mut Notes) -> Option<Bandwidth> {
    const NONE: &str = "not a bandwidth";
    let raw =
        attributes.read(&["linkspeedraw"], |text| text.parse().ok().and_then(quantity::bits).ok_or(NONE));
    if raw.is_some() {
        return raw;
    }
    let unit = attributes.get("linkspeedunits").map(str::to_owned);
    let assumed = options.bandwidth_unit.unwrap_or(ImportOptions::MEGABIT);
    let mut note = None;
    let found = attributes.read_with_unit(BANDWIDTH, quantity::is_rate_unit, |key, text| {
        let of_zoo = unit.as_ref().filter(|_| key == "linkspeed").map(|unit| format!("{text} {unit}"));
        match quantity::bandwidth(of_zoo.as_deref().unwrap_or(text))
            .or_else(|| by_key_unit(text))
            .ok_or(NONE)?
        {
            Said::Clearly(bandwidth) => Ok(bandwidth),
            Said::Shortly(bandwidth) => {
                // The Topology Zoo's units are letters, and unambiguous.
                note = of_zoo.is_none().then(|| (Note::ShortBandwidth, text.to_owned()));
                Ok(bandwidth)
            }
            Said::Number(number) => {
                let mininet = key == "bw" && options.bandwidth_unit.is_none();
                let kind = if mininet { Note::MininetBandwidth } else { Note::BandwidthNumber };
                note = Some((kind, text.to_owned()));
                quantity::bits(number * assumed.as_bps() as f64).ok_or(NONE)
            }
        }
    });
    if let (Some(_), Some((note, example))) = (&found, note) {
        notes.count(note, &example);
    }
    if found.is_some() && unit.is_some() && attributes.get("linkspeed").is_none() {
        attributes.take(&["linkspeedunits"]);
    }
    found
}

/// A number with the unit of its key, whose case is that of the key: `capacity_GBPS`.
fn by_key_unit(text: &str) -> Option<Said<Bandwidth>> {
    let (number, unit) = text.split_once(' ')?;
    let bits = number.parse::<f64>().ok()? * quantity::key_rate_unit(unit)?;
    quantity::bits(bits).map(Said::Clearly)
}

fn delay(attributes: &mut Attributes, options: &ImportOptions, notes: &mut Notes) -> Option<Span> {
    let is_unit = |unit: &str| quantity::time_unit(unit).is_some();
    let mut bare = None;
    let found = attributes.read_with_unit(DELAY, is_unit, |_, text| {
        match quantity::span(text).ok_or("not a delay")? {
            Said::Clearly(delay) | Said::Shortly(delay) => Ok(delay),
            Said::Number(number) => {
                let unit = options.delay_unit.ok_or("no unit: set it with --delay-unit")?;
                bare = Some(text.to_owned());
                quantity::span(&format!("{} ps", number * unit.as_ps() as f64))
                    .and_then(Said::with_unit)
                    .ok_or("not a delay")
            }
        }
    });
    if let (Some(_), Some(text)) = (found, bare) {
        notes.count(Note::DelayNumber, &text);
    }
    found
}

fn length(attributes: &mut Attributes, options: &ImportOptions, notes: &mut Notes) -> Option<Distance> {
    const NONE: &str = "not a length";
    let is_unit = |unit: &str| quantity::length_unit(unit).is_some();
    let mut note = None;
    let found =
        attributes.read_with_unit(LENGTH, is_unit, |key, text| match quantity::length(text).ok_or(NONE)? {
            Said::Clearly(length) | Said::Shortly(length) => Ok(length),
            Said::Number(number) => {
                let (kind, metres) = match options.length_unit {
                    Some(unit) => (Note::LengthNumber, unit.as_um() as f64 / 1e6),
                    None if key == "dist" => (Note::TopohubDistance, 1e3),
                    None => return Err("no unit: set it with --length-unit"),
                };
                note = Some((kind, text.to_owned()));
                quantity::metres(number * metres).ok_or(NONE)
            }
        });
    if let (Some(_), Some((note, text))) = (found, note) {
        notes.count(note, &text);
    }
    found
}

/// Bandwidth, delay, length and loss from labels, if no attribute gives them: `10 Gbps, 5 ms`.
fn by_label(attributes: &mut Attributes, timing: &mut DraftTiming, notes: &mut Notes) {
    let keys = ["label", "linklabel", "xlabel"];
    let mut understood = None;
    let mut rest = Vec::new();
    let label = attributes.read(&keys, |label| {
        let mut filled = *timing;
        let pieces = label.split([',', ';', '|', '\n']).map(str::trim).filter(|piece| !piece.is_empty());
        let left = pieces.filter(|piece| !fill(&mut filled, piece, notes)).map(str::to_owned);
        let left = left.collect::<Vec<_>>();
        match filled == *timing {
            true => Err("links have no names"),
            false => {
                (understood, rest) = (Some(filled), left);
                Ok(label.to_owned())
            }
        }
    });
    if let (Some(filled), Some(label)) = (understood, label) {
        *timing = filled;
        notes.count(Note::InLabel, &label);
    }
    for piece in rest {
        attributes.leave("label", piece, "links have no names");
    }
}

/// Stores a piece of a label. Returns false if it is not a link property, or is already known.
fn fill(timing: &mut DraftTiming, piece: &str, notes: &mut Notes) -> bool {
    if let Some(bandwidth) = quantity::bandwidth(piece)
        && timing.bandwidth.is_none()
    {
        if let Said::Shortly(_) = bandwidth {
            notes.count(Note::ShortBandwidth, piece);
        }
        timing.bandwidth = bandwidth.with_unit();
        return timing.bandwidth.is_some();
    }
    let untimed = timing.delay.is_none() && timing.length.is_none();
    if let Some(delay) = quantity::span(piece).and_then(Said::with_unit)
        && untimed
    {
        timing.delay = Some(delay);
        return true;
    }
    if let Some(Said::Clearly(loss)) = quantity::probability(piece) {
        timing.loss = Some(loss);
        return true;
    }
    match quantity::length(piece).and_then(Said::with_unit) {
        Some(length) if untimed => {
            timing.length = Some(length);
            true
        }
        _ => false,
    }
}

fn loss(attributes: &mut Attributes, notes: &mut Notes) -> Option<Probability> {
    const NONE: &str = "not a loss";
    let is_unit = |unit: &str| quantity::probability_unit(unit).is_some();
    let mut bare = None;
    let found = attributes.read_with_unit(LOSS, is_unit, |key, text| {
        match quantity::probability(text).ok_or(NONE)? {
            Said::Clearly(loss) | Said::Shortly(loss) => Ok(loss),
            Said::Number(percent) if key == "loss" => {
                bare = Some(text.to_owned());
                Probability::new(percent / 100.0).ok_or(NONE)
            }
            Said::Number(_) => Err("no unit: write for example `1%`"),
        }
    });
    if let (Some(_), Some(text)) = (found, bare) {
        notes.count(Note::PercentLoss, &text);
    }
    found.filter(|loss| *loss != Probability::ZERO)
}

fn buffer(attributes: &mut Attributes, notes: &mut Notes) -> Option<crate::ptm::Buffer> {
    const NONE: &str = "not a queue size";
    let found = attributes.read_with_unit(BUFFER, quantity::is_size_unit, |key, text| {
        match quantity::buffer(text).ok_or(NONE)? {
            Said::Clearly(buffer) | Said::Shortly(buffer) => Ok(buffer),
            // In Mininet and Linux the unit is packets.
            Said::Number(number) if matches!(key, "max_queue_size" | "txqueuelen") => {
                quantity::packets(number).ok_or(NONE)
            }
            Said::Number(_) => Err("no unit: write for example `100 packets` or `64 KiB`"),
        }
    });
    if let Some(buffer) = found {
        notes.count(Note::Buffer, &buffer.to_string());
    }
    found
}

/// The effect of jitter on a delay, as in Mininet and tc netem: uniform from `delay - jitter` to
/// `delay + jitter`. Returns the remaining delay and the maximum extra delay. An attribute that does not fit
/// stays.
pub(super) fn jitter(
    attributes: &mut Attributes,
    delay: Option<Span>,
    options: &ImportOptions,
    notes: &mut Notes,
) -> Option<(Span, Jitter)> {
    let is_unit = |unit: &str| quantity::time_unit(unit).is_some();
    let found = attributes.read_with_unit(&["jitter"], is_unit, |_, text| {
        let jitter = match quantity::span(text).ok_or("not a span of time")? {
            Said::Clearly(jitter) | Said::Shortly(jitter) => jitter,
            Said::Number(number) => {
                let unit = options.delay_unit.ok_or("no unit: set it with --delay-unit")?;
                Span::from_ps((number * unit.as_ps() as f64).round() as u64)
            }
        };
        match delay {
            Some(delay) if delay >= jitter => Ok((delay - jitter, jitter)),
            _ => Err("jitter needs a delay that is at least as long"),
        }
    });
    let (delay, jitter) = found?;
    if jitter == Span::ZERO {
        return None;
    }
    notes.count(Note::Jitter, "");
    let distribution = crate::impairment::Distribution::Uniform { max: jitter + jitter };
    Some((delay, Jitter { distribution, order: crate::impairment::Order::Break }))
}
