use proptest::prelude::*;

use super::*;
use crate::topology::DeviceKind;

/// As written by the Internet Topology Zoo, reduced to its characteristics.
const GRAPHML: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
  <key attr.name="Network" attr.type="string" for="graph" id="d6" />
  <key attr.name="label" attr.type="string" for="node" id="d33" />
  <key attr.name="Longitude" attr.type="double" for="node" id="d32" />
  <key attr.name="Latitude" attr.type="double" for="node" id="d29" />
  <key attr.name="hyperedge" attr.type="int" for="node" id="d34" />
  <key attr.name="LinkSpeed" attr.type="string" for="edge" id="d35" />
  <key attr.name="LinkSpeedUnits" attr.type="string" for="edge" id="d37" />
  <key attr.name="LinkSpeedRaw" attr.type="double" for="edge" id="d38" />
  <graph edgedefault="undirected">
    <data key="d6">Made &amp; up</data>
    <node id="0"><data key="d33">New York</data><data key="d29">40.71</data><data key="d32">-74.01</data></node>
    <node id="1"><data key="d33">London</data><data key="d29">51.51</data><data key="d32">-0.13</data></node>
    <node id="2"><data key="d33">London</data></node>
    <node id="3"><data key="d33">Internet</data><data key="d34">1</data></node>
    <node id="4"><data key="d33">Alone</data></node>
    <edge source="0" target="1"><data key="d38">2500000000.0</data><data key="d35">2.5</data></edge>
    <edge source="0" target="1"><data key="d35">155</data><data key="d37">M</data></edge>
    <edge source="1" target="2"><data key="d35">45-155</data><data key="d37">M</data></edge>
    <edge source="1" target="3" />
    <edge source="2" target="2" />
  </graph>
</graphml>
"#;

const GML: &str = r#"# a comment
graph [
  directed 0
  Network "Zo&#252;"
  node [ id 0 label "A" Longitude 10.0 Latitude 50.0 graphics [ x 1 y 2 ] ]
  node [ id 7 label "B" Longitude 11.0 Latitude 50.0 ]
  edge [ source 0 target 7 LinkSpeedRaw 1.0E9 LinkLabel "1 [Gb/s]" ]
]
"#;

const SNDLIB: &str = r#"<?xml version="1.0" encoding="ISO-8859-1"?>
<network xmlns="http://sndlib.zib.de/network" version="1.0">
 <networkStructure>
  <nodes coordinatesType="geographical">
   <node id="Berlin"><coordinates><x>13.48</x><y>52.52</y></coordinates></node>
   <node id="Ulm"><coordinates><x>9.99</x><y>48.40</y></coordinates></node>
   <node id="Essen"><coordinates><x>7.01</x><y>51.46</y></coordinates></node>
  </nodes>
  <links>
   <link id="L1"><source>Berlin</source><target>Ulm</target>
    <preInstalledModule><capacity>9920.0</capacity><cost>0</cost></preInstalledModule></link>
   <link id="L2"><source>Ulm</source><target>Essen</target>
    <additionalModules><addModule><capacity>40.0</capacity></addModule><addModule><capacity>160</capacity></addModule></additionalModules></link>
  </links>
 </networkStructure>
 <demands>
  <demand id="D1"><source>Berlin</source><target>Essen</target><demandValue>195.5</demandValue></demand>
  <demand id="D2"><source>Ulm</source><target>Essen</target><demandValue>0.0</demandValue></demand>
 </demands>
</network>
"#;

/// As written by TopoHub.
const JSON: &str = r#"{
"directed": false, "multigraph": false,
"graph": { "name": "abilene", "demands": { "1": { "0": 3580.00 }, "0": { "2": 12.5, "1": 1 } }, "stats": { "nodes": 3 } },
"nodes": [
  { "name": "ATLAM5", "pos": [-84.38, 33.75], "id": 0 },
  { "name": "ATLAng", "pos": [-85.5, 34.5], "id": 1 },
  { "name": null, "id": 2 }
],
"edges": [
  { "dist": 132.4, "ecmp_fwd": { "uni": 58.67 }, "source": 0, "target": 1 },
  { "source": 1, "target": 2 }
]}"#;

const DOT: &str = r##"/* a comment */
strict digraph "a \"b\"" {
  node [kind=switch]; rankdir = LR
  # a preprocessor's line
  edge [bandwidth="1 Gbps"]
  a -> b [delay="2 ms"]
  b -> a [delay="3 ms", bandwidth="500 Mbps"];
  a -> b // strict: once
  subgraph cluster_x { edge [bandwidth="10 Mbps"] c -> {d e:n} [length="5 km"] }
  c -> b:p:sw
  h1 [kind=host, addresses="10.1.2.3" label=<<b>H</b>>]
  h1 -> a
}
"##;

/// SNDlib's native format.
const NATIVE: &str = "?SNDlib native format; type: network; version: 1.0
META ( unit = MBITPERSEC )
# a comment
NODES ( Berlin ( 13.48 52.52 ) Ulm ( 9.99 48.40 ) Essen )
LINKS ( L1 ( Berlin Ulm ) 9920.0 0.0 0.0 133.0 ( 40.0 1.0 160.0 3.0 ) L2 ( Ulm Essen ) 0.0 0.0 0.0 1.0 ( 40.0 1.0 ) )
DEMANDS ( D1 ( Berlin Essen ) 1 195.5 UNLIMITED )
";

fn imported(text: &str, format: ImportFormat) -> (Imported, Topology) {
    imported_with(text, format, &ImportOptions::default())
}

fn imported_with(text: &str, format: ImportFormat, options: &ImportOptions) -> (Imported, Topology) {
    let imported = import("folder/file.x", text, format, options).unwrap_or_else(|error| panic!("{error}"));
    let topology =
        Topology::from_toml("t.toml", &imported.to_toml()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(topology.name(), imported.name);
    assert_eq!(topology.devices().len(), imported.draft.devices.len());
    assert_eq!(topology.links().len(), 2 * imported.draft.links.len());
    (imported, topology)
}

/// Links as `from:port to:port bandwidth delay`, one per direction, without those to hosts.
fn links(topology: &Topology) -> Vec<String> {
    let core = topology.links().filter(|(_, link)| {
        [link.from, link.to]
            .iter()
            .all(|&port| topology.device(topology.port(port).device).kind != DeviceKind::Host)
    });
    core.map(|(_, link)| {
        let [from, to] = [link.from, link.to].map(|port| topology.port_name(port));
        format!("{from} {to} {} {}", link.link.bandwidth, link.link.propagation_delay())
    })
    .collect()
}

#[test]
fn graphml_of_the_topology_zoo() {
    let (imported, topology) = imported(GRAPHML, ImportFormat::Graphml);
    assert_eq!(imported.name, "Made-&-up");
    let names = topology.devices().map(|(_, device)| device.name.as_str()).collect::<Vec<_>>();
    assert_eq!(names[..5], ["New-York", "London", "London-2", "Internet", "Alone"]);
    assert_eq!(names[5..], ["h-New-York", "h-London", "h-London-2", "h-Alone"], "none at the hyperedge");
    let forward = links(&topology).into_iter().step_by(2).collect::<Vec<_>>();
    assert_eq!(
        forward,
        [
            "New-York:1 London:1 2.5 Gbps 27.85226133 ms",
            "New-York:2 London:2 155 Mbps 27.85226133 ms",
            "London:3 London-2:1 10 Gbps 0 ps",
            "London:4 Internet:0 10 Gbps 0 ps",
        ]
    );
    assert_eq!(
        imported.remarks,
        [
            "2 devices have another name than in the file, such as that of `New York`: spaces, colons, quotes and brackets become `-`, and the second of two equal names gets `-2`",
            "2 links have no bandwidth: 10 Gbps assumed",
            "2 links have no length: the great-circle distance between its ends assumed",
            "2 links have no length and no delay: 0 ps assumed",
            "left out: 1 edge from a node to itself",
            "1 link of 4 in parallel with another link",
            "left out: edge attributes `LinkSpeed` (1 edge, such as `2.5`), `LinkSpeedUnits` (1 edge, such as `M`): another attribute gives the bandwidth, or this is not one",
            "left out: edge attribute `LinkSpeed` (1 edge, such as `45-155`): not a bandwidth",
            "the network is in 2 pieces: no path leads from one to another",
            "4 hosts added, one at each node, with links of 100 Gbps and no delay",
        ]
    );
    assert!(
        imported
            .to_toml()
            .starts_with("# Imported by `taunet topology import` from file.x (GraphML).\n#\n# - 2 devices")
    );
}

#[test]
fn graphml_with_defaults_hyperedges_and_nested_graphs() {
    let text = r#"<graphml><key id="b" for="edge" attr.name="bandwidth"><default>3 Mbps</default></key>
        <graph id="G" edgedefault="directed"><node id="a"><graph><node id="a::1"/></graph></node><node id="b"/>
        <edge source="a" target="a::1"/><edge source="a::1" target="a"/>
        <hyperedge><endpoint node="a"/><endpoint node="b"/></hyperedge></graph></graphml>"#;
    let (imported, topology) = imported(text, ImportFormat::Graphml);
    assert_eq!((imported.name.as_str(), topology.links().len()), ("G", 2 * (3 + 3)));
    assert_eq!(links(&topology)[0], "a:1 a-1:1 3 Mbps 0 ps");
    assert!(topology.device_named("hyperedge").is_some());
}

#[test]
fn gml() {
    let (imported, topology) = imported(GML, ImportFormat::Gml);
    assert_eq!(imported.name, "Zoü");
    // 1 degree at 50 degrees north: 71.5 km.
    assert_eq!(links(&topology)[0], "A:1 B:1 1 Gbps 357.371435 us");
}

#[test]
fn sndlib() {
    let options = ImportOptions { demand_unit: "10 Mbps".parse().unwrap(), ..ImportOptions::default() };
    let (imported, topology) = imported_with(SNDLIB, ImportFormat::Sndlib, &options);
    let bandwidths =
        links(&topology).into_iter().step_by(2).map(|link| link.split(' ').nth(2).unwrap().to_owned());
    assert_eq!(bandwidths.collect::<Vec<_>>(), ["9.92", "40"]);
    assert_eq!(imported.demands_csv(), "source,destination,bandwidth_bps\nh-Berlin,h-Essen,1955000000\n");
    let unit = "2 links have a bandwidth without a unit: 1 stands for 1 Mbps (--bandwidth-unit sets another)";
    assert!(imported.remarks.contains(&unit.to_owned()));
    assert!(imported.remarks.contains(&"1 demand, where 1 stands for 10 Mbps".to_owned()));
    // A directed problem lists each link twice.
    let back = "<link><source>Ulm</source><target>Berlin</target></link><link><source>Essen</source><target>Ulm</target></link></links>";
    let (_, topology) = self::imported(&SNDLIB.replace("</links>", back), ImportFormat::Sndlib);
    assert_eq!(topology.links().len(), 2 * (2 + 3));
}

#[test]
fn topohub() {
    let (imported, topology) = imported(JSON, ImportFormat::Json);
    assert_eq!(imported.name, "abilene");
    assert_eq!(links(&topology)[0], "ATLAM5:1 ATLAng:1 10 Gbps 662 us");
    assert_eq!(
        imported.demands_csv(),
        "source,destination,bandwidth_bps\nh-ATLAM5,h-ATLAng,1000000\nh-ATLAM5,h-2,12500000\nh-ATLAng,h-ATLAM5,3580000000\n"
    );
    let none = ImportOptions { hosts: false, ..ImportOptions::default() };
    let (imported, topology) = imported_with(JSON, ImportFormat::Json, &none);
    assert_eq!((topology.devices().len(), imported.demands.len()), (3, 0));
    assert!(
        imported.remarks.contains(&"left out: 3 demands: no host at an end".to_owned()),
        "{:?}",
        imported.remarks
    );
    assert!(imported.remarks.contains(&"there are no hosts: no traffic can start or end".to_owned()));
}

#[test]
fn dot() {
    let (imported, topology) = imported(DOT, ImportFormat::Dot);
    assert_eq!(imported.name, "a-b");
    assert_eq!(
        links(&topology),
        [
            "a:0 b:0 1 Gbps 2 ms",
            "b:0 a:0 500 Mbps 3 ms",
            "c:0 d:0 10 Mbps 25 us",
            "d:0 c:0 10 Mbps 25 us",
            "c:1 e:0 10 Mbps 25 us",
            "e:0 c:1 10 Mbps 25 us",
            "c:2 b:1 1 Gbps 0 ps",
            "b:1 c:2 1 Gbps 0 ps",
        ]
    );
    let host = topology.devices().find(|(_, device)| device.kind == DeviceKind::Host).unwrap().1;
    assert_eq!((host.name.as_str(), host.addresses[0].to_string().as_str()), ("H", "10.1.2.3/32"));
    assert!(
        imported.remarks.contains(&"4 links have one direction in the file: both assumed".to_owned()),
        "{:?}",
        imported.remarks
    );
}

#[test]
fn options_are_taken() {
    let options = ImportOptions {
        name: Some("other".to_owned()),
        bandwidth: "7 Mbps".parse().unwrap(),
        access_bandwidth: "unlimited".parse().unwrap(),
        delay: "9 ms".parse().unwrap(),
        ..ImportOptions::default()
    };
    let (_, topology) = imported_with("graph { a -- b }", ImportFormat::Dot, &options);
    assert_eq!((topology.name(), links(&topology)[0].as_str()), ("other", "a:1 b:1 7 Mbps 9 ms"));
    let (_, access) = topology.links().next().unwrap();
    assert_eq!((access.link.bandwidth, access.link.propagation_delay()), (Bandwidth::Unlimited, Span::ZERO));
}

#[test]
fn the_format_is_told_by_name_and_content() {
    let of = |name: &str, text: &str| ImportFormat::of(Path::new(name), text);
    assert_eq!(of("a/B.GraphML", ""), Some(ImportFormat::Graphml));
    assert_eq!(of("a.xml", GRAPHML), Some(ImportFormat::Graphml));
    assert_eq!(of("a.xml", SNDLIB), Some(ImportFormat::Sndlib));
    assert_eq!(of("a.gv", ""), Some(ImportFormat::Dot));
    assert_eq!(of("a.txt", "?SNDlib native format; type: network"), Some(ImportFormat::Sndlib));
    assert_eq!(of("a.mn", "{}"), Some(ImportFormat::Json));
    assert_eq!((of("a", ""), of("a.txt", "")), (None, None));
}

#[test]
fn what_is_wrong_has_its_place() {
    use ImportFormat::{Dot, Gml, Graphml, Json, Sndlib};
    let deep_dot = format!("graph {{ {}", "{".repeat(100_000));
    let deep_gml = "graph [ ".repeat(100_000);
    let deep_json = "[".repeat(100_000);
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]><graphml>&b;</graphml>";
    let cases: &[(ImportFormat, &str, &str)] = &[
        (Graphml, "", "f:1:1: invalid XML: the document does not have a root node"),
        (
            Graphml,
            "<graphml>\n<graph></grap></graphml>",
            "f:2:8: invalid XML: expected 'graph' tag, not 'grap'",
        ),
        (
            Graphml,
            bomb,
            "f:1:1: this document type declares entities or elements, which taunet does not read (remove the `[ ... ]` from the <!DOCTYPE>, and replace each entity by its text)",
        ),
        (
            Graphml,
            SNDLIB,
            "f:2:1: not GraphML: the file is a <network> (the file looks like SNDlib: --format sndlib reads that)",
        ),
        (
            Gml,
            "graph G {\n}",
            "f: not GML: there is no `graph [ ... ]` (the file looks like DOT: --format dot reads that)",
        ),
        (
            Dot,
            "graph [ node [ id 1 ] ]",
            "f:1:7: this does not fit here: expected `{` (the file looks like GML: --format gml reads that)",
        ),
        (Graphml, "<graphml/>", "f:1:1: there is no <graph> in this file"),
        (Graphml, "<graphml><graph/></graphml>", "f: there are no nodes in this file"),
        (Graphml, "<graphml><graph><node/></graph></graphml>", "f:1:17: <node> has no attribute `id`"),
        (
            Graphml,
            "<graphml><graph><node id='a'/><node id='a'/></graph></graphml>",
            "f:1:31: two nodes have the id `a`",
        ),
        (
            Graphml,
            "<graphml><graph><node id='a'/><edge source='a' target='b'/></graph></graphml>",
            "f:1:31: no node has the id `b`",
        ),
        (Gml, "node [ id 1 ]", "f: not GML: there is no `graph [ ... ]`"),
        (Gml, "graph [ node [ id 1 ]", "f:1:1: `graph [` is not closed"),
        (Gml, "graph [ ] ]", "f:1:11: `]` has no matching `[`"),
        (Gml, "graph [ node ]", "f:1:14: `node` has no value"),
        (Gml, "graph", "f:1:1: `graph` has no value"),
        (Gml, "graph [ \"a\" 1 ]", "f:1:9: expected a key"),
        (Gml, "graph [ a \"b ]", "f:1:11: this text is not closed"),
        (Gml, "graph [ node [ label \"x\" ] ]", "f:1:9: this node has no `id`"),
        (Gml, "graph [ node [ id 1 ] edge [ source 1 ] ]", "f:1:23: this edge has no `target`"),
        (
            Gml,
            "graph [ node [ id 1 Latitude 91 Longitude 5 ] ]",
            "f:1:9: the node `1` has no valid position on the Earth: latitude 91, longitude 5 (latitude is from -90 to 90, longitude from -180 to 180)",
        ),
        (Gml, &deep_gml, "f:1:519: lists are nested more than 64 deep"),
        (Dot, "grap { }", "f:1:1: this does not fit here: expected `graph` or `digraph`"),
        (Dot, "graph { a -> b }", "f:1:11: this does not fit here: expected `--` in this kind of graph"),
        (Dot, "graph { a -- }", "f:1:14: this does not fit here: expected a node, an edge or `}`"),
        (Dot, "graph { a", "f:1:10: the file ends here: expected a node, an edge or `}`"),
        (Dot, "graph { a [b= ] }", "f:1:15: this does not fit here: expected a name or a value"),
        (Dot, "graph { \"a }", "f:1:9: this text is not closed"),
        (Dot, "graph { <a }", "f:1:9: this `<` is not closed"),
        (Dot, "graph { a /* }", "f:1:11: this comment is not closed"),
        (
            Dot,
            "graph { a @ }",
            "f:1:11: this character has no meaning here (a name with characters other than letters, digits and _ needs quotes)",
        ),
        (
            Dot,
            "graph { a } graph { b }",
            "f:1:13: this does not fit here: expected the end of the file: one graph is read",
        ),
        (Dot, &deep_dot, "f:1:74: subgraphs are nested more than 64 deep"),
        (
            Sndlib,
            GRAPHML,
            "f:2:1: not SNDlib: <graphml> without a <networkStructure> (SNDlib XML has <network><networkStructure>; GraphML is read with --format graphml)",
        ),
        (Sndlib, "?SNDlib native format\nNODES ( a", "f:2:7: this `(` is not closed"),
        (Sndlib, "?SNDlib native format\nNODES", "f:2:1: `NODES` needs `( ... )` after it"),
        (Sndlib, "?SNDlib native format\n( a )", "f:2:1: expected the name of a section, such as `NODES`"),
        (Sndlib, "?SNDlib native format\nNODES ( a ) )", "f:2:13: `)` has no matching `(`"),
        (
            Sndlib,
            "?SNDlib native format\nNODES ( a )\nLINKS ( l 1 2 )",
            "f:3:9: `l` has no `( SOURCE TARGET )`",
        ),
        (Sndlib, "?SNDlib native format\nNODES ( a )\nLINKS ( l ( a b ) )", "f:3:9: no node has the id `b`"),
        (
            Sndlib,
            "?SNDlib native format\nNODES ( a )\nDEMANDS ( d ( a a ) x )",
            "f:3:11: this demand is not `ID ( SOURCE TARGET ) UNIT VALUE LENGTH`",
        ),
        (
            Gml,
            "<gml/>",
            "f: not GML, the Graph Modelling Language: the file is XML (GraphML is read with --format graphml)",
        ),
        (Json, "{\n\"nodes\": [}", "f:2:11: invalid JSON: expected value"),
        (Json, &deep_json, "f:1:128: invalid JSON: recursion limit exceeded"),
        (Json, "[]", "f: not node-link JSON: the file is not an object"),
        (Json, "{}", "f: not node-link JSON: there is no list `nodes`"),
        (Json, "{\"nodes\": []}", "f: not node-link JSON: there is no list `edges` or `links`"),
        (Json, "{\"nodes\": [null], \"links\": []}", "f: `nodes[0]` is not an object"),
        (
            Json,
            "{\"nodes\": [{\"id\": 1}, {}], \"links\": []}",
            "f: `nodes[1]` has no `id`, and others have one",
        ),
        (
            Json,
            "{\"nodes\": [{\"id\": {}}], \"links\": []}",
            "f: `nodes[0]` has an `id` that is neither a text nor a number",
        ),
        (Json, "{\"nodes\": [{\"id\": 1}], \"links\": [{\"source\": 1}]}", "f: `links[0]` has no `target`"),
        (
            Json,
            "{\"nodes\": [{\"id\": 1}], \"links\": [{\"source\": 1, \"target\": 2}]}",
            "f: `links[0]`: no node has the id `2`",
        ),
        (
            Json,
            "{\"nodes\": [{\"id\": 1}], \"links\": [], \"graph\": {\"demands\": []}}",
            "f: `graph.demands` is not { from: { to: rate } }",
        ),
        (
            Json,
            "{\"nodes\": [{\"id\": 1}], \"links\": [], \"graph\": {\"demands\": {\"1\": {\"2\": 1}}}}",
            "f: `graph.demands`: no node has the id `2`",
        ),
    ];
    let told = |(format, text, _): &(ImportFormat, &str, &str)| {
        import("f", text, *format, &ImportOptions::default()).expect_err(text).to_string()
    };
    let wrong = cases.iter().filter(|case| told(case) != case.2);
    let wrong = wrong.map(|case| format!("{}\n  not\n{}", told(case), case.2)).collect::<Vec<_>>();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Any damage to a valid file gives a network or an error, and no panic.
    #[test]
    fn no_text_panics(which in 0..6usize, at in 0..1600usize, length in 0..60usize, put in "[\\PC\n\"=\\[\\]{}<>&;.-]{0,6}") {
        let (text, format) = [
            (GRAPHML, ImportFormat::Graphml),
            (GML, ImportFormat::Gml),
            (SNDLIB, ImportFormat::Sndlib),
            (JSON, ImportFormat::Json),
            (DOT, ImportFormat::Dot),
            (NATIVE, ImportFormat::Sndlib),
        ][which];
        let kept = text.char_indices().filter(|(index, _)| !(at..at + length).contains(index));
        let (before, after): (Vec<_>, Vec<_>) = kept.partition(|(index, _)| *index < at);
        let text_of = |characters: Vec<(usize, char)>| characters.into_iter().map(|(_, c)| c).collect::<String>();
        let text = text_of(before) + &put + &text_of(after);
        if let Ok(imported) = import("f", &text, format, &ImportOptions::default()) {
            prop_assert!(Topology::from_toml("t.toml", &imported.to_toml()).is_ok());
        }
    }
}
