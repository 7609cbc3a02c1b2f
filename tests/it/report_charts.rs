//! The charts of `report.html` in a real browser: axes, legends, choice of curves, files, the picture of the network, and
//! the page of two runs.
//!
//! `TAUNET_SCREENSHOTS=FOLDER cargo test report_charts` keeps pictures there.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use taunet::compare::compare_runs_by_packet;
use taunet::report::runs_page;
use taunet::table::Format;

use crate::browser::{Browser, installed};
use crate::report::{keep, run_to};

/// Starts a browser; none where none is installed.
fn browser() -> Option<Browser> {
    let program = installed();
    if program.is_none() {
        eprintln!(
            "SKIPPED: no chromium on the PATH; install the package `chromium` to test charts in a browser"
        );
    }
    program.map(|program| Browser::start(&program))
}

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Two hosts behind a router, and a scenario; gives the scenario's path.
fn line(folder: &Path, scenario: &str) -> PathBuf {
    let topology = r#"
name = "line"

[defaults.link]
bandwidth = "100 Mbps"
delay = "5 us"

[[device]]
name = "a"
kind = "host"
addresses = ["10.0.0.1"]

[[device]]
name = "r"
kind = "router"
ptm = { kind = "fifo", buffer = "20 packets" }

[[device]]
name = "b"
kind = "host"
addresses = ["10.0.0.2"]

[[link]]
between = ["a:0", "r:0"]

[[link]]
between = ["r:1", "b:0"]
bandwidth = "50 Mbps"
"#;
    fs::write(folder.join("line.toml"), topology).unwrap();
    let path = folder.join("s.toml");
    fs::write(&path, format!("name = \"line\"\ntopology = \"line.toml\"\n{scenario}")).unwrap();
    path
}

/// Cbr of 1000 bytes every 0.2 ms from a to b, up to an instant.
fn constant(until: &str) -> String {
    format!(
        "until = \"{until}\"\n[[traffic]]\nkind = \"cbr\"\nfrom = \"a\"\nto = \"b\"\nsize = \"1000 B\"\nrate = \"40 Mbps\"\n"
    )
}

/// Three Poisson flows that overload the second link, with all records of queues and hops.
const OVERLOAD: &str = r#"
until = "1 s"

[record]
hops = true
queues = { every = "1 ms" }

[[traffic]]
kind = "poisson"
name = "large"
from = "a"
to = "b"
size = "1500 B"
rate = "35 Mbps"

[[traffic]]
kind = "poisson"
name = "small"
from = "a"
to = "b"
size = "300 B"
rate = "18 Mbps"
"#;

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().filter_map(Value::as_f64).collect()
}

/// No text of an axis needs more room than it has.
fn texts_fit(browser: &mut Browser, what: &str) {
    let room = browser.value("taunet.charts.map(chart => [chart.kind, chart.room])");
    let charts = room.as_array().unwrap();
    assert!(!charts.is_empty());
    for chart in charts {
        for axis in chart[1].as_array().unwrap() {
            let (needed, there) = (axis[0].as_f64().unwrap(), axis[1].as_f64().unwrap());
            assert!(needed <= there, "{what}: {chart}");
        }
    }
}

#[test]
fn axes_have_room_for_large_numbers_and_units_for_small_times() {
    let Some(mut browser) = browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    let html = run_to(&line(folder.path(), OVERLOAD), &[], folder.path().join("run"), Format::Parquet);
    // The same page with a hundred thousand times as many packets.
    let (before, after) = html.split_once("<script type=\"application/json\" id=\"points\">").unwrap();
    let (points, after) = after.split_once("</script>").unwrap();
    let mut points: Value = serde_json::from_str(points).unwrap();
    for count in points["packets"]["rate"]["counts"][0].as_array_mut().unwrap() {
        *count = json!(count.as_u64().unwrap() * 30_000);
    }
    let large = folder.path().join("large.html");
    let open = "<script type=\"application/json\" id=\"points\">";
    fs::write(&large, format!("{before}{open}{points}</script>{after}")).unwrap();
    for (width, name) in [(1280, "wide"), (390, "phone")] {
        browser.screen(width, 900, 1, false);
        for page in [folder.path().join("run/report.html"), large.clone()] {
            browser.open(&page);
            texts_fit(&mut browser, name);
        }
    }
    let rate = "taunet.charts.find(chart => chart.of === 'packets' && chart.kind === 'rate')";
    assert_eq!(browser.value(&format!("{rate}.labels.y")), "million packets per second");
    let most = browser.value(&format!("Math.max(...{rate}.data[1])")).as_f64().unwrap();
    assert!((100.0..1_000.0).contains(&most), "{most}");
    let texts = browser.value(&format!("{rate}.texts[1]"));
    let texts = texts.as_array().unwrap();
    assert!(texts.len() > 2 && texts.iter().all(|text| text.as_str().unwrap().len() <= 3), "{texts:?}");

    // 250 us are not 0.00025 s; neighbouring marks are told apart far in.
    let short = line(folder.path(), &constant("2 ms"));
    run_to(&short, &[], folder.path().join("short"), Format::Parquet);
    browser.open(&folder.path().join("short/report.html"));
    for chart in ["delays", "rate", "bits"] {
        let of = format!("taunet.charts.find(chart => chart.kind === '{chart}')");
        let label = browser.value(&format!("{of}.labels.x"));
        assert!(label.as_str().unwrap().ends_with("(ms)"), "{label}");
        let texts = browser.value(&format!("{of}.texts[0]"));
        assert!(numbers(&browser.value(&format!("{of}.full")))[1] > 1.0);
        assert!(texts.as_array().unwrap().iter().all(|text| text.as_str().unwrap().len() <= 4), "{texts}");
    }
    let delays = "taunet.charts.find(chart => chart.kind === 'delays')";
    browser.value("document.querySelector('figure[data-kind=delays] .plot').focus()");
    for _ in 0..6 {
        browser.key("+");
    }
    let texts = browser.value(&format!("{delays}.texts[0]"));
    let mut distinct: Vec<&str> =
        texts.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let all = distinct.len();
    distinct.dedup();
    assert!(all > 2 && distinct.len() == all, "{texts}");
    texts_fit(&mut browser, "far in");
    assert_eq!(browser.complaints, [] as [String; 0]);
}

#[test]
fn a_rate_does_not_fall_at_its_end() {
    let Some(mut browser) = browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    // Windows of 5 ms; the last one covers 1 ms, and 4 ms.
    for (until, remark) in [("1.011 s", "left out"), ("1.014 s", "scaled")] {
        let scenario = line(folder.path(), &constant(until));
        let out = folder.path().join(remark);
        run_to(&scenario, &[], out.clone(), Format::Parquet);
        browser.open(&out.join("report.html"));
        for kind in ["rate", "bits"] {
            let chart =
                format!("taunet.charts.find(chart => chart.of === 'packets' && chart.kind === '{kind}')");
            let values = numbers(&browser.value(&format!("Array.from({chart}.data[1])")));
            let middle = values[values.len() / 2];
            assert!(values.len() > 190 && middle > 0.0);
            let last = values[values.len() - 1];
            assert!((last / middle - 1.0).abs() < 0.1, "{until} {kind}: {last} after {middle}");
            let said = browser.value(&format!(
                "document.querySelector('figure[data-of=packets][data-kind={kind}] .remark').textContent"
            ));
            assert!(said.as_str().unwrap().contains(remark), "{said}");
        }
    }
    assert_eq!(browser.complaints, [] as [String; 0]);
}

/// The contrast of two colours `rgb(r, g, b)` (WCAG 2.2).
const CONTRAST: &str = "(element => { const style = getComputedStyle(element); \
    const light = colour => { const [r, g, b] = colour.match(/[\\d.]+/g).map(n => n / 255) \
        .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; }; \
    const [a, b] = [light(style.color), light(style.backgroundColor)].sort((x, y) => y - x); return (a + 0.05) / (b + 0.05); })";

#[test]
fn controls_can_be_read_in_every_theme_and_legends_have_values_or_nothing() {
    let Some(mut browser) = browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    run_to(&line(folder.path(), OVERLOAD), &[], folder.path().join("run"), Format::Parquet);
    let page = folder.path().join("run/report.html");
    for dark in [false, true] {
        browser.screen(1280, 900, 1, dark);
        browser.open(&page);
        for _ in ["as the system has it", "by the button"] {
            for pressed in [true, false] {
                let contrast = format!(
                    "Math.min(...[...document.querySelectorAll('.bar button[aria-pressed={pressed}]')].map({CONTRAST}))"
                );
                let contrast = browser.value(&contrast).as_f64().unwrap();
                assert!(contrast >= 4.5, "dark {dark}, pressed {pressed}: {contrast}");
            }
            browser.click("#theme");
        }
    }
    let values = "[...document.querySelectorAll('.u-legend .u-value')].map(value => value.textContent)";
    let idle = browser.value(values);
    let idle = idle.as_array().unwrap();
    assert!(idle.len() > 8 && idle.iter().all(|text| text == ""), "{idle:?}");
    browser.value(
        "document.querySelector('figure[data-kind=cumulated]').scrollIntoView({ behavior: 'instant' })",
    );
    let middle = browser.value(
        "(box => [box.x + box.width / 2, box.y + box.height / 2])\
         (document.querySelector('figure[data-kind=cumulated] .u-over').getBoundingClientRect())",
    );
    let over = json!({ "type": "mouseMoved", "x": middle[0], "y": middle[1], "buttons": 0 });
    browser.call("Input.dispatchMouseEvent", over);
    browser.settle();
    let live = browser.value(
        "[...document.querySelectorAll('figure[data-kind=cumulated] .u-value')].map(v => v.textContent)",
    );
    let live = live.as_array().unwrap();
    assert!(live.iter().all(|text| text.as_str().unwrap().parse::<f64>().is_ok()), "{live:?}");
    assert_eq!(browser.complaints, [] as [String; 0]);
}

#[test]
fn curves_are_chosen_by_traffic_flow_and_port() {
    let Some(mut browser) = browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    run_to(&line(folder.path(), OVERLOAD), &[], folder.path().join("run"), Format::Parquet);
    let page = folder.path().join("run/report.html");
    assert!(fs::metadata(&page).unwrap().len() < 2_000_000);
    browser.screen(1280, 900, 1, false);
    browser.open(&page);
    let kinds = browser.value("taunet.charts.map(chart => chart.of + ' ' + chart.kind)");
    let expected = [
        "packets cumulated",
        "packets ccdf",
        "packets delays",
        "packets rate",
        "packets bits",
        "packets drops",
        "queues queues",
        "queues queue_bytes",
    ];
    assert_eq!(kinds, json!(expected));

    let lines = |browser: &mut Browser, kind: &str| {
        browser.value(&format!("taunet.charts.find(chart => chart.kind === '{kind}').labels.lines"))
    };
    let choose = |browser: &mut Browser, kind: &str, by: &str| {
        browser.value(&format!(
            "(select => {{ select.value = '{by}'; select.dispatchEvent(new Event('change')); }})\
             (document.querySelector('figure[data-kind={kind}] select'))"
        ));
        browser.settle();
    };
    for kind in ["cumulated", "ccdf", "delays", "rate", "bits"] {
        choose(&mut browser, kind, "traffic");
        assert_eq!(lines(&mut browser, kind), json!(["small", "large"]), "{kind}");
    }
    for kind in ["rate", "bits"] {
        choose(&mut browser, kind, "port");
        assert_eq!(lines(&mut browser, kind), json!(["a:0", "r:1"]), "{kind}");
    }
    // The second link sends at its bandwidth; a window may hold one packet more.
    let most = browser.value("Math.max(...taunet.charts.find(chart => chart.kind === 'bits').data[2])");
    assert!((45.0..54.0).contains(&most.as_f64().unwrap()), "{most}");
    keep(&mut browser, "chosen");

    // One curve of two is left; the last one stays.
    browser.click("figure[data-kind=ccdf] summary");
    browser.click("figure[data-kind=ccdf] .list label:nth-of-type(1) input");
    assert_eq!(lines(&mut browser, "ccdf"), json!(["large"]));
    browser.click("figure[data-kind=ccdf] .list label:nth-of-type(2) input");
    assert_eq!(lines(&mut browser, "ccdf"), json!(["large"]));

    // The complementary distribution is one less the other.
    choose(&mut browser, "cumulated", "");
    choose(&mut browser, "ccdf", "");
    let differ = browser.value(
        "(([cdf, ccdf]) => Math.max(...ccdf.data[1].map((above, i) => above == null ? 0 \
         : Math.abs(cdf.data[1][cdf.data[0].indexOf(ccdf.data[0][i], 1)] + above - 1))))\
         (['cumulated', 'ccdf'].map(kind => taunet.charts.find(chart => chart.kind === kind)))",
    );
    assert!(differ.as_f64().unwrap() < 1e-6, "{differ}");

    // Loss is in percent, and about what the link cannot carry.
    let drops = "taunet.charts.find(chart => chart.kind === 'drops')";
    assert_eq!(browser.value(&format!("{drops}.labels.y")), "loss (%)");
    let losses = numbers(&browser.value(&format!("Array.from({drops}.data[1])")));
    let mean = losses.iter().sum::<f64>() / losses.len() as f64;
    assert!((2.0..20.0).contains(&mean) && losses.iter().all(|loss| (0.0..=100.0).contains(loss)), "{mean}");

    // The queue of the buffer of 20 packets, with the packet in transmission outside.
    let longest = browser.value(
        "Math.max(...taunet.charts.find(chart => chart.kind === 'queues').data[1].filter(n => n != null))",
    );
    assert!((15.0..=20.0).contains(&longest.as_f64().unwrap()), "{longest}");
    assert_eq!(lines(&mut browser, "queue_bytes")[0], "r:1");
    let label = browser.value("taunet.charts.find(chart => chart.kind === 'queue_bytes').labels.y");
    assert_eq!(label, "queue (kB)");
    assert_eq!(browser.complaints, [] as [String; 0]);
}

#[test]
fn charts_are_saved_as_svg_png_and_csv() {
    let Some(mut browser) = browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    run_to(
        &shipped("scenarios/kernel-drops.toml"),
        &["until=2 s"],
        folder.path().join("run"),
        Format::Parquet,
    );
    browser.screen(1280, 900, 1, true);
    browser.open(&folder.path().join("run/report.html"));
    let charts = browser.value("taunet.charts.length").as_u64().unwrap();
    for chart in 0..charts {
        let of = format!("taunet.charts[{chart}]");
        let kind = browser.value(&format!("{of}.kind"));
        let kind = kind.as_str().unwrap();
        let svg = browser.value(&format!("{of}.svg()"));
        let svg = svg.as_str().unwrap();
        let document = roxmltree::Document::parse(svg).unwrap_or_else(|error| panic!("{kind}: {error}"));
        let texts: Vec<&str> = document
            .descendants()
            .filter(|node| node.tag_name().name() == "text")
            .filter_map(|node| node.text())
            .collect();
        let labels = browser.value(&format!("{of}.labels"));
        for label in [&labels["x"], &labels["y"], &labels["lines"][0]] {
            assert!(texts.contains(&label.as_str().unwrap()), "{kind}: {label} is not among {texts:?}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("var(") && !svg.contains("undefined"), "{kind}");
        // In the colours of the page.
        assert!(svg.contains("fill=\"#16191d\""), "{kind}");

        let csv = browser.value(&format!("{of}.csv()"));
        let mut reader = csv::Reader::from_reader(csv.as_str().unwrap().as_bytes());
        let heads: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        assert_eq!(heads.len(), labels["lines"].as_array().unwrap().len() + 1, "{kind}: {heads:?}");
        let unit = heads[0].rsplit('_').next().unwrap();
        assert!(["s", "ms", "us", "ns"].contains(&unit), "{kind}: {heads:?}");
        assert!(reader.records().count() > 20, "{kind}");

        // The corner has the background of the page, and nothing is transparent.
        let png = format!(
            "{of}.png().then(createImageBitmap).then(image => {{ \
             const drawing = new OffscreenCanvas(image.width, image.height).getContext('2d'); drawing.drawImage(image, 0, 0); \
             const all = drawing.getImageData(0, 0, image.width, image.height).data; \
             let clear = 0, ink = 0; for (let i = 0; i < all.length; i += 4) {{ if (all[i + 3] < 255) clear++; \
             if (Math.max(all[i], all[i + 1], all[i + 2]) > 90) ink++; }} \
             return [all[0], all[1], all[2], clear, ink, image.height]; }})"
        );
        let png = numbers(&browser.value(&png));
        assert_eq!(png[..4], [22.0, 25.0, 29.0, 0.0], "{kind}: {png:?}");
        assert!(png[4] > 500.0 && png[5] > 300.0, "{kind}: {png:?}");
    }
    // By the buttons.
    let saved = folder.path().join("saved");
    fs::create_dir(&saved).unwrap();
    browser.call("Page.setDownloadBehavior", json!({ "behavior": "allow", "downloadPath": saved }));
    for extension in ["SVG", "PNG", "CSV"] {
        browser.click(&format!("figure[data-kind=errors] button[aria-label='Save as {extension}']"));
        let name = saved.join(format!("kernel-drops-measured.0-errors.{}", extension.to_lowercase()));
        let found = (0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            fs::metadata(&name).is_ok_and(|file| file.len() > 500)
        });
        assert!(found, "{}", name.display());
    }
    assert_eq!(browser.complaints, [] as [String; 0]);
}

#[test]
fn the_picture_of_the_network_fits_and_its_texts_are_apart() {
    let Some(mut browser) = browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    let geant = folder.path().join("geant.toml");
    let topology = shipped("topologies/geant.toml");
    let text = format!(
        "name = \"geant\"\ntopology = {topology:?}\nuntil = \"1 ms\"\n[[traffic]]\nkind = \"poisson\"\nmatrix = \"uniform\"\nsize = \"1000 B\"\nrate = {{ load = 0.1 }}\n"
    );
    fs::write(&geant, text).unwrap();
    run_to(&geant, &[], folder.path().join("geant"), Format::Parquet);
    run_to(&line(folder.path(), &constant("10 ms")), &[], folder.path().join("line"), Format::Parquet);
    for width in [1400, 390] {
        browser.screen(width, 900, 1, false);
        for name in ["geant", "line"] {
            browser.open(&folder.path().join(name).join("report.html"));
            // The key does not scroll with the picture.
            let key = "document.querySelector('.key-of-network svg').getBoundingClientRect()";
            let right = browser.value(&format!("{key}.right")).as_f64().unwrap();
            assert!(right <= f64::from(width), "{name} at {width}: the key ends at {right}");
            let spans = browser.value(
                "[...document.querySelectorAll('.key-of-network text')].map(text => text.getBoundingClientRect().right)",
            );
            assert!(numbers(&spans).iter().all(|end| *end <= f64::from(width)), "{name} at {width}: {spans}");
            assert_eq!(browser.value("document.documentElement.scrollWidth"), width);
            // The box is no wider than the picture.
            let spare = browser.value(
                "(box => box.clientWidth - box.querySelector('svg').getBoundingClientRect().width)(document.querySelector('.picture'))",
            );
            assert!(spare.as_f64().unwrap() <= 1.0, "{name} at {width}: {spare}");
            keep(&mut browser, &format!("picture-{name}-{width}"));
        }
        // No text covers another, by the fonts of the browser.
        browser.open(&folder.path().join("geant/report.html"));
        let covered = browser.value(
            "(texts => texts.flatMap((a, i) => texts.slice(0, i).filter(b => a.box.left < b.box.right && b.box.left < a.box.right \
             && a.box.top + 2 < b.box.bottom && b.box.top + 2 < a.box.bottom).map(b => [a.text, b.text])))\
             ([...document.querySelectorAll('.picture text')].map(node => ({ text: node.textContent, box: node.getBoundingClientRect() })))",
        );
        assert_eq!(covered, json!([]), "at {width}");
        let texts = browser.value("document.querySelectorAll('.picture text').length").as_u64().unwrap();
        assert!(texts > 45, "{texts}");
    }
    assert_eq!(browser.complaints, [] as [String; 0]);
}

#[test]
fn two_runs_stand_in_one_page_the_first_before_the_second() {
    let folder = tempfile::tempdir().unwrap();
    let runs = ["first", "second"].map(|name| folder.path().join(name));
    let scenario = line(folder.path(), OVERLOAD);
    run_to(&scenario, &[], runs[0].clone(), Format::Parquet);
    let topology = folder.path().join("line.toml");
    let text = fs::read_to_string(&topology).unwrap();
    fs::write(&topology, text.replace("20 packets", "5 packets")).unwrap();
    run_to(&scenario, &[], runs[1].clone(), Format::Csv);
    let (comparison, packets) = compare_runs_by_packet(&runs[0], &runs[1]).unwrap();
    // The first run is the baseline: a shorter buffer lowers the delay, and drops more.
    let delays = comparison.delays.unwrap();
    assert!(delays.relative_error.mean.unwrap() < -0.3, "{:?}", delays.relative_error);
    assert!(comparison.loss.only_simulated > comparison.loss.only_measured, "{:?}", comparison.loss);
    let json = serde_json::to_value(&comparison).unwrap();
    assert!(json["delay_s"]["second"]["mean"].as_f64() < json["delay_s"]["first"]["mean"].as_f64(), "{json}");
    assert_eq!(json["loss"]["only_second"], json!(comparison.loss.only_simulated));
    assert!(!json.to_string().contains("simulated") && !json.to_string().contains("measured"), "{json}");

    let html = runs_page([&runs[0], &runs[1]], &comparison, packets).unwrap();
    let body = &html[html.find("<body").unwrap()..html.find("<script").unwrap()];
    assert!(
        !body.contains("simulated against") && !body.contains("measured"),
        "words of a comparison with a capture"
    );
    assert!(body.find("packets, first").unwrap() < body.find("In the second").unwrap_or(usize::MAX));
    let page = folder.path().join("runs.html");
    fs::write(&page, &html).unwrap();
    let Some(mut browser) = browser() else { return };
    for (name, width, dark) in [("runs", 1400, false), ("runs-phone", 390, true)] {
        browser.screen(width, 900, 1, dark);
        browser.open(&page);
        let kinds = ["cumulated", "ccdf", "delays", "quantiles", "errors", "rate", "bits", "losses"];
        assert_eq!(browser.value("taunet.charts.map(chart => chart.kind)"), json!(kinds));
        assert_eq!(browser.value("taunet.charts[0].labels.lines"), json!(["first", "second"]));
        assert_eq!(browser.value("taunet.charts[3].labels.x"), "first quantile (ms)");
        texts_fit(&mut browser, name);
        assert_eq!(browser.value("document.documentElement.scrollWidth"), width);
        let ports = browser
            .value("[...document.querySelectorAll('#ports tbody tr')].map(row => row.cells[0].textContent)");
        assert!(ports.as_array().unwrap().contains(&json!("r:1")), "{ports}");
        assert_eq!(browser.value("document.querySelectorAll('#flows tbody tr').length"), 2);
        keep(&mut browser, name);
    }
    assert_eq!(browser.complaints, [] as [String; 0]);
}
