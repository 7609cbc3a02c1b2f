//! `report.html`: its content, and how it behaves in a real browser.
//!
//! `TAUNET_SCREENSHOTS=FOLDER cargo test report` keeps screenshots in the folder.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use taunet::capture::Options as CaptureOptions;
use taunet::ptm::neural::Model;
use taunet::report::{ReportError, Scatter, training_page, write_report};
use taunet::run::{RunOptions, run};
use taunet::scenario::Scenario;
use taunet::table::Format;

use crate::browser::{Browser, installed};

pub fn run_to(scenario: &Path, overrides: &[&str], out: PathBuf, format: Format) -> String {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    let scenario = Scenario::load(scenario, &overrides, None).unwrap();
    let options = RunOptions {
        out: out.clone(),
        replace: false,
        format,
        capture: CaptureOptions::default(),
        overrides,
        engine: None,
        threads: 0,
    };
    run(&scenario, &options, |_| ControlFlow::Continue(())).unwrap();
    fs::read_to_string(out.join("report.html")).unwrap()
}

/// The points that the page's script reads.
pub fn points(html: &str) -> Value {
    let start = html.find("<script type=\"application/json\" id=\"points\">").unwrap();
    let text = &html[start..];
    let text = &text[text.find('>').unwrap() + 1..];
    serde_json::from_str(&text[..text.find("</script>").unwrap()]).unwrap()
}

const HOSTILE: &str = r#"
name = "<script>alert(1)</script>"

[defaults.link]
bandwidth = "10 Mbps"
delay = "5 us"

[[device]]
name = "<script>alert('device')</script>"
kind = "host"
addresses = ["10.0.0.1"]

[[device]]
name = "r\"&'<b>"
kind = "switch"
ptm = { kind = "fifo", buffer = "3 packets" }

[[device]]
name = "server"
kind = "host"
addresses = ["10.0.0.2"]

[[link]]
between = ["<script>alert('device')</script>:0", "r\"&'<b>:0"]
bandwidth = "100 Mbps"

[[link]]
between = ["r\"&'<b>:1", "server:0"]
"#;

const HOSTILE_SCENARIO: &str = r#"
name = "</script><script>alert('scenario')</script>"
topology = "hostile.toml"

[[traffic]]
kind = "poisson"
name = "<img src=x onerror=alert(2)>"
from = "<script>alert('device')</script>"
to = "server"
size = "1000 B"
rate = "11 Mbps"
stop = "1 s"
"#;

/// A run whose names are all markup; it overloads a short buffer, so that packets are dropped.
fn hostile(folder: &Path, format: Format) -> String {
    fs::write(folder.join("hostile.toml"), HOSTILE).unwrap();
    let scenario = folder.join("s.toml");
    fs::write(&scenario, HOSTILE_SCENARIO).unwrap();
    run_to(&scenario, &[], folder.join(format.extension()), format)
}

#[test]
fn names_are_never_markup() {
    let folder = tempfile::tempdir().unwrap();
    let html = hostile(folder.path(), Format::Parquet);
    assert!(!html.contains("<script>alert") && !html.contains("<img src=x") && !html.contains("r\"&'<b>"));
    assert!(html.contains("&lt;script&gt;alert(&#39;device&#39;)&lt;/script&gt;:0"));
    // The points, uPlot, and the page's own.
    assert_eq!(html.matches("<script").count(), 3);
    assert!(!html.contains("NaN") || !html[..html.find("<script").unwrap()].contains("NaN"));
}

#[test]
fn a_report_is_made_again_from_the_run_alone() {
    let folder = tempfile::tempdir().unwrap();
    let parquet = hostile(folder.path(), Format::Parquet);
    fs::remove_file(folder.path().join("hostile.toml")).unwrap();
    let run = folder.path().join("parquet");
    fs::remove_file(run.join("report.html")).unwrap();
    write_report(&run).unwrap();
    assert_eq!(fs::read_to_string(run.join("report.html")).unwrap(), parquet);
    assert!(matches!(write_report(folder.path()), Err(ReportError::Unreadable { .. })));
    fs::write(run.join("summary.json"), "{}").unwrap();
    assert!(matches!(write_report(&run), Err(ReportError::NotARun { .. })));
}

#[test]
fn both_formats_of_tables_give_the_same_points() {
    let folder = tempfile::tempdir().unwrap();
    let parquet = hostile(folder.path(), Format::Parquet);
    let csv = hostile(folder.path(), Format::Csv);
    assert_eq!(points(&parquet), points(&csv));
    let drops = &points(&csv)["packets"]["drops"]["counts"][0];
    let drops: u64 = drops.as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum();
    let summary = fs::read_to_string(folder.path().join("csv/summary.json")).unwrap();
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert!(drops > 10 && json!(drops) == summary["packets"]["dropped"], "{drops}");
}

#[test]
fn a_run_without_packets_or_comparison_has_a_report_too() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("hostile.toml"), HOSTILE).unwrap();
    let scenario = folder.path().join("s.toml");
    fs::write(&scenario, format!("{HOSTILE_SCENARIO}\n[record]\npackets = false\n")).unwrap();
    let html = run_to(&scenario, &[], folder.path().join("run"), Format::Parquet);
    assert_eq!(points(&html), json!({ "measured": [], "packets": null }));
    assert!(html.contains("<section id=\"flows\">") && !html.contains("<section id=\"packets\">"));
}

/// Decodes base64.
fn decoded(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.bytes().filter_map(|byte| ALPHABET.iter().position(|other| *other == byte));
    let digits: Vec<u32> = digits.map(|digit| digit as u32).collect();
    let four = |four: &[u32]| {
        let bits = four.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - four.len()));
        bits.to_be_bytes()[1..four.len()].to_vec()
    };
    digits.chunks(4).flat_map(four).collect()
}

/// Keeps a picture, where somebody wants to look at it.
pub fn keep(browser: &mut Browser, name: &str) {
    if let Some(folder) = std::env::var_os("TAUNET_SCREENSHOTS") {
        let picture = browser.picture();
        fs::write(Path::new(&folder).join(format!("{name}.png")), decoded(&picture)).unwrap();
    }
}

/// For each chart: how many pixels of its canvas are neither see-through nor of the axes' grey.
pub const INK: &str = "[...document.querySelectorAll('figure.chart canvas')].map(canvas => { \
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true }); \
    copy.drawImage(canvas, 0, 0); \
    const all = copy.getImageData(0, 0, canvas.width, canvas.height).data; let ink = 0; \
    for (let i = 0; i < all.length; i += 4) { \
        const spread = Math.max(all[i], all[i + 1], all[i + 2]) - Math.min(all[i], all[i + 1], all[i + 2]); \
        if (all[i + 3] > 100 && spread > 60) ink++; } return ink; })";

#[test]
fn the_page_works_in_a_browser() {
    let Some(program) = installed() else {
        eprintln!(
            "SKIPPED: no chromium on the PATH; install the package `chromium` to test the report in a browser"
        );
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    run_to(Path::new("scenarios/kernel-drops.toml"), &[], folder.path().join("run"), Format::Parquet);
    let page = folder.path().join("run/report.html");
    let size = fs::metadata(&page).unwrap().len();
    assert!(size < 3_000_000, "{size} bytes");

    let mut browser = Browser::start(&program);
    browser.screen(1280, 900, 1, false);
    browser.open(&page);
    let kinds = browser.value("taunet.charts.map(chart => chart.of + ' ' + chart.kind)");
    let expected = [
        "measured.0 cumulated",
        "measured.0 ccdf",
        "measured.0 delays",
        "measured.0 quantiles",
        "measured.0 errors",
        "measured.0 rate",
        "measured.0 bits",
        "measured.0 losses",
        "packets cumulated",
        "packets ccdf",
        "packets delays",
        "packets rate",
        "packets bits",
        "packets drops",
    ];
    assert_eq!(kinds, json!(expected));
    let blank = |browser: &mut Browser, what: &str| {
        let ink = browser.value(INK);
        let ink: Vec<u64> = ink.as_array().unwrap().iter().map(|ink| ink.as_u64().unwrap()).collect();
        assert!(ink.len() == expected.len() && ink.iter().all(|ink| *ink > 150), "{what}: {ink:?}");
    };
    blank(&mut browser, "light");
    let paper = "getComputedStyle(document.body).backgroundColor";
    assert_eq!(browser.value(paper), "rgb(255, 255, 255)");
    keep(&mut browser, "light");

    charts_zoom(&mut browser);
    tables_sort_and_filter(&mut browser);

    // The screen's own preference, then the button's.
    browser.screen(1280, 900, 1, true);
    assert_eq!(browser.value(paper), "rgb(22, 25, 29)");
    blank(&mut browser, "dark");
    keep(&mut browser, "dark");
    browser.click("#theme");
    assert_eq!(browser.value(paper), "rgb(255, 255, 255)");
    browser.click("#theme");
    assert_eq!(browser.value(paper), "rgb(22, 25, 29)");

    // A phone: nothing is wider than the screen but what scrolls by itself.
    browser.screen(390, 844, 2, false);
    browser.open(&page);
    assert_eq!(browser.value("document.documentElement.scrollWidth"), 390);
    let widest = "Math.max(...[...document.querySelectorAll('figure.chart')].map(f => f.getBoundingClientRect().right))";
    assert!(browser.value(widest).as_f64().unwrap() <= 390.0);
    blank(&mut browser, "phone");
    keep(&mut browser, "phone");

    browser.screen(1280, 900, 1, true);
    let pdf = decoded(&browser.print());
    assert!(pdf.starts_with(b"%PDF") && pdf.len() > 100_000, "{} bytes", pdf.len());
    if let Some(folder) = std::env::var_os("TAUNET_SCREENSHOTS") {
        fs::write(Path::new(&folder).join("report.pdf"), pdf).unwrap();
    }
    assert_eq!(browser.complaints, Vec::<String>::new());

    // Markup in names is shown, and does nothing.
    hostile(folder.path(), Format::Parquet);
    browser.screen(1280, 900, 1, false);
    browser.open(&folder.path().join("parquet/report.html"));
    assert_eq!(
        browser.value("document.querySelector('h1').textContent"),
        "</script><script>alert('scenario')</script>"
    );
    assert_eq!(browser.value("document.querySelectorAll('img, b').length"), 0);
    assert_eq!(browser.value("taunet.charts.length"), 6);
    keep(&mut browser, "hostile");
    assert_eq!(browser.complaints, Vec::<String>::new());
}

/// The chart of delays over time: by mouse, by keys, by buttons.
fn charts_zoom(browser: &mut Browser) {
    const PLOT: &str = "figure[data-of='measured.0'][data-kind=delays] .plot";
    let view = |browser: &mut Browser| {
        let view = browser.value("taunet.charts[2].view");
        (view[0].as_f64().unwrap(), view[1].as_f64().unwrap())
    };
    let full = view(browser);
    assert!(full.1 - full.0 > 19.0, "{full:?}");
    browser.drag(&format!("{PLOT} .u-over"), 100.0);
    let dragged = view(browser);
    assert!(dragged.0 > full.0 + 1.0 && dragged.1 < full.1 - 1.0, "{dragged:?} of {full:?}");
    browser.value(&format!("document.querySelector({}).focus()", json!(PLOT)));
    browser.key("0");
    assert_eq!(view(browser), full);
    browser.key("+");
    let (from, to) = view(browser);
    assert!(((to - from) / (full.1 - full.0) - 0.5).abs() < 1e-6, "{from} to {to}");
    browser.key("ArrowRight");
    assert!(view(browser).0 > from && ((view(browser).1 - view(browser).0) - (to - from)).abs() < 1e-6);
    browser.click("figure[data-of='measured.0'][data-kind=delays] button[aria-label='Show all']");
    assert_eq!(view(browser), full);
    // Far in, few packets are in sight.
    browser.value(&format!("document.querySelector({}).focus()", json!(PLOT)));
    for _ in 0..14 {
        browser.key("+");
    }
    let drawn = browser.value("taunet.charts[2].drawn").as_u64().unwrap();
    assert!((2..200).contains(&drawn), "{drawn}");
    browser.key("Escape");
    browser.click("figure[data-of='measured.0'][data-kind=cumulated] button[aria-label='Logarithmic axis']");
    let pressed = "figure[data-of='measured.0'][data-kind=cumulated] button[aria-pressed=true]";
    assert_eq!(browser.value(&format!("document.querySelector(\"{pressed}\").textContent")), "log");
}

fn tables_sort_and_filter(browser: &mut Browser) {
    let column = |browser: &mut Browser, number: usize| -> Vec<f64> {
        let cells = format!(
            "[...document.querySelectorAll('#flows tbody tr')].map(row => +row.cells[{number}].dataset.key)"
        );
        browser.value(&cells).as_array().unwrap().iter().map(|key| key.as_f64().unwrap()).collect()
    };
    let sorted = |keys: &[f64], down: bool| {
        keys.len() == 8 && keys.windows(2).all(|two| if down { two[0] >= two[1] } else { two[0] <= two[1] })
    };
    const PACKETS: &str = "#flows thead th:nth-child(5)";
    assert!(!sorted(&column(browser, 4), true));
    browser.click(&format!("{PACKETS} button"));
    assert!(sorted(&column(browser, 4), true));
    assert_eq!(
        browser.value(&format!("document.querySelector('{PACKETS}').getAttribute('aria-sort')")),
        "descending"
    );
    browser.click(&format!("{PACKETS} button"));
    assert!(sorted(&column(browser, 4), false));
    browser.click("#flows input");
    browser.text("UDP :5123");
    assert_eq!(browser.value("document.querySelectorAll('#flows tbody tr').length"), 1);
    assert_eq!(
        browser.value("document.querySelector('#flows .shown').textContent"),
        "1 of 1 rows (8 without the filter)"
    );
    browser.text("no such flow");
    assert_eq!(browser.value("document.querySelectorAll('#flows tbody tr').length"), 0);
}

/// The page of a training, with dots of its own making.
#[test]
fn the_page_of_a_training_draws_its_charts() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/htb-drr.safetensors");
    let card = Model::load(&path).unwrap().card;
    let measured_s: Vec<f64> = (0..500).map(|index| f64::from(index) * 1e-5).collect();
    let predicted_s = measured_s.iter().map(|delay| delay * 1.01).collect();
    let scatter = Scatter { title: "drr <90>, test".to_owned(), measured_s, predicted_s };
    let html = training_page(&path, &card, &[scatter]);
    for text in
        ["htb-drr - taunet report", "drr &lt;90&gt;, test", "w1_normalized", "kernel-drr-90/out.pcap.xz"]
    {
        assert!(html.contains(text), "{text}");
    }
    let Some(program) = installed() else {
        eprintln!(
            "SKIPPED: no chromium on the PATH; install the package `chromium` to test the page in a browser"
        );
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("training.html");
    fs::write(&page, html).unwrap();
    let mut browser = Browser::start(&program);
    browser.screen(1280, 900, 1, false);
    browser.open(&page);
    let kinds = browser.value("taunet.charts.map(chart => chart.of + ' ' + chart.kind)");
    assert_eq!(kinds, json!(["loss loss", "scatters.0 scatter"]));
    let ink = browser.value(INK);
    assert!(ink.as_array().unwrap().iter().all(|ink| ink.as_u64().unwrap() > 150), "{ink}");
    assert_eq!(browser.complaints, [] as [String; 0]);
}
