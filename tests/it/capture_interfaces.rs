//! Files with several interfaces: listing, selection, and the warning about packets that appear twice.
//! Captures from standard input. The reorder window as an option.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;
use taunet::capture::LinkType;

use crate::capture_formats::modified_pcap;
use crate::pcapng::PcapNgFile;

const PACKETS: u64 = 300;
/// From one interface to the other.
const PASSAGE_NS: u64 = 400_000;
const START_NS: u64 = 1_600_000_000_000_000_000;

/// A UDP datagram, as the Ethernet frame of one side of a router.
fn frame(number: u64, ttl: u8) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    let [high, low] = (number as u16 + 1).to_be_bytes();
    frame.extend([0x45, 0, 0, 128, high, low, 0, 0, ttl, 17, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2]);
    frame.extend([0x13, 0x88, 0, 9, 0, 108, 0, 0]);
    frame.extend((0..100).map(|byte| (number * 31 + byte * 7) as u8));
    frame
}

/// Every packet at both sides, in order of time: instant, side (0 or 1), frame.
fn passages() -> Vec<(u64, u32, Vec<u8>)> {
    let gap = |number: u64| number * 1_000_000 + number * number % 7 * 50_000;
    let mut all: Vec<_> = (0..PACKETS)
        .flat_map(|number| {
            let at = START_NS + gap(number);
            [(at, 0, frame(number, 64)), (at + PASSAGE_NS, 1, frame(number, 63))]
        })
        .collect();
    all.sort_by_key(|(at, ..)| *at);
    all
}

/// A pcapng file of a router's two interfaces; the first has the packets as received, the second as sent.
fn pcapng(link_types: [u16; 2], options: bool) -> Vec<u8> {
    let mut file = PcapNgFile::new(false);
    for (name, link_type) in [("eth0", link_types[0]), ("eth1", link_types[1])] {
        file.interface(link_type, 0, &[(2, name.into()), (9, vec![9])]);
    }
    for (at, side, frame) in passages() {
        let flags = [(5, vec![0; 8]), (2, vec![side as u8 + 1, 0, 0, 0])];
        file.enhanced_packet_with(side, at, frame.len() as u32, &frame, if options { &flags } else { &[] });
    }
    file.bytes
}

/// The same as `tcpdump -i any` has it: interfaces 2 and 3, and the packet type that says the direction.
fn any(link_type: LinkType) -> Vec<u8> {
    let frame = |side: u32, ethernet: &[u8]| {
        let packet_type = side as u8 * 4;
        let header = match link_type {
            LinkType::LINUX_SLL2 => [8, 0, 0, 0, 0, 0, 0, 2 + side as u8, 0, 1, packet_type, 6].to_vec(),
            _ => vec![0, packet_type, 0, 1, 0, 6],
        };
        let mut frame = [&header[..], &[2, 0, 0, 0, 0, 1, 0, 0]].concat();
        if link_type == LinkType::LINUX_SLL {
            frame.extend([8, 0]);
        }
        frame.extend(&ethernet[14..]);
        frame
    };
    let mut bytes = vec![];
    let mut writer =
        taunet::capture::Writer::new(&mut bytes, taunet::capture::Resolution::Nanoseconds, link_type, 65_535)
            .unwrap();
    for (at, side, ethernet) in passages() {
        let frame = frame(side, &ethernet);
        writer.write(taunet::units::Timestamp::from_ns(at.into()), frame.len() as u32, &frame).unwrap();
    }
    bytes
}

const TOPOLOGY: &str = r#"name = "one-router"
device = [
    { name = "a", kind = "host", addresses = ["192.0.2.1"] },
    { name = "r1", kind = "router" },
    { name = "b", kind = "host", addresses = ["198.51.100.2"] },
]
link = [
    { between = ["a:0", "r1:0"], bandwidth = "unlimited", delay = "0 s" },
    { between = ["r1:1", "b:0"], bandwidth = "10 Mbps", delay = "0 s" },
]
"#;

struct Made {
    folder: tempfile::TempDir,
}

impl Made {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        write("router.pcapng", &pcapng([1, 1], false));
        write("flags.pcapng", &pcapng([1, 1], true));
        write("any.pcap", &any(LinkType::LINUX_SLL2));
        write("cooked.pcap", &any(LinkType::LINUX_SLL));
        let passages = passages();
        let modified: Vec<(u32, u32, u8, &[u8])> = passages
            .iter()
            .zip(1..)
            .map(|((_, side, frame), second)| (second, side + 3, *side as u8 * 4, frame.as_slice()))
            .collect();
        write("modified.pcap", &modified_pcap(true, &modified));
        write("topology.toml", TOPOLOGY.as_bytes());
        Made { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs taunet in the folder, with a file as its standard input if one is named: (exit code, stdout, stderr).
    fn taunet_reading(&self, input: Option<&str>, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_taunet"));
        command.current_dir(self.folder.path()).args(arguments);
        if let Some(input) = input {
            command.write_stdin(fs::read(self.path(input)).unwrap());
        }
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn taunet(&self, arguments: &[&str]) -> (i32, String, String) {
        self.taunet_reading(None, arguments)
    }

    /// The JSON of a command that succeeds, and what it says on standard error.
    #[track_caller]
    fn json(&self, arguments: &[&str]) -> (Value, String) {
        let (code, stdout, stderr) = self.taunet(&[arguments, &["--json"]].concat());
        assert_eq!(code, 0, "{stderr}");
        (serde_json::from_str(&stdout).unwrap(), stderr)
    }

    /// How many packets an `inspect` with these flags takes.
    #[track_caller]
    fn taken(&self, file: &str, flags: &[&str]) -> u64 {
        let (found, stderr) = self.json(&[&["inspect", file], flags].concat());
        assert_eq!(stderr, "", "nothing passes twice");
        found["packets"].as_u64().unwrap()
    }

    #[track_caller]
    fn refused(&self, arguments: &[&str]) -> String {
        let (code, stdout, stderr) = self.taunet(arguments);
        assert_eq!(code, 2, "{stdout}{stderr}");
        stderr
    }

    fn scenario(&self, replay: &str, measured: &str) {
        let text = format!(
            "name = \"s\"\ntopology = \"topology.toml\"\n\
             [[traffic]]\nkind = \"replay\"\n{replay}\nat = {{ port = \"r1:0\", direction = \"ingress\" }}\n{measured}"
        );
        fs::write(self.path("scenario.toml"), text).unwrap();
    }
}

#[test]
fn interfaces_are_listed() {
    let made = Made::new();
    let (code, stdout, stderr) = made.taunet(&["inspect", "router.pcapng"]);
    assert_eq!(code, 0);
    let told = "interfaces         2\n  0 eth0           300 packets, link type 1 (ETHERNET)\n  \
                1 eth1           300 packets, link type 1 (ETHERNET)\n";
    assert!(stdout.contains(told), "{stdout}");
    assert!(
        stderr.starts_with(
            "warning: router.pcapng: 300 of 600 IP packets appear twice within 1 s, the first at interface 0, and then \
             interface 1 (eth1): each is counted twice; select one place with --interface"
        ),
        "{stderr}"
    );
    let (found, stderr) = made.json(&["inspect", "any.pcap"]);
    let row = |number: u64, packets_in: u64| {
        serde_json::json!({
            "number": number, "name": null, "link_type": "276 (LINUX_SLL2)", "packets": 300,
            "packets_in": packets_in, "packets_out": 300 - packets_in,
        })
    };
    assert_eq!(found["by_interface"], serde_json::json!([row(2, 300), row(3, 0)]));
    assert_eq!(found["interfaces"], 2);
    assert!(stderr.contains("the first at interface 2, in, and then interface 3, out"), "{stderr}");
    let (_, stdout, _) = made.taunet(&["inspect", "any.pcap"]);
    assert!(stdout.contains("  3                300 packets (0 in, 300 out), link type 276"), "{stdout}");
    // without an interface, by the direction
    let (_, _, stderr) = made.taunet(&["inspect", "cooked.pcap"]);
    assert!(stderr.contains("300 of 600 IP packets appear twice"), "{stderr}");
}

#[test]
fn one_interface_or_direction_is_chosen() {
    let made = Made::new();
    for interface in ["eth1", "1"] {
        assert_eq!(made.taken("router.pcapng", &["--interface", interface]), 300);
    }
    assert_eq!(made.taken("flags.pcapng", &["--direction", "out"]), 300);
    assert_eq!(made.taken("any.pcap", &["--interface", "3"]), 300);
    assert_eq!(made.taken("any.pcap", &["--interface", "2", "--direction", "in"]), 300);
    assert_eq!(made.taken("cooked.pcap", &["--direction", "in"]), 300);
    assert_eq!(made.taken("modified.pcap", &["--interface", "4"]), 300);
    assert_eq!(made.taken("modified.pcap", &["--direction", "in"]), 300);
    // record numbers are those of the file
    let (_, _, _) =
        made.taunet(&["inspect", "router.pcapng", "--interface", "eth1", "--packets", "rows.csv"]);
    let rows = fs::read_to_string(made.path("rows.csv")).unwrap();
    let mut rows = rows.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let at = rows.next().unwrap().iter().position(|name| *name == "record").unwrap();
    assert_eq!(rows.next().unwrap()[at], "1");
    // the other interface may be of a kind that is not supported
    fs::write(made.path("mixed.pcapng"), pcapng([195, 1], false)).unwrap();
    assert_eq!(made.taken("mixed.pcapng", &["--interface", "eth1"]), 300);
    assert!(made.refused(&["inspect", "mixed.pcapng", "--interface", "eth0"]).contains("195"));
    assert_eq!(made.taken("router.pcapng", &["--interface", "eth1", "--max-packets", "7"]), 7);
}

#[test]
fn what_is_not_in_a_capture_is_refused_with_what_is() {
    let made = Made::new();
    let (eth0, eth1) = (
        "interface 0 (eth0) with packets: 300 without a direction",
        "interface 1 (eth1) with packets: 300 without",
    );
    for (arguments, wanted, found) in [
        (["router.pcapng", "--interface", "eth7"], "interface `eth7`", eth0),
        (["router.pcapng", "--interface", "2"], "interface `2`", eth1),
        (["router.pcapng", "--direction", "in"], "packet with the direction `in`", eth1),
        (["any.pcap", "--interface", "eth0"], "interface `eth0`", "interface 3 with packets: 300 out"),
        (
            ["tests.pcap", "--direction", "out"],
            "packet with the direction `out`",
            "interface 0 with packets: 1",
        ),
    ] {
        let single = [&[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0][..], &[0; 10], &[1, 0, 1, 0, 0, 0]].concat();
        let record = [&[0; 8][..], &[60, 0, 0, 0, 60, 0, 0, 0], &[0; 60]].concat();
        fs::write(made.path("tests.pcap"), [single, record].concat()).unwrap();
        let error = made.refused(&[&["inspect"], &arguments[..]].concat());
        assert!(error.contains(&format!("{} has no {wanted}; it has ", arguments[0])), "{error}");
        assert!(error.contains(found), "{error}");
    }
    let error = made.refused(&["inspect", "any.pcap", "--interface", "2", "--direction", "out"]);
    assert!(
        error.contains("has no packet of interface `2` with the direction `out`; it has interface 2"),
        "{error}"
    );
    for arguments in [
        &[
            "compare",
            "router.pcapng",
            "router.pcapng",
            "--interface-first",
            "eth0",
            "--interface-second",
            "x",
        ][..],
        &["calibrate", "-o", "d", "--ingress", "any.pcap", "--egress", "any.pcap", "--egress-interface", "x"],
    ] {
        assert!(made.refused(arguments).contains("has no interface `x`"));
    }
    made.scenario("capture = \"router.pcapng\"\ninterface = \"eth7\"", "");
    assert!(made.refused(&["run", "scenario.toml", "-o", "r"]).contains("has no interface `eth7`"));
    // that of a measured capture, before the simulation
    let measured = "[[measured]]\ncapture = \"router.pcapng\"\ninterface = 9\n\
                    at = { port = \"r1:1\", direction = \"egress\" }";
    made.scenario("capture = \"router.pcapng\"\ninterface = 0", measured);
    assert!(made.refused(&["run", "scenario.toml", "-o", "r"]).contains("has no interface `9`"));
    assert!(!made.path("r").exists());
    for (keys, wrong) in [
        ("interface = -1", "from 0 to"),
        ("interface = \"\"", "write the name"),
        ("direction = \"up\"", "up"),
    ] {
        made.scenario(&format!("capture = \"router.pcapng\"\n{keys}"), "");
        let error = made.refused(&["check", "scenario.toml"]);
        assert!(error.contains(wrong), "{error}");
    }
    let error = made.refused(&["compare", ".", "any.pcap", "--at", "r1:1 egress", "--interface-first", "2"]);
    assert!(error.contains("is a run directory"), "{error}");
}

#[test]
fn two_interfaces_of_one_file_are_compared() {
    let made = Made::new();
    for (file, first, second) in [
        ("router.pcapng", ["--interface-first", "eth0"], ["--interface-second", "eth1"]),
        ("flags.pcapng", ["--direction-first", "in"], ["--direction-second", "out"]),
        ("any.pcap", ["--interface-first", "2"], ["--interface-second", "3"]),
        ("cooked.pcap", ["--direction-first", "in"], ["--direction-second", "out"]),
    ] {
        let (found, stderr) = made.json(&[&["compare", file, file][..], &first, &second].concat());
        assert_eq!((&found["matched"], &found["lost"]), (&300.into(), &0.into()), "{file}");
        assert_eq!((&found["only_first"], &found["only_second"]), (&0.into(), &0.into()));
        let delay = &found["delay_s"];
        for statistic in ["min", "mean", "max"] {
            let seconds = delay[statistic].as_f64().unwrap();
            assert!((seconds - 400e-6).abs() < 1e-9, "{file} {statistic} {seconds}");
        }
        assert_eq!(stderr, "", "{file}");
    }
    let (_, stderr) = made.json(&["compare", "router.pcapng", "router.pcapng"]);
    assert_eq!(stderr.matches("appear twice within 1 s").count(), 2, "{stderr}");
}

#[test]
fn one_interface_is_replayed_and_the_other_measured() {
    let made = Made::new();
    let measured = |file: &str, keys: &str| {
        format!(
            "[[measured]]\ncapture = \"{file}\"\n{keys}\nat = {{ port = \"r1:1\", direction = \"egress\" }}"
        )
    };
    for (file, first, second) in [
        ("router.pcapng", "interface = \"eth0\"", "interface = \"eth1\""),
        ("flags.pcapng", "direction = \"in\"", "direction = \"out\""),
        ("any.pcap", "interface = 2", "interface = \"3\"\ndirection = \"out\""),
    ] {
        made.scenario(&format!("capture = \"{file}\"\n{first}"), &measured(file, second));
        let (found, stderr) = made.json(&["run", "scenario.toml", "-o", "r", "--force"]);
        assert_eq!(found["packets"]["injected"], 300, "{file}");
        assert_eq!(found["measured"][0]["matched"], 300, "{file}");
        let delay = found["measured"][0]["delay_s"]["measured"]["mean"].as_f64();
        assert!(delay.is_some_and(|delay| (delay - 400e-6).abs() < 1e-9), "{}", found["measured"][0]);
        assert_eq!(stderr, "");
    }
    // a run that was made, against an interface
    let arguments = ["compare", "r", "router.pcapng", "--at", "r1:1 egress", "--interface-second", "eth1"];
    assert_eq!(made.json(&arguments).0["measured"]["matched"], 300);
    made.scenario("capture = \"router.pcapng\"", "");
    let (found, stderr) = made.json(&["run", "scenario.toml", "-o", "r", "--force"]);
    assert_eq!(found["packets"]["injected"], 600);
    assert!(stderr.contains("router.pcapng: 300 of 600 IP packets appear twice"), "{stderr}");
    assert!(stderr.contains("`interface` or `direction` beside `capture`"), "{stderr}");
}

#[test]
fn a_device_is_calibrated_from_one_file() {
    let made = Made::new();
    let flags = ["--ingress-interface", "eth0", "--egress-interface", "eth1", "--reorder-window", "3 s"];
    let arguments = ["calibrate", "--ingress", "router.pcapng", "--egress", "router.pcapng", "-o", "found"];
    let (found, stderr) = made.json(&[&arguments[..], &flags].concat());
    assert_eq!((&found["packets"]["matched"], &found["packets"]["lost"]), (&300.into(), &0.into()));
    assert!(!stderr.contains("appear twice"), "{stderr}");
    assert_eq!(found["ingress_keys"][0]["interface"], "eth0");
    let scenario = fs::read_to_string(made.path("found/scenario.toml")).unwrap();
    for line in ["interface = \"eth0\"\n", "interface = \"eth1\"\n", "reorder_window = \"3 s\"\n"] {
        assert!(scenario.contains(line), "{scenario}");
    }
    let (again, _) = made.json(&["run", "found/scenario.toml", "-o", "r"]);
    assert_eq!(again["measured"][0]["matched"], 300);
    let wrong = ["--ingress-interface", "eth0", "eth1", "eth2", "--egress-interface", "eth1", "--force"];
    let error = made.refused(&[&arguments[..], &wrong].concat());
    assert!(error.contains("--ingress-interface is given 3 times for 1 capture: "), "{error}");
}

#[test]
fn standard_input_is_a_capture() {
    let made = Made::new();
    let gzip = |name: &str| {
        let bytes = fs::read(made.path(name)).unwrap();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, &bytes).unwrap();
        fs::write(made.path(&format!("{name}.gz")), encoder.finish().unwrap()).unwrap();
    };
    gzip("any.pcap");
    for file in ["router.pcapng", "any.pcap", "any.pcap.gz"] {
        let (code, stdout, stderr) = made.taunet_reading(Some(file), &["inspect", "-"]);
        assert_eq!(code, 0);
        assert!(stdout.starts_with("Loaded 600 packets"), "{stdout}");
        assert!(stderr.starts_with("warning: standard input: 300 of 600"), "{stderr}");
    }
    let both = ["--interface-first", "eth0", "--interface-second", "eth1", "--json"];
    let compare = |input: &str, arguments: &[&str]| {
        made.taunet_reading(Some(input), &[&["compare"], arguments, &both].concat())
    };
    for sides in [["-", "router.pcapng"], ["router.pcapng", "-"]] {
        let (code, stdout, stderr) = compare("router.pcapng", &sides);
        assert_eq!((code, stderr.as_str()), (0, ""));
        assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap()["matched"], 300);
    }
    for arguments in [&["-", "-"][..], &["-", "router.pcapng", "--nat"]] {
        let (code, _, stderr) = compare("router.pcapng", arguments);
        assert_eq!(code, 2);
        assert!(
            stderr.contains("can be read only once") && stderr.contains("save it to a file first"),
            "{stderr}"
        );
    }
    made.scenario("capture = \"-\"\ninterface = \"eth0\"", "");
    let run = ["run", "scenario.toml", "-o", "r", "--json"];
    let (code, stdout, stderr) = made.taunet_reading(Some("router.pcapng"), &run);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap()["packets"]["injected"], 300);
    let error = made.refused(&["compare", "r", "router.pcapng", "--at", "r1:1 egress"]);
    assert!(error.contains("the run read standard input, which cannot be read again"), "{error}");
    made.scenario("capture = \"-\"\nrate = \"1 Mbps\"", "");
    let (code, _, stderr) = made.taunet_reading(Some("router.pcapng"), &["run", "scenario.toml", "-o", "r2"]);
    assert!(code == 2 && stderr.contains("a replay finds its `rate` in the first pass"), "{stderr}");
    let measured = "[[measured]]\ncapture = \"-\"\nat = { port = \"r1:1\", direction = \"egress\" }";
    made.scenario("capture = \"-\"", measured);
    let error = made.refused(&["check", "scenario.toml"]);
    assert!(error.contains("two captures are read from standard input"), "{error}");
    let calibrate = ["calibrate", "--ingress", "-", "--egress", "router.pcapng", "-o", "found"];
    let flags = ["--ingress-interface", "eth0", "--egress-interface", "eth1"];
    let (code, _, stderr) = made.taunet_reading(Some("router.pcapng"), &[&calibrate[..], &flags].concat());
    assert_eq!(code, 0, "{stderr}");
    assert!(fs::read_to_string(made.path("found/scenario.toml")).unwrap().contains("capture = \"-\"\n"));
}

/// 300 packets, of which the second half was put before the first, 10 s further on.
fn appended(path: &Path) {
    let mut file = PcapNgFile::new(false);
    file.interface(1, 0, &[]);
    let order = (150..300).chain(0..150u64);
    for number in order {
        let at = 1_600_000_000_000_000 + number * 40_000;
        let frame = frame(number, 64);
        file.enhanced_packet(0, at, frame.len() as u32, &frame);
    }
    fs::write(path, file.bytes).unwrap();
}

#[test]
fn the_reorder_window_is_an_option() {
    let made = Made::new();
    appended(&made.path("appended.pcapng"));
    made.scenario("capture = \"appended.pcapng\"", "");
    let run = ["run", "scenario.toml", "-o", "r", "--force"];
    let error = made.refused(&run);
    for remedy in ["--reorder-window", "`reorder_window`", "reordercap", "--lenient"] {
        assert!(error.contains(remedy), "{error}");
    }
    let (found, stderr) = made.json(&[&run[..], &["--reorder-window", "12s"]].concat());
    assert_eq!(found["packets"]["delivered"], 300);
    assert!(stderr.contains("150 packets were out of order"), "{stderr}");
    made.scenario("capture = \"appended.pcapng\"\nreorder_window = \"12 s\"", "");
    assert_eq!(made.json(&run).0["packets"]["delivered"], 300);
    let compare = ["compare", "appended.pcapng", "appended.pcapng"];
    assert!(made.refused(&compare).contains("--reorder-window"));
    let (found, _) = made.json(&[&compare[..], &["--reorder-window", "12 s"]].concat());
    assert_eq!(found["matched"], 300);
    let (found, _) = made.json(&["inspect", "appended.pcapng", "--reorder-window", "12 s"]);
    let order = &found["time_order"];
    assert_eq!((&order["reorder_window_s"], &order["beyond_window_packets"]), (&12.0.into(), &0.into()));
}
