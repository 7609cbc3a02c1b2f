//! Where the texts of a picture stand, so that none covers another or a device.

use rustc_hash::FxHashMap;

use super::point::Point;

/// The width of a character relative to the size of its font, for wide fonts.
const CHARACTER: f64 = 0.64;
/// The side of a cell of the grid in which boxes are looked up.
const CELL: f64 = 48.0;

/// A rectangle of the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Area {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Area {
    /// Around a point.
    pub fn around(middle: Point, half_width: f64, half_height: f64) -> Self {
        Area {
            left: middle.x - half_width,
            top: middle.y - half_height,
            right: middle.x + half_width,
            bottom: middle.y + half_height,
        }
    }

    /// Of a text whose baseline has this middle.
    pub fn of_text(text: &str, size: f64, baseline: Point) -> Self {
        let half = half_width(text, size);
        Area {
            left: baseline.x - half,
            top: baseline.y - 0.85 * size,
            right: baseline.x + half,
            bottom: baseline.y + 0.3 * size,
        }
    }

    fn overlap(&self, other: &Area) -> f64 {
        let wide = self.right.min(other.right) - self.left.max(other.left);
        let high = self.bottom.min(other.bottom) - self.top.max(other.top);
        wide.max(0.0) * high.max(0.0)
    }

    fn cells(&self) -> impl Iterator<Item = (i64, i64)> + use<> {
        let cell = |place: f64| (place / CELL).floor() as i64;
        let (top, bottom) = (cell(self.top), cell(self.bottom));
        (cell(self.left)..=cell(self.right)).flat_map(move |x| (top..=bottom).map(move |y| (x, y)))
    }
}

/// Half of the width of a text, an upper bound in usual fonts.
pub(super) fn half_width(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * CHARACTER / 2.0
}

/// The areas that are taken.
#[derive(Debug, Default)]
pub(super) struct Taken {
    areas: Vec<Area>,
    by_cell: FxHashMap<(i64, i64), Vec<u32>>,
}

impl Taken {
    pub fn add(&mut self, area: Area) {
        for cell in area.cells() {
            self.by_cell.entry(cell).or_default().push(self.areas.len() as u32);
        }
        self.areas.push(area);
    }

    /// How much of an area is taken; an area of others counts once for each cell that both share.
    fn overlap(&self, area: &Area) -> f64 {
        let there = area.cells().filter_map(|cell| self.by_cell.get(&cell)).flatten();
        there.map(|place| area.overlap(&self.areas[*place as usize])).sum()
    }

    /// Takes the first of some areas that is free, else the one with the least overlap: its place, and whether it is
    /// free.
    pub fn choose(&mut self, areas: &[Area]) -> Option<(usize, bool)> {
        let overlaps = areas.iter().map(|area| self.overlap(area)).enumerate();
        let (best, overlap) =
            overlaps.fold(None, |best: Option<(usize, f64)>, (place, overlap)| match best {
                Some((_, least)) if least <= overlap => best,
                _ => Some((place, overlap)),
            })?;
        self.add(areas[best]);
        Some((best, overlap == 0.0))
    }

    /// Takes the first of some areas that is free, and none where none is.
    pub fn choose_free(&mut self, areas: &[Area]) -> Option<usize> {
        let free = areas.iter().position(|area| self.overlap(area) == 0.0)?;
        self.add(areas[free]);
        Some(free)
    }
}

/// The baselines where the name of a device may stand, the best first: below, above, beside, and at the corners.
pub(super) fn around_device(text: &str, size: f64, (half_width_of, half_height): (f64, f64)) -> [Point; 8] {
    let across = half_width_of + 3.0 + half_width(text, size);
    let (below, above, level) = (half_height + size, -half_height - 4.0, 0.35 * size);
    [
        Point { x: 0.0, y: below },
        Point { x: 0.0, y: above },
        Point { x: across, y: level },
        Point { x: -across, y: level },
        Point { x: across, y: below - 4.0 },
        Point { x: -across, y: below - 4.0 },
        Point { x: across, y: above + 4.0 },
        Point { x: -across, y: above + 4.0 },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_area_is_taken_first_and_then_the_one_with_the_least_overlap() {
        let at = |x: f64| Area::around(Point { x, y: 0.0 }, 10.0, 5.0);
        let mut taken = Taken::default();
        assert_eq!(taken.choose(&[at(0.0), at(5.0)]), Some((0, true)));
        assert_eq!(taken.choose(&[at(5.0), at(19.0), at(100.0)]), Some((2, true)));
        assert_eq!(taken.choose(&[at(5.0), at(19.0)]), Some((1, false)));
        assert_eq!(taken.choose_free(&[at(8.0), at(-25.0)]), Some(1));
        assert_eq!(taken.choose_free(&[at(8.0)]), None);
    }
}
