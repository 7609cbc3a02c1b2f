//! The qdiscs, classes and filters that commands create.

use std::iter::successors;

use rustc_hash::FxHashMap;

use super::error::{Refusal, TcError};
use super::units::{count, handle, handle_text};
use super::words::{Word, Words, commands};

/// The handle of a qdisc or class: major, minor.
pub(super) type Handle = (u16, u16);

/// A queueing discipline.
#[derive(Debug, Clone)]
pub(super) struct Qdisc<'a> {
    pub kind: Word<'a>,
    pub handle: Option<u16>,
    /// The class whose queue it is; `None` at the root.
    pub parent: Option<(Word<'a>, Handle)>,
    /// The word `stab` and the words after it.
    pub stab: Option<Words<'a>>,
    pub options: Words<'a>,
}

/// A class of a qdisc.
#[derive(Debug, Clone)]
pub(super) struct Class<'a> {
    pub kind: Word<'a>,
    pub id: Handle,
    pub at: Word<'a>,
    pub parent: Handle,
    pub options: Words<'a>,
}

/// A filter at a qdisc.
#[derive(Debug, Clone)]
pub(super) struct Filter<'a> {
    pub kind: Word<'a>,
    /// The qdisc; `None` for the root.
    pub parent: Option<(Word<'a>, Handle)>,
    pub protocol: Option<Word<'a>>,
    pub prio: u32,
    pub options: Words<'a>,
}

/// The objects that the commands of one device create.
#[derive(Debug, Default)]
pub(super) struct Script<'a> {
    pub qdiscs: Vec<Qdisc<'a>>,
    /// In the order of their ids, in which the kernel serves them.
    pub classes: Vec<Class<'a>>,
    /// In the order of evaluation, at each qdisc.
    pub filters: Vec<Filter<'a>>,
    /// The commands, for the comment.
    pub lines: Vec<String>,
}

impl<'a> Script<'a> {
    /// Reads the commands for `device`.
    ///
    /// # Errors
    /// Every command that is invalid or contradicts another.
    pub fn read(text: &'a str, device: Option<&str>) -> Result<Self, Vec<Refusal>> {
        let commands = commands(text)?;
        let mut devices: Vec<(&str, Word<'_>)> = Vec::new();
        for (name, word) in commands.iter().filter_map(|words| device_of(words)) {
            if devices.iter().all(|(known, _)| *known != name) {
                devices.push((name, word));
            }
        }
        let names = || devices.iter().map(|(name, _)| (*name).to_owned()).collect();
        if let (None, Some((_, second))) = (device, devices.get(1)) {
            return Err(vec![second.refuse(TcError::Devices(names()))]);
        }
        if let (Some(name), Some((_, first))) = (device, devices.first())
            && devices.iter().all(|(known, _)| *known != name)
        {
            return Err(vec![first.refuse(TcError::NoDevice { name: name.to_owned(), known: names() })]);
        }
        let mut script = Script::default();
        let mut refusals = Vec::new();
        for words in commands {
            if device.is_some() && device_of(&words).is_some_and(|(name, _)| Some(name) != device) {
                continue;
            }
            script.lines.push(words.iter().map(|word| word.text).collect::<Vec<_>>().join(" "));
            refusals.extend(script.command(text, words).err());
        }
        refusals.extend(script.too_deep());
        script.classes.sort_by_key(|class| class.id);
        script.filters.sort_by_key(|filter| filter.prio);
        if refusals.is_empty() { Ok(script) } else { Err(refusals) }
    }

    /// The first class and the first qdisc that are deeper than Linux permits: the tables that they become are
    /// read, written and dropped level by level.
    ///
    /// # Source
    /// Linux 6.1 `TC_HTB_MAXDEPTH` in `include/uapi/linux/pkt_sched.h`, `check_loop` in `net/sched/sch_api.c`.
    fn too_deep(&self) -> Vec<Refusal> {
        const DEEPEST: usize = 8;
        let refuse = |word: Word<'_>, what: &str| {
            let what = format!("{what} are nested more than {DEEPEST} deep");
            word.refuse(TcError::Refused { what, help: "Linux permits 8 levels: remove some" })
        };
        let above: FxHashMap<Handle, Handle> =
            self.classes.iter().map(|class| (class.id, class.parent)).collect();
        // A class, those that it is in, and the qdisc.
        let levels = |id: Handle| successors(Some(id), |id| above.get(id).copied()).take(DEEPEST + 2).count();
        let class = self.classes.iter().find(|class| levels(class.id) > DEEPEST + 1);
        let major = |qdisc: &Qdisc<'_>| qdisc.parent.map(|(_, (major, _))| major);
        let numbered = self.qdiscs.iter().filter_map(|qdisc| Some((qdisc.handle?, major(qdisc))));
        let above: FxHashMap<u16, Option<u16>> = numbered.collect();
        let levels = |qdisc: &Qdisc<'_>| {
            successors(major(qdisc), |major| above.get(major).copied().flatten()).take(DEEPEST).count() + 1
        };
        let qdisc = self.qdiscs.iter().find(|qdisc| levels(qdisc) > DEEPEST);
        let class = class.map(|class| refuse(class.at, "classes"));
        class.into_iter().chain(qdisc.map(|qdisc| refuse(qdisc.kind, "queueing disciplines"))).collect()
    }

    /// The index of the qdisc at the root.
    pub fn root(&self) -> Option<usize> {
        self.qdiscs.iter().position(|qdisc| qdisc.parent.is_none())
    }

    /// The index of the qdisc that is the queue of a class.
    pub fn child(&self, class: Handle) -> Option<usize> {
        self.qdiscs.iter().position(|qdisc| qdisc.parent.is_some_and(|(_, parent)| parent == class))
    }

    fn command(&mut self, text: &str, words: Vec<Word<'a>>) -> Result<(), Refusal> {
        let first = words[0];
        let mut words = Words::behind(first, words.into_iter().skip(1));
        let verb = words.value("`add` or `replace`")?;
        match (first.text, verb.text) {
            ("qdisc", "add" | "replace") => self.add_qdisc(text, words, verb.text == "replace"),
            ("class", "add" | "replace") => self.add_class(text, words, verb.text == "replace"),
            ("filter", "add") => self.add_filter(words),
            ("qdisc", "del" | "delete") if words.clone().any(|word| word.text == "root") => {
                self.forget();
                Ok(())
            }
            ("qdisc" | "class" | "filter", verb) => {
                Err(first.refuse(TcError::NotACommand(format!("{} {verb}", first.text))))
            }
            (word, _) => Err(first.refuse(TcError::NotACommand(word.to_owned()))),
        }
    }

    /// Deletes the root and everything below it.
    fn forget(&mut self) {
        self.qdiscs.clear();
        self.classes.clear();
        self.filters.clear();
        self.lines.clear();
    }

    fn add_qdisc(&mut self, text: &str, words: Words<'a>, replace: bool) -> Result<(), Refusal> {
        let (at, qdisc, number) = read_qdisc(words)?;
        let parent = qdisc.parent;
        if let Some((word, (major, _))) = parent {
            self.qdisc_with(word, major)?;
        }
        let place = parent.map(|(_, class)| class);
        let there = self.qdiscs.iter().position(|there| there.parent.map(|(_, class)| class) == place);
        match there {
            Some(_) if replace && place.is_none() => self.forget_but_last_line(),
            Some(index) if replace => self.remove(index),
            Some(index) => {
                let name = place.map_or("root".to_owned(), handle_text);
                return Err(twice(text, at, "the qdisc at", name, self.qdiscs[index].kind));
            }
            None => {}
        }
        if let (Some(word), Some(number)) = (number, qdisc.handle)
            && let Some(other) = self.qdiscs.iter().find(|other| other.handle == Some(number))
        {
            return Err(twice(text, word, "a qdisc", handle_text((number, 0)), other.kind));
        }
        self.qdiscs.push(qdisc);
        Ok(())
    }

    /// Deletes a qdisc and everything below it.
    fn remove(&mut self, index: usize) {
        let mut gone: Vec<u16> = self.qdiscs.remove(index).handle.into_iter().collect();
        while let Some(handle) = gone.pop() {
            self.classes.retain(|class| class.id.0 != handle);
            self.filters.retain(|filter| filter.parent.is_none_or(|(_, (major, _))| major != handle));
            self.qdiscs.retain(|qdisc| {
                let is_below = qdisc.parent.is_some_and(|(_, (major, _))| major == handle);
                gone.extend(qdisc.handle.filter(|_| is_below));
                !is_below
            });
        }
    }

    fn forget_but_last_line(&mut self) {
        let last = self.lines.pop();
        self.forget();
        self.lines.extend(last);
    }

    fn add_class(&mut self, text: &str, mut words: Words<'a>, replace: bool) -> Result<(), Refusal> {
        let (mut parent, mut id) = (None, None);
        let kind = loop {
            let word = words.value("a kind of class, such as `htb`")?;
            match word.text {
                "dev" => drop(words.value("a device")?),
                "root" => parent = self.root().and_then(|root| Some((word, (self.qdiscs[root].handle?, 0)))),
                "parent" => {
                    let value = words.value("a qdisc or class, such as `1:`")?;
                    parent = Some((value, handle(value)?));
                }
                "classid" => {
                    let value = words.value("an id, such as `1:10`")?;
                    id = Some((value, handle(value)?));
                }
                "estimator" | "est" => return Err(word.no_counterpart("it does not queue", "leave it out")),
                _ => break word,
            }
        };
        let required = |key| kind.refuse(TcError::Required { kind: "class add", key });
        let (parent_word, parent) = parent.ok_or_else(|| required("parent"))?;
        let (at, id) = id.ok_or_else(|| required("classid"))?;
        let qdisc = self.qdisc_with(parent_word, parent.0)?;
        if !super::QDISCS.contains(&qdisc.kind.text) {
            // The qdisc is refused, and its classes with it.
            return Ok(());
        }
        if !matches!(kind.text, "htb" | "drr") {
            let known = &["htb", "drr"];
            return Err(kind.refuse(TcError::NoKind { what: "class", kind: kind.text.to_owned(), known }));
        }
        if qdisc.kind.text != kind.text {
            let what = format!("the qdisc `{}` is `{}`", handle_text((parent.0, 0)), qdisc.kind.text);
            return Err(kind.refuse(TcError::Refused { what, help: "give the class the kind of its qdisc" }));
        }
        if id.0 != parent.0 || id.1 == 0 {
            let what = format!("`{}` is not a class of `{}`", at.text, handle_text((parent.0, 0)));
            let help = "the id of a class has the number of its qdisc before the colon, and its own after it";
            return Err(at.refuse(TcError::Refused { what, help }));
        }
        if parent.1 != 0 && self.classes.iter().all(|class| class.id != parent) {
            return Err(parent_word
                .refuse(TcError::NotDefined { what: "the class", name: parent_word.text.to_owned() }));
        }
        let class = Class { kind, id, at, parent, options: Words::behind(kind, words.rest()) };
        match self.classes.iter_mut().find(|class| class.id == id) {
            Some(there) if replace => *there = class,
            Some(there) => return Err(twice(text, at, "the class", handle_text(id), there.at)),
            None => self.classes.push(class),
        }
        Ok(())
    }

    fn add_filter(&mut self, mut words: Words<'a>) -> Result<(), Refusal> {
        let (mut parent, mut protocol, mut prio) = (None, None, None);
        let kind = loop {
            let word = words.value("a kind of filter, such as `u32`")?;
            match word.text {
                "dev" => drop(words.value("a device")?),
                "root" => parent = None,
                "parent" => {
                    let value = words.value("a qdisc, such as `1:`")?;
                    parent = Some((value, handle(value)?));
                }
                "protocol" => protocol = Some(words.value("a protocol, such as `ip`")?),
                "prio" | "pref" | "preference" | "priority" => {
                    let value = words.value("a priority, such as `1`")?;
                    prio = Some(count(value)?).filter(|prio| *prio != 0);
                }
                "handle" | "chain" | "block" | "ingress" | "egress" | "estimator" | "est" => {
                    return Err(word.no_counterpart(
                        "a filter is a `match` of a class",
                        "use `parent`, `protocol`, `prio` and one of u32, flower and matchall",
                    ));
                }
                _ => break word,
            }
        };
        if let Some((word, (major, minor))) = parent {
            self.qdisc_with(word, major)?;
            if minor != 0 {
                return Err(word.no_counterpart("a filter at a class", "attach the filter to the qdisc"));
            }
        }
        if !matches!(kind.text, "u32" | "flower" | "matchall") {
            let known = &["u32", "flower", "matchall"];
            return Err(kind.refuse(TcError::NoKind { what: "filter", kind: kind.text.to_owned(), known }));
        }
        let qdisc = parent.map(|(_, (major, _))| major);
        let prio = prio.unwrap_or_else(|| self.next_prio(qdisc));
        let same =
            |filter: &&Filter<'_>| filter.prio == prio && filter.parent.map(|(_, (major, _))| major) == qdisc;
        let text_of = |word: Option<Word<'a>>| word.map_or("all", |word| word.text);
        if let Some(other) = self.filters.iter().find(same)
            && (other.kind.text != kind.text || text_of(other.protocol) != text_of(protocol))
        {
            let what = format!(
                "the kernel accepts one kind of filter and one protocol per prio, and {prio} has others"
            );
            return Err(kind.refuse(TcError::Refused { what, help: "write another `prio`" }));
        }
        let options = Words::behind(kind, words.rest());
        self.filters.push(Filter { kind, parent, protocol, prio, options });
        Ok(())
    }

    /// The priority of a filter without one: the kernel counts down, so the last filter is first.
    ///
    /// # Source
    /// Linux 6.1 `net/sched/cls_api.c` (`tcf_auto_prio`).
    fn next_prio(&self, qdisc: Option<u16>) -> u32 {
        let here = self.filters.iter().filter(|filter| filter.parent.map(|(_, (major, _))| major) == qdisc);
        let lowest = here.map(|filter| filter.prio).filter(|prio| *prio >= 0x8000).min();
        lowest.map_or(0xc000, |lowest| lowest - 1)
    }

    fn qdisc_with(&self, word: Word<'_>, number: u16) -> Result<&Qdisc<'a>, Refusal> {
        self.qdiscs.iter().find(|qdisc| qdisc.handle == Some(number)).ok_or_else(|| {
            word.refuse(TcError::NotDefined { what: "the qdisc", name: handle_text((number, 0)) })
        })
    }
}

/// Reads the words after `qdisc add`: its position, the qdisc, and the word of its handle.
fn read_qdisc<'a>(mut words: Words<'a>) -> Result<(Word<'a>, Qdisc<'a>, Option<Word<'a>>), Refusal> {
    let (mut number, mut parent, mut root, mut stab) = (None, None, None, None);
    let kind = loop {
        let word = words.value("a kind of qdisc, such as `tbf`")?;
        match word.text {
            "dev" => drop(words.value("a device")?),
            "root" => root = Some(word),
            "handle" => {
                let value = words.value("a handle, such as `1:`")?;
                number = Some((value, handle(value)?.0)).filter(|(_, number)| *number != 0);
            }
            "parent" => {
                let value = words.value("a class, such as `1:10`")?;
                parent = Some((value, handle(value)?));
            }
            "stab" => stab = Some(Words::behind(word, stab_words(&mut words))),
            "ingress" | "clsact" => {
                return Err(
                    word.no_counterpart("it is not a queue", "leave it out: a port queues at its egress")
                );
            }
            "estimator" | "est" | "ingress_block" | "egress_block" => {
                return Err(word.no_counterpart("it does not queue", "leave it out"));
            }
            _ => break word,
        }
    };
    let Some(at) = root.or(parent.map(|(word, _)| word)) else {
        let key = "root` or `parent";
        return Err(kind.refuse(TcError::Required { kind: "qdisc add", key }));
    };
    let handle = number.map(|(_, number)| number);
    let word = number.map(|(word, _)| word);
    let options = Words::behind(kind, words.rest());
    Ok((at, Qdisc { kind, handle, parent, stab, options }, word))
}

/// The device of a command.
fn device_of<'a>(words: &[Word<'a>]) -> Option<(&'a str, Word<'a>)> {
    let at = words.iter().position(|word| word.text == "dev")?;
    words.get(at + 1).map(|word| (word.text, *word))
}

/// The words of `stab`; each has a value.
pub(super) const STAB_WORDS: &[&str] = &["overhead", "mpu", "linklayer", "mtu", "tsize"];

/// The words of `stab` and their values.
fn stab_words<'a>(words: &mut Words<'a>) -> Vec<Word<'a>> {
    let mut taken = Vec::new();
    while words.peek().is_some_and(|word| STAB_WORDS.contains(&word.text)) {
        taken.extend(words.by_ref().take(2));
    }
    taken
}

fn twice(text: &str, at: Word<'_>, what: &'static str, name: String, first: Word<'_>) -> Refusal {
    at.refuse(TcError::Twice { what, name, line: line_of(text, first) })
}

/// The line of a word, from 1.
pub(super) fn line_of(text: &str, word: Word<'_>) -> usize {
    text[..word.at].matches('\n').count() + 1
}
