//! Runs a scenario in memory, without writing files. The figures are Rust values, the tables Arrow record
//! batches.
//!
//! `cargo run --release --example run_scenario`

use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use taunet::engine::Unwatched;
use taunet::scenario::Scenario;
use taunet::table::MemoryTables;

fn main() -> Result<(), Box<dyn Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/kernel-tbf-70.toml");
    // As `taunet run --set topology=... --seed 2` would change it.
    let scenario = Scenario::load(&path, &[], None)?;

    // Every file is open from here on; what cannot be opened was told.
    let open = scenario.open(&Default::default())?;
    println!("{} devices, {} sources", open.topology.devices().len(), open.workload.places().count());

    let tables = MemoryTables::default();
    let results = open.run(&tables, Unwatched, |_stage| ControlFlow::Continue(()))?;

    // What `summary.json` holds.
    let summary = &results.summary;
    println!("{} of {} packets arrived", summary.packets.delivered, summary.packets.injected);
    let delays = summary.measured[0].delays.as_ref().ok_or("no packet was matched")?;
    println!("mean delay: {:.1} us simulated", delays.delay_s.simulated.mean * 1e6);
    println!("            {:.1} us measured", delays.delay_s.measured.mean * 1e6);

    // The tables of the run directory, by name; docs/results.md has their columns.
    for (name, table) in tables.take() {
        println!("{name}: {} rows of {} columns", table.rows(), table.schema.fields().len());
        if name == "packets" {
            let column = table.schema.index_of("delay_ps")?;
            let worst = table
                .batches
                .iter()
                .flat_map(|batch| batch.column(column).as_primitive::<UInt64Type>().iter().flatten());
            println!("  the longest delay: {} ps", worst.max().unwrap_or(0));
        }
    }
    Ok(())
}
