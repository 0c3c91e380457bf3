//! Links: from every URI-typed value, every parameter, every text and every HTML href of the
//! events, and from the mail's bodies.

use std::borrow::Cow;

use url::Url;

use super::html::Anchor;
use super::{Origin, Place, domain, unwrap};

/// Longest URL kept; SpamAssassin's limit too.
const LENGTH: usize = 8192;

/// One link.
#[derive(Debug, Clone)]
pub struct Link<'f> {
    /// The URL, cleaned of what text put around it.
    pub url: String,
    /// Scheme in lower case; `http` for a link written without one.
    pub scheme: String,
    /// Host in lower case (punycode), without a trailing dot.
    pub host: Option<String>,
    /// Where it stands.
    pub place: Place<'f>,
    /// Calendar or mail.
    pub origin: Origin,
    /// Index of the event; a calendar's own links count for its first event. `None` for
    /// links of the mail.
    pub event: Option<usize>,
    /// True for values and parameters that programs open, false for links in running text.
    pub opened: bool,
    /// True for the target inside a wrapper, which stands right before it.
    pub unwrapped: bool,
    /// `shown.example -> target.example` where the link's text shows another registered domain.
    pub disguise: Option<String>,
    /// The text that a reader clicks on, its first 60 characters; none for a link in running
    /// text.
    pub shown: Option<String>,
}

impl Link<'_> {
    /// Registered domain of the host.
    pub fn domain(&self) -> Option<Cow<'_, str>> {
        self.host.as_deref().map(domain::registered)
    }
}

/// All links of a message.
#[derive(Debug, Default)]
pub struct Links<'f> {
    /// The links, in order of appearance, events' first.
    pub all: Vec<Link<'f>>,
    /// True when there were more than the limit.
    pub cut: bool,
}

/// Where a link was found.
#[derive(Clone, Copy)]
pub(super) struct Source<'f> {
    pub(super) place: Place<'f>,
    pub(super) origin: Origin,
    pub(super) event: Option<usize>,
    pub(super) opened: bool,
}

/// Collects links up to a limit, each (place's owner, URL) once.
pub(super) struct Collector<'f> {
    links: Links<'f>,
    seen: std::collections::HashSet<(Option<usize>, Origin, String)>,
    limit: usize,
}

impl<'f> Collector<'f> {
    pub(super) fn new(limit: usize) -> Self {
        Self { links: Links::default(), seen: std::collections::HashSet::new(), limit }
    }

    pub(super) fn len(&self) -> usize {
        self.links.all.len()
    }

    pub(super) fn finish(self) -> Links<'f> {
        self.links
    }

    /// A value that is a URI by type: taken whole.
    pub(super) fn uri(&mut self, value: &str, source: Source<'f>) {
        let value = value.trim();
        if !value.is_empty() && !is_mailto(value) {
            self.add(value, None, source);
        }
    }

    /// A link of HTML.
    pub(super) fn anchor(&mut self, anchor: &Anchor, source: Source<'f>) {
        if !is_mailto(&anchor.target)
            && !anchor.target.starts_with('#')
            && !starts_with_ignore_case(&anchor.target, "cid:")
        {
            self.add(&anchor.target, anchor.text.as_deref(), source);
        }
    }

    /// Every link in a text.
    pub(super) fn text(&mut self, text: &str, source: Source<'f>) {
        for url in find(text) {
            self.add(&url, None, source);
        }
    }

    fn add(&mut self, written: &str, shown: Option<&str>, source: Source<'f>) {
        if self.links.all.len() >= self.limit {
            self.links.cut = true;
            return;
        }
        let url = clean(written);
        if url.is_empty() {
            return;
        }
        if !self.seen.insert((source.event, source.origin, url.clone())) {
            return;
        }
        let host = host_of(&url);
        let targets = host.as_deref().map(|host| unwrap::targets(&url, host)).unwrap_or_default();
        let last_host = targets.last().and_then(|target| host_of(target)).or_else(|| host.clone());
        let disguise = shown.and_then(|shown| disguise(shown, last_host.as_deref()));
        let shown = shown.map(|shown| {
            let shown = shown.trim();
            let end = shown.char_indices().nth(60).map_or(shown.len(), |(at, _)| at);
            shown.get(..end).unwrap_or_default().to_owned()
        });
        let make = |url: String, host: Option<String>, unwrapped: bool, disguise| Link {
            scheme: scheme_of(&url).to_ascii_lowercase(),
            url,
            host,
            place: source.place,
            origin: source.origin,
            event: source.event,
            opened: source.opened,
            unwrapped,
            disguise,
            shown: shown.clone(),
        };
        self.links.all.push(make(url, host, false, disguise));
        for target in targets {
            if self.links.all.len() >= self.limit {
                self.links.cut = true;
                return;
            }
            let host = host_of(&target);
            self.links.all.push(make(target, host, true, None));
        }
    }
}

fn is_mailto(value: &str) -> bool {
    starts_with_ignore_case(value.trim_start(), "mailto:")
}

fn starts_with_ignore_case(text: &str, prefix: &str) -> bool {
    text.as_bytes()
        .get(..prefix.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes()))
}

/// Removes what browsers remove (tabs, line breaks) and what text puts around a link, and
/// writes the scheme that is left out.
fn clean(written: &str) -> String {
    let written = written.trim();
    let mut url = if written.len() <= LENGTH && written.bytes().all(|b| b.is_ascii_graphic()) {
        // Nearly all are like this, and a mail may have hundreds.
        written.to_owned()
    } else {
        let removed =
            |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{200b}' | '\u{2060}' | '\u{feff}');
        written.chars().filter(|c| !removed(*c)).take(LENGTH).collect()
    };
    if let Some(rest) = url.strip_prefix("//") {
        url = format!("http://{rest}");
    } else if starts_with_ignore_case(&url, "www.") {
        url = format!("http://{url}");
    }
    url
}

fn scheme_of(url: &str) -> &str {
    let end = url.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')));
    match end {
        Some(end) if url.get(end..).is_some_and(|rest| rest.starts_with(':')) => {
            url.get(..end).unwrap_or_default()
        }
        _ => "",
    }
}

/// Host of a URL as a browser would find it, lower case and punycode.
pub(super) fn host_of(url: &str) -> Option<String> {
    let scheme = scheme_of(url).to_ascii_lowercase();
    let after = match scheme.as_str() {
        "" => url.strip_prefix("//")?,
        "javascript" | "data" | "tel" | "mailto" | "cid" | "about" | "blob" | "urn" | "sms" => {
            return None;
        }
        _ => url.get(scheme.len() + 1..)?,
    };
    let web = matches!(scheme.as_str(), "http" | "https" | "webcal" | "webcals" | "ftp");
    let authority = after.trim_start_matches(if web { &['/', '\\'][..] } else { &['/'][..] });
    if !web && authority.len() + 2 > after.len() {
        return None; // `scheme:opaque` has no host.
    }
    let end = authority.find(['/', '?', '#', '\\']).unwrap_or(authority.len());
    let authority = authority.get(..end)?;
    let simple = !authority.is_empty()
        && authority.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
        && authority.bytes().any(|b| b.is_ascii_alphabetic())
        && !authority.bytes().next_back().is_some_and(|b| b.is_ascii_digit());
    if simple {
        return domain::canonical_host(authority);
    }
    if web {
        // Numeric hosts, user names, ports, percent signs, other alphabets: as browsers do.
        let rewritten = match scheme.as_str() {
            "webcal" => format!("http:{after}"),
            "webcals" => format!("https:{after}"),
            _ => url.to_owned(),
        };
        if let Ok(parsed) = Url::parse(&rewritten) {
            return parsed.host_str().and_then(domain::canonical_host);
        }
    }
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = if host.starts_with('[') {
        host.find(']').and_then(|end| host.get(..=end)).unwrap_or(host)
    } else {
        host.split(':').next().unwrap_or_default()
    };
    domain::canonical_host(host)
}

/// `shown.example -> target.example` when a link's text is itself a link or host name of
/// another registered domain.
fn disguise(shown: &str, target: Option<&str>) -> Option<String> {
    let shown = shown.trim();
    let target = target?;
    if shown.len() > 300 || !shown.contains('.') || shown.contains(char::is_whitespace) {
        return None;
    }
    let host = if shown.contains("://") {
        host_of(shown)?
    } else {
        let host = shown.split(['/', '?', '#']).next()?;
        if host.contains('@') {
            return None;
        }
        domain::canonical_host(host)?
    };
    if !domain::has_known_suffix(&host) && !shown.contains("://") {
        return None;
    }
    let shown_domain = domain::registered(&host);
    let target_domain = domain::registered(target);
    (shown_domain != target_domain).then(|| format!("{shown_domain} -> {target_domain}"))
}

/// Finds links in running text: `scheme://…`, `www.…`, and `host.tld/…` or `host.tld` for
/// known top-level domains.
pub(super) fn find(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    // A link has a colon-slash-slash or a dot in it; most text is skipped by memchr.
    while let Some(hit) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'.', b':', rest)) {
        let hit = at + hit;
        at = hit + 1;
        let range = if bytes.get(hit) == Some(&b':') {
            scheme_link(text, hit)
        } else {
            let goes_on = |b: &u8| b.is_ascii_alphanumeric() || *b >= 0x80;
            if !bytes.get(hit + 1).is_some_and(goes_on) {
                continue;
            }
            // Whatever dot of a name is looked at, the name is the same: once is enough.
            let run = name_end(bytes, hit);
            at = run;
            bare_link(text, hit, run)
        };
        if let Some((start, end)) = range {
            at = end.max(at);
            let url = text.get(start..end).unwrap_or_default();
            if bytes.get(hit) == Some(&b':') || starts_with_ignore_case(url, "www.") {
                found.push(url.to_owned());
            } else {
                found.push(format!("http://{url}"));
            }
            if found.len() >= 1_000 {
                break;
            }
        }
    }
    found
}

/// A link around the colon of its scheme.
fn scheme_link(text: &str, colon: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let start = bytes
        .iter()
        .take(colon)
        .rposition(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-')))
        .map_or(0, |at| at + 1);
    let scheme = text.get(start..colon)?;
    let after = bytes.get(colon + 1..)?;
    let slashes = after.starts_with(b"//") || after.starts_with(b"\\\\");
    let opaque = ["javascript", "vbscript", "data", "tel", "file", "search-ms", "blob"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
        && after.first().is_some_and(u8::is_ascii_graphic);
    let plausible = (2..=24).contains(&scheme.len())
        && scheme.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    if !plausible || !(slashes || opaque) {
        return None;
    }
    // Prose has colons too: `file:` and the like must run on like a link does.
    let end = link_end(text, colon + 1);
    (end > colon + 3).then_some((start, end))
}

/// True for octets that a name in running text is made of.
fn is_name(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.') || b >= 0x80
}

/// Where the name around a dot ends.
fn name_end(bytes: &[u8], dot: usize) -> usize {
    bytes.iter().skip(dot).position(|b| !is_name(*b)).map_or(bytes.len(), |at| dot + at)
}

/// A link without scheme around one of its dots, in a name that ends at `end`.
fn bare_link(text: &str, dot: usize, end: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let start = bytes.iter().take(dot).rposition(|b| !is_name(*b)).map_or(0, |at| at + 1);
    let before = start.checked_sub(1).and_then(|at| bytes.get(at));
    if start == dot || before.is_some_and(|b| matches!(b, b'@' | b'/' | b'\\' | b'=' | b'_')) {
        return None;
    }
    let host = text.get(start..end)?.trim_end_matches(['.', '-']);
    let end = start + host.len();
    if bytes.get(end) == Some(&b'@') {
        return None;
    }
    let has_path = matches!(bytes.get(end), Some(b'/' | b':' | b'?'));
    let www = starts_with_ignore_case(host, "www.") && host.len() > 6;
    let lower = host.to_ascii_lowercase();
    let last = lower.rsplit('.').next()?;
    if last.bytes().all(|b| b.is_ascii_digit()) || last.len() < 2 || lower.contains("..") {
        return None;
    }
    let known = domain::has_known_suffix(&lower);
    // File names end in letters that are top-level domains too.
    let file_name = !has_path
        && matches!(
            last,
            "zip"
                | "md"
                | "py"
                | "sh"
                | "rs"
                | "pl"
                | "mov"
                | "app"
                | "ps"
                | "cc"
                | "so"
                | "java"
                | "doc"
                | "bat"
        );
    // `the end.Next one` lacks a space, it is no host.
    let sentence = !has_path
        && host.rsplit('.').next().is_some_and(|label| {
            label.starts_with(|c: char| c.is_ascii_uppercase())
                && label.contains(|c: char| c.is_ascii_lowercase())
        });
    if www || (known && !file_name && !sentence) {
        Some((start, if has_path { link_end(text, end) } else { end }))
    } else {
        None
    }
}

/// End of a link that runs on from `from`: white space, quotes and brackets end it, and
/// punctuation at its end belongs to the sentence.
fn link_end(text: &str, from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    let length = rest
        .char_indices()
        .find(|(_, c)| {
            c.is_whitespace()
                || c.is_control()
                || matches!(
                    c,
                    '<' | '>'
                        | '"'
                        | '`'
                        | '{'
                        | '}'
                        | '|'
                        | '^'
                        | '“'
                        | '”'
                        | '»'
                        | '«'
                        | '，'
                        | '。'
                        | '、'
                        | '」'
                        | '）'
                )
        })
        .map_or(rest.len(), |(at, _)| at);
    let mut link =
        rest.get(..length.min(LENGTH)).unwrap_or_else(|| rest.get(..length).unwrap_or_default());
    loop {
        let trimmed = link.trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '*', '_', '~']);
        let trimmed = without_unbalanced(trimmed, '(', ')');
        let trimmed = without_unbalanced(trimmed, '[', ']');
        if trimmed.len() == link.len() {
            return from + link.len();
        }
        link = trimmed;
    }
}

/// Without a closing bracket at the end that nothing opened: it belongs to the sentence.
fn without_unbalanced(link: &str, open: char, close: char) -> &str {
    match link.strip_suffix(close) {
        Some(inner) if inner.matches(open).count() <= inner.matches(close).count() => inner,
        _ => link,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(find(text), expected, "{text}");
    }

    #[test]
    fn finds_links_in_text() {
        check("see http://a.example/x?y=1.", &["http://a.example/x?y=1"]);
        check(
            "(https://a.example/x_(y)) and <https://b.example>",
            &["https://a.example/x_(y)", "https://b.example"],
        );
        check("www.shop.test, now", &["www.shop.test"]);
        check("go to calphish.com/win today", &["http://calphish.com/win"]);
        check("mail me@shop.com or visit shop.com.", &["http://shop.com"]);
        check("javascript:alert(1)", &["javascript:alert(1)"]);
        check("zoommtg://zoom.example/join?x", &["zoommtg://zoom.example/join?x"]);
        check("file://server.example/share", &["file://server.example/share"]);
        check("http://a.example/b,http is fine", &["http://a.example/b,http"]);
        check("訪問 https://a.example/路 。", &["https://a.example/路"]);
    }

    #[test]
    fn long_names_are_looked_at_once() {
        for piece in ["a.", ".", "é.", "a.é", "a:", "www.", "a.b:", "-."] {
            // Quadratic time would take minutes.
            find(&piece.repeat((1 << 20) / piece.len()));
        }
    }

    #[test]
    fn leaves_prose_alone() {
        for text in [
            "Meet at 10:30. Bring notes.md and data.zip.",
            "e.g. version 1.2.3, i.e. now",
            "Note: bring a pen; time 10.15",
            "a.b@c.example",
            "end of sentence.Next one",
        ] {
            check(text, &[]);
        }
    }

    #[test]
    fn finds_hosts_as_browsers_do() {
        for (url, host) in [
            ("HTTPS://WWW.Example.COM./x", Some("www.example.com")),
            ("http://user@evil.example/", Some("evil.example")),
            ("http://bank.example\\@evil.example", Some("bank.example")),
            ("http://2130706433/", Some("127.0.0.1")),
            ("http://münchen.example", Some("xn--mnchen-3ya.example")),
            ("webcal://Feed.Example/x.ics", Some("feed.example")),
            ("javascript:alert(1)", None),
            ("tel:+12025550143", None),
            ("file://server/share", Some("server")),
            ("https://a.example:8443/x", Some("a.example")),
            ("data:text/html,x", None),
        ] {
            assert_eq!(host_of(url).as_deref(), host, "{url}");
        }
    }

    #[test]
    fn sees_through_link_texts() {
        for (shown, target, expected) in [
            ("https://bank.example/login", "evil.test", Some("bank.example -> evil.test")),
            ("www.bank.com", "login.bank.com", None),
            ("Click here", "evil.test", None),
            ("bank.com", "evil.test", Some("bank.com -> evil.test")),
            ("vic@bank.com", "evil.test", None),
            ("notes.md.txt", "evil.test", None),
        ] {
            assert_eq!(disguise(shown, Some(target)).as_deref(), expected, "{shown}");
        }
    }
}
