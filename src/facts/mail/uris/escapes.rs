//! Percent signs and character references in links.
//!
//! Comes in: the octets of a link. Goes out: the same, decoded. What is no valid escape stays.

/// True when something is percent-encoded.
pub(super) fn has_escape(uri: &[u8]) -> bool {
    memchr::memchr_iter(b'%', uri).any(|at| escape_at(uri, at).is_some())
}

fn escape_at(uri: &[u8], at: usize) -> Option<u8> {
    match uri.get(at..at + 3) {
        Some([b'%', high, low]) => octet(*high, *low),
        _ => None,
    }
}

/// The octet that two hexadecimal digits stand for.
pub(super) fn octet(high: u8, low: u8) -> Option<u8> {
    let digit = |octet: u8| char::from(octet).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some(digit(high)? * 16 + digit(low)?)
}

/// Decodes printable characters and encodes everything that must not stand in a link.
pub(super) fn unescape(uri: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(uri.len());
    let mut at = 0;
    while let Some(&octet) = uri.get(at) {
        if let Some(decoded) = escape_at(uri, at) {
            if decoded.is_ascii_graphic() {
                out.push(decoded);
            } else {
                out.extend_from_slice(uri.get(at..at + 3).unwrap_or_default());
            }
            at += 3;
            continue;
        }
        if octet.is_ascii_graphic() && !matches!(octet, b'"' | b'%' | b'<' | b'>') {
            out.push(octet);
        } else {
            out.extend_from_slice(format!("%{octet:02x}").as_bytes());
        }
        at += 1;
    }
    out
}

/// Decodes numeric references of printable characters, and dots of other alphabets: decimal
/// ones first, since these can make up others.
pub(super) fn decode_references(mut uri: Vec<u8>) -> Vec<u8> {
    for decode in [decimal, hexadecimal, dot] {
        if memchr::memmem::find(&uri, b"&#").is_none() {
            break;
        }
        uri = replace_references(&uri, decode);
    }
    uri
}

fn replace_references(uri: &[u8], decode: fn(&[u8]) -> Option<u8>) -> Vec<u8> {
    let mut out = Vec::with_capacity(uri.len());
    let mut rest = uri;
    while let Some(at) = memchr::memmem::find(rest, b"&#") {
        out.extend_from_slice(cut(rest, at));
        let inner = rest.get(at + 2..).unwrap_or_default();
        // Longer than any reference but for leading zeros.
        let length = inner.iter().position(|octet| !octet.is_ascii_alphanumeric());
        let decoded = length
            .filter(|length| inner.get(*length) == Some(&b';'))
            .and_then(|length| Some((decode(cut(inner, length))?, length)));
        if let Some((octet, length)) = decoded {
            out.push(octet);
            rest = inner.get(length + 1..).unwrap_or_default();
        } else {
            out.extend_from_slice(b"&#");
            rest = inner;
        }
    }
    out.extend_from_slice(rest);
    out
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    let end = digits.iter().position(|octet| *octet != b'0').unwrap_or(digits.len());
    let digits = std::str::from_utf8(digits.get(end..)?).ok()?;
    let plain = digits.bytes().all(|octet| octet.is_ascii_alphanumeric());
    (plain && (1..=6).contains(&digits.len())).then(|| u32::from_str_radix(digits, radix).ok())?
}

fn decimal(reference: &[u8]) -> Option<u8> {
    let code = number(reference, 10)?;
    u8::try_from(code).ok().filter(u8::is_ascii_graphic)
}

fn hexadecimal(reference: &[u8]) -> Option<u8> {
    let code = number(reference.strip_prefix(b"x")?, 16)?;
    // 2A to 2F stay as they are in the model.
    u8::try_from(code).ok().filter(|c| c.is_ascii_graphic() && !matches!(c, 0x2a..=0x2f))
}

/// The four characters that IDNA takes for a dot.
fn dot(reference: &[u8]) -> Option<u8> {
    let dots = [&b"x2e"[..], b"12290", b"x3002", b"65294", b"xff0e", b"65377", b"xff61"];
    dots.iter().any(|dot| reference.eq_ignore_ascii_case(dot)).then_some(b'.')
}

fn cut(text: &[u8], length: usize) -> &[u8] {
    text.get(..length).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_signs() {
        for (uri, expected) in [
            ("%41%2e%2F", "A./"),
            ("%20%7f%E4%0a", "%20%7f%E4%0a"),
            ("%4", "%254"),
            ("%zz", "%25zz"),
            ("<\u{fc}\">", "%3c%c3%bc%22%3e"),
        ] {
            assert_eq!(unescape(uri.as_bytes()), expected.as_bytes(), "{uri}");
        }
        assert!(has_escape(b"a%zz%41") && !has_escape(b"%4"));
    }

    #[test]
    fn references() {
        for (uri, expected) in [
            ("&#65;&#0065;&#x41;&#x0041;", "AAAA"),
            ("&#x3002;&#XFF0E;&#12290;&#x2e;", "...."),
            ("&#38;#65;", "&#65;"),
            ("&#38;#x41;", "A"),
            ("&#32;&#127;&#x2f;&#999999999999;", "&#32;&#127;&#x2f;&#999999999999;"),
            ("&#;&#x;&#65", "&#;&#x;&#65"),
            ("&#&#65;", "&#A"),
        ] {
            assert_eq!(decode_references(uri.as_bytes().to_owned()), expected.as_bytes(), "{uri}");
        }
    }
}
