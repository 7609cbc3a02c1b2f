//! A queueing discipline defined by another crate.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Discipline, Place, PtmError, PtmSpec};
use crate::config::{ConfigError, CustomTable, Document, Registry};

/// The key whose tables define it.
const KEY: &str = "ptm";

/// Builds the discipline at a place.
struct Build(Box<BuildFn>);

type BuildFn = dyn Fn(&Place<'_>) -> Box<dyn Discipline> + Send + Sync;

/// A queueing discipline that another crate defines. [`Registry::discipline`] gives it a name for files, and
/// [`PtmSpec::custom`] creates one in code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CustomSpec {
    table: CustomTable,
}

impl Registry {
    /// Adds a queueing discipline: `ptm = { kind = "my-queue", ... }`. `build` creates it at a port from its
    /// parameters. Their `Deserialize` implementation must check that they are consistent.
    pub fn discipline<P, D>(
        &mut self,
        kind: &str,
        build: impl Fn(&P, &Place<'_>) -> D + Clone + Send + Sync + 'static,
    ) where
        P: DeserializeOwned + Send + Sync + 'static,
        D: Discipline + 'static,
    {
        self.add(KEY, kind, move |parameters: P| {
            let build = build.clone();
            Build(Box::new(move |place| Box::new(build(&parameters, place))))
        });
    }
}

impl PtmSpec {
    /// A discipline that another crate defines; `build` creates it at a port.
    pub fn custom<D: Discipline + 'static>(
        kind: &str,
        build: impl Fn(&Place<'_>) -> D + Send + Sync + 'static,
    ) -> Self {
        let build = Build(Box::new(move |place| Box::new(build(place))));
        PtmSpec::Custom(CustomSpec { table: CustomTable::of(kind, build) })
    }
}

impl CustomSpec {
    /// Its kind, as written in files.
    pub fn kind(&self) -> &str {
        &self.table.kind
    }

    /// Reads its parameters.
    ///
    /// # Errors
    /// Every invalid parameter, with its position.
    pub(crate) fn resolve(&mut self, document: &Document) -> Result<(), ConfigError> {
        self.table.make(KEY, document)
    }

    pub(super) fn check(&self) -> Result<(), PtmError> {
        match self.table.made::<Build>() {
            Some(_) => Ok(()),
            None => Err(PtmError::NotMade(self.table.kind.clone())),
        }
    }

    pub(super) fn discipline(&self, place: &Place<'_>) -> Box<dyn Discipline> {
        let build = self.table.made::<Build>().expect("`check` has accepted it");
        (build.0)(place)
    }
}
