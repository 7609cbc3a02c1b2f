//! `stab`: the overhead that a link adds to each packet.

use super::error::{Refusal, TcError};
use super::script::{Qdisc, STAB_WORDS};
use super::table::Table;
use super::units::{signed, size};
use crate::units::ByteCount;

/// Sets the keys `overhead`, `mpu` and `linklayer` of a shaper.
///
/// # Source
/// iproute2 6.1 `tc/tc_stab.c` and `tc/tc_core.c` (`tc_calc_size_table`).
pub(super) fn stab(qdisc: &Qdisc<'_>, table: &mut Table) -> Result<(), Refusal> {
    let Some(mut words) = qdisc.stab.clone() else { return Ok(()) };
    let (mut mpu, mut mtu, mut slots, mut atm) = (ByteCount::ZERO, 0, 0, false);
    let mut sized = None;
    while let Some(word) = words.next() {
        let value = words.value("a value")?;
        match word.text {
            "overhead" => {
                let bytes = signed(value)?;
                if bytes.abs() > 2_048 {
                    return Err(value.bad("an overhead from -2048 to 2048 bytes", "24"));
                }
                table.set("overhead", &format!("{bytes} B"));
            }
            "mpu" => mpu = size(value)?,
            "mtu" => (mtu, sized) = (size(value)?.get(), Some(word)),
            "tsize" => (slots, sized) = (size(value)?.get(), Some(word)),
            "linklayer" => match value.text {
                "ethernet" => atm = false,
                "atm" | "adsl" => atm = true,
                _ => return Err(value.bad("a link layer", "ethernet, atm or adsl")),
            },
            _ => return Err(word.unknown("stab", STAB_WORDS)),
        }
    }
    if mpu != ByteCount::ZERO {
        table.set_size("mpu", mpu);
    }
    table.set("linklayer", &if atm { "atm" } else { "ethernet" });
    if atm || mpu != ByteCount::ZERO {
        let mtu = if mtu == 0 { 2_047 } else { mtu };
        let slots = if slots == 0 { 512 } else { slots };
        let is_default = (mtu, slots) == (2_047, 512);
        if let Some(word) = sized.filter(|_| !is_default) {
            return Err(
                word.no_counterpart("a table of lengths of another size", "leave `mtu` and `tsize` out")
            );
        }
    }
    Ok(())
}

/// Refuses `stab` without a shaper.
pub(super) fn none(qdisc: &Qdisc<'_>) -> Result<(), Refusal> {
    let Some(words) = &qdisc.stab else { return Ok(()) };
    let what = format!("`stab` at `{}` has no counterpart in taunet", qdisc.kind.text);
    let at = words.peek().unwrap_or(qdisc.kind);
    Err(at.refuse(TcError::Refused { what, help: "set it at a `tbf` or `htb` at the root" }))
}
