//! Words of a text as hashes, without what changes from one copy of a text to the next.
//!
//! Left out are numbers, addresses, links, short words and names. Of each word the beginning
//! counts, so that another ending does not make it another word. Scripts that do not put spaces
//! between words give pairs of letters.

use crate::facts::text;

/// Letters of a word that count.
const STEM: usize = 6;

/// Letters of a Korean word that count: particles stand behind it.
const SYLLABLES: usize = 2;

/// Shortest word that counts, in alphabets with vowels.
const SHORTEST: usize = 4;

/// A set of words: in order and distinct once [`Words::distinct`] is through with it.
#[derive(Debug, Default)]
pub(super) struct Words(Vec<u64>);

impl Words {
    /// Takes the words of a plain text in lower case, but not the masked ones, which are in order.
    pub(super) fn read(&mut self, plain: &str, masked: &[u64]) {
        each(plain, false, |word| {
            if masked.binary_search(&word).is_err() {
                self.0.push(word);
            }
        });
    }

    /// Each word once.
    pub(super) fn distinct(mut self) -> Self {
        self.0.sort_unstable();
        self.0.dedup();
        self
    }

    /// Takes the words of another set.
    pub(super) fn add(&mut self, other: Self) {
        self.0.extend(other.0);
        *self = std::mem::take(self).distinct();
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// One hash of all words.
    pub(super) fn hash(&self) -> u64 {
        self.0.iter().fold(mix(3), |hash, word| mix(hash ^ word))
    }

    /// Those with the smallest hashes, ascending.
    pub(super) fn smallest(&self, most: usize) -> &[u64] {
        self.0.get(..most).unwrap_or(&self.0)
    }
}

/// The words of a name or an address.
pub(super) fn all(name: &str, found: &mut Vec<u64>) {
    // Most names are as plain as they can be. A digit between letters may stand for one.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b" .@-".contains(&byte);
    let stands_for_one = |three: &[u8]| {
        matches!(three, [one, digit, other] if digit.is_ascii_digit()
            && one.is_ascii_alphabetic() && other.is_ascii_alphabetic())
    };
    if name.bytes().all(is_plain) && !name.as_bytes().windows(3).any(stands_for_one) {
        each(&name.to_ascii_lowercase(), true, |word| found.push(word));
    } else {
        let plain = text::plain(&text::fold(&text::normalise(name).0));
        each(&plain, true, |word| found.push(word));
    }
}

/// Finds the words that count. In `names` the words of addresses count too.
fn each(plain: &str, names: bool, mut found: impl FnMut(u64)) {
    if !plain.is_ascii() {
        return each_of_any(plain, names, found);
    }
    // Most texts: one look at each letter.
    if names || !plain.contains('@') {
        return each_ascii(plain.as_bytes(), found);
    }
    for piece in plain.split_whitespace().filter(|piece| !piece.contains('@')) {
        each_ascii(piece.as_bytes(), &mut found);
    }
}

/// The same in plain letters.
fn each_ascii(plain: &[u8], mut found: impl FnMut(u64)) {
    let mut hash = START;
    let (mut length, mut is_word) = (0, true);
    let mut end = |hash: u64, length: usize, is_word: bool| {
        if is_word && length >= SHORTEST {
            found(mix(hash));
        }
    };
    for byte in plain {
        if byte.is_ascii_alphabetic() {
            if length < STEM {
                hash = step(hash, *byte);
            }
            length += 1;
        } else if byte.is_ascii_digit() {
            is_word = false;
        } else if length > 0 || !is_word {
            end(hash, length, is_word);
            (hash, length, is_word) = (START, 0, true);
        }
    }
    end(hash, length, is_word);
}

/// The same in any script.
fn each_of_any(plain: &str, names: bool, mut found: impl FnMut(u64)) {
    for piece in plain.split_whitespace().filter(|piece| names || !piece.contains('@')) {
        for word in piece.split(|c: char| !c.is_alphanumeric()) {
            // A number, or something that is counted.
            if word.bytes().any(|byte| byte.is_ascii_digit()) {
                continue;
            }
            // Most words are plain, and need no look at each letter.
            if word.is_ascii() {
                if word.len() >= SHORTEST {
                    found(hash(word.get(..STEM).unwrap_or(word)));
                }
                continue;
            }
            match word.chars().next() {
                None => {}
                Some(first) if is_unspaced(first) => unspaced(word, &mut found),
                Some(first) => {
                    let (shortest, stem) = match first {
                        '\u{1100}'..='\u{11ff}' | '\u{ac00}'..='\u{d7af}' => (2, SYLLABLES),
                        // Semitic and Indic scripts write fewer letters.
                        '\u{590}'..='\u{e7f}' => (SHORTEST - 1, STEM),
                        _ => (SHORTEST, STEM),
                    };
                    if word.chars().take(shortest).count() == shortest {
                        let end = word.char_indices().nth(stem).map_or(word.len(), |(at, _)| at);
                        found(hash(word.get(..end).unwrap_or(word)));
                    }
                }
            }
        }
    }
}

/// Scripts without spaces: Thai, Lao, Burmese, Khmer, Chinese, Japanese.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{2e80}'..='\u{a4cf}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Hiragana: what Japanese puts between its words.
fn is_hiragana(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{309f}')
}

fn is_katakana(c: char) -> bool {
    matches!(c, '\u{30a0}'..='\u{30ff}')
}

/// Words in Katakana as they are; of the rest each letter together with the next.
fn unspaced(run: &str, found: &mut impl FnMut(u64)) {
    for words in run.split(is_hiragana) {
        let mut rest = words;
        while let Some(first) = rest.chars().next() {
            let katakana = is_katakana(first);
            let end = rest.find(|c| is_katakana(c) != katakana).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            rest = after;
            if katakana {
                found(hash(word));
            } else {
                pairs(word, found);
            }
        }
    }
}

/// Each letter together with the next.
fn pairs(run: &str, found: &mut impl FnMut(u64)) {
    let starts = run.char_indices().map(|(at, _)| at);
    let ends = run.char_indices().skip(2).map(|(at, _)| at).chain([run.len()]);
    for (start, end) in starts.zip(ends) {
        if let Some(pair) = run.get(start..end) {
            found(hash(pair));
        }
    }
}

/// FNV-1a over the octets, mixed: short, and the same everywhere.
pub(super) fn hash(text: &str) -> u64 {
    mix(text.bytes().fold(START, step))
}

const START: u64 = 0xcbf2_9ce4_8422_2325;

const fn step(hash: u64, byte: u8) -> u64 {
    (hash ^ byte as u64).wrapping_mul(0x0100_0000_01b3)
}

/// Spreads every bit over all others (the finish of `SplitMix64`).
pub(super) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(one: &str, other: &str, same: bool) {
        let read = |text: &str| {
            let (mut words, mut masked) = (Words::default(), Vec::new());
            all("Dr. Ann Sample <ann@corp.example>", &mut masked);
            masked.sort_unstable();
            words.read(&text::plain(&text::fold(&text::normalise(text).0)), &masked);
            words.distinct().0
        };
        assert_eq!(read(one) == read(other), same, "{one:?} {other:?}");
    }

    #[test]
    fn what_changes_between_copies_does_not_count() {
        check("Invoice 12345 of 3 May", "Invoice 99 of 14 May", true);
        check("Invoice for Ann Sample", "Invoice for", true);
        check("payment confirmed", "confirmed payments", true);
        check("pay\u{200b}ment", "payment", true);
        check("pаyment", "payment", true);
        check("see https://a.example/x/y", "see https://b.test/z", true);
        check("write to me@x.example", "write to you@y.example", true);
        check("Größe prüfen", "grosse PRUFEN", true);
        check("Größe prüfen", "GRÖSSE PRÜFEN", true);
        check("invoice", "parcel", false);
        check("お支払いの確認", "お支払いの確認", true);
        check("お支払いの確認", "会議のお知らせ", false);
        check("결제를 확인", "결제가 확인", true);
        check("カードを確認", "カードに確認", true);
    }

    /// The short way for plain names finds what the long one does.
    #[test]
    fn plain_names_have_the_same_words() {
        for name in [
            "Ann Sample",
            "ann-marie.sample@corp.example",
            "O. K. Dr.  Sample",
            "Guest 12 Room 3b",
            "s4m anders0n 3two1 b5",
            "",
        ] {
            let (mut short, mut long) = (Vec::new(), Vec::new());
            all(name, &mut short);
            let plain = text::plain(&text::fold(&text::normalise(name).0));
            each_of_any(&plain, true, |word| long.push(word));
            assert_eq!(short, long, "{name}");
        }
    }

    #[test]
    fn plain_texts_have_the_same_words() {
        for text in [
            "invoice 12 of may3 to me@x.test or@ a",
            "(payment) re-sent@now. tomorrow;thanks",
            "no addresses here, abcd efg hijklmnop qrst9",
            "four",
            " ",
        ] {
            for names in [false, true] {
                let (mut short, mut long) = (Vec::new(), Vec::new());
                each(text, names, |word| short.push(word));
                each_of_any(text, names, |word| long.push(word));
                assert_eq!(short, long, "{text}");
            }
        }
    }

    /// The digests of all instances and versions meet in one store.
    #[test]
    fn hashes_are_the_same_everywhere() {
        assert_eq!(hash("invoic"), 9_136_123_925_689_607_906);
        // The second value of the generator that is seeded with 0, as its authors print it.
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
    }
}
