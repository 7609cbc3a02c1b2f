//! The context of an entry of connections, and its end.

use std::ops::Range;
use std::sync::Arc;

use super::parties::PartyKeys;
use super::{Resolved, Told};
use crate::config::Spanned;
use crate::scenario::reader::Reader;
use crate::topology::Topology;
use crate::traffic::matrix::MatrixSpec;
use crate::traffic::{HostNames, Mistake, TransportSpec};
use crate::units::{Span, Time};

/// The position of an entry in the file, and the settings common to all entries.
pub(super) struct Place<'a> {
    pub span: Range<usize>,
    pub index: usize,
    pub topology: &'a Arc<Topology>,
    pub seed: u64,
    pub until: Option<Time>,
    /// The scenario's own transport.
    pub transport: &'a TransportSpec,
}

/// The keys of an entry that name its senders and receivers: `from`, `to`, `matrix`, `hosts`.
pub(super) type Who<'a> = (
    Option<&'a Spanned<HostNames>>,
    Option<&'a Spanned<HostNames>>,
    Option<&'a Spanned<MatrixSpec>>,
    Option<&'a Spanned<Vec<Spanned<String>>>>,
);

impl Place<'_> {
    pub(super) fn parties<'a>(&'a self, label: &'a str, (from, to, matrix, hosts): Who<'a>) -> PartyKeys<'a> {
        let Place { span, topology, seed, .. } = self;
        PartyKeys { span: span.clone(), label, topology, seed: *seed, from, to, matrix, hosts }
    }
}

/// The maximum number of connections of an entry: each takes some hundred bytes.
const MOST_CONNECTIONS: u64 = 10_000_000;

impl Reader<'_> {
    /// The end of an entry: after `start`, and not later than the end of the run.
    pub(super) fn stop(
        &mut self,
        stop: Option<&Spanned<Span>>,
        start: Time,
        place: &Place<'_>,
    ) -> Resolved<Option<Time>> {
        let given = stop.map(|stop| Time::ZERO + *stop.get_ref());
        match stop {
            Some(written) if given.is_some_and(|stop| stop <= start) => {
                Err(self.told(Mistake::new(written.span(), "`stop` is not after `start`")))
            }
            _ => Ok(given.or(place.until)),
        }
    }

    /// Checks that an entry does not have too many connections.
    pub(super) fn count(&mut self, connections: f64, place: &Place<'_>) -> Resolved<()> {
        if connections <= MOST_CONNECTIONS as f64 {
            return Ok(());
        }
        let message =
            format!("the entry has {connections:.0} connections; the maximum is {MOST_CONNECTIONS}");
        let help = "start fewer connections, or end the entry sooner";
        Err(self.told(Mistake::new(place.span.clone(), message).with_help(help)))
    }

    pub(super) fn endless(&mut self, place: &Place<'_>, what: &str) -> Told {
        let help = format!("give it `{what}` or `stop`, or the scenario `until`");
        self.told(Mistake::new(place.span.clone(), "this traffic would never end").with_help(help))
    }
}
