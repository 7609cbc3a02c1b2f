//! Positions from coordinates: an equirectangular map, or a plane.

use super::point::Point;
use crate::topology::{DeviceId, Position, Topology};

/// The size to which a map is scaled.
const WIDTH: f64 = 1_100.0;
const HEIGHT: f64 = 800.0;
/// The longest stretch without a device, in multiples of the mean one: a longer one is shortened to it, so that one far
/// device does not crowd the others.
const LONGEST_GAP: f64 = 4.0;
/// Devices closer than this are moved apart.
const APART: f64 = 84.0;
/// How often all pairs are moved, and for how many devices that is done.
const ROUNDS: usize = 80;
const MOST_MOVED: usize = 1_000;

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
    let mut places = positions.iter().map(place).collect::<Vec<_>>();
    shorten(&mut places, |place| &mut place.x);
    shorten(&mut places, |place| &mut place.y);
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
    let mut places: Vec<Point> =
        places.iter().map(|place| Point { x: place.x * scale, y: place.y * scale }).collect();
    move_apart(&mut places);
    Some(places)
}

/// Shortens the longest gaps between neighbours in one coordinate.
fn shorten(places: &mut [Point], coordinate: fn(&mut Point) -> &mut f64) {
    let mut order: Vec<(f64, usize)> =
        places.iter_mut().enumerate().map(|(place, point)| (*coordinate(point), place)).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let (Some(first), Some(last)) = (order.first(), order.last()) else { return };
    let longest = LONGEST_GAP * (last.0 - first.0) / order.len() as f64;
    let mut shift = 0.0;
    for pair in order.windows(2) {
        shift += (pair[1].0 - pair[0].0 - longest).max(0.0);
        *coordinate(&mut places[pair[1].1]) -= shift;
    }
}

/// Moves places apart that are closer than [`APART`].
fn move_apart(places: &mut [Point]) {
    if places.len() > MOST_MOVED {
        return;
    }
    for _ in 0..ROUNDS {
        let mut is_done = true;
        for one in 1..places.len() {
            for other in 0..one {
                let (a, b) = (places[one], places[other]);
                let distance = a.distance(b);
                if distance >= APART {
                    continue;
                }
                is_done = false;
                let (x, y) = match distance {
                    // Two at one place part in a direction of their own.
                    0.0 => (libm::cos(one as f64), libm::sin(one as f64)),
                    _ => ((a.x - b.x) / distance, (a.y - b.y) / distance),
                };
                let way = (APART - distance) / 2.0 + 0.1;
                places[one] = Point { x: a.x + way * x, y: a.y + way * y };
                places[other] = Point { x: b.x - way * x, y: b.y - way * y };
            }
        }
        if is_done {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_far_device_does_not_crowd_the_others() {
        let mut places: Vec<Point> = (0..20).map(|x| Point { x: f64::from(x), y: 0.0 }).collect();
        places[0].x = -1_000.0;
        shorten(&mut places, |place| &mut place.x);
        assert!((places[1].x - places[0].x - 4.0 * 1_019.0 / 20.0).abs() < 1e-9, "{places:?}");
        assert_eq!(places[19].x - places[1].x, 18.0);
    }

    #[test]
    fn devices_are_moved_apart() {
        let mut places = vec![Point { x: 5.0, y: 5.0 }; 9];
        move_apart(&mut places);
        for one in 0..places.len() {
            for other in 0..one {
                assert!(places[one].distance(places[other]) > 0.9 * APART, "{places:?}");
            }
        }
    }
}
