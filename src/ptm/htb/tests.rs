use crate::ptm::testing::{MS, departures, drops, order, told};

/// 1 Mbps: 125 bytes of tokens come in 1 ms. Two classes share it.
fn shared(first: &str, second: &str) -> String {
    format!(
        "kind = \"htb\"\n[[ptm.class]]\nrate = \"1 Mbps\"\nburst = \"125 B\"\ncburst = \"125 B\"\nclass = [\n\
         {{ match = {{ dscp = 1 }}, ceil = \"1 Mbps\", burst = \"125 B\", cburst = \"125 B\", {first} }},\n\
         {{ ceil = \"1 Mbps\", burst = \"125 B\", cburst = \"125 B\", {second} }},\n]"
    )
}

/// The senders, as classes, in a backlog of 12 packets of each class.
fn turns(toml: &str, length: u32) -> String {
    let arrivals = (0..24).map(|index| (0, length, u8::from(index % 2 == 0))).collect::<Vec<_>>();
    let order = departures(toml, "unlimited", &arrivals);
    order.iter().map(|(pid, _)| if pid % 2 == 0 { '1' } else { '0' }).collect()
}

#[test]
fn one_class_is_a_token_bucket_that_may_go_below_zero() {
    let toml = "kind = \"htb\"\nclass = [{ rate = \"1 Mbps\", burst = \"125 B\", cburst = \"125 B\" }]";
    // The bucket is full: 1 ms. The first packet reduces it to 0, at which it may still send, the second to
    // -1 ms.
    assert_eq!(departures(toml, "unlimited", &[(0, 125, 0); 4]), [(0, 0), (1, 0), (2, MS), (3, 2 * MS)]);
    // Idle for long: at most a full bucket.
    let arrivals = [(50 * MS, 125, 0), (50 * MS, 250, 0), (50 * MS, 125, 0)];
    assert_eq!(departures(toml, "unlimited", &arrivals), [(0, 50 * MS), (1, 50 * MS), (2, 52 * MS)]);
}

#[test]
fn a_class_borrows_up_to_its_ceil() {
    let toml = shared("rate = \"100 kbps\"", "rate = \"100 kbps\"").replacen(
        "ceil = \"1 Mbps\"",
        "ceil = \"500 kbps\"",
        1,
    );
    let starts = departures(&toml, "unlimited", &[(0, 125, 1); 5]);
    assert_eq!(starts, [(0, 0), (1, 0), (2, 2 * MS), (3, 4 * MS), (4, 6 * MS)]);
}

#[test]
fn the_timer_is_late_but_an_arrival_runs_the_queue_on_time() {
    let toml = "kind = \"htb\"\nrelease_slack = \"100 us\"\n\
                class = [{ rate = \"1 Mbps\", burst = \"125 B\", cburst = \"125 B\" }]";
    assert_eq!(departures(toml, "unlimited", &[(0, 125, 0); 3])[2], (2, MS + MS / 10));
    let helped = [(0, 125, 0), (0, 125, 0), (0, 125, 0), (MS + 7, 125, 0)];
    assert_eq!(departures(toml, "unlimited", &helped)[2], (2, MS + 7));
}

#[test]
fn own_rate_goes_before_borrowing_and_then_prio() {
    // Both send as much as possible; the second is guaranteed 0.9, whatever its prio.
    let toml = shared("rate = \"100 kbps\", prio = 0", "rate = \"900 kbps\", prio = 1");
    let sent = turns(&toml, 125);
    assert!(sent[2..12].matches('0').count() >= 9, "{sent}");
    // The guarantees are small: prio decides.
    let toml = shared("rate = \"10 kbps\", prio = 1", "rate = \"10 kbps\", prio = 0");
    assert!(turns(&toml, 125)[4..].starts_with("0000000"), "{}", turns(&toml, 125));
}

#[test]
fn borrowers_take_turns_by_quantum() {
    // A class sends until its deficit is below zero: 125 B, then 375 B in each round.
    let toml = shared("rate = \"1 kbps\", quantum = \"375 B\"", "rate = \"1 kbps\", quantum = \"125 B\"");
    let sent = turns(&toml, 125);
    assert!(sent.contains("0111011101110"), "{sent}");
    let toml = shared("rate = \"1 kbps\", quantum = \"125 B\"", "rate = \"1 kbps\", quantum = \"125 B\"");
    assert!(turns(&toml, 125).contains("01010101"), "{}", turns(&toml, 125));
}

#[test]
fn the_turn_of_a_class_that_empties_goes_to_the_next() {
    let borrower =
        "rate = \"1 kbps\", ceil = \"1 Mbps\", burst = \"125 B\", cburst = \"125 B\", quantum = \"375 B\"";
    let toml = format!(
        "kind = \"htb\"\n[[ptm.class]]\nrate = \"1 Mbps\"\nburst = \"125 B\"\ncburst = \"125 B\"\nclass = [\n\
         {{ match = {{ dscp = 1 }}, {borrower} }}, {{ match = {{ dscp = 2 }}, {borrower} }}, {{ {borrower} }}\n]"
    );
    // The second class sends two packets in its guaranteed time and one in its first round; with its fourth
    // it becomes empty in the middle of its second round.
    let mut arrivals = vec![(0, 125, 1); 20];
    arrivals.extend([(0, 125, 2); 4]);
    arrivals.extend([(0, 125, 3); 20]);
    let sent = departures(&toml, "unlimited", &arrivals);
    let classes = sent.iter().map(|(pid, _)| arrivals[*pid as usize].2).collect::<Vec<_>>();
    let last = classes.iter().rposition(|&class| class == 2).unwrap();
    assert_eq!(classes[last - 1..=last + 1], [1, 2, 3], "{classes:?}");
}

#[test]
fn inner_classes_share_first_among_their_own() {
    // Half of the link for each department; the second department has two classes.
    let toml = r#"
        kind = "htb"
        [[ptm.class]]
        rate = "1 Mbps"
        burst = "125 B"
        cburst = "125 B"
        [[ptm.class.class]]
        rate = "500 kbps"
        ceil = "1 Mbps"
        burst = "125 B"
        match = { dscp = 1 }
        [[ptm.class.class]]
        rate = "500 kbps"
        ceil = "1 Mbps"
        burst = "125 B"
        class = [
            { match = { dscp = 2 }, rate = "250 kbps", ceil = "1 Mbps", burst = "125 B", quantum = "125 B" },
            { rate = "250 kbps", ceil = "1 Mbps", burst = "125 B", quantum = "125 B" },
        ]
    "#;
    let arrivals = (0..300).map(|index| (0, 125, index as u8 % 3 + 1)).collect::<Vec<_>>();
    let order = departures(toml, "unlimited", &arrivals);
    let sent = |class| order[..120].iter().filter(|(pid, _)| arrivals[*pid as usize].2 == class).count();
    for (class, expected) in [(1, 60), (2, 30), (3, 30)] {
        assert!(sent(class).abs_diff(expected) <= 4, "class {class}: {}", sent(class));
    }
    // Without the first department, the second gets the whole rate.
    let alone = (0..200).map(|index| (0, 125, index as u8 % 2 + 2)).collect::<Vec<_>>();
    let order = departures(toml, "unlimited", &alone);
    let span = order[150].1 - order[50].1;
    assert!(span.abs_diff(100 * MS) < 3 * MS, "{span}");
}

#[test]
fn what_fits_no_class_goes_to_the_default() {
    let classes = "class = [{ name = \"a\", rate = \"1 Mbps\", match = { dscp = 1 } }, \
                   { name = \"b\", rate = \"1 Mbps\", buffer = \"0 B\", match = { dscp = 2 } }]";
    let arrivals = [(0, 125, 0), (0, 125, 1), (0, 125, 2)];
    assert_eq!(drops(&format!("kind = \"htb\"\n{classes}"), &arrivals), [0, 2]);
    assert_eq!(drops(&format!("kind = \"htb\"\ndefault = \"a\"\n{classes}"), &arrivals), [2]);
    let direct = format!("kind = \"htb\"\ndefault = \"direct\"\n{classes}");
    assert_eq!(drops(&direct, &arrivals), [2]);
    // Direct packets go before all others and are not shaped.
    let late = [(0, 125, 1), (0, 125, 1), (0, 125, 0), (0, 125, 0)];
    assert_eq!(order(&direct, &late), [0, 2, 3, 1]);
}

#[test]
fn defaults_are_those_of_tc() {
    let class =
        |toml: &str| match crate::ptm::testing::spec(&format!("kind = \"htb\"\nclass = [{{ {toml} }}]")) {
            crate::ptm::PtmSpec::Htb(spec) => spec.class[0].clone(),
            other => panic!("{other:?}"),
        };
    let gigabit = class("rate = \"8 Gbps\"");
    assert_eq!((gigabit.ceil(), gigabit.burst().get(), gigabit.cburst().get()), (gigabit.rate, 1_601, 1_601));
    assert_eq!((gigabit.quantum(), class("rate = \"1 Mbps\"").quantum()), (200_000, 12_500));
    assert_eq!(class("rate = \"8 kbps\"").quantum(), 1_000);
}

#[test]
fn a_discipline_in_a_leaf_may_hold_back() {
    let toml = r#"
        kind = "htb"
        class = [
            { match = { dscp = 1 }, rate = "1 Mbps", prio = 0, ptm = { kind = "token-bucket", rate = "500 kbps", burst = "125 B" } },
            { rate = "1 Mbps", prio = 1 },
        ]
    "#;
    let arrivals = [(0, 125, 1), (0, 125, 1), (0, 125, 0), (0, 125, 0)];
    assert_eq!(departures(toml, "1 Mbps", &arrivals), [(0, 0), (2, MS), (1, 2 * MS), (3, 3 * MS)]);
    let alone = [(0, 125, 1), (0, 125, 1)];
    assert_eq!(departures(toml, "1 Mbps", &alone), [(0, 0), (1, 2 * MS)]);
}

#[test]
fn what_does_not_hold_together_is_told() {
    let cases = [
        ("", "`htb` has no classes", "add a `class` table for each class"),
        (
            "default = \"c\"\nclass = [{ name = \"a\", rate = \"1 Mbps\" }]",
            "`default` names no leaf class: `c`",
            "it is one of: `a`, `direct`",
        ),
        (
            "direct_buffer = \"1 packet\"\nclass = [{ rate = \"1 Mbps\" }]",
            "`direct_buffer` has no effect without default = \"direct\"",
            "leave it out",
        ),
        (
            "class = [{ name = \"a\", rate = \"1 Mbps\", prio = 1, class = [{ rate = \"1 Mbps\" }] }]",
            "`prio` has no effect in the class `a`, which has classes of its own",
            "give it to the classes inside",
        ),
        (
            "class = [{ rate = \"1 Mbps\" }, { rate = \"1 Mbps\" }]",
            "no packet reaches the class 2: the class 1 before it takes everything",
            "give the class 1 a `match`, or put it last",
        ),
        (
            "class = [{ name = \"a\", rate = \"1 Mbps\", match = { dscp = 1 } }, { name = \"a\", rate = \"1 Mbps\" }]",
            "two classes are named `a`",
            "give each class its own name",
        ),
    ];
    for (toml, message, help) in cases {
        let expected = (message.to_owned(), help.to_owned());
        assert_eq!(told(&format!("kind = \"htb\"\n{toml}"), "unlimited"), expected);
    }
    let mut deep = "{ rate = \"1 Mbps\" }".to_owned();
    for _ in 0..8 {
        deep = format!("{{ rate = \"1 Mbps\", class = [{deep}] }}");
    }
    let error = told(&format!("kind = \"htb\"\nclass = [{deep}]"), "unlimited").0;
    assert_eq!(error, "classes are nested 9 deep: `htb` has at most 8 levels");
}
