//! `report.html` of a calibration: its content, and its rendering in a real browser.
//!
//! `TAUNET_SCREENSHOTS=FOLDER cargo test calibration_page` keeps screenshots in the folder.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use taunet::calibrate::{CalibrateOptions, calibrate, write};

use crate::browser::{Browser, installed};
use crate::calibrate::two_classes_in_order;
use crate::report::{INK, keep, points};

/// Calibrates by two captures, and gives the page.
fn page(ingress: &Path, egress: &Path, out: &Path) -> String {
    let options = CalibrateOptions {
        ingress: vec![ingress.to_owned()],
        egress: egress.to_owned(),
        ..CalibrateOptions::default()
    };
    let found = calibrate(&options, |_| ControlFlow::Continue(())).unwrap();
    write(&found, out, false).unwrap();
    fs::read_to_string(out.join("report.html")).unwrap()
}

fn shipped(name: &str) -> [PathBuf; 2] {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/captures").join(name);
    [folder.join("in1.pcap.xz"), folder.join("out.pcap.xz")]
}

/// Numbers of the page's points, without what has none.
fn singles(text: &Value) -> usize {
    text.as_str().map_or(0, |text| text.trim_end_matches('=').len() * 3 / 4 / 4)
}

#[test]
fn the_page_explains_what_was_found() {
    let folder = tempfile::tempdir().unwrap();
    let [ingress, egress] = shipped("kernel-drops");
    let html = page(&ingress, &egress, &folder.path().join("drops"));
    for text in [
        "<h1>drops</h1>",
        "Fitted on the first half of the recording",
        "w1_normalized",
        "What the recording does not show",
        "<td>rate</td>",
        "<td>burst</td>",
        "<td>buffer</td>",
        "backlogged periods",
        "left at once on credit",
        "<td>chosen</td>",
        "rule of thumb",
        "tail drop",
        "were lost or marked here",
    ] {
        assert!(html.contains(text), "{text}");
    }
    // Nothing is fetched.
    for reference in ["src=\"http", "href=\"http", "@import", "url(", "<link rel=\"stylesheet\""] {
        assert!(!html.contains(reference), "{reference}");
    }
    assert!(html.contains("default-src 'none'"));
    assert!(!html.contains("<section id=\"classes\">"));
    let curves = &points(&html)["curves"];
    let dots = ["measured", "simulated"].map(|side| singles(&curves[side][0]));
    assert!(dots.iter().all(|dots| (900..=1_000).contains(dots)), "{dots:?}");
    let bins = singles(&curves["losses"]["waiting"]);
    assert!((10..=41).contains(&bins), "{bins}");
    let distribution = singles(&curves["distribution"]["delays"]);
    assert!((100..=2_000).contains(&distribution), "{distribution}");
    assert!(html.len() < 400_000, "{} bytes", html.len());

    // The same captures give the same page.
    let again = page(&ingress, &egress, &folder.path().join("again/drops"));
    assert_eq!(again, html);
}

#[test]
fn where_nothing_was_lost_the_page_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let [ingress, egress] = shipped("kernel-tbf-70");
    let html = page(&ingress, &egress, &folder.path().join("found"));
    assert!(html.contains("Nothing was lost or marked here"));
    assert!(html.contains("nothing was lost</td>"));
    assert_eq!(points(&html)["curves"]["losses"], Value::Null);
    assert!(!html.contains("data-kind=\"chance\""));
}

#[test]
fn classes_stand_in_a_matrix() {
    let folder = tempfile::tempdir().unwrap();
    let known = two_classes_in_order();
    let html = page(&known.ingress, &known.egress, &folder.path().join("found"));
    let classes = &html[html.find("<section id=\"classes\">").unwrap()..];
    let classes = &classes[..classes.find("</section>").unwrap()];
    assert!(classes.contains("class 10") && classes.contains("class 20"), "{classes}");
    // Two rows of two cells.
    assert_eq!(classes.matches("<td class=\"number\">").count(), 4);
    assert!(html.contains("<td>priority 0</td>") && html.contains("<td>priority 1</td>"));
}

/// File names that are markup do nothing.
#[cfg(unix)]
#[test]
fn names_are_never_markup() {
    let folder = tempfile::tempdir().unwrap();
    let [ingress, egress] = shipped("kernel-drops");
    let hostile = folder.path().join("<script>alert(1)<b>\"'&.pcap.xz");
    fs::copy(ingress, &hostile).unwrap();
    let html = page(&hostile, &egress, &folder.path().join("<img src=x onerror=alert(2)>"));
    assert!(!html.contains("<script>alert") && !html.contains("<img"));
    assert!(html.contains("&lt;script&gt;alert(1)&lt;b&gt;&quot;&#39;&amp;.pcap.xz"));
    assert!(html.contains("<h1>&lt;img src=x onerror=alert(2)&gt;</h1>"));
    // The points, uPlot, and the page's own.
    assert_eq!(html.matches("<script").count(), 3);
}

#[test]
fn the_page_draws_its_charts_in_a_browser() {
    let Some(program) = installed() else {
        eprintln!(
            "SKIPPED: no chromium on the PATH; install the package `chromium` to test the page in a browser"
        );
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let [ingress, egress] = shipped("kernel-drops");
    let place = folder.path().join("drops");
    page(&ingress, &egress, &place);
    let page = place.join("report.html");
    let mut browser = Browser::start(&program);
    browser.screen(1280, 900, 1, false);
    browser.open(&page);
    let kinds = ["sojourns", "chance", "cumulated", "ccdf", "delays"];
    assert_eq!(browser.value("taunet.charts.map(chart => chart.kind)"), json!(kinds));
    let drawn = |browser: &mut Browser, what: &str| {
        let ink = browser.value(INK);
        let ink: Vec<u64> = ink.as_array().unwrap().iter().map(|ink| ink.as_u64().unwrap()).collect();
        assert!(ink.len() == kinds.len() && ink.iter().all(|ink| *ink > 150), "{what}: {ink:?}");
    };
    drawn(&mut browser, "light");
    keep(&mut browser, "calibration-light");

    // Candidates by their distance, the farthest first.
    let first = "document.querySelector('#candidates tbody tr').cells[1].textContent";
    assert_eq!(browser.value(first), "chosen");
    browser.click("#candidates thead th:nth-child(6) button");
    let keys = "[...document.querySelectorAll('#candidates tbody tr')].map(row => +row.cells[5].dataset.key)";
    let keys: Vec<f64> =
        browser.value(keys).as_array().unwrap().iter().map(|key| key.as_f64().unwrap()).collect();
    assert!(keys.len() > 3 && keys.windows(2).all(|two| two[0] >= two[1]), "{keys:?}");

    browser.screen(1280, 900, 1, true);
    drawn(&mut browser, "dark");
    keep(&mut browser, "calibration-dark");

    browser.screen(390, 844, 2, false);
    browser.open(&page);
    assert_eq!(browser.value("document.documentElement.scrollWidth"), 390);
    drawn(&mut browser, "phone");
    keep(&mut browser, "calibration-phone");
    assert_eq!(browser.complaints, [] as [String; 0]);
}
