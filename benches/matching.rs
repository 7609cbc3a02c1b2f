//! Time and memory of `taunet compare` on two captures of millions of packets, for the whole process.
//!
//! ```sh
//! cargo bench --bench matching              # a million packets on either side
//! cargo bench --bench matching -- 10000000  # ten million
//! cargo bench --bench matching -- 1000000 30 64 repeated
//! ```
//!
//! Arguments: number of packets, seconds from the first to the last, snap length, and `repeated` for packets
//! that share their key with others (one in fifty, with an identification of 0). The captures are written to
//! a temporary folder: 1000 UDP flows, Poisson arrivals, a queue between the captures, 1 % lost.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use taunet::capture::{LinkType, Resolution, Writer};
use taunet::units::Timestamp;

const START_NS: i128 = 1_700_000_000_000_000_000;
const FLOWS: u32 = 1000;
const LENGTH: u32 = 600;

/// The first 96 bytes of an Ethernet frame of UDP over IPv4.
fn frame(flow: u32, number: u64, is_repeated: bool) -> [u8; 96] {
    let mut bytes = [0; 96];
    bytes[..14].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]);
    bytes[14..34].copy_from_slice(&[0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 1, 0, 0, 10, 2, 0, 1]);
    bytes[16..18].copy_from_slice(&(LENGTH as u16 - 14).to_be_bytes());
    bytes[28..30].copy_from_slice(&(flow as u16).to_be_bytes());
    bytes[34..38].copy_from_slice(&[0x30, 0x39, 0x13, 0x88]);
    bytes[38..40].copy_from_slice(&(LENGTH as u16 - 34).to_be_bytes());
    if !is_repeated {
        bytes[18..20].copy_from_slice(&(number as u16).to_be_bytes());
        bytes[42..50].copy_from_slice(&number.to_be_bytes());
    }
    bytes
}

/// Writes both captures.
fn write(first: &Path, second: &Path, packets: u64, seconds: f64, snap_length: u32, has_repeated: bool) {
    let open = |path: &Path| {
        let file = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
        Writer::new(file, Resolution::Nanoseconds, LinkType::ETHERNET, snap_length).unwrap()
    };
    let (mut sent, mut received) = (open(first), open(second));
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mean_ns = seconds * 1e9 / packets as f64;
    let service_ns = 0.95 * mean_ns;
    let (mut now, mut free) = (0.0, 0.0f64);
    let mut queue: VecDeque<(f64, [u8; 96])> = VecDeque::new();
    for number in 0..packets {
        now -= mean_ns * libm::log(1.0 - random.random::<f64>());
        let flow = random.random_range(0..FLOWS);
        let frame = frame(flow, number, has_repeated && number % 50 == 0);
        sent.write(Timestamp::from_ns(START_NS + now as i128), LENGTH, &frame).unwrap();
        while let Some((at, frame)) = queue.pop_front_if(|(at, _)| *at <= now) {
            received.write(Timestamp::from_ns(START_NS + at as i128), LENGTH, &frame).unwrap();
        }
        if random.random_range(0..100) > 0 {
            free = free.max(now) + service_ns;
            queue.push_back((free + 20_000.0, frame));
        }
    }
    for (at, frame) in queue {
        received.write(Timestamp::from_ns(START_NS + at as i128), LENGTH, &frame).unwrap();
    }
    sent.finish().unwrap().flush().unwrap();
    received.finish().unwrap().flush().unwrap();
}

/// The resources used by one `taunet compare`.
struct Took {
    seconds: f64,
    /// To a hundredth, and without the last 10 ms.
    cpu_seconds: f64,
    peak_mib: u64,
}

/// Runs `taunet compare`; returns the resources used and the output.
fn compare(first: &Path, second: &Path, flags: &[&str]) -> (Took, String) {
    let clock = Instant::now();
    let child = Command::new(env!("CARGO_BIN_EXE_taunet"))
        .arg("compare")
        .args([first, second])
        .args(flags)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let [status, stat] = ["status", "stat"].map(|name| format!("/proc/{}/{name}", child.id()));
    let watcher = std::thread::spawn(move || {
        let (mut peak, mut ticks) = (0, 0);
        while let Ok(text) = fs::read_to_string(&status) {
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let Some(kib) = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()) else {
                break;
            };
            peak = peak.max(kib / 1024);
            // utime and stime, the 12th and 13th field behind the name
            let text = fs::read_to_string(&stat).unwrap_or_default();
            let fields = text.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
            ticks = ticks.max(fields.filter_map(|field| field.parse::<u64>().ok()).sum());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        (peak, ticks)
    });
    let output = child.wait_with_output().unwrap();
    let seconds = clock.elapsed().as_secs_f64();
    assert!(output.status.success());
    let (peak_mib, ticks) = watcher.join().unwrap();
    let took = Took { seconds, cpu_seconds: ticks as f64 / 100.0, peak_mib };
    (took, String::from_utf8(output.stdout).unwrap())
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number = |place: usize| arguments.get(place).and_then(|text| text.parse::<u64>().ok());
    let packets = number(0).unwrap_or(1_000_000);
    let seconds = number(1).unwrap_or(packets / 20_000) as f64;
    let snap_length = number(2).unwrap_or(96) as u32;
    let has_repeated = arguments.get(3).is_some_and(|word| word == "repeated");
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["first.pcap", "second.pcap"].map(|name| folder.path().join(name));
    write(&first, &second, packets, seconds, snap_length, has_repeated);
    println!("{packets} packets in {seconds} s, {snap_length} bytes of each");
    for flags in [&[][..], &["--max-delay", "1 s"], &["--clock", "skewed"], &["--nat"]] {
        let (Took { seconds, cpu_seconds, peak_mib }, text) = compare(&first, &second, flags);
        let flags = flags.join(" ");
        println!("compare {flags}: {seconds:.2} s, {cpu_seconds:.2} s of CPU, at most {peak_mib} MiB");
        text.lines().take(2).for_each(|line| println!("    {line}"));
    }
}
