//! Replays what the fuzz targets have kept (`fuzz/`), and damages captures.
//!
//! `TAUNET_PUBLIC_CAPTURES=FOLDER cargo test --release --test it corpora -- --ignored --nocapture` also damages every
//! capture below the folder, at every byte and at random: some minutes.

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rand::{Rng, RngExt};
use taunet::random::stream;

#[path = "../../fuzz/src/lib.rs"]
#[allow(dead_code)]
mod fuzz;

/// The files of a tar archive: name and content.
fn files(mut archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    const BLOCK: usize = 512;
    let mut files = Vec::new();
    while let Some((header, rest)) = archive.split_at_checked(BLOCK).filter(|(header, _)| header[0] != 0) {
        let text = |range: std::ops::Range<usize>| {
            let field = &header[range];
            let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
            String::from_utf8(field[..end].to_vec()).unwrap()
        };
        let length = usize::from_str_radix(text(124..136).trim(), 8).unwrap();
        files.push((text(0..100), rest[..length].to_vec()));
        archive = &rest[length.next_multiple_of(BLOCK)..];
    }
    files
}

#[test]
fn every_kept_input_returns() {
    let mut archive = Vec::new();
    let packed = fs::read("fuzz/corpora.tar.xz").unwrap();
    liblzma::read::XzDecoder::new(packed.as_slice()).read_to_end(&mut archive).unwrap();
    let files = files(&archive);
    for (target, _) in fuzz::TARGETS {
        let inputs = files.iter().filter(|(name, _)| name.split('/').next() == Some(target));
        assert!(inputs.count() > 10, "{target} has few inputs");
    }
    for (name, bytes) in files {
        let before = Instant::now();
        fuzz::run(name.split('/').next().unwrap(), &bytes);
        assert!(before.elapsed() < Duration::from_secs(10), "{name} takes {:?}", before.elapsed());
    }
}

/// The most memory that this process ever used, in MiB.
fn peak_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// Every capture cut at every byte of its first 4 kB, and 100,000 random mutations, read and matched. The hang limit is
/// 10 s, the memory limit 1 GB.
#[test]
#[ignore = "takes minutes: see above"]
fn damaged_captures_return() {
    const HEAD: usize = 4096;
    let Ok(folders) = std::env::var("TAUNET_PUBLIC_CAPTURES") else {
        eprintln!("skipped: TAUNET_PUBLIC_CAPTURES names no folder of captures");
        return;
    };
    let mut paths = Vec::new();
    let mut folders: Vec<PathBuf> = folders.split(':').map(PathBuf::from).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { folders.push(entry) } else { paths.push(entry) }
        }
    }
    paths.sort();
    let (mut executions, mut longest) = (0u64, (Duration::ZERO, String::new()));
    let mut execute = |bytes: &[u8], whole: &[u8], name: String| {
        let before = Instant::now();
        fuzz::captures(bytes);
        let length = bytes.len().min(usize::from(u16::MAX));
        fuzz::matching(
            &[&(length as u16).to_le_bytes(), &bytes[..length], &whole[..whole.len().min(HEAD)]].concat(),
        );
        let took = before.elapsed();
        assert!(took < Duration::from_secs(10), "{name} takes {took:?}");
        if took > longest.0 {
            longest = (took, name);
        }
        executions += 1;
    };
    let captures: Vec<(String, Vec<u8>)> = paths
        .iter()
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap()))
        .collect();
    for (name, whole) in &captures {
        for length in 0..=whole.len().min(HEAD) {
            execute(&whole[..length], whole, format!("{name} cut at {length}"));
        }
    }
    let mut random = stream(1, "test", "mutations");
    for number in 0..100_000 {
        let (name, whole) = &captures[random.random_range(0..captures.len())];
        let mut bytes = whole.clone();
        if bytes.is_empty() {
            continue;
        }
        for _ in 0..random.random_range(1..20) {
            // Most of the damage is in the headers at the beginning.
            let most = if random.random_bool(0.5) { bytes.len().min(256) } else { bytes.len() };
            let at = random.random_range(0..most);
            bytes[at] = [random.next_u32() as u8, 0, 0xff, bytes[at] ^ 1 << random.random_range(0..8)]
                [random.random_range(0..4)];
        }
        execute(&bytes, whole, format!("mutation {number} of {name}"));
    }
    let peak = peak_mib();
    println!(
        "{} captures, {executions} executions, longest {:?} ({}), peak {peak} MiB",
        captures.len(),
        longest.0,
        longest.1
    );
    assert!(peak < 1024, "{peak} MiB");
}
