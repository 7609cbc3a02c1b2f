//! The positions of devices: on the Earth, or on a plane.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::units::Distance;

/// The mean radius of the Earth in metres.
///
/// # Source
/// IUGG (Moritz, Geodetic Reference System 1980): R1.
const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// The position of a device. Pictures and importers use it; simulations do not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Position {
    /// On the Earth, in degrees: north and east are positive.
    Geographic {
        /// From -90 to 90.
        latitude: f64,
        /// From -180 to 180.
        longitude: f64,
    },
    /// On a plane, from the upper left.
    Plane {
        /// To the right.
        x: Distance,
        /// Down.
        y: Distance,
    },
}

impl Position {
    /// A position on the Earth; `None` if the coordinates are invalid.
    pub fn geographic(latitude: f64, longitude: f64) -> Option<Self> {
        let sound = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
        sound.then_some(Position::Geographic { latitude, longitude })
    }

    /// The distance to `other`: the great-circle distance on the Earth, or the straight line on a plane;
    /// `None` between positions of different kinds.
    ///
    /// # Source
    /// R. W. Sinnott, "Virtues of the Haversine", Sky and Telescope 68 (1984).
    ///
    /// # Examples
    /// ```
    /// use taunet::topology::Position;
    ///
    /// let new_york = Position::geographic(40.71, -74.01).unwrap();
    /// let london = Position::geographic(51.51, -0.13).unwrap();
    /// let km = new_york.distance(london).unwrap().as_um() / 1_000_000_000;
    /// assert!((5_560..5_580).contains(&km), "{km}");
    /// ```
    pub fn distance(self, other: Position) -> Option<Distance> {
        let metres = match (self, other) {
            (
                Position::Geographic { latitude, longitude },
                Position::Geographic { latitude: other_latitude, longitude: other_longitude },
            ) => {
                let half = |from: f64, to: f64| {
                    let sine = libm::sin((to - from).to_radians() / 2.0);
                    sine * sine
                };
                let across = libm::cos(latitude.to_radians()) * libm::cos(other_latitude.to_radians());
                let haversine = half(latitude, other_latitude) + across * half(longitude, other_longitude);
                2.0 * EARTH_RADIUS_M * libm::asin(haversine.min(1.0).sqrt())
            }
            (Position::Plane { x, y }, Position::Plane { x: other_x, y: other_y }) => {
                let side = |from: Distance, to: Distance| from.as_um().abs_diff(to.as_um()) as f64 / 1e6;
                let (width, height) = (side(x, other_x), side(y, other_y));
                (width * width + height * height).sqrt()
            }
            _ => return None,
        };
        // Rounded to a millimetre: further digits are not significant.
        Some(Distance::from_um((metres * 1e3).round() as u64 * 1_000))
    }
}

/// A position as written in a topology file: `{ latitude = 47.6, longitude = -122.3 }`, or on a plane
/// `{ x = "3 km", y = "1.5 km" }`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PositionFile {
    /// Degrees north of the equator, from -90 to 90.
    pub latitude: Option<f64>,
    /// Degrees east of Greenwich, from -180 to 180.
    pub longitude: Option<f64>,
    /// On a plane: the distance to the right.
    pub x: Option<Distance>,
    /// On a plane: the distance down.
    pub y: Option<Distance>,
}

impl From<Position> for PositionFile {
    fn from(position: Position) -> Self {
        match position {
            Position::Geographic { latitude, longitude } => {
                PositionFile { latitude: Some(latitude), longitude: Some(longitude), ..Self::default() }
            }
            Position::Plane { x, y } => PositionFile { x: Some(x), y: Some(y), ..Self::default() },
        }
    }
}

impl PositionFile {
    /// The position.
    ///
    /// # Errors
    /// The mistake, and a suggestion.
    pub(super) fn position(&self) -> Result<Position, (&'static str, &'static str)> {
        match *self {
            PositionFile { latitude: Some(latitude), longitude: Some(longitude), x: None, y: None } => {
                Position::geographic(latitude, longitude).ok_or((
                    "there is no such position on the Earth",
                    "latitude is from -90 to 90, longitude from -180 to 180",
                ))
            }
            PositionFile { latitude: None, longitude: None, x: Some(x), y: Some(y) } => {
                Ok(Position::Plane { x, y })
            }
            _ => Err((
                "a position has a `latitude` and a `longitude`, or an `x` and a `y`",
                "write for example { latitude = 47.6, longitude = -122.3 } or { x = \"3 km\", y = \"1.5 km\" }",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        let place = |latitude, longitude| Position::geographic(latitude, longitude).unwrap();
        // A quarter of a great circle, and half of one.
        let quarter = std::f64::consts::FRAC_PI_2 * EARTH_RADIUS_M * 1e6;
        for (from, to, quarters) in [
            (place(0.0, 0.0), place(0.0, 90.0), 1.0),
            (place(0.0, 0.0), place(90.0, 17.0), 1.0),
            (place(0.0, -180.0), place(0.0, 180.0), 0.0),
            (place(90.0, 0.0), place(-90.0, 0.0), 2.0),
        ] {
            let um = from.distance(to).unwrap().as_um() as f64;
            assert!((um - quarters * quarter).abs() < 2e3, "{um}");
        }
        let plane = |x, y| Position::Plane { x: Distance::from_um(x), y: Distance::from_um(y) };
        assert_eq!(plane(3_000, 0).distance(plane(0, 4_000)), Some(Distance::from_um(5_000)));
        assert_eq!(plane(3_000, 0).distance(place(0.0, 0.0)), None);
    }

    #[test]
    fn there_are_places_that_are_none() {
        for (latitude, longitude) in [(90.1, 0.0), (0.0, -180.1), (f64::NAN, 0.0), (0.0, f64::INFINITY)] {
            assert_eq!(Position::geographic(latitude, longitude), None);
        }
    }
}
