//! `htb` and its classes.

use super::Converter;
use super::error::{Refusal, TcError};
use super::fifo::rate_table_word;
use super::filters::assign;
use super::script::{Class, Handle, Qdisc};
use super::selection::Selection;
use super::table::Table;
use super::units::{above_zero, count, hexadecimal, rate, size};
use crate::ptm::Buffer;
use crate::units::{ByteCount, Rate};

/// The parameters of the qdisc.
struct Options {
    /// The minor number of the default class.
    default: u32,
    r2q: u32,
    direct_qlen: u32,
}

/// The parameters of a class.
struct Rates {
    rate: Rate,
    ceil: Rate,
    burst: ByteCount,
    cburst: ByteCount,
    prio: u32,
    quantum: Option<ByteCount>,
}

/// A class with its position in the tree.
struct Node<'a> {
    class: Class<'a>,
    inner: Vec<Node<'a>>,
    /// The selection of a class without inner classes; `None` for the default class.
    selection: Option<Selection>,
}

impl<'a> Converter<'a> {
    /// `htb` with its classes in the order of their ids, in which the kernel serves equal classes.
    pub(super) fn htb(&mut self, qdisc: &Qdisc<'a>) -> Option<Table> {
        let options = options(qdisc, self.options.txqueuelen);
        // Mistakes further down are also reported.
        let default = Options { default: 0, r2q: 10, direct_qlen: 0 };
        let options = self.keep(options).unwrap_or(default);
        let major = qdisc.handle.unwrap_or(0);
        let classes = self.take_classes(major);
        let is_leaf = |id: Handle| classes.iter().all(|class| class.parent != id);
        let leaf = |id: Handle| match classes.iter().find(|class| class.id == id) {
            Some(_) if is_leaf(id) => Ok(()),
            Some(_) => Err("it has inner classes: choose one of them"),
            None if id.1 == 0 => Err("the direct queue takes packets by default only"),
            None => Err("create the class, or correct the id"),
        };
        let rules = self.rules(qdisc, leaf);
        let mut nodes = tree(&classes, (major, 0));
        let mut order = Vec::new();
        each_leaf(&mut nodes, &mut |node| order.push(node.class.id));
        let mut selections = match assign(self.text, &rules, &order) {
            Ok(selections) => selections.into_iter(),
            Err(refusals) => {
                self.refusals.extend(refusals);
                vec![None; order.len()].into_iter()
            }
        };
        each_leaf(&mut nodes, &mut |node| node.selection = selections.next().flatten());
        let default = u16::try_from(options.default).ok().map(|minor| (major, minor));
        let default = default.filter(|id| order.contains(id));
        let mut table = Table::of_kind("htb");
        match default {
            Some((_, minor)) => table.set("default", &format!("{minor:x}")),
            None => {
                table.set("default", &"direct");
                table.set("direct_buffer", &Buffer::Packets(options.direct_qlen.into()));
            }
        }
        let stab = super::stab::stab(qdisc, &mut table);
        self.keep(stab);
        for node in &nodes {
            if let Some(class) = self.htb_class(node, &options, default) {
                table.push_class(class);
            }
        }
        if !table.has_classes() && self.refusals.is_empty() {
            let what = "no packet goes to a class of this `htb`".to_owned();
            let help = "name a class as `default`, or add filters; without a shaper write `pfifo`";
            self.refusals.push(qdisc.kind.refuse(TcError::Refused { what, help }));
        }
        Some(table)
    }

    /// A class, unless no packet reaches it.
    fn htb_class(&mut self, node: &Node<'a>, options: &Options, default: Option<Handle>) -> Option<Table> {
        let Node { class, inner, selection } = node;
        let rates = self.keep(rates(class));
        let Some(rates) = rates else {
            // Everything below it is also read, to report mistakes.
            self.leaf(class.id, &mut Table::default());
            for node in inner {
                self.htb_class(node, options, default);
            }
            return None;
        };
        let mut table = Table::default().with("name", &format!("{:x}", class.id.1));
        if let Some(selection) = selection {
            table.set_text("match", selection.to_toml());
        }
        table = table
            .with("rate", &rates.rate)
            .with("ceil", &rates.ceil)
            .with_size("burst", rates.burst)
            .with_size("cburst", rates.cburst);
        if inner.is_empty() {
            table.set("prio", &rates.prio.min(7));
            let quantum = rates.quantum.unwrap_or_else(|| default_quantum(rates.rate, options.r2q));
            table.set_size("quantum", quantum);
            // Mistakes below an unused class are also reported.
            self.leaf(class.id, &mut table);
            if selection.is_none() && default != Some(class.id) {
                self.unused("class", class.id);
                return None;
            }
            return Some(table);
        }
        for node in inner {
            if let Some(class) = self.htb_class(node, options, default) {
                table.push_class(class);
            }
        }
        table.has_classes().then_some(table)
    }
}

/// The classes below `parent`.
fn tree<'a>(classes: &[Class<'a>], parent: Handle) -> Vec<Node<'a>> {
    let children = classes.iter().filter(|class| class.parent == parent);
    // A class is created after its parent, so it is not its own ancestor.
    let node =
        |class: &Class<'a>| Node { class: class.clone(), inner: tree(classes, class.id), selection: None };
    children.map(node).collect()
}

fn each_leaf<'a>(nodes: &mut [Node<'a>], look: &mut impl FnMut(&mut Node<'a>)) {
    for node in nodes {
        if node.inner.is_empty() {
            look(node);
        } else {
            each_leaf(&mut node.inner, look);
        }
    }
}

/// # Source
/// iproute2 6.1 `tc/q_htb.c` (`htb_parse_opt`).
fn options(qdisc: &Qdisc<'_>, txqueuelen: u32) -> Result<Options, Refusal> {
    let mut options = Options { default: 0, r2q: 10, direct_qlen: txqueuelen };
    let mut words = qdisc.options.clone();
    while let Some(word) = words.next() {
        match word.text {
            "default" => options.default = hexadecimal(words.value("the minor number of a class")?)?,
            "r2q" => {
                let value = words.value("a number")?;
                options.r2q = above_zero(value, count(value)?, "a divisor above 0", "10")?;
            }
            "direct_qlen" => options.direct_qlen = count(words.value("a number of packets")?)?,
            "offload" => return Err(word.no_counterpart("a network card that shapes", "leave it out")),
            _ => return Err(word.unknown("htb", &["default", "r2q", "direct_qlen"])),
        }
    }
    Ok(options)
}

/// # Source
/// iproute2 6.1 `tc/q_htb.c` (`htb_parse_class_opt`), where timers have a resolution of 1 ns.
fn rates(class: &Class<'_>) -> Result<Rates, Refusal> {
    const WORDS: &[&str] = &["rate", "ceil", "burst", "cburst", "prio", "quantum", "mtu"];
    let (mut speed, mut ceil, mut burst, mut cburst) = (None::<Rate>, None, None, None);
    let (mut prio, mut quantum, mut mtu) = (0, None, 1_600);
    let mut words = class.options.clone();
    while let Some(word) = words.next() {
        match word.text {
            "rate" => speed = Some(rate(words.value("a rate")?)?),
            "ceil" => ceil = Some(rate(words.value("a rate")?)?),
            "burst" | "buffer" | "maxburst" => burst = Some(size(words.value("a size")?)?),
            "cburst" | "cbuffer" | "cmaxburst" => cburst = Some(size(words.value("a size")?)?),
            "prio" => prio = count(words.value("a priority")?)?,
            "quantum" => quantum = Some(size(words.value("a size")?)?),
            "mtu" => mtu = u64::from(count(words.value("a size")?)?),
            "overhead" | "mpu" | "linklayer" => rate_table_word(word.text, words.value("a value")?)?,
            _ => return Err(word.unknown("htb", WORDS)),
        }
    }
    let speed = speed.ok_or_else(|| class.kind.refuse(TcError::Required { kind: "htb", key: "rate" }))?;
    let ceil = ceil.unwrap_or(speed);
    // A burst of 0 counts as missing.
    let least = |given: Option<ByteCount>, rate: Rate| {
        let given = given.filter(|burst| *burst != ByteCount::ZERO);
        given.unwrap_or_else(|| ByteCount::new(rate.as_bps() / 8 / 1_000_000_000 + mtu))
    };
    Ok(Rates {
        rate: speed,
        ceil,
        burst: least(burst, speed),
        cburst: least(cburst, ceil),
        prio,
        quantum: quantum.filter(|quantum| *quantum != ByteCount::ZERO),
    })
}

/// # Source
/// Linux 6.1 `net/sched/sch_htb.c` (`htb_change_class`).
fn default_quantum(rate: Rate, r2q: u32) -> ByteCount {
    ByteCount::new((rate.as_bps() / 8 / u64::from(r2q)).clamp(1_000, 200_000))
}
