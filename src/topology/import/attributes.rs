//! What a file says about nodes and links, by the names that are in use for it.

use indexmap::IndexMap;

use super::ImportOptions;
use crate::topology::{DeviceKind, Position};
use crate::units::{Bandwidth, Distance, Rate, Span};

/// The longest length that is taken for one: ten times the way to the sun.
const LONGEST_M: f64 = 1.5e12;

/// What a file says about a node or an edge: texts by key, whose case does not count.
#[derive(Debug, Clone, Default)]
pub(super) struct Attributes(IndexMap<String, String>);

/// What is known about a link of what one asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Known<T> {
    /// The file says nothing.
    Nothing,
    /// It says this.
    Value(T),
    /// It says this, in the unit of the options.
    Unitless(T),
    /// It says something that nobody understands.
    Unclear(String),
}

impl Attributes {
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.0.insert(key.to_lowercase(), value.into());
    }

    /// What stands below the first of the keys that has a text.
    pub fn get(&self, keys: &[&str]) -> Option<&str> {
        keys.iter().find_map(|key| self.0.get(*key).map(|text| text.trim()).filter(|text| !text.is_empty()))
    }

    /// Adds what `outer` says and this does not.
    pub fn or(mut self, outer: &Attributes) -> Self {
        for (key, value) in &outer.0 {
            if !self.0.contains_key(key) {
                self.0.insert(key.clone(), value.clone());
            }
        }
        self
    }

    pub fn label(&self) -> Option<&str> {
        self.get(&["label", "name"])
    }

    /// A device of taunet's own exports.
    pub fn kind(&self) -> Option<DeviceKind> {
        match self.get(&["kind"])? {
            "host" => Some(DeviceKind::Host),
            "switch" => Some(DeviceKind::Switch),
            "router" => Some(DeviceKind::Router),
            _ => None,
        }
    }

    /// Its place on the Earth.
    ///
    /// # Errors
    /// The texts, where there is no such place.
    pub fn position(&self) -> Result<Option<Position>, String> {
        let latitude = self.get(&["latitude", "lat"]);
        let longitude = self.get(&["longitude", "lon", "lng", "long"]);
        let (Some(latitude), Some(longitude)) = (latitude, longitude) else { return Ok(None) };
        let degrees = |text: &str| text.parse::<f64>().ok();
        let position = degrees(latitude).zip(degrees(longitude));
        match position.and_then(|(latitude, longitude)| Position::geographic(latitude, longitude)) {
            Some(position) => Ok(Some(position)),
            None => Err(format!("latitude {latitude}, longitude {longitude}")),
        }
    }

    pub fn bandwidth(&self, options: &ImportOptions) -> Known<Bandwidth> {
        if let Some(text) = self.get(&["bandwidth_bps", "linkspeedraw"]) {
            return rate(text, 1.0);
        }
        if let (Some(text), Some(unit)) = (self.get(&["linkspeed"]), self.get(&["linkspeedunits"])) {
            let factor = match unit.chars().next().map(|letter| letter.to_ascii_uppercase()) {
                Some('K') => 1e3,
                Some('M') => 1e6,
                Some('G') => 1e9,
                Some('T') => 1e12,
                _ => f64::NAN,
            };
            return rate(text, factor);
        }
        let Some(text) = self.get(&["bandwidth", "capacity", "speed", "rate"]) else { return Known::Nothing };
        if let Ok(bandwidth) = text.parse() {
            return Known::Value(bandwidth);
        }
        match rate(text, options.capacity_unit.as_bps() as f64) {
            Known::Value(bandwidth) => Known::Unitless(bandwidth),
            other => other,
        }
    }

    pub fn length(&self) -> Known<Distance> {
        if let Some(text) = self.get(&["length_m"]) {
            return metres(text, 1.0);
        }
        // TopoHub's `dist` is in kilometres.
        if let Some(text) = self.get(&["length_km", "distance_km", "dist"]) {
            return metres(text, 1e3);
        }
        match self.get(&["length", "distance"]) {
            None => Known::Nothing,
            Some(text) => text.parse().map_or_else(|_| Known::Unclear(text.to_owned()), Known::Value),
        }
    }

    pub fn delay(&self) -> Known<Span> {
        if let Some(text) = self.get(&["delay_ps"]) {
            return text
                .parse()
                .map_or_else(|_| Known::Unclear(text.to_owned()), |ps| Known::Value(Span::from_ps(ps)));
        }
        match self.get(&["delay", "latency"]) {
            None => Known::Nothing,
            Some(text) => text.parse().map_or_else(|_| Known::Unclear(text.to_owned()), Known::Value),
        }
    }

    /// The ports of an edge of taunet's own exports.
    pub fn ports(&self) -> Option<[u16; 2]> {
        let port = |keys: &[&str]| self.get(keys)?.parse().ok();
        Some([port(&["source_port", "taillabel"])?, port(&["target_port", "headlabel"])?])
    }
}

/// A number of bits per second, above zero.
fn rate(text: &str, factor: f64) -> Known<Bandwidth> {
    let bits = text.parse::<f64>().map_or(f64::NAN, |number| (number * factor).round());
    match Rate::from_bps(if (1.0..1e18).contains(&bits) { bits as u64 } else { 0 }) {
        Some(rate) => Known::Value(Bandwidth::Limited(rate)),
        None => Known::Unclear(text.to_owned()),
    }
}

/// A length, rounded to a millimetre.
fn metres(text: &str, factor: f64) -> Known<Distance> {
    let metres = text.parse::<f64>().map_or(f64::NAN, |number| number * factor);
    match (0.0..LONGEST_M).contains(&metres) {
        true => Known::Value(Distance::from_um((metres * 1e3).round() as u64 * 1_000)),
        false => Known::Unclear(text.to_owned()),
    }
}
