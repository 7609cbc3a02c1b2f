//! The classes of a classful discipline: the assignment of packets to classes, and the queue of each class.
//!
//! All classful disciplines use the same syntax. A `class` takes the packets that meet its `match`. The first
//! matching class takes the packet; a class without `match` matches everything; a packet that matches no
//! class goes to the last one. Alternatively there is one class per flow: `classes = "per-flow"`.
//!
//! A class is a FIFO, or has its own discipline (`ptm`), nested to any depth. The backlog is bounded per
//! class (`buffer`, or that of its `ptm`) and for the whole port (`buffer` beside the classes). An arriving
//! packet without room is dropped.

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

/// How classes are created, where they are not listed one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClassesBy {
    /// A class for each flow (5-tuple), created when the flow appears and removed when idle.
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
    /// The name of the class at `index`, for messages.
    pub fn title(&self, index: usize) -> String {
        self.name.map_or_else(|| format!("{}", index + 1), |name| format!("`{name}`"))
    }
}

/// A class as written in a file: its [`ClassParts`].
pub(super) trait AsClass {
    fn parts(&self) -> ClassParts<'_>;
}

/// Declares a class with the keys that every class has, `name`, `match`, `buffer` and `ptm`, and those of its
/// own discipline. The use of the name differs, so each class documents it. A flattened struct would need no
/// macro, but serde then loses the positions of errors.
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
            /// The packets that belong to the class (default: all packets).
            #[serde(default, rename = "match")]
            pub matched: Option<$crate::ptm::Match>,
            /// The maximum backlog of the class (default: unlimited).
            #[serde(default)]
            pub buffer: Option<$crate::ptm::Buffer>,
            /// The discipline of the class (default: a fifo).
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

/// Checks that the classes are consistent.
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

/// Checks that one class is consistent; adds its name to `names`.
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

/// The same for a discipline that can have a class per flow. `flow_key` is a given key that applies to such
/// classes.
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

/// How the class of a packet is selected.
enum Selector {
    Matches(Classifier),
    Flows(FlowClasses),
}

/// One class per active flow.
struct FlowClasses {
    buffer: Option<Buffer>,
    /// The class of each flow; [`FlowClasses::NONE`] for those without.
    of_flow: Vec<u32>,
    free: Vec<u32>,
}

impl FlowClasses {
    const NONE: u32 = u32::MAX;
}

/// The classes of a running discipline, with their queues.
pub(super) struct Classes {
    selector: Selector,
    queues: Vec<ClassQueue>,
    /// The classes with their own disciplines, in order.
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

    /// Creates empty classes, selected by `classifier`.
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

    /// The classes of a discipline that can have one per flow, each with a `flow_buffer`.
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

    /// Creates a class per flow, each with its own buffer.
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

    /// The number of classes, including idle ones. With a class per flow it grows.
    #[inline]
    pub fn len(&self) -> usize {
        self.queues.len()
    }

    /// Enqueues a packet. Returns its class if packets wait there now.
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

    /// The class of a packet, among classes that are listed one by one.
    pub fn class_of(&mut self, tau: &Tau, flows: &Flows) -> usize {
        match &mut self.selector {
            Selector::Matches(classifier) => classifier.classify(&tau.packet, flows),
            Selector::Flows(_) => unreachable!("a class is made as its flow's packet joins"),
        }
    }

    /// Whether a class is a FIFO, and it and the port could hold a packet of `length` bytes if nothing else
    /// waited; `None` for a class with its own discipline.
    pub fn could_hold(&self, class: usize, length: u32) -> Option<bool> {
        let of_port = self.buffer.is_none_or(|buffer| buffer.admits(Backlog::default(), length));
        match &self.queues[class] {
            ClassQueue::Fifo(queue) => Some(of_port && queue.could_hold(length)),
            ClassQueue::Nested(_) => None,
        }
    }

    /// Enqueues a packet in a class that is a FIFO, if there is room.
    pub fn join(&mut self, class: usize, tau: Tau, losses: &mut Vec<Loss>) {
        if self.buffer.is_some_and(|buffer| !buffer.admits(self.backlog, tau.packet.length)) {
            losses.push(Loss { tau, at: tau.timestamp, reason: DropReason::BufferFull });
        } else if let ClassQueue::Fifo(queue) = &mut self.queues[class] {
            let before = queue.backlog();
            queue.join(tau, losses);
            self.backlog.replace(before, queue.backlog());
        }
    }

    /// The class of a flow, created if it has none; and whether it was created.
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

    /// Releases the class of the flow `fid`, which is empty. Does nothing for a class that does not belong to
    /// a flow.
    #[inline]
    pub fn release(&mut self, class: usize, fid: u32) {
        if let Selector::Flows(flows) = &mut self.selector {
            flows.of_flow[fid as usize] = FlowClasses::NONE;
            flows.free.push(class as u32);
        }
    }

    /// What a class would send next.
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

    /// Takes the next packet of a class.
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

    /// The classes with their own disciplines, in order.
    pub fn nested(&self) -> &[usize] {
        &self.nested
    }

    /// Calls [`Discipline::idle`] of the empty ones of the first `count` classes, which the parent has asked
    /// for a packet at `now`.
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

    /// The number of packets that wait in a class.
    #[inline]
    pub fn packets(&self, class: usize) -> u64 {
        self.queues[class].backlog().packets()
    }

    /// Whether nothing waits in a class.
    #[inline]
    pub fn is_empty(&self, class: usize) -> bool {
        self.packets(class) == 0
    }

    /// The backlog of all classes together.
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
