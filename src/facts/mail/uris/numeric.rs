//! IP addresses in the notations that browsers read: octal, hexadecimal, one number.
//!
//! Comes in: a host. Goes out: dotted decimals as the model writes them, which is not always
//! a valid address; rules know these forms.

use super::text::starts_with;

/// An IP address in dotted decimals, from any of the notations that browsers read.
pub(super) fn numeric_address(host: &[u8]) -> Option<Vec<u8>> {
    let hex = |text: &[u8]| {
        starts_with(text, b"0x") && text.len() > 2 && text.iter().skip(2).all(u8::is_ascii_hexdigit)
    };
    let digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let chunks: Vec<&[u8]> = host.split(|octet| *octet == b'.').take(5).collect();
    if chunks.len() == 4 && chunks.iter().all(|chunk| hex(chunk) || digits(chunk)) {
        let chunks: Vec<Vec<u8>> = chunks.iter().map(|chunk| decimal_chunk(chunk)).collect();
        return Some(chunks.join(&b'.'));
    }
    let number = if hex(host) {
        // Only the last 32 bits count.
        let digits = host.get(2..)?;
        let digits = digits.get(digits.len().saturating_sub(8)..)?;
        u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?
    } else if digits(host) {
        std::str::from_utf8(host).ok()?.parse().unwrap_or(u64::MAX)
    } else {
        return None;
    };
    // Of a number with more than 32 bits the first eight hexadecimal digits count.
    let digits = format!("{number:08x}");
    let first = u32::from_str_radix(digits.get(..8)?, 16).ok()?;
    Some(first.to_be_bytes().map(|octet| octet.to_string()).join(".").into_bytes())
}

/// One number of a dotted address as the model writes it: leading zeros are octal, and a zero
/// is left out.
fn decimal_chunk(chunk: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(chunk);
    if starts_with(chunk, b"0x") {
        let value = text.get(2..).and_then(|digits| u64::from_str_radix(digits, 16).ok());
        return without_zeros(value.unwrap_or(u64::MAX).to_string().as_bytes()).to_owned();
    }
    let significant = without_zeros(chunk);
    let octal = match significant {
        _ if significant.len() == chunk.len() => false,
        [b'1'..=b'3', tail @ ..] => {
            tail.len() <= 2 && tail.iter().all(|c| (b'0'..b'8').contains(c))
        }
        [b'4'..=b'7', tail @ ..] => {
            tail.len() <= 1 && tail.iter().all(|c| (b'0'..b'8').contains(c))
        }
        _ => false,
    };
    if octal {
        let value = u32::from_str_radix(&String::from_utf8_lossy(significant), 8);
        return value.unwrap_or_default().to_string().into_bytes();
    }
    significant.to_owned()
}

fn without_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|octet| **octet == b'0').count();
    digits.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notations() {
        for (host, expected) in [
            ("192.0.2.7", Some("192..2.7")),
            ("0300.0x1.02.7", Some("192.1.2.7")),
            ("0377.08.0400.0x0", Some("255.8.400.")),
            ("0xc0000207", Some("192.0.2.7")),
            ("0x12345c0000207", Some("192.0.2.7")),
            ("3221225991", Some("192.0.2.7")),
            ("4294967296", Some("16.0.0.0")),
            ("99999999999999999999999", Some("255.255.255.255")),
            ("1.2.3", None),
            ("1.2.3.4.5", None),
            ("1.2.3.x", None),
            ("0x", None),
            ("", None),
        ] {
            let address = numeric_address(host.as_bytes());
            assert_eq!(address.as_deref(), expected.map(str::as_bytes), "{host}");
        }
    }
}
