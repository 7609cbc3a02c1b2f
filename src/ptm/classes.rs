//! The classes of a classful discipline: which packet belongs to which, and the queue of each.
//!
//! All classful disciplines are written alike. A `class` takes the packets that its `match` fits; the first class
//! that fits takes the packet, a class without `match` takes everything, and what fits none goes to the last class.
//! Or there is one class per flow: `classes = "per-flow"`.
//!
//! A class is a FIFO, or a discipline of its own (`ptm`), nested at will. What may wait is bounded per class
//! (`buffer`, or that of its `ptm`) and for the port as a whole (`buffer` beside the classes); a newcomer without
//! room is dropped.

mod classifier;
mod matching;

pub use matching::{AnyOf, FlowName, Interval, Match, MatchTextError, Protocol};

pub(super) use classifier::Classifier;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::buffer::{Backlog, Buffer};
use super::discipline::{Discipline, Next};
use super::error::PtmError;
use super::fifo::FifoQueue;
use super::{Loss, Place, PtmSpec};
use crate::flow::Flows;
use crate::packet::{DropReason, Tau};
use crate::units::Time;

/// How classes are made, where they are not written one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClassesBy {
    /// A class for each flow (5-tuple), made as flows appear and removed when idle.
    PerFlow,
}

/// What every class has, in every discipline.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClassParts<'a> {
    pub name: Option<&'a str>,
    pub matched: Option<&'a Match>,
    pub buffer: Option<Buffer>,
    pub ptm: Option<&'a PtmSpec>,
}

impl ClassParts<'_> {
    /// What to call the class at `index`.
    pub fn title(&self, index: usize) -> String {
        self.name.map_or_else(|| format!("{}", index + 1), |name| format!("`{name}`"))
    }
}

/// A class as a file writes it: its [`ClassParts`].
pub(super) trait AsClass {
    fn parts(&self) -> ClassParts<'_>;
}

/// Declares a class with the keys that every class has, `name`, `match`, `buffer` and `ptm`, around those of its own
/// discipline. What the name is for differs, so that each class describes it. A flattened struct would do it without a
/// macro, but serde loses the place of a mistake in one.
macro_rules! class {
    (
        $(#[$about:meta])*
        pub struct $class:ident {
            $(#[$about_name:meta])*
            name,
            $($own:tt)*
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $class {
            $(#[$about_name])*
            #[serde(default)]
            pub name: Option<String>,
            $($own)*
            /// What belongs to it; without it, everything.
            #[serde(default, rename = "match")]
            pub matched: Option<$crate::ptm::Match>,
            /// How much may wait in it; without it, any number.
            #[serde(default)]
            pub buffer: Option<$crate::ptm::Buffer>,
            /// Its own discipline; without it, a fifo.
            #[serde(default)]
            pub ptm: Option<Box<$crate::ptm::PtmSpec>>,
        }

        impl $crate::ptm::classes::AsClass for $class {
            fn parts(&self) -> $crate::ptm::classes::ClassParts<'_> {
                $crate::ptm::classes::ClassParts {
                    name: self.name.as_deref(),
                    matched: self.matched.as_ref(),
                    buffer: self.buffer,
                    ptm: self.ptm.as_deref(),
                }
            }
        }
    };
}
pub(super) use class;

/// Whether classes hold together.
pub(super) fn check_classes<C: AsClass>(kind: &'static str, classes: &[C]) -> Result<(), PtmError> {
    if classes.is_empty() {
        return Err(PtmError::NoClasses { kind, per_flow: false });
    }
    let mut taker = None;
    let mut names = Vec::new();
    for (index, class) in classes.iter().enumerate() {
        let parts = class.parts();
        if let Some(taker) = taker {
            return Err(PtmError::Unreachable { class: parts.title(index), taker });
        }
        if parts.matched.is_none() {
            taker = Some(parts.title(index));
        }
        check_class(&parts, index, &mut names)?;
    }
    Ok(())
}

/// Whether one class holds together; its name joins `names`.
pub(super) fn check_class<'a>(
    parts: &ClassParts<'a>,
    index: usize,
    names: &mut Vec<&'a str>,
) -> Result<(), PtmError> {
    if let Some(name) = parts.name {
        if names.contains(&name) {
            return Err(PtmError::DuplicateClass(name.to_owned()));
        }
        names.push(name);
    }
    if parts.ptm.is_some() && parts.buffer.is_some() {
        return Err(PtmError::IdleKey {
            key: "buffer",
            place: format!("in the class {}, which has a `ptm`", parts.title(index)),
            help: "give the buffer to the `ptm`",
        });
    }
    Ok(())
}

/// The same for a discipline that can have a class per flow. `flow_key` is a key for such classes that is given.
pub(super) fn check_classes_or_flows<C: AsClass>(
    kind: &'static str,
    by: Option<ClassesBy>,
    flow_key: Option<&'static str>,
    classes: &[C],
) -> Result<(), PtmError> {
    match (by, flow_key) {
        (Some(ClassesBy::PerFlow), _) if classes.is_empty() => Ok(()),
        (Some(ClassesBy::PerFlow), _) => Err(PtmError::TwoKindsOfClasses { kind }),
        (None, Some(key)) => Err(PtmError::IdleKey {
            key,
            place: format!("beside the classes of `{kind}`"),
            help: "give it to each class, or write classes = \"per-flow\"",
        }),
        (None, None) if classes.is_empty() => Err(PtmError::NoClasses { kind, per_flow: true }),
        (None, None) => check_classes(kind, classes),
    }
}

/// The queue of a class.
enum ClassQueue {
    Fifo(FifoQueue),
    Nested(Box<dyn Discipline>),
}

/// Which class takes a packet.
enum Selector {
    Matches(Classifier),
    Flows(FlowClasses),
}

/// One class per flow with something to do.
struct FlowClasses {
    buffer: Option<Buffer>,
    /// The class of each flow; [`FlowClasses::NONE`] for those without.
    of_flow: Vec<u32>,
    free: Vec<u32>,
}

impl FlowClasses {
    const NONE: u32 = u32::MAX;
}

/// The classes at work: who waits in which.
pub(super) struct Classes {
    selector: Selector,
    queues: Vec<ClassQueue>,
    /// The classes with disciplines of their own, in order.
    nested: Vec<usize>,
    buffer: Option<Buffer>,
    backlog: Backlog,
}

impl Classes {
    /// Empty classes behind a shared buffer.
    pub fn new<C: AsClass>(classes: &[C], buffer: Option<Buffer>, place: &Place<'_>) -> Self {
        let parts = classes.iter().map(AsClass::parts).collect::<Vec<_>>();
        let matches = parts.iter().map(|parts| parts.matched).enumerate();
        let classifier = Classifier::new(matches, parts.len().saturating_sub(1));
        Classes::with(classifier, &parts, buffer, place)
    }

    /// Empty classes that `classifier` tells apart.
    pub fn with(
        classifier: Classifier,
        parts: &[ClassParts<'_>],
        buffer: Option<Buffer>,
        place: &Place<'_>,
    ) -> Self {
        let queue = |(index, parts): (usize, &ClassParts<'_>)| match parts.ptm {
            None => ClassQueue::Fifo(FifoQueue::new(parts.buffer)),
            Some(PtmSpec::Fifo(fifo)) => ClassQueue::Fifo(FifoQueue::new(fifo.buffer)),
            Some(ptm) => {
                let name = parts.name.map_or_else(|| (index + 1).to_string(), str::to_owned);
                let port = &format!("{} class {name}", place.port);
                ClassQueue::Nested(ptm.discipline(&Place { port, ..*place }))
            }
        };
        let queues = parts.iter().enumerate().map(queue).collect::<Vec<_>>();
        let is_nested = |class: &usize| matches!(queues[*class], ClassQueue::Nested(_));
        Classes {
            selector: Selector::Matches(classifier),
            nested: (0..queues.len()).filter(is_nested).collect(),
            queues,
            buffer,
            backlog: Backlog::default(),
        }
    }

    /// The classes of a discipline that can have one per flow, each of those with a `flow_buffer`.
    pub fn by<C: AsClass>(
        by: Option<ClassesBy>,
        classes: &[C],
        flow_buffer: Option<Buffer>,
        buffer: Option<Buffer>,
        place: &Place<'_>,
    ) -> Self {
        match by {
            Some(ClassesBy::PerFlow) => Classes::per_flow(flow_buffer, buffer),
            None => Classes::new(classes, buffer, place),
        }
    }

    /// A class per flow, each with a buffer of its own.
    fn per_flow(flow_buffer: Option<Buffer>, buffer: Option<Buffer>) -> Self {
        Classes {
            selector: Selector::Flows(FlowClasses {
                buffer: flow_buffer,
                of_flow: Vec::new(),
                free: Vec::new(),
            }),
            queues: Vec::new(),
            nested: Vec::new(),
            buffer,
            backlog: Backlog::default(),
        }
    }

    /// How many classes there are, idle ones included; it grows with a class per flow.
    #[inline]
    pub fn len(&self) -> usize {
        self.queues.len()
    }

    /// A packet joins: its class, if something waits there now.
    #[inline]
    pub fn enqueue(&mut self, tau: Tau, flows: &Flows, losses: &mut Vec<Loss>) -> Option<usize> {
        if self.buffer.is_some_and(|buffer| !buffer.admits(self.backlog, tau.packet.length)) {
            losses.push(Loss { tau, at: tau.timestamp, reason: DropReason::BufferFull });
            return None;
        }
        let (class, made) = match &mut self.selector {
            Selector::Matches(classifier) => (classifier.classify(&tau.packet, flows), false),
            Selector::Flows(_) => self.class_of_flow(tau.packet.fid),
        };
        let queue = &mut self.queues[class];
        let before = queue.backlog();
        match queue {
            ClassQueue::Fifo(queue) => queue.enqueue(tau, flows, losses),
            ClassQueue::Nested(queue) => queue.enqueue(tau, flows, losses),
        }
        self.backlog.replace(before, queue.backlog());
        if self.is_empty(class) {
            if made {
                self.release(class, tau.packet.fid);
            }
            return None;
        }
        Some(class)
    }

    /// The class that takes a packet, among classes that are written one by one.
    pub fn class_of(&mut self, tau: &Tau, flows: &Flows) -> usize {
        match &mut self.selector {
            Selector::Matches(classifier) => classifier.classify(&tau.packet, flows),
            Selector::Flows(_) => unreachable!("a class is made as its flow's packet joins"),
        }
    }

    /// Whether a class is a FIFO, and it and the port could hold a packet of `length` bytes if nothing else waited;
    /// `None` for a class with a discipline of its own.
    pub fn could_hold(&self, class: usize, length: u32) -> Option<bool> {
        let of_port = self.buffer.is_none_or(|buffer| buffer.admits(Backlog::default(), length));
        match &self.queues[class] {
            ClassQueue::Fifo(queue) => Some(of_port && queue.could_hold(length)),
            ClassQueue::Nested(_) => None,
        }
    }

    /// A packet joins a class that is a FIFO, if there is room.
    pub fn join(&mut self, class: usize, tau: Tau, losses: &mut Vec<Loss>) {
        if self.buffer.is_some_and(|buffer| !buffer.admits(self.backlog, tau.packet.length)) {
            losses.push(Loss { tau, at: tau.timestamp, reason: DropReason::BufferFull });
        } else if let ClassQueue::Fifo(queue) = &mut self.queues[class] {
            let before = queue.backlog();
            queue.join(tau, losses);
            self.backlog.replace(before, queue.backlog());
        }
    }

    /// The class of a flow, made where it has none; whether it was.
    fn class_of_flow(&mut self, fid: u32) -> (usize, bool) {
        let Selector::Flows(flows) = &mut self.selector else { unreachable!("classes are per flow") };
        let flow = fid as usize;
        if flow >= flows.of_flow.len() {
            flows.of_flow.resize(flow + 1, FlowClasses::NONE);
        }
        let made = flows.of_flow[flow] == FlowClasses::NONE;
        if made {
            flows.of_flow[flow] = flows.free.pop().unwrap_or_else(|| {
                self.queues.push(ClassQueue::Fifo(FifoQueue::new(flows.buffer)));
                u32::try_from(self.queues.len() - 1).expect("no more classes than flows")
            });
        }
        (flows.of_flow[flow] as usize, made)
    }

    /// The flow `fid` no longer needs its class, which is empty. Nothing happens to a class that is not a flow's.
    #[inline]
    pub fn release(&mut self, class: usize, fid: u32) {
        if let Selector::Flows(flows) = &mut self.selector {
            flows.of_flow[fid as usize] = FlowClasses::NONE;
            flows.free.push(class as u32);
        }
    }

    /// What goes next in a class.
    #[inline]
    pub fn next(&mut self, class: usize, now: Time, losses: &mut Vec<Loss>) -> Next {
        match &mut self.queues[class] {
            ClassQueue::Fifo(queue) => queue.next(now, losses),
            ClassQueue::Nested(queue) => {
                let before = queue.backlog();
                let next = queue.next(now, losses);
                self.backlog.replace(before, queue.backlog());
                next
            }
        }
    }

    /// Takes what goes next in a class.
    #[inline]
    pub fn dequeue(&mut self, class: usize, now: Time, losses: &mut Vec<Loss>) -> Option<Tau> {
        match &mut self.queues[class] {
            ClassQueue::Fifo(queue) => {
                let tau = queue.dequeue(now, losses)?;
                self.backlog.remove(tau.packet.length);
                Some(tau)
            }
            ClassQueue::Nested(queue) => {
                let before = queue.backlog();
                let tau = queue.dequeue(now, losses);
                self.backlog.replace(before, queue.backlog());
                tau
            }
        }
    }

    /// The classes with disciplines of their own, in order.
    pub fn nested(&self) -> &[usize] {
        &self.nested
    }

    /// The empty ones of the first `count` classes have been asked for a packet at `now`; see [`Discipline::idle`].
    #[inline]
    pub fn idle_below(&mut self, count: usize, now: Time) {
        for &class in self.nested.iter().take_while(|class| **class < count) {
            if let ClassQueue::Nested(queue) = &mut self.queues[class]
                && queue.backlog().packets() == 0
            {
                queue.idle(now);
            }
        }
    }

    /// How many packets wait in a class.
    #[inline]
    pub fn packets(&self, class: usize) -> u64 {
        self.queues[class].backlog().packets()
    }

    /// Whether nothing waits in a class.
    #[inline]
    pub fn is_empty(&self, class: usize) -> bool {
        self.packets(class) == 0
    }

    /// What waits in all of them.
    #[inline]
    pub fn backlog(&self) -> Backlog {
        self.backlog
    }

    /// Appends every packet that waits.
    pub fn waiting(&self, waiting: &mut Vec<Tau>) {
        for queue in &self.queues {
            match queue {
                ClassQueue::Fifo(queue) => queue.waiting(waiting),
                ClassQueue::Nested(queue) => queue.waiting(waiting),
            }
        }
    }
}

impl ClassQueue {
    #[inline]
    fn backlog(&self) -> Backlog {
        match self {
            ClassQueue::Fifo(queue) => queue.backlog(),
            ClassQueue::Nested(queue) => queue.backlog(),
        }
    }
}
