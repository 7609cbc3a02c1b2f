//! MiniEdit files of Mininet: separate lists of hosts, switches and links.
//!
//! # Source
//! Mininet 2.3, `examples/miniedit.py` (`saveTopology`).

use serde_json::{Map, Value};

/// The file as nodes and links; `None` if it is not a MiniEdit file.
pub fn as_node_link(root: &Map<String, Value>) -> Option<Map<String, Value>> {
    let [hosts, switches] = ["hosts", "switches"].map(|key| root.get(key).and_then(Value::as_array));
    let (hosts, switches) = (hosts?, switches?);
    let mut file = root.clone();
    for key in ["hosts", "switches"] {
        file.remove(key);
    }
    let hosts = hosts.iter().map(|host| node(host, "host"));
    let switches = switches.iter().map(|switch| {
        let is_router = switch["opts"]["switchType"] == "legacyRouter";
        node(switch, if is_router { "router" } else { "switch" })
    });
    file.insert("nodes".to_owned(), hosts.chain(switches).collect());
    Some(file)
}

/// A device whose id is its name in Mininet.
fn node(device: &Value, kind: &str) -> Value {
    let mut device = device.clone();
    if let Some(fields) = device.as_object_mut() {
        let options = fields.get_mut("opts").and_then(Value::as_object_mut);
        if let Some(name) = options.and_then(|options| options.remove("hostname")) {
            fields.insert("id".to_owned(), name);
        }
        fields.insert("kind".to_owned(), kind.into());
    }
    device
}
