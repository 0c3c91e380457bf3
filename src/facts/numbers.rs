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
    /// How sure its form makes us.
    pub(super) form: Form,
}

/// What the form of a number says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing but a phone number looks like that.
    Plain,
    /// The same, dressed up: letters for digits, each digit apart, or signs between that nobody
    /// writes in a number.
    Obscured,
    /// Digits in groups; a phone number if the words around say so.
    Loose,
}

/// Most numbers looked at in one text.
const LIMIT: usize = 200;

/// Longest run of characters that is looked at as one number.
const LENGTH: usize = 48;

/// Finds phone numbers.
///
/// Plain are international numbers (`+` or `00` and 8 to 15 digits), North American ones in
/// their usual groupings, Russian ones with the trunk prefix 8, and national ones that start
/// with 0 and stand in at least two groups. Loose are other groups of 7 to 12 digits. Dates,
/// amounts, numbers inside links and long identifiers are neither.
pub(super) fn phones(text: &str) -> Vec<Phone> {
    let bytes = text.as_bytes();
    let mut found: Vec<Phone> = Vec::new();
    let mut at = 0;
    while let Some(start) = next_start(bytes, at) {
        let candidate = Candidate::read(text, start);
        at = candidate.end.max(start + 1);
        if touches_word(bytes, start, candidate.end) {
            continue;
        }
        if let Some((number, form)) = candidate.phone() {
            found.push(Phone { number, range: start..candidate.end, form });
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

/// A run of digits and what stands between them.
struct Candidate<'t> {
    text: &'t str,
    end: usize,
    digits: String,
    /// Length of each group of digits.
    groups: Vec<usize>,
    /// Letters that stand for digits.
    letters: usize,
    /// Signs that nobody writes in a number.
    odd: usize,
}

impl<'t> Candidate<'t> {
    fn read(text: &'t str, start: usize) -> Self {
        let rest = text.get(start..).unwrap_or_default();
        let bytes = rest.as_bytes();
        let mut candidate = Self {
            text: rest,
            end: start,
            digits: String::new(),
            groups: Vec::new(),
            letters: 0,
            odd: 0,
        };
        let (mut separators, mut odd) = (0, 0);
        let mut length = 0;
        for (at, c) in rest.char_indices().take(LENGTH) {
            let letter = match c {
                'O' | 'o' => Some('0'),
                'l' | 'I' => Some('1'),
                _ => None,
            };
            let digit = if c.is_ascii_digit() {
                Some(c)
            } else {
                // A letter stands for a digit only inside a number.
                letter.filter(|_| !candidate.digits.is_empty() && is_group(bytes, at, separators))
            };
            if let Some(digit) = digit {
                match candidate.groups.last_mut() {
                    Some(group) if separators == 0 => *group += 1,
                    _ => candidate.groups.push(1),
                }
                candidate.digits.push(digit);
                candidate.letters += usize::from(letter.is_some());
                candidate.odd += odd;
                (separators, odd) = (0, 0);
                length = at + c.len_utf8();
            } else if c == '+' && at > 0 && !candidate.digits.is_empty() {
                // A plus sign starts another number.
                break;
            } else if is_separator(c) || is_odd(c) {
                separators += 1;
                odd += usize::from(is_odd(c));
                if separators > 3 {
                    break;
                }
            } else {
                break;
            }
        }
        candidate.end = start + length.max(1);
        candidate.text = rest.get(..length).unwrap_or_default();
        candidate
    }

    fn phone(&self) -> Option<(String, Form)> {
        let count = self.digits.len();
        if self.letters > 3 || count < 7 {
            return None;
        }
        let each_apart = self.groups.len() == count && count >= 9;
        let dressed = self.letters > 0 || self.odd > 0 || each_apart;
        let sure = if dressed { Form::Obscured } else { Form::Plain };
        let digits = self.digits.as_str();
        if self.text.trim_start_matches('(').starts_with('+') {
            return (8..=15).contains(&count).then(|| (format!("+{digits}"), sure));
        }
        let is_card = count >= 12 && self.groups.iter().all(|group| *group == 4);
        if is_card || self.looks_like_a_date() {
            return None;
        }
        if let Some(rest) = digits.strip_prefix("00")
            && (9..=14).contains(&rest.len())
            && self.groups.first() != Some(&count)
        {
            return Some((format!("+{rest}"), sure));
        }
        if is_north_american(digits, &self.groups)
            || (each_apart && (10..=11).contains(&count))
            || (digits.starts_with('8') && RUSSIAN.contains(&self.groups.as_slice()))
        {
            return Some((digits.to_owned(), sure));
        }
        // National form: trunk prefix 0 and at least two groups.
        let national = digits.starts_with('0')
            && (9..=12).contains(&count)
            && self.groups.len() >= 2
            && self.groups.first().is_some_and(|first| *first >= 2)
            && !self.text.contains('.');
        if national {
            return Some((digits.to_owned(), sure));
        }
        let loose = (7..=12).contains(&count)
            && self.groups.len() <= 5
            && self.letters == 0
            && !self.text.contains(['.', '/', '+'])
            && self.groups.iter().all(|group| *group >= 2 || self.groups.len() > 1);
        loose.then(|| (digits.to_owned(), Form::Loose))
    }

    /// Day, month and year stand together.
    fn looks_like_a_date(&self) -> bool {
        let mut at = 0;
        let mut years = 0;
        let mut short = 0;
        for group in &self.groups {
            let digits = self.digits.get(at..at + group).unwrap_or_default();
            years += usize::from(*group == 4 && (digits.starts_with("19") || digits.starts_with("20")));
            short += usize::from(*group <= 2);
            at += group;
        }
        years > 0 && short >= 2
    }
}

/// True when nothing but digits and their stand-ins follow up to the next separator, and behind a
/// separator at least one digit: "118 I am" goes on with a word.
fn is_group(bytes: &[u8], at: usize, separators: usize) -> bool {
    let rest = bytes.get(at..).unwrap_or_default();
    let length = rest.iter().take_while(|b| b.is_ascii_alphanumeric()).take(LENGTH).count();
    let group = rest.get(..length).unwrap_or_default();
    let stands_in = |b: &u8| b.is_ascii_digit() || matches!(b, b'O' | b'o' | b'l' | b'I');
    group.iter().all(stands_in)
        && (separators == 0 && rest.len() > length || group.iter().any(u8::is_ascii_digit))
}

/// Signs that people write between the groups of a number.
fn is_separator(c: char) -> bool {
    matches!(
        c,
        ' ' | '-' | '.' | '(' | ')' | '/' | '+' | '\u{a0}' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{30fc}'
    )
}

/// Signs that hide a number from programs and not from people.
fn is_odd(c: char) -> bool {
    matches!(c, '*' | '_' | '~' | '|' | '\u{b7}' | '\u{2022}' | '\u{2219}' | '\u{30fb}' | '[' | ']' | '{' | '}')
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

/// Groupings of Russian numbers with the trunk prefix.
const RUSSIAN: [&[usize]; 3] = [&[1, 3, 3, 2, 2], &[1, 3, 3, 4], &[1, 3, 7]];

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
fn is_north_american(digits: &str, groups: &[usize]) -> bool {
    let ten = match digits.len() {
        10 => digits,
        11 if digits.starts_with('1') => digits.get(1..).unwrap_or_default(),
        _ => return false,
    };
    let plausible =
        |at: usize| ten.as_bytes().get(at).is_some_and(|byte| (b'2'..=b'9').contains(byte));
    plausible(0) && plausible(3) && GROUPINGS.contains(&groups)
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

/// Beginnings of currency words in languages that change their ends.
const STEMS: [&str; 16] = [
    "доллар", "рубл", "евро", "dolar", "dólar", "dollar", "złot", "avro", "euro", "reai", "peso",
    "franc", "franken", "крон", "koron", "rupee",
];

/// Currency words of scripts without spaces.
const WIDE: [&str; 13] = [
    "円", "元", "ドル", "美元", "欧元", "歐元", "ユーロ", "米ドル", "人民币", "港币", "日元", "英镑", "ポンド",
];

/// Beginnings of words for a million and more.
const SCALES: [&str; 13] = [
    "million", "millón", "millon", "milh", "milion", "miljo", "milyon", "миллион", "млн", "mio",
    "billion", "milliard", "mrd",
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
        let (whole, scaled) = without_scale(after);
        let code = (gap_before <= 2 && last_word_is_code(before))
            || ((gap_after <= 2 || scaled) && first_word_is_code(whole));
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
    let word: String = text.chars().take(12).take_while(|c| c.is_alphabetic()).collect();
    is_code(&word)
        // Chinese and Japanese write on without a space.
        || WIDE.iter().any(|code| word.starts_with(code))
        || text.starts_with(SIGNS)
}

/// What follows `million`, `Mio.` or 万 behind a number, and whether one of them stood there.
fn without_scale(text: &str) -> (&str, bool) {
    if let Some(rest) = text.strip_prefix(['万', '億', '亿', '千', '萬']) {
        return (rest.strip_prefix('万').unwrap_or(rest), true);
    }
    let length = text.find(|c: char| !c.is_alphabetic()).unwrap_or(text.len()).min(40);
    let word = text.get(..length).unwrap_or_default().to_lowercase();
    if !SCALES.iter().any(|scale| word.starts_with(scale)) && word != "m" && word != "k" {
        return (text, false);
    }
    let rest = text.get(length..).unwrap_or_default().trim_start_matches(['.', ' ', '\u{a0}']);
    let rest = ["de ", "di ", "d'", "d’", "of "].iter().find_map(|word| rest.strip_prefix(word)).unwrap_or(rest);
    (rest, true)
}

fn is_code(word: &str) -> bool {
    // `Rs` and `kr` are currency words, `TRY` the verb is not: codes of letters that are also
    // everyday words count in capitals only.
    let lower = word.to_lowercase();
    match lower.as_str() {
        "try" | "all" | "php" | "cop" | "tl" => word.chars().all(char::is_uppercase),
        other => CODES.contains(&other) || STEMS.iter().any(|stem| other.starts_with(stem)),
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

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let sure = phones(text).into_iter().filter(|phone| phone.form != Form::Loose);
        let numbers: Vec<String> = sure.map(|phone| phone.number).collect();
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
    fn knows_national_forms() {
        check("01 99 00 12 34", &["0199001234"]);
        check("02 555 0143", &["025550143"]);
        check("tel. 0120-555-014", &["0120555014"]);
        check("电话010-5550-0143。", &["01055500143"]);
        check("8 (495) 555-01-43", &["84955550143"]);
        check("8 800 555-01-43", &["88005550143"]);
        check("+48\u{a0}22\u{2011}555\u{2013}01 43", &["+48225550143"]);
        check("01-02-2026 10 30", &[]);
        check("0000 1234 5678", &[]);
        check("+49 30 23125 118 (INNERHALB", &["+493023125118"]);
        check("+49 30 23125 118 I am", &["+493023125118"]);
    }

    #[track_caller]
    fn check_form(text: &str, form: Option<Form>) {
        assert_eq!(phones(text).first().map(|phone| phone.form), form, "{text}");
    }

    #[test]
    fn tells_forms_apart() {
        check_form("1-888-555-0143", Some(Form::Plain));
        check_form("1-888-555-O143", Some(Form::Obscured));
        check_form("8 0 8 5 5 5 0 1 4 3", Some(Form::Obscured));
        check_form("+1*808*555*0143", Some(Form::Obscured));
        check_form("808 ~ 555 ~ 0143", Some(Form::Obscured));
        check_form("900 555 014", Some(Form::Loose));
        check_form("22 555 01 43", Some(Form::Loose));
        check_form("900555014", Some(Form::Loose));
        check_form("Meeting ID: 812 3456 7890", Some(Form::Loose));
        check_form("192.168.100.200", None);
        check_form("12 30 - 14 00 2026", None);
    }

    #[test]
    fn finds_amounts() {
        for (text, count) in [
            ("12,5 Millionen Dollar", 1),
            ("5 millones de euros", 1),
            ("8 000 000 долларов", 1),
            ("1250万美元", 1),
            ("8,500万円", 1),
            ("5 milyon avroluk", 1),
            ("4.999 TL", 1),
            ("R$ 1.899,00", 1),
            ("3 million people", 0),
            ("5 m of cable", 0),
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
