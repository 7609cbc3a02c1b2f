//! The positions of devices in a picture.
//!
//! - Coordinates, where every forwarding device has some. Long empty stretches are shortened, and devices that are too
//!   close are moved apart.
//! - Layers, by distance to the nearest host, where every link joins neighbouring layers: trees, fat trees,
//!   leaf-spine fabrics.
//! - Otherwise distances in the picture follow those in the network (`stress`).
//!
//! In the first and last case, hosts with one link are placed around their device.

use std::collections::VecDeque;
use std::f64::consts::{PI, TAU};

use super::point::Point;
use super::{places, stress};
use crate::topology::{DeviceKind, Topology};

/// A link of length one in a picture.
const STEP: f64 = 120.0;
/// The least width of a picture: that of its key.
const NARROWEST: f64 = 420.0;

/// The position of each device.
pub(super) struct Layout {
    pub places: Vec<Point>,
    /// The width of names to the left and right of their device.
    reach: Vec<f64>,
}

impl Layout {
    /// With distances this many times as large as usual.
    pub fn of(topology: &Topology, scale: f64) -> Self {
        let neighbours = topology.neighbours();
        let reach = topology.devices().map(|(_, device)| device.name.chars().count() as f64 * 3.0).collect();
        let is_host =
            topology.devices().map(|(_, device)| device.kind == DeviceKind::Host).collect::<Vec<_>>();
        let is_leaf = is_host
            .iter()
            .zip(&neighbours)
            .map(|(host, links)| *host && links.len() == 1 && !is_host[links[0]])
            .collect::<Vec<_>>();
        let mut layout = Layout { places: vec![Point::default(); neighbours.len()], reach };
        let standing = (0..neighbours.len()).filter(|&device| !is_leaf[device]).collect::<Vec<_>>();
        if let Some(places) = places::from_positions(topology, &standing) {
            layout.put(&standing, places, scale);
        } else if let Some(layers) = layers(&neighbours, &is_host) {
            layout.put_layers(&layers, &neighbours, scale);
            return layout;
        } else {
            // Hosts around a device need space.
            let most = neighbours.iter().map(|ends| ends.iter().filter(|&&end| is_leaf[end]).count()).max();
            let room = (2.6 * radius(most.unwrap_or(0), TAU)).max(STEP);
            layout.put(&standing, stress::places(&neighbours, &standing), room * scale);
        }
        layout.put_leaves(&neighbours, &is_leaf);
        layout
    }

    fn put(&mut self, devices: &[usize], places: Vec<Point>, scale: f64) {
        for (&device, place) in devices.iter().zip(places) {
            self.places[device] = Point { x: place.x * scale, y: place.y * scale };
        }
    }

    fn put_layers(&mut self, layers: &[Vec<usize>], neighbours: &[Vec<usize>], scale: f64) {
        let mut layers = layers.to_vec();
        let name = |device: usize| 2.0 * self.reach[device];
        let room = |layer: &Vec<usize>| layer.iter().map(|&device| name(device)).fold(0.0, f64::max) + 10.0;
        let width = layers
            .iter()
            .map(|layer| layer.len() as f64 * room(layer).max(34.0))
            .fold(0.0, f64::max)
            .max(300.0)
            * scale;
        // Taller where it is wide, but not so tall that links become parallel lines.
        let height = (width / 6.0).clamp(STEP, 3.0 * STEP);
        let mut placed = vec![false; neighbours.len()];
        for depth in 0..layers.len() {
            if depth > 0 {
                // A device is above the middle of those below it.
                let below = |device: usize| {
                    let ends = neighbours[device].iter().filter(|&&end| placed[end]);
                    let (sum, count) =
                        ends.fold((0.0, 0.0), |(sum, count), &end| (sum + self.places[end].x, count + 1.0));
                    (sum / f64::max(count, 1.0) * 8.0).round()
                };
                let mut keyed =
                    layers[depth].iter().map(|&device| (below(device), device)).collect::<Vec<_>>();
                keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
                layers[depth] = keyed.into_iter().map(|(_, device)| device).collect();
            }
            let step = width / layers[depth].len() as f64;
            let y = height * (layers.len() - 1 - depth) as f64;
            for (place, &device) in layers[depth].iter().enumerate() {
                self.places[device] = Point { x: (place as f64 + 0.5) * step, y };
                placed[device] = true;
            }
        }
    }

    /// Places hosts around their devices, in the widest gap between links.
    fn put_leaves(&mut self, neighbours: &[Vec<usize>], is_leaf: &[bool]) {
        for device in (0..neighbours.len()).filter(|&device| !is_leaf[device]) {
            let (leaves, others): (Vec<usize>, Vec<usize>) =
                neighbours[device].iter().partition(|&&end| is_leaf[end]);
            if leaves.is_empty() {
                continue;
            }
            let here = self.places[device];
            let angle = |&end: &usize| {
                let there = self.places[end];
                libm::atan2(there.y - here.y, there.x - here.x)
            };
            let mut angles = others.iter().map(angle).collect::<Vec<_>>();
            angles.sort_by(f64::total_cmp);
            let (start, gap) = widest_gap(&angles);
            // The hosts of the only device have room.
            let radius = radius(leaves.len(), gap).max(if angles.is_empty() { STEP } else { 0.0 });
            for (place, &leaf) in leaves.iter().enumerate() {
                let angle = match angles.is_empty() {
                    true => start + gap * place as f64 / leaves.len() as f64,
                    false => start + gap * (place as f64 + 1.0) / (leaves.len() as f64 + 1.0),
                };
                let off = Point::at_angle(angle, radius);
                self.places[leaf] = Point { x: here.x + off.x, y: here.y + off.y };
            }
        }
    }

    /// Moves everything so that it begins at the margin.
    pub fn move_to_margin(&mut self, margin: f64) {
        let left = self.places.iter().zip(&self.reach).map(|(place, reach)| place.x - reach);
        let left = left.fold(f64::INFINITY, f64::min);
        let top = self.places.iter().map(|place| place.y).fold(f64::INFINITY, f64::min);
        for place in &mut self.places {
            place.x += margin - left;
            place.y += margin + 16.0 - top;
        }
        // A network narrower than the key stands in the middle.
        let spare = (NARROWEST - self.right() - margin).max(0.0);
        self.places.iter_mut().for_each(|place| place.x += spare / 2.0);
    }

    fn right(&self) -> f64 {
        self.places.iter().zip(&self.reach).map(|(place, reach)| place.x + reach).fold(0.0, f64::max)
    }

    /// The picture's width and height, with room for its key.
    pub fn size(&self, margin: f64) -> (f64, f64) {
        let bottom = self.places.iter().map(|place| place.y).fold(0.0, f64::max);
        ((self.right() + margin).max(NARROWEST), bottom + margin)
    }

    /// The middle of all devices.
    pub fn center(&self) -> Point {
        let count = self.places.len() as f64;
        let sum = |coordinate: fn(&Point) -> f64| self.places.iter().map(coordinate).sum::<f64>() / count;
        Point { x: sum(|place| place.x), y: sum(|place| place.y) }
    }

    /// Whether a third device is on the straight line between two.
    pub fn runs_through(&self, from: usize, to: usize) -> bool {
        const NEAR: f64 = 12.0;
        let (start, end) = (self.places[from], self.places[to]);
        let length = start.distance(end);
        if length < 2.0 * NEAR {
            return false;
        }
        self.places.iter().enumerate().any(|(device, &place)| {
            if device == from || device == to {
                return false;
            }
            let (along_x, along_y) = ((end.x - start.x) / length, (end.y - start.y) / length);
            let (x, y) = (place.x - start.x, place.y - start.y);
            let along = x * along_x + y * along_y;
            let beside = (x * along_y - y * along_x).abs();
            (NEAR..length - NEAR).contains(&along) && beside < NEAR
        })
    }
}

/// The distance of hosts from their device that leaves space for `count` of them in an angle.
fn radius(count: usize, angle: f64) -> f64 {
    (count as f64 * 34.0 / angle).max(50.0)
}

/// The start and size of the widest gap between sorted angles; all around without any, from the left.
fn widest_gap(angles: &[f64]) -> (f64, f64) {
    let (Some(first), Some(last)) = (angles.first(), angles.last()) else { return (-PI, TAU) };
    let around = (*last, first + TAU - last);
    let between = angles.windows(2).map(|pair| (pair[0], pair[1] - pair[0]));
    between.fold(around, |widest, gap| if gap.1 > widest.1 + 1e-9 { gap } else { widest })
}

/// The devices by distance to the nearest host; `None` if a link joins layers that are not neighbours.
fn layers(neighbours: &[Vec<usize>], is_host: &[bool]) -> Option<Vec<Vec<usize>>> {
    let mut depth = vec![usize::MAX; neighbours.len()];
    let mut queue = VecDeque::new();
    for host in (0..neighbours.len()).filter(|&device| is_host[device]) {
        depth[host] = 0;
        queue.push_back(host);
    }
    while let Some(device) = queue.pop_front() {
        for &next in &neighbours[device] {
            if depth[next] == usize::MAX {
                depth[next] = depth[device] + 1;
                queue.push_back(next);
            }
        }
    }
    let fits = |device: usize, next: usize| depth[device].abs_diff(depth[next]) == 1;
    let all_fit = (0..neighbours.len()).all(|device| {
        depth[device] != usize::MAX && neighbours[device].iter().all(|&next| fits(device, next))
    });
    let forwarders = is_host.iter().filter(|host| !**host).count();
    // A single switch looks better in the middle of its hosts.
    if !all_fit || forwarders < 2 {
        return None;
    }
    let mut layers = vec![Vec::new(); depth.iter().max()? + 1];
    for (device, &depth) in depth.iter().enumerate() {
        layers[depth].push(device);
    }
    // Hosts of one switch are placed together.
    layers[0].sort_by_key(|&host| neighbours[host].iter().min().copied());
    Some(layers)
}
