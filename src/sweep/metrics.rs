//! The metrics of a job: every number of its summary, by name.

use indexmap::IndexMap;
use serde_json::Value;

/// Lists of a summary whose elements have a name, and the keys that make it.
const NAMED: [(&str, &[&str]); 4] = [
    ("tcp", &["entry"]),
    ("measured", &["vantage"]),
    ("rtts", &["vantage"]),
    ("slowdown_by_size", &["above_bytes"]),
];

/// What is no result: it differs from run to run, or is no figure of the network.
const LEFT_OUT: [&str; 4] = ["wall_s", "seed", "busiest_ports", "accept.bounds"];

/// Every number of a summary, by its path (`delay_s.p99`, `tcp.web.slowdown.p99`), in the order of the file. A truth value is
/// 1 or 0. Elements of a list that has no names are left out.
pub fn metrics(summary: &Value) -> IndexMap<String, f64> {
    let mut found = IndexMap::new();
    // An explicit stack, the next one last.
    let mut open: Vec<(String, &Value)> = vec![(String::new(), summary)];
    while let Some((path, value)) = open.pop() {
        if LEFT_OUT.contains(&path.as_str()) {
            continue;
        }
        let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        match value {
            Value::Number(number) => {
                found.extend(number.as_f64().map(|number| (path, number)));
            }
            Value::Bool(truth) => {
                found.insert(path, f64::from(*truth));
            }
            Value::Object(keys) => open.extend(keys.iter().rev().map(|(key, value)| (below(key), value))),
            Value::Array(items) => {
                let last = path.rsplit('.').next().unwrap_or_default();
                let Some((_, keys)) = NAMED.iter().find(|(name, _)| *name == last) else { continue };
                let name = |item: &Value| {
                    let parts = keys.iter().filter_map(|key| match item.get(key)? {
                        Value::String(text) => Some(text.clone()),
                        other => Some(other.to_string()),
                    });
                    parts.collect::<Vec<_>>().join(" ")
                };
                open.extend(items.iter().rev().map(|item| (below(&name(item)), item)));
            }
            Value::Null | Value::String(_) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_names_of_their_places() {
        let summary = serde_json::json!({
            "scenario": "x",
            "packets": { "injected": 10, "dropped": 0 },
            "wall_s": 0.5,
            "delay_s": { "p99": 0.25 },
            "loss_ratio": null,
            "tcp": [{ "entry": "web", "flows": 3, "slowdown_by_size": [{ "above_bytes": 0, "p50": 1.5 }] }],
            "accept": { "bounds": 1, "passed": true, "missed": [{ "value": 3 }] },
        });
        let found: Vec<(String, f64)> = metrics(&summary).into_iter().collect();
        let expected = [
            ("packets.injected", 10.0),
            ("packets.dropped", 0.0),
            ("delay_s.p99", 0.25),
            ("tcp.web.flows", 3.0),
            ("tcp.web.slowdown_by_size.0.above_bytes", 0.0),
            ("tcp.web.slowdown_by_size.0.p50", 1.5),
            ("accept.passed", 1.0),
        ];
        let mut found = found;
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let mut expected: Vec<(String, f64)> =
            expected.map(|(name, value)| (name.to_owned(), value)).to_vec();
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(found, expected);
    }
}
