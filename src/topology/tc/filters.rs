//! Filters: `u32`, `flower` and `matchall` as the `match` of classes.

mod flower;
mod u32;

use super::error::{Refusal, TcError};
use super::script::{Filter, Handle, line_of};
use super::selection::{Family, Ports, Selection};
use super::units::{handle, handle_text};
use super::words::{Word, Words};

/// A parsed filter.
pub(super) struct Rule<'a> {
    /// The word of the filter's kind, for mistakes.
    pub at: Word<'a>,
    pub selection: Selection,
    /// Its target class.
    pub class: Handle,
}

/// Reads a filter. `is_class` states whether the target class exists.
pub(super) fn rule<'a>(
    filter: &Filter<'a>,
    qdisc: Option<u16>,
    is_class: impl Fn(Handle) -> Result<(), &'static str>,
) -> Result<Rule<'a>, Refusal> {
    let family = match filter.protocol {
        None => None,
        Some(word) => match word.text {
            "ip" | "0x0800" | "0x800" => Some(Family::V4),
            "ipv6" | "0x86dd" | "0x86DD" => Some(Family::V6),
            "all" => None,
            _ => return Err(word.no_counterpart("a `match` looks at IP packets", "write ip, ipv6 or all")),
        },
    };
    let mut reading = Reading { family, selection: Selection::of(family), class: None };
    let words = filter.options.clone();
    match filter.kind.text {
        "u32" => u32::read(words, &mut reading)?,
        "flower" => flower::read(words, &mut reading)?,
        _ => matchall(words, &mut reading)?,
    }
    let required = || filter.kind.refuse(TcError::Required { kind: "filter add", key: "flowid" });
    let word = reading.class.ok_or_else(required)?;
    let class = handle(word)?;
    if Some(class.0) != qdisc {
        let what = format!("`{}` is not a class of the filter's qdisc", handle_text(class));
        let help = "attach the filter to the qdisc of the class";
        return Err(word.refuse(TcError::Refused { what, help }));
    }
    match is_class(class) {
        Ok(()) => Ok(Rule { at: filter.kind, selection: reading.selection, class }),
        Err(help) => {
            let what = format!("no packet can go to `{}`", handle_text(class));
            Err(word.refuse(TcError::Refused { what, help }))
        }
    }
}

/// The state of reading a filter.
struct Reading<'a> {
    family: Option<Family>,
    selection: Selection,
    class: Option<Word<'a>>,
}

impl<'a> Reading<'a> {
    /// Reads a word common to all filters. Returns whether it was one.
    fn common(&mut self, word: Word<'a>, words: &mut Words<'a>) -> Result<bool, Refusal> {
        match word.text {
            "flowid" | "classid" => self.class = Some(words.value("a class, such as `1:10`")?),
            "action" | "police" => {
                return Err(word.no_counterpart("a filter leads to a class", "write `flowid` and the class"));
            }
            "handle" | "ht" | "link" | "hashkey" | "divisor" | "order" | "sample" | "offset" | "indev"
            | "mark" => {
                return Err(word
                    .no_counterpart("a filter is a `match` of a class", "write the fields of the packets"));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Restricts the filter to a version of IP.
    fn is_of(&mut self, family: Family, word: Word<'_>) -> Result<(), Refusal> {
        match self.family {
            Some(other) if other != family => Err(word.refuse(TcError::Refused {
                what: format!("`{}` contradicts the `protocol` of this filter", word.text),
                help: "write match ip with protocol ip, or match ip6 with protocol ipv6",
            })),
            Some(_) => Ok(()),
            None => {
                self.family = Some(family);
                self.selection.source = Selection::of(Some(family)).source;
                Ok(())
            }
        }
    }

    fn set_dscp(&mut self, word: Word<'_>, bits: u64) -> Result<(), Refusal> {
        let dscp = self.selection.dscp.unwrap_or(u64::MAX) & bits;
        self.selection.dscp = Some(dscp);
        if dscp == 0 { Err(fits_none(word)) } else { Ok(()) }
    }

    fn set_protocol(&mut self, word: Word<'_>, number: u8) -> Result<(), Refusal> {
        match &self.selection.protocol {
            Some(there) if *there != [number] => Err(fits_none(word)),
            _ => {
                self.selection.protocol = Some(vec![number]);
                Ok(())
            }
        }
    }

    fn set_address(&mut self, word: Word<'_>, is_source: bool) -> Result<(), Refusal> {
        let any = matches!(word.text, "any" | "all" | "default").then(|| Selection::of(self.family).source);
        let net = match any {
            Some(all) => all,
            None => {
                let bad = || word.bad("an address or prefix", "10.9.1.0/24");
                let net = word.text.parse::<crate::prefix::Prefix>().map_err(|_| bad())?.0.trunc();
                let is_v4 = matches!(net, ipnet::IpNet::V4(_));
                if self.family.is_some_and(|family| is_v4 != (family == Family::V4)) {
                    return Err(
                        word.bad("an address of the filter's version of IP", "10.9.1.0/24 or fd00::/64")
                    );
                }
                Some(vec![net])
            }
        };
        let Some(net) = net else { return Ok(()) };
        let there = match is_source {
            true => &mut self.selection.source,
            false => &mut self.selection.destination,
        };
        // Of two prefixes, one contains the other, or they are disjoint.
        let narrower = match there.as_ref().map(|there| (there[0], net[0])) {
            None => net,
            Some((there, net)) if there.contains(&net) => vec![net],
            Some((there, net)) if net.contains(&there) => vec![there],
            Some(_) => return Err(fits_none(word)),
        };
        *there = Some(narrower);
        Ok(())
    }

    fn set_ports(&mut self, word: Word<'_>, is_source: bool, (first, last): Ports) -> Result<(), Refusal> {
        let there = match is_source {
            true => &mut self.selection.source_ports,
            false => &mut self.selection.destination_ports,
        };
        let (least, most) = there.as_ref().map_or((0, u16::MAX), |there| there[0]);
        let both = (first.max(least), last.min(most));
        *there = Some(vec![both]);
        if both.0 > both.1 { Err(fits_none(word)) } else { Ok(()) }
    }

    /// Completes the filter: with an IP version, `0.0.0.0/0` is redundant.
    fn simplify(&mut self) {
        let all = Selection::of(self.family).source;
        let is_narrow = |nets: &Option<Vec<ipnet::IpNet>>| nets.is_some() && *nets != all;
        if self.selection.source == all && is_narrow(&self.selection.destination) {
            self.selection.source = None;
        }
        if self.selection.destination == all {
            self.selection.destination = None;
        }
    }
}

fn fits_none(word: Word<'_>) -> Refusal {
    word.refuse(TcError::Refused {
        what: "no packet matches all of this filter".to_owned(),
        help: "write a filter for each kind of packet",
    })
}

/// The code points that a value of the traffic class and its mask match.
fn dscp_bits(word: Word<'_>, value: u32, mask: u32) -> Result<u64, Refusal> {
    if mask > 0xff || value > 0xff {
        return Err(word.bad("a traffic class of one byte", "0xb8"));
    }
    if mask & 3 != 0 {
        return Err(word.no_counterpart(
            "with this mask it also matches the two ECN bits",
            "mask the bits of the code point only: 0xfc",
        ));
    }
    Ok((0..64_u32)
        .filter(|point| (point << 2) & mask == value & mask)
        .fold(0, |bits, point| bits | 1 << point))
}

fn matchall<'a>(mut words: Words<'a>, reading: &mut Reading<'a>) -> Result<(), Refusal> {
    while let Some(word) = words.next() {
        if !reading.common(word, &mut words)? {
            return Err(word.unknown("matchall", &["classid", "flowid"]));
        }
    }
    Ok(())
}

/// The `match` of each class, in the order of `classes`: the packets of its filters. A class without filters
/// has none.
///
/// # Errors
/// Filters of one class that a single `match` cannot express; a filter that is evaluated before another one
/// for some of the same packets, although its class comes after the other's.
pub(super) fn assign(
    text: &str,
    rules: &[Rule<'_>],
    classes: &[Handle],
) -> Result<Vec<Option<Selection>>, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let place = |rule: &Rule<'_>| classes.iter().position(|class| *class == rule.class);
    for (index, rule) in rules.iter().enumerate() {
        let earlier = rules[..index]
            .iter()
            .find(|earlier| place(earlier) > place(rule) && earlier.selection.overlaps(&rule.selection));
        if let Some(earlier) = earlier {
            refusals.push(rule.at.refuse(TcError::Order { line: line_of(text, earlier.at) }));
        }
    }
    let selections = classes.iter().map(|class| {
        let own = rules.iter().filter(|rule| rule.class == *class).collect::<Vec<_>>();
        merged(text, &own).unwrap_or_else(|refusal| {
            refusals.push(refusal);
            None
        })
    });
    let selections = selections.collect();
    if refusals.is_empty() { Ok(selections) } else { Err(refusals) }
}

/// The union of the filters' selections.
fn merged(text: &str, rules: &[&Rule<'_>]) -> Result<Option<Selection>, Refusal> {
    let mut left = rules.iter().map(|rule| (rule.at, rule.selection.clone())).collect::<Vec<_>>();
    while left.len() > 1 {
        let pairs = (0..left.len()).flat_map(|one| (one + 1..left.len()).map(move |other| (one, other)));
        let union =
            pairs.into_iter().find_map(|(one, other)| Some((one, other, left[one].1.union(&left[other].1)?)));
        let Some((one, other, union)) = union else {
            return Err(left[1].0.refuse(TcError::TwoMatches { line: line_of(text, left[0].0) }));
        };
        left[one].1 = union;
        left.remove(other);
    }
    Ok(left.pop().map(|(_, selection)| selection))
}
