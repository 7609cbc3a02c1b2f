//! The values of parameters that make a metric smallest, largest, or what is wanted.
//!
//! A tune file names a scenario, the bounds of its parameters, and a metric ([`TuneFile`]). [`tune`] searches by the simplex
//! method of Nelder and Mead (crate `argmin`). A point is a combination of values; it runs once per replication, as the jobs of
//! a sweep, and the jobs are kept in the [`Store`](crate::sweep::Store) of a sweep. The search depends on the results alone, so
//! one that was killed repeats its way through the jobs that are done, and goes on.

mod bounds;
mod file;
mod page;
mod results;
mod search;

pub use bounds::{Bound, Scale};
pub use file::{Goal, Objective, ObjectiveFile, Tune, TuneFile};
pub use page::tune_page;
pub use results::TuneResults;
pub use search::{Ending, Point, PointResult, TuneProgress, tune};
