//! The parameters of `htb`, with the defaults of `tc`.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::ptm::buffer::Buffer;
use crate::ptm::classes::{ClassParts, check_class, class};
use crate::ptm::error::PtmError;
use crate::ptm::framing::{LinkLayer, Overhead};
use crate::ptm::parameter::optional_quantum;
use crate::units::{ByteCount, Rate, Span};

/// The maximum number of levels of classes; leaves are at level 0, the outermost inner classes at the
/// highest.
pub(super) const LEVELS: usize = 8;

/// The number of priorities: 0, the most urgent, to 7.
pub(super) const PRIORITIES: usize = 8;

/// The name of the unshaped queue.
const DIRECT: &str = "direct";

/// The parameters of `htb`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HtbSpec {
    /// The name of the leaf class that takes packets which match no other class (default: the last leaf
    /// class). `"direct"` is an unshaped FIFO that goes before all classes, as in Linux without a default
    /// class.
    #[serde(default)]
    pub default: Option<String>,
    /// The maximum backlog of all classes together (default: unlimited).
    #[serde(default)]
    pub buffer: Option<Buffer>,
    /// The maximum backlog of the unshaped queue (default: unlimited; Linux: as many packets as the device's
    /// `txqueuelen`).
    #[serde(default)]
    pub direct_buffer: Option<Buffer>,
    /// The lateness of the timer that releases a packet waiting for tokens: 20 to 45 us in the Linux kernel
    /// (default: 0 s).
    #[serde(default)]
    pub release_slack: Span,
    /// The bytes that the link adds to each packet; tokens, quanta and buffers count them (default: 0 B).
    #[serde(default)]
    pub overhead: Overhead,
    /// The minimum packet size: shorter packets count as this long (default: 0 B).
    #[serde(default)]
    pub mpu: ByteCount,
    /// How the link carries packets (default: ethernet).
    #[serde(default)]
    pub linklayer: LinkLayer,
    /// The classes; each can have inner classes.
    #[serde(default)]
    pub class: Vec<HtbClass>,
}

class! {
    /// A class of `htb`.
    pub struct HtbClass {
        /// Its name.
        name,
        /// The guaranteed rate.
        pub rate: Rate,
        /// The maximum rate with borrowing (default: `rate`).
        #[serde(default)]
        pub ceil: Option<Rate>,
        /// The burst allowed beyond `rate`, in whole microseconds at that rate and ticks of 64 ns, as `tc`
        /// passes it to the kernel (default: 1600 B plus what `rate` carries in 1 ns).
        #[serde(default)]
        pub burst: Option<ByteCount>,
        /// The burst allowed beyond `ceil` (default: 1600 B plus what `ceil` carries in 1 ns).
        #[serde(default)]
        pub cburst: Option<ByteCount>,
        /// The priority among classes of one level that may send, or borrow: the lowest number goes first (0
        /// to 7, default: 0).
        #[serde(default, deserialize_with = "priority")]
        #[schemars(range(max = 7))]
        pub prio: Option<u8>,
        /// The bytes that the class sends per round among classes of equal priority (default: a tenth of what
        /// `rate` carries in a second, from 1000 B to 200000 B).
        #[serde(default, deserialize_with = "optional_quantum")]
        #[schemars(with = "Option<ByteCount>")]
        pub quantum: Option<ByteCount>,
        /// The inner classes. Only a leaf class, without inner classes, takes packets.
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
        "{prio} is not a priority; write a number from 0, the most urgent, to 7"
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

    /// `tc` uses `rate / r2q` with an r2q of 10; the kernel limits the quantum that it computes itself.
    pub(super) fn quantum(&self) -> u64 {
        self.quantum.map_or((self.rate.as_bps() / 8 / 10).clamp(1_000, 200_000), ByteCount::get)
    }
}

/// The default of `tc` where timers have a resolution of 1 ns: its MTU of 1600 bytes, plus a tick at the
/// rate.
fn default_burst(rate: Rate) -> ByteCount {
    ByteCount::new(rate.as_bps() / 8 / 1_000_000_000 + 1_600)
}

impl HtbSpec {
    /// The maximum rate of all classes together, in bits per second; `None` if packets may pass unshaped.
    pub(in crate::ptm) fn most_bps(&self) -> Option<u64> {
        let ceilings = self.class.iter().map(|class| class.ceil.unwrap_or(class.rate).as_bps());
        (self.default.as_deref() != Some(DIRECT)).then(|| ceilings.fold(0, u64::saturating_add))
    }

    /// Whether the default is the unshaped queue.
    pub(super) fn is_direct(&self) -> bool {
        self.default.as_deref() == Some(DIRECT)
    }

    /// The leaf classes, in order.
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

    /// The leaf class for packets that match no other.
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

    /// Whether a class takes packets that match no other because `default` names it.
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
