//! Converts the commands of Linux `tc` for the egress of one network device to a `[ptm]` table.
//!
//! `words` finds the words of each command. `script` collects the qdiscs, classes and filters that the
//! commands create. A file per group of disciplines converts them. Defaults of tc and the kernel are written
//! out. Features that taunet does not have are refused, with the position of the word.
//!
//! To add a qdisc: a function in the file of its group, and one arm in `Converter::qdisc`.
//!
//! # Source
//! iproute2 6.1 and Linux 6.1, as each file says.

mod aqm;
mod bands;
mod cake;
mod error;
mod fair;
mod fifo;
mod filters;
mod htb;
mod netem;
mod router;
mod script;
mod selection;
mod stab;
mod table;
mod units;
mod words;

pub use error::TcError;
pub use router::RouterOptions;

use std::num::NonZeroU32;
use std::sync::Arc;

use serde::Deserialize;

use crate::config::{ConfigError, Document, SourceText};
use crate::link::Link;
use crate::ptm::{Buffer, PtmSpec};
use crate::units::{Bandwidth, Span};
use error::Refusal;
use filters::Rule;
use script::{Class, Handle, Qdisc, Script};
use table::Table;
use units::handle_text;
use words::Word;

/// Settings of the machine on which the commands run.
#[derive(Debug, Clone)]
pub struct TcOptions {
    /// The network device whose commands are read, if there are several.
    pub device: Option<String>,
    /// Its MTU in bytes, without the Ethernet header.
    pub mtu: u32,
    /// Its `txqueuelen` in packets.
    pub txqueuelen: u32,
    /// The kernel's timer interrupts per second.
    pub hz: NonZeroU32,
}

impl Default for TcOptions {
    fn default() -> Self {
        let hz = const { NonZeroU32::new(250).expect("above zero") };
        TcOptions { device: None, mtu: 1_500, txqueuelen: 1_000, hz }
    }
}

impl TcOptions {
    /// The longest frame in bytes, with the Ethernet header and without the FCS.
    fn frame(&self) -> u64 {
        u64::from(self.mtu) + 14
    }
}

/// The converted commands.
#[derive(Debug, Clone, PartialEq)]
pub struct Converted {
    table: Table,
    source: String,
    lines: Vec<String>,
    /// Differences between the table and the kernel, for the user.
    pub remarks: Vec<String>,
}

impl Converted {
    /// The `[ptm]` table, with a comment that shows its source.
    pub fn to_toml(&self) -> String {
        let comment = self.comment().into_iter().map(|line| format!("# {line}").trim_end().to_owned() + "\n");
        comment.collect::<String>() + &self.table.to_toml("ptm")
    }

    /// The name of the source, its commands, and the remarks.
    fn comment(&self) -> Vec<String> {
        let mut comment = vec![format!("By `taunet topology tc` from {}:", self.source), String::new()];
        comment.extend(self.lines.iter().map(|line| format!("    {line}")));
        if !self.remarks.is_empty() {
            comment.push(String::new());
            comment.extend(self.remarks.iter().map(|remark| format!("- {remark}")));
        }
        comment
    }
}

/// Converts the commands of one network device. `name` is the name of their file in errors.
///
/// # Errors
/// Every word without a counterpart, with its position (see [`TcError`]); a table that [`PtmSpec::check`]
/// refuses.
///
/// # Examples
/// ```
/// use taunet::topology::tc::{TcOptions, convert};
///
/// let text = "tc qdisc add dev eth0 root tbf rate 10mbit burst 2000 latency 50ms";
/// let converted = convert("slow.sh", text, &TcOptions::default())?;
/// assert!(converted.to_toml().ends_with(
///     "[ptm]\nkind = \"token-bucket\"\nrate = \"10 Mbps\"\nburst = \"2000 B\"\nbuffer = \"64500 B\"\n"
/// ));
///
/// let error = convert("hfsc.sh", "tc qdisc add dev eth0 root hfsc", &TcOptions::default()).unwrap_err();
/// assert_eq!(error.message(), "taunet has no qdisc like `hfsc`");
/// # Ok::<(), taunet::config::ConfigError>(())
/// ```
pub fn convert(name: &str, text: &str, options: &TcOptions) -> Result<Converted, ConfigError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let source = Arc::new(SourceText { name: name.to_owned(), text: text.to_owned() });
    let (converted, root) = read(name, text, options).map_err(|refusals| told(&source, refusals))?;
    let checked = check(&converted.table);
    checked.map_err(|message| told(&source, vec![Refusal::new(root, TcError::NoTable(message))]))?;
    Ok(converted)
}

/// The table of the commands, unchecked, and the position of the root.
fn read(
    name: &str,
    text: &str,
    options: &TcOptions,
) -> Result<(Converted, std::ops::Range<usize>), Vec<Refusal>> {
    let script = Script::read(text, options.device.as_deref())?;
    let Some(root) = script.root() else {
        let end = text.trim_end().len();
        return Err(vec![Refusal::new(end..end, TcError::Nothing)]);
    };
    let mut converter = Converter::new(text, &script, options);
    let table = converter.qdisc(root);
    converter.left_over();
    let Converter { refusals, remarks, .. } = converter;
    match table {
        Some(table) if refusals.is_empty() => {
            let (source, lines) = (name.to_owned(), script.lines.clone());
            Ok((Converted { table, source, lines, remarks }, script.qdiscs[root].kind.span()))
        }
        _ => Err(refusals),
    }
}

/// Refusals as mistakes of a file.
fn told(source: &Arc<SourceText>, refusals: Vec<Refusal>) -> ConfigError {
    let mistake = |Refusal { span, error }: Refusal| {
        ConfigError::at(Arc::clone(source), span, error.to_string()).with_help(error.help())
    };
    let mistakes = refusals.into_iter().map(mistake).collect();
    ConfigError::all(mistakes)
        .unwrap_or_else(|| ConfigError::whole(&source.name, TcError::Nothing.to_string()))
}

/// Checks that the table is valid.
fn check(table: &Table) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Holder {
        ptm: PtmSpec,
    }
    let read =
        Document::parse("the table", &table.to_toml("ptm")).and_then(|text| text.deserialize::<Holder>());
    let spec = read.map_err(|error| error.message().to_owned())?.ptm;
    // A tc device by itself is not a bottleneck.
    let link = Link::with_delay(Bandwidth::Unlimited, Span::ZERO);
    spec.check(&link).map_err(|error| error.to_string())
}

/// The supported disciplines.
const QDISCS: &[&str] = &[
    "pfifo", "bfifo", "tbf", "htb", "prio", "ets", "drr", "codel", "fq_codel", "pie", "fq_pie", "red", "sfq",
    "fq", "cake", "netem",
];

/// Converts a script to a table.
struct Converter<'a> {
    text: &'a str,
    script: &'a Script<'a>,
    options: &'a TcOptions,
    refusals: Vec<Refusal>,
    remarks: Vec<String>,
    /// The parts of the script that are used.
    placed_qdiscs: Vec<bool>,
    placed_classes: Vec<bool>,
    placed_filters: Vec<bool>,
}

impl<'a> Converter<'a> {
    fn new(text: &'a str, script: &'a Script<'a>, options: &'a TcOptions) -> Self {
        Converter {
            text,
            script,
            options,
            refusals: Vec::new(),
            remarks: Vec::new(),
            placed_qdiscs: vec![false; script.qdiscs.len()],
            placed_classes: vec![false; script.classes.len()],
            placed_filters: vec![false; script.filters.len()],
        }
    }

    /// Records a refusal.
    fn keep<T>(&mut self, result: Result<T, Refusal>) -> Option<T> {
        result.map_err(|refusal| self.refusals.push(refusal)).ok()
    }

    fn keep_all<T>(&mut self, result: Result<T, Vec<Refusal>>) -> Option<T> {
        result.map_err(|refusals| self.refusals.extend(refusals)).ok()
    }

    /// The table of a qdisc and everything below it; `None` if a part is refused.
    fn qdisc(&mut self, index: usize) -> Option<Table> {
        let qdisc = self.script.qdiscs[index].clone();
        self.placed_qdiscs[index] = true;
        if !(matches!(qdisc.kind.text, "tbf" | "htb") && qdisc.parent.is_none()) {
            let none = stab::none(&qdisc);
            self.keep(none);
        }
        let table = match qdisc.kind.text {
            "pfifo" | "bfifo" => fifo::limit(&qdisc, self.options).map(|limit| {
                let mut table = Table::of_kind("fifo");
                table.set_buffer("buffer", limit);
                table
            }),
            "tbf" => return self.tbf(&qdisc),
            "htb" => return self.htb(&qdisc),
            "prio" | "ets" => return self.bands(&qdisc),
            "drr" => return self.drr(&qdisc),
            "netem" => return self.netem(&qdisc),
            "codel" => aqm::codel(&qdisc, self.options),
            "fq_codel" => aqm::fq_codel(&qdisc, self.options),
            "pie" => aqm::pie(&qdisc, self.options),
            "fq_pie" => aqm::fq_pie(&qdisc, self.options, &mut self.remarks),
            "red" => aqm::red(&qdisc, &mut self.remarks),
            "sfq" => fair::sfq(&qdisc, self.options),
            "cake" => cake::cake(&qdisc, self.options),
            "fq" => fair::fq(&qdisc, self.options, &mut self.remarks),
            "noqueue" => Err(qdisc.kind.no_counterpart("no queue", "leave `ptm` out on an unlimited link")),
            "pfifo_fast" => Err(qdisc
                .kind
                .no_counterpart("three bands per queue of the card, with one common limit", "write `prio`")),
            kind => Err(qdisc.kind.refuse(TcError::NoKind {
                what: "qdisc",
                kind: kind.to_owned(),
                known: QDISCS,
            })),
        };
        self.keep(table)
    }

    /// A token bucket with the queue of its only class.
    fn tbf(&mut self, qdisc: &Qdisc<'a>) -> Option<Table> {
        let child = self.only_child(qdisc);
        let table = fifo::tbf(qdisc, child.is_none());
        let mut table = self.keep(table);
        if let Some(table) = &mut table {
            let stab = match qdisc.parent {
                None => stab::stab(qdisc, table),
                Some(_) => stab::none(qdisc),
            };
            self.keep(stab);
        }
        let inner = child.and_then(|child| self.queue(child));
        let mut table = table?;
        if let Some(inner) = inner {
            inner.give(&mut table);
        }
        Some(table)
    }

    fn netem(&mut self, qdisc: &Qdisc<'a>) -> Option<Table> {
        let child = self.only_child(qdisc).and_then(|child| self.qdisc(child));
        let table = netem::netem(qdisc, &mut self.remarks);
        let mut table = self.keep(table)?;
        if let Some(child) = child {
            table.set_ptm(child);
        }
        Some(table)
    }

    /// The qdisc below a qdisc with a single class, whatever its number.
    fn only_child(&self, qdisc: &Qdisc<'a>) -> Option<usize> {
        let handle = qdisc.handle?;
        let qdiscs = self.script.qdiscs.iter();
        qdiscs.enumerate().position(|(_, below)| below.parent.is_some_and(|(_, (major, _))| major == handle))
    }

    /// Sets the queue of a class: its own qdisc, or a `pfifo` as in the kernel.
    fn leaf(&mut self, class: Handle, table: &mut Table) {
        match self.script.child(class) {
            Some(child) => {
                if let Some(queue) = self.queue(child) {
                    queue.give(table);
                }
            }
            None => table.set("buffer", &Buffer::Packets(self.options.txqueuelen.into())),
        }
    }

    /// A qdisc as the queue of a class.
    fn queue(&mut self, index: usize) -> Option<Queue> {
        let qdisc = self.script.qdiscs[index].clone();
        if !matches!(qdisc.kind.text, "pfifo" | "bfifo") {
            return self.qdisc(index).map(Queue::Ptm);
        }
        self.placed_qdiscs[index] = true;
        let none = stab::none(&qdisc);
        self.keep(none);
        self.keep(fifo::limit(&qdisc, self.options)).map(Queue::Buffer)
    }

    /// Reads all qdiscs below a refused one, to report their mistakes.
    fn visit_below(&mut self, major: u16) {
        for index in 0..self.script.qdiscs.len() {
            let is_below = self.script.qdiscs[index].parent.is_some_and(|(_, (parent, _))| parent == major);
            if is_below && !self.placed_qdiscs[index] {
                self.queue(index);
            }
        }
    }

    /// The classes of a qdisc.
    fn take_classes(&mut self, major: u16) -> Vec<Class<'a>> {
        let classes = self.script.classes.iter().enumerate().filter(|(_, class)| class.id.0 == major);
        let classes = classes.collect::<Vec<_>>();
        for (index, _) in &classes {
            self.placed_classes[*index] = true;
        }
        classes.into_iter().map(|(_, class)| class.clone()).collect()
    }

    /// The filters at a qdisc, in the order of evaluation.
    fn rules(
        &mut self,
        qdisc: &Qdisc<'a>,
        is_class: impl Fn(Handle) -> Result<(), &'static str>,
    ) -> Vec<Rule<'a>> {
        let mut rules = Vec::new();
        for (index, filter) in self.script.filters.iter().enumerate() {
            let is_here = match filter.parent {
                None => qdisc.parent.is_none(),
                Some((_, (major, _))) => qdisc.handle == Some(major),
            };
            if is_here {
                self.placed_filters[index] = true;
                let rule = filters::rule(filter, qdisc.handle, &is_class);
                rules.extend(self.keep(rule));
            }
        }
        rules
    }

    /// Reports that a class or band without packets is left out.
    fn unused(&mut self, what: &str, id: Handle) {
        self.remarks.push(format!("no packet goes to the {what} {}: it is left out", handle_text(id)));
    }

    /// Refuses unused parts, unless other refusals explain them.
    fn left_over(&mut self) {
        if !self.refusals.is_empty() {
            return;
        }
        let undefined =
            |what, word: Word<'_>| word.refuse(TcError::NotDefined { what, name: word.text.to_owned() });
        let script = self.script;
        for (qdisc, _) in script.qdiscs.iter().zip(&self.placed_qdiscs).filter(|(_, placed)| !**placed) {
            let at = qdisc.parent.map_or(qdisc.kind, |(word, _)| word);
            self.refusals.push(undefined("a class with a queue", at));
        }
        for (class, _) in script.classes.iter().zip(&self.placed_classes).filter(|(_, placed)| !**placed) {
            self.refusals.push(undefined("a qdisc for the class", class.at));
        }
        for (filter, _) in script.filters.iter().zip(&self.placed_filters).filter(|(_, placed)| !**placed) {
            let refusal = filter.kind.no_counterpart(
                "this qdisc has no classes to choose from",
                "attach the filter to an htb, prio, ets or drr",
            );
            self.refusals.push(refusal);
        }
    }
}

/// The queue of a class.
enum Queue {
    Buffer(Buffer),
    Ptm(Table),
}

impl Queue {
    fn give(self, table: &mut Table) {
        match self {
            Queue::Buffer(limit) => table.set_buffer("buffer", limit),
            Queue::Ptm(ptm) => table.set_ptm(ptm),
        }
    }
}

#[cfg(test)]
mod tests;
