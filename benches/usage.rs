//! Resource usage of a process, from /proc.

use std::error::Error;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The resources used by a process.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    pub wall_s: f64,
    pub cpu_s: f64,
    pub peak_rss_mib: f64,
}

/// The median of a figure.
pub fn median(usages: &[Usage], figure: fn(&Usage) -> f64) -> f64 {
    let mut figures: Vec<f64> = usages.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Runs a command once. The peak memory is sampled until the process ends, and its CPU time is read before it
/// is reaped.
pub fn measure(command: &mut Command) -> Result<Usage, Box<dyn Error>> {
    watch(command, |_, _| ())
}

/// The same; `see` gets the seconds since the start and the memory in MiB, some hundred times per second.
pub fn watch(command: &mut Command, mut see: impl FnMut(f64, f64)) -> Result<Usage, Box<dyn Error>> {
    const TICKS_PER_S: f64 = 100.0;
    let clock = Instant::now();
    let mut child = command.stdout(Stdio::null()).spawn()?;
    let process = format!("/proc/{}", child.id());
    let mut peak_kib = 0.0;
    let wall_s = loop {
        let status = fs::read_to_string(format!("{process}/status"))?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        if let Some(peak) = field("VmHWM:") {
            peak_kib = peak.trim().trim_end_matches(" kB").parse()?;
        }
        if let Some(now) = field("VmRSS:") {
            let now_kib: f64 = now.trim().trim_end_matches(" kB").parse()?;
            see(clock.elapsed().as_secs_f64(), now_kib / 1_024.0);
        }
        if field("State:").is_some_and(|state| state.trim().starts_with('Z')) {
            break clock.elapsed().as_secs_f64();
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let stat = fs::read_to_string(format!("{process}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    let status = child.wait()?;
    if !status.success() {
        return Err(format!("{command:?} failed: {status}").into());
    }
    Ok(Usage { wall_s, cpu_s: ticks / TICKS_PER_S, peak_rss_mib: peak_kib / 1_024.0 })
}
