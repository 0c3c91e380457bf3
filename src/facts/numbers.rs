//! Phone numbers, amounts of money and mail addresses in text.
//!
//! Own scanners for now: each is one pass over the digits or `@` signs of a text, so that
//! every invitation can afford them.

use std::ops::Range;

/// A number found in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Phone {
    /// Digits, with a leading `+` where it was written.
    pub(super) number: String,
    /// Where it stands.
    pub(super) range: Range<usize>,
}

/// Most numbers looked at in one text.
const LIMIT: usize = 200;

/// Finds phone numbers.
///
/// Accepted are international numbers (`+` or `00` and 8 to 15 digits), North American ones
/// in their usual groupings (also with letters O, o, l and I in place of 0 and 1), and
/// national ones that start with 0 and stand in at least two groups. Dates, amounts, numbers
/// inside links and long identifiers are not.
pub(super) fn phones(text: &str) -> Vec<Phone> {
    let bytes = text.as_bytes();
    let mut found: Vec<Phone> = Vec::new();
    let mut at = 0;
    while let Some(start) = next_start(bytes, at) {
        let end = candidate_end(bytes, start);
        let candidate = text.get(start..end).unwrap_or_default();
        at = end.max(start + 1);
        if touches_word(bytes, start, end) {
            continue;
        }
        if let Some(number) = read_phone(candidate) {
            found.push(Phone { number, range: start..end });
            if found.len() >= LIMIT {
                break;
            }
        }
    }
    found
}

/// Position of the next `+`, `(` or digit from which a number may run.
fn next_start(bytes: &[u8], from: usize) -> Option<usize> {
    bytes
        .iter()
        .enumerate()
        .skip(from)
        .find(|(at, byte)| {
            byte.is_ascii_digit()
                || (matches!(byte, b'+' | b'(')
                    && bytes.get(at + 1).is_some_and(|next| {
                        next.is_ascii_digit() || matches!(next, b' ' | b'(' | b'+')
                    }))
        })
        .map(|(at, _)| at)
}

/// End of the run of digits and separators; at most two separators in a row.
fn candidate_end(bytes: &[u8], start: usize) -> usize {
    let mut end = start;
    let mut digits = 0;
    let mut separators = 0;
    for (at, byte) in bytes.iter().enumerate().skip(start).take(40) {
        let is_separator = matches!(byte, b' ' | b'-' | b'.' | b'(' | b')' | b'/' | b'+');
        let stands_for_digit = matches!(byte, b'O' | b'o' | b'l' | b'I') && digits > 0;
        if byte.is_ascii_digit() || stands_for_digit {
            if stands_for_digit
                && separators == 0
                && !bytes.get(at + 1).is_some_and(|b| {
                    b.is_ascii_digit()
                        || matches!(b, b' ' | b'-' | b'.' | b'O' | b'o' | b'l' | b'I')
                })
            {
                break;
            }
            digits += 1;
            separators = 0;
            end = at + 1;
        } else if is_separator {
            // A plus sign starts another number.
            if *byte == b'+' && at > start && digits > 0 {
                break;
            }
            separators += 1;
            if separators > 3 {
                break;
            }
        } else {
            break;
        }
    }
    end.max(start + 1)
}

/// True when the run is part of a word, a link, an address or a larger number.
fn touches_word(bytes: &[u8], start: usize, end: usize) -> bool {
    let before = start.checked_sub(1).and_then(|at| bytes.get(at));
    let after = bytes.get(end);
    let glued = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'@' | b'=' | b'%' | b'&' | b'#')
    };
    before
        .is_some_and(|byte| glued(byte) || matches!(byte, b'/' | b'-' | b'.' | b',' | b':' | b'$'))
        && !before
            .is_some_and(|byte| *byte == b':' || *byte == b'-' && bytes.get(start) == Some(&b'+'))
        || after.is_some_and(glued)
}

fn read_phone(candidate: &str) -> Option<String> {
    let international = candidate.trim_start_matches('(').starts_with('+');
    let mut groups: Vec<String> = vec![String::new()];
    for c in candidate.chars() {
        let digit = match c {
            '0'..='9' => Some(c),
            'O' | 'o' => Some('0'),
            'l' | 'I' => Some('1'),
            _ => None,
        };
        match (digit, groups.last_mut()) {
            (Some(digit), Some(group)) => group.push(digit),
            (None, Some(group)) if !group.is_empty() => groups.push(String::new()),
            _ => {}
        }
    }
    groups.retain(|group| !group.is_empty());
    let digits: String = groups.concat();
    let lengths: Vec<usize> = groups.iter().map(String::len).collect();
    let count = digits.len();
    let letters = candidate.chars().filter(char::is_ascii_alphabetic).count();
    if letters > 3 || count < 7 {
        return None;
    }
    if international {
        return (8..=15).contains(&count).then(|| format!("+{digits}"));
    }
    if let Some(rest) = digits.strip_prefix("00")
        && (9..=14).contains(&rest.len())
        && lengths.first() != Some(&count)
    {
        return Some(format!("+{rest}"));
    }
    if is_north_american(&digits, &lengths) {
        return Some(digits);
    }
    // National form: trunk prefix 0 and at least two groups, none a year of a date.
    let national = digits.starts_with('0')
        && (9..=12).contains(&count)
        && lengths.len() >= 2
        && lengths.first().is_some_and(|first| *first >= 3)
        && !candidate.contains('.');
    national.then_some(digits)
}

/// Groupings of North American numbers in use.
const GROUPINGS: [&[usize]; 10] = [
    &[10],
    &[11],
    &[3, 7],
    &[3, 3, 4],
    &[1, 3, 3, 4],
    &[1, 10],
    &[1, 3, 7],
    &[3, 3, 2, 2],
    &[4, 3, 4],
    &[1, 3, 3, 2, 2],
];

/// Ten digits, or eleven with a leading 1, in a grouping people use, with an area code and an
/// exchange that may exist.
fn is_north_american(digits: &str, lengths: &[usize]) -> bool {
    let ten = match digits.len() {
        10 => digits,
        11 if digits.starts_with('1') => digits.get(1..).unwrap_or_default(),
        _ => return false,
    };
    let plausible =
        |at: usize| ten.as_bytes().get(at).is_some_and(|byte| (b'2'..=b'9').contains(byte));
    let grouping = GROUPINGS.contains(&lengths);
    plausible(0) && plausible(3) && grouping
}

/// Currency signs; each stands before or after its number.
const SIGNS: [char; 14] = ['$', '€', '£', '¥', '₹', '₽', '₺', '₩', '₿', '₴', '₦', '₫', '฿', '￥'];

/// ISO 4217 codes and everyday words that stand beside an amount.
const CODES: [&str; 62] = [
    "usd",
    "eur",
    "gbp",
    "jpy",
    "cny",
    "rmb",
    "inr",
    "rub",
    "try",
    "krw",
    "chf",
    "cad",
    "aud",
    "nzd",
    "sek",
    "nok",
    "dkk",
    "pln",
    "czk",
    "huf",
    "ron",
    "bgn",
    "brl",
    "mxn",
    "ars",
    "clp",
    "cop",
    "zar",
    "ngn",
    "kes",
    "ghs",
    "egp",
    "aed",
    "sar",
    "ils",
    "sgd",
    "hkd",
    "twd",
    "thb",
    "idr",
    "myr",
    "php",
    "vnd",
    "btc",
    "eth",
    "usdt",
    "dollar",
    "dollars",
    "euro",
    "euros",
    "pounds",
    "kr",
    "zł",
    "руб",
    "рублей",
    "лира",
    "lira",
    "tl",
    "円",
    "元",
    "rs",
    "kč",
];

/// Counts amounts of money: a number with a currency sign, code or word beside it.
pub(super) fn amounts(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) =
        bytes.iter().enumerate().skip(at).find(|(_, b)| b.is_ascii_digit()).map(|(i, _)| i)
    {
        let mut end = start;
        while bytes.get(end).is_some_and(|b| {
            b.is_ascii_digit()
                || (matches!(b, b'.' | b',' | b'\'')
                    && bytes.get(end + 1).is_some_and(u8::is_ascii_digit))
        }) {
            end += 1;
        }
        at = end;
        let before = text.get(..start).unwrap_or_default().trim_end_matches([' ', '\u{a0}']);
        let after = text.get(end..).unwrap_or_default().trim_start_matches([' ', '\u{a0}']);
        let gap_before = start - before.len();
        let gap_after = text.len() - end - after.len();
        let sign = (gap_before <= 2 && before.ends_with(SIGNS))
            || (gap_after <= 2 && after.starts_with(SIGNS));
        let code = (gap_before <= 2 && last_word_is_code(before))
            || (gap_after <= 2 && first_word_is_code(after));
        if sign || code {
            found.push(start..end);
            if found.len() >= LIMIT {
                break;
            }
        }
    }
    found
}

fn last_word_is_code(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let start = text
        .char_indices()
        .rev()
        .take(9)
        .take_while(|(_, c)| c.is_alphabetic())
        .last()
        .map(|(at, _)| at);
    start.is_some_and(|start| is_code(text.get(start..).unwrap_or_default()))
}

fn first_word_is_code(text: &str) -> bool {
    let word: String = text.chars().take(9).take_while(|c| c.is_alphabetic()).collect();
    is_code(&word)
        // Chinese and Japanese write on without a space.
        || word.starts_with(['円', '元'])
}

fn is_code(word: &str) -> bool {
    // `Rs` and `kr` are currency words, `TRY` the verb is not: codes of letters that are also
    // everyday words count in capitals only.
    let lower = word.to_lowercase();
    match lower.as_str() {
        "try" | "all" | "php" | "cop" | "tl" => word.chars().all(char::is_uppercase),
        other => CODES.contains(&other),
    }
}

/// Finds mail addresses.
pub(super) fn emails(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    for at in memchr::memchr_iter(b'@', bytes).take(LIMIT) {
        let local =
            |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+' | b'=');
        let host = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
        let start = bytes.iter().take(at).rposition(|b| !local(b)).map_or(0, |i| i + 1);
        let end =
            bytes.iter().skip(at + 1).position(|b| !host(b)).map_or(bytes.len(), |i| at + 1 + i);
        let domain = text.get(at + 1..end).unwrap_or_default().trim_end_matches(['.', '-']);
        if start < at && domain.contains('.') && !domain.starts_with('.') {
            found.extend(text.get(start..at + 1 + domain.len()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let numbers: Vec<String> = phones(text).into_iter().map(|phone| phone.number).collect();
        assert_eq!(numbers, expected, "{text}");
    }

    #[test]
    fn finds_phone_numbers() {
        check("Call +1 (202) 555-0143 now", &["+12025550143"]);
        check("Call 1-888-555-0143.", &["18885550143"]);
        check("toll free (808) 555-0143", &["8085550143"]);
        check("202.555.0143", &["2025550143"]);
        check("2025550143", &["2025550143"]);
        check("Tel: +49 30 23125 000", &["+493023125000"]);
        check("Tel 030 / 23125 0000", &["030231250000"]);
        check("+44 (0)20 7946 0123", &["+4402079460123"]);
        check("dial +1 (8O8) 555-O143", &["+18085550143"]);
        check("0044 20 7946 0123", &["+442079460123"]);
        check("a +12025550143, b +12025550199", &["+12025550143", "+12025550199"]);
    }

    #[test]
    fn leaves_other_numbers_alone() {
        for text in [
            "2026-11-21 10:00 - 11:30",
            "21.11.2026 10:00",
            "from 20261121T100000Z",
            "https://zoom.example/j/81234567890",
            "Meeting ID: 812 3456 7890",
            "192.168.100.200",
            "Order 1234567",
            "1.234.567,89",
            "ISBN 978-3-16-148410-0",
            "id=2025550143",
            "room 4",
        ] {
            check(text, &[]);
        }
    }

    #[test]
    fn finds_amounts() {
        for (text, count) in [
            ("$399.99 charged", 1),
            ("EUR 1.299,00 and 20 €", 2),
            ("599 USD", 1),
            ("Rs. 4,999", 1),
            ("5000円", 1),
            ("1 500 руб", 1),
            ("we try 5 things in 2026", 0),
            ("10:00 - 11:00, room 5", 0),
            ("5 people", 0),
        ] {
            assert_eq!(amounts(text).len(), count, "{text}");
        }
    }

    #[test]
    fn finds_addresses() {
        assert_eq!(
            emails("mail a.b@shop.example, or <c@d.example>."),
            ["a.b@shop.example", "c@d.example"]
        );
        assert!(emails("@home a@b @").is_empty());
    }
}
