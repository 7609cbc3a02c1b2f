//! Classes by VLAN tag, and the order of packets that arrive at one instant.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use taunet::capture::{Frame, LinkType, Options as CaptureOptions, PcapngWriter, Reader, headers};
use taunet::engine::Engine;
use taunet::packet::{FlowKey, Packet, VlanTag};
use taunet::run::{RunOptions, run};
use taunet::scenario::Scenario;
use taunet::table::Format;
use taunet::units::Timestamp;

/// `c1` and `c2` send to `z` through a switch; all links of 100 Mbps and no delay.
fn topology(ptm: &str) -> String {
    format!(
        r#"
name = "tie"
[defaults.link]
bandwidth = "100 Mbps"
[[device]]
name = "c1"
kind = "host"
addresses = ["10.0.0.1"]
[[device]]
name = "c2"
kind = "host"
addresses = ["10.0.0.2"]
[[device]]
name = "s"
kind = "switch"
[[device]]
name = "z"
kind = "host"
addresses = ["10.0.0.9"]
[[link]]
between = ["c1:0", "s:0"]
[[link]]
between = ["c2:0", "s:1"]
[[link]]
between = ["s:2", "z:0"]
ptm = {{ kind = "priority", {ptm} }}
"#
    )
}

/// A packet of 1000 B from each client at 0 s, with these keys.
fn one_each(keys: [&str; 2]) -> String {
    let entry = |(number, keys): (usize, &str)| {
        format!(
            "[[traffic]]\nkind = \"cbr\"\nfrom = \"c{}\"\nto = \"z\"\ninterval = \"1 s\"\nsize = \"1000 B\"\npackets = 1\n{keys}\n",
            number + 1
        )
    };
    keys.into_iter().enumerate().map(entry).collect()
}

/// The delays [us] of the packets of a run, by pid, which both engines agree about.
fn delays(folder: &Path, ptm: &str, traffic: &str) -> Vec<u64> {
    fs::write(folder.join("topology.toml"), topology(ptm)).unwrap();
    let path = folder.join("scenario.toml");
    let record = "[record]\nvantages = [\"s:2 egress\"]\n";
    fs::write(&path, format!("name = \"tie\"\ntopology = \"topology.toml\"\n{traffic}{record}")).unwrap();
    let scenario = Scenario::load(&path, &[], None).unwrap_or_else(|error| panic!("{error}"));
    let mut found: Vec<Vec<u64>> = Vec::new();
    for engine in [Engine::Event, Engine::Stream] {
        let out = folder.join(format!("{engine:?}"));
        let options = RunOptions {
            out: out.clone(),
            replace: true,
            format: Format::Csv,
            capture: CaptureOptions::default(),
            overrides: Vec::new(),
            engine: Some(engine),
            threads: 1,
        };
        run(&scenario, &options, |_| ControlFlow::Continue(())).unwrap();
        let mut reader = csv::Reader::from_path(out.join("packets.csv")).unwrap();
        let column = |name: &str, headers: &csv::StringRecord| headers.iter().position(|head| head == name);
        let headers = reader.headers().unwrap().clone();
        let (pid, delay) = (column("pid", &headers).unwrap(), column("delay_ps", &headers).unwrap());
        let number = |row: &csv::StringRecord, column: usize| row[column].parse::<u64>().unwrap();
        let mut rows: Vec<(u64, u64)> = reader
            .records()
            .map(|row| row.unwrap())
            .map(|row| (number(&row, pid), number(&row, delay) / 1_000_000))
            .collect();
        rows.sort_unstable();
        found.push(rows.into_iter().map(|(_, delay)| delay).collect());
    }
    assert_eq!(found[0], found[1], "the engines disagree");
    found.swap_remove(0)
}

const BY_DSCP: &str = "class = [{ match = { dscp = 40 } }, {}]";

#[test]
fn of_two_packets_at_one_instant_the_class_goes_first_where_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let traffic = one_each(["dscp = 16", "dscp = 40"]);
    // 80 us on each link: the first is through after 160 us, the second waits for 80 us.
    assert_eq!(delays(folder.path(), BY_DSCP, &traffic), [160, 240], "as Linux: the first arrival");
    let by_class = format!("at_one_instant = \"class\", {BY_DSCP}");
    assert_eq!(delays(folder.path(), &by_class, &traffic), [240, 160]);
}

#[test]
fn classes_are_told_by_priority_and_vlan() {
    let folder = tempfile::tempdir().unwrap();
    let order = |class: &str, keys| {
        delays(
            folder.path(),
            &format!("at_one_instant = \"class\", class = [{class}, {{}}]"),
            &one_each(keys),
        )
    };
    assert_eq!(order("{ match = { pcp = 5 } }", ["pcp = 2", "pcp = 5"]), [240, 160]);
    assert_eq!(order("{ match = { pcp = 5 } }", ["pcp = 5", "pcp = 5\nvlan = 7"]), [160, 240]);
    assert_eq!(order("{ match = { vlan = \"100-200\" } }", ["dscp = 40", "vlan = 150"]), [240, 160]);
    assert_eq!(
        order("{ match = { vlan = 100, pcp = [6, 7] } }", ["vlan = 100", "vlan = 100\npcp = 7"]),
        [240, 160]
    );
    assert_eq!(order("{ match = { pcp = 0 } }", ["", "vlan = 3"]), [240, 160], "no tag is no priority");

    // What is sent is tagged also in a capture.
    let file = folder.path().join("Event/vantage-0-s-2-egress.pcapng");
    let mut reader = Reader::open(&file, &CaptureOptions::default()).unwrap();
    let mut tags = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        tags.push(Frame::parse(record.link_type, record.bytes, record.original_length).vlan_tag());
    }
    assert_eq!(tags, [VlanTag::new(0, 3).unwrap(), VlanTag::NONE]);
}

#[test]
fn a_replayed_packet_keeps_its_tag() {
    let folder = tempfile::tempdir().unwrap();
    let key: FlowKey = "10.0.0.1:1 > 10.0.0.9:2 UDP".parse().unwrap();
    let mut writer = PcapngWriter::new(Vec::new(), LinkType::ETHERNET, "eth0").unwrap();
    for (number, tag) in [(2, 100), (5, 100), (5, 1)].into_iter().enumerate() {
        let tag = VlanTag::new(tag.0, tag.1).unwrap();
        let packet = Packet { pid: number as u64, length: 1_000, ttl: 64, tag, ..Packet::default() };
        let mut bytes = Vec::new();
        headers(&key, &packet, &mut bytes);
        writer.write(Timestamp::from_ps(0), 1_000, &bytes, number as u64).unwrap();
    }
    fs::write(folder.path().join("tagged.pcapng"), writer.finish().unwrap()).unwrap();
    let traffic = "[[traffic]]\nkind = \"replay\"\ncapture = \"tagged.pcapng\"\nat = { port = \"s:0\", direction = \"ingress\" }\n";
    let ptm = "at_one_instant = \"class\", class = [{ match = { pcp = 5, vlan = 100 } }, { match = { pcp = 5 } }, {}]";
    assert_eq!(delays(folder.path(), ptm, traffic), [240, 80, 160]);
}
