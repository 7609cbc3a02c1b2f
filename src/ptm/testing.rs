//! Test support for disciplines: passes a few packets through a discipline written as TOML.

use super::{Departure, Loss, Place, Ptm, PtmSpec};
use crate::flow::Flows;
use crate::link::Link;
use crate::packet::{FlowKey, Packet, Tau};
use crate::units::{Span, Time, Timestamp};

/// A millisecond in picoseconds; 125 bytes take this long at 1 Mbps.
pub(super) const MS: u64 = 1_000_000_000;

#[derive(serde::Deserialize)]
struct Holder {
    ptm: PtmSpec,
}

/// Reads a PTM.
pub(super) fn spec(toml: &str) -> PtmSpec {
    let document = crate::config::Document::parse("ptm.toml", &format!("[ptm]\n{toml}")).unwrap();
    document.deserialize::<Holder>().unwrap_or_else(|error| panic!("{error}\n{toml}")).ptm
}

/// A link without propagation.
pub(super) fn link(bandwidth: &str) -> Link {
    Link::with_delay(bandwidth.parse().unwrap(), Span::ZERO)
}

/// A PTM in front of a link.
pub(super) fn ptm(toml: &str, bandwidth: &str) -> Box<dyn Ptm> {
    let (spec, link) = (spec(toml), link(bandwidth));
    spec.check(&link).unwrap_or_else(|error| panic!("{error}"));
    spec.build(&Place { link, ..place(bandwidth) })
}

/// The environment of the models in tests.
pub(super) fn place(bandwidth: &str) -> Place<'static> {
    Place { link: link(bandwidth), seed: 1, port: "r1:0", start: Timestamp::default() }
}

/// The error for inconsistent parameters: message and help.
pub(super) fn told(toml: &str, bandwidth: &str) -> (String, String) {
    let error = spec(toml).check(&link(bandwidth)).unwrap_err();
    (error.to_string(), error.help())
}

/// Flows 0 to 99: their number is the destination port.
pub(super) fn flows() -> Flows {
    let mut flows = Flows::default();
    for port in 0..100 {
        let address = "10.0.0.1".parse().unwrap();
        flows.add(FlowKey::Ip {
            source: address,
            destination: address,
            protocol: 17,
            ports: Some((1, port)),
        });
    }
    flows
}

/// Packets by arrival [ps], length [B], and a number below 64 (or 100 without DSCP) that is the DSCP, the
/// ingress port and the flow.
pub(super) fn taus(arrivals: &[(u64, u32, u8)]) -> Vec<Tau> {
    let packet = |(pid, &(at, length, class)): (usize, &(u64, u32, u8))| {
        let (fid, in_port) = (class.into(), class.into());
        let packet = Packet { pid: pid as u64, length, dscp: class & 63, in_port, fid, ..Packet::default() };
        Tau { timestamp: Time::from_ps(at), packet }
    };
    arrivals.iter().enumerate().map(packet).collect()
}

/// Departures and losses of packets that go through a PTM.
pub(super) fn forward(toml: &str, bandwidth: &str, ingress: &[Tau]) -> (Vec<Departure>, Vec<Loss>) {
    let (mut departures, mut losses) = (Vec::new(), Vec::new());
    ptm(toml, bandwidth).forward_trace(ingress, &flows(), Time::NEVER, &mut departures, &mut losses);
    (departures, losses)
}

/// Packet id and start [ps] of each departure.
pub(super) fn departures(toml: &str, bandwidth: &str, arrivals: &[(u64, u32, u8)]) -> Vec<(u64, u64)> {
    let (departures, _) = forward(toml, bandwidth, &taus(arrivals));
    departures.iter().map(|departure| (departure.tau.packet.pid, departure.start.as_ps())).collect()
}

/// The order of departures at 1 Mbps.
pub(super) fn order(toml: &str, arrivals: &[(u64, u32, u8)]) -> Vec<u64> {
    departures(toml, "1 Mbps", arrivals).iter().map(|(pid, _)| *pid).collect()
}

/// The packets that are dropped at 1 Mbps, in order.
pub(super) fn drops(toml: &str, arrivals: &[(u64, u32, u8)]) -> Vec<u64> {
    forward(toml, "1 Mbps", &taus(arrivals)).1.iter().map(|loss| loss.tau.packet.pid).collect()
}
