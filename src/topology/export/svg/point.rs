//! [`Point`]: a position in a picture.

use std::fmt;

/// A position in a picture; y grows downwards.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Point {
    pub x: f64,
    pub y: f64,
}

impl Point {
    /// The point in this direction, in radians, at this distance from the origin.
    pub fn at_angle(radians: f64, distance: f64) -> Point {
        Point { x: distance * libm::cos(radians), y: distance * libm::sin(radians) }
    }

    pub fn distance(self, other: Point) -> f64 {
        let (x, y) = (other.x - self.x, other.y - self.y);
        (x * x + y * y).sqrt()
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} {:.1}", self.x, self.y)
    }
}
