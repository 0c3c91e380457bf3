//! Links as `uri` and `uri_detail` rules see them.
//!
//! Comes in: the rendered text parts, the links of HTML parts and the DKIM signatures.
//! Goes out: each link once, as written, with every form it has when encodings are undone.
//! Not an error: anything; what cannot be a link is left out.
//!
//! Where links stand is the model's choice: in the Subject, in rendered text, in HTML and in
//! PDF files, in this order. Links of calendars are found elsewhere, and calendar parts have none here.

use std::collections::{HashMap, HashSet};

use super::{HtmlLink, Rendered};
use crate::message::Message;

mod canonical;
mod checks;
mod escapes;
mod host;
mod numeric;
mod text;

pub use checks::{
    has_http_redirection, has_https_address_mismatch, has_https_mismatch, has_truncated,
    listed_host, shortened,
};

/// Octets of a link that are kept.
const LENGTH: usize = 8192;
/// Different links that are kept.
const COUNT: usize = 10_000;
/// Octets of all forms of all links together that are kept.
const OCTETS: usize = 16 * 1024 * 1024;

/// A link, as written and as understood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uri {
    /// As written in HTML; in running text, with the scheme that was left out.
    pub raw: String,
    /// Where it stands: `parsed` for running text, with `schemeless` when the scheme was
    /// added and `unlinked` when mail programs would not make it a link; `domainkeys` for the
    /// domain of a DKIM signature; else an element's name.
    pub types: Vec<String>,
    /// Every form it has once encodings are undone, the written one first. Empty for the
    /// domain of a signature, which `uri` rules do not see.
    pub cleaned: Vec<String>,
    /// Texts of the anchors that lead there, each once.
    pub anchor_texts: Vec<String>,
    /// Hosts of all forms, lower case, each once, with their registered domains.
    pub hosts: Vec<(String, String)>,
    /// Index in `Message::parts`, where it is known.
    pub part: Option<usize>,
    /// True when a form was longer than 8192 octets and has been cut.
    pub truncated: bool,
}

impl Uri {
    /// True when it has this type.
    pub fn has_type(&self, name: &str) -> bool {
        self.types.iter().any(|known| known == name)
    }

    /// Registered domains, each once.
    pub fn domains(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().enumerate().filter_map(|(index, (_, domain))| {
            let before = self.hosts.iter().take(index);
            before.into_iter().all(|(_, known)| known != domain).then_some(domain.as_str())
        })
    }
}

/// What rule files know of links.
#[derive(Clone, Copy)]
pub struct Hints<'h> {
    /// The target that the first fitting `redirector_pattern` finds in a link. Where it finds
    /// none with a dot in it, a link inside the link is taken.
    pub target: &'h dyn Fn(&[u8]) -> Option<Vec<u8>>,
    /// True for a name of two or three labels under which others register names
    /// (`util_rb_2tld`, `util_rb_3tld`), besides those of the public suffix list.
    pub is_suffix: &'h dyn Fn(&str) -> bool,
}

impl Hints<'_> {
    /// Nothing.
    pub const NONE: Hints<'static> = Hints { target: &|_| None, is_suffix: &|_| false };
}

/// Every different cleaned form with the first link that has it, in order of appearance: what
/// `uri` rules look at, each once.
pub fn distinct(uris: &[Uri]) -> impl Iterator<Item = (&Uri, &str)> {
    let mut seen = HashSet::new();
    uris.iter()
        .flat_map(|uri| uri.cleaned.iter().map(move |form| (uri, form.as_str())))
        .filter(move |(_, form)| seen.insert(*form))
}

/// Finds the links of a mail; `files` are those found in attachments, with the part.
pub(super) fn find<'l>(
    message: &Message<'_>,
    rendered: &Rendered,
    files: impl Iterator<Item = (Option<usize>, &'l [u8])>,
    hints: Hints<'_>,
) -> Vec<Uri> {
    let mut collector = Collector { uris: Vec::new(), known: HashMap::new(), octets: 0, hints };
    let subject = message.subject.as_deref().map(|subject| (None, subject.as_bytes()));
    let paragraphs =
        rendered.paragraphs.iter().map(|paragraph| (Some(paragraph.part), &paragraph.text[..]));
    collector.texts(subject.into_iter().chain(paragraphs));
    collector.html(&rendered.links);
    collector.signatures(message);
    for (part, link) in files {
        collector.add(link, &["parsed"], part, false);
    }
    collector.uris
}

/// Collects links up to the limits.
struct Collector<'h> {
    uris: Vec<Uri>,
    /// Indexes in `uris` by written form.
    known: HashMap<Vec<u8>, usize>,
    octets: usize,
    hints: Hints<'h>,
}

impl Collector<'_> {
    fn texts<'t>(&mut self, texts: impl Iterator<Item = (Option<usize>, &'t [u8])>) {
        let mut seen: HashSet<&'t [u8]> = HashSet::new();
        for (part, text) in texts {
            text::scan(text, |found| {
                if seen.len() >= COUNT || !seen.insert(found.raw) {
                    return;
                }
                let Some(link) = text::complete(found.raw) else { return };
                let mut types = vec!["parsed"];
                if link.unlinked {
                    types.push("unlinked");
                }
                if link.schemeless {
                    types.push("schemeless");
                }
                self.add(&link.uri, &types, part, true);
            });
        }
    }

    fn html(&mut self, links: &[HtmlLink]) {
        let mut texts: HashSet<(usize, &str)> = HashSet::new();
        for link in links {
            let url = link.url.trim_ascii();
            // The text of an anchor without a target is filed as if it stood in the text.
            let element = if url.is_empty() { "parsed" } else { link.element.as_str() };
            if url.is_empty() && link.element != "a" {
                continue;
            }
            let Some(index) = self.add(url.as_bytes(), &[element], Some(link.part), false) else {
                continue;
            };
            if link.element == "a"
                && texts.len() < COUNT
                && texts.insert((index, link.text.as_str()))
                && let Some(uri) = self.uris.get_mut(index)
            {
                uri.anchor_texts.push(link.text.clone());
            }
        }
    }

    /// The domains that signed the mail: `d=` of every DKIM and `DomainKeys` signature.
    fn signatures(&mut self, message: &Message<'_>) {
        for name in ["DomainKey-Signature", "DKIM-Signature"] {
            for header in &message.headers {
                if !header.name.eq_ignore_ascii_case(name) {
                    continue;
                }
                for domain in signing_domains(&header.raw) {
                    let raw = [b"domainkeys:", &domain[..]].concat();
                    self.signature(raw);
                }
            }
        }
    }

    fn signature(&mut self, mut raw: Vec<u8>) {
        raw.truncate(LENGTH);
        if self.is_full() || self.known.contains_key(&raw) {
            return;
        }
        let Some(host) = host::of(&raw, self.hints) else { return };
        self.octets += raw.len();
        self.uris.push(Uri {
            raw: String::from_utf8_lossy(&raw).into_owned(),
            types: vec!["domainkeys".to_owned()],
            hosts: vec![host],
            ..Uri::default()
        });
        self.known.insert(raw, self.uris.len() - 1);
    }

    fn is_full(&self) -> bool {
        self.uris.len() >= COUNT || self.octets >= OCTETS
    }

    /// Files a link; its index in `uris`. `of_host`: only when it has a host that could be
    /// looked up.
    fn add(
        &mut self,
        raw: &[u8],
        types: &[&str],
        part: Option<usize>,
        of_host: bool,
    ) -> Option<usize> {
        let (raw, cut) = match raw.get(..LENGTH) {
            Some(head) if raw.len() > LENGTH => (head, true),
            Some(_) | None => (raw, false),
        };
        let index = if let Some(index) = self.known.get(raw) {
            *index
        } else {
            if self.is_full() {
                return None;
            }
            let forms = canonical::forms(raw, self.hints);
            let mut uri = Uri { part, truncated: cut || forms.truncated, ..Uri::default() };
            for form in &forms.all {
                if let Some(host) = host::of(form, self.hints)
                    && !uri.hosts.contains(&host)
                {
                    uri.hosts.push(host);
                }
            }
            if of_host && uri.hosts.is_empty() {
                return None;
            }
            self.octets += raw.len() + forms.all.iter().map(Vec::len).sum::<usize>();
            uri.raw = String::from_utf8_lossy(raw).into_owned();
            uri.cleaned = forms.all.into_iter().map(to_text).collect();
            self.uris.push(uri);
            self.known.insert(raw.to_owned(), self.uris.len() - 1);
            self.uris.len() - 1
        };
        let uri = self.uris.get_mut(index)?;
        uri.truncated |= cut;
        for name in types {
            if !uri.has_type(name) {
                uri.types.push((*name).to_owned());
            }
        }
        Some(index)
    }
}

/// Text of octets; only a letter that was cut apart is lost.
fn to_text(octets: Vec<u8>) -> String {
    String::from_utf8(octets)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Values of every `d=` in a signature, blanks removed. Any `d` that no word runs into counts.
fn signing_domains(value: &[u8]) -> Vec<Vec<u8>> {
    let mut domains = Vec::new();
    let mut at = 0;
    while let Some(equals) = value.get(at..).and_then(|rest| memchr::memchr(b'=', rest)) {
        let equals = at + equals;
        at = equals + 1;
        let name = value.get(..equals).unwrap_or_default().trim_ascii_end();
        let is_domain = match name {
            [.., before, b'd'] => !(before.is_ascii_alphanumeric() || *before == b'_'),
            [b'd'] => true,
            _ => false,
        };
        if is_domain {
            let rest = value.get(at..).unwrap_or_default();
            let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
            let domain = rest.get(..end).unwrap_or_default();
            domains.push(domain.iter().copied().filter(|c| !c.is_ascii_whitespace()).collect());
            at += end;
        }
    }
    domains
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::mail::Chunk;
    use crate::message::Header;

    fn rendered(texts: &[&str], links: &[(&str, &str, &str)]) -> Rendered {
        Rendered {
            paragraphs: texts
                .iter()
                .map(|text| Chunk { part: 1, text: text.as_bytes().to_owned() })
                .collect(),
            links: links
                .iter()
                .map(|(element, url, text)| HtmlLink {
                    part: 2,
                    element: (*element).to_owned(),
                    url: (*url).to_owned(),
                    text: (*text).to_owned(),
                })
                .collect(),
            ..Rendered::default()
        }
    }

    /// One line a link: `raw [types] [texts] [domains]`.
    fn lines(message: &Message<'_>, rendered: &Rendered) -> Vec<String> {
        find(message, rendered, std::iter::empty(), Hints::NONE)
            .iter()
            .map(|uri| {
                let domains: Vec<&str> = uri.domains().collect();
                format!("{} {:?} {:?} {domains:?}", uri.raw, uri.types, uri.anchor_texts)
            })
            .collect()
    }

    #[test]
    fn links_of_all_places() {
        let message = Message { subject: Some("now at shop.com".to_owned()), ..Message::default() };
        let rendered = rendered(
            &["shop.com http://shop.com me@shop.com", "http://shop.local/"],
            &[
                ("a", "http://shop.com", "here"),
                ("a", " http://shop.com", "here"),
                ("a", "http://shop.com", "there"),
                ("img", "cid:logo", ""),
                ("a", "", "name"),
                ("img", "", ""),
            ],
        );
        assert_eq!(
            lines(&message, &rendered),
            [
                r#"http://shop.com ["parsed", "unlinked", "schemeless", "a"] ["here", "there"] ["shop.com"]"#,
                r#"mailto:me@shop.com ["parsed", "schemeless"] [] ["shop.com"]"#,
                r#"cid:logo ["img"] [] []"#,
                r#" ["parsed"] ["name"] []"#,
            ]
        );
        let uris = find(&message, &rendered, std::iter::empty(), Hints::NONE);
        let forms: Vec<&str> = distinct(&uris).map(|(_, form)| form).collect();
        assert_eq!(forms, ["http://shop.com", "mailto:me@shop.com", "cid:logo", ""]);
        assert_eq!(
            uris.iter().map(|uri| uri.part).collect::<Vec<_>>(),
            [None, Some(1), Some(2), Some(2)]
        );
    }

    #[test]
    fn domains_of_signatures() {
        let header = |name: &'static str, raw: &'static str| Header {
            name: name.into(),
            raw: raw.as_bytes().into(),
        };
        let message = Message {
            headers: vec![
                header("DKIM-Signature", " v=1; d = mail.\r\n\tshop.com; bh=x; b=d"),
                header("dkim-signature", "d=shop.com; id=no.com"),
                header("DomainKey-Signature", "d=old.com"),
                header("X-DKIM-Signature", "d=other.com"),
                header("DKIM-Signature", "d=shop.invalid-tld; d=; d"),
            ],
            ..Message::default()
        };
        assert_eq!(
            lines(&message, &Rendered::default()),
            [
                r#"domainkeys:old.com ["domainkeys"] [] ["old.com"]"#,
                r#"domainkeys:mail.shop.com ["domainkeys"] [] ["shop.com"]"#,
                r#"domainkeys:shop.com ["domainkeys"] [] ["shop.com"]"#,
            ]
        );
        let uris = find(&message, &Rendered::default(), std::iter::empty(), Hints::NONE);
        assert_eq!(distinct(&uris).count(), 0);
    }

    #[test]
    fn limits() {
        let long = format!("http://shop.com/{}", "x".repeat(LENGTH));
        let uris = find(
            &Message::default(),
            &rendered(&[], &[("a", &long, "")]),
            std::iter::empty(),
            Hints::NONE,
        );
        assert!(uris.iter().all(|uri| uri.truncated && uri.raw.len() == LENGTH));
        let mut many = rendered(&[], &[]);
        for number in 0..COUNT + 5 {
            let text = format!("http://shop.com/{number}").into_bytes();
            many.paragraphs.push(Chunk { part: 1, text });
        }
        assert_eq!(find(&Message::default(), &many, std::iter::empty(), Hints::NONE).len(), COUNT);
    }
}
