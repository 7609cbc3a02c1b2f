//! A queueing discipline defined by another crate.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::server::Server;
use super::{Discipline, Place, Ptm, PtmError, PtmSpec};
use crate::config::{ConfigError, CustomTable, Document, Registry};

/// The key whose tables define it.
const KEY: &str = "ptm";

/// Builds the model at a place.
enum Build {
    Discipline(Box<BuildFn<dyn Discipline>>),
    /// A model of a whole port.
    Ptm(Box<BuildFn<dyn Ptm>>),
}

type BuildFn<M> = dyn Fn(&Place<'_>) -> Box<M> + Send + Sync;

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
            Build::Discipline(Box::new(move |place| Box::new(build(&parameters, place))))
        });
    }

    /// Adds a model of a whole port, with its link: `ptm = { kind = "my-port", ... }`. It cannot be in a class of
    /// a discipline. `build` creates it as that of [`discipline`](Self::discipline) does.
    pub fn ptm<P, M>(
        &mut self,
        kind: &str,
        build: impl Fn(&P, &Place<'_>) -> M + Clone + Send + Sync + 'static,
    ) where
        P: DeserializeOwned + Send + Sync + 'static,
        M: Ptm + 'static,
    {
        self.add(KEY, kind, move |parameters: P| {
            let build = build.clone();
            Build::Ptm(Box::new(move |place| Box::new(build(&parameters, place))))
        });
    }
}

impl PtmSpec {
    /// A discipline that another crate defines; `build` creates it at a port.
    pub fn custom<D: Discipline + 'static>(
        kind: &str,
        build: impl Fn(&Place<'_>) -> D + Send + Sync + 'static,
    ) -> Self {
        let build = Build::Discipline(Box::new(move |place| Box::new(build(place))));
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

    /// Checks that it may be inside a discipline.
    pub(super) fn check_inside(&self) -> Result<(), PtmError> {
        match self.table.made::<Build>().as_deref() {
            Some(Build::Ptm(_)) => Err(PtmError::WholePort(self.table.kind.clone())),
            _ => Ok(()),
        }
    }

    pub(super) fn build(&self, place: &Place<'_>) -> Box<dyn Ptm> {
        match &*self.table.made::<Build>().expect("`check` has accepted it") {
            Build::Discipline(build) => Box::new(Server::new(build(place), place.link)),
            Build::Ptm(build) => build(place),
        }
    }

    pub(super) fn discipline(&self, place: &Place<'_>) -> Box<dyn Discipline> {
        match &*self.table.made::<Build>().expect("`check` has accepted it") {
            Build::Discipline(build) => build(place),
            Build::Ptm(_) => unreachable!("`check_inside` refuses it"),
        }
    }
}
