//! A traffic source defined by another crate.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Source;
use crate::config::{ConfigError, CustomTable, Document, Registry, Spanned};
use crate::topology::{DeviceId, Topology, Vantage, VantageSpec};

/// The key whose tables define it.
const KEY: &str = "traffic";

/// An error while opening a source; any error type.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// Opens the source at a place.
struct Open(Box<OpenFn>);

type OpenFn = dyn Fn(&mut SourcePlace<'_>) -> Result<Box<dyn Source>, SourceError> + Send + Sync;

/// A source defined by another crate, as written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct CustomTrafficSpec {
    /// The name of the entry.
    pub name: Option<Spanned<String>>,
    /// The sending host; alternatively, `at`.
    pub from: Option<Spanned<String>>,
    /// Where its packets enter; alternatively, `from`.
    pub at: Option<VantageSpec>,
    table: CustomTable,
}

/// Where the packets of a source enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceEntry {
    /// A host sends them.
    Host(DeviceId),
    /// They pass this vantage.
    Vantage(Vantage),
}

/// A resolved source defined by another crate.
#[derive(Clone)]
pub struct CustomTraffic {
    /// Its kind, as written in files.
    pub kind: String,
    /// The name of the entry, or its index among the entries.
    pub label: String,
    /// Where its packets enter.
    pub entry: SourceEntry,
    open: Arc<Open>,
}

/// The environment of a source.
pub struct SourcePlace<'a> {
    /// The network.
    pub topology: &'a Topology,
    /// The seed of the run.
    pub seed: u64,
    /// The name of the entry, which names its random stream: `crate::random::stream(seed, "traffic", name)`.
    pub name: &'a str,
    /// Where its packets enter.
    pub entry: SourceEntry,
    addresses: &'a mut dyn FnMut(DeviceId) -> Result<IpAddr, SourceError>,
}

impl SourcePlace<'_> {
    /// An address of the host with this name.
    ///
    /// # Errors
    /// There is no such device, or it has no address.
    pub fn address_of(&mut self, host: &str) -> Result<IpAddr, SourceError> {
        let device = self.topology.device_named(host);
        let device = device.ok_or_else(|| format!("there is no device `{host}` in the topology"))?;
        (self.addresses)(device)
    }

    /// The address of the sending host.
    ///
    /// # Errors
    /// There is no sending host, or it has no address.
    pub fn own_address(&mut self) -> Result<IpAddr, SourceError> {
        match self.entry {
            SourceEntry::Host(host) => (self.addresses)(host),
            SourceEntry::Vantage(_) => {
                Err("its packets have no sending host: write `from` instead of `at`".into())
            }
        }
    }
}

impl Registry {
    /// Adds a traffic source: `[[traffic]]` with `kind = "my-source"`, and with `from = "host"` or
    /// `at = "r1:0 egress"`, and optionally a `name`. `open` creates it from the other keys.
    pub fn source<P, S>(
        &mut self,
        kind: &str,
        open: impl Fn(&P, &mut SourcePlace<'_>) -> Result<S, SourceError> + Clone + Send + Sync + 'static,
    ) where
        P: DeserializeOwned + Send + Sync + 'static,
        S: Source + 'static,
    {
        self.add(KEY, kind, move |parameters: P| {
            let open = open.clone();
            Open(Box::new(move |place| Ok(Box::new(open(&parameters, place)?))))
        });
    }
}

impl CustomTrafficSpec {
    /// Its kind, as written in files.
    pub fn kind(&self) -> &str {
        &self.table.kind
    }

    /// Reads its parameters.
    ///
    /// # Errors
    /// Every invalid parameter, with its position.
    pub(crate) fn resolve(
        &self,
        label: String,
        entry: SourceEntry,
        document: &Document,
    ) -> Result<CustomTraffic, ConfigError> {
        let mut table = self.table.clone();
        table.make(KEY, document)?;
        let open = table.made().expect("kinds of traffic open sources");
        Ok(CustomTraffic { kind: table.kind, label, entry, open })
    }
}

impl CustomTraffic {
    /// Opens the source; `addresses` gives an address of a host.
    ///
    /// # Errors
    /// The error of the source's crate.
    pub fn source(
        &self,
        topology: &Topology,
        seed: u64,
        addresses: &mut dyn FnMut(DeviceId) -> Result<IpAddr, SourceError>,
    ) -> Result<Box<dyn Source>, SourceError> {
        let (name, entry) = (self.label.as_str(), self.entry);
        (self.open.0)(&mut SourcePlace { topology, seed, name, entry, addresses })
    }
}

impl fmt::Debug for CustomTraffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CustomTraffic { kind, label, entry, .. } = self;
        f.debug_struct("CustomTraffic")
            .field("kind", kind)
            .field("label", label)
            .field("entry", entry)
            .finish()
    }
}
