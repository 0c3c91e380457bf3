//! Turns the octets of a text into UTF-8.
//!
//! Comes in: octets whose transfer encoding is undone and the declared charset, if any.
//! Goes out: text without byte order mark, borrowed when it was UTF-8 already, and what was
//! wrong with it.
//! Not an error: a wrong, missing or unknown charset. What the octets show beats what the
//! label says where the octets are clear (a byte order mark, the zeros of UTF-16).

use std::borrow::Cow;

use mail_parser::decoders::charsets::map::charset_decoder;
use memchr::memchr;

use super::DefectKind;

/// What was wrong with a text, and the remark about it.
pub(super) type Problem = Option<(DefectKind, &'static str)>;

/// Octets looked at for the zeros of unlabelled UTF-16.
const SAMPLE: usize = 64;

/// Decodes `bytes`. `unfold` says that the text is a calendar, where a fold may stand
/// inside a character.
pub(super) fn decode<'x>(
    bytes: Cow<'x, [u8]>,
    charset: Option<&str>,
    unfold: bool,
) -> (Cow<'x, str>, Problem) {
    let label = charset.unwrap_or_default();
    let label = label.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        return utf8(without(bytes, 3), unfold);
    }
    let wide = is_utf16_label(label);
    if let Some((order, mark)) = utf16_order(&bytes, wide) {
        let text = utf16(bytes.get(mark..).unwrap_or_default(), order);
        let problem = (!wide && charset.is_some())
            .then_some((DefectKind::BadCharset, "UTF-16 under another label"));
        return (Cow::Owned(text), problem);
    }
    if wide {
        if memchr(0, &bytes).is_none() && std::str::from_utf8(&bytes).is_ok() {
            let (text, _) = utf8(bytes, unfold);
            return (text, Some((DefectKind::BadCharset, "not UTF-16")));
        }
        return (Cow::Owned(utf16(&bytes, by_label(label))), None);
    }
    if label.is_empty() || is_utf8_label(label) {
        return utf8(bytes, unfold);
    }
    if is_ascii_label(label) {
        let ascii = bytes.is_ascii();
        let (text, problem) = utf8(bytes, unfold);
        let eight_bit = (DefectKind::BadCharset, "eight-bit octets under US-ASCII");
        return (text, if ascii { problem } else { Some(eight_bit) });
    }
    if bytes.is_ascii() && !shifts(label) {
        return utf8(bytes, unfold);
    }
    let Some(decoder) = charset_decoder(label.as_bytes()) else {
        let (text, _) = utf8(bytes, unfold);
        return (text, Some((DefectKind::BadCharset, "unknown charset")));
    };
    let text = decoder(&bytes);
    // Charsets that nobody decodes any more (ISO-2022-KR, HZ) come out as one replacement
    // character: a label that would hide the whole text from us.
    if text == "\u{FFFD}" && bytes.len() > 4 {
        let (text, _) = utf8(bytes, unfold);
        return (text, Some((DefectKind::BadCharset, "obsolete charset")));
    }
    (Cow::Owned(text), None)
}

/// Text that should be UTF-8.
fn utf8(bytes: Cow<'_, [u8]>, unfold: bool) -> (Cow<'_, str>, Problem) {
    let bytes = match into_text(bytes) {
        Ok(text) => return (text, None),
        Err(bytes) => bytes,
    };
    if unfold {
        // RFC 5545 §3.1: a fold may split a multi-octet character, which only unfolding
        // the octets puts together again.
        let unfolded = unfold_octets(&bytes);
        if let Ok(text) = String::from_utf8(unfolded) {
            return (Cow::Owned(text), None);
        }
    }
    let invalid = Some((DefectKind::InvalidUtf8, "not UTF-8"));
    let (mut sound, mut broken) = (0_usize, 0_usize);
    for chunk in bytes.utf8_chunks() {
        sound += usize::from(!chunk.valid().is_ascii());
        broken += usize::from(!chunk.invalid().is_empty());
    }
    // Mostly good UTF-8 with some damage keeps its good part; otherwise it never was UTF-8.
    if sound * 2 < broken {
        (Cow::Owned(western(&bytes)), invalid)
    } else {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        (Cow::Owned(text), invalid)
    }
}

/// Octets as Windows-1252, the superset of Latin-1 that senders mean.
pub(super) fn western(bytes: &[u8]) -> String {
    charset_decoder(b"windows-1252")
        .map_or_else(|| bytes.iter().copied().map(char::from).collect(), |decoder| decoder(bytes))
}

fn into_text(bytes: Cow<'_, [u8]>) -> Result<Cow<'_, str>, Cow<'_, [u8]>> {
    match bytes {
        Cow::Borrowed(bytes) => {
            std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| Cow::Borrowed(bytes))
        }
        Cow::Owned(bytes) => {
            String::from_utf8(bytes).map(Cow::Owned).map_err(|error| Cow::Owned(error.into_bytes()))
        }
    }
}

/// Removes line breaks that are followed by one space or tab, and that space or tab.
fn unfold_octets(bytes: &[u8]) -> Vec<u8> {
    let mut unfolded: Vec<u8> = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(position) = memchr(b'\n', rest) {
        let (line, after) = rest.split_at(position);
        if let [b'\n', b' ' | b'\t', tail @ ..] = after {
            unfolded.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
            rest = tail;
        } else {
            unfolded.extend_from_slice(line);
            unfolded.push(b'\n');
            rest = after.get(1..).unwrap_or_default();
        }
    }
    unfolded.extend_from_slice(rest);
    unfolded
}

fn without(bytes: Cow<'_, [u8]>, count: usize) -> Cow<'_, [u8]> {
    match bytes {
        Cow::Borrowed(bytes) => Cow::Borrowed(bytes.get(count..).unwrap_or_default()),
        Cow::Owned(mut bytes) => {
            bytes.drain(..count.min(bytes.len()));
            Cow::Owned(bytes)
        }
    }
}

/// Decodes text as `normalize_charset` of mail filters does: what is UTF-8 is UTF-8 whatever
/// the label says, then the label counts where it fits all octets, and what remains is
/// Windows-1252. A byte order mark stays. The second value is false where nothing had to be
/// decoded because all octets are ASCII.
pub fn shown<'x>(bytes: Cow<'x, [u8]>, charset: &str) -> (Cow<'x, str>, bool) {
    let label = charset.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let wide = is_utf16_label(label);
    let bytes = if bytes.is_ascii() && !wide && !shifts(label) {
        return (into_text(bytes).unwrap_or_default(), false);
    } else if bytes.is_ascii() {
        bytes
    } else {
        match into_text(bytes) {
            Ok(text) => return (text, true),
            Err(bytes) => bytes,
        }
    };
    if wide {
        if let Some((order, mark)) = utf16_order(&bytes, true) {
            let text = utf16(bytes.get(mark..).unwrap_or_default(), order);
            return (Cow::Owned(text), true);
        }
    } else if !is_utf8_label(label) && !is_ascii_label(label) && !is_western_label(label) {
        let text = charset_decoder(label.as_bytes()).map(|decoder| decoder(&bytes));
        if let Some(text) = text.filter(|text| !text.contains('\u{FFFD}')) {
            return (Cow::Owned(text), true);
        }
    }
    if bytes.is_ascii() {
        return (into_text(bytes).unwrap_or_default(), false);
    }
    // Five octets have no meaning in Windows-1252.
    let text =
        western(&bytes).replace(['\u{81}', '\u{8D}', '\u{8F}', '\u{90}', '\u{9D}'], "\u{FFFD}");
    (Cow::Owned(text), true)
}

fn is_western_label(label: &str) -> bool {
    is_any(label, &["iso-8859-1", "iso8859-1", "windows-1252", "cp1252"])
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ByteOrder {
    Little,
    Big,
}

/// Byte order of UTF-16 and length of its mark; `None` when the octets are not (or, where
/// the label says UTF-16, not clearly) UTF-16.
fn utf16_order(bytes: &[u8], labelled: bool) -> Option<(ByteOrder, usize)> {
    match bytes {
        [0xFF, 0xFE, ..] => return Some((ByteOrder::Little, 2)),
        [0xFE, 0xFF, ..] => return Some((ByteOrder::Big, 2)),
        _ => {}
    }
    let sample = bytes.get(..SAMPLE).unwrap_or(bytes);
    let (mut pairs, mut first, mut second) = (0_usize, 0_usize, 0_usize);
    for pair in sample.as_chunks::<2>().0 {
        pairs += 1;
        first += usize::from(pair[0] == 0);
        second += usize::from(pair[1] == 0);
    }
    // ASCII in UTF-16 has a zero in every pair, always on the same side.
    let needed = if labelled { 1 } else { (pairs * 3 / 4).max(2) };
    if second >= needed && first == 0 {
        Some((ByteOrder::Little, 0))
    } else if first >= needed && second == 0 {
        Some((ByteOrder::Big, 0))
    } else {
        None
    }
}

fn utf16(bytes: &[u8], order: ByteOrder) -> String {
    let pairs = bytes.as_chunks::<2>().0.iter().map(|pair| match order {
        ByteOrder::Little => u16::from_le_bytes(*pair),
        ByteOrder::Big => u16::from_be_bytes(*pair),
    });
    char::decode_utf16(pairs).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

fn by_label(label: &str) -> ByteOrder {
    if label.eq_ignore_ascii_case("utf-16be") || label.eq_ignore_ascii_case("unicodefffe") {
        ByteOrder::Big
    } else {
        ByteOrder::Little
    }
}

fn is_any(label: &str, names: &[&str]) -> bool {
    names.iter().any(|name| label.eq_ignore_ascii_case(name))
}

fn is_utf8_label(label: &str) -> bool {
    is_any(label, &["utf-8", "utf8", "unicode-1-1-utf-8"])
}

fn is_ascii_label(label: &str) -> bool {
    is_any(label, &["us-ascii", "ascii", "ansi_x3.4-1968"])
}

fn is_utf16_label(label: &str) -> bool {
    is_any(
        label,
        &[
            "utf-16",
            "utf16",
            "utf-16le",
            "utf-16be",
            "utf16le",
            "utf16be",
            "ucs-2",
            "unicode",
            "csunicode",
            "unicodefeff",
            "unicodefffe",
            "iso-10646-ucs-2",
        ],
    )
}

/// Charsets in which ASCII octets may mean something else.
fn shifts(label: &str) -> bool {
    let label = label.to_ascii_lowercase();
    ["utf-7", "utf7", "2022", "hz-"].iter().any(|part| label.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], charset: Option<&str>, expected: &str, problem: Option<DefectKind>) {
        for owned in [false, true] {
            let input = if owned { Cow::Owned(bytes.to_vec()) } else { Cow::Borrowed(bytes) };
            let (text, found) = decode(input, charset, true);
            assert_eq!(text, expected, "{bytes:?} as {charset:?}");
            assert_eq!(found.map(|(kind, _)| kind), problem, "{bytes:?} as {charset:?}");
        }
    }

    fn wide(text: &str, order: ByteOrder, mark: bool) -> Vec<u8> {
        mark.then_some('\u{FEFF}')
            .into_iter()
            .chain(text.chars())
            .collect::<String>()
            .encode_utf16()
            .flat_map(|unit| match order {
                ByteOrder::Little => unit.to_le_bytes(),
                ByteOrder::Big => unit.to_be_bytes(),
            })
            .collect()
    }

    #[test]
    fn utf_8() {
        check("Grüße".as_bytes(), None, "Grüße", None);
        check("Grüße".as_bytes(), Some("UTF-8"), "Grüße", None);
        check("Grüße".as_bytes(), Some("'utf8'"), "Grüße", None);
        check(b"\xEF\xBB\xBFx", Some("iso-8859-1"), "x", None);
        check(b"a\xC3\r\n \xBCb\r\nc", None, "aüb\r\nc", None);
        check(b"a\xC3\n\t\xBCb", Some("utf-8"), "aüb", None);
        let invalid = Some(DefectKind::InvalidUtf8);
        check(b"caf\xE9", None, "café", invalid);
        check(b"\xC3\xBC \xC3\xA4 \xFF", None, "ü ä \u{FFFD}", invalid);
        check(b"", None, "", None);
    }

    #[track_caller]
    fn check_shown(bytes: &[u8], charset: &str, expected: &str, decoded: bool) {
        let (text, was_decoded) = shown(Cow::Borrowed(bytes), charset);
        assert_eq!((&*text, was_decoded), (expected, decoded), "{bytes:?} as {charset}");
    }

    #[test]
    fn as_filters_show_it() {
        check_shown(b"plain", "iso-8859-1", "plain", false);
        check_shown(b"plain", "x-klingon", "plain", false);
        check_shown("Grüße".as_bytes(), "iso-8859-1", "Grüße", true);
        check_shown(b"\xEF\xBB\xBFx", "utf-8", "\u{FEFF}x", true);
        check_shown(b"caf\xE9", "utf-8", "café", true);
        check_shown(b"\x93x\x94\x81", "us-ascii", "“x”\u{FFFD}", true);
        check_shown(b"\xCF\xF0\xE8", "windows-1251", "При", true);
        check_shown(&wide("ab c", ByteOrder::Big, false), "utf-16", "ab c", true);
        check_shown(b"not wide", "utf-16", "not wide", false);
        check_shown(b"\x1b$B%O%m\x1b(B", "iso-2022-jp", "ハロ", true);
    }

    #[test]
    fn utf_16() {
        let bad = Some(DefectKind::BadCharset);
        for order in [ByteOrder::Little, ByteOrder::Big] {
            for mark in [false, true] {
                let bytes = wide("BEGIN:VCALENDAR\r\nü 日本", order, mark);
                let text = "BEGIN:VCALENDAR\r\nü 日本";
                check(&bytes, Some("utf-16"), text, None);
                check(&bytes, Some("UTF-16LE"), text, None);
                check(&bytes, Some("utf-16be"), text, None);
                check(&bytes, None, text, None);
                check(&bytes, Some("utf-8"), text, bad);
                check(&bytes, Some("iso-8859-1"), text, bad);
            }
        }
        check(b"BEGIN:VCALENDAR", Some("utf-16"), "BEGIN:VCALENDAR", bad);
    }

    #[test]
    fn labels() {
        let bad = Some(DefectKind::BadCharset);
        check(b"\xCF\xF0\xE8", Some("windows-1251"), "При", None);
        check(b"\xA4", Some("ISO-8859-15"), "€", None);
        check(b"\xFC", Some("latin1"), "ü", None);
        check(b"\x83n\x83\x8D", Some("shift_jis"), "ハロ", None);
        check(b"\x1b$B%O%m\x1b(B", Some("iso-2022-jp"), "ハロ", None);
        check(b"Hi +AKM-1", Some("utf-7"), "Hi £1", None);
        check("ü".as_bytes(), Some("us-ascii"), "ü", bad);
        check(b"plain", Some("us-ascii"), "plain", None);
        check("ü".as_bytes(), Some("x-klingon"), "ü", bad);
        check(b"BEGIN:VCALENDAR", Some("hz-gb-2312"), "BEGIN:VCALENDAR", bad);
        check(b"BEGIN:VCALENDAR", Some("iso-2022-kr"), "BEGIN:VCALENDAR", bad);
    }

    #[test]
    fn short_inputs_of_every_charset() {
        for label in ["big5", "gb18030", "gbk", "euc-jp", "euc-kr", "shift_jis", "iso-2022-jp"] {
            for first in 0..=255 {
                for second in [0, 0x1b, 0x41, 0x81, 0xfe, 0xff] {
                    let bytes = [first, second, first, 0xFE];
                    for length in 0..=4 {
                        decode(Cow::Borrowed(&bytes[..length]), Some(label), true);
                    }
                }
            }
        }
    }
}
