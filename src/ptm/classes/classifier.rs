//! The class of a packet.

use super::matching::{AnyOf, FlowName, Interval, Match, Protocol};
use crate::flow::Flows;
use crate::packet::{FlowKey, Packet, VlanTag};
use crate::prefix::Prefix;

/// The first class whose `match` fits a packet; the fallback if none does.
///
/// Conditions on the flow are evaluated once per flow and cached. Conditions on the packet (its DSCP, its
/// VLAN tag, its ingress port) are evaluated for every packet.
pub(in crate::ptm) struct Classifier {
    rules: Vec<Rule>,
    /// 64-bit words that hold one bit per rule.
    words: usize,
    /// Whether any rule depends on the flow.
    by_flow: bool,
    /// Per flow, the rules that its key fits. All zero if not yet evaluated, since the fallback fits all.
    fitting: Vec<u64>,
    /// The same for a flow without a key.
    unknown: Vec<u64>,
}

struct Rule {
    class: usize,
    flow: Option<FlowRule>,
    packet: Option<PacketRule>,
}

#[derive(Default)]
struct FlowRule {
    protocol: Option<AnyOf<Protocol>>,
    source: Option<AnyOf<Prefix>>,
    destination: Option<AnyOf<Prefix>>,
    source_ports: Option<AnyOf<Interval<65_535>>>,
    destination_ports: Option<AnyOf<Interval<65_535>>>,
    flows: Option<AnyOf<FlowName>>,
}

struct PacketRule {
    /// One bit per code point.
    dscp: u64,
    /// The conditions on the VLAN tag, if any.
    tag: Option<Box<TagRule>>,
    ingress_ports: Option<AnyOf<Interval<65_535>>>,
}

struct TagRule {
    /// One bit per priority.
    pcp: u8,
    vlan: Option<AnyOf<Interval<4_095>>>,
}

impl Classifier {
    /// Classes by number, in the order of evaluation.
    pub fn new<'a>(matches: impl Iterator<Item = (usize, Option<&'a Match>)>, fallback: usize) -> Self {
        let mut rules = matches.map(|(class, matched)| Rule::new(class, matched)).collect::<Vec<_>>();
        rules.push(Rule::new(fallback, None));
        let words = rules.len().div_ceil(64);
        let by_flow = rules.iter().any(|rule| rule.flow.is_some());
        let mut unknown = vec![0; words];
        fit(&rules, None, &mut unknown);
        Classifier { rules, words, by_flow, fitting: Vec::new(), unknown }
    }

    /// The class of a packet.
    #[inline]
    pub fn classify(&mut self, packet: &Packet, flows: &Flows) -> usize {
        let start = packet.fid as usize * self.words;
        let known = self.by_flow && self.learn(packet.fid, start, flows);
        let fitting = if known { &self.fitting[start..start + self.words] } else { &self.unknown[..] };
        for (word, &bits) in fitting.iter().enumerate() {
            let mut bits = bits;
            while bits != 0 {
                let rule = &self.rules[64 * word + bits.trailing_zeros() as usize];
                if rule.packet.as_ref().is_none_or(|matched| matched.fits(packet)) {
                    return rule.class;
                }
                bits &= bits - 1;
            }
        }
        unreachable!("the fallback fits every packet")
    }

    /// Evaluates the key of a flow once, and stores the result from `start`. Returns whether there is a key.
    #[inline]
    fn learn(&mut self, fid: u32, start: usize, flows: &Flows) -> bool {
        let end = start + self.words;
        if self.fitting.get(start..end).is_some_and(|words| words.iter().any(|&word| word != 0)) {
            return true;
        }
        let Some(key) = flows.key(fid) else { return false };
        if self.fitting.len() < end {
            self.fitting.resize(end, 0);
        }
        fit(&self.rules, Some(&key), &mut self.fitting[start..end]);
        true
    }
}

/// Sets the bits of the rules that a flow's key fits.
fn fit(rules: &[Rule], key: Option<&FlowKey>, words: &mut [u64]) {
    for (index, rule) in rules.iter().enumerate() {
        let fits = rule.flow.as_ref().is_none_or(|matched| key.is_some_and(|key| matched.fits(key)));
        words[index / 64] |= u64::from(fits) << (index % 64);
    }
}

impl Rule {
    fn new(class: usize, matched: Option<&Match>) -> Self {
        let matched = matched.cloned().unwrap_or_default();
        let Match { dscp, protocol, source, destination, source_ports, destination_ports, .. } = matched;
        let Match { pcp, vlan, ingress_ports, flows, .. } = matched;
        let looks_at_tag = pcp.is_some() || vlan.is_some();
        let looks_at_packet = dscp.is_some() || looks_at_tag || ingress_ports.is_some();
        let dscp = dscp.map_or(u64::MAX, |intervals| bits(&intervals));
        let pcp = pcp.map_or(u8::MAX, |intervals| bits(&intervals) as u8);
        let tag = looks_at_tag.then(|| Box::new(TagRule { pcp, vlan }));
        let flow = FlowRule { protocol, source, destination, source_ports, destination_ports, flows };
        Rule {
            class,
            flow: flow.asks().then_some(flow),
            packet: looks_at_packet.then_some(PacketRule { dscp, tag, ingress_ports }),
        }
    }
}

/// One bit per number, up to 63.
fn bits<const MOST: u16>(intervals: &AnyOf<Interval<MOST>>) -> u64 {
    let is_in = |number: &u16| intervals.0.iter().any(|interval| interval.contains(*number));
    (0..=MOST.min(63)).filter(is_in).fold(0, |bits, number| bits | 1 << number)
}

/// Whether any of the values fits; true if no value is given.
fn any<T>(values: &Option<AnyOf<T>>, fits: impl Fn(&T) -> bool) -> bool {
    values.as_ref().is_none_or(|values| values.0.iter().any(fits))
}

impl FlowRule {
    /// Whether the rule has any condition.
    fn asks(&self) -> bool {
        let addresses = self.source.is_some() || self.destination.is_some();
        let ports = self.source_ports.is_some() || self.destination_ports.is_some();
        self.protocol.is_some() || addresses || ports || self.flows.is_some()
    }

    fn fits(&self, key: &FlowKey) -> bool {
        let (protocol, ports) = match *key {
            FlowKey::Ip { protocol, ports, .. } => (Some(protocol), ports),
            FlowKey::Link { .. } => (None, None),
        };
        let within = |networks: &Prefix, address| networks.0.contains(&address);
        any(&self.protocol, |wanted| protocol == Some(wanted.0))
            && any(&self.source, |net| key.source_address().is_some_and(|address| within(net, address)))
            && any(&self.destination, |net| {
                key.destination_address().is_some_and(|address| within(net, address))
            })
            && any(&self.source_ports, |wanted| ports.is_some_and(|(port, _)| wanted.contains(port)))
            && any(&self.destination_ports, |wanted| ports.is_some_and(|(_, port)| wanted.contains(port)))
            && any(&self.flows, |wanted| wanted.0 == *key)
    }
}

impl PacketRule {
    #[inline]
    fn fits(&self, packet: &Packet) -> bool {
        self.dscp >> (packet.dscp & 63) & 1 == 1
            && self.tag.as_ref().is_none_or(|rule| rule.fits(packet.tag))
            && any(&self.ingress_ports, |wanted| wanted.contains(packet.in_port))
    }
}

impl TagRule {
    /// An untagged packet never fits.
    fn fits(&self, tag: VlanTag) -> bool {
        let (Some(pcp), Some(vlan)) = (tag.pcp(), tag.vlan()) else { return false };
        self.pcp >> pcp & 1 == 1 && any(&self.vlan, |wanted| wanted.contains(vlan))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(text: &str, flows: &mut Flows) -> u32 {
        flows.add(text.parse().unwrap()).0
    }

    fn matching(toml: &str) -> Match {
        let document = crate::config::Document::parse("match.toml", toml).unwrap();
        document.deserialize().unwrap_or_else(|error| panic!("{error}"))
    }

    fn classify(matches: &[Match], packets: &[Packet], flows: &Flows) -> Vec<usize> {
        let fallback = matches.len();
        let rules = || matches.iter().map(Some).enumerate();
        let mut classifier = Classifier::new(rules(), fallback);
        // Twice: the second time uses the cache.
        let twice = [(); 2]
            .map(|()| packets.iter().map(|packet| classifier.classify(packet, flows)).collect::<Vec<_>>());
        assert_eq!(twice[0], twice[1]);
        twice[0].clone()
    }

    #[test]
    fn the_first_match_takes_a_packet_and_all_of_its_keys_hold() {
        let mut flows = Flows::default();
        let texts = [
            "10.0.0.1:5000 > 10.9.200.2:80 UDP",
            "10.0.0.1:5000 > 10.9.200.2:80 TCP",
            "10.0.0.1:5000 > 10.9.200.3:5130 UDP",
            "11.0.0.1:1 > 10.9.200.2:1 UDP",
            "10.0.0.1 > 10.9.200.2 ICMP",
            "? > ? 0x0806",
        ];
        let packets = texts.map(|text| Packet { fid: flow(text, &mut flows), ..Packet::default() });
        let matches = [
            matching("protocol = \"udp\"\ndestination_ports = [\"5120-5183\", 80]\nsource = \"10.0.0.0/8\""),
            matching("source_ports = 5000"),
            matching("destination = [\"10.9.200.2\", \"fd00::/16\"]\nprotocol = [1, \"tcp\"]"),
            matching("flows = [\"? > ? 0x0806\"]"),
        ];
        assert_eq!(classify(&matches, &packets, &flows), [0, 1, 0, 4, 2, 3]);
    }

    #[test]
    fn packets_of_one_flow_can_differ() {
        let mut flows = Flows::default();
        let fid = flow("10.0.0.1:1 > 10.0.0.2:2 UDP", &mut flows);
        let packet = |dscp, in_port| Packet { fid, dscp, in_port, ..Packet::default() };
        let matches = [
            matching("dscp = [46, \"32-39\"]"),
            matching("ingress_ports = [0, 1]\nprotocol = \"tcp\""),
            matching("ingress_ports = \"1-2\"\nprotocol = \"udp\""),
        ];
        let packets = [packet(46, 0), packet(35, 0), packet(40, 0), packet(0, 1), packet(0, 2), packet(0, 3)];
        assert_eq!(classify(&matches, &packets, &flows), [0, 0, 3, 2, 2, 3]);
    }

    #[test]
    fn a_vlan_tag_fits_by_its_priority_and_its_id() {
        let tagged = |tag| Packet { tag, ..Packet::default() };
        let tag = |pcp, vlan| tagged(VlanTag::new(pcp, vlan).unwrap());
        let matches = [
            matching("pcp = [7, \"4-5\"]\nvlan = \"100-200\""),
            matching("pcp = 5"),
            matching("vlan = 0"),
            matching("pcp = \"0-7\""),
        ];
        let packets = [tag(5, 150), tag(7, 200), tag(5, 99), tag(6, 0), tag(0, 1), tagged(VlanTag::NONE)];
        assert_eq!(classify(&matches, &packets, &Flows::default()), [0, 0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_flow_without_a_key_fits_what_does_not_ask_for_it() {
        let matches = [matching("protocol = \"udp\""), matching("dscp = 0")];
        let packets = [Packet::default(), Packet { dscp: 1, ..Packet::default() }];
        assert_eq!(classify(&matches, &packets, &Flows::default()), [1, 2]);
    }

    #[test]
    fn there_may_be_more_classes_than_bits_in_a_word() {
        let mut flows = Flows::default();
        let packets: Vec<Packet> = (0..150)
            .map(|port| Packet {
                fid: flow(&format!("10.0.0.1:1 > 10.0.0.2:{port} UDP"), &mut flows),
                ..Packet::default()
            })
            .collect();
        let matches =
            (0..140).map(|port| matching(&format!("destination_ports = {port}"))).collect::<Vec<_>>();
        let expected = (0..150).map(|port: usize| port.min(140)).collect::<Vec<_>>();
        assert_eq!(classify(&matches, &packets, &flows), expected);
    }
}
