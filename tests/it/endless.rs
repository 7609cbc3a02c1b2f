//! Files that do not end, nest too deep or name formulas; networks as long as their stack is short; traffic
//! that would take for ever.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Runs the command with a stack of 1 MiB, and ends it by force after 60 s.
fn taunet(folder: &Path, words: &[&str]) -> (Option<i32>, String) {
    let script = "ulimit -s 1024; exec timeout -s KILL 60 \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_taunet")]).args(words).current_dir(folder);
    let Output { status, stdout, stderr } = command.env("RUST_MIN_STACK", "1048576").output().unwrap();
    let said = [stderr, stdout].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (status.code(), said.concat())
}

#[track_caller]
fn refused(folder: &Path, words: &[&str], expected: &str) {
    let start = Instant::now();
    let (code, said) = taunet(folder, words);
    let said = said.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
    assert_eq!(code, Some(2), "{words:?}: {said}");
    assert!(said.contains(expected), "{words:?}: {said}");
    assert!(start.elapsed() < Duration::from_secs(30), "{words:?}: {:?}", start.elapsed());
}

const TWO: &str = r#"
name = "two"
device = [
    { name = "a", kind = "host", addresses = ["10.0.0.1"] },
    { name = "b", kind = "host", addresses = ["10.0.0.2"] },
]
link = [{ between = ["a:0", "b:0"], bandwidth = "1 Gbps", length = "1 m" }]
"#;

fn scenario(folder: &Path, traffic: &str) {
    fs::write(folder.join("two.toml"), TWO).unwrap();
    let text = format!("name = \"s\"\ntopology = \"two.toml\"\nuntil = \"10 ms\"\n[[traffic]]\n{traffic}\n");
    fs::write(folder.join("s.toml"), text).unwrap();
}

#[test]
fn an_endless_file_is_refused_by_every_reader() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let more = "it has more than 512 MiB, the most that taunet reads";
    for words in [
        &["check", "/dev/zero"][..],
        &["run", "/dev/zero"],
        &["topology", "show", "/dev/zero"],
        &["topology", "import", "/dev/zero", "--format", "dot"],
        &["topology", "tc", "/dev/zero"],
        &["sweep", "/dev/zero"],
        &["tune", "/dev/zero"],
    ] {
        refused(folder, words, more);
    }
    let flows = "kind = \"flows\"\nfile = \"/dev/zero\"";
    let cdf =
        "kind = \"poisson\"\nfrom = \"a\"\nto = \"b\"\nrate = \"1 Mbps\"\nsize = { cdf = \"/dev/zero\" }";
    let matrix = "kind = \"poisson\"\nsize = \"100 B\"\nmatrix = { file = \"/dev/zero\" }";
    for (traffic, expected) in
        [(flows, "a row has more than 1 MiB"), (cdf, more), (matrix, "a row has more than 1 MiB")]
    {
        scenario(folder, traffic);
        refused(folder, &["check", "s.toml"], expected);
    }
    let net = TWO.replace("length", "ptm = { kind = \"neural\", model = \"/dev/zero\" }, length");
    fs::write(folder.join("model.toml"), net).unwrap();
    refused(folder, &["check", "model.toml"], more);
}

#[test]
fn deep_nesting_is_refused_on_a_small_stack() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("two.toml"), TWO).unwrap();
    let set = format!("{}a=1", "a.".repeat(50_000));
    refused(folder, &["check", "two.toml", "--set", &set], "this path has 50001 keys");
    let set = format!("a={}", "[".repeat(50_000));
    refused(folder, &["check", "two.toml", "--set", &set], "nested more than 64 deep");
    let inner = format!("{{{}a=", "a.".repeat(77));
    fs::write(folder.join("deep.toml"), format!("x={}1{}", inner.repeat(78), "}".repeat(78))).unwrap();
    refused(folder, &["check", "deep.toml"], "nested more than 64 deep");
    let nested = |open: &str, close: &str| [open.repeat(50_000), close.repeat(50_000)].concat();
    for (name, text, expected) in [
        ("n.graphml", format!("<graphml>{}</graphml>", nested("<graph>", "</graph>")), "there are no nodes"),
        ("n.xml", format!("<network>{}</network>", nested("<a>", "</a>")), "not SNDlib"),
        ("n.json", format!("{{\"nodes\":{}}}", nested("[", "]")), "recursion limit exceeded"),
        ("n.dot", format!("graph {{{}}}", nested("{", "}")), "nested more than 64 deep"),
        ("n.gml", format!("graph [{}]", nested("a [", "]")), "nested more than 64 deep"),
    ] {
        fs::write(folder.join(name), text).unwrap();
        refused(folder, &["topology", "import", name], expected);
    }
}

#[test]
fn deep_queueing_disciplines_are_refused_on_a_small_stack() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut classes = "tc qdisc add dev e root handle 1: htb\n".to_owned();
    let mut qdiscs = "tc qdisc add dev e root handle 1: prio\n".to_owned();
    for n in 1..20_000 {
        let parent = if n == 1 { "1:".to_owned() } else { format!("1:{:x}", n - 1) };
        classes += &format!("tc class add dev e parent {parent} classid 1:{n:x} htb rate 1mbit\n");
        qdiscs += &format!("tc qdisc add dev e parent {n:x}:1 handle {:x}: prio\n", n + 1);
    }
    fs::write(folder.join("classes.tc"), classes).unwrap();
    refused(folder, &["topology", "tc", "classes.tc"], "classes are nested more than 8 deep");
    fs::write(folder.join("qdiscs.tc"), &qdiscs).unwrap();
    refused(folder, &["topology", "tc", "qdiscs.tc"], "queueing disciplines are nested more than 8 deep");
    // All of them are deleted again.
    fs::write(folder.join("again.tc"), qdiscs + "tc qdisc replace dev e parent 1:1 handle 2: pfifo\n")
        .unwrap();
    let (code, said) = taunet(folder, &["topology", "tc", "again.tc"]);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_line_of_many_devices_needs_no_deep_stack() {
    const DEVICES: usize = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut text = "name = \"line\"\n".to_owned();
    for n in 0..DEVICES {
        let end = n == 0 || n + 1 == DEVICES;
        let address = 1 + u8::from(n > 0);
        let is = if end {
            format!("\"host\"\naddresses = [\"10.0.0.{address}\"]")
        } else {
            "\"router\"".to_owned()
        };
        text += &format!("[[device]]\nname = \"d{n}\"\nkind = {is}\n");
    }
    for n in 1..DEVICES {
        let from = usize::from(n > 1);
        text += &format!(
            "[[link]]\nbetween = [\"d{}:{from}\", \"d{n}:0\"]\nbandwidth = \"1 Gbps\"\nlength = \"1 m\"\n",
            n - 1
        );
    }
    fs::write(folder.join("line.toml"), text).unwrap();
    let last = DEVICES - 1;
    let text = format!(
        "name = \"s\"\ntopology = \"line.toml\"\nuntil = \"1 s\"\n[[traffic]]\nkind = \"cbr\"\nfrom = \"d0\"\nto = \"d{last}\"\n\
         rate = \"1 Mbps\"\nsize = \"100 B\"\npackets = 1\n"
    );
    fs::write(folder.join("s.toml"), text).unwrap();
    for words in [
        "check s.toml",
        "topology show line.toml",
        "topology export line.toml --format graphml -o line.graphml",
        "topology import line.graphml -o again.toml",
        "run s.toml -o out",
        "report out",
    ] {
        let (code, said) = taunet(folder, &words.split(' ').collect::<Vec<_>>());
        assert_eq!(code, Some(0), "{words}: {said}");
    }
    let summary = fs::read_to_string(folder.join("out/summary.json")).unwrap();
    assert!(summary.contains("\"reason\": \"ttl-expired\""), "{summary}");
}

#[test]
fn traffic_without_progress_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let two = |kind: &str, rest: &str| format!("kind = \"{kind}\"\nfrom = \"a\"\nto = \"b\"\n{rest}");
    let pareto = "{ mean = \"1 s\", distribution = \"pareto\", shape = 1.0000000001 }";
    let rare = "rates = [1e12, 0, 0], generator = [[-1e-9, 1e-9, 0], [1e-9, -1e12, 1e12], [0, 1e12, -1e12]]";
    for (traffic, expected) in [
        (
            two("on-off", &format!("size = \"64 B\"\npeak = \"1 Mbps\"\non = {pareto}\noff = {pareto}")),
            "has its mean in periods that no run contains",
        ),
        (
            two("bulk", "on = { mean = \"1 ps\" }\noff = { mean = \"1 ps\" }"),
            "a period cannot have a mean of 1 ps",
        ),
        (
            two("bulk", "rate = \"1 bps\"\non = { mean = \"1 us\" }\noff = { mean = \"1 us\" }"),
            "an on period has 8.63e-11 writes of 1448 B on average",
        ),
        (two("bulk", "rate = \"100 Gbps\"\nwrite = \"1 B\""), "are 1.2e10 writes per second"),
        (
            two("markovian", &format!("size = \"64 B\"\nmmpp_per_s = {{ {rare} }}")),
            "more than 1000000 changes of state up to the next packet from state 2",
        ),
        (two("cbr", "size = \"64 B\"\ninterval = \"0 s\""), "an interval cannot be zero"),
        (two("cbr", "size = \"64 B\"\ninterval = \"1 ps\""), "above one packet per picosecond"),
        (two("flows", "size = \"1 B\"\ninterval = \"2 ps\""), "the maximum is 10000000"),
        (
            two(
                "flows",
                "size = \"1 B\"\ninterval = \"1200 ps\"\narrivals = { distribution = \"lognormal\", sigma = 5 }",
            ),
            "the maximum is 10000000",
        ),
        (two("flows", "size = \"0 B\"\ninterval = \"1 ms\""), "a flow cannot have 0 B"),
        (
            "kind = \"incast\"\nto = \"b\"\nbytes = \"1 B\"\nrounds = 4000000000\nevery = \"1 ps\""
                .to_owned(),
            "the maximum is 10000000",
        ),
        ("kind = \"incast\"\nto = \"b\"\nbytes = \"0 B\"".to_owned(), "a flow of 0 bytes sends nothing"),
    ] {
        scenario(folder, &traffic);
        refused(folder, &["check", "s.toml"], expected);
    }
    scenario(
        folder,
        &two("poisson", "size = \"64 B\"\ninterval = \"1 ms\"\n")
            .replace("interval = \"1 ms\"", "rate = \"900000 Mpackets/s\""),
    );
    let (code, said) = taunet(folder, &["check", "s.toml"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("the entry sends about 9.0e9 packets"), "{said}");
}

#[test]
fn names_in_csv_are_no_formulas_and_are_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    scenario(folder, "kind = \"cbr\"\nfrom = \"=1+2\"\nto = \"b\"\nrate = \"10 Mbps\"\nsize = \"100 B\"");
    fs::write(folder.join("two.toml"), TWO.replace("\"a\"", "\"=1+2\"").replace("a:0", "=1+2:0")).unwrap();
    for words in ["run s.toml -o csv --format csv", "run s.toml -o parquet", "report csv", "report parquet"] {
        let (code, said) = taunet(folder, &words.split(' ').collect::<Vec<_>>());
        assert_eq!(code, Some(0), "{words}: {said}");
    }
    let ports = fs::read_to_string(folder.join("csv/ports.csv")).unwrap();
    assert!(ports.contains("\n'=1+2,"), "{ports}");
    for report in
        ["csv", "parquet"].map(|run| fs::read_to_string(folder.join(run).join("report.html")).unwrap())
    {
        assert!(report.contains("=1+2:0") && !report.contains("&#39;=1+2") && !report.contains("'=1+2"));
    }
}
