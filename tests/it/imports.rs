//! `taunet topology import`, as a user runs it: what it imports, and that it reports everything that it
//! leaves out.

mod topohub;

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use taunet::topology::Topology;

/// What the command says.
struct Answer {
    code: i32,
    toml: String,
    told: String,
}

fn command(path: &Path, options: &[&str]) -> Answer {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taunet"));
    let output = command.args(["topology", "import"]).arg(path).args(options).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Answer { code: output.status.code().unwrap(), toml: text(output.stdout), told: text(output.stderr) }
}

fn answer(name: &str, bytes: impl AsRef<[u8]>, options: &[&str]) -> Answer {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    command(&path, options)
}

#[track_caller]
fn imported(name: &str, bytes: impl AsRef<[u8]>, options: &[&str]) -> Answer {
    let answer = answer(name, bytes, options);
    assert_eq!(answer.code, 0, "{}", answer.told);
    Topology::from_toml("t.toml", &answer.toml).unwrap_or_else(|error| panic!("{error}\n{}", answer.toml));
    answer
}

impl Answer {
    /// Each of the names stands in backticks in a line that says that it is left out.
    #[track_caller]
    fn leaves_out(&self, names: &[&str]) {
        let left =
            self.told.lines().filter(|line| line.starts_with("left out: ")).collect::<Vec<_>>().join("\n");
        let missing = names.iter().filter(|name| !left.contains(&format!("`{name}`"))).collect::<Vec<_>>();
        assert!(missing.is_empty(), "{missing:?} are not told:\n{}", self.told);
    }

    #[track_caller]
    fn tells(&self, lines: &[&str]) {
        let missing = lines.iter().filter(|line| !self.told.contains(*line)).collect::<Vec<_>>();
        assert!(missing.is_empty(), "{missing:#?} are not told:\n{}", self.told);
    }

    #[track_caller]
    fn has(&self, texts: &[&str]) {
        let missing = texts.iter().filter(|text| !self.toml.contains(*text)).collect::<Vec<_>>();
        assert!(missing.is_empty(), "{missing:#?} are not in:\n{}", self.toml);
    }

    /// The names of the devices that are no added hosts.
    fn names(&self) -> Vec<String> {
        let topology = Topology::from_toml("t.toml", &self.toml).unwrap();
        let names = topology.devices().map(|(_, device)| device.name.clone());
        names.filter(|name| !name.starts_with("h-")).collect()
    }
}

/// As yEd writes it: labels in graphics, a group, edge labels, an edge without arrowheads.
const YED: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns" xmlns:y="http://www.yworks.com/xml/graphml">
  <key for="graphml" id="d7" yfiles.type="resources"/>
  <key attr.name="url" attr.type="string" for="node" id="d3"/>
  <key for="node" id="d5" yfiles.type="nodegraphics"/>
  <key attr.name="description" attr.type="string" for="edge" id="d8"/>
  <key for="edge" id="d9" yfiles.type="edgegraphics"/>
  <graph edgedefault="directed" id="G">
    <node id="n0"><data key="d3">http://example.net</data><data key="d5"><y:ShapeNode>
      <y:NodeLabel alignment="center">core-1<y:LabelModel/></y:NodeLabel><y:NodeLabel>lo0 192.0.2.1</y:NodeLabel>
    </y:ShapeNode></data></node>
    <node id="n1"><data key="d5"><y:ImageNode><y:NodeLabel>core-2
rack 7</y:NodeLabel></y:ImageNode></data></node>
    <node id="n2" yfiles.foldertype="group"><data key="d5"><y:ProxyAutoBoundsNode><y:Realizers active="0">
      <y:GroupNode><y:NodeLabel>Hall B</y:NodeLabel></y:GroupNode></y:Realizers></y:ProxyAutoBoundsNode></data>
      <graph edgedefault="directed" id="n2:">
        <node id="n2::n0"><data key="d5"><y:ShapeNode><y:NodeLabel>leaf-1</y:NodeLabel></y:ShapeNode></data></node>
        <node id="n2::n1"><data key="d5"><y:ShapeNode><y:NodeLabel hasText="false"/></y:ShapeNode></data></node>
      </graph>
    </node>
    <edge id="e0" source="n0" target="n1"><data key="d8">trunk</data><data key="d9"><y:PolyLineEdge>
      <y:Arrows source="none" target="none"/><y:EdgeLabel>40 Gbps</y:EdgeLabel><y:EdgeLabel>2 ms</y:EdgeLabel>
    </y:PolyLineEdge></data></edge>
    <edge id="e1" source="n1" target="n0"><data key="d9"><y:PolyLineEdge>
      <y:Arrows source="none" target="none"/><y:EdgeLabel>backup</y:EdgeLabel></y:PolyLineEdge></data></edge>
    <edge id="e2" source="n1" target="n2::n0"><data key="d9"><y:PolyLineEdge>
      <y:Arrows source="none" target="standard"/><y:EdgeLabel>1 Gbps</y:EdgeLabel></y:PolyLineEdge></data></edge>
    <edge id="e3" source="n0" target="n2"/>
    <edge id="e4" source="n2::n1" target="n2::n0"/>
  </graph>
  <data key="d7"><y:Resources/></data>
</graphml>
"#;

#[test]
fn yed_labels_are_names_and_bandwidths_and_groups_are_frames() {
    let answer = imported("office.graphml", YED, &[]);
    assert_eq!(answer.names(), ["core-1", "core-2", "leaf-1", "n2-n1"]);
    answer.has(&["bandwidth = \"40 Gbps\"\ndelay = \"2 ms\"", "bandwidth = \"1 Gbps\""]);
    answer.leaves_out(&[
        "url",
        "nodegraphics",
        "NodeLabel",
        "label",
        "description",
        "edgegraphics",
        "id",
        "resources",
        "Hall B",
        "rack 7",
        "backup",
    ]);
    answer.tells(&[
        "2 links have a label with more properties, such as `40 Gbps 2 ms`",
        "left out: 1 edge at a group, such as `Hall B`",
        "left out: 1 group, such as `Hall B`: a frame, not a device",
        // Two lines without arrowheads are two links, and not two directions of one.
        "1 link of 4 in parallel with another link",
    ]);
}

#[test]
fn yed_live_writes_labels_in_lists() {
    let text = r#"<graphml xmlns:y="y" xmlns:x="x"><key id="d1" for="node" attr.name="NodeLabels"/>
        <key id="d2" for="edge" attr.name="EdgeLabels"/><graph id="G" edgedefault="undirected">
        <node id="n0"><data key="d1"><x:List><y:Label><y:Label.Text><![CDATA[core]]></y:Label.Text></y:Label></x:List></data></node>
        <node id="n1"><data key="d1"><x:List><y:Label Text="&lt;html&gt;&lt;b&gt;edge&lt;/b&gt;"/></x:List></data></node>
        <edge id="e" source="n0" target="n1"><data key="d2"><x:List><y:Label Text="10 Gbit/s"/></x:List></data></edge>
        </graph></graphml>"#;
    let answer = imported("live.graphml", text, &["--no-hosts"]);
    assert_eq!(answer.names(), ["core", "edge"]);
    answer.has(&["bandwidth = \"10 Gbps\""]);
}

#[test]
fn graphml_names_what_it_leaves_out() {
    let text = r#"<?xml version="1.0"?>
        <!DOCTYPE graphml SYSTEM "http://graphml.graphdrawing.org/dtds/1.0rc/graphml.dtd">
        <graphml>
        <key id="g" for="graph" attr.name="Creator"/><key id="n" for="node" attr.name="asn"/>
        <key id="e" for="edge" attr.name="srlg"/><key id="p" for="port" attr.name="mac"/>
        <key id="c" for="edge" attr.name="cost"/><key id="b" for="edge" attr.name="bandwidth"/>
        <key id="d" for="edge" attr.name="delay"/>
        <graph edgedefault="undirected"><data key="g">somebody</data><desc>a graph</desc>
        <node id="a"><data key="n">64496</data><desc>first</desc><port name="eth0"><data key="p">02::1</data></port>
          <port name="eth9"/></node>
        <node id="z"><data key="unknown">what</data><locator xlink="x"/></node>
        <edge id="e1" source="a" target="z" sourceport="eth0"><data key="e">7</data><data key="c">10</data>
          <data key="b">fast</data><data key="d">5</data></edge>
        </graph><graph><node id="x"/></graph></graphml>"#;
    let answer = imported("all.graphml", text, &[]);
    answer.leaves_out(&[
        "Creator",
        "desc",
        "asn",
        "unknown",
        "srlg",
        "cost",
        "mac",
        "eth9",
        "id",
        "bandwidth",
        "delay",
    ]);
    answer.tells(&[
        "left out: edge attribute `bandwidth` (1 edge, such as `fast`): not a bandwidth",
        "left out: edge attribute `delay` (1 edge, such as `5`): no unit: set it with --delay-unit",
        "left out: 1 graph after the first",
        "left out: 1 <locator>",
        "1 link has named ports, such as `eth0`",
        "1 link has no bandwidth: 10 Gbps assumed",
    ]);
    answer.has(&["between = [\"a:1\", \"z:1\"] # eth0 -- -"]);
}

#[test]
fn gml_names_what_it_leaves_out() {
    let text = r#"Creator "yFiles"
        Version "2.14"
        graph [ directed 0 hierarchic 1 label "net"
        node [ id 0 label "core" graphics [ x 1 y 2 ] LabelGraphics [ text "core" ] rack 7 ]
        node [ id 1 label "edge" gid 2 rack 8 ]
        node [ id 2 label "Hall" isGroup 1 ]
        edge [ source 0 target 1 label "2.5 Gbps" value 3 graphics [ fill "red" ] ]
        edge [ source 0 target 2 ] ]"#;
    let answer = imported("all.gml", text, &[]);
    assert_eq!(answer.names(), ["core", "edge"]);
    answer.has(&["name = \"net\"", "bandwidth = \"2.5 Gbps\""]);
    answer.leaves_out(&[
        "Creator",
        "Version",
        "hierarchic",
        "graphics",
        "LabelGraphics",
        "rack",
        "gid",
        "value",
        "Hall",
    ]);
    answer.tells(&[
        "node attributes `rack` (2 nodes, such as `7`), `gid` (1 node, such as `2`)",
        "left out: 1 edge at a group, such as `Hall`",
    ]);
}

/// Labels and ports as people write them.
const DOT: &str = r#"# cabling plan
graph "site a" {
  graph [hostidtype="hostname", version="1:0"]
  node [fixedsize fontsize=9 shape=Mrecord style=filled]
  rankdir=LR
  label="Site A\nfloor 2"
  r1 [label="CORE_1\n192.0.2.168"]
  r2 [label="\N of \G"]
  r3 [label=<<b>EDGE</b><br/>192.0.2.8>]
  r4 [label=""]
  r5 [label="{<p0> ge-0/0/0|SW5|<p1> ge-0/0/1}" xlabel=ceos]
  r6 [label=<<i>plain</i>>]
  "srv1" [function="host" os="linux" memory="768"]
  "leaf1" [function="leaf"]
  subgraph cluster_x { label="rack" color=red r1 r2 }
  r1 -- r2 [label="" color=black penwidth=1.0]
  r1 -- r3 [label="10 Gbps"]
  r2:e -- r5:p1:w [bandwidth="1 Gbps" delay="2 ms"]
  "leaf1":"swp51" -- "srv1":"eth1" [label="uplink" speed="25G"]
  r3 -- r4 [taillabel="eth0" headlabel="eth1"]
}
"#;

#[test]
fn dot_labels_are_names_or_told_and_ports_are_kept() {
    let answer = imported("labels.dot", DOT, &[]);
    assert_eq!(answer.names(), ["r1", "r2-of-site-a", "r3", "r4", "r5", "plain", "srv1", "leaf1"]);
    answer.has(&[
        "name = \"srv1\"\nkind = \"host\"",
        "between = [\"r2-of-site-a:1\", \"r5:0\"] # - -- ge-0/0/1",
        "# swp51 -- eth1",
        "# eth0 -- eth1",
        "bandwidth = \"10 Gbps\"",
    ]);
    answer.leaves_out(&[
        "hostidtype",
        "version",
        "rankdir",
        "label",
        "fixedsize",
        "fontsize",
        "shape",
        "style",
        "xlabel",
        "os",
        "memory",
        "function",
        "color",
        "penwidth",
        "compass",
        "uplink",
        "cluster_x",
        "CORE_1 | 192.0.2.168",
    ]);
    answer.tells(&[
        "node attribute `function` (1 node, such as `leaf`): devices are hosts, switches or routers",
        "a label of several lines or fields cannot be a name: the node's id is used",
        "3 links have named ports, such as `ge-0/0/1`: ports are numbered, and a comment keeps the names",
        "1 link has a bandwidth such as `25G`: bits per second assumed",
        "the file has 1 host: none added",
    ]);
}

#[test]
fn dot_edges_have_their_own_direction_and_strict_ones_are_merged() {
    let text =
        "digraph { a -> b [dir=none]; b -> a [dir=none]; c -> a [dir=back bandwidth=\"1 Gbps\"]; c -> a }";
    let answer = imported("d.dot", text, &["--no-hosts"]);
    answer.tells(&["1 link of 3 in parallel with another link"]);
    answer
        .has(&["between = [\"a:2\", \"c:0\"]\nbandwidth = \"1 Gbps\"\nbackward = { bandwidth = \"10 Gbps\""]);
    let strict = imported("s.dot", "strict graph { a -- b; b -- a [delay=\"3 ms\"] }", &["--no-hosts"]);
    strict.has(&["between = [\"a:0\", \"b:0\"]\ndelay = \"3 ms\""]);
}

#[test]
fn a_dot_name_without_quotes_is_refused_with_the_remedy() {
    for (text, help) in [
        ("graph net.clab { a -- b }", "needs quotes: \"net.clab\""),
        ("graph { eos-03--eos01 }", "needs quotes: \"eos-03\""),
        ("graph { 10.0.0.1 -- b }", "needs quotes: \"10.0.0.1\""),
        ("graph { eth0/1 -- b }", "needs quotes: \"eth0/1\""),
    ] {
        let answer = answer("bad.dot", text, &[]);
        assert_eq!(answer.code, 2, "{text}: {}", answer.toml);
        assert!(answer.told.contains(help), "{text}: {}", answer.told);
    }
}

/// Attributes as Mininet has them, in networkx's JSON as Python writes it.
const MININET: &str = r#"{"directed": false, "multigraph": true, "graph": {"name": "mn", "controller": "c0"},
"nodes": [{"id": "h1", "type": "host", "ip": "10.0.0.1/8", "mac": "02:00:00:00:00:01", "cpu": 0.5},
  {"id": "h2", "type": "host", "ip": "10.0.0.2/8"}, {"id": "s1", "type": "switch", "dpid": "1", "pos": [0.3, -0.9]}],
"links": [{"source": "h1", "target": "s1", "key": 0, "bw": 10, "delay": "5ms", "jitter": "1ms", "loss": 2,
   "max_queue_size": 100, "use_htb": true, "port1": "h1-eth0", "port2": "s1-eth1"},
  {"source": "s1", "target": "h2", "key": 0, "bw": 10, "delay": "5ms", "loss": NaN, "max_queue_size": 100.0}]}"#;

#[test]
fn mininet_attributes_become_a_link() {
    let answer = imported("mn.json", MININET, &[]);
    answer.has(&[
        "name = \"h1\"\nkind = \"host\"\naddresses = [\"10.0.0.1\"]",
        "name = \"s1\"\nkind = \"switch\"",
        "between = [\"h1:0\", \"s1:0\"] # h1-eth0 -- s1-eth1\nbandwidth = \"10 Mbps\"\ndelay = \"4 ms\"\nloss = 0.02\n\
         jitter = { distribution = \"uniform\", max = \"2 ms\", order = \"break\" }\n\
         ptm = { kind = \"fifo\", buffer = \"100 packets\" }\n\
         backward = { ptm = { kind = \"fifo\", buffer = \"100 packets\" } }",
        "between = [\"s1:1\", \"h2:0\"]\nbandwidth = \"10 Mbps\"\ndelay = \"5 ms\"\nptm",
    ]);
    answer.leaves_out(&["controller", "mac", "cpu", "dpid", "pos", "key", "use_htb", "loss", "NaN"]);
    answer.tells(&[
        "2 links have a `bw` without a unit: Mbps assumed, as in Mininet",
        "1 link has a `loss` without a unit: percent assumed",
        "1 link has jitter: uniform around the delay",
        "2 links have a queue of 100 packets",
        "no length confirms its unit: write `longitude` and `latitude`",
    ]);
    let gigabits = imported("mn.json", MININET, &["--bandwidth-unit", "Gbps"]);
    gigabits.has(&["bandwidth = \"10 Gbps\""]);
    gigabits.tells(&["2 links have a bandwidth without a unit: 1 stands for 1 Gbps"]);
}

#[test]
fn jitter_and_queues_that_no_link_can_have_are_told() {
    let text = r#"graph { a -- b [delay="1 ms" jitter="2 ms" queue=100 loss="200%" packet_loss=3];
        b -- c [jitter=3 buffer_size="64 KiB" loss="1.5 %" delay=2] }"#;
    let answer = imported("j.dot", text, &["--no-hosts"]);
    answer.leaves_out(&["jitter", "queue", "loss", "packet_loss", "delay"]);
    answer.tells(&[
        "`jitter` (1 edge, such as `2 ms`): jitter needs a delay that is at least as long",
        "`queue` (1 edge, such as `100`): no unit: write for example `100 packets` or `64 KiB`",
        "`loss` (1 edge, such as `200%`)",
    ]);
    answer.has(&["loss = 0.015\nptm = { kind = \"fifo\", buffer = \"65.536 kB\" }"]);
    let units = imported("j.dot", text, &["--no-hosts", "--delay-unit", "ms"]);
    units.leaves_out(&["jitter"]);
    units.tells(&["1 link has a delay without a unit: 1 stands for 1 ms"]);
    units.has(&["delay = \"2 ms\""]);
}

#[test]
fn a_mistyped_attribute_is_told_with_the_likely_one() {
    let text = "graph { a -- b [bandwith=\"1 Gbps\" latancy=\"2 ms\" vendor=x] }";
    let answer = imported("t.dot", text, &[]);
    answer.tells(&[
        "`bandwith` (1 edge, such as `1 Gbps`; did you mean `bandwidth`?)",
        "`latancy` (1 edge, such as `2 ms`; did you mean `latency`?), `vendor` (1 edge, such as `x`): taunet's links",
    ]);
}

#[test]
fn directions_with_other_impairments_stay_apart() {
    let text = "digraph { a -> b [loss=\"1%\" delay=\"3ms\" jitter=\"1ms\"]; b -> a [delay=\"3ms\"] }";
    let answer = imported("d.dot", text, &["--no-hosts"]);
    answer.has(&[
        "delay = \"2 ms\"\nloss = 0.01\njitter = { distribution = \"uniform\", max = \"2 ms\", order = \"break\" }",
        "delay = \"3 ms\", loss = 0.0, jitter = { distribution = \"uniform\", max = \"0 s\" } }",
    ]);
}

#[test]
fn json_without_ids_goes_by_position_and_name() {
    let text = r#"{"nodes": [{"name": "Myriel", "group": 1}, {"name": "Napoleon", "group": 1}, {"name": "Valjean"}],
        "links": [{"source": 1, "target": 0, "value": 1}, {"source": "Valjean", "target": "Myriel", "value": 8},
          {"source": {"name": "Valjean", "index": 2, "x": 3}, "target": {"name": "Napoleon", "index": 1}}]}"#;
    let answer = imported("d3.json", text, &["--no-hosts"]);
    assert_eq!(answer.names(), ["Myriel", "Napoleon", "Valjean"]);
    answer.has(&[
        "\"Napoleon:0\", \"Myriel:0\"",
        "\"Valjean:0\", \"Myriel:1\"",
        "\"Valjean:1\", \"Napoleon:1\"",
    ]);
    answer.leaves_out(&["group", "value"]);
    let numbers = r#"{"graph": [["owner", "me"]], "nodes": [{"name": 3}, {"name": 1}, {"name": 0}],
        "links": [{"source": 0, "target": 2}]}"#;
    let by_position = imported("n.json", numbers, &["--no-hosts"]);
    by_position.has(&["between = [\"3:0\", \"0:0\"]"]);
    by_position.leaves_out(&["graph"]);
    answer.tells(&["3 nodes without ids: edges name them by name, or by position from 0"]);
    let wrong = |text: &str| self::answer("w.json", text, &[]).told;
    let told = wrong(r#"{"nodes": [{"name": "a"}], "links": [{"source": 0, "target": 1}]}"#);
    assert!(told.contains("`links[0]`: no node has the name or the position `1`"), "{told}");
    let told = wrong(r#"{"nodes": [{"id": "a"}, {"name": "b"}], "links": []}"#);
    assert!(told.contains("`nodes[1]` has no `id`, and others have one"), "{told}");
}

#[test]
fn other_shapes_of_json_are_read() {
    let vis =
        r#"{"nodes": [{"id": 1, "label": "a"}, {"id": 2, "label": "b"}], "edges": [{"from": 1, "to": 2}]}"#;
    let cytoscape = r#"{"elements": {"nodes": [{"data": {"id": "a"}}, {"data": {"id": "b"}, "position": {"x": 1}}],
        "edges": [{"data": {"source": "a", "target": "b", "bandwidth": "1 Gbps"}}]}, "style": []}"#;
    let graph_format = r#"{"graph": {"label": "j", "directed": false, "nodes": {"a": {"metadata": {"rack": 7}}, "b": null},
        "edges": [{"source": "a", "target": "b", "metadata": {"delay": "2 ms"}}]}}"#;
    let containerlab = r#"{"type": "clab", "nodes": {"a": {"kind": "linux"}, "b": {}},
        "links": [{"a": {"node": "a", "interface": "e1-1", "peer": "z"}, "z": {"node": "b", "interface": "eth1"}}]}"#;
    for text in [vis, cytoscape, graph_format, containerlab] {
        let answer = imported("s.json", text, &["--no-hosts"]);
        assert_eq!(answer.names(), ["a", "b"]);
        answer.has(&["between = [\"a:0\", \"b:0\"]"]);
    }
    imported("s.json", cytoscape, &[]).leaves_out(&["position"]);
    imported("s.json", graph_format, &[]).leaves_out(&["rack"]);
    let answer = imported("s.json", containerlab, &[]);
    answer.has(&["# e1-1 -- eth1"]);
    answer.leaves_out(&["type", "kind", "peer"]);
}

#[test]
fn json_goes_by_position_where_ids_are_of_no_use() {
    let old = r#"{"nodes": [{"id": "a"}, {"id": "b"}], "links": [{"source": 0, "target": 1}]}"#;
    let answer = imported("old.json", old, &["--no-hosts"]);
    answer.has(&["between = [\"a:0\", \"b:0\"]"]);
    answer.tells(&["edges name nodes by position from 0, as of D3 3 and networkx 1"]);
    let bare = r#"{"nodes": ["a", "b"], "edges": [["a", "b", {"delay": "3 ms", "srlg": 1}]]}"#;
    let answer = imported("bare.json", bare, &["--no-hosts"]);
    answer.has(&["between = [\"a:0\", \"b:0\"]\ndelay = \"3 ms\""]);
    answer.leaves_out(&["srlg"]);
}

#[test]
fn miniedits_files_are_read() {
    let text = r#"{"application": {"ipBase": "10.0.0.0/8"}, "controllers": [{"opts": {"hostname": "c0"}}], "version": "2",
        "hosts": [{"number": "1", "opts": {"hostname": "h1", "nodeNum": 1, "sched": "host"}, "x": "1.0", "y": "2.0"}],
        "switches": [{"number": "1", "opts": {"hostname": "s1", "switchType": "default", "controllers": ["c0"]}}],
        "links": [{"src": "h1", "dest": "s1", "opts": {"bw": 10, "delay": "5ms", "loss": 1, "speedup": 3}}]}"#;
    let answer = imported("lab.mn", text, &[]);
    answer.has(&["name = \"h1\"\nkind = \"host\"", "name = \"s1\"\nkind = \"switch\"", "loss = 0.01"]);
    answer.leaves_out(&[
        "application",
        "controllers",
        "version",
        "number",
        "nodeNum",
        "sched",
        "x",
        "y",
        "switchType",
        "speedup",
    ]);
}

#[test]
fn json_names_what_it_leaves_out_and_pythons_numbers_are_none() {
    let text = r#"{"directed": true, "version": 3, "graph": {"name": "g", "stats": {"links": 1}},
        "nodes": [{"id": "a", "latitude": NaN, "longitude": 5.0, "tags": ["x", "NaN"]}, {"id": "b", "asn": 64496}],
        "edges": [{"source": "a", "target": "b", "id": "l1", "capacity": Infinity, "weight": -Infinity, "meta": {"x": 1},
          "ecmp_fwd": {"uni": 1.0}, "length": 3, "distance_km": 30}]}"#;
    let answer = imported("all.json", text, &[]);
    answer.leaves_out(&[
        "version",
        "stats",
        "latitude",
        "NaN",
        "longitude",
        "tags",
        "asn",
        "id",
        "capacity",
        "Infinity",
        "weight",
        "-Infinity",
        "meta",
        "ecmp_fwd",
        "length",
    ]);
    answer.has(&["length = \"30 km\""]);
    let told = self::answer("bad.json", "{\"a\": NaN,\n \"b\": NaN, oops }", &[]).told;
    assert!(told.contains("bad.json:2:12") && told.contains("invalid JSON"), "{told}");
}

#[test]
fn a_position_counts_where_lengths_confirm_its_unit() {
    let text = |pos: &str, dist: &str| {
        format!(
            r#"{{"nodes": [{{"id": 0, "pos": [0, 0]}}, {{"id": 1, "pos": {pos}}}, {{"id": 2, "pos": [0, 1]}}],
            "edges": [{{"source": 0, "target": 1{dist}}}, {{"source": 0, "target": 2}}]}}"#
        )
    };
    let degrees = imported("d.json", text("[1, 0]", ", \"dist\": 111.2"), &[]);
    degrees.has(&["position = { latitude = 0.0, longitude = 1.0 }", "length = \"111.195"]);
    let plane = imported("p.json", text("[30, 40]", ", \"dist\": 50"), &[]);
    plane.has(&["position = { x = \"30 km\", y = \"40 km\" }", "length = \"50 km\"", "length = \"1 km\""]);
    let neither = imported("n.json", text("[1, 0]", ""), &[]);
    neither.leaves_out(&["pos"]);
}

/// SNDlib's native format.
const NATIVE: &str = "?SNDlib native format; type: network; version: 1.0
# network made up
META ( granularity = 5min
  unit = KBITPERSEC )
# NODE SECTION
NODES (
  Gdansk ( 18.60 54.20 )
  Bydgoszcz ( 17.90 53.10 )
  Nowhere
)
LINKS (
  L1 ( Gdansk Bydgoszcz ) 0.00 0.00 0.00 156.00 ( 155.00 156.00 622.00 468.00 )
  L2 ( Gdansk Nowhere ) 155.00 7.00 1.00 272.00 ( )
)
DEMANDS (
  D1 ( Gdansk Bydgoszcz ) 1 195.00 UNLIMITED
  D2 ( Nowhere Gdansk ) 1 158.00 3
  D3 ( Gdansk Gdansk ) 1 158.00 3
)
ADMISSIBLE_PATHS ( D1 ( P_0 ( L1 ) ) )
";

#[test]
fn sndlibs_native_format_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let demands = folder.path().join("d.csv");
    let answer = imported("polska.txt", NATIVE, &["--demands", demands.to_str().unwrap()]);
    assert_eq!(answer.names(), ["Gdansk", "Bydgoszcz", "Nowhere"]);
    answer.has(&["name = \"polska\"", "latitude = 54.2", "bandwidth = \"155 Mbps\""]);
    assert_eq!(
        fs::read_to_string(demands).unwrap(),
        "source,destination,bandwidth_bps\nh-Gdansk,h-Bydgoszcz,195000\nh-Nowhere,h-Gdansk,158000\n"
    );
    answer.leaves_out(&[
        "granularity",
        "module",
        "module cost",
        "routing cost",
        "setup cost",
        "preinstalled capacity cost",
        "id",
        "routing unit",
        "max path length",
    ]);
    answer.tells(&[
        "left out: the section ADMISSIBLE_PATHS",
        "1 link without capacity: the first installable module assumed",
        "2 links have a bandwidth without a unit: 1 stands for 1 Mbps (--bandwidth-unit sets another)",
        "2 demands, where 1 stands for 1 kbps",
        "left out: 1 demand: from a node to itself",
    ]);
    let told = self::answer("m.txt", NATIVE.replace("type: network", "type: model"), &[]).told;
    assert!(told.contains("has the type `model`: taunet reads a `network`"), "{told}");
}

#[test]
fn sndlib_xml_names_what_it_leaves_out() {
    let text = r#"<?xml version="1.0" encoding="ISO-8859-1"?><network xmlns="http://sndlib.zib.de/network" version="1.0">
        <meta><granularity>5min</granularity><time>20040301</time><unit>MBITPERSEC</unit></meta>
        <networkStructure><nodes coordinatesType="geographical">
        <node id="A"><coordinates><x>13.48</x><y>52.52</y></coordinates></node><node id="B"/></nodes>
        <links><link id="L1"><source>A</source><target>B</target><setupCost>3.0</setupCost><routingCost>1.0</routingCost>
        <preInstalledModule><capacity>40.0</capacity><cost>0.5</cost></preInstalledModule>
        <additionalModules><addModule><capacity>160.0</capacity><cost>9.5</cost></addModule></additionalModules>
        </link></links></networkStructure>
        <demands><demand id="D1"><source>A</source><target>B</target><routingUnit>1</routingUnit>
        <demandValue>5.0</demandValue><maxPathLength>4</maxPathLength>
        <admissiblePaths><admissiblePath id="P0"/></admissiblePaths></demand></demands></network>"#;
    let answer = imported("n.xml", text, &[]);
    answer.leaves_out(&[
        "granularity",
        "time",
        "setupCost",
        "routingCost",
        "module",
        "module cost",
        "routingUnit",
        "maxPathLength",
        "admissiblePaths",
        "id",
    ]);
    answer.has(&["bandwidth = \"40 Mbps\""]);
}

#[test]
fn declared_encodings_are_read() {
    let text = |label: &str| {
        format!(
            "<?xml version=\"1.0\" encoding=\"{label}\"?>\n<graphml><graph edgedefault=\"undirected\"><node id=\"Z\u{fc}rich\"/>\
             </graph></graphml>"
        )
    };
    let latin = |text: String| text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect::<Vec<_>>();
    let wide = |text: String| {
        "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect::<Vec<_>>()
    };
    let files =
        [latin(text("ISO-8859-1")), latin(text("windows-1252")), wide(text("UTF-16")), text("UTF-8").into()];
    for file in files {
        assert_eq!(imported("z.graphml", file, &["--no-hosts"]).names(), ["Z\u{fc}rich"]);
    }
    let dot = latin("graph { \"Z\u{fc}rich\" }".to_owned());
    let told = answer("z.dot", &dot, &[]).told;
    assert!(
        told.contains("not a text in UTF-8: byte 0xfc") && told.contains("--encoding windows-1252"),
        "{told}"
    );
    assert_eq!(imported("z.dot", &dot, &["--no-hosts", "--encoding", "latin1"]).names(), ["Z\u{fc}rich"]);
}

#[test]
fn a_unit_that_is_none_is_refused_with_the_nearest() {
    let told = |option: &str, unit: &str| answer("a.dot", "graph { a }", &[option, unit]).told;
    assert!(told("--bandwidth-unit", "mbps").contains("did you mean \"Mbps\"?"));
    assert!(told("--delay-unit", "msec").contains("\"msec\" is not a unit of a span of time"));
    assert!(told("--delay-units", "ms").contains("--delay-unit"));
}
