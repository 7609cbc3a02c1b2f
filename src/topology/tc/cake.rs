//! `cake`: a shaper with tins and per-flow queues.

use super::TcOptions;
use super::error::Refusal;
use super::script::Qdisc;
use super::table::Table;
use super::units::{above_zero, rate, signed, size, time};
use super::words::Word;
use crate::ptm::{CakeLinkLayer, Diffserv, Isolation};
use crate::units::{ByteCount, Rate, Span};

const WORDS: &[&str] = &[
    "bandwidth",
    "unlimited",
    "rtt",
    "datacentre",
    "lan",
    "metro",
    "regional",
    "internet",
    "oceanic",
    "satellite",
    "interplanetary",
    "besteffort",
    "precedence",
    "diffserv8",
    "diffserv4",
    "diffserv3",
    "flowblind",
    "srchost",
    "dsthost",
    "hosts",
    "flows",
    "dual-srchost",
    "dual-dsthost",
    "triple-isolate",
    "wash",
    "nowash",
    "memlimit",
    "overhead",
    "mpu",
    "raw",
    "conservative",
    "atm",
    "noatm",
    "ptm",
    "ethernet",
    "ether-vlan",
    "docsis",
    "ingress",
    "egress",
];

/// The parameters of `cake`.
struct Cake {
    bandwidth: Option<Rate>,
    rtt: Span,
    diffserv: Diffserv,
    isolation: Isolation,
    wash: bool,
    ingress: bool,
    memory: Option<ByteCount>,
    /// The overhead per packet [B], if a word sets it.
    overhead: Option<i32>,
    /// Whether the frame's header counts regardless.
    is_raw: bool,
    mpu: u64,
    link_layer: CakeLinkLayer,
}

impl Default for Cake {
    fn default() -> Self {
        Cake {
            bandwidth: None,
            rtt: Span::from_ns(100_000_000),
            diffserv: Diffserv::default(),
            isolation: Isolation::default(),
            wash: false,
            ingress: false,
            memory: None,
            overhead: None,
            is_raw: false,
            mpu: 0,
            link_layer: CakeLinkLayer::default(),
        }
    }
}

/// # Source
/// iproute2 6.1 `tc/q_cake.c` (`cake_parse_opt`) and tc-cake(8); Linux 6.1 `net/sched/sch_cake.c`
/// (`cake_init`, `cake_change`).
pub(super) fn cake(qdisc: &Qdisc<'_>, options: &TcOptions) -> Result<Table, Refusal> {
    let mut cake = Cake::default();
    let mut words = qdisc.options.clone();
    while let Some(word) = words.next() {
        match word.text {
            "bandwidth" => cake.bandwidth = Some(rate(words.value("a rate")?)?),
            "unlimited" => cake.bandwidth = None,
            "rtt" => {
                let value = words.value("a time")?;
                cake.rtt = above_zero(value, time(value)?, "a time above 0", "100ms")?;
            }
            "wash" => cake.wash = true,
            "nowash" => cake.wash = false,
            "ingress" => cake.ingress = true,
            "egress" => cake.ingress = false,
            "memlimit" => {
                let limit = size(words.value("a size")?)?;
                cake.memory = Some(limit).filter(|limit| *limit != ByteCount::ZERO);
            }
            "overhead" => {
                cake.overhead =
                    Some(bytes(words.value("bytes")?, -64, "an overhead from -64 to 256 bytes", "24")?);
            }
            "mpu" => {
                let bytes = bytes(words.value("bytes")?, 0, "a length from 0 to 256 bytes", "64")?;
                cake.mpu = bytes.unsigned_abs().into();
            }
            "nonat" | "no-ack-filter" | "split-gso" | "no-split-gso" | "via-ethernet" => {}
            _ => {
                if !(cake.read_rtt(word) || cake.read_sharing(word) || cake.read_link(word)) {
                    return Err(refusal(word));
                }
            }
        }
    }
    Ok(cake.table(options))
}

fn bytes(word: Word<'_>, least: i32, what: &'static str, example: &'static str) -> Result<i32, Refusal> {
    match signed(word)? {
        bytes if (least..=256).contains(&bytes) => Ok(bytes),
        _ => Err(word.bad(what, example)),
    }
}

/// A word that is recognized but not supported.
fn refusal(word: Word<'_>) -> Refusal {
    match word.text {
        "nat" => word.no_counterpart("packets keep their addresses", "leave it out"),
        "ack-filter" | "ack-filter-aggressive" => {
            word.no_counterpart("packets have no content that identifies acknowledgements", "leave it out")
        }
        "autorate-ingress" => {
            word.no_counterpart("the rate is not measured", "write the rate, such as bandwidth 10mbit")
        }
        "fwmark" => word.no_counterpart("packets have no firewall marks", "leave it out"),
        _ => word.unknown("cake", WORDS),
    }
}

impl Cake {
    /// Reads a name for a round-trip time.
    fn read_rtt(&mut self, word: Word<'_>) -> bool {
        let us = match word.text {
            "datacentre" => 100,
            "lan" => 1_000,
            "metro" => 10_000,
            "regional" => 30_000,
            "internet" => 100_000,
            "oceanic" => 300_000,
            "satellite" => 1_000_000,
            "interplanetary" => 1_000_000_000,
            _ => return false,
        };
        self.rtt = Span::from_ns(us * 1_000);
        true
    }

    /// Reads the flow isolation.
    fn read_sharing(&mut self, word: Word<'_>) -> bool {
        match word.text {
            "besteffort" => self.diffserv = Diffserv::Besteffort,
            "precedence" => self.diffserv = Diffserv::Precedence,
            "diffserv3" => self.diffserv = Diffserv::Diffserv3,
            "diffserv4" | "diffserv" => self.diffserv = Diffserv::Diffserv4,
            "diffserv8" => self.diffserv = Diffserv::Diffserv8,
            "flowblind" => self.isolation = Isolation::Flowblind,
            "srchost" => self.isolation = Isolation::Srchost,
            "dsthost" => self.isolation = Isolation::Dsthost,
            "hosts" => self.isolation = Isolation::Hosts,
            "flows" => self.isolation = Isolation::Flows,
            "dual-srchost" => self.isolation = Isolation::DualSrchost,
            "dual-dsthost" => self.isolation = Isolation::DualDsthost,
            "triple-isolate" => self.isolation = Isolation::TripleIsolate,
            _ => return false,
        }
        true
    }

    /// Reads the link layer. Overheads add up.
    fn read_link(&mut self, word: Word<'_>) -> bool {
        use CakeLinkLayer::{Atm, Ethernet, Ptm};
        let (link_layer, added) = match word.text {
            "atm" => (Some(Atm), None),
            "noatm" => (Some(Ethernet), None),
            "ptm" => (Some(Ptm), None),
            "ipoa-vcmux" => (Some(Atm), Some(8)),
            "pppoa-vcmux" => (Some(Atm), Some(10)),
            "pppoa-llc" => (Some(Atm), Some(14)),
            "ipoa-llcsnap" => (Some(Atm), Some(16)),
            "bridged-vcmux" => (Some(Atm), Some(24)),
            "bridged-llcsnap" | "pppoe-vcmux" => (Some(Atm), Some(32)),
            "pppoe-llcsnap" => (Some(Atm), Some(40)),
            "bridged-ptm" => (Some(Ptm), Some(22)),
            "pppoe-ptm" => (Some(Ptm), Some(30)),
            "ether-vlan" => (None, Some(4)),
            "ethernet" => {
                self.mpu = 84;
                (None, Some(38))
            }
            "docsis" => {
                self.mpu = 64;
                (Some(Ethernet), Some(18))
            }
            "conservative" => {
                self.overhead = Some(48);
                (Some(Atm), None)
            }
            "raw" => {
                (self.overhead, self.is_raw) = (Some(0), true);
                (Some(Ethernet), None)
            }
            _ => return false,
        };
        self.link_layer = link_layer.unwrap_or(self.link_layer);
        if let Some(added) = added {
            self.overhead = Some(self.overhead.unwrap_or(0) + added);
        }
        true
    }

    /// The value of `overhead` in a table. It counts from the IP packet; `raw` keeps the frame's header of 14
    /// bytes.
    fn overhead(&self) -> Option<i32> {
        match (self.overhead, self.is_raw) {
            (Some(0), true) => None,
            (Some(bytes), true) => Some(bytes + 14),
            (overhead, false) => overhead,
            (None, true) => None,
        }
    }

    fn table(self, options: &TcOptions) -> Table {
        let overhead = self.overhead().map(|bytes| format!("{bytes} B"));
        let mut table = Table::of_kind("cake")
            .with_some("bandwidth", self.bandwidth.as_ref())
            .with_span("rtt", self.rtt)
            .with("diffserv", &self.diffserv)
            .with("isolation", &self.isolation)
            .with_some("overhead", overhead.as_ref())
            .with_size("mpu", ByteCount::new(self.mpu))
            .with("linklayer", &self.link_layer)
            .with("ingress", &self.ingress)
            .with("wash", &self.wash)
            .with_size("mtu", ByteCount::new(options.frame()));
        if let Some(memory) = self.memory {
            table.set_size("memory_limit", memory);
        }
        table
    }
}
