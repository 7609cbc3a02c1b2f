//! Simulated round trips compared with measured ones.

use super::*;

const BETWEEN: &str = r#"
name = "between"
device = [
    { name = "client", kind = "host", addresses = ["10.0.0.1"] },
    { name = "r1", kind = "router" },
    { name = "server", kind = "host", addresses = ["10.0.0.2"] },
]
link = [
    { between = ["client:0", "r1:0"], bandwidth = "1 Gbps", delay = "4 ms" },
    { between = ["r1:1", "server:0"], bandwidth = "1 Gbps", delay = "1 ms" },
]
"#;

/// `taunet run --json` on a scenario beside a topology and a capture taken at the server, whose data the client
/// acknowledges after 12, 13, 12, 13, ... ms: (exit code, summary, standard error).
fn run_at_server(entries: &str) -> (i32, Value, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let (mut of_client, mut of_server) = (Vec::new(), Vec::new());
    for round in 0..10 {
        let at = i128::from(round) * 20_000_000;
        let answer = at + 12_000_000 + i128::from(round % 2) * 1_000_000;
        of_server.push((at, data(false, 1 + round * 1_000, 1, 1_000).bytes()));
        of_client.push((answer, ack(true, 1, 1 + (round + 1) * 1_000).bytes()));
    }
    let mut both = [of_client.clone(), of_server.clone()].concat();
    both.sort_by_key(|(at, _)| *at);
    for (name, frames) in [("client", &of_client), ("server", &of_server), ("both", &both)] {
        std::fs::rename(file(folder.path(), frames), folder.path().join(format!("{name}.pcap"))).unwrap();
    }
    std::fs::write(folder.path().join("between.toml"), BETWEEN).unwrap();
    let text = format!("name = \"at-server\"\ntopology = \"between.toml\"\n{entries}");
    std::fs::write(folder.path().join("s.toml"), text).unwrap();
    let run = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_taunet"));
        let output = command
            .current_dir(folder.path())
            .args(["run", "s.toml", "--force"])
            .args(more)
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let (code, stdout, stderr) = run(&["--json"]);
    let (_, plain, _) = run(&[]);
    (code, serde_json::from_str(&stdout).unwrap_or_default(), plain, stderr)
}

const BY_ADDRESS: &str = r#"
[[traffic]]
kind = "replay"
capture = "both.pcap"
by_address = { "10.0.0.1/32" = "client", "10.0.0.2/32" = "server" }
"#;

#[test]
fn simulated_round_trips_are_the_two_ways_and_a_turnaround() {
    for engine in ["event", "stream"] {
        let entries = format!(
            "engine = \"{engine}\"\n{BY_ADDRESS}[[rtt]]\ncapture = \"both.pcap\"\nat = \"server:0\"\nturnaround = \"2 ms\"\n"
        );
        let (code, summary, plain, stderr) = run_at_server(&entries);
        assert_eq!((code, stderr.as_str()), (0, ""));
        let rtts = &summary["rtts"][0];
        let counts = ["measured", "compared", "not_simulated", "answered_here"]
            .map(|name| rtts[name].as_u64().unwrap());
        assert_eq!((counts, &rtts["port"]), ([10, 10, 0, 0], &"server:0".into()));
        // Two links of 4 and 1 ms each way, and 8 ns per byte and link: 1054 bytes there, 54 back.
        let simulated = 0.012 + 2.0 * 8e-9 * (1_054.0 + 54.0);
        let side = &rtts["connections"][0];
        assert_eq!((&side["sender"], &side["responder"]), (&"10.0.0.2:80".into(), &"10.0.0.1:1000".into()));
        for (name, expected) in [("min", simulated), ("p50", simulated), ("max", simulated)] {
            let found = side["simulated_s"][name].as_f64().unwrap();
            assert!((found - expected).abs() < 1e-12, "{name}: {found}, not {expected}");
        }
        assert_eq!((&side["measured_s"]["min"], &side["measured_s"]["max"]), (&0.012.into(), &0.013.into()));
        let away = (simulated - 0.012) + (0.013 - simulated);
        let w1 = side["w1_normalized"].as_f64().unwrap();
        assert!((w1 - away / 2.0 / 0.0125).abs() < 1e-9, "{w1}");
        assert_eq!(rtts["all"]["samples"], 10);
        let told = "round-trip times at server:0 against both.pcap\n  10 measured: 10 compared, 0 not simulated, \
                    0 answered at the port itself; turnaround 2.000 ms\n  all: 10 round trips\n";
        assert!(plain.contains(told), "{plain}");
        assert!(
            plain.contains("connection 0, from 10.0.0.2:80 answered by 10.0.0.1:1000: 10 round trips"),
            "{plain}"
        );
    }
}

#[test]
fn answers_that_are_injected_at_the_port_are_not_compared() {
    let entries = r#"
[[traffic]]
kind = "replay"
capture = "server.pcap"
at = { port = "r1:1", direction = "ingress" }

[[traffic]]
kind = "replay"
capture = "client.pcap"
at = { port = "r1:1", direction = "egress" }

[[rtt]]
capture = "both.pcap"
at = "r1:1"

[[rtt]]
capture = "server.pcap"
at = "r1:1"
"#;
    let (code, summary, plain, stderr) = run_at_server(entries);
    assert_eq!(code, 0);
    let [both, server] = [0, 1].map(|number| summary["rtts"][number].clone());
    assert_eq!(
        (&both["measured"], &both["compared"], &both["answered_here"]),
        (&10.into(), &0.into(), &10.into())
    );
    assert_eq!((&server["measured"], &server["all"]), (&0.into(), &Value::Null));
    assert!(stderr.contains("all answers in both.pcap are injected at r1:1"), "{stderr}");
    assert!(
        stderr.contains("server.pcap has no round-trip times: does it contain both directions"),
        "{stderr}"
    );
    assert!(plain.contains("10 answered at the port itself"), "{plain}");
}

#[test]
fn round_trips_have_bounds_of_their_own() {
    let run = |at: &str, bounds: &str| {
        run_at_server(&format!(
            "{BY_ADDRESS}[[rtt]]\ncapture = \"both.pcap\"\nat = \"{at}\"\nturnaround = \"2 ms\"\naccept = {{ {bounds} }}\n"
        ))
    };
    // Simulated: 12.02 ms; measured: 12 and 13 ms.
    let bounds = "w1_normalized = 0.05, mae = \"600 us\", p50_relative_error = 0.05";
    let (code, summary, plain, _) = run("server:0", bounds);
    assert_eq!((code, &summary["accept"]["bounds"]), (0, &3.into()));
    assert!(plain.contains("[accept]: 3 bounds kept"), "{plain}");
    let (code, summary, _, stderr) = run("server:0", "w1_normalized = 0.05, mae = \"400 us\"");
    assert_eq!((code, &summary["accept"]["bounds"]), (3, &2.into()));
    let missed = summary["accept"]["missed"].as_array().unwrap();
    assert_eq!((missed.len(), &missed[0]["metric"]), (1, &"mae_s".into()));
    assert!(
        stderr.contains("round trips at server:0: mae_s is 0.0005, at most 0.0004 was asked"),
        "{stderr}"
    );
    // All simulated round trips are alike: no correlation is defined.
    let (code, _, _, stderr) = run("r1:1", "pearson = 0.5");
    assert_eq!(code, 3);
    assert!(stderr.contains("round trips at r1:1: pearson is undefined, at least 0.5 was asked"), "{stderr}");
    let (code, _, _, stderr) = run("server:0", "ks = 0.5, jitter_relative_error = 0.1");
    assert_eq!(code, 2);
    assert!(stderr.contains("`jitter_relative_error` has no effect here"), "{stderr}");
}

#[test]
fn packets_that_pass_elsewhere_are_told() {
    let entries =
        format!("{}[[rtt]]\ncapture = \"both.pcap\"\nat = \"r1:0\"\n", BY_ADDRESS.replace("both", "server"));
    let (_, summary, _, stderr) = run_at_server(&entries);
    assert_eq!(
        (&summary["rtts"][0]["compared"], &summary["rtts"][0]["not_simulated"]),
        (&0.into(), &10.into())
    );
    assert!(stderr.contains("no round trip of both.pcap was simulated at r1:0"), "{stderr}");
}

#[test]
fn a_port_or_a_capture_that_is_not_there_is_an_error_with_its_place() {
    let entries = format!("{BY_ADDRESS}[[rtt]]\ncapture = \"bot.pcap\"\nat = \"r9:1\"\n");
    let (code, _, _, stderr) = run_at_server(&entries);
    assert_eq!(code, 2);
    assert!(stderr.contains("no device is named `r9`") && stderr.contains("bot.pcap"), "{stderr}");
}
