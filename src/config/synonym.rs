//! Names for kinds and keys in other tools: Linux `tc`, ns-3, OMNeT++ and Cisco.

/// Each name of these files with its synonyms. A synonym may belong to several names; the place decides.
const SYNONYMS: &[(&str, &[&str])] = &[
    // Disciplines.
    ("fifo", &["droptail", "taildrop", "pfifo", "bfifo", "fcfs", "passthrough"]),
    (
        "token-bucket",
        &[
            "tbf",
            "tokenbucketfilter",
            "leakybucket",
            "shaper",
            "shaping",
            "trafficshaper",
            "policer",
            "police",
            "policing",
            "ratelimit",
            "ratelimiter",
            "limiter",
        ],
    ),
    (
        "priority",
        &[
            "prio",
            "sp",
            "spq",
            "pq",
            "strict",
            "strictpriority",
            "staticpriority",
            "headofline",
            "hol",
            "llq",
            "lowlatency",
            "pfifofast",
        ],
    ),
    ("wrr", &["weightedroundrobin", "roundrobin", "rr"]),
    ("drr", &["drr++", "dwrr", "mdrr", "deficit", "deficitroundrobin", "deficitweightedroundrobin"]),
    ("wfq", &["weightedfair", "cbwfq", "wf2q", "wf2q+", "pgps", "gps", "scfq"]),
    ("htb", &["cbq", "classbased", "hierarchicaltokenbucket"]),
    ("ets", &["enhancedtransmissionselection"]),
    ("red", &["randomearlydetection", "wred", "gred", "ared", "adaptivered", "dctcp", "step"]),
    ("codel", &["controlleddelay"]),
    ("sfq", &["stochasticfair", "stochasticfairness"]),
    ("fq", &["fair"]),
    ("netem", &["networkemulator", "dummynet", "emulator"]),
    ("neural", &["learned", "deepqueuenet", "ml"]),
    // Traffic.
    (
        "cbr",
        &["constant", "constantbitrate", "constantrate", "periodic", "isochronous", "deterministic", "udp"],
    ),
    ("poisson", &["exponential", "mm1"]),
    ("on-off", &["bursty", "burst", "pareto", "onoffapplication"]),
    ("markovian", &["mmpp", "map", "markov"]),
    ("thin-streams", &["game", "gaming", "sensor"]),
    ("replay", &["pcap", "pcapng", "trace", "capture", "tcpreplay", "recording"]),
    // Devices.
    ("host", &["node", "endhost", "endpoint", "client", "server", "station", "terminal", "pc", "computer"]),
    ("switch", &["bridge", "hub", "l2switch", "ovs", "openvswitch"]),
    ("router", &["gateway", "l3switch"]),
    // Networks.
    ("fat-tree", &["clos", "foldedclos"]),
    ("leaf-spine", &["spineleaf", "clos"]),
    ("line", &["chain", "linear", "daisychain"]),
    ("torus", &["mesh", "grid"]),
    // Keys.
    ("kind", &["type", "discipline", "qdisc", "scheduler"]),
    (
        "bandwidth",
        &[
            "bw",
            "rate",
            "datarate",
            "bitrate",
            "linkrate",
            "linkspeed",
            "linerate",
            "capacity",
            "throughput",
            "speed",
        ],
    ),
    ("rate", &["bandwidth", "bw", "datarate", "bitrate", "throughput", "cir"]),
    ("delay", &["latency", "propagation", "propagationdelay", "lag"]),
    (
        "buffer",
        &[
            "limit",
            "queue",
            "queuesize",
            "queuelength",
            "queuelimit",
            "queuecapacity",
            "qlen",
            "qsize",
            "maxsize",
            "buffersize",
            "packetcapacity",
            "size",
        ],
    ),
    ("limit", &["buffer", "queuesize", "queuelength", "maxsize"]),
    ("burst", &["bucket", "bucketsize", "burstsize", "depth", "mbs"]),
    ("loss", &["lossrate", "lossratio", "packetloss", "plr", "drop", "droprate", "errorrate"]),
    ("ptm", &["queue", "discipline", "qdisc", "scheduler", "aqm", "queueing"]),
    ("between", &["ends", "nodes", "endpoints", "ports"]),
    ("addresses", &["address", "ip", "ips", "prefix", "subnet"]),
    ("processing", &["processingdelay", "processingtime", "switchingdelay"]),
    ("match", &["filter", "classifier", "matches"]),
    ("class", &["classes", "queues", "bands", "band"]),
    ("dscp", &["tos", "ds", "phb", "trafficclass"]),
    ("pcp", &["cos", "8021p", "dot1p", "vlanpriority", "vlanprio", "priority", "prio"]),
    ("vlan", &["vid", "vlanid", "tag"]),
    ("mtu", &["maxframe", "maxframesize", "maxpacket", "framesize"]),
    ("min", &["minth", "minthreshold", "thmin", "threshold"]),
    ("max", &["maxth", "maxthreshold", "thmax"]),
    ("max_p", &["maxprob", "probability", "maxprobability"]),
    ("weight", &["weights", "share"]),
    ("from", &["source", "src", "sender"]),
    ("to", &["destination", "dst", "dest", "receiver", "sink"]),
    ("size", &["packetsize", "length", "packetlength", "pktsize", "framesize"]),
    ("packets", &["count", "number", "maxpackets", "numpackets", "numberofpackets"]),
    ("interval", &["period", "gap", "interarrival", "interarrivaltime"]),
    ("start", &["begin", "starttime", "startat"]),
    ("stop", &["end", "stoptime", "stopat", "duration"]),
    ("until", &["end", "stop", "stoptime", "duration", "simulationtime"]),
    ("capture", &["file", "pcap", "trace"]),
];

/// The name among `known` that `name` is a synonym or another spelling of.
pub(super) fn synonym<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let squeezed = squeezed(name);
    let others = |known: &str| {
        let list = SYNONYMS.iter().find(|(ours, _)| *ours == known);
        list.is_some_and(|(_, others)| others.contains(&squeezed.as_str()))
    };
    known.into_iter().find(|&known| known != name && (self::squeezed(known) == squeezed || others(known)))
}

/// A name without prefixes, endings and separators: `ns3::FqCoDelQueueDisc` and `fq_codel` are `fqcodel`.
fn squeezed(name: &str) -> String {
    let lower = name.trim().to_lowercase();
    let lower = lower.strip_prefix("ns3::").unwrap_or(&lower);
    let lower = lower.split('<').next().unwrap_or(lower);
    let mut plain = lower.replace(['-', '_', ' ', '.'], "");
    for ending in ["queuedisc", "queueing", "queuing", "queue", "qdisc", "scheduler", "discipline"] {
        if let Some(rest) = plain.strip_suffix(ending).filter(|rest| !rest.is_empty()) {
            plain.truncate(rest.len());
            break;
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISCIPLINES: [&str; 18] = [
        "fifo",
        "token-bucket",
        "red",
        "codel",
        "fq-codel",
        "cake",
        "fq",
        "sfq",
        "pie",
        "fq-pie",
        "priority",
        "htb",
        "drr",
        "ets",
        "wrr",
        "wfq",
        "netem",
        "neural",
    ];

    #[test]
    fn names_of_other_tools_lead_to_ours() {
        for (name, ours) in [
            ("tbf", "token-bucket"),
            ("leaky-bucket", "token-bucket"),
            ("Token_Bucket", "token-bucket"),
            ("shaper", "token-bucket"),
            ("DropTail", "fifo"),
            ("droptail", "fifo"),
            ("DropTailQueue", "fifo"),
            ("ns3::DropTailQueue<Packet>", "fifo"),
            ("taildrop", "fifo"),
            ("pfifo", "fifo"),
            ("bfifo", "fifo"),
            ("sp", "priority"),
            ("strict", "priority"),
            ("prio", "priority"),
            ("pfifo_fast", "priority"),
            ("PriorityQueue", "priority"),
            ("WRR", "wrr"),
            ("WrrScheduler", "wrr"),
            ("drr++", "drr"),
            ("fq_codel", "fq-codel"),
            ("FqCoDel", "fq-codel"),
            ("ns3::FqCoDelQueueDisc", "fq-codel"),
            ("weighted fair queueing", "wfq"),
            ("cbq", "htb"),
            ("WRED", "red"),
        ] {
            assert_eq!(synonym(name, DISCIPLINES), Some(ours), "{name}");
        }
        for name in ["hfsc", "x", "", "queue", "fifo"] {
            assert_eq!(synonym(name, DISCIPLINES), None, "{name}");
        }
    }

    #[test]
    fn the_place_decides_what_a_key_means() {
        assert_eq!(synonym("rate", ["bandwidth", "delay"]), Some("bandwidth"));
        assert_eq!(synonym("bandwidth", ["rate", "burst"]), Some("rate"));
        assert_eq!(synonym("cos", ["dscp", "pcp"]), Some("pcp"));
    }

    #[test]
    fn every_name_is_squeezed() {
        for (ours, others) in SYNONYMS {
            assert!(others.iter().all(|other| squeezed(other) == *other), "{ours}");
        }
    }
}
