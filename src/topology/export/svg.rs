//! SVG pictures for light and dark screens.

mod labels;
mod layout;
mod places;
mod point;
mod stress;

use std::fmt::Write;

use super::{ExportOptions, addresses, bits_per_second, kind_name, xml_text};
use crate::topology::{DeviceKind, DirectedLink, PortId, Topology};
use labels::{Area, Taken, around_device, half_width};
use layout::Layout;
use point::Point;

/// The space around the picture.
const MARGIN: f64 = 48.0;
/// The maximum number of pairs of links and devices checked for links that run through a device.
const MOST_CROSSINGS: usize = 4_000_000;

const STYLE: &str = "\
.network{--paper:#ffffff;--ink:#1f2933;--line:#9aa5b1;--host:#f0b429;--switch:#2680c2;--router:#0c8a7b;\
font-family:system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}
@media(prefers-color-scheme:dark){.network{--paper:#16191d;--ink:#e4e7eb;--line:#5f6b78;--host:#f7c948;--switch:#62b0e8;--router:#3ebd93}}
.network .paper{fill:var(--paper)}
.network .link{fill:none;stroke:var(--line)}
.network .device{stroke:var(--paper);stroke-width:1.5}
.network .host{fill:var(--host)}.network .switch{fill:var(--switch)}.network .router{fill:var(--router)}
.network text{fill:var(--ink);font-size:11px;text-anchor:middle;paint-order:stroke;stroke:var(--paper);stroke-width:3px;stroke-linejoin:round}
.network .small{font-size:9px}.network .title{font-size:15px;font-weight:600;text-anchor:start}.network .legend{text-anchor:start}";

/// The colours of loads, from idle to full: one hue that darkens, so that they can be distinguished without
/// colours.
const LOAD_STYLE: &str = "\
.network{--load0:#c6cdd5;--load1:#f3c06b;--load2:#e8853a;--load3:#cf4520;--load4:#8f1414}
@media(prefers-color-scheme:dark){.network{--load0:#4a545f;--load1:#8a5a17;--load2:#c96f1e;--load3:#f08a4b;--load4:#ffc2a3}}
.network .load0{stroke:var(--load0)}.network .load1{stroke:var(--load1)}.network .load2{stroke:var(--load2)}\
.network .load3{stroke:var(--load3)}.network .load4{stroke:var(--load4)}";

/// The upper ends of the load classes, and their names. The last class has no end.
const LOADS: [(f64, &str); 5] =
    [(0.05, "idle"), (0.5, "to 50 %"), (0.8, "to 80 %"), (0.95, "to 95 %"), (f64::INFINITY, "above")];
/// The maximum number of links with load labels.
const MOST_LABELS: usize = 60;

/// The sizes of the fonts of `STYLE`.
const FONT: f64 = 11.0;
const SMALL: f64 = 9.0;
const TITLE: f64 = 15.0;
/// How much larger a layout is drawn where names would cover each other, and how often that is tried.
const GROWTH: f64 = 1.25;
const TRIES: i32 = 6;
/// Half of the width of the strips beside a picture that no text enters.
const BORDER: f64 = 200.0;

pub(super) fn write(topology: &Topology, options: ExportOptions, loads: Option<&[Option<f64>]>) -> String {
    let (layout, names, mut taken) = place_names(topology);
    let (width, height) = layout.size(MARGIN);
    let title = 2.0 * half_width(topology.name(), TITLE) + 32.0;
    let width = width.max(title);
    let height = height + if loads.is_some() { 56.0 } else { 30.0 };
    let loads_style = loads.map_or(String::new(), |_| format!("\n{LOAD_STYLE}"));
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "<svg class=\"network\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" role=\"img\">\n<title>{}</title>\n<style>\n{STYLE}{loads_style}\n</style>\n\
         <rect class=\"paper\" width=\"100%\" height=\"100%\"/>",
        xml_text(topology.name())
    );
    let _ = writeln!(text, "<text class=\"title\" x=\"16\" y=\"26\">{}</text>", xml_text(topology.name()));
    write_links(&mut text, topology, &layout, (options, loads), &mut taken);
    write_devices(&mut text, topology, &layout, &names);
    // The key comes last: a page shows it apart from the picture.
    text.push_str("<g class=\"key\">\n");
    write_legend(&mut text, topology, height);
    if loads.is_some() {
        write_load_legend(&mut text, height);
    }
    text.push_str("</g>\n</svg>\n");
    text
}

/// The layout, the baseline of each device's name relative to the device, and the areas that both take. The layout
/// grows until no name covers another or a device.
fn place_names(topology: &Topology) -> (Layout, Vec<Point>, Taken) {
    let mut scale = 1.0;
    for _ in 1..TRIES {
        let (placed, is_free) = names_at(topology, scale);
        if is_free {
            return placed;
        }
        scale *= GROWTH;
    }
    names_at(topology, scale).0
}

fn names_at(topology: &Topology, scale: f64) -> ((Layout, Vec<Point>, Taken), bool) {
    let mut layout = Layout::of(topology, scale);
    layout.move_to_margin(MARGIN);
    let mut taken = Taken::default();
    let title = topology.name();
    let middle = Point { x: 16.0 + half_width(title, TITLE), y: 26.0 };
    taken.add(Area::of_text(title, TITLE, middle));
    // No name leaves the picture.
    let (width, height) = layout.size(MARGIN);
    for x in [-BORDER, width + BORDER] {
        taken.add(Area::around(Point { x, y: height / 2.0 }, BORDER, height));
    }
    for (id, device) in topology.devices() {
        let (half_width, half_height) = half_size(device.kind);
        taken.add(Area::around(layout.places[id.index()], half_width, half_height));
    }
    let mut is_free = true;
    let mut names = Vec::new();
    for (id, device) in topology.devices() {
        let here = layout.places[id.index()];
        let size = if device.kind == DeviceKind::Host { SMALL } else { FONT };
        let offsets = around_device(&device.name, size, half_size(device.kind));
        let areas = offsets
            .map(|off| Area::of_text(&device.name, size, Point { x: here.x + off.x, y: here.y + off.y }));
        let (place, free) = taken.choose(&areas).unwrap_or((0, true));
        is_free &= free;
        names.push(offsets[place]);
    }
    ((layout, names, taken), is_free)
}

fn write_links(
    text: &mut String,
    topology: &Topology,
    layout: &Layout,
    (options, loads): (ExportOptions, Option<&[Option<f64>]>),
    taken: &mut Taken,
) {
    let avoids = topology.links().len() * topology.devices().len() <= MOST_CROSSINGS;
    let center = layout.center();
    let mut parallel = rustc_hash::FxHashMap::default();
    let mut labels = String::new();
    for (_, link) in topology.forward_links() {
        let [from, to] = topology.ends(link).map(|device| device.index());
        let [start, end] = [layout.places[from], layout.places[to]];
        let nth = parallel.entry([from.min(to), from.max(to)]).or_insert(0u32);
        // The first of parallel links is straight unless it would run through a device.
        let through = avoids && layout.runs_through(from, to);
        let bow = (if through { 0.18 * start.distance(end) } else { 0.0 }) + f64::from(*nth) * 14.0;
        // Curves bend inwards, where the picture has space.
        let outwards = |bow: f64| start.bowed_middle(end, bow).distance(center);
        let bow = if outwards(bow) > outwards(-bow) { -bow } else { bow };
        *nth += 1;
        let of = |port: PortId| loads.and_then(|loads| *loads.get(port.index())?);
        let (there, back) = (of(link.from), of(link.to));
        let load = there.into_iter().chain(back).reduce(f64::max);
        let (class, width) = match (load, loads) {
            (Some(load), _) => (format!("link load{}", load_class(load)), line_width(link).max(3.0)),
            (None, _) => ("link".to_owned(), line_width(link)),
        };
        let _ = write!(text, "<path class=\"{class}\" stroke-width=\"{width:.1}\" d=\"M{start}");
        let _ = match bow {
            0.0 => write!(text, "L{end}\">"),
            // The control point of a curve is twice as far out as its middle.
            _ => write!(text, "Q{} {end}\">", start.bowed_middle(end, 2.0 * bow)),
        };
        let percent =
            |load: Option<f64>| load.map_or("no bound".to_owned(), |load| format!("{:.0} %", load * 100.0));
        let loaded = match loads {
            Some(_) => format!("; load {}, back {}", percent(there), percent(back)),
            None => String::new(),
        };
        let _ = writeln!(text, "<title>{}{loaded}</title></path>", xml_text(&described(topology, link)));
        if let Some(load) = load.filter(|load| *load >= 0.005 && topology.links().len() / 2 <= MOST_LABELS) {
            let percent = format!("{:.0} %", load * 100.0);
            let places = beside(start, end, bow, 14.0);
            let areas = places.map(|place| Area::of_text(&percent, SMALL, place));
            // Without room the load stands in the title of the link alone.
            if let Some(free) = taken.choose_free(&areas) {
                let Point { x, y } = places[free];
                let _ = writeln!(labels, "<text class=\"small\" x=\"{x:.1}\" y=\"{y:.1}\">{percent}</text>");
            }
        }
        if options.link_labels {
            let mut lines = vec![link.link.bandwidth.to_string()];
            let delay = link.link.propagation_delay();
            if delay.as_ps() > 0 {
                lines.push(delay.to_string());
            }
            let longest = lines.iter().map(|line| half_width(line, SMALL)).fold(0.0, f64::max);
            let places = beside(start, end, bow, 0.0);
            let areas = places.map(|place| Area::around(place, longest, 5.0 * lines.len() as f64));
            let Point { x, y } = places[taken.choose(&areas).map_or(0, |(place, _)| place)];
            for (line, shift) in lines.iter().zip([-2.0, 8.0]) {
                let _ = writeln!(
                    labels,
                    "<text class=\"small\" x=\"{x:.1}\" y=\"{:.1}\">{line}</text>",
                    y + shift
                );
            }
        }
    }
    text.push_str(&labels);
}

/// Wider for each factor of ten in bandwidth.
fn line_width(link: &DirectedLink) -> f64 {
    let bits = bits_per_second(link.link.bandwidth).unwrap_or(1_000_000_000);
    (1.4 + 0.5 * libm::log10(bits as f64 / 1e9)).clamp(0.7, 3.5)
}

/// `a:0 - b:1, 10 Gbps, 5 us`
fn described(topology: &Topology, link: &DirectedLink) -> String {
    let [from, to] = [link.from, link.to].map(|port| topology.port_name(port));
    let way = |link: &DirectedLink| format!("{}, {}", link.link.bandwidth, link.link.propagation_delay());
    let (forward, backward) = (way(link), way(topology.backward(link)));
    match forward == backward {
        true => format!("{from} - {to}: {forward}"),
        false => format!("{from} - {to}: {forward}; back {backward}"),
    }
}

/// Places along a link, at a distance to either side of it, the best first.
fn beside(start: Point, end: Point, bow: f64, distance: f64) -> [Point; 10] {
    let control = start.bowed_middle(end, 2.0 * bow);
    let at = |part: f64, side: f64| {
        let rest = 1.0 - part;
        let along =
            |from: f64, over: f64, to: f64| rest * rest * from + 2.0 * part * rest * over + part * part * to;
        let place = Point { x: along(start.x, control.x, end.x), y: along(start.y, control.y, end.y) };
        let (ahead, off) = (start.bowed_middle(end, 0.0), start.bowed_middle(end, side * distance));
        Point { x: place.x + off.x - ahead.x, y: place.y + off.y - ahead.y + 3.0 }
    };
    let parts = [0.5, 0.4, 0.6, 0.3, 0.7];
    std::array::from_fn(|place| at(parts[place / 2], if place % 2 == 0 { 1.0 } else { -1.0 }))
}

fn write_devices(text: &mut String, topology: &Topology, layout: &Layout, names: &[Point]) {
    for (id, device) in topology.devices() {
        let place = layout.places[id.index()];
        let name = xml_text(&device.name);
        let _ = write!(text, "<g transform=\"translate({place})\"><title>{name}: {}", kind_name(device.kind));
        if !device.addresses.is_empty() {
            let _ = write!(text, " {}", xml_text(&addresses(device)));
        }
        let _ = write!(text, "</title>{}", symbol(device.kind));
        let Point { x, y } = names[id.index()];
        let small = if device.kind == DeviceKind::Host { " class=\"small\"" } else { "" };
        let _ = writeln!(text, "<text{small} x=\"{x:.1}\" y=\"{y:.1}\">{name}</text></g>");
    }
}

/// Hosts are small squares, switches wide rectangles, routers circles.
fn symbol(kind: DeviceKind) -> &'static str {
    match kind {
        DeviceKind::Host => {
            "<rect class=\"device host\" x=\"-7\" y=\"-7\" width=\"14\" height=\"14\" rx=\"3\"/>"
        }
        DeviceKind::Switch => {
            "<rect class=\"device switch\" x=\"-14\" y=\"-9\" width=\"28\" height=\"18\" rx=\"4\"/>"
        }
        DeviceKind::Router => "<circle class=\"device router\" r=\"11\"/>",
    }
}

/// Half of the width and of the height of a symbol.
fn half_size(kind: DeviceKind) -> (f64, f64) {
    match kind {
        DeviceKind::Host => (8.0, 8.0),
        DeviceKind::Switch => (15.0, 10.0),
        DeviceKind::Router => (12.0, 12.0),
    }
}

fn write_legend(text: &mut String, topology: &Topology, height: f64) {
    let mut x = 28.0;
    for kind in [DeviceKind::Host, DeviceKind::Switch, DeviceKind::Router] {
        let count = topology.devices().filter(|(_, device)| device.kind == kind).count();
        if count == 0 {
            continue;
        }
        let name = kind_name(kind);
        let plural = match (kind, count) {
            (_, 1) => "",
            (DeviceKind::Switch, _) => "es",
            _ => "s",
        };
        let _ = writeln!(
            text,
            "<g transform=\"translate({x:.0} {:.0})\">{}<text class=\"legend\" x=\"20\" y=\"4\">{count} {name}{plural}</text></g>",
            height - 22.0,
            symbol(kind)
        );
        x += 130.0;
    }
}

fn load_class(load: f64) -> usize {
    LOADS.iter().position(|(end, _)| load < *end).unwrap_or(LOADS.len() - 1)
}

fn write_load_legend(text: &mut String, height: f64) {
    let _ = writeln!(text, "<text class=\"legend\" x=\"20\" y=\"{:.0}\">load:</text>", height - 44.0);
    for (class, (_, name)) in LOADS.iter().enumerate() {
        let x = 56 + 68 * class;
        let _ = writeln!(
            text,
            "<path class=\"link load{class}\" stroke-width=\"4\" d=\"M{x},{:.0}h16\"/>\
             <text class=\"legend\" x=\"{}\" y=\"{:.0}\">{name}</text>",
            height - 48.0,
            x + 20,
            height - 44.0
        );
    }
}

impl Point {
    /// The point at the distance `bow` from the middle of the line to `end`.
    fn bowed_middle(self, end: Point, bow: f64) -> Point {
        let length = self.distance(end).max(1.0);
        let (across_x, across_y) = ((end.y - self.y) / length, (self.x - end.x) / length);
        Point { x: (self.x + end.x) / 2.0 + bow * across_x, y: (self.y + end.y) / 2.0 + bow * across_y }
    }
}
