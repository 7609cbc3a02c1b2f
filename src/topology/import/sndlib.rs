//! SNDlib: its XML, and its native format.
//!
//! # Source
//! S. Orlowski, R. Wessäly, M. Pióro, A. Tomaszewski, "SNDlib 1.0: Survivable Network Design Library",
//! Networks 55(3), 2010; its XML schema, and "The native format" of its documentation.

mod native;
mod xml;

use rustc_hash::FxHashSet;

use super::ImportedText;
use super::attributes::Attributes;
use super::network::Network;
use super::words::counted;
use crate::config::ConfigError;
use crate::units::Rate;

/// The start of the first line of a file in the native format.
const NATIVE: &str = "?SNDlib native format";

/// Whether a text is in the native format.
pub(super) fn is_native(text: &str) -> bool {
    text.trim_start().starts_with(NATIVE)
}

pub(super) fn read(source: &ImportedText) -> Result<Network, ConfigError> {
    let mut network = Network::new(file_stem(source), false);
    let by_module = if is_native(source.text()) {
        native::read(source, &mut network)?
    } else {
        xml::read(source, &mut network)?
    };
    if by_module > 0 {
        let links = counted(by_module, "link");
        network.remarks.push(format!("{links} without capacity: the first installable module assumed"));
    }
    if is_directed(&network) {
        network.edges.iter_mut().for_each(|edge| edge.directed = true);
        network.remarks.push("every link is listed in both directions: each pair is one link".to_owned());
    }
    network.demand_unit = unit(&mut network.attributes);
    Ok(network)
}

fn file_stem(source: &ImportedText) -> Option<String> {
    let stem = std::path::Path::new(&source.0.name).file_stem()?;
    Some(stem.to_string_lossy().into_owned())
}

/// The unit of demands, if the file states it.
fn unit(attributes: &mut Attributes) -> Option<Rate> {
    attributes.read(&["unit"], |text| {
        let bits = match text.to_uppercase().as_str() {
            "BITPERSEC" => 1,
            "KBITPERSEC" => 1_000,
            "MBITPERSEC" => 1_000_000,
            "GBITPERSEC" => 1_000_000_000,
            _ => return Err("not a rate: set the unit of demands with --demand-unit"),
        };
        Rate::from_bps(bits).ok_or("not a rate")
    })
}

/// The capacity of a link: the installed one, otherwise the first installable module, since the problem is
/// which modules to install. Returns whether a module was used.
fn capacity(link: &mut Attributes, installed: Option<&str>, modules: &[&str]) -> bool {
    let is_some = |text: &&str| text.parse::<f64>().is_ok_and(|number| number > 0.0);
    let (mut modules, mut by_module) = (modules.to_vec(), false);
    let capacity = installed.filter(is_some).or_else(|| {
        let first = modules.iter().position(is_some)?;
        by_module = true;
        Some(modules.remove(first))
    });
    if let Some(capacity) = capacity {
        link.set("capacity", capacity);
    }
    for module in modules {
        link.leave("module", module, "a link has one capacity: modules that could be added are left out");
    }
    by_module
}

/// Whether each edge has a reverse edge: a directed problem lists both.
fn is_directed(network: &Network) -> bool {
    let all = network.edges.iter().map(|edge| edge.ends).collect::<FxHashSet<_>>();
    !all.is_empty()
        && all.len() == network.edges.len()
        && all.iter().all(|&[from, to]| all.contains(&[to, from]))
}
