//! `u32`: masks over the bytes of a packet.

use super::{Reading, dscp_bits};
use crate::topology::tc::error::{Refusal, TcError};
use crate::topology::tc::selection::{Family, Ports};
use crate::topology::tc::units::{count, hexadecimal};
use crate::topology::tc::words::{Word, Words};

const WORDS: &[&str] = &["match", "flowid", "classid"];
const FIELDS: &[&str] = &["src", "dst", "protocol", "sport", "dport", "tos", "dsfield"];

/// Reads the words after `u32`.
///
/// # Source
/// iproute2 6.1 `tc/f_u32.c`: values are decimal or `0x`, masks hexadecimal. `sport` and `dport` are read as
/// ports of the transport protocol, although the kernel compares the bytes at that offset without IP options.
pub(super) fn read<'a>(mut words: Words<'a>, reading: &mut Reading<'a>) -> Result<(), Refusal> {
    while let Some(word) = words.next() {
        if word.text == "match" {
            read_match(&mut words, reading)?;
        } else if !reading.common(word, &mut words)? {
            return Err(word.unknown("u32", WORDS));
        }
    }
    reading.simplify();
    Ok(())
}

fn read_match<'a>(words: &mut Words<'a>, reading: &mut Reading<'a>) -> Result<(), Refusal> {
    let layer = words.value("what to match, such as `ip`")?;
    match layer.text {
        "ip" => reading.is_of(Family::V4, layer)?,
        "ip6" => reading.is_of(Family::V6, layer)?,
        "u32" | "u16" | "u8" => return read_raw(layer, words),
        _ => {
            return Err(layer.no_counterpart(
                "it matches bytes that a `match` has no key for",
                "write match ip or match ip6 with src, dst, protocol, sport, dport or dsfield",
            ));
        }
    }
    let field = words.value("a field, such as `dport`")?;
    let is_source = matches!(field.text, "src" | "sport");
    match field.text {
        "src" | "dst" => reading.set_address(words.value("an address")?, is_source),
        "protocol" => {
            let (value, number, mask) = masked(words)?;
            match u8::try_from(number) {
                Ok(number) if mask == 0xff => reading.set_protocol(value, number),
                _ => Err(value.bad("a protocol with the mask 0xff", "17 0xff")),
            }
        }
        "sport" | "dport" => {
            let (value, number, mask) = masked(words)?;
            match ports(value, number, mask)? {
                Some(ports) => reading.set_ports(value, is_source, ports),
                None => Ok(()),
            }
        }
        "tos" | "dsfield" => {
            let (value, number, mask) = masked(words)?;
            if mask == 0 {
                return Ok(());
            }
            reading.set_dscp(value, dscp_bits(value, number, mask)?)
        }
        _ => Err(field.unknown("match", FIELDS)),
    }
}

/// A value and its mask.
fn masked<'a>(words: &mut Words<'a>) -> Result<(Word<'a>, u32, u32), Refusal> {
    let value = words.value("a value")?;
    let mask = words.value("a mask, such as `0xffff`")?;
    Ok((value, count(value)?, hexadecimal(mask)?))
}

/// The ports that a mask matches; `None` for all.
fn ports(word: Word<'_>, value: u32, mask: u32) -> Result<Option<Ports>, Refusal> {
    let (Ok(value), Ok(mask)) = (u16::try_from(value), u16::try_from(mask)) else {
        return Err(word.bad("a port of 16 bits", "5120 0xffc0"));
    };
    if mask.leading_ones() + mask.trailing_zeros() < 16 {
        return Err(word.refuse(TcError::Refused {
            what: format!("the mask {mask:#x} matches ports that do not form an interval"),
            help: "write a mask of leading ones, such as 0xffc0 for 64 ports",
        }));
    }
    let first = value & mask;
    Ok((mask != 0).then_some((first, first | !mask)))
}

/// `match u32 0 0`: every packet.
fn read_raw<'a>(layer: Word<'a>, words: &mut Words<'a>) -> Result<(), Refusal> {
    let value = words.value("a value")?;
    let mask = words.value("a mask")?;
    if words.peek().is_some_and(|word| word.text == "at") {
        words.next();
        words.value("an offset")?;
    }
    if hexadecimal(mask)? == 0 && count(value).is_ok_and(|value| value == 0) {
        return Ok(());
    }
    Err(layer.no_counterpart(
        "it matches bytes that a `match` has no key for",
        "write match ip or match ip6; `match u32 0 0` takes every packet",
    ))
}
