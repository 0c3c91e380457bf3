//! Compiles the files under `rules/lists/` into sets that `in FILE` tests ask.
//!
//! Comes in: list files. Goes out: [`WordList`]s, swapped together with the rules.
//!
//! A list file has one entry a line, `#` starts a comment. An entry may name the domains it
//! belongs to after a bar: `paypal | paypal.com paypal.me`; a test `in brands.txt unless
//! organizer.domain` does not hold for an entry whose own domains cover that fact.
//!
//! How an entry is compared depends on the kind of the fact: as a phrase on word boundaries
//! in texts, as a name with everything below it for domains, as an address (or `@domain`)
//! for addresses.

/// One compiled list.
#[derive(Debug)]
pub struct WordList {}

/// Where an entry was found in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Index of the entry.
    pub entry: usize,
    /// Byte range in the folded text.
    pub start: usize,
    /// End of the range.
    pub end: usize,
}

impl WordList {
    /// Compiles a list file's text. Never fails: every line is an entry or a comment.
    pub fn compile(_name: &str, _text: &str) -> Self {
        todo!()
    }

    /// Finds entries as phrases in a folded (lower-case, normalised) text, on word boundaries.
    pub fn phrases<'t>(&'t self, _folded: &'t str) -> impl Iterator<Item = Found> + 't {
        std::iter::empty()
    }

    /// Finds the entry that is the domain or stands above it.
    pub fn domain(&self, _domain: &str) -> Option<usize> {
        todo!()
    }

    /// Finds the entry that is the address, `@` its host, or a domain that covers its host.
    pub fn address(&self, _address: &str) -> Option<usize> {
        todo!()
    }

    /// The entry's text.
    pub fn entry(&self, _entry: usize) -> &str {
        todo!()
    }

    /// True when one of the entry's own domains is the domain or stands above it.
    pub fn owns(&self, _entry: usize, _domain: &str) -> bool {
        todo!()
    }

    /// True when entries of the list name domains of their own.
    pub fn has_owners(&self) -> bool {
        todo!()
    }
}
