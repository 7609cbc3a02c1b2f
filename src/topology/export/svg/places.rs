//! Positions from coordinates: an equirectangular map, or a plane.

use super::point::Point;
use crate::topology::{DeviceId, Position, Topology};

/// The size to which a map is scaled.
const WIDTH: f64 = 1_100.0;
const HEIGHT: f64 = 800.0;

/// The positions of `devices`; `None` unless all of them have coordinates of one kind.
pub(super) fn from_positions(topology: &Topology, devices: &[usize]) -> Option<Vec<Point>> {
    let positions = devices.iter().map(|&device| topology.device(DeviceId::new(device)).position);
    let positions = positions.collect::<Option<Vec<_>>>()?;
    let latitudes = positions.iter().filter_map(|position| match position {
        Position::Geographic { latitude, .. } => Some(*latitude),
        Position::Plane { .. } => None,
    });
    let on_earth = latitudes.clone().count();
    if positions.is_empty() || (on_earth != 0 && on_earth != positions.len()) {
        return None;
    }
    // The map is true to scale along its middle parallel.
    let shrink = libm::cos((latitudes.sum::<f64>() / on_earth.max(1) as f64).to_radians());
    let place = |position: &Position| match *position {
        Position::Geographic { latitude, longitude } => Point { x: longitude * shrink, y: -latitude },
        Position::Plane { x, y } => Point { x: x.as_um() as f64, y: y.as_um() as f64 },
    };
    let places = positions.iter().map(place).collect::<Vec<_>>();
    let span = |coordinate: fn(&Point) -> f64| {
        let all = places.iter().map(coordinate);
        all.clone().fold(f64::NEG_INFINITY, f64::max) - all.fold(f64::INFINITY, f64::min)
    };
    let (wide, high) = (span(|place| place.x), span(|place| place.y));
    let scale = (WIDTH / wide.max(f64::MIN_POSITIVE)).min(HEIGHT / high.max(f64::MIN_POSITIVE));
    // If all have the same coordinates, the layout by distances shows more.
    if !scale.is_finite() || (wide == 0.0 && high == 0.0 && places.len() > 1) {
        return None;
    }
    Some(places.iter().map(|place| Point { x: place.x * scale, y: place.y * scale }).collect())
}
