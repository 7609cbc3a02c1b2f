//! A source of traffic of another crate.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Source;
use crate::config::{ConfigError, CustomTable, Document, Registry, Spanned};
use crate::topology::{DeviceId, Topology, Vantage, VantageSpec};

/// The key whose tables it is.
const KEY: &str = "traffic";

/// Why a source cannot be opened: any error.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// Opens the source at a place.
struct Open(Box<OpenFn>);

type OpenFn = dyn Fn(&mut SourcePlace<'_>) -> Result<Box<dyn Source>, SourceError> + Send + Sync;

/// A source that another crate defines, as written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct CustomTrafficSpec {
    /// The entry's name.
    pub name: Option<Spanned<String>>,
    /// The host that sends; or `at`.
    pub from: Option<Spanned<String>>,
    /// Where its packets enter; or `from`.
    pub at: Option<VantageSpec>,
    table: CustomTable,
}

/// Where the packets of a source enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceEntry {
    /// A host sends them.
    Host(DeviceId),
    /// They pass here.
    Vantage(Vantage),
}

/// A source that another crate defines, resolved.
#[derive(Clone)]
pub struct CustomTraffic {
    /// Its kind, as files name it.
    pub kind: String,
    /// Its name, or its place among the entries.
    pub label: String,
    /// Where its packets enter.
    pub entry: SourceEntry,
    open: Arc<Open>,
}

/// Where a source is at work.
pub struct SourcePlace<'a> {
    /// The network.
    pub topology: &'a Topology,
    /// The run's seed.
    pub seed: u64,
    /// The entry's name, for its random stream: `crate::random::stream(seed, "traffic", name)`.
    pub name: &'a str,
    /// Where its packets enter.
    pub entry: SourceEntry,
    addresses: &'a mut dyn FnMut(DeviceId) -> Result<IpAddr, SourceError>,
}

impl SourcePlace<'_> {
    /// An address that leads to the host of that name.
    ///
    /// # Errors
    /// There is no such device, or no address leads to it.
    pub fn address_of(&mut self, host: &str) -> Result<IpAddr, SourceError> {
        let device = self.topology.device_named(host);
        let device = device.ok_or_else(|| format!("there is no device `{host}` in the topology"))?;
        (self.addresses)(device)
    }

    /// The address of the host that sends.
    ///
    /// # Errors
    /// No host sends, or no address leads to it.
    pub fn own_address(&mut self) -> Result<IpAddr, SourceError> {
        match self.entry {
            SourceEntry::Host(host) => (self.addresses)(host),
            SourceEntry::Vantage(_) => {
                Err("no host sends its packets: give it a `from` instead of an `at`".into())
            }
        }
    }
}

impl Registry {
    /// Adds a source of traffic: `[[traffic]]` with `kind = "my-source"`, beside it `from = "host"` or `at = "r1:0 egress"`,
    /// and a `name` if it wants one. `open` makes it of the other keys.
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
    /// Its kind, as files name it.
    pub fn kind(&self) -> &str {
        &self.table.kind
    }

    /// Reads its parameters.
    ///
    /// # Errors
    /// Every parameter that does not fit, with its place.
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
    /// The source; `addresses` gives an address that leads to a host.
    ///
    /// # Errors
    /// What the source's crate says.
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
