//! `prio`, `ets` and `drr`: classes by number.

use super::Converter;
use super::error::{Refusal, TcError};
use super::filters::assign;
use super::script::{Handle, Qdisc};
use super::selection::Selection;
use super::table::Table;
use super::units::{above_zero, count, size};
use super::words::{Word, Words};
use crate::ptm::Buffer;
use crate::units::ByteCount;

/// The maximum number of bands of `prio` and `ets`.
const MOST_BANDS: u32 = 16;

/// The bands of `prio` or `ets`, from 0.
struct Bands {
    /// The quantum of each band; `None` for a strict band.
    quanta: Vec<Option<ByteCount>>,
    /// The band of each priority.
    priomap: [usize; 16],
}

impl Bands {
    /// The code points whose packets go to a band without filters.
    ///
    /// # Source
    /// Linux 6.1 `net/ipv4/route.c` (`ip_tos2prio`) and `include/net/route.h` (`rt_tos2priority`), which
    /// forwarding asks: two bits of the traffic class make the priority 0 (best effort), 2 (bulk), 6
    /// (interactive) or 4 (both).
    fn dscp(&self, band: usize) -> u64 {
        let priority = |point: u32| [0, 2, 6, 4][(point >> 1 & 3) as usize];
        (0..64)
            .filter(|&point| self.priomap[priority(point)] == band)
            .fold(0, |bits, point| bits | 1 << point)
    }
}

impl<'a> Converter<'a> {
    /// `prio` or `ets`: a class for each band that packets reach.
    pub(super) fn bands(&mut self, qdisc: &Qdisc<'a>) -> Option<Table> {
        let is_ets = qdisc.kind.text == "ets";
        let read = if is_ets { ets(qdisc, self.options.frame()) } else { prio(qdisc) };
        let major = qdisc.handle.unwrap_or(0);
        let Some(bands) = self.keep(read) else {
            self.visit_below(major);
            return None;
        };
        let ids = (1..=bands.quanta.len()).map(|band| (major, band as u16)).collect::<Vec<Handle>>();
        let is_band = |id: Handle| if ids.contains(&id) { Ok(()) } else { Err("bands count from 1") };
        let rules = self.rules(qdisc, is_band);
        let selections = if rules.is_empty() {
            self.by_priority(&bands)
        } else {
            let assigned = assign(self.text, &rules, &ids);
            let Some(mut selections) = self.keep_all(assigned) else {
                self.visit_below(major);
                return None;
            };
            self.unmatched(qdisc, &bands, &mut selections);
            selections
        };
        let mut table = Table::of_kind(if is_ets { "ets" } else { "priority" });
        let last = selections.iter().rposition(|selection| selection.is_some());
        for (band, selection) in selections.iter().enumerate() {
            let class = self.class(ids[band], selection.as_ref(), Some(band) == last, bands.quanta[band]);
            match selection {
                Some(_) => table.push_class(class),
                None => self.unused("band", ids[band]),
            }
        }
        Some(table)
    }

    /// A class with `selection`. The last class that packets reach needs no `match` for the remaining
    /// packets.
    fn class(
        &mut self,
        id: Handle,
        selection: Option<&Selection>,
        is_last: bool,
        quantum: Option<ByteCount>,
    ) -> Table {
        let mut class = Table::default().with("name", &format!("{:x}", id.1));
        if let Some(selection) = selection
            && !(is_last && selection.is_everything())
        {
            class.set_text("match", selection.to_toml());
        }
        if let Some(quantum) = quantum {
            class.set_size("quantum", quantum);
        }
        self.leaf(id, &mut class);
        class
    }

    /// The packets of each band without filters. The last band that packets reach takes all remaining
    /// packets.
    fn by_priority(&mut self, bands: &Bands) -> Vec<Option<Selection>> {
        let dscp = (0..bands.quanta.len()).map(|band| bands.dscp(band)).collect::<Vec<_>>();
        let last = dscp.iter().rposition(|&bits| bits != 0);
        let reached = dscp.iter().filter(|&&bits| bits != 0).count();
        if reached > 1 {
            self.remarks.push(format!(
                "the kernel puts IPv4 packets into bands by their code point, and all others into band {}; the table puts all \
                 packets into bands by their code point",
                bands.priomap[0] + 1
            ));
        }
        let selection = |(band, bits): (usize, u64)| match bits {
            0 => None,
            _ if Some(band) == last => Some(Selection::default()),
            _ => Some(Selection { dscp: Some(bits), ..Selection::default() }),
        };
        dscp.into_iter().enumerate().map(selection).collect()
    }

    /// With filters, the table puts packets without a matching filter into its last class. The band of best
    /// effort is used for them if it can be that class. Differences from the priomap are reported.
    fn unmatched(&mut self, qdisc: &Qdisc<'a>, bands: &Bands, selections: &mut [Option<Selection>]) {
        let best_effort = bands.priomap[0];
        let filtered = selections.iter().rposition(|selection| selection.is_some()).unwrap_or(0);
        if best_effort > filtered {
            selections[best_effort] = Some(Selection::default());
        }
        let last = best_effort.max(filtered);
        // A filter for all packets leaves none to the priomap.
        if selections[..last].iter().flatten().any(Selection::is_everything)
            || (last == filtered && selections[last].as_ref().is_some_and(Selection::is_everything))
            || bands.priomap.iter().all(|&band| band == last)
        {
            return;
        }
        let reached = [0, 2, 4, 6].map(|priority| bands.priomap[priority]);
        if reached.iter().any(|&band| band != last) {
            let map = bands.priomap.map(|band| band.to_string()).join(" ");
            self.remarks.push(format!(
                "the kernel puts packets that no filter of this `{}` takes into bands by their priority (priomap {map}); the \
                 table puts them all into band {}",
                qdisc.kind.text,
                last + 1
            ));
        }
    }

    /// `drr`: a class for each that a filter leads to, and one that drops packets without a matching filter,
    /// as in the kernel.
    pub(super) fn drr(&mut self, qdisc: &Qdisc<'a>) -> Option<Table> {
        if let Some(word) = qdisc.options.peek() {
            return self.keep(Err(word.unknown("drr", &[])));
        }
        let classes = self.take_classes(qdisc.handle.unwrap_or(0));
        let ids = classes.iter().map(|class| class.id).collect::<Vec<_>>();
        let is_class = |id: Handle| match ids.contains(&id) {
            true => Ok(()),
            false => Err("create the class, or correct the id"),
        };
        let rules = self.rules(qdisc, is_class);
        let assigned = assign(self.text, &rules, &ids);
        let Some(selections) = self.keep_all(assigned) else {
            self.visit_below(qdisc.handle.unwrap_or(0));
            return None;
        };
        let takes_all = selections.iter().flatten().any(Selection::is_everything);
        let last = selections.iter().rposition(|selection| selection.is_some());
        let mut table = Table::of_kind("drr");
        for (index, (class, selection)) in classes.iter().zip(&selections).enumerate() {
            let mut quantum = ByteCount::new(self.options.frame());
            let mut words = class.options.clone();
            while let Some(word) = words.next() {
                let read = match word.text {
                    "quantum" => words.value("a size").and_then(size),
                    _ => Err(word.unknown("drr", &["quantum"])),
                };
                quantum = self.keep(read)?;
            }
            let class_table = self.class(class.id, selection.as_ref(), Some(index) == last, Some(quantum));
            match selection {
                Some(_) => table.push_class(class_table),
                None => self.unused("class", class.id),
            }
        }
        if !table.has_classes() {
            let what = "no filter leads to a class of this `drr`: the kernel drops every packet".to_owned();
            let help = "add filters; the kernel's `drr` drops packets without a matching filter";
            return self.keep(Err(qdisc.kind.refuse(TcError::Refused { what, help })));
        }
        if !takes_all {
            self.remarks.push(
                "the kernel's `drr` drops packets without a matching filter; so does the class `unmatched`"
                    .to_owned(),
            );
            let class = Table::default().with("name", &"unmatched");
            table.push_class(class.with("buffer", &Buffer::Packets(0)));
        }
        Some(table)
    }
}

/// # Source
/// iproute2 6.1 `tc/q_prio.c` (`prio_parse_opt`); Linux 6.1 `net/sched/sch_prio.c` (`prio_tune`).
fn prio(qdisc: &Qdisc<'_>) -> Result<Bands, Refusal> {
    let mut bands = 3;
    let mut priomap = [1, 2, 2, 2, 1, 2, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1];
    let mut words = qdisc.options.clone();
    while let Some(word) = words.next() {
        match word.text {
            "bands" => bands = number_of_bands(words.value("a number")?, 2)?,
            "priomap" => read_priomap(&mut words, &mut priomap)?,
            "multiqueue" => return Err(word.no_counterpart("a queue per queue of the card", "leave it out")),
            _ => return Err(word.unknown("prio", &["bands", "priomap"])),
        }
    }
    check_priomap(qdisc.kind, &priomap, bands)?;
    Ok(Bands { quanta: vec![None; bands as usize], priomap })
}

/// # Source
/// iproute2 6.1 `tc/q_ets.c` (`ets_parse_opt`); Linux 6.1 `net/sched/sch_ets.c` (`ets_qdisc_change`).
fn ets(qdisc: &Qdisc<'_>, frame: u64) -> Result<Bands, Refusal> {
    let (mut bands, mut strict, mut given, mut priomap) = (None, 0, Vec::new(), None);
    let mut words = qdisc.options.clone();
    while let Some(word) = words.next() {
        match word.text {
            "bands" => bands = Some(number_of_bands(words.value("a number")?, 1)?),
            "strict" => strict = number_of_bands(words.value("a number")?, 0)?,
            "quanta" => {
                while let Some(value) = words.number() {
                    given.push(above_zero(value, size(value)?, "a quantum above 0", "1514")?);
                }
            }
            "priomap" => {
                let mut map = [usize::MAX; 16];
                read_priomap(&mut words, &mut map)?;
                priomap = Some(map);
            }
            _ => return Err(word.unknown("ets", &["bands", "strict", "quanta", "priomap"])),
        }
    }
    let named = strict + given.len() as u32;
    let bands = bands.unwrap_or(named);
    if bands == 0 || bands < named || bands > MOST_BANDS {
        let what = format!("{strict} strict bands and {} quanta do not fit {bands} bands", given.len());
        return Err(qdisc.kind.refuse(TcError::Refused { what, help: "write `bands` with 1 to 16" }));
    }
    // Priorities missing in the map go to the last band.
    let last = bands as usize - 1;
    let priomap =
        priomap.unwrap_or([usize::MAX; 16]).map(|band| if band == usize::MAX { last } else { band });
    check_priomap(qdisc.kind, &priomap, bands)?;
    let mut quanta = vec![None; strict as usize];
    quanta.extend(given.into_iter().map(Some));
    quanta.resize(bands as usize, Some(ByteCount::new(frame)));
    Ok(Bands { quanta, priomap })
}

fn number_of_bands(word: Word<'_>, least: u32) -> Result<u32, Refusal> {
    match count(word)? {
        number if (least..=MOST_BANDS).contains(&number) => Ok(number),
        _ => Err(word.bad("a number of bands that the kernel takes", "3; it takes 2 to 16 (ets: 1 to 16)")),
    }
}

fn read_priomap(words: &mut Words<'_>, priomap: &mut [usize; 16]) -> Result<(), Refusal> {
    for place in priomap.iter_mut() {
        let Some(value) = words.number() else { return Ok(()) };
        *place = count(value)? as usize;
    }
    match words.number() {
        Some(more) => {
            Err(more.bad("part of a priomap, which has 16 bands", "1 2 2 2 1 2 0 0 1 1 1 1 1 1 1 1"))
        }
        None => Ok(()),
    }
}

fn check_priomap(kind: Word<'_>, priomap: &[usize; 16], bands: u32) -> Result<(), Refusal> {
    match priomap.iter().find(|&&band| band >= bands as usize) {
        None => Ok(()),
        Some(band) => {
            let what = format!("the priomap leads to band {band} of {bands}, counted from 0");
            Err(kind.refuse(TcError::Refused { what, help: "write a `priomap` of 16 bands below `bands`" }))
        }
    }
}
