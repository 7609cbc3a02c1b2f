//! Topologies.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pyo3::prelude::*;
use serde_json::json;
use taunet::config::Document;
use taunet::topology::export::{ExportFormat, ExportOptions};
use taunet::topology::import::{ImportFormat, ImportOptions, decode, import};
use taunet::topology::{DeviceKind, Topology as Network};
use taunet::units::Bandwidth;

use crate::busy::busy;
use crate::failure::{Failure, json, quantity};
use crate::kinds::registry;

/// A network, with the text that it was read from.
#[pyclass(frozen, module = "taunet._taunet")]
pub struct Topology {
    document: Document,
    network: Arc<Network>,
    remarks: Vec<String>,
}

impl Topology {
    /// The text with its changes.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// A network that was read from this text, and changed afterwards.
    pub fn of(document: Document, network: Arc<Network>) -> Self {
        Topology { document, network, remarks: Vec::new() }
    }

    fn read(document: Document, set: &[String], remarks: Vec<String>) -> Result<Self, Failure> {
        let mut document = document.with(&registry());
        document.set_from_shell(set)?;
        let network = Arc::new(Network::from_document(&document)?);
        Ok(Topology { document, network, remarks })
    }
}

#[pymethods]
impl Topology {
    /// Reads a file.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf, set: Vec<String>) -> PyResult<Self> {
        busy(py, None, move |_| Topology::read(Document::read(&path)?, &set, Vec::new()))
    }

    /// Reads a text; `name` stands for its file in errors.
    #[staticmethod]
    fn from_text(py: Python<'_>, text: String, name: String, set: Vec<String>) -> PyResult<Self> {
        busy(py, None, move |_| Topology::read(Document::parse(&name, &text)?, &set, Vec::new()))
    }

    /// Imports a network of another format from bytes. `options` has the names of the flags of the command line.
    #[staticmethod]
    fn import_network(
        py: Python<'_>,
        name: String,
        bytes: Vec<u8>,
        format: Option<String>,
        options: Vec<(String, String)>,
    ) -> PyResult<Self> {
        busy(py, None, move |_| imported(&name, &bytes, format.as_deref(), &options))
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        self.network.name()
    }

    /// The text that it was read from.
    #[getter]
    fn toml(&self) -> &str {
        &self.document.source().text
    }

    /// What an import assumed, and what it left out.
    #[getter]
    fn remarks(&self) -> Vec<String> {
        self.remarks.clone()
    }

    /// Counts and measures, as JSON.
    fn statistics(&self, py: Python<'_>) -> PyResult<String> {
        let network = Arc::clone(&self.network);
        busy(py, None, move |_| json(&network.statistics()))
    }

    /// The devices and links, as JSON: what `taunet topology show --json` prints.
    fn parts(&self, py: Python<'_>) -> PyResult<String> {
        let network = Arc::clone(&self.network);
        busy(py, None, move |_| json(&parts(&network)))
    }

    /// The network in another format: "svg", "dot" or "graphml".
    #[pyo3(signature = (format, link_labels=false))]
    fn export(&self, py: Python<'_>, format: &str, link_labels: bool) -> PyResult<String> {
        let format = match format {
            "svg" => ExportFormat::Svg,
            "dot" => ExportFormat::Dot,
            "graphml" => ExportFormat::Graphml,
            other => {
                let message = format!("`{other}` is no format: write \"svg\", \"dot\" or \"graphml\"");
                return Err(Failure::argument("format", message).into());
            }
        };
        let network = Arc::clone(&self.network);
        busy(py, None, move |_| Ok(network.export(format, ExportOptions { link_labels })))
    }
}

fn imported(
    name: &str,
    bytes: &[u8],
    format: Option<&str>,
    options: &[(String, String)],
) -> Result<Topology, Failure> {
    let mut import_options = ImportOptions::default();
    let mut encoding = None;
    for (key, value) in options {
        match key.as_str() {
            "name" => import_options.name = Some(value.clone()),
            "hosts" => import_options.hosts = value == "true",
            "bandwidth" => import_options.bandwidth = quantity(key, value)?,
            "delay" => import_options.delay = quantity(key, value)?,
            "access_bandwidth" => import_options.access_bandwidth = quantity(key, value)?,
            "bandwidth_unit" => import_options.bandwidth_unit = Some(quantity(key, &unit(value))?),
            "delay_unit" => import_options.delay_unit = Some(quantity(key, &unit(value))?),
            "length_unit" => import_options.length_unit = Some(quantity(key, &unit(value))?),
            "encoding" => encoding = Some(value.as_str()),
            other => return Err(Failure::argument(other, "no such option")),
        }
    }
    let decoded = decode(name, bytes, encoding)?;
    let format = match format {
        Some("graphml") => ImportFormat::Graphml,
        Some("gml") => ImportFormat::Gml,
        Some("dot") => ImportFormat::Dot,
        Some("sndlib") => ImportFormat::Sndlib,
        Some("json") => ImportFormat::Json,
        Some(other) => {
            let message = format!(
                "`{other}` is no format: write \"graphml\", \"gml\", \"dot\", \"sndlib\" or \"json\""
            );
            return Err(Failure::argument("format", message));
        }
        None => ImportFormat::of(Path::new(name), &decoded.text).ok_or_else(|| {
            let message = format!(
                "the format of {name} is unknown: write \"graphml\", \"gml\", \"dot\", \"sndlib\" or \"json\""
            );
            Failure::argument("format", message)
        })?,
    };
    let imported = import(name, &decoded.text, format, &import_options)?;
    let mut remarks = decoded.remarks;
    remarks.extend(imported.remarks.iter().cloned());
    Topology::read(Document::parse(name, &imported.to_toml())?, &[], remarks)
}

/// A unit alone is one of it: `Mbps` as `1 Mbps`.
fn unit(text: &str) -> String {
    match text.trim_start().starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        true => text.to_owned(),
        false => format!("1 {text}"),
    }
}

fn parts(network: &Network) -> serde_json::Value {
    let device = network.devices().map(|(_, device)| {
        json!({
            "name": device.name,
            "kind": match device.kind {
                DeviceKind::Host => "host",
                DeviceKind::Switch => "switch",
                DeviceKind::Router => "router",
            },
            "addresses": device.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "processing_ps": device.processing.as_ps(),
            "ports": device.ports.iter().map(|&port| network.port(port).number).collect::<Vec<_>>(),
        })
    });
    let link = network.links().map(|(_, link)| {
        json!({
            "from": network.port_name(link.from),
            "to": network.port_name(link.to),
            "bandwidth_bps": match link.link.bandwidth {
                Bandwidth::Limited(rate) => Some(rate.as_bps()),
                Bandwidth::Unlimited => None,
            },
            "delay_ps": link.link.propagation_delay().as_ps(),
            "overhead_bytes": link.link.overhead.get(),
        })
    });
    json!({ "device": device.collect::<Vec<_>>(), "link": link.collect::<Vec<_>>() })
}
