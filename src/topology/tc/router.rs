//! A complete topology around a converted table.

use ipnet::IpNet;

use super::Converted;
use crate::config::{ConfigError, Document};
use crate::topology::{
    DeviceKind, Draft, DraftDevice, DraftLink, DraftTiming, FileText, PortName, TimingText, Topology,
};
use crate::units::{Bandwidth, Span};

/// The hosts at a router.
#[derive(Debug, Clone)]
pub struct RouterOptions {
    /// The topology's name.
    pub name: String,
    /// The addresses of the sending hosts: `s1` at port 1 of the router has the first, and so on.
    pub sources: Vec<IpNet>,
    /// The addresses of the receiving host: `d` at port 0.
    pub destination: IpNet,
}

impl Converted {
    /// A topology file: a router with the table at its port to `d`, and links without delay.
    ///
    /// # Errors
    /// Overlapping addresses, or an invalid name.
    pub fn to_router(&self, options: &RouterOptions) -> Result<String, ConfigError> {
        let device = |name: String, kind, address: Option<IpNet>| DraftDevice {
            name,
            kind,
            addresses: address.into_iter().collect(),
            position: None,
        };
        let link = |host: String, port| DraftLink {
            between: [PortName { device: host, port: 0 }, PortName { device: "r1".to_owned(), port }],
            is_access: true,
            forward: DraftTiming::default(),
            backward: None,
            comment: None,
        };
        let sources = options.sources.iter().zip(1..);
        let mut devices = sources
            .clone()
            .map(|(net, n)| device(format!("s{n}"), DeviceKind::Host, Some(*net)))
            .collect::<Vec<_>>();
        devices.push(device("r1".to_owned(), DeviceKind::Router, None));
        devices.push(device("d".to_owned(), DeviceKind::Host, Some(options.destination)));
        let mut links = sources.map(|(_, n)| link(format!("s{n}"), n)).collect::<Vec<_>>();
        // The last link, so that the table after it belongs to its end.
        let mut last = link("d".to_owned(), 0);
        last.between.reverse();
        links.push(last);
        let file = FileText {
            comment: self.comment(),
            name: options.name.clone(),
            generate: None,
            link: TimingText { bandwidth: Some(Bandwidth::Unlimited), delay: Some(Span::ZERO), length: None },
            access_link: TimingText::default(),
        };
        let text = format!("{}\n{}", file.with(&Draft { devices, links }), self.table.to_toml("link.ptm"));
        Topology::from_document(&Document::parse("the router", &text)?)?;
        Ok(text)
    }
}
