//! Positions whose distances follow those in the network: classical scaling, then stress majorization.
//!
//! # Source
//! E. R. Gansner, Y. Koren, S. North, "Graph Drawing by Stress Majorization", GD 2004; U. Brandes, C. Pich,
//! "Eigensolver Methods for Progressive Multidimensional Scaling of Large Data", GD 2006.

use std::collections::VecDeque;
use std::f64::consts::TAU;

use super::point::Point;

/// The maximum number of devices placed by distances; more are placed in a circle.
const MOST: usize = 500;
/// Rounds of the power iteration and of the majorization.
const ROUNDS: usize = 100;

/// The positions of `devices`. A link has a length of about 1.
pub(super) fn places(neighbours: &[Vec<usize>], devices: &[usize]) -> Vec<Point> {
    let count = devices.len();
    if count > MOST {
        return circle(count, count as f64 / TAU);
    }
    let distances = distances(neighbours, devices);
    let mut places = scaled(&distances);
    for _ in 0..ROUNDS {
        majorize(&mut places, &distances);
    }
    places
}

fn circle(count: usize, radius: f64) -> Vec<Point> {
    let angle = |place: usize| TAU * place as f64 / count as f64;
    (0..count).map(|place| Point::at_angle(angle(place), radius)).collect()
}

/// The number of links between every two devices; a little more than the maximum if there is no path.
fn distances(neighbours: &[Vec<usize>], devices: &[usize]) -> Vec<Vec<f64>> {
    let mut index = vec![usize::MAX; neighbours.len()];
    for (place, &device) in devices.iter().enumerate() {
        index[device] = place;
    }
    let mut rows = Vec::new();
    let mut longest = 0;
    for &from in devices {
        let mut row = vec![usize::MAX; devices.len()];
        row[index[from]] = 0;
        let mut queue = VecDeque::from([from]);
        while let Some(device) = queue.pop_front() {
            let next_distance = row[index[device]] + 1;
            for &next in &neighbours[device] {
                if index[next] != usize::MAX && row[index[next]] == usize::MAX {
                    row[index[next]] = next_distance;
                    longest = longest.max(next_distance);
                    queue.push_back(next);
                }
            }
        }
        rows.push(row);
    }
    let apart = |distance: usize| if distance == usize::MAX { longest + 2 } else { distance } as f64;
    rows.into_iter().map(|row| row.into_iter().map(apart).collect()).collect()
}

/// Classical scaling: the two strongest axes of the doubly centred matrix of squared distances.
fn scaled(distances: &[Vec<f64>]) -> Vec<Point> {
    let count = distances.len();
    let squares = |row: &Vec<f64>| row.iter().map(|distance| distance * distance).sum::<f64>() / count as f64;
    let means = distances.iter().map(squares).collect::<Vec<_>>();
    let mean = means.iter().sum::<f64>() / count as f64;
    let centred = |from: usize, to: usize| {
        let distance = distances[from][to];
        -0.5 * (distance * distance - means[from] - means[to] + mean)
    };
    let first = axis(count, centred, None);
    let second = axis(count, centred, Some(&first));
    first.iter().zip(&second).map(|(&x, &y)| Point { x, y }).collect()
}

/// The strongest axis perpendicular to `other`, scaled by its strength: power iteration.
fn axis(count: usize, matrix: impl Fn(usize, usize) -> f64, other: Option<&[f64]>) -> Vec<f64> {
    // A deterministic start that favours no device.
    let mut vector =
        (0..count).map(|device| ((device + 1) as f64 * 0.618_033_988_7).fract() - 0.5).collect::<Vec<_>>();
    let mut strength = 0.0;
    for _ in 0..ROUNDS {
        let mut next = (0..count)
            .map(|from| (0..count).map(|to| matrix(from, to) * vector[to]).sum::<f64>())
            .collect::<Vec<_>>();
        if let Some(other) = other {
            let norm = dot(other, other);
            let along = if norm > 0.0 { dot(&next, other) / norm } else { 0.0 };
            next.iter_mut().zip(other).for_each(|(value, other)| *value -= along * other);
        }
        strength = dot(&next, &next).sqrt();
        if strength < 1e-9 {
            return vec![0.0; count];
        }
        vector = next.into_iter().map(|value| value / strength).collect();
    }
    vector.into_iter().map(|value| value * strength.sqrt()).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Moves each device towards the positions implied by the others, weighted by nearness.
fn majorize(places: &mut [Point], distances: &[Vec<f64>]) {
    for device in 0..places.len() {
        let here = places[device];
        let (mut x, mut y, mut weights) = (0.0, 0.0, 0.0);
        for (other, &there) in places.iter().enumerate().filter(|(other, _)| *other != device) {
            let wanted = distances[device][other];
            let weight = 1.0 / (wanted * wanted);
            let distance = here.distance(there);
            // Two devices at one position separate in a fixed direction.
            let along = match distance > 1e-6 {
                true => Point { x: (here.x - there.x) / distance, y: (here.y - there.y) / distance },
                false => Point::at_angle(device as f64 * 2.4, 1.0),
            };
            x += weight * (there.x + wanted * along.x);
            y += weight * (there.y + wanted * along.y);
            weights += weight;
        }
        if weights > 0.0 {
            places[device] = Point { x: x / weights, y: y / weights };
        }
    }
}
