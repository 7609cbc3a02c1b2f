//! The parameters of `htb`, with the defaults of `tc`.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::ptm::buffer::Buffer;
use crate::ptm::classes::{ClassParts, check_class, class};
use crate::ptm::error::PtmError;
use crate::ptm::framing::{LinkLayer, Overhead};
use crate::ptm::parameter::optional_quantum;
use crate::units::{ByteCount, Rate, Span};

/// How many levels of classes there are at most; leaves are at level 0, the outermost inner classes at the highest.
pub(super) const LEVELS: usize = 8;

/// How many priorities there are: 0, the most urgent, to 7.
pub(super) const PRIORITIES: usize = 8;

/// The name of the queue that is not shaped.
const DIRECT: &str = "direct";

/// The parameters of `htb`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HtbSpec {
    /// The class without classes of its own that takes what fits no other (default: the last one); `"direct"` for a
    /// FIFO that is not shaped and goes before everything, as Linux does without a default class.
    #[serde(default)]
    pub default: Option<String>,
    /// How much may wait in all classes together; without it, any number.
    #[serde(default)]
    pub buffer: Option<Buffer>,
    /// How much may wait in the queue that is not shaped (default: any number; Linux: as many packets as the device's
    /// `txqueuelen`).
    #[serde(default)]
    pub direct_buffer: Option<Buffer>,
    /// How late the timer fires that releases a packet which waited for tokens: 20 to 45 us in the Linux kernel.
    #[serde(default)]
    pub release_slack: Span,
    /// What the link adds to each packet; tokens, quanta and buffers count it (default: 0 B).
    #[serde(default)]
    pub overhead: Overhead,
    /// No packet counts less than this (default: 0 B).
    #[serde(default)]
    pub mpu: ByteCount,
    /// How the link carries packets (default: ethernet).
    #[serde(default)]
    pub linklayer: LinkLayer,
    /// The classes; each can have classes of its own.
    #[serde(default)]
    pub class: Vec<HtbClass>,
}

class! {
    /// A class of `htb`.
    pub struct HtbClass {
        /// Its name.
        name,
        /// What it is sure of.
        pub rate: Rate,
        /// What it may reach by borrowing (default: `rate`).
        #[serde(default)]
        pub ceil: Option<Rate>,
        /// How much it may send at once beyond `rate`, in whole microseconds of it and ticks of 64 ns, as `tc` tells the
        /// kernel (default: 1600 B and what `rate` carries in 1 ns).
        #[serde(default)]
        pub burst: Option<ByteCount>,
        /// How much it may send at once beyond `ceil` (default: 1600 B and what `ceil` carries in 1 ns).
        #[serde(default)]
        pub cburst: Option<ByteCount>,
        /// Among classes that may send, or borrow, at one level: the lowest goes first (0 to 7, default: 0).
        #[serde(default, deserialize_with = "priority")]
        #[schemars(range(max = 7))]
        pub prio: Option<u8>,
        /// How much it sends in its turn among its equals (default: a tenth of what `rate` carries in a second, from
        /// 1000 B to 200000 B).
        #[serde(default, deserialize_with = "optional_quantum")]
        #[schemars(with = "Option<ByteCount>")]
        pub quantum: Option<ByteCount>,
        /// The classes that share it. Only a class without any takes packets.
        #[serde(default)]
        pub class: Vec<HtbClass>,
    }
}

fn priority<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
    let prio = u8::deserialize(deserializer)?;
    if usize::from(prio) < PRIORITIES {
        return Ok(Some(prio));
    }
    Err(de::Error::custom(format_args!(
        "{prio} is no priority; write a number from 0, the most urgent, to 7"
    )))
}

impl HtbClass {
    pub(super) fn ceil(&self) -> Rate {
        self.ceil.unwrap_or(self.rate)
    }

    pub(super) fn burst(&self) -> ByteCount {
        self.burst.unwrap_or_else(|| default_burst(self.rate))
    }

    pub(super) fn cburst(&self) -> ByteCount {
        self.cburst.unwrap_or_else(|| default_burst(self.ceil()))
    }

    /// `tc` asks for `rate / r2q` with an r2q of 10; the kernel keeps what it computes itself within bounds.
    pub(super) fn quantum(&self) -> u64 {
        self.quantum.map_or((self.rate.as_bps() / 8 / 10).clamp(1_000, 200_000), ByteCount::get)
    }
}

/// What `tc` computes where timers have a resolution of 1 ns: its MTU of 1600 bytes, and a tick of the rate.
fn default_burst(rate: Rate) -> ByteCount {
    ByteCount::new(rate.as_bps() / 8 / 1_000_000_000 + 1_600)
}

impl HtbSpec {
    /// What all classes together may reach, in bits per second; `None` where packets may pass unshaped.
    pub(in crate::ptm) fn most_bps(&self) -> Option<u64> {
        let ceilings = self.class.iter().map(|class| class.ceil.unwrap_or(class.rate).as_bps());
        (self.default.as_deref() != Some(DIRECT)).then(|| ceilings.fold(0, u64::saturating_add))
    }

    /// Whether the default is the queue that is not shaped.
    pub(super) fn is_direct(&self) -> bool {
        self.default.as_deref() == Some(DIRECT)
    }

    /// The classes that take packets, in order.
    pub(super) fn leaves(&self) -> Vec<&HtbClass> {
        fn walk<'a>(classes: &'a [HtbClass], leaves: &mut Vec<&'a HtbClass>) {
            for class in classes {
                if class.class.is_empty() {
                    leaves.push(class);
                } else {
                    walk(&class.class, leaves);
                }
            }
        }
        let mut leaves = Vec::new();
        walk(&self.class, &mut leaves);
        leaves
    }

    /// The leaf that takes what fits no other.
    pub(super) fn fallback(&self, leaves: &[&HtbClass]) -> Option<usize> {
        match self.default.as_deref() {
            None => leaves.len().checked_sub(1),
            Some(name) => leaves.iter().position(|leaf| leaf.name.as_deref() == Some(name)),
        }
    }

    pub(in crate::ptm) fn check(&self) -> Result<(), PtmError> {
        if self.class.is_empty() {
            return Err(PtmError::NoClasses { kind: "htb", per_flow: false });
        }
        let mut names = Vec::new();
        check_level(&self.class, 1, &mut names)?;
        let leaves = self.leaves();
        if let Some(name) = &self.default
            && !self.is_direct()
            && self.fallback(&leaves).is_none()
        {
            let known = leaves.iter().filter_map(|leaf| leaf.name.as_deref()).chain([DIRECT]);
            let help = format!("it is one of: {}", crate::config::listed(known));
            return Err(PtmError::UnknownDefault { name: name.clone(), help });
        }
        if self.direct_buffer.is_some() && !self.is_direct() {
            return Err(PtmError::IdleKey {
                key: "direct_buffer",
                place: "without default = \"direct\"".to_owned(),
                help: "leave it out",
            });
        }
        let mut taker = None;
        for (index, leaf) in leaves.iter().enumerate() {
            if let Some(taker) = taker {
                return Err(PtmError::Unreachable { class: title(leaf, index), taker });
            }
            if leaf.matched.is_none() && !self.is_named_default(leaf) {
                taker = Some(title(leaf, index));
            }
        }
        Ok(())
    }

    /// Whether a class takes what fits no other because `default` says so.
    pub(super) fn is_named_default(&self, leaf: &HtbClass) -> bool {
        self.default.is_some() && leaf.name == self.default
    }
}

fn title(class: &HtbClass, index: usize) -> String {
    use crate::ptm::classes::AsClass;
    class.parts().title(index)
}

fn check_level<'a>(classes: &'a [HtbClass], levels: usize, names: &mut Vec<&'a str>) -> Result<(), PtmError> {
    if levels > LEVELS {
        return Err(PtmError::TooDeep { levels, most: LEVELS });
    }
    for (index, class) in classes.iter().enumerate() {
        let parts: ClassParts<'a> = crate::ptm::classes::AsClass::parts(class);
        check_class(&parts, index, names)?;
        if class.class.is_empty() {
            continue;
        }
        let idle = [
            ("match", class.matched.is_some()),
            ("buffer", class.buffer.is_some()),
            ("ptm", class.ptm.is_some()),
            ("quantum", class.quantum.is_some()),
            ("prio", class.prio.is_some()),
        ];
        if let Some(&(key, _)) = idle.iter().find(|(_, given)| *given) {
            let place = format!("in the class {}, which has classes of its own", parts.title(index));
            return Err(PtmError::IdleKey { key, place, help: "give it to the classes inside" });
        }
        check_level(&class.class, levels + 1, names)?;
    }
    Ok(())
}
