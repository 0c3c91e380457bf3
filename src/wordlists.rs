//! Compiles the files under `rules/lists/` into sets that `in FILE` tests ask.
//!
//! Comes in: list files. Goes out: [`WordList`]s, swapped together with the rules.
//!
//! A list file has one entry a line, `#` starts a comment (`read` has the grammar). How an entry
//! is compared depends on the kind of the fact: as a phrase on word boundaries in texts, as a
//! name with everything below it for domains, as an address (or its domain) for addresses.
//!
//! The phrases of all lists are found together, in one pass over a text ([`Book`]).
//!
//! Not an error: anything in a file; every line is an entry or a comment. A set that is asked
//! for and stands nowhere is a warning.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::facts::{Note, text};

mod book;
mod read;

pub use book::Book;
pub use read::{Source, sources};

/// One compiled list.
pub struct WordList {
    /// Its number in the book.
    number: u32,
    book: Arc<Book>,
    entries: Vec<Entry>,
    /// Names and addresses, for facts that are such.
    index: HashMap<String, usize>,
}

/// One line of a list.
#[derive(Debug)]
struct Entry {
    /// As written, folded.
    text: String,
    owners: Vec<String>,
    /// What has to stand near each other; of each piece any word.
    pieces: Vec<Arc<[Word]>>,
    /// Bit n is set when piece n stands side by side with the one before it.
    close: u8,
}

/// A word or phrase with what may run on at its ends.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    text: String,
    /// `*word`
    open_start: bool,
    /// `word*`
    open_end: bool,
}

impl fmt::Debug for WordList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WordList").field("entries", &self.entries.len()).finish_non_exhaustive()
    }
}

impl WordList {
    /// Compiles one list's sources and enters it into a book, together with what is wrong with
    /// them. The book finds nothing before it is closed.
    pub fn compile(book: &Arc<Book>, sources: &[Source<'_>]) -> (Self, Vec<String>) {
        let mut entries: Vec<Entry> = Vec::new();
        let mut index = HashMap::new();
        let mut warnings = Vec::new();
        for source in sources {
            source.read(&mut warnings, |entry| {
                // Two files mean different words by the same name of a set.
                let has_set = entry.text.contains('@');
                if has_set || !index.contains_key(&entry.text) {
                    index.entry(entry.text.clone()).or_insert(entries.len());
                    entries.push(entry);
                }
            });
        }
        (Self { number: book.number(), book: Arc::clone(book), entries, index }, warnings)
    }

    /// The book that finds the list's phrases in texts.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// Those of the entries that the book found which belong to this list, each once.
    pub fn phrases<'n>(&self, notes: &'n [Note]) -> impl Iterator<Item = Note> + use<'n> {
        let number = self.number;
        notes.iter().filter(move |note| note.list == number).copied()
    }

    /// Finds the entry that is the domain or stands above it.
    pub fn domain(&self, domain: &str) -> Option<usize> {
        let mut rest = domain;
        loop {
            if let Some(entry) = self.index.get(rest) {
                return Some(*entry);
            }
            rest = rest.split_once('.')?.1;
        }
    }

    /// Finds the entry that is the address, or a domain that covers its host.
    pub fn address(&self, address: &str) -> Option<usize> {
        if let Some(entry) = self.index.get(address) {
            return Some(*entry);
        }
        self.domain(address.rsplit_once('@')?.1)
    }

    /// The entry's text.
    pub fn entry(&self, entry: usize) -> &str {
        self.entries.get(entry).map_or("", |entry| &entry.text)
    }

    /// True when one of the entry's own domains is the domain or stands above it.
    pub fn owns(&self, entry: usize, domain: &str) -> bool {
        self.entries.get(entry).is_some_and(|entry| {
            entry.owners.iter().any(|owner| {
                domain
                    .strip_suffix(owner.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            })
        })
    }

    /// True when entries of the list name domains of their own.
    pub fn has_owners(&self) -> bool {
        self.entries.iter().any(|entry| !entry.owners.is_empty())
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Folds an entry as texts are folded, so that both sides agree.
fn fold(entry: &str) -> String {
    text::fold(&text::normalise(entry).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(content: &str) -> WordList {
        let book = Arc::new(Book::default());
        let (list, _) = WordList::compile(&book, &sources("x.txt", [("x.txt", content)]));
        book.close(&[&list]);
        list
    }

    #[track_caller]
    fn check(list: &str, text: &str, expected: &[&str]) {
        let list = compile(list);
        let folded = fold(text);
        let notes = list.book.read(&folded);
        let found: Vec<&str> =
            list.phrases(&notes).map(|note| list.entry(note.entry as usize)).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn phrases_stand_on_word_boundaries() {
        check("gift card\nsale # comment\n", "A Gift Card for sale!", &["gift card", "sale"]);
        check("sale\n", "wholesale salesman", &[]);
        check("paypal\n", "call PayPal, now", &["paypal"]);
        check("größe\n", "die Größe zählt", &["größe"]);
        check("пароль\n", "Ваш пароль истёк", &["пароль"]);
        check("当選\nパスワード\n", "おめでとう当選です、パスワードを", &["当選", "パスワード"]);
        check("密码\n", "请更新您的密码以继续", &["密码"]);
    }

    #[test]
    fn accents_white_space_and_digits_between_letters_do_not_matter() {
        check("vérifiez votre\n", "Verifiez  votre", &["vérifiez votre"]);
        check("истёк срок\n", "истек\nсрок", &["истёк срок"]);
        check("iptal\nşifreniz\n", "İPTAL ŞİFRENİZ", &["iptal", "şifreniz"]);
        check("account\n", "your acc0unt", &["account"]);
        check("パスワードの期限\n", "パスワード\nの 期限", &["パスワードの期限"]);
        check("one two\n", "one\n\ntwo", &[]);
        check("don't\n", "I don’t", &["don't"]);
    }

    #[test]
    fn stems_run_on() {
        check("парол*\n", "смена паролей", &["парол*"]);
        check("*konto\n", "Ihr Bankkonto ist", &["*konto"]);
        check("парол*\n", "суперпароль", &[]);
    }

    #[test]
    fn pieces_stand_near_each_other() {
        let list = "@act = verify, confirm*\n@act = log in\n@thing = account*, mailbox\n@act + @thing\n@thing + full\n";
        check(list, "please confirm the new accounts", &["@act + @thing"]);
        check(list, "your mailbox: log in now", &["@act + @thing"]);
        check(list, "The mailbox is full. Verify", &["@thing + full", "@act + @thing"]);
        check(list, "verify nothing", &[]);
        check(list, &format!("verify {} account", "word ".repeat(20)), &[]);
        check(list, "verify it\n\nmailbox", &[]);
        check("pay + pay\n", "pay", &[]);
        check("a + b + c\n", "c and b or a", &["a + b + c"]);
        check("not ~ made\n", "made it, not so; not made", &["not ~ made"]);
        check("not ~ made\n", "not what anybody here would have made", &[]);
        check("a ~ b + c\n", "b a or much later on even c", &["a ~ b + c"]);
        check("a ~ b + c\n", "b or much later on even c and a", &[]);
        check("@x\n@x = one, two\n", "two one", &["@x"]);
    }

    #[test]
    fn an_unknown_set_is_told() {
        let book = Arc::new(Book::default());
        let (list, warnings) =
            WordList::compile(&book, &sources("x.txt", [("x.txt", "@no + word\n")]));
        assert_eq!(warnings, ["x.txt:1: no set `@no`"]);
        assert!(list.is_empty());
    }

    #[test]
    fn other_files_add_sections() {
        let files = [
            ("lures.de.txt", "@geld = geld\n[x]\nfrei + @geld\n[y]\nwort\n"),
            ("lures.fr.txt", "[x]\n@geld = argent\nfrei + @geld\none\n"),
            ("x.txt", "one # first\n[y]\nmore\n"),
        ];
        let texts = |name| {
            let book = Arc::new(Book::default());
            let (list, warnings) = WordList::compile(&book, &sources(name, files));
            assert!(warnings.is_empty(), "{warnings:?}");
            list.entries.into_iter().map(|entry| entry.text).collect::<Vec<_>>()
        };
        assert_eq!(texts("x.txt"), ["frei + @geld", "frei + @geld", "one"]);
        assert_eq!(texts("y.txt"), ["wort", "more"]);
        assert!(sources("z.txt", files).is_empty());
    }

    #[test]
    fn domains_cover_what_is_below() {
        let list = compile("example.com\nco.test | a\n");
        assert_eq!(list.domain("www.example.com"), Some(0));
        assert_eq!(list.domain("example.com"), Some(0));
        assert_eq!(list.domain("badexample.com"), None);
        assert_eq!(list.domain("com"), None);
        assert_eq!(list.address("a@mail.example.com"), Some(0));
        assert_eq!(list.address("nobody"), None);
    }

    #[test]
    fn entries_own_domains() {
        let list = compile("PayPal | paypal.com, paypal.me\nother\n");
        assert!(list.has_owners());
        assert!(list.owns(0, "mail.paypal.com"));
        assert!(!list.owns(0, "paypal.com.evil.test"));
        assert!(!list.owns(1, "paypal.com"));
        assert!(!list.owns(9, "x"));
    }

    #[test]
    fn any_file_compiles() {
        for text in [
            "",
            "#\n|||\n \n",
            "\u{0}\n\u{feff}x",
            "a\na\n",
            "@ = \n@\n@a = @a\n@a + @a",
            "*\n* + *",
            "[",
            "[]\n[x",
            " + ",
            "+",
        ] {
            let list = compile(text);
            let _ = list.book.read("a x * + @a").len();
        }
    }

    /// One text is read in one pass, whatever it repeats.
    #[test]
    fn a_long_text_gives_each_entry_once() {
        let list = compile("a\n@x = a, b\n@x + @x\na b\n");
        let notes = list.book.read(&"a b ".repeat(200_000));
        assert_eq!(notes.len(), 3);
    }
}
