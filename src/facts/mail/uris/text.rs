//! Finds links in running text.
//!
//! Comes in: one paragraph, as octets. Goes out: each link as a mail program would make it
//! clickable, and the kind it is of. A link starts at a word or behind a quote, bracket, comma
//! or blank, and goes on to the next octet that ends it; what mail programs leave out at its
//! end is left out here.
//!
//! Everything is measured in octets, as the model does: 0xA0 ends a link even where it is the
//! second octet of a letter. Time is linear: each octet is looked at a fixed number of times.

use super::host;

/// Octets that may follow `http://`, `www.`, `mailto:` or the slash behind a bare host. A run
/// that is longer is no link.
const RUN: usize = 2048;
/// Octets on either side of the `@` of an address.
const ADDRESS: usize = 251;
/// Octets of a bare host before its top-level domain.
const HOST: usize = 252;

/// What made a piece of text a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It starts with a scheme, `www.` or `ftp.`.
    Scheme,
    /// It has an `@` or starts with `mailto:`.
    Mail,
    /// A host name under a known top-level domain; only ASCII.
    Bare,
}

/// A link in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found<'t> {
    /// The link as written, without punctuation at its end.
    pub(super) raw: &'t [u8],
    /// What it is.
    pub(super) kind: Kind,
}

/// Ends any link.
const END: u8 = 1;
/// Ends an address.
const END_MAIL: u8 = 2;
/// Ends the part of an address before the `@`.
const END_LOCAL: u8 = 4;
/// A link may start behind it.
const START: u8 = 8;
/// A bare host may start behind it.
const START_BARE: u8 = 16;
/// Letter, digit or underscore.
const WORD: u8 = 32;
/// May stand in a bare host.
const IN_HOST: u8 = 64;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut octet = 0_u8;
    loop {
        let blank = matches!(octet, b' ' | 0x09..=0x0d | 0x1b | 0xa0);
        let end =
            blank || matches!(octet, b'<' | b'>' | b'"' | b'`' | b'[' | b']' | b'{' | b'}' | b'|');
        let end_mail = end || octet >= 0x80 || matches!(octet, b',' | b'(' | b'\'');
        let start = blank
            || matches!(
                octet,
                b'<' | b'>' | b'"' | b'\'' | b'`' | b',' | b'{' | b'[' | b'(' | b'|'
            );
        let punctuation =
            octet.is_ascii_punctuation() && !matches!(octet, b'%' | b'-' | b'.' | b'_');
        let mut class = 0;
        if end {
            class |= END;
        }
        if end_mail {
            class |= END_MAIL;
        }
        if end_mail || octet == b'@' {
            class |= END_LOCAL;
        }
        if start {
            class |= START;
        }
        if blank || punctuation {
            class |= START_BARE;
        }
        if octet.is_ascii_alphanumeric() || octet == b'_' {
            class |= WORD | IN_HOST;
        }
        if matches!(octet, b'.' | b'-') {
            class |= IN_HOST;
        }
        #[expect(clippy::indexing_slicing, reason = "an octet is below 256")]
        {
            classes[octet as usize] = class;
        }
        if octet == u8::MAX {
            break classes;
        }
        octet += 1;
    }
};

/// True when the octet at a place exists and is of a class.
fn is(text: &[u8], at: usize, class: u8) -> bool {
    text.get(at).is_some_and(|octet| class_of(*octet) & class != 0)
}

fn class_of(octet: u8) -> u8 {
    CLASSES.get(usize::from(octet)).copied().unwrap_or_default()
}

/// The next octet of a class, remembered: places asked for only grow.
struct Next {
    class: u8,
    known: Option<usize>,
}

impl Next {
    fn new(class: u8) -> Self {
        Self { class, known: None }
    }

    fn from(&mut self, text: &[u8], at: usize) -> usize {
        match self.known {
            Some(known) if known >= at => known,
            Some(_) | None => {
                let rest = text.get(at..).unwrap_or_default();
                let next = rest
                    .iter()
                    .position(|octet| class_of(*octet) & self.class != 0)
                    .map_or(text.len(), |length| at + length);
                self.known = Some(next);
                next
            }
        }
    }
}

/// Calls `each` for every link of a text, in order.
pub(super) fn scan<'t>(text: &'t [u8], mut each: impl FnMut(Found<'t>)) {
    let mut scanner = Scanner {
        text,
        end: Next::new(END),
        end_mail: Next::new(END_MAIL),
        end_local: Next::new(END_LOCAL),
    };
    let mut at = 0;
    while at < text.len() {
        match scanner.link_at(at) {
            Some(Match { kind, end, host }) => {
                let raw = trim(text.get(at..end).unwrap_or_default());
                // An address may have lost its `@` to the trimming.
                let whole = kind != Kind::Mail || raw.contains(&b'@');
                if whole
                    && host.is_none_or(|length| {
                        text.get(at..at + length).is_some_and(host::is_well_formed)
                    })
                {
                    each(Found { raw, kind });
                }
                at = end.max(at + 1);
            }
            None => at += 1,
        }
    }
}

struct Match {
    kind: Kind,
    end: usize,
    /// Length of a bare host.
    host: Option<usize>,
}

struct Scanner<'t> {
    text: &'t [u8],
    end: Next,
    end_mail: Next,
    end_local: Next,
}

impl Scanner<'_> {
    fn link_at(&mut self, at: usize) -> Option<Match> {
        if !self.may_start(at) {
            return None;
        }
        self.scheme(at).or_else(|| self.mail(at)).or_else(|| self.bare(at))
    }

    fn may_start(&self, at: usize) -> bool {
        let before = at.checked_sub(1);
        let word_before = before.is_some_and(|before| is(self.text, before, WORD));
        // ISO-2022 texts switch their alphabet with ESC, a bracket and a letter.
        word_before != is(self.text, at, WORD)
            || before.is_some_and(|before| is(self.text, before, START))
            || at
                .checked_sub(3)
                .and_then(|from| self.text.get(from..at))
                .is_some_and(|shift| matches!(shift, [0x1b, b'(', last] if *last != b'\n'))
    }

    fn scheme(&mut self, at: usize) -> Option<Match> {
        let rest = self.text.get(at..)?;
        let prefix = scheme_length(rest)?;
        let end = self.end.from(self.text, at);
        let run = end.checked_sub(at + prefix)?;
        (1..=RUN).contains(&run).then_some(Match { kind: Kind::Scheme, end, host: None })
    }

    fn mail(&mut self, at: usize) -> Option<Match> {
        let end = self.end_mail.from(self.text, at);
        let found = Match { kind: Kind::Mail, end, host: None };
        let rest = self.text.get(at..)?;
        if starts_with(rest, b"mailto:") && (1..=RUN).contains(&(end.saturating_sub(at + 7))) {
            return Some(found);
        }
        let sign = self.end_local.from(self.text, at);
        let fits = self.text.get(sign) == Some(&b'@')
            && (1..=ADDRESS).contains(&(sign - at))
            && (1..=ADDRESS).contains(&end.saturating_sub(sign + 1));
        fits.then_some(found)
    }

    fn bare(&mut self, at: usize) -> Option<Match> {
        let text = self.text;
        let starts = at.checked_sub(1).is_none_or(|before| is(text, before, START_BARE))
            && text.get(at).is_some_and(u8::is_ascii_alphanumeric);
        if !starts {
            return None;
        }
        let rest = text.get(at..)?;
        let run =
            rest.iter().position(|octet| class_of(*octet) & IN_HOST == 0).unwrap_or(rest.len());
        let host = rest.get(..run)?;
        let host = host.strip_suffix(b".").unwrap_or(host);
        let dot = host.iter().rposition(|octet| *octet == b'.')?;
        if !(1..=HOST).contains(&dot) || !host::is_top_level(host.get(dot + 1..)?) {
            return None;
        }
        let mut end = at + run;
        if text.get(end) == Some(&b':') {
            let digits =
                text.get(end + 1..)?.iter().take(6).take_while(|d| d.is_ascii_digit()).count();
            if !(1..=5).contains(&digits) {
                return None;
            }
            end += 1 + digits;
        }
        if text.get(end) == Some(&b'/') {
            let path = end + 1;
            end = self.end.from(text, at);
            if !(1..=RUN).contains(&end.saturating_sub(path)) {
                return None;
            }
        }
        let ends = end >= text.len() || is(text, end, END);
        ends.then_some(Match { kind: Kind::Bare, end, host: Some(host.len()) })
    }
}

/// Length of what says that a link follows: `https://`, `www2.`, `ftp.`.
fn scheme_length(rest: &[u8]) -> Option<usize> {
    for scheme in [&b"http://"[..], b"https://", b"ftp://", b"ftp."] {
        if starts_with(rest, scheme) {
            return Some(scheme.len());
        }
    }
    numbered_www(rest)
}

/// Length of `www.` with up to two digits before the dot.
fn numbered_www(rest: &[u8]) -> Option<usize> {
    let digits = starts_with(rest, b"www")
        .then(|| rest.iter().skip(3).take(2).take_while(|octet| octet.is_ascii_digit()).count())?;
    (rest.get(3 + digits) == Some(&b'.')).then_some(4 + digits)
}

pub(super) fn starts_with(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

/// Without what belongs to the sentence around a link: from the last closing bracket before
/// any opening one, and punctuation at the end.
fn trim(link: &[u8]) -> &[u8] {
    let open = memchr::memchr(b'(', link).unwrap_or(link.len());
    let unopened = link.get(..open).and_then(|head| memchr::memrchr(b')', head));
    let link = unopened.and_then(|at| link.get(..at)).unwrap_or(link);
    let end = link
        .iter()
        .rposition(|octet| !b"-~!@#^&*()_+=:;'?,.".contains(octet))
        .map_or(0, |last| last + 1);
    link.get(..end).unwrap_or(link)
}

/// A link as it is filed: with the scheme it lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Completed {
    /// The link with a scheme.
    pub(super) uri: Vec<u8>,
    /// True when the scheme was added.
    pub(super) schemeless: bool,
    /// True when mail programs would not make it clickable.
    pub(super) unlinked: bool,
}

/// Adds the scheme that a link lacks; `None` for what is no link after all.
pub(super) fn complete(raw: &[u8]) -> Option<Completed> {
    // `cid:` and `mid:` look like addresses.
    if starts_with(raw, b"cid:") || starts_with(raw, b"mid:") || is_scheme_only(raw) {
        return None;
    }
    let with = |scheme: &[u8], rest: &[u8], unlinked| {
        let uri = [scheme, rest].concat();
        Completed { uri, schemeless: true, unlinked }
    };
    let has_scheme = [&b"http:"[..], b"https:", b"ftp:", b"mailto:"]
        .iter()
        .any(|scheme| starts_with(raw, scheme));
    let sign = memchr::memchr(b'@', raw);
    let mut link = if has_scheme {
        Completed { uri: raw.to_owned(), schemeless: false, unlinked: false }
    } else if starts_with(raw, b"ftp.") {
        with(b"ftp://", raw, false)
    } else if numbered_www(raw).is_some() {
        with(b"http://", raw, false)
    } else if let Some(slash) = memchr::memchr(b'/', raw)
        && memchr::memrchr(b'@', raw).is_some_and(|sign| sign > slash + 1)
    {
        with(b"http://", raw, false)
    } else if let Some(sign) = sign {
        let dot = raw.get(sign + 2..).is_some_and(|rest| rest.contains(&b'.'));
        if !dot || memchr::memmem::find(raw, b"&nbsp;").is_some() {
            return None;
        }
        with(b"mailto:", without_label(raw), false)
    } else if raw.contains(&b'.') {
        with(b"http://", raw, true)
    } else {
        return None;
    };
    if starts_with(&link.uri, b"mailto:") {
        if super::escapes::has_escape(&link.uri) {
            link.uri = super::escapes::unescape(&link.uri);
        }
        let sign = memchr::memchr(b'@', &link.uri)?;
        let mut domain = link.uri.get(sign + 1..)?;
        if let Some(end) = domain.iter().position(|octet| matches!(octet, b'?' | b'&' | b'>')) {
            domain = domain.get(..end)?;
        }
        while let Some(rest) = domain.strip_suffix(b"%20") {
            domain = rest;
        }
        if !host::has_top_level(&host::to_ascii(domain)) {
            return None;
        }
    }
    Some(link)
}

/// True for `http://` and the like with nothing behind.
fn is_scheme_only(raw: &[u8]) -> bool {
    let rest = raw.strip_suffix(b"/").unwrap_or(raw);
    let rest = rest.strip_suffix(b"/").unwrap_or(rest);
    rest.strip_suffix(b":").is_some_and(|word| {
        !word.is_empty() && word.iter().all(|octet| class_of(*octet) & WORD != 0)
    })
}

/// Without `email:` or colons that were written before an address.
fn without_label(raw: &[u8]) -> &[u8] {
    let labels = [&b"skype:"[..], b"email:", b"e-mail:", b"mail:", b"-mail:", b":"];
    let Some(label) = labels.iter().find(|label| starts_with(raw, label)) else { return raw };
    let mut rest = raw.get(label.len()..).unwrap_or(raw);
    while let Some(shorter) = rest.strip_prefix(b":") {
        rest = shorter;
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let mut found = Vec::new();
        scan(text.as_bytes(), |link| {
            if let Some(link) = complete(link.raw) {
                found.push(String::from_utf8_lossy(&link.uri).into_owned());
            }
        });
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_scheme_starts_a_link() {
        check("see http://a.test/x?y=1.", &["http://a.test/x?y=1"]);
        check("HTTPS://a.test, ftp://b.test", &["HTTPS://a.test", "ftp://b.test"]);
        check(
            "go www.shop.test! www2.shop.test",
            &["http://www.shop.test", "http://www2.shop.test"],
        );
        check("ftp.shop.test", &["ftp://ftp.shop.test"]);
        check("http:// and http://.", &[]);
        check("xhttp://a.test", &[]);
        check("http://a b", &["http://a"]);
    }

    #[test]
    fn quotes_brackets_and_punctuation_end_it() {
        check("<http://a.test/b>\"http://c.test\"", &["http://a.test/b", "http://c.test"]);
        check("(http://a.test/b)", &["http://a.test/b"]);
        check("http://a.test/b_(c)", &["http://a.test/b_(c"]);
        check("http://a.test/x)y)z(b)", &["http://a.test/x)y"]);
        check("http://a.test/b…", &["http://a.test/b…"]);
        check("http://a.test/b\u{a0}c", &["http://a.test/b\u{fffd}"]);
        check("http://a.test/'b',c", &["http://a.test/'b',c"]);
    }

    #[test]
    fn addresses() {
        check("mail me@shop.com, or you@shop.com.", &["mailto:me@shop.com", "mailto:you@shop.com"]);
        check("mailto:me@shop.com?subject=x", &["mailto:me@shop.com?subject=x"]);
        check("email:me@shop.com", &["mailto:me@shop.com"]);
        check("a@shop.local Vi@gra cid:a@shop.com", &[]);
        check("me@shop%2Ecom x@mail.shop%2Ecom", &["mailto:x@mail.shop.com"]);
        check("mailto:me%40shop.com", &[]);
        check("shop.com/x?to=a@b.com", &["http://shop.com/x?to=a@b.com"]);
    }

    #[test]
    fn bare_hosts_need_a_top_level_domain() {
        check("shop.com and shop.com/x.", &["http://shop.com", "http://shop.com/x"]);
        check("shop.com:80/x shop.com:123456", &["http://shop.com:80/x"]);
        check("shop.com.", &["http://shop.com"]);
        check("shop.com/ shop.com- shop.com..", &[]);
        check("shop..com a_b.com notes.txt 1.2.3", &[]);
        check("x.shop.com;y.shop.com", &["http://y.shop.com"]);
    }

    #[test]
    fn limits() {
        let long = format!("http://a.test/{}", "x".repeat(3000));
        check(&long, &[]);
        let host = format!("{}.com", "a.".repeat(200));
        check(&host, &[]);
    }

    #[test]
    fn time_is_linear() {
        for unit in ["a.", "a@", "www.", "mailto:", "http:", "a.com:", "(", "\u{1b}(B"] {
            let text = unit.repeat(400_000);
            scan(text.as_bytes(), |_| {});
        }
    }
}
