//! Named distributions of flow sizes, as used in studies of data centres.
//!
//! # Source
//! The tables of the HPCC repository (`alibaba-edu/High-Precision-Congestion-Control`, `traffic_gen/`), each
//! of which names its origin. As in its generator, sizes are uniform between two rows of a table.

use schemars::JsonSchema;
use serde::Deserialize;

/// A named distribution of flow sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NamedSizes {
    /// Web search (Alizadeh et al., "Data center TCP (DCTCP)", 2010): mean 1.71 MB.
    WebSearch,
    /// Facebook's Hadoop cluster (Roy et al., "Inside the social network's (datacenter) network", 2015): mean
    /// 120 kB.
    Hadoop,
    /// Alibaba's distributed storage in 2019 (Li et al., "HPCC", 2019): mean 40.9 kB.
    AliStorage,
    /// Google's remote procedure calls before 2008 (Montazeri et al., "Homa", 2018, workload W3): mean 2.9 kB.
    GoogleRpc,
}

/// `WebSearch_distribution.txt`: bytes, and the percentage of flows that are no larger.
const WEB_SEARCH: &[(u32, f64)] = &[
    (0, 0.0),
    (10_000, 15.0),
    (20_000, 20.0),
    (30_000, 30.0),
    (50_000, 40.0),
    (80_000, 53.0),
    (200_000, 60.0),
    (1_000_000, 70.0),
    (2_000_000, 80.0),
    (5_000_000, 90.0),
    (10_000_000, 97.0),
    (30_000_000, 100.0),
];

/// `FbHdp_distribution.txt`.
const HADOOP: &[(u32, f64)] = &[
    (0, 0.0),
    (100, 1.0),
    (200, 2.0),
    (300, 5.0),
    (350, 15.0),
    (400, 20.0),
    (500, 30.0),
    (600, 40.0),
    (700, 50.0),
    (1_000, 60.0),
    (2_000, 67.0),
    (7_000, 70.0),
    (30_000, 72.0),
    (50_000, 82.0),
    (80_000, 87.0),
    (120_000, 90.0),
    (300_000, 95.0),
    (1_000_000, 97.5),
    (2_000_000, 99.0),
    (10_000_000, 100.0),
];

/// `AliStorage2019.txt`.
const ALI_STORAGE: &[(u32, f64)] = &[
    (0, 0.0),
    (4_000, 22.93),
    (8_000, 69.21),
    (16_000, 80.61),
    (32_000, 90.47),
    (64_000, 93.53),
    (128_000, 96.77),
    (256_000, 97.53),
    (2_000_000, 100.0),
];

/// `GoogleRPC2008.txt`: its first rows.
const GOOGLE_RPC: [(u32, f64); 3] = [(0, 0.0), (3, 6.48826), (32, 9.73239)];

/// The remaining rows. Up to each of these rows there are this many rows, with sizes evenly spaced in 1 /
/// size and equal probabilities. In the file they are rounded to whole bytes and four decimals.
const GOOGLE_RPC_STEPS: [(u32, f64, u32); 15] = [
    (64, 15.5271, 5),
    (128, 35.1573, 6),
    (256, 49.7901, 8),
    (512, 78.4921, 11),
    (1_024, 86.32, 14),
    (2_048, 90.8862, 18),
    (4_096, 93.4955, 24),
    (8_192, 96.4309, 31),
    (16_384, 98.4694, 41),
    (32_768, 99.0402, 53),
    (65_536, 99.3256, 69),
    (131_072, 99.7129, 90),
    (262_144, 99.8453, 118),
    (524_288, 99.9498, 153),
    (15_158_197, 100.0, 199),
];

impl NamedSizes {
    /// All named distributions.
    pub const ALL: [NamedSizes; 4] =
        [NamedSizes::WebSearch, NamedSizes::Hadoop, NamedSizes::AliStorage, NamedSizes::GoogleRpc];

    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            NamedSizes::WebSearch => "web-search",
            NamedSizes::Hadoop => "hadoop",
            NamedSizes::AliStorage => "ali-storage",
            NamedSizes::GoogleRpc => "google-rpc",
        }
    }

    /// The distribution of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sizes| sizes.name() == name)
    }

    /// The table: bytes, and the percentage of flows that are no larger, from 0 to 100.
    pub fn table(self) -> Vec<(u32, f64)> {
        match self {
            NamedSizes::WebSearch => WEB_SEARCH.to_vec(),
            NamedSizes::Hadoop => HADOOP.to_vec(),
            NamedSizes::AliStorage => ALI_STORAGE.to_vec(),
            NamedSizes::GoogleRpc => google_rpc(),
        }
    }
}

fn google_rpc() -> Vec<(u32, f64)> {
    let mut rows = GOOGLE_RPC.to_vec();
    let (mut from, mut reached) = GOOGLE_RPC[2];
    for (to, percent, steps) in GOOGLE_RPC_STEPS {
        let (first, last) = (1.0 / f64::from(from), 1.0 / f64::from(to));
        for step in 1..=steps {
            let part = f64::from(step) / f64::from(steps);
            let size = 1.0 / (first - part * (first - last));
            rows.push((size.round() as u32, reached + part * (percent - reached)));
        }
        (from, reached) = (to, percent);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_rises_from_0_to_100() {
        for named in NamedSizes::ALL {
            let table = named.table();
            assert_eq!((table[0], table[table.len() - 1].1), ((0, 0.0), 100.0));
            assert!(table.windows(2).all(|rows| rows[0].0 < rows[1].0 && rows[0].1 < rows[1].1));
            assert_eq!(NamedSizes::named(named.name()), Some(named));
        }
    }

    #[test]
    fn google_rpc_has_the_rows_of_its_file() {
        let table = google_rpc();
        assert_eq!(table.len(), 843);
        for (bytes, percent) in [
            (36, 10.8913),
            (137, 36.9864),
            (402, 70.6643),
            (4_163, 93.5902),
            (12_918, 97.9225),
            (45_677, 99.2015),
            (153_895, 99.7522),
            (353_375, 99.8993),
            (1_058_178, 99.976),
            (7_648_594, 99.9982),
        ] {
            let row = table.iter().find(|row| row.0 == bytes).expect("a row of the file");
            assert!((row.1 - percent).abs() < 1.5e-4, "{row:?}, not {percent}");
        }
    }
}
