//! Character references of HTML 4, decoded as SpamAssassin's parser decodes them.
//!
//! Comes in: text or an attribute's value. Goes out: the same with references decoded,
//! borrowed where there are none.
//! Not an error: unknown names and impossible numbers; they stay as written.
//!
//! HTML 5 has ten times as many names; decoding those would show rules another text.

use std::borrow::Cow;

use memchr::memchr;

/// Names known also without a semicolon: of ASCII.
const ASCII: [(&str, char); 5] =
    [("amp", '&'), ("lt", '<'), ("gt", '>'), ("quot", '"'), ("apos", '\'')];

/// Names known also without a semicolon: U+00A0 to U+00FF in order.
const LATIN: [&str; 96] = [
    "nbsp", "iexcl", "cent", "pound", "curren", "yen", "brvbar", "sect", "uml", "copy", "ordf",
    "laquo", "not", "shy", "reg", "macr", "deg", "plusmn", "sup2", "sup3", "acute", "micro",
    "para", "middot", "cedil", "sup1", "ordm", "raquo", "frac14", "frac12", "frac34", "iquest",
    "Agrave", "Aacute", "Acirc", "Atilde", "Auml", "Aring", "AElig", "Ccedil", "Egrave", "Eacute",
    "Ecirc", "Euml", "Igrave", "Iacute", "Icirc", "Iuml", "ETH", "Ntilde", "Ograve", "Oacute",
    "Ocirc", "Otilde", "Ouml", "times", "Oslash", "Ugrave", "Uacute", "Ucirc", "Uuml", "Yacute",
    "THORN", "szlig", "agrave", "aacute", "acirc", "atilde", "auml", "aring", "aelig", "ccedil",
    "egrave", "eacute", "ecirc", "euml", "igrave", "iacute", "icirc", "iuml", "eth", "ntilde",
    "ograve", "oacute", "ocirc", "otilde", "ouml", "divide", "oslash", "ugrave", "uacute", "ucirc",
    "uuml", "yacute", "thorn", "yuml",
];

/// Names that need their semicolon, in order.
const NAMED: [(&str, char); 152] = [
    ("Alpha", '\u{391}'),
    ("Beta", '\u{392}'),
    ("Chi", '\u{3a7}'),
    ("Dagger", '\u{2021}'),
    ("Delta", '\u{394}'),
    ("Epsilon", '\u{395}'),
    ("Eta", '\u{397}'),
    ("Gamma", '\u{393}'),
    ("Iota", '\u{399}'),
    ("Kappa", '\u{39a}'),
    ("Lambda", '\u{39b}'),
    ("Mu", '\u{39c}'),
    ("Nu", '\u{39d}'),
    ("OElig", '\u{152}'),
    ("Omega", '\u{3a9}'),
    ("Omicron", '\u{39f}'),
    ("Phi", '\u{3a6}'),
    ("Pi", '\u{3a0}'),
    ("Prime", '\u{2033}'),
    ("Psi", '\u{3a8}'),
    ("Rho", '\u{3a1}'),
    ("Scaron", '\u{160}'),
    ("Sigma", '\u{3a3}'),
    ("Tau", '\u{3a4}'),
    ("Theta", '\u{398}'),
    ("Upsilon", '\u{3a5}'),
    ("Xi", '\u{39e}'),
    ("Yuml", '\u{178}'),
    ("Zeta", '\u{396}'),
    ("alefsym", '\u{2135}'),
    ("alpha", '\u{3b1}'),
    ("and", '\u{2227}'),
    ("ang", '\u{2220}'),
    ("asymp", '\u{2248}'),
    ("bdquo", '\u{201e}'),
    ("beta", '\u{3b2}'),
    ("bull", '\u{2022}'),
    ("cap", '\u{2229}'),
    ("chi", '\u{3c7}'),
    ("circ", '\u{2c6}'),
    ("clubs", '\u{2663}'),
    ("cong", '\u{2245}'),
    ("crarr", '\u{21b5}'),
    ("cup", '\u{222a}'),
    ("dArr", '\u{21d3}'),
    ("dagger", '\u{2020}'),
    ("darr", '\u{2193}'),
    ("delta", '\u{3b4}'),
    ("diams", '\u{2666}'),
    ("empty", '\u{2205}'),
    ("emsp", '\u{2003}'),
    ("ensp", '\u{2002}'),
    ("epsilon", '\u{3b5}'),
    ("equiv", '\u{2261}'),
    ("eta", '\u{3b7}'),
    ("euro", '\u{20ac}'),
    ("exist", '\u{2203}'),
    ("fnof", '\u{192}'),
    ("forall", '\u{2200}'),
    ("frasl", '\u{2044}'),
    ("gamma", '\u{3b3}'),
    ("ge", '\u{2265}'),
    ("hArr", '\u{21d4}'),
    ("harr", '\u{2194}'),
    ("hearts", '\u{2665}'),
    ("hellip", '\u{2026}'),
    ("image", '\u{2111}'),
    ("infin", '\u{221e}'),
    ("int", '\u{222b}'),
    ("iota", '\u{3b9}'),
    ("isin", '\u{2208}'),
    ("kappa", '\u{3ba}'),
    ("lArr", '\u{21d0}'),
    ("lambda", '\u{3bb}'),
    ("lang", '\u{2329}'),
    ("larr", '\u{2190}'),
    ("lceil", '\u{2308}'),
    ("ldquo", '\u{201c}'),
    ("le", '\u{2264}'),
    ("lfloor", '\u{230a}'),
    ("lowast", '\u{2217}'),
    ("loz", '\u{25ca}'),
    ("lrm", '\u{200e}'),
    ("lsaquo", '\u{2039}'),
    ("lsquo", '\u{2018}'),
    ("mdash", '\u{2014}'),
    ("minus", '\u{2212}'),
    ("mu", '\u{3bc}'),
    ("nabla", '\u{2207}'),
    ("ndash", '\u{2013}'),
    ("ne", '\u{2260}'),
    ("ni", '\u{220b}'),
    ("notin", '\u{2209}'),
    ("nsub", '\u{2284}'),
    ("nu", '\u{3bd}'),
    ("oelig", '\u{153}'),
    ("oline", '\u{203e}'),
    ("omega", '\u{3c9}'),
    ("omicron", '\u{3bf}'),
    ("oplus", '\u{2295}'),
    ("or", '\u{2228}'),
    ("otimes", '\u{2297}'),
    ("part", '\u{2202}'),
    ("permil", '\u{2030}'),
    ("perp", '\u{22a5}'),
    ("phi", '\u{3c6}'),
    ("pi", '\u{3c0}'),
    ("piv", '\u{3d6}'),
    ("prime", '\u{2032}'),
    ("prod", '\u{220f}'),
    ("prop", '\u{221d}'),
    ("psi", '\u{3c8}'),
    ("rArr", '\u{21d2}'),
    ("radic", '\u{221a}'),
    ("rang", '\u{232a}'),
    ("rarr", '\u{2192}'),
    ("rceil", '\u{2309}'),
    ("rdquo", '\u{201d}'),
    ("real", '\u{211c}'),
    ("rfloor", '\u{230b}'),
    ("rho", '\u{3c1}'),
    ("rlm", '\u{200f}'),
    ("rsaquo", '\u{203a}'),
    ("rsquo", '\u{2019}'),
    ("sbquo", '\u{201a}'),
    ("scaron", '\u{161}'),
    ("sdot", '\u{22c5}'),
    ("sigma", '\u{3c3}'),
    ("sigmaf", '\u{3c2}'),
    ("sim", '\u{223c}'),
    ("spades", '\u{2660}'),
    ("sub", '\u{2282}'),
    ("sube", '\u{2286}'),
    ("sum", '\u{2211}'),
    ("sup", '\u{2283}'),
    ("supe", '\u{2287}'),
    ("tau", '\u{3c4}'),
    ("there4", '\u{2234}'),
    ("theta", '\u{3b8}'),
    ("thetasym", '\u{3d1}'),
    ("thinsp", '\u{2009}'),
    ("tilde", '\u{2dc}'),
    ("trade", '\u{2122}'),
    ("uArr", '\u{21d1}'),
    ("uarr", '\u{2191}'),
    ("upsih", '\u{3d2}'),
    ("upsilon", '\u{3c5}'),
    ("weierp", '\u{2118}'),
    ("xi", '\u{3be}'),
    ("zeta", '\u{3b6}'),
    ("zwj", '\u{200d}'),
    ("zwnj", '\u{200c}'),
];

/// Letters of the longest name.
const LONGEST_NAME: usize = 8;

/// Decodes the references of text, where a known name may also be the start of a longer word.
pub(super) fn decode_text(text: &str) -> Cow<'_, str> {
    decode(text, true)
}

/// Decodes the references of an attribute's value.
pub(super) fn decode_attribute(text: &str) -> Cow<'_, str> {
    decode(text, false)
}

fn decode(text: &str, prefixes: bool) -> Cow<'_, str> {
    let Some(first) = memchr(b'&', text.as_bytes()) else { return Cow::Borrowed(text) };
    let (before, mut rest) = text.split_at(first);
    let mut out = String::with_capacity(text.len());
    out.push_str(before);
    // The first half of a character in two, as UTF-16 writes it.
    let mut high = None;
    loop {
        // `rest` begins with `&`.
        let body = rest.get(1..).unwrap_or_default();
        let read = if let Some(digits) = body.strip_prefix('#') {
            number(digits, &mut high, &mut out)
        } else {
            high = None;
            name(body, prefixes)
        };
        rest = if let Some((decoded, tail)) = read {
            out.push(decoded);
            let tail = tail.strip_prefix(';').unwrap_or(tail);
            if !tail.starts_with('&') {
                high = None;
            }
            tail
        } else {
            out.push('&');
            body
        };
        let Some(next) = memchr(b'&', rest.as_bytes()) else { break };
        let (before, tail) = rest.split_at(next);
        out.push_str(before);
        rest = tail;
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Reads what follows `&#`. A pair of surrogates becomes one character, a lone one U+FFFD.
fn number<'t>(
    digits: &'t str,
    high: &mut Option<u32>,
    out: &mut String,
) -> Option<(char, &'t str)> {
    let (radix, digits) = match digits.strip_prefix(['x', 'X']) {
        Some(digits) => (16, digits),
        None => (10, digits),
    };
    let length = digits.bytes().position(|byte| !char::from(byte).is_digit(radix));
    let (digits, tail) = digits.split_at(length.unwrap_or(digits.len()));
    let value = u32::from_str_radix(digits.trim_start_matches('0'), radix).ok()?;
    let decoded = match value {
        0 | 0xFFFE | 0xFFFF | 0x11_0000.. => return None,
        0xDC00..=0xDFFF => match high.take() {
            Some(first) => {
                out.pop();
                char::from_u32(((first - 0xD800) << 10) + (value - 0xDC00) + 0x1_0000)
            }
            None => None,
        },
        0xD800..=0xDBFF => {
            *high = Some(value);
            None
        }
        0xFDD0..=0xFDEF => None,
        _ => {
            if value > 0xFF {
                *high = None;
            }
            char::from_u32(value).filter(|_| value & 0xFFFE != 0xFFFE)
        }
    };
    Some((decoded.unwrap_or(char::REPLACEMENT_CHARACTER), tail))
}

/// Reads a name; with `prefixes` the longest known name it begins with.
fn name(body: &str, prefixes: bool) -> Option<(char, &str)> {
    let length = body.bytes().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(body.len());
    let whole = body.get(..length)?;
    let tail = body.get(length..)?;
    if let Some(found) = short(whole) {
        return Some((found, tail));
    }
    if tail.starts_with(';')
        && let Ok(at) = NAMED.binary_search_by(|(known, _)| known.cmp(&whole))
    {
        return NAMED.get(at).map(|(_, found)| (*found, tail));
    }
    if !prefixes {
        return None;
    }
    (2..length.min(LONGEST_NAME + 1)).rev().find_map(|length| {
        let found = short(whole.get(..length)?)?;
        Some((found, body.get(length..)?))
    })
}

fn short(name: &str) -> Option<char> {
    if let Some((_, found)) = ASCII.iter().find(|(known, _)| *known == name) {
        return Some(*found);
    }
    let at = LATIN.iter().position(|known| *known == name)?;
    u8::try_from(at + 0xA0).ok().map(char::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, in_text: &str, in_attribute: &str) {
        assert_eq!(decode_text(text), in_text, "{text}");
        assert_eq!(decode_attribute(text), in_attribute, "{text}");
    }

    #[test]
    fn references() {
        check("a & b", "a & b", "a & b");
        check("a&amp;b&amp b", "a&b& b", "a&b& b");
        check("&eacute;&eacutec", "ééc", "é&eacutec");
        check("&notit;", "¬it;", "&notit;");
        check("&hellip;&hellip ", "…&hellip ", "…&hellip ");
        check("&#65;&#x42;&#X43 &#0;&#x110000;", "ABC &#0;&#x110000;", "ABC &#0;&#x110000;");
        check("&#150;", "\u{96}", "\u{96}");
        check("&#xD83D;&#xDE00;", "\u{1F600}", "\u{1F600}");
        check("&#xD83D;x&#xDE00;", "\u{FFFD}x\u{FFFD}", "\u{FFFD}x\u{FFFD}");
        check("&bogus;&&;&#;", "&bogus;&&;&#;", "&bogus;&&;&#;");
        check("&lang;&zwnj;&Alpha;", "\u{2329}\u{200C}\u{391}", "\u{2329}\u{200C}\u{391}");
    }

    #[test]
    fn tables_are_in_order() {
        assert!(NAMED.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!((LATIN[0], LATIN[95]), ("nbsp", "yuml"));
    }
}
