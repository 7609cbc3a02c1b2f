//! Calibration from code: estimates a device from a capture before it and one behind it.
//!
//! `cargo run --release --example calibrate`

use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;

use taunet::calibrate::{CalibrateOptions, calibrate, write};

fn main() -> Result<(), Box<dyn Error>> {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/captures/kernel-tbf-70");
    let options = CalibrateOptions {
        ingress: vec![captures.join("in1.pcap.xz")],
        egress: captures.join("out.pcap.xz"),
        ..CalibrateOptions::default()
    };
    let found = calibrate(&options, |_stage| ControlFlow::Continue(()))?;

    let model = &found.model;
    println!("{}, {:?}", model.discipline.words(), model.bottleneck);
    println!("rate {:.3} Mbps, burst {} B", model.rate_bps as f64 / 1e6, model.burst_bytes);
    if let Some(score) = &found.held_out {
        // A device fitted on the first half of the recording, on the second.
        println!("on what it has not seen: w1_normalized {:.4}", score.w1_normalized().unwrap_or(f64::NAN));
    }
    for doubt in found.not_identified.iter().chain(&found.warnings) {
        println!("note: {doubt}");
    }

    // A topology and a scenario to go on with, as `taunet calibrate -o` writes them.
    let folder = tempfile::tempdir()?;
    let written = write(&found, &folder.path().join("device"), false)?;
    for name in ["topology.toml", "scenario.toml"] {
        println!("{name}: {} bytes", std::fs::metadata(written.join(name))?.len());
    }
    Ok(())
}
