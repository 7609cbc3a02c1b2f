//! Calibration: recovers known devices from captures of their simulation, and real devices from their
//! recordings.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use taunet::calibrate::{
    Bottleneck, CalibrateError, CalibrateOptions, Calibration, Counts, DisciplineKind, LossFinding,
    calibrate, write,
};
use taunet::capture::Options as CaptureOptions;
use taunet::run::{RunOptions, Summary, run};
use taunet::scenario::Scenario;
use taunet::table::Format;
use taunet::units::ByteCount;

fn simulate(scenario: &Path, out: PathBuf) -> Summary {
    let scenario = Scenario::load(scenario, &[], None).unwrap();
    let options = RunOptions {
        out,
        replace: false,
        format: Format::Parquet,
        capture: CaptureOptions::default(),
        overrides: Vec::new(),
        engine: None,
        threads: 1,
    };
    run(&scenario, &options, |_| ControlFlow::Continue(())).unwrap()
}

pub fn find(ingress: &[PathBuf], egress: &Path) -> Result<Calibration, CalibrateError> {
    let options = CalibrateOptions {
        ingress: ingress.to_vec(),
        egress: egress.to_owned(),
        ..CalibrateOptions::default()
    };
    calibrate(&options, |_| ControlFlow::Continue(()))
}

/// A device between two hosts, traffic through it, and the captures on either side.
pub struct Known {
    pub folder: tempfile::TempDir,
    pub ingress: PathBuf,
    pub egress: PathBuf,
}

impl Known {
    /// `device` are keys of the router, `link` those of its egress link; `egress` is where the second capture is taken.
    pub fn new(device: &str, link: &str, traffic: &str, egress: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let topology = format!(
            r#"name = "known"
[[device]]
name = "a"
kind = "host"
addresses = ["10.0.0.1"]
[[device]]
name = "r1"
kind = "router"
{device}
[[device]]
name = "b"
kind = "host"
addresses = ["10.0.1.1"]
[[link]]
between = ["a:0", "r1:1"]
bandwidth = "unlimited"
delay = "0 s"
[[link]]
between = ["r1:0", "b:0"]
delay = "0 s"
{link}
"#
        );
        let scenario = format!(
            "name = \"known\"\ntopology = \"topology.toml\"\n{traffic}\n\
             [record]\nvantages = [\"r1:1 ingress\", \"{egress}\"]\n"
        );
        fs::write(folder.path().join("topology.toml"), topology).unwrap();
        fs::write(folder.path().join("scenario.toml"), scenario).unwrap();
        simulate(&folder.path().join("scenario.toml"), folder.path().join("run"));
        let mut captures: Vec<PathBuf> = fs::read_dir(folder.path().join("run"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "pcapng"))
            .collect();
        captures.sort();
        let [first, second] = &captures[..] else { panic!("{captures:?}") };
        let (ingress, egress) = (first.clone(), second.clone());
        Known { folder, ingress, egress }
    }

    pub fn find(&self) -> Calibration {
        find(std::slice::from_ref(&self.ingress), &self.egress).unwrap()
    }

    /// Writes the calibration, and runs what was written at once.
    pub fn written(&self, calibration: &Calibration) -> Summary {
        let place = self.folder.path().join("found");
        write(calibration, &place, false).unwrap();
        simulate(&place.join("scenario.toml"), self.folder.path().join("again"))
    }
}

const MIXED: &str = r#"size = { mixture = [{ size = "64 B", weight = 4 }, { size = "576 B", weight = 3 }, { size = "1514 B", weight = 3 }] }"#;

pub fn poisson(rate: &str, name: &str, ports: u16, packets: u32) -> String {
    format!(
        "[[traffic]]\nkind = \"poisson\"\nname = \"{name}\"\nfrom = \"a\"\nto = \"b\"\nrate = \"{rate}\"\n\
         {MIXED}\npackets = {packets}\nports = {{ source = 4000, destination = {ports} }}\n"
    )
}

pub fn within(found: f64, truth: f64, part: f64) {
    assert!((found - truth).abs() <= part * truth, "{found} is not {truth} to {part}");
}

pub fn w1(calibration: &Calibration) -> f64 {
    calibration.held_out.expect("two halves").w1_normalized().expect("delays")
}

#[test]
fn a_token_bucket_with_a_buffer_comes_back() {
    for (rate, burst, buffer, slack, load) in [
        (8.0, 3_000, 20_000, 25, "7.5 Mbps"),
        (50.0, 1_600, 9_000, 0, "47 Mbps"),
        (2.0, 5_000, 30_000, 60, "1.9 Mbps"),
    ] {
        let ptm = format!(
            "ptm = {{ kind = \"token-bucket\", rate = \"{rate} Mbps\", burst = \"{burst} B\", buffer = \"{buffer} B\", \
             release_slack = \"{slack} us\" }}\nbandwidth = \"unlimited\""
        );
        let known =
            Known::new("processing = \"5 us\"", &ptm, &poisson(load, "main", 5_000, 30_000), "r1:0 egress");
        let found = known.find();
        let model = &found.model;
        assert_eq!((model.discipline, model.bottleneck), (DisciplineKind::Fifo, Bottleneck::TokenBucket));
        within(model.rate_bps as f64, rate * 1e6, 1e-3);
        within(model.burst_bytes as f64, burst.into(), 0.05);
        assert_eq!(model.processing_ps, 5_000_000);
        assert!((model.release_slack_ps as f64 / 1e6 - f64::from(slack)).abs() <= 15.0, "{model:?}");
        assert_eq!(model.overhead(), Some(ByteCount::ZERO));
        let buffer_found = model.buffer.expect("a buffer");
        assert_eq!(buffer_found.counts, Counts::Bytes);
        within(buffer_found.limit, buffer.into(), 0.02);
        assert!(w1(&found) < 0.02, "{}", w1(&found));
        let again = known.written(&found);
        let agreement = again.measured[0].delays.as_ref().unwrap().agreement;
        assert!(agreement.w1_normalized.unwrap() < 0.02, "{agreement:?}");
    }
}

#[test]
fn a_link_with_framing_and_a_buffer_of_packets_comes_back() {
    let link =
        "bandwidth = \"10 Mbps\"\noverhead = \"24 B\"\nptm = { kind = \"fifo\", buffer = \"12 packets\" }";
    let known =
        Known::new("processing = \"3 us\"", link, &poisson("9 Mbps", "main", 5_000, 30_000), "r1:0 egress");
    let found = known.find();
    let model = &found.model;
    assert_eq!((model.discipline, model.bottleneck), (DisciplineKind::Fifo, Bottleneck::Link));
    within(model.rate_bps as f64, 10e6, 1e-3);
    assert_eq!((model.overhead(), model.burst_bytes), (Some(ByteCount::new(24)), 0));
    let buffer = model.buffer.expect("a buffer");
    assert_eq!((buffer.counts, buffer.limit.floor()), (Counts::Packets, 12.0));
    assert!(w1(&found) < 0.005, "{}", w1(&found));
    assert!(
        known.written(&found).measured[0].delays.as_ref().unwrap().agreement.w1_normalized.unwrap() < 0.005
    );
}

/// Where the last bit has arrived behind the link, each sojourn has the transmission in it.
#[test]
fn an_egress_capture_behind_the_link_is_told() {
    let known = Known::new(
        "processing = \"3 us\"",
        "bandwidth = \"10 Mbps\"",
        &poisson("8 Mbps", "main", 5_000, 20_000),
        "b:0 ingress",
    );
    let found = find(std::slice::from_ref(&known.egress), &known.ingress).or_else(|_| {
        // The names of the captures sort by vantage, not by the way.
        find(std::slice::from_ref(&known.ingress), &known.egress)
    });
    let found = found.unwrap();
    assert!(found.model.at_far_end, "{:?}", found.estimates);
    assert_eq!(found.model.bottleneck, Bottleneck::Link);
    within(found.model.rate_bps as f64, 10e6, 1e-3);
    assert!(w1(&found) < 0.005, "{}", w1(&found));
    assert!(
        known.written(&found).measured[0].delays.as_ref().unwrap().agreement.w1_normalized.unwrap() < 0.005
    );
}

fn two_classes(kind: &str, keys: [&str; 2]) -> String {
    format!(
        "bandwidth = \"10 Mbps\"\n[link.ptm]\nkind = \"{kind}\"\n\
         [[link.ptm.class]]\n{}\nmatch = {{ destination_ports = \"5120-5183\" }}\n\
         [[link.ptm.class]]\n{}\n",
        keys[0], keys[1]
    )
}

fn two_flows() -> String {
    [poisson("4 Mbps", "first", 5_121, 12_000), poisson("5.7 Mbps", "second", 5_190, 17_000)].concat()
}

/// A link with two classes, one strictly first.
pub fn two_classes_in_order() -> Known {
    Known::new("processing = \"3 us\"", &two_classes("priority", ["", ""]), &two_flows(), "r1:0 egress")
}

#[test]
fn two_priorities_come_back() {
    let known = two_classes_in_order();
    let found = known.find();
    assert_eq!(found.model.discipline, DisciplineKind::Priority, "{:#?}", found.trials);
    let prios: Vec<(&str, u8)> =
        found.model.classes.iter().map(|class| (class.range.last.as_str(), class.prio)).collect();
    assert_eq!(prios, [("5183", 0), ("5190", 1)]);
    assert!(w1(&found) < 0.01, "{}", w1(&found));
    assert!(
        known.written(&found).measured[0].delays.as_ref().unwrap().agreement.w1_normalized.unwrap() < 0.01
    );
}

#[test]
fn shares_come_back_in_the_ratio_of_the_quanta() {
    let keys = ["quantum = \"1600 B\"", "quantum = \"4800 B\""];
    let traffic =
        [poisson("6 Mbps", "first", 5_121, 15_000), poisson("5.9 Mbps", "second", 5_190, 15_000)].concat();
    let known = Known::new("processing = \"3 us\"", &two_classes("drr", keys), &traffic, "r1:0 egress");
    let found = known.find();
    assert_eq!(found.model.discipline, DisciplineKind::Sharing, "{:#?}", found.trials);
    let quanta: Vec<f64> =
        found.model.classes.iter().map(|class| class.quantum_bytes.unwrap() as f64).collect();
    within(quanta[1] / quanta[0], 3.0, 0.1);
    within(quanta[0], 1_600.0, 0.1);
    known.written(&found);
}

#[test]
fn what_the_captures_do_not_show_is_said() {
    let known = Known::new(
        "processing = \"4 us\"",
        "bandwidth = \"unlimited\"",
        &poisson("2 Mbps", "main", 5_000, 3_000),
        "r1:0 egress",
    );
    let found = known.find();
    assert_eq!(found.model.discipline, DisciplineKind::Unlimited);
    assert_eq!((found.estimates.rate, found.model.buffer), (None, None));
    assert_eq!(found.model.processing_ps, 4_000_000);
    let said = found.not_identified.join("\n");
    assert!(said.contains("the rate") && said.contains("the buffer"), "{said}");
    known.written(&found);
}

#[test]
fn a_single_packet_gives_a_device() {
    let known = Known::new(
        "processing = \"4 us\"",
        "bandwidth = \"1 Mbps\"",
        &poisson("1 Mbps", "main", 5_000, 1),
        "r1:0 egress",
    );
    let found = known.find();
    assert_eq!(found.model.processing_ps, 4_000_000);
    assert_eq!(found.held_out, None);
    assert!(found.not_identified.iter().any(|text| text.contains("too few packets for two halves")));
    known.written(&found);
}

#[test]
fn captures_that_do_not_belong_together_are_refused() {
    let link = "bandwidth = \"10 Mbps\"";
    let known =
        Known::new("processing = \"3 us\"", link, &poisson("8 Mbps", "main", 5_000, 2_000), "r1:0 egress");
    let swapped = find(std::slice::from_ref(&known.egress), &known.ingress).unwrap_err();
    assert!(matches!(swapped, CalibrateError::LeavesBeforeItArrives { .. }), "{swapped}");
    assert!(swapped.is_bad_input() && swapped.to_string().contains("swapped"));
    let other = Known::new("", link, &poisson("8 Mbps", "main", 6_000, 2_000), "r1:0 egress");
    let strange = find(std::slice::from_ref(&known.ingress), &other.egress).unwrap_err();
    assert!(matches!(strange, CalibrateError::NothingShared { ingress: 2_000, egress: 2_000 }), "{strange}");
    assert!(matches!(find(&[], &other.egress), Err(CalibrateError::NoIngress)));
    let arp = PathBuf::from("tests/cmd/run.in/no-ip.pcap");
    assert!(matches!(find(std::slice::from_ref(&known.ingress), &arp), Err(CalibrateError::Empty { .. })));
}

#[test]
fn an_earlier_calibration_is_kept_unless_it_may_be_replaced() {
    let known = Known::new(
        "processing = \"4 us\"",
        "bandwidth = \"1 Mbps\"",
        &poisson("1 Mbps", "main", 5_000, 10),
        "r1:0 egress",
    );
    let found = known.find();
    let place = known.folder.path().join("found");
    write(&found, &place, false).unwrap();
    assert!(write(&found, &place, false).is_err());
    write(&found, &place, true).unwrap();
    fs::write(place.join("notes.txt"), "mine").unwrap();
    assert!(write(&found, &place, true).is_err(), "what is not ours is not replaced");
    let mut names: Vec<_> = fs::read_dir(&place)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["calibration.json", "notes.txt", "report.html", "scenario.toml", "topology.toml"]);
}

/// A shipped recording: four ingress ports, a token bucket of 20 Mbps.
#[test]
fn a_recorded_router_comes_back() {
    let folder = Path::new("scenarios/captures/kernel-4ports");
    let ingress: Vec<PathBuf> = (1..=4).map(|number| folder.join(format!("in{number}.pcap.xz"))).collect();
    let found = find(&ingress, &folder.join("out.pcap.xz")).unwrap();
    let model = &found.model;
    assert_eq!((model.discipline, model.bottleneck), (DisciplineKind::Fifo, Bottleneck::TokenBucket));
    within(model.rate_bps as f64, 20e6, 1e-3);
    within(model.burst_bytes as f64, 2_000.0, 0.05);
    assert!((model.release_slack_ps as f64 / 1e6 - 28.1).abs() <= 15.0, "{model:?}");
    assert!(w1(&found) < 0.01, "{}", w1(&found));
    assert!(matches!(found.estimates.losses, LossFinding::NoneLost { .. }));
    let place = tempfile::tempdir().unwrap();
    write(&found, &place.path().join("found"), false).unwrap();
    let again = simulate(&place.path().join("found/scenario.toml"), place.path().join("run"));
    let agreement = again.measured[0].delays.as_ref().unwrap().agreement;
    // The engine told calibration the same.
    assert_eq!(agreement.w1_normalized, found.in_sample.w1_normalized());
}
