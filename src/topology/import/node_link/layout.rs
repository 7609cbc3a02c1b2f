//! `pos` of nodes: TopoHub's positions are degrees, or kilometres on a plane; those of pictures have no
//! physical unit.

use crate::topology::Position;
use crate::topology::import::network::Network;

/// Keeps `pos` if the lengths of the edges confirm its unit. Otherwise it is left out.
pub fn place(network: &mut Network) {
    let positions = network.nodes.iter().map(|node| numbers(node.attributes.get("pos")?)).collect::<Vec<_>>();
    let circle = |from, to| Some(place_of(from)?.distance(place_of(to)?)?.as_um() as f64 / 1e9);
    let straight = |from: [f64; 2], to: [f64; 2]| Some(libm::hypot(from[0] - to[0], from[1] - to[1]));
    let is_circle = confirmed(network, &positions, circle);
    let is_plane = !is_circle && confirmed(network, &positions, straight);
    for (node, position) in network.nodes.iter_mut().zip(positions) {
        let attributes = &mut node.attributes;
        match position {
            Some([longitude, latitude]) if is_circle => {
                attributes.take(&["pos"]);
                attributes.set("longitude", longitude.to_string());
                attributes.set("latitude", latitude.to_string());
            }
            Some([x, y]) if is_plane && x >= 0.0 && y >= 0.0 => {
                attributes.take(&["pos"]);
                attributes.set("x", format!("{x} km"));
                attributes.set("y", format!("{y} km"));
            }
            _ => {
                let why = "no length confirms its unit: write `longitude` and `latitude`";
                attributes.read(&["pos"], |_| Err::<(), _>(why));
            }
        }
    }
}

/// Whether the distances between the ends of edges approximately equal their `dist` in kilometres.
fn confirmed(
    network: &Network,
    positions: &[Option<[f64; 2]>],
    distance: impl Fn([f64; 2], [f64; 2]) -> Option<f64>,
) -> bool {
    let (mut fits, mut all) = (0, 0);
    for edge in &network.edges {
        let km = edge.attributes.get("dist").and_then(|text| text.parse::<f64>().ok());
        let [Some(from), Some(to)] = edge.ends.map(|end| positions[end]) else { continue };
        let Some(km) = km.filter(|km| *km > 1.0) else { continue };
        all += 1;
        fits += usize::from(distance(from, to).is_some_and(|found| (found / km - 1.0).abs() < 0.1));
    }
    all > 0 && 2 * fits > all
}

fn place_of([longitude, latitude]: [f64; 2]) -> Option<Position> {
    Position::geographic(latitude, longitude)
}

/// `[x,y]` as two numbers.
fn numbers(text: &str) -> Option<[f64; 2]> {
    let mut numbers = text.trim_matches(['[', ']']).split(',').map(|number| number.trim().parse().ok());
    match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(x), Some(y), None) => Some([x?, y?]),
        _ => None,
    }
}
