//! Which character sets are expected of mail in a language (`ok_locales`).

/// Starts of character sets that mail in any language has, without punctuation, in capitals.
const ANYWHERE: [&str; 8] =
    ["ISO8859", "ISO10646", "UTF", "UCS", "CP125", "WINDOWS", "UNICODE11UTF7", "UNICODE11UTF8"];

/// Whole names of such sets.
const PLAIN: [&str; 5] = ["USASCII", "ASCII", "IBM852", "XUNKNOWN", "ISO"];

const CYRILLIC: &[&str] =
    &["KOI8R", "KOI8U", "KOI8T", "ISOIR111", "CP1251", "GEORGIANPS", "PT154", "CP866"];
const JAPANESE: &[&str] = &[
    "EUCJP",
    "JISX020119760",
    "JISX020819830",
    "JISX020819900",
    "JISX020819970",
    "JISX021219900",
    "JISX021320001",
    "JISX021320002",
    "SHIFT_JIS",
    "SHIFTJIS",
    "ISO2022JP",
    "SJIS",
    "JIS7",
    "JISX0201",
    "JISX0208",
    "JISX0212",
];
const CHINESE: &[&str] = &[
    "GB1988",
    "GB2312",
    "GB231219800",
    "GB18030",
    "GBK",
    "BIG5HKSCS",
    "BIG5",
    "EUCTW",
    "ISO2022CN",
];

/// Character sets in which letters of other scripts look like capitals, by parts of their names.
const SEEM_CAPITAL: [&str; 12] = [
    "koi",
    "jp",
    "jis",
    "euc",
    "gb",
    "big5",
    "isoir",
    "cp1251",
    "windows-1251",
    "georgianps",
    "pt154",
    "tis",
];

/// True for the name of a character set whose letters look like capitals, read as ASCII.
pub(super) fn seems_capital(charset: &str) -> bool {
    let label = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let lower = charset.to_ascii_lowercase();
    charset.bytes().all(label) && SEEM_CAPITAL.iter().any(|part| lower.contains(part))
}

/// True for a character set that mail in one of these languages may have. No language: any.
pub(super) fn expects(locales: &[String], charset: &str) -> bool {
    if locales.is_empty() {
        return true;
    }
    let name: String = charset
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_uppercase())
        .collect();
    // A quoted-printable `=` in front.
    let name = name.strip_prefix("3D").unwrap_or(&name);
    if PLAIN.contains(&name) || ANYWHERE.iter().any(|start| name.starts_with(start)) {
        return true;
    }
    locales.iter().any(|locale| {
        let sets: &[&str] = match locale.get(..2).unwrap_or_default() {
            "ja" => JAPANESE,
            "ko" => &["EUCKR", "KSC56011987"],
            "ru" | "ka" | "tg" | "be" | "uk" | "bg" => CYRILLIC,
            "th" => &["TIS620"],
            "zh" => CHINESE,
            _ => &[],
        };
        sets.contains(&name)
    })
}

/// The charset of a Content-Type, in quotes or as a word.
pub(super) fn of_content_type(field: &str) -> Option<&str> {
    let lower = field.to_ascii_lowercase();
    let found: Vec<&str> = lower
        .match_indices("charset=")
        .filter_map(|(at, name)| field.get(at + name.len()..))
        .collect();
    let quoted = |quote: char| {
        found.iter().find_map(|rest| {
            let (value, _) = rest.strip_prefix(quote)?.split_once(quote)?;
            (!value.is_empty()).then_some(value)
        })
    };
    let word = || {
        found.iter().find_map(|rest| {
            let word = rest.split(char::is_whitespace).next()?;
            (!word.is_empty()).then_some(word)
        })
    };
    quoted('"').or_else(|| quoted('\'')).or_else(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expected_sets() {
        for (locales, charset, expected) in [
            ("", "koi8-r", true),
            ("en", "koi8-r", false),
            ("en ru", "KOI8-R", true),
            ("zh_TW", "big5", true),
            ("en", "iso-8859-5", true),
            ("en", "windows-1251", true),
            ("en", "utf-8", true),
            ("en", "iso", true),
            ("ja", "iso-2022-jp", true),
            ("en", "iso-2022-jp", false),
        ] {
            let locales: Vec<String> = locales.split_whitespace().map(str::to_owned).collect();
            assert_eq!(expects(&locales, charset), expected, "{locales:?} {charset}");
        }
    }

    #[test]
    fn charsets_of_fields() {
        for (field, expected) in [
            ("text/plain; charset=\"utf-8\"", Some("utf-8")),
            ("text/plain; CHARSET='a b'", Some("a b")),
            ("text/plain; charset=big5 ; x", Some("big5")),
            ("text/plain; charset=big5; x", Some("big5;")),
            ("text/plain", None),
        ] {
            assert_eq!(of_content_type(field), expected, "{field}");
        }
    }
}
