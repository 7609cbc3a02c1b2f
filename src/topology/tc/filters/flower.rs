//! `flower`: fields of a packet by name.

use super::{Reading, dscp_bits, fits_none};
use crate::topology::tc::error::{Refusal, TcError};
use crate::topology::tc::units::{count, hexadecimal};
use crate::topology::tc::words::{Word, Words};

const WORDS: &[&str] =
    &["ip_proto", "src_ip", "dst_ip", "src_port", "dst_port", "ip_tos", "classid", "flowid"];

/// Reads the words after `flower`.
///
/// # Source
/// iproute2 6.1 `tc/f_flower.c` and tc-flower(8): numbers of protocols are hexadecimal.
pub(super) fn read<'a>(mut words: Words<'a>, reading: &mut Reading<'a>) -> Result<(), Refusal> {
    let mut ports = None;
    while let Some(word) = words.next() {
        if reading.common(word, &mut words)? {
            continue;
        }
        if WORDS.contains(&word.text) && reading.family.is_none() {
            return Err(word.refuse(TcError::Refused {
                what: format!("`{}` needs the filter's protocol", word.text),
                help: "write `protocol ip` or `protocol ipv6` before flower",
            }));
        }
        let is_source = word.text.starts_with("src");
        match word.text {
            "ip_proto" => {
                let value = words.value("a protocol, such as `udp`")?;
                reading.set_protocol(value, protocol(value)?)?;
            }
            "src_ip" | "dst_ip" => reading.set_address(words.value("an address")?, is_source)?,
            "src_port" | "dst_port" => {
                let value = words.value("a port")?;
                let (first, last) = value.text.split_once('-').unwrap_or((value.text, value.text));
                let (Ok(first), Ok(last)) = (first.parse(), last.parse()) else {
                    return Err(value.bad("a port or an interval of ports", "80 or 5000-5999"));
                };
                if first > last {
                    return Err(fits_none(value));
                }
                ports = Some(word);
                reading.set_ports(value, is_source, (first, last))?;
            }
            "ip_tos" => {
                let value = words.value("a traffic class, such as `0xb8/0xfc`")?;
                let (number, mask) = value.text.split_once('/').unwrap_or((value.text, "ff"));
                let part = |text| Word { text, at: value.at };
                let number = count(part(number)).or_else(|_| hexadecimal(part(number)))?;
                reading.set_dscp(value, dscp_bits(value, number, hexadecimal(part(mask))?)?)?;
            }
            _ => return Err(word.unknown("flower", WORDS)),
        }
    }
    if let (Some(word), None) = (ports, &reading.selection.protocol) {
        return Err(word.refuse(TcError::Required { kind: "flower", key: "ip_proto" }));
    }
    reading.simplify();
    Ok(())
}

fn protocol(word: Word<'_>) -> Result<u8, Refusal> {
    Ok(match word.text {
        "tcp" => 6,
        "udp" => 17,
        "sctp" => 132,
        "icmp" => 1,
        "icmpv6" => 58,
        _ => u8::try_from(hexadecimal(word)?)
            .map_err(|_| word.bad("a protocol", "udp, or 11 in hexadecimal"))?,
    })
}
