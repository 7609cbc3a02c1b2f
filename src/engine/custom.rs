//! Observers defined by other crates.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::observer::{Observer, ObserverError};
use crate::config::Registry;
use crate::scenario::{CustomObserver, OBSERVER};
use crate::topology::Topology;
use crate::units::Timestamp;

/// The context that an observer gets before a run.
#[derive(Debug, Clone, Copy)]
pub struct ObserverPlace<'a> {
    /// The network.
    pub topology: &'a Arc<Topology>,
    /// The absolute time at which the run starts, which is 0 ps for the observer.
    pub start: Timestamp,
}

/// Creates the observer of a run.
struct Make(Box<MakeFn>);

type MakeFn = dyn Fn(&ObserverPlace<'_>) -> Result<Box<dyn Observer>, ObserverError> + Send + Sync;

impl Registry {
    /// Registers an observer: `[[observer]]` with `kind = "my-observer"`. `make` creates it from the other
    /// keys of its table. If `make` fails, the run does not start.
    pub fn observer<P, O>(
        &mut self,
        kind: &str,
        make: impl Fn(&P, &ObserverPlace<'_>) -> Result<O, ObserverError> + Clone + Send + Sync + 'static,
    ) where
        P: DeserializeOwned + Send + Sync + 'static,
        O: Observer + 'static,
    {
        self.add(OBSERVER, kind, move |parameters: P| {
            let make = make.clone();
            Make(Box::new(move |place| Ok(Box::new(make(&parameters, place)?))))
        });
    }
}

impl CustomObserver {
    /// Creates the observer of a run.
    ///
    /// # Errors
    /// The error of the observer's crate.
    pub fn observer(&self, place: &ObserverPlace<'_>) -> Result<Box<dyn Observer>, ObserverError> {
        let make = self.table.made::<Make>().ok_or("this kind does not create observers")?;
        (make.0)(place)
    }
}
