//! Normalises text so that a rule meets the same words however they are dressed up.
//!
//! Comes in: text as a calendar shows it. Goes out: NFKC, without zero-width, bidi and tag
//! characters, with look-alike letters of other scripts folded in words that mix scripts, and
//! the counts of what was removed or folded. Text that is plain ASCII is borrowed.
//!
//! The same function runs over word lists when they are loaded, so both sides agree.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use unicode_script::{Script, UnicodeScript};

/// What a text hides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Disguise {
    /// Zero-width and bidi characters inside words of scripts that have no use for them.
    pub invisibles: usize,
    /// Tag characters, variation selector supplements and invisible operators.
    pub tag_characters: usize,
    /// Words with look-alike letters of another script, or in small capitals or
    /// mathematical letters.
    pub confusables: usize,
}

/// Normalises a text and counts its disguises.
pub fn normalise(text: &str) -> (Cow<'_, str>, Disguise) {
    if text.is_ascii() {
        return (Cow::Borrowed(text), Disguise::default());
    }
    let (invisibles, tag_characters) = count_invisibles(text);
    let mut disguise = Disguise { invisibles, tag_characters, confusables: 0 };
    if is_plain_latin(text) || is_plain_foreign(text) {
        return (Cow::Borrowed(text), disguise);
    }
    let (cleaned, confusables) = clean(text);
    disguise.confusables = confusables;
    (Cow::Owned(cleaned), disguise)
}

/// The whole way: without what shows nothing, in one form of each letter, look-alikes folded.
/// Returns the number of disguised words, too.
fn clean(text: &str) -> (String, usize) {
    let styled = count_styled_words(text);
    let cleaned: String = text
        .chars()
        .filter(|c| !is_invisible(*c) && !is_tag_character(*c))
        .map(small_capital)
        .nfkc()
        .collect();
    let (folded, mixed) = fold_mixed_words(&cleaned);
    (folded, styled + mixed)
}

/// True when every letter is ASCII or Latin-1 in composed form: nothing to normalise. Most
/// western mail ends here.
fn is_plain_latin(text: &str) -> bool {
    text.chars().all(|c| {
        c.is_ascii()
            || matches!(c, '\u{c0}'..='\u{17f}' | '\u{2013}'..='\u{201e}' | '\u{20ac}' | '§' | '°' | '·' | '•')
    })
}

/// True when there is no letter of ASCII, so that no word mixes scripts, and all letters have one
/// form only: most words of lists in other scripts end here.
fn is_plain_foreign(text: &str) -> bool {
    text.chars().all(|c| match c {
        '\0'..='\u{7f}' => !c.is_ascii_alphabetic(),
        // Greek, Cyrillic, Hebrew, Arabic, kana, Chinese, Hangul, without marks to combine.
        '\u{3ac}'..='\u{3ce}'
        | '\u{400}'..='\u{45f}'
        | '\u{5d0}'..='\u{5ea}'
        | '\u{621}'..='\u{63a}'
        | '\u{641}'..='\u{64a}'
        | '\u{3041}'..='\u{3094}'
        | '\u{30a1}'..='\u{30fa}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7a3}' => true,
        _ => false,
    })
}

/// Characters that show nothing. The soft hyphen is in: it is legal typography, so it is
/// removed, but never counted.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{206a}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
    )
}

/// Tag characters and the like: invisible and of no use in text.
fn is_tag_character(c: char) -> bool {
    matches!(c, '\u{e0000}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}' | '\u{2062}' | '\u{2064}')
}

/// Scripts whose words have no use for joiners or direction marks inside.
fn is_western(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || (c.is_alphanumeric()
            && matches!(c.script(), Script::Latin | Script::Cyrillic | Script::Greek))
}

fn count_invisibles(text: &str) -> (usize, usize) {
    let mut inside_words = 0;
    let mut tags = 0;
    let mut previous = None;
    let mut pending = 0;
    let mut in_flag = false;
    for c in text.chars() {
        if is_tag_character(c) {
            // England, Scotland and Wales are a black flag followed by tag characters.
            if !in_flag {
                tags += 1;
            }
            continue;
        }
        in_flag = c == '\u{1f3f4}';
        if is_invisible(c) {
            if c != '\u{ad}' && !matches!(c, '\u{fe00}'..='\u{fe0f}') {
                pending += 1;
            }
            continue;
        }
        if pending > 0 {
            if previous.is_some_and(is_western) && is_western(c) {
                inside_words += pending;
            }
            pending = 0;
        }
        previous = Some(c);
    }
    (inside_words, tags)
}

/// Words written in mathematical, circled or small capital letters: no language does that.
fn count_styled_words(text: &str) -> usize {
    text.split(|c: char| c.is_whitespace())
        .filter(|word| {
            word.chars()
                .filter(|c| {
                    matches!(*c, '\u{1d400}'..='\u{1d7ff}' | '\u{24b6}'..='\u{24e9}' | '\u{1f110}'..='\u{1f189}')
                        || small_capital(*c) != *c
                })
                .count()
                >= 2
        })
        .count()
}

/// Small capitals of the phonetic alphabets, which NFKC keeps.
fn small_capital(c: char) -> char {
    match c {
        'ᴀ' => 'a',
        'ʙ' => 'b',
        'ᴄ' => 'c',
        'ᴅ' => 'd',
        'ᴇ' => 'e',
        'ꜰ' => 'f',
        'ɢ' => 'g',
        'ʜ' => 'h',
        'ɪ' => 'i',
        'ᴊ' => 'j',
        'ᴋ' => 'k',
        'ʟ' => 'l',
        'ᴍ' => 'm',
        'ɴ' => 'n',
        'ᴏ' => 'o',
        'ᴘ' => 'p',
        'ꞯ' => 'q',
        'ʀ' => 'r',
        'ꜱ' => 's',
        'ᴛ' => 't',
        'ᴜ' => 'u',
        'ᴠ' => 'v',
        'ᴡ' => 'w',
        'ʏ' => 'y',
        'ᴢ' => 'z',
        other => other,
    }
}

/// The Latin letter a letter of another script looks like (UTS #39 confusables).
fn latin_twin(c: char) -> Option<char> {
    let mut buffer = [0_u8; 4];
    let mut skeleton = unicode_security::skeleton(c.encode_utf8(&mut buffer));
    let first = skeleton.next()?;
    if skeleton.next().is_some() || !first.is_ascii_alphabetic() {
        // The tables leave out the capitals that differ only in style.
        return match c {
            'В' => Some('B'),
            'К' | 'Κ' => Some('K'),
            'М' | 'Μ' => Some('M'),
            'Н' | 'Η' => Some('H'),
            'Т' | 'Τ' => Some('T'),
            'к' => Some('k'),
            'т' | 'τ' => Some('t'),
            _ => None,
        };
    }
    // Case is kept as a reader sees it: the skeleton of `І` is `l`.
    Some(if c.is_uppercase() && first == 'l' { 'I' } else { first })
}

fn is_lookalike_script(c: char) -> bool {
    matches!(
        c.script(),
        Script::Cyrillic | Script::Greek | Script::Armenian | Script::Cherokee | Script::Coptic
    )
}

/// Folds look-alikes in words that mix Latin with another script, and in words made of
/// look-alikes only where no other word of the text is in that script. Returns the text and
/// the number of folded words.
fn fold_mixed_words(text: &str) -> (String, usize) {
    if !text.chars().any(is_lookalike_script) {
        return (text.to_owned(), 0);
    }
    let has_latin = text.chars().any(|c| c.is_ascii_alphabetic());
    // A word with a letter that looks like no Latin one shows that the script is meant.
    let script_is_meant = words(text).any(|word| {
        word.chars().any(is_lookalike_script)
            && !word.chars().any(|c| c.is_ascii_alphabetic())
            && word.chars().any(|c| is_lookalike_script(c) && latin_twin(c).is_none())
    });
    let mut out = String::with_capacity(text.len());
    let mut folded = 0;
    let mut rest = text;
    while let Some(start) = rest.find(char::is_alphanumeric) {
        let (before, from_word) = rest.split_at(start);
        out.push_str(before);
        let end = from_word.find(|c: char| !c.is_alphanumeric()).unwrap_or(from_word.len());
        let (word, after) = from_word.split_at(end);
        rest = after;
        let foreign = word.chars().filter(|c| is_lookalike_script(*c)).count();
        let latin = word.chars().any(|c| c.is_ascii_alphabetic());
        let twins = word.chars().filter(|c| is_lookalike_script(*c) && latin_twin(*c).is_some());
        let mixed = foreign > 0 && latin && twins.clone().count() > 0;
        let imitation =
            foreign >= 3 && !latin && has_latin && !script_is_meant && twins.count() == foreign;
        if mixed || imitation {
            folded += 1;
            out.extend(
                word.chars()
                    .map(|c| if is_lookalike_script(c) { latin_twin(c).unwrap_or(c) } else { c }),
            );
        } else {
            out.push_str(word);
        }
    }
    out.push_str(rest);
    (out, folded)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// Lower case as word lists and comparisons see it. The dot that Turkish `İ` leaves over its
/// `i` goes, so that capitals of every language meet their small letters.
pub fn fold(text: &str) -> String {
    let lower = text.to_lowercase();
    if lower.contains('\u{307}') { lower.replace("i\u{307}", "i") } else { lower }
}

/// A folded text as phrases are looked for in it: without links and accents, runs of white space as one
/// space (the end of a paragraph as a line feed, between Chinese or Japanese letters nothing),
/// typographic quotes and dashes as plain ones, and digits that stand for letters inside a word
/// (`acc0unt`) as these.
pub fn plain(folded: &str) -> String {
    let mut out = String::with_capacity(folded.len());
    if !folded.is_ascii() {
        out.extend(Plain::new(folded).map(|(_, c)| c));
        return out;
    }
    // Most texts: nearly all words stay as they are, with one space between them.
    let bytes = folded.as_bytes();
    let part = |from: usize, to: usize| folded.get(from..to).unwrap_or_default();
    // Where what is not copied yet begins, where the word does, and where we are.
    let (mut run, mut word, mut at) = (0, 0, 0);
    while let Some(byte) = bytes.get(at) {
        match *byte {
            b' ' if !bytes.get(at + 1).copied().is_some_and(is_space) => {
                at += 1;
                word = at;
            }
            byte if is_space(byte) => {
                out.push_str(part(run, at));
                let end = bytes.iter().skip(at).position(|byte| !is_space(*byte));
                let gap = part(at, end.map_or(bytes.len(), |end| at + end));
                let feeds = gap.bytes().filter(|byte| *byte == b'\n').count();
                out.push(if feeds >= 2 { '\n' } else { ' ' });
                at += gap.len();
                (run, word) = (at, at);
            }
            // A digit may stand for a letter, a link may begin: the whole word has to be looked at.
            b'0' | b'1' | b'3' | b'5' | b':' | b'.' => {
                out.push_str(part(run, word));
                let end = bytes.iter().skip(at).position(|byte| is_space(*byte));
                at = end.map_or(bytes.len(), |end| at + end);
                out.extend(Plain::new(part(word, at)).map(|(_, c)| c));
                (run, word) = (at, at);
            }
            _ => at += 1,
        }
    }
    out.push_str(part(run, at));
    out
}

/// White space as Unicode has it, of ASCII.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

/// The part of a folded text that a byte range of the [`plain`] text made of it comes from.
pub fn part_of_plain(folded: &str, start: usize, end: usize) -> &str {
    let mut length = 0;
    let mut from = None;
    let mut to = folded.len();
    for (at, c) in Plain::new(folded) {
        if length >= end {
            to = at;
            break;
        }
        if length >= start {
            from.get_or_insert(at);
        }
        length += c.len_utf8();
    }
    from.and_then(|from| folded.get(from..to)).unwrap_or_default().trim()
}

/// The letters of a plain text, each with the place in the folded text it comes from.
struct Plain<'t> {
    text: &'t str,
    rest: std::iter::Peekable<std::str::CharIndices<'t>>,
    previous: char,
    /// A letter still to come from the last place.
    pending: Option<(usize, char)>,
}

impl<'t> Plain<'t> {
    fn new(folded: &'t str) -> Self {
        Self { text: folded, rest: folded.char_indices().peekable(), previous: ' ', pending: None }
    }

    /// Words in a link are its host's and its path's, nobody's speech: `/login/verify` stands in
    /// honest links, too.
    fn skip_link(&mut self, at: usize) -> bool {
        let rest = self.text.get(at..).unwrap_or_default();
        let is_link = ["http://", "https://", "www."].iter().any(|start| rest.starts_with(start));
        if is_link {
            while self
                .rest
                .next_if(|(_, c)| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '"'))
                .is_some()
            {}
        }
        is_link
    }
}

impl Iterator for Plain<'_> {
    type Item = (usize, char);

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(pending) = self.pending.take() {
            return Some(pending);
        }
        let (at, c) = self.rest.next()?;
        let out = match c {
            'h' | 'w' if !self.previous.is_ascii_alphanumeric() && self.skip_link(at) => ' ',
            'a'..='z' => c,
            '0' | '1' | '3' | '5' => {
                let inside = self.previous.is_ascii_lowercase()
                    && self.rest.peek().is_some_and(|(_, next)| next.is_ascii_lowercase());
                match c {
                    '0' if inside => 'o',
                    '1' if inside => 'i',
                    '3' if inside => 'e',
                    '5' if inside => 's',
                    other => other,
                }
            }
            _ if c.is_whitespace() => {
                let mut feeds = usize::from(c == '\n');
                while let Some((_, next)) = self.rest.next_if(|(_, next)| next.is_whitespace()) {
                    feeds += usize::from(next == '\n');
                }
                let wide = |c: char| matches!(c, '\u{2e80}'..='\u{9fff}' | '\u{f900}'..='\u{faff}');
                if feeds < 2
                    && wide(self.previous)
                    && self.rest.peek().is_some_and(|(_, next)| wide(*next))
                {
                    return self.next();
                }
                if feeds >= 2 { '\n' } else { ' ' }
            }
            _ if c.is_ascii() => c,
            // In capitals it is two letters.
            'ß' => {
                self.pending = Some((at, 's'));
                's'
            }
            _ => without_accent(c),
        };
        self.previous = out;
        Some((at, out))
    }
}

/// The letter below the accent, for Latin and for the Russian letter that is often written
/// without; plain quotes and dashes.
fn without_accent(c: char) -> char {
    match c {
        'à'..='å' | 'ą' => 'a',
        'è'..='ë' | 'ę' => 'e',
        'ì'..='ï' | 'ı' => 'i',
        'ò'..='ö' | 'ø' => 'o',
        'ù'..='ü' => 'u',
        'ç' | 'ć' | 'č' => 'c',
        'ñ' | 'ń' => 'n',
        'ś' | 'š' | 'ş' => 's',
        'ł' => 'l',
        'ż' | 'ź' | 'ž' => 'z',
        'ğ' => 'g',
        'đ' => 'd',
        'ё' => 'е',
        '\u{2018}' | '\u{2019}' | '\u{2bc}' | '\u{b4}' => '\'',
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        // Latin Extended: whatever stands below the marks.
        '\u{fd}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => {
            let mut below = None;
            unicode_normalization::char::decompose_canonical(c, |part| {
                below.get_or_insert(part);
            });
            below.filter(char::is_ascii_lowercase).unwrap_or(c)
        }
        other => other,
    }
}

/// Words of four letters or more in lower case, for comparing texts.
pub(super) fn significant_words(text: &str) -> impl Iterator<Item = String> + '_ {
    words(text).filter(|word| word.chars().count() >= 4).map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_way_leads_where_the_long_one_does() {
        let mut seen = 0;
        for letter in ('\0'..='\u{ffff}').filter(|c| is_plain_foreign(&c.to_string())) {
            // Beside letters that it could be joined with.
            for text in [letter.to_string(), format!("{letter}а{letter} 1"), format!("я{letter}漢")]
            {
                assert!(is_plain_foreign(&text), "{text:?}");
                assert_eq!(clean(&text), (text.clone(), 0), "{text:?}");
            }
            seen += 1;
        }
        assert!(seen > 30_000, "{seen}");
        assert!(!is_plain_foreign("и\u{306}") && !is_plain_foreign("пaроль"));
    }

    #[test]
    fn plain_words_are_read_as_each_letter_by_itself() {
        let pieces = [
            "a",
            "h",
            "w",
            "www.",
            "http://",
            "https://x.test/a?b",
            "0",
            "1",
            "3",
            "5",
            "7",
            " ",
            "\n",
            "\t",
            "\u{b}",
            "\r\n",
            "<",
            ">",
            "\"",
            ".",
            ":",
            "-",
            "acc0unt",
            "they",
            "(www.x.test)",
            "\u{1c}",
            "@",
        ];
        let mut state = 7_u64;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..8 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                text.push_str(pieces[usize::try_from(state >> 40).unwrap() % pieces.len()]);
            }
            let each: String = Plain::new(&text).map(|(_, c)| c).collect();
            assert_eq!(plain(&text), each, "{text:?}");
        }
    }

    fn check(text: &str, normal: &str, invisibles: usize, tags: usize, confusables: usize) {
        let (out, disguise) = normalise(text);
        assert_eq!(out, normal, "{text:?}");
        assert_eq!(
            disguise,
            Disguise { invisibles, tag_characters: tags, confusables },
            "{text:?}"
        );
    }

    #[test]
    fn leaves_honest_text_alone() {
        check("Team meeting at 10", "Team meeting at 10", 0, 0, 0);
        check("Besprechung über Größen – 3 €", "Besprechung über Größen – 3 €", 0, 0, 0);
        check("Встреча с командой", "Встреча с командой", 0, 0, 0);
        check("Совещание по API", "Совещание по API", 0, 0, 0);
        check("会議のお知らせ", "会議のお知らせ", 0, 0, 0);
        check("Σύσκεψη ομάδας", "Σύσκεψη ομάδας", 0, 0, 0);
    }

    #[test]
    fn folds_lookalikes() {
        check("Pаypаl", "Paypal", 0, 0, 1);
        check("ＰａｙＰａｌ", "PayPal", 0, 0, 0);
        check("𝐏𝐚𝐲𝐏𝐚𝐥 now", "PayPal now", 0, 0, 1);
        check("ᴘᴀʏᴘᴀʟ", "paypal", 0, 0, 1);
        check("your сосо bill", "your coco bill", 0, 0, 1);
    }

    #[test]
    fn counts_invisibles_only_where_they_have_no_use() {
        check("pay\u{200b}pal in\u{2060}voice", "paypal invoice", 2, 0, 0);
        check("می\u{200c}خواهم", "میخواهم", 0, 0, 0);
        check("👨\u{200d}👩\u{200d}👧 party", "👨👩👧 party", 0, 0, 0);
        check("🏴\u{e0067}\u{e0062}\u{e007f} match", "🏴 match", 0, 0, 0);
        check("hi\u{e0069}\u{e006e}", "hi", 0, 2, 0);
        check("zu\u{ad}sammen", "zusammen", 0, 0, 0);
        check("\u{feff}start", "start", 0, 0, 0);
    }
}
