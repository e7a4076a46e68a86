//! Addresses: bech32, with the texts of the recorded node where one is wrong.

use sha2::{Digest, Sha256};

const CHARSET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const CHECKSUM_LEN: usize = 6;
const MODULE_LEN: usize = 20;

/// The address of these bytes.
pub(crate) fn encode(prefix: &str, bytes: &[u8]) -> String {
    let data = regroup(bytes, 8, 5);
    let check = checksum(prefix, &data);
    let letters = data.iter().chain(&check).map(|five| letter(*five));
    format!("{prefix}1{}", letters.collect::<String>())
}

/// The address of a module, such as the one that fees go to.
pub(crate) fn of_module(prefix: &str, module: &str) -> String {
    encode(prefix, &Sha256::digest(module)[..MODULE_LEN])
}

/// An address in its one right spelling, or what the node says of it.
pub(crate) fn canonical(text: &str, prefix: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("empty address string is not allowed".to_owned());
    }
    let (found, bytes) =
        decode(text).map_err(|reason| format!("decoding bech32 failed: {reason}"))?;
    if found != prefix {
        return Err(format!(
            "invalid Bech32 prefix; expected {prefix}, got {found}"
        ));
    }
    if bytes.is_empty() {
        return Err("addresses cannot be empty: unknown address".to_owned());
    }
    Ok(encode(prefix, &bytes))
}

fn decode(text: &str) -> Result<(String, Vec<u8>), String> {
    if text.len() < 8 {
        return Err(format!("invalid bech32 string length {}", text.len()));
    }
    if let Some(c) = text.chars().find(|c| !('!'..='~').contains(c)) {
        return Err(format!("invalid character in string: '{c}'"));
    }
    let lower = text.to_ascii_lowercase();
    if text != lower && text != text.to_ascii_uppercase() {
        return Err("string not all lowercase or all uppercase".to_owned());
    }
    let (prefix, letters) = match lower.rsplit_once('1') {
        Some((prefix, letters)) if !prefix.is_empty() && letters.len() >= CHECKSUM_LEN => {
            (prefix, letters)
        }
        _ => return Err("invalid index of 1".to_owned()),
    };
    let five: Vec<u8> = letters
        .bytes()
        .map(|letter| {
            (0u8..32)
                .find(|five| CHARSET[usize::from(*five)] == letter)
                .ok_or_else(|| {
                    let c = char::from(letter);
                    format!("failed converting data to bytes: invalid character not part of charset: {c}")
                })
        })
        .collect::<Result<_, _>>()?;
    let (data, check) = five.split_at(five.len() - CHECKSUM_LEN);
    let expected = checksum(prefix, data);
    if check != expected {
        let text = |five: &[u8]| five.iter().map(|five| letter(*five)).collect::<String>();
        return Err(format!(
            "checksum failed. Expected {}, got {}.",
            text(&expected),
            text(check)
        ));
    }
    Ok((prefix.to_owned(), regroup(data, 5, 8)))
}

fn letter(five: u8) -> char {
    char::from(CHARSET[usize::from(five & 31)])
}

/// Groups of `from` bits as groups of `to` bits. What is left over is filled up
/// with zeros on the way to five bits, and dropped on the way back.
fn regroup(groups: &[u8], from: u32, to: u32) -> Vec<u8> {
    let (mut held, mut bits, mut out) = (0u32, 0u32, Vec::new());
    for group in groups {
        held = (held << from) | u32::from(*group);
        bits += from;
        while bits >= to {
            bits -= to;
            out.push(((held >> bits) & ((1 << to) - 1)) as u8);
        }
        held &= (1 << bits) - 1;
    }
    if to == 5 && bits > 0 {
        out.push(((held << (to - bits)) & 31) as u8);
    }
    out
}

fn checksum(prefix: &str, data: &[u8]) -> [u8; CHECKSUM_LEN] {
    let high = prefix.bytes().map(|byte| byte >> 5);
    let low = prefix.bytes().map(|byte| byte & 31);
    let values = high
        .chain([0])
        .chain(low)
        .chain(data.iter().copied())
        .chain([0; CHECKSUM_LEN]);
    let sum = values.fold(1u32, polymod) ^ 1;
    std::array::from_fn(|at| ((sum >> (5 * (CHECKSUM_LEN - 1 - at))) & 31) as u8)
}

fn polymod(sum: u32, value: u8) -> u32 {
    const GENERATOR: [u32; 5] = [
        0x3b6a_57b2,
        0x2650_8e6d,
        0x1ea1_19fa,
        0x3d42_33dd,
        0x2a14_62b3,
    ];
    let top = sum >> 25;
    let next = ((sum & 0x01ff_ffff) << 5) ^ u32::from(value);
    (0..5)
        .filter(|bit| (top >> bit) & 1 == 1)
        .fold(next, |next, bit| next ^ GENERATOR[bit])
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEE_COLLECTOR: &str = "cosmos17xpfvakm2amg962yls6f84z3kell8c5lserqta";

    #[test]
    fn agrees_with_the_recorded_node() {
        assert_eq!(of_module("cosmos", "fee_collector"), FEE_COLLECTOR);
        assert_eq!(
            canonical(FEE_COLLECTOR, "cosmos").as_deref(),
            Ok(FEE_COLLECTOR)
        );
        assert_eq!(
            canonical(&FEE_COLLECTOR.to_uppercase(), "cosmos").as_deref(),
            Ok(FEE_COLLECTOR)
        );
    }

    #[test]
    fn says_what_is_wrong() {
        let refused = |text: &str| canonical(text, "cosmos").unwrap_err();
        assert_eq!(
            refused("cosmos1xxx"),
            "decoding bech32 failed: invalid index of 1"
        );
        assert_eq!(
            refused("cosmos17xpfvakm2amg962yls6f84z3kell8c5lserqtq"),
            "decoding bech32 failed: checksum failed. Expected serqta, got serqtq."
        );
        assert_eq!(
            refused(&of_module("osmo", "fee_collector")),
            "invalid Bech32 prefix; expected cosmos, got osmo"
        );
        assert_eq!(refused(" "), "empty address string is not allowed");
        assert!(refused("Cosmos17xpfvakm2amg").contains("not all lowercase"));
        assert!(refused("cosmos1bbbbbbbbb").contains("not part of charset: b"));
    }
}
