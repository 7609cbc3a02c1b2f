use super::*;
use crate::topology::import::{ImportFormat, ImportOptions, import};

fn topology(text: &str) -> Topology {
    let text =
        format!("name = \"t\"\ndefaults.link = {{ bandwidth = \"1 Gbps\", delay = \"3 us\" }}\n{text}");
    Topology::from_toml("t.toml", &text).unwrap_or_else(|error| panic!("{error}"))
}

/// A topology with a parallel link, asymmetric directions, an unlimited link and positions.
const UNLIKE: &str = r#"
device = [
    { name = "a<&>'", kind = "host", addresses = ["10.0.0.1", "fd00::/64"] },
    { name = "r\\1\"", kind = "router", position = { latitude = 1.5, longitude = -2.25 } },
    { name = "s", kind = "switch", position = { latitude = 2.5, longitude = 3 } },
]
link = [
    { between = ["a<&>':3", "r\\1\":7"], bandwidth = "unlimited", backward = { bandwidth = "2 Mbps", delay = "1 ps" } },
    { between = ["r\\1\":9", "s:1"] },
    { between = ["s:2", "r\\1\":8"], delay = "7 ns" },
]
"#;

/// The content of GraphML and DOT.
fn carried(topology: &Topology) -> Vec<String> {
    let devices = topology
        .devices()
        .map(|(_, device)| format!("{} {} {:?}", kind_name(device.kind), addresses(device), device.position));
    let links = topology.links().map(|(_, link)| {
        let [from, to] = topology.ends(link).map(|device| device.index());
        let [from_port, to_port] = [link.from, link.to].map(|port| topology.port(port).number);
        let (rate, delay) = (link.link.bandwidth, link.link.propagation_delay());
        format!("{from}:{from_port} {to}:{to_port} {rate} {delay}")
    });
    devices.chain(links).collect()
}

#[test]
fn what_is_exported_is_imported_again() {
    let generated = [
        "generate = { kind = \"fat-tree\", k = 4 }",
        "generate = { kind = \"ring\", switches = 5, hosts = 2 }",
        "generate = { kind = \"leaf-spine\", leaves = 3, spines = 2, hosts = 1 }",
        UNLIKE,
    ];
    for text in generated {
        let topology = topology(text);
        for (export, format) in
            [(ExportFormat::Dot, ImportFormat::Dot), (ExportFormat::Graphml, ImportFormat::Graphml)]
        {
            let exported = topology.export(export, ExportOptions::default());
            let imported = import("t", &exported, format, &ImportOptions::default())
                .unwrap_or_else(|error| panic!("{error}\n{exported}"));
            let again = Topology::from_toml("t.toml", &imported.to_toml()).unwrap();
            assert_eq!(carried(&again), carried(&topology), "{export:?} {text}");
            assert_eq!(again.name(), "t");
            let parallel = ["1 link of 3 in parallel with another link"];
            let expected = if text == UNLIKE { &parallel[..] } else { &[] };
            let of_course = |remark: &&String| {
                ["`shape`", "none added", "another name"].iter().any(|text| remark.contains(text))
            };
            let remarks = imported.remarks.iter().filter(|remark| !of_course(remark)).collect::<Vec<_>>();
            assert_eq!(remarks, expected);
        }
    }
}

/// The positions of the devices in a picture, by name.
fn places(svg: &str) -> Vec<(String, f64, f64)> {
    let document = roxmltree::Document::parse(svg).unwrap_or_else(|error| panic!("{error}\n{svg}"));
    let groups =
        document.descendants().filter(|node| node.has_tag_name("g") || node.tag_name().name() == "g");
    let devices = groups.filter_map(|group| {
        let title = group.children().find(|child| child.tag_name().name() == "title")?.text()?;
        let place = group.attribute("transform")?.strip_prefix("translate(")?.strip_suffix(')')?;
        let (x, y) = place.split_once(' ')?;
        Some((title.split(": ").next()?.to_owned(), x.parse().ok()?, y.parse().ok()?))
    });
    devices.collect()
}

#[test]
fn a_fat_tree_is_drawn_in_layers() {
    let svg = topology("generate = { kind = \"fat-tree\", k = 4 }")
        .export(ExportFormat::Svg, ExportOptions::default());
    let places = places(&svg);
    assert_eq!((places.len(), svg.matches("<path class=\"link\"").count()), (36, 48));
    let layer =
        |prefix: &str| places.iter().filter(|(name, _, _)| name.starts_with(prefix)).collect::<Vec<_>>();
    let heights = ["core", "agg", "edge", "h"].map(|prefix| {
        let layer = layer(prefix);
        assert!(layer.iter().all(|place| place.2 == layer[0].2), "{prefix}");
        assert!(
            layer.windows(2).all(|pair| pair[0].1 + 20.0 < pair[1].1),
            "{prefix}: in order, side by side"
        );
        layer[0].2
    });
    assert!(heights.windows(2).all(|pair| pair[0] + 80.0 < pair[1]), "{heights:?}");
    assert!(!svg.contains("Gbps</text>"));
}

/// The texts of a picture outside its key: the text, the middle of the baseline, and the size of the font.
fn texts(svg: &str) -> Vec<(String, f64, f64, f64)> {
    let document = roxmltree::Document::parse(svg).unwrap();
    let outside = |node: &roxmltree::Node<'_, '_>| {
        node.ancestors().all(|parent| parent.attribute("class") != Some("key"))
    };
    let texts = document.descendants().filter(|node| node.tag_name().name() == "text" && outside(node));
    let text = |node: roxmltree::Node<'_, '_>| {
        let number = |name: &str| node.attribute(name).map_or(0.0, |text| text.parse().unwrap());
        let group = node.parent().and_then(|parent| parent.attribute("transform"));
        let shift = group.map_or((0.0, 0.0), |text| {
            let text = text.strip_prefix("translate(").and_then(|text| text.strip_suffix(')')).unwrap();
            let (x, y) = text.split_once(' ').unwrap();
            (x.parse().unwrap(), y.parse().unwrap())
        });
        let size = match node.attribute("class") {
            Some("small") => 9.0,
            Some("title") => 15.0,
            _ => 11.0,
        };
        let words = node.text().unwrap_or_default().to_owned();
        // The title begins at its place.
        let half = if size == 15.0 { words.chars().count() as f64 * size * 0.3 } else { 0.0 };
        (words, shift.0 + number("x") + half, shift.1 + number("y"), size)
    };
    texts.map(text).collect()
}

/// Whether two texts cover each other in a font of usual width.
fn covers(a: &(String, f64, f64, f64), b: &(String, f64, f64, f64)) -> bool {
    let half = |of: &(String, f64, f64, f64)| of.0.chars().count() as f64 * of.3 * 0.55 / 2.0;
    (a.1 - b.1).abs() < half(a) + half(b) && (a.2 - b.2).abs() < 0.75 * a.3.min(b.3)
}

#[test]
fn no_name_of_a_map_covers_another() {
    for file in ["geant", "abilene"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("topologies/{file}.toml"));
        let topology = Topology::from_toml(file, &std::fs::read_to_string(path).unwrap()).unwrap();
        let loads: Vec<Option<f64>> =
            (0..topology.ports().len()).map(|port| Some(port as f64 / 100.0 % 1.0)).collect();
        let svg = topology.picture(&loads);
        let texts = texts(&svg);
        assert!(texts.len() > topology.devices().len(), "{file}");
        for (index, a) in texts.iter().enumerate() {
            for b in &texts[..index] {
                assert!(!covers(a, b), "{file}: {a:?} {b:?}");
            }
        }
    }
}

#[test]
fn every_picture_is_finite_and_nothing_covers_another() {
    let all = [
        "generate = { kind = \"line\", switches = 5, hosts = 2 }",
        "generate = { kind = \"ring\", switches = 8 }",
        "generate = { kind = \"star\", hosts = 40 }",
        "generate = { kind = \"dumbbell\", left = 5, right = 3 }",
        "generate = { kind = \"torus\", dimensions = [4, 4] }",
        "generate = { kind = \"torus\", dimensions = [3, 3, 3], hosts = 0 }",
        "generate = { kind = \"torus\", dimensions = [2, 2, 2, 2], hosts = 1 }",
        "generate = { kind = \"leaf-spine\", leaves = 4, spines = 2, hosts = 3 }",
        "generate = { kind = \"leaf-spine\", leaves = 4, spines = 2, hosts = 0 }",
        "generate = { kind = \"line\", switches = 1, hosts = 0 }",
        "device = [{ name = \"a\", kind = \"host\" }, { name = \"b\", kind = \"host\" }]\nlink = [{ between = [\"a:0\", \"b:0\"] }]",
        "device = [{ name = \"a\", kind = \"switch\" }, { name = \"b\", kind = \"switch\" }]",
        UNLIKE,
    ];
    for text in all {
        let topology = topology(text);
        let svg = topology.export(ExportFormat::Svg, ExportOptions { link_labels: true });
        let places = places(&svg);
        assert_eq!(places.len(), topology.devices().len(), "{text}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{text}");
        // Bandwidths and delays may cover each other where links are short.
        let texts = texts(&topology.export(ExportFormat::Svg, ExportOptions::default()));
        for (index, a) in texts.iter().enumerate() {
            for b in &texts[..index] {
                assert!(!covers(a, b), "{text}: {a:?} {b:?}");
            }
        }
        for (index, a) in places.iter().enumerate() {
            for b in &places[..index] {
                let distance = libm::hypot(a.1 - b.1, a.2 - b.2);
                assert!(distance > 14.0, "{text}: {a:?} {b:?}");
            }
        }
        assert_eq!(svg, topology.export(ExportFormat::Svg, ExportOptions { link_labels: true }));
    }
}

#[test]
fn coordinates_are_a_map() {
    let svg = topology(UNLIKE).export(ExportFormat::Svg, ExportOptions { link_labels: true });
    let places = places(&svg);
    // East is right, north is up.
    assert!(places[1].1 < places[2].1 && places[1].2 > places[2].2, "{places:?}");
    assert_eq!(places[0].0, "a<&>'");
    assert!(svg.contains(">unlimited</text>"));
}

#[test]
fn the_extension_chooses_the_format() {
    let of = |name: &str| ExportFormat::of(Path::new(name));
    assert_eq!(
        (of("a.SVG"), of("a.gv"), of("a.graphml")),
        (Some(ExportFormat::Svg), Some(ExportFormat::Dot), Some(ExportFormat::Graphml))
    );
    assert_eq!((of("a"), of("a.png")), (None, None));
}
