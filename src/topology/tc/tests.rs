use super::*;

/// The recorded cases: names and commands.
fn recorded() -> Vec<(&'static str, &'static str)> {
    let file = include_str!("../../../tests/tc/recorded.tc");
    file.split("\n## ").skip(1).map(|case| case.split_once('\n').unwrap()).collect()
}

/// The table and its remarks, or the refusals, as text.
fn outcome(text: &str) -> String {
    match read("test", text, &TcOptions::default()) {
        Ok((Converted { table, remarks, .. }, _)) => {
            let remarks = remarks.iter().map(|remark| format!("# - {remark}\n")).collect::<String>();
            format!("{remarks}{}", table.to_toml("ptm"))
        }
        Err(refusals) => refusals.iter().map(|refusal| refused(text, refusal)).collect(),
    }
}

fn refused(text: &str, Refusal { span, error }: &Refusal) -> String {
    let line = text[..span.start].matches('\n').count() + 1;
    let help = error.help().map_or(String::new(), |help| format!(" ({help})"));
    format!("{line}: `{}`: {error}{help}\n", &text[span.clone()])
}

#[test]
fn every_recorded_case_is_a_table_or_a_refusal() {
    let mut told = String::new();
    for (names, text) in recorded() {
        let outcome = outcome(text);
        told.push_str(&format!("## {names}\n{outcome}\n"));
        if let Ok((converted, _)) = read("test", text, &TcOptions::default()) {
            assert_eq!(check(&converted.table), Ok(()), "{names}: {outcome}");
        }
    }
    insta::assert_snapshot!("recorded", told);
}

/// The table of valid commands.
fn table(text: &str) -> String {
    let outcome = outcome(text);
    assert!(outcome.contains("[ptm]"), "{outcome}");
    outcome
}

/// The lines of `[ptm]`, joined, without the tables below it.
fn keys(text: &str) -> String {
    let table = table(text);
    let keys = table.lines().skip_while(|line| *line != "[ptm]").skip(1).take_while(|line| !line.is_empty());
    keys.collect::<Vec<_>>().join("; ")
}

#[test]
fn fifos_and_token_buckets() {
    assert_eq!(keys("qdisc add root pfifo"), "kind = \"fifo\"; buffer = \"1000 packets\"");
    assert_eq!(keys("qdisc add root pfifo limit 50"), "kind = \"fifo\"; buffer = \"50 packets\"");
    assert_eq!(keys("qdisc add root bfifo"), "kind = \"fifo\"; buffer = \"1.514 MB\"");
    assert_eq!(keys("qdisc add root bfifo limit 64k"), "kind = \"fifo\"; buffer = \"64 KiB\"");
    assert_eq!(
        keys("qdisc add root tbf rate 1mbit burst 10kb latency 50ms"),
        "kind = \"token-bucket\"; rate = \"1 Mbps\"; burst = \"10 KiB\"; buffer = \"16490 B\""
    );
    // The queue of its class counts, not its own limit.
    let inner =
        "qdisc add root handle 1: tbf rate 1mbit burst 2000 limit 9000\nqdisc add parent 1: bfifo limit 7000";
    assert_eq!(
        keys(inner),
        "kind = \"token-bucket\"; rate = \"1 Mbps\"; burst = \"2000 B\"; buffer = \"7000 B\""
    );
    assert_eq!(
        keys(
            "qdisc add root stab overhead -4 mpu 64 linklayer adsl tsize 512 mtu 2047 tbf rate 1mbit burst 2000 limit 1"
        ),
        "kind = \"token-bucket\"; rate = \"1 Mbps\"; burst = \"2000 B\"; buffer = \"1 B\"; overhead = \"-4 B\"; \
         mpu = \"64 B\"; linklayer = \"atm\""
    );
}

#[test]
fn htb_has_the_defaults_of_tc_and_the_order_of_the_kernel() {
    let table = table(
        "qdisc add root handle 1: htb r2q 100 direct_qlen 7
         class add parent 1: classid 1:2 htb rate 100mbit
         class add parent 1:2 classid 1:b htb rate 10gbit ceil 20gbit prio 9
         class add parent 1:2 classid 1:a htb rate 800kbit mtu 9000
         class add parent 1:2 classid 1:c htb rate 1mbit
         filter add parent 1: matchall flowid 1:b
         filter add protocol ip prio 7 flower ip_proto tcp dst_port 80-89 classid 1:a",
    );
    let expected = "\
# - no packet goes to the class 1:c: it is left out
[ptm]
kind = \"htb\"
default = \"direct\"
direct_buffer = \"7 packets\"

[[ptm.class]]
name = \"2\"
rate = \"100 Mbps\"
ceil = \"100 Mbps\"
burst = \"1600 B\"
cburst = \"1600 B\"

[[ptm.class.class]]
name = \"a\"
match = { protocol = \"tcp\", source = \"0.0.0.0/0\", destination_ports = \"80-89\" }
rate = \"800 kbps\"
ceil = \"800 kbps\"
burst = \"9000 B\"
cburst = \"9000 B\"
prio = 0
quantum = \"1000 B\"
buffer = \"1000 packets\"

[[ptm.class.class]]
name = \"b\"
match = {}
rate = \"10 Gbps\"
ceil = \"20 Gbps\"
burst = \"1601 B\"
cburst = \"1602 B\"
prio = 7
quantum = \"200 kB\"
buffer = \"1000 packets\"
";
    assert_eq!(table, expected);
    let (converted, _) = read(
        "test",
        "qdisc add root handle 1: htb default a\nclass add parent 1: classid 1:a htb rate 1mbit",
        &TcOptions::default(),
    )
    .unwrap();
    assert_eq!(check(&converted.table), Ok(()));
}

#[test]
fn bands_go_by_the_priority_or_by_filters() {
    let by_priority = table("qdisc add root handle 1: prio\nqdisc add parent 1:2 sfq");
    let classes = "\
[[ptm.class]]
name = \"1\"
match = { dscp = [\"4-5\", \"12-13\", \"20-21\", \"28-29\", \"36-37\", \"44-45\", \"52-53\", \"60-61\"] }
buffer = \"1000 packets\"

[[ptm.class]]
name = \"2\"
match = { dscp = [\"0-1\", \"6-9\", \"14-17\", \"22-25\", \"30-33\", \"38-41\", \"46-49\", \"54-57\", \"62-63\"] }
";
    assert!(by_priority.contains(classes), "{by_priority}");
    assert!(by_priority.contains("[[ptm.class]]\nname = \"3\"\nbuffer"), "{by_priority}");
    // All bands of the priomap are the last one, which has no filter.
    let ets = table(
        "qdisc add root handle 1: ets strict 1 quanta 3000 bands 3
         filter add parent 1: protocol ipv6 u32 match ip6 dsfield 0xb8 0xfc flowid 1:1",
    );
    let classes = "\
# - no packet goes to the band 1:2: it is left out
[ptm]
kind = \"ets\"

[[ptm.class]]
name = \"1\"
match = { dscp = 46, source = \"::/0\" }
buffer = \"1000 packets\"

[[ptm.class]]
name = \"3\"
quantum = \"1514 B\"
buffer = \"1000 packets\"
";
    assert_eq!(ets, classes);
    let alone = table("qdisc add root ets bands 2");
    assert!(
        alone.ends_with("[[ptm.class]]\nname = \"2\"\nquantum = \"1514 B\"\nbuffer = \"1000 packets\"\n")
    );
}

#[test]
fn filters_of_one_class_are_one_match() {
    let htb = "qdisc add root handle 1: htb default 2\nclass add parent 1: classid 1:1 htb rate 1mbit\n\
               class add parent 1: classid 1:2 htb rate 1mbit\n";
    let matches = |filters: &[&str]| {
        let lines = filters
            .iter()
            .map(|filter| format!("filter add parent 1: protocol ip prio 1 {filter} flowid 1:1\n"));
        let outcome = outcome(&format!("{htb}{}", lines.collect::<String>()));
        let line = outcome.lines().find_map(|line| line.strip_prefix("match = ").map(str::to_owned));
        line.unwrap_or(outcome)
    };
    assert_eq!(
        matches(&[
            "u32 match ip dport 80 0xffff",
            "u32 match ip dport 443 ffff",
            "u32 match ip dport 8080 0xfff0"
        ]),
        "{ source = \"0.0.0.0/0\", destination_ports = [80, 443, \"8080-8095\"] }"
    );
    assert_eq!(
        matches(&[
            "u32 match ip src 10.1.2.3/16 match ip dst 10.9.200.2",
            "u32 match ip src 10.1.2.3 match ip dst 10.9.200.2"
        ]),
        "{ source = \"10.1.0.0/16\", destination = \"10.9.200.2\" }"
    );
    assert_eq!(
        matches(&["u32 match ip sport 80 0xffff", "u32 match u32 0 0 at 0"]),
        "{ source = \"0.0.0.0/0\" }"
    );
    assert_eq!(
        matches(&["flower ip_proto 11 ip_tos 0x20/0xe0"]),
        "{ dscp = \"8-15\", protocol = \"udp\", source = \"0.0.0.0/0\" }"
    );
    assert!(matches(&["u32 match ip dport 80 0xffff", "u32 match ip sport 80 0xffff"]).starts_with(
        "5: `u32`: this filter and that of line 4 lead to one class, and a single `match` cannot express both"
    ),);
}

#[test]
fn what_is_not_understood_is_refused_by_line_and_word() {
    let cases = [
        ("", "1: ``: there is no queueing discipline in this file"),
        ("ip link set eth0 up", "1: `ip`: `ip` creates no queueing discipline"),
        ("qdisc show", "1: `qdisc`: `qdisc show` creates no queueing discipline"),
        (
            "qdisc add dev a root pfifo\nqdisc add dev b root pfifo",
            "2: `b`: the commands are for several devices: `a`, `b`",
        ),
        ("qdisc add root", "1: `root`: `root` needs a kind of qdisc, such as `tbf` after it"),
        ("qdisc add pfifo", "1: `pfifo`: `qdisc add` needs `root` or `parent`"),
        ("qdisc add root pfifo limit", "1: `limit`: `limit` needs a limit after it"),
        (
            "qdisc add root pfifo limmit 5",
            "1: `limmit`: `limmit` is not a word of `pfifo` (did you mean `limit`?)",
        ),
        (
            "qdisc add root pfifo\nqdisc add root pfifo",
            "2: `root`: the qdisc at `root` already exists, created by line 1",
        ),
        ("qdisc add ingress", "1: `ingress`: `ingress` has no counterpart in taunet: it is not a queue"),
        ("qdisc add parent 1:1 pfifo", "1: `1:1`: no earlier line creates the qdisc `1:`"),
        (
            "qdisc add root handle 1: prio\nqdisc add parent 1:4 pfifo",
            "2: `1:4`: no earlier line creates a class with a queue `1:4`",
        ),
        ("qdisc add root pfifo_fast", "1: `pfifo_fast`: `pfifo_fast` has no counterpart in taunet"),
        ("qdisc add root tbf rate 1mbit burst 2000", "1: `tbf`: `tbf` needs `limit` or `latency`"),
        (
            "qdisc add root tbf rate 1mbit burst 2000 limit 9 peakrate 2mbit",
            "1: `peakrate`: `peakrate` has no counterpart",
        ),
        (
            "qdisc add root tbf rate 1mbit burst 2000 limit 9 overhead 4",
            "1: `4`: `overhead` of a rate has no counterpart",
        ),
        (
            "qdisc add root tbf rate 10% burst 2000 limit 9",
            "1: `10%`: `10%` has no counterpart in taunet: a share of the device's speed",
        ),
        (
            "qdisc add root stab overhead 4 codel",
            "1: `overhead`: `stab` at `codel` has no counterpart in taunet",
        ),
        (
            "qdisc add root handle 1: htb\nclass add parent 1: classid 1:1 htb ceil 1mbit",
            "2: `htb`: `htb` needs `rate`",
        ),
        (
            "qdisc add root handle 1: htb\nclass add parent 1: classid 1:1 hfsc",
            "2: `hfsc`: taunet has no class like `hfsc`",
        ),
        (
            "qdisc add root handle 1: htb\nclass add parent 1:1 classid 1:2 htb rate 1mbit",
            "2: `1:1`: no earlier line creates the class `1:1`",
        ),
        (
            "qdisc add root handle 1: htb\nclass add parent 1: classid 2:2 htb rate 1mbit",
            "2: `2:2`: `2:2` is not a class of `1:`",
        ),
        ("qdisc add root handle 1: htb default 1", "1: `htb`: no packet goes to a class of this `htb`"),
        (
            "qdisc add root handle 1: drr\nclass add parent 1: classid 1:1 drr",
            "1: `drr`: no filter leads to a class of this `drr`",
        ),
        ("qdisc add root prio bands 2", "1: `prio`: the priomap leads to band 2 of 2, counted from 0"),
        ("qdisc add root ets bands 2 strict 3", "1: `ets`: 3 strict bands and 0 quanta do not fit 2 bands"),
        ("qdisc add root codel interval 0", "1: `0`: `0` is not a time above 0"),
        ("qdisc add root pie bytemode", "1: `bytemode`: `bytemode` has no counterpart"),
        ("qdisc add root pie beta 33", "1: `33`: `33` is not a number up to 32"),
        ("qdisc add root fq_pie bytemode", "1: `bytemode`: `bytemode` has no counterpart"),
        ("qdisc add root fq_pie ecn_prob 100", "1: `100`: `100` is not a number up to 99"),
        ("qdisc add root fq_pie quantum 2m", "1: `2m`: `2m` is not a quantum up to 1 MiB"),
        ("qdisc add root fq_pie flows 70000", "1: `70000`: `70000` is not a number up to 65536"),
        ("qdisc add root red avpkt 1000", "1: `red`: `red` needs `limit`"),
        (
            "qdisc add root red limit 9000 avpkt 1000 min 6 max 5",
            "1: `red`: `min` of `red`, 6 bytes, is above `max`, 5 bytes",
        ),
        ("qdisc add root red limit 400k avpkt 1000 burst 5", "1: `red`: tc finds no averaging weight"),
        ("qdisc add root red limit 400k avpkt 1000 nodrop", "1: `nodrop`: `nodrop` has no counterpart"),
        ("qdisc add root sfq ecn", "1: `ecn`: `ecn` has no counterpart"),
        ("qdisc add root sfq divisor 1000", "1: `1000`: `1000` is not a power of two up to 65536"),
        ("qdisc add root fq buckets 1", "1: `1`: `1` is not a number of buckets from 2 to 262144"),
        ("qdisc add root cake bandwidth", "1: `bandwidth`: `bandwidth` needs a rate after it"),
        ("qdisc add root cake flow", "1: `flow`: `flow` is not a word of `cake` (did you mean `flows`?)"),
        ("qdisc add root cake overhead 257", "1: `257`: `257` is not an overhead from -64 to 256 bytes"),
        ("qdisc add root cake mpu -1", "1: `-1`: `-1` is not a length from 0 to 256 bytes"),
        ("qdisc add root cake rtt 0", "1: `0`: `0` is not a time above 0"),
        (
            "qdisc add root cake nat",
            "1: `nat`: `nat` has no counterpart in taunet: packets keep their addresses",
        ),
        (
            "qdisc add root cake ack-filter",
            "1: `ack-filter`: `ack-filter` has no counterpart in taunet: packets",
        ),
        (
            "qdisc add root cake autorate-ingress",
            "1: `autorate-ingress`: `autorate-ingress` has no counterpart",
        ),
        ("qdisc add root cake fwmark 0xff", "1: `fwmark`: `fwmark` has no counterpart"),
        ("qdisc add root netem slot 100", "1: `100`: `100` is not a time with its unit: s, ms, us or ns"),
        ("qdisc add root netem reorder 5%", "1: `netem`: `reorder` needs a delay"),
        ("qdisc add root netem gap 5", "1: `gap`: `gap` needs `reorder`"),
        ("qdisc add root netem ecn", "1: `ecn`: `ecn` marks instead of losing"),
        (
            "qdisc add root netem delay 5ms distribution normal",
            "1: `normal`: `distribution` needs a delay and a jitter",
        ),
        ("qdisc add root netem corrupt 1%", "1: `corrupt`: `corrupt` has no counterpart"),
        (
            "qdisc add root handle 1: codel\nfilter add parent 1: matchall flowid 1:1",
            "2: `matchall`: `matchall` has no counterpart",
        ),
    ];
    for (text, expected) in cases {
        let outcome = outcome(text);
        assert!(outcome.starts_with(expected), "{text}\n  {outcome}");
    }
}

#[test]
fn tc_passes_no_0_of_fq_pie_on_and_the_kernel_widens_a_quantum() {
    let zeros = "limit 0 flows 0 target 0 tupdate 0 alpha 0 beta 0 quantum 0 memory_limit 0 ecn_prob 0";
    assert_eq!(outcome(&format!("qdisc add root fq_pie {zeros}")), outcome("qdisc add root fq_pie"));
    assert!(outcome("qdisc add root fq_pie quantum 100").contains("quantum = \"256 B\""));
}

#[test]
fn a_memory_limit_of_fq_pie_is_remarked_on() {
    let outcome = outcome("qdisc add root fq_pie memory_limit 1m");
    assert!(outcome.starts_with("# - `memory_limit` of `fq_pie` is left out"), "{outcome}");
}

#[test]
fn filters_that_no_match_can_be_are_refused() {
    let cases = [
        ("basic match meta flowid 1:1", "`basic`: taunet has no filter like `basic`"),
        ("u32 match ip dport 80 0xffff", "`u32`: `filter add` needs `flowid`"),
        (
            "u32 match ip dport 80 0xff0f flowid 1:1",
            "`80`: the mask 0xff0f matches ports that do not form an interval",
        ),
        (
            "u32 match ip tos 0x10 0xff flowid 1:1",
            "`0x10`: `0x10` has no counterpart in taunet: with this mask",
        ),
        ("u32 match ip6 dport 80 0xffff flowid 1:1", "`ip6`: `ip6` contradicts the `protocol`"),
        ("u32 match u32 1 1 at 0 flowid 1:1", "`u32`: `u32` has no counterpart"),
        (
            "u32 match ip src 10.0.0.0/8 match ip src 11.0.0.0/8 flowid 1:1",
            "`11.0.0.0/8`: no packet matches all",
        ),
        ("u32 match ip dport 80 0xffff match ip dport 81 0xffff flowid 1:1", "`81`: no packet matches all"),
        ("u32 match ip protocol 17 0xff match ip protocol 6 0xff flowid 1:1", "`6`: no packet matches all"),
        (
            "u32 match ip src fd00:: flowid 1:1",
            "`fd00::`: `fd00::` is not an address of the filter's version of IP",
        ),
        ("u32 match ip dport 80 0xffff flowid 2:1", "`2:1`: `2:1` is not a class of the filter's qdisc"),
        ("u32 match ip dport 80 0xffff flowid 1:9", "`1:9`: no packet can go to `1:9`"),
        ("u32 match ip dport 80 0xffff action drop", "`action`: `action` has no counterpart"),
        ("flower dst_port 80 classid 1:1", "`dst_port`: `flower` needs `ip_proto`"),
        ("flower vlan_id 5 classid 1:1", "`vlan_id`: `vlan_id` is not a word of `flower`"),
        ("handle 800::1 u32 flowid 1:1", "`handle`: `handle` has no counterpart"),
    ];
    let prio = "qdisc add root handle 1: prio bands 3\n";
    for (filter, expected) in cases {
        let outcome = outcome(&format!("{prio}filter add parent 1: protocol ip prio 1 {filter}"));
        assert!(outcome.starts_with(&format!("2: {expected}")), "{filter}\n  {outcome}");
    }
    let later = outcome(&format!(
        "{prio}filter add parent 1: protocol ip prio 1 u32 match ip dport 80 0xffff flowid 1:2
         filter add parent 1: protocol ip prio 2 u32 match ip src 10.0.0.0/8 flowid 1:1"
    ));
    assert!(
        later.starts_with("3: `u32`: the filter of line 2 takes some of the same packets first"),
        "{later}"
    );
}

#[test]
fn filters_of_one_prio_are_of_one_kind() {
    let text = "qdisc add root handle 1: prio\nfilter add parent 1: protocol ip prio 1 matchall flowid 1:1\n";
    for other in [
        "protocol ipv6 prio 1 matchall flowid 1:2",
        "protocol ip prio 1 u32 match ip dport 80 ffff flowid 1:2",
    ] {
        let outcome = outcome(&format!("{text}filter add parent 1: {other}"));
        assert!(
            outcome.contains("the kernel accepts one kind of filter and one protocol per prio"),
            "{outcome}"
        );
    }
}

#[test]
fn cake_has_the_names_of_tc() {
    let cake = |words: &str| keys(&format!("qdisc add root cake {words}"));
    assert_eq!(
        cake(""),
        "kind = \"cake\"; rtt = \"100 ms\"; diffserv = \"diffserv3\"; isolation = \"triple-isolate\"; mpu = \"0 B\"; \
         linklayer = \"ethernet\"; ingress = false; wash = false; mtu = \"1514 B\""
    );
    assert_eq!(
        cake(
            "bandwidth 10mbit diffserv4 flows rtt 50ms overhead 24 mpu 64 atm memlimit 4m ingress wash nonat split-gso"
        ),
        "kind = \"cake\"; bandwidth = \"10 Mbps\"; rtt = \"50 ms\"; diffserv = \"diffserv4\"; isolation = \"flows\"; \
         overhead = \"24 B\"; mpu = \"64 B\"; linklayer = \"atm\"; ingress = true; wash = true; mtu = \"1514 B\"; \
         memory_limit = \"4 MiB\""
    );
    let of = |words: &str, key: &str| {
        let keys = cake(words);
        let value =
            keys.split("; ").find_map(|pair| pair.strip_prefix(&format!("{key} = ")).map(str::to_owned));
        value.unwrap_or_default().trim_matches('"').to_owned()
    };
    assert_eq!(
        ["lan", "satellite", "internet rtt 5ms"].map(|words| of(words, "rtt")),
        ["1 ms", "1 s", "5 ms"]
    );
    assert_eq!(of("bandwidth 1mbit unlimited", "bandwidth"), "");
    assert_eq!(of("besteffort dual-srchost", "isolation"), "dual-srchost");
    let link = |words: &str| ["overhead", "mpu", "linklayer"].map(|key| of(words, key)).join(", ");
    assert_eq!(link("ethernet ether-vlan"), "42 B, 84 B, ethernet");
    assert_eq!(link("docsis"), "18 B, 64 B, ethernet");
    assert_eq!(link("pppoe-ptm ether-vlan"), "34 B, 0 B, ptm");
    assert_eq!(link("conservative"), "48 B, 0 B, atm");
    assert_eq!(link("pppoa-vcmux overhead -4 noatm"), "-4 B, 0 B, ethernet");
    assert_eq!(link("overhead 4 atm raw"), ", 0 B, ethernet");
    assert_eq!(link("raw overhead 4"), "18 B, 0 B, ethernet", "the frame's header counts");
}

#[test]
fn the_last_command_counts() {
    let text = "qdisc add dev a root handle 1: prio\nqdisc add dev a parent 1:1 handle 2: codel\nqdisc del dev a root\n\
                qdisc add dev a root handle 1: tbf rate 1mbit burst 2000 limit 9000\n\
                qdisc add dev a parent 1:1 handle 2: codel\nqdisc replace dev a parent 1:1 handle 3: bfifo limit 5000";
    assert!(keys(text).ends_with("buffer = \"5000 B\""), "{}", outcome(text));
    let replaced = format!("{text}\nqdisc replace dev a root pfifo limit 3");
    assert_eq!(keys(&replaced), "kind = \"fifo\"; buffer = \"3 packets\"");
}

#[test]
fn a_device_is_chosen() {
    let text =
        "qdisc add dev a root pfifo limit 1\nqdisc add dev b root hfsc\nqdisc add dev c root pfifo limit 3";
    let of = |device: &str| TcOptions { device: Some(device.to_owned()), ..TcOptions::default() };
    let limit = |device| read("test", text, &of(device)).unwrap().0.table.to_toml("ptm");
    assert!(limit("a").contains("1 packet\"") && limit("c").contains("3 packets"));
    let error = convert("test", text, &of("d")).unwrap_err();
    assert_eq!(error.message(), "no command is for the device `d`");
    assert_eq!(error.help(), Some("the commands are for `a`, `b`, `c`"));
}

#[test]
fn a_router_stands_around_the_table() {
    let text = "qdisc add root tbf rate 1mbit burst 2000 limit 9000";
    let converted = convert("slow.sh", text, &TcOptions::default()).unwrap();
    let options = RouterOptions {
        name: "slow".to_owned(),
        sources: ["10.9.1.0/24", "10.9.2.0/24"].map(|net| net.parse().unwrap()).to_vec(),
        destination: "10.9.200.0/24".parse().unwrap(),
    };
    let router = converted.to_router(&options).unwrap();
    assert!(
        router.starts_with("# By `taunet topology tc` from slow.sh:\n#\n#     qdisc add root tbf"),
        "{router}"
    );
    let topology = crate::topology::Topology::from_toml("slow.toml", &router).unwrap();
    assert_eq!((topology.devices().len(), topology.forward_links().len()), (4, 3));
    let twice = RouterOptions { destination: "10.9.1.0/24".parse().unwrap(), ..options };
    assert!(converted.to_router(&twice).unwrap_err().message().contains("already an address"));
}

#[test]
fn all_refusals_are_told_at_once() {
    let text = "qdisc add root handle 1: htb defualt 10
                class add parent 1: classid 1:1 htb rate 10%
                class add parent 1:1 classid 1:10 htb rate 1mbit prio x
                qdisc add parent 1:10 handle 10: prio bands 1
                qdisc add parent 10:1 codel limit many
                filter add parent 1: protocol ip prio 1 u32 match ip tos 0x10 0xff flowid 1:10
                filter add parent 1: protocol ip prio 1 u32 match ip dport 5120 0xffc0 flowid 1:20";
    let error = convert("test", text, &TcOptions::default()).unwrap_err();
    let lines = error.iter().map(|mistake| mistake.line_column().unwrap().0).collect::<Vec<_>>();
    assert_eq!(
        lines,
        [1, 2, 3, 4, 5, 6, 7],
        "{:?}",
        error.iter().map(|error| error.message()).collect::<Vec<_>>()
    );
}

mod random {
    use proptest::prelude::*;

    use super::outcome;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// Any words give a result, and no panic.
        #[test]
        fn no_words_panic(words in proptest::collection::vec(
            "(qdisc|class|filter|add|replace|del|root|parent|handle|classid|1:|1:1|1:10|2:|htb|tbf|prio|ets|drr|netem|sfq|fq|red|cake|\
              codel|pie|fq_codel|u32|flower|matchall|match|ip|dport|80|0xffc0|flowid|rate|1mbit|burst|limit|latency|5ms|loss|\
              gemodel|1%|bands|3|priomap|quanta|stab|overhead|-4|99999999999|\n|\\\\\n|é|#)", 0..40)) {
            let _ = outcome(&words.join(" "));
        }
    }
}
