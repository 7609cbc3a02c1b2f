//! The minimum or maximum of the samples in a sliding time window.

/// The minimum or maximum of a sliding window, estimated from the best three samples of its parts in constant
/// space and time.
///
/// # Source
/// Linux `lib/win_minmax.c`, after K. Nichols.
#[derive(Debug, Clone, Default)]
pub(super) struct BestOfWindow {
    /// Samples and their times, best first.
    best: Option<[(u64, u64); 3]>,
}

impl BestOfWindow {
    /// The best sample; `None` before the first one.
    pub fn get(&self) -> Option<u64> {
        self.best.map(|best| best[0].0)
    }

    /// Adds a sample at `now` for a windowed minimum.
    #[inline]
    pub fn sample_least(&mut self, sample: u64, now: u64, window: u64) {
        self.sample((sample, now), window, |new, old| new <= old);
    }

    /// Adds a sample at `now` for a windowed maximum.
    #[inline]
    pub fn sample_largest(&mut self, sample: u64, now: u64, window: u64) {
        self.sample((sample, now), window, |new, old| new >= old);
    }

    #[inline]
    fn sample(&mut self, new: (u64, u64), window: u64, is_better: impl Fn(u64, u64) -> bool) {
        let now = new.1;
        let Some(best) = &mut self.best else {
            self.best = Some([new; 3]);
            return;
        };
        if is_better(new.0, best[0].0) || now - best[2].1 > window {
            *best = [new; 3];
            return;
        }
        if is_better(new.0, best[1].0) {
            best[1] = new;
            best[2] = new;
        } else if is_better(new.0, best[2].0) {
            best[2] = new;
        }
        // The window slides: the second best becomes the best, and the third is sought in later parts of the
        // window.
        let age = now - best[0].1;
        if age > window {
            *best = [best[1], best[2], new];
            if now - best[0].1 > window {
                *best = [best[1], best[2], new];
            }
        } else if best[1].1 == best[0].1 && age > window / 4 {
            best[1] = new;
            best[2] = new;
        } else if best[2].1 == best[1].1 && age > window / 2 {
            best[2] = new;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_leaves_with_its_window() {
        let (mut least, mut largest) = (BestOfWindow::default(), BestOfWindow::default());
        let samples = [(0, 5), (1, 9), (2, 7), (5, 6), (8, 6), (11, 7), (12, 8)];
        let found: Vec<_> = samples
            .iter()
            .map(|(at, sample)| {
                least.sample_least(*sample, *at, 10);
                largest.sample_largest(*sample, *at, 10);
                (least.get().unwrap(), largest.get().unwrap())
            })
            .collect();
        assert_eq!(found, [(5, 5), (5, 9), (5, 9), (5, 9), (5, 9), (6, 9), (6, 8)]);
    }
}
