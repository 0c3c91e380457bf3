//! The forms of a link: as written, and as it reads once encodings and disguises are undone.
//!
//! Comes in: a link. Goes out: the link itself first, then every different form. A link inside
//! a link (a redirection) is taken apart in the same way.
//! Not an error: what is no link at all; it has one form.

use super::escapes::{decode_references, has_escape, unescape};
use super::numeric::numeric_address;
use super::text::starts_with;
use super::{Hints, LENGTH, host};

/// Targets of redirections followed for one link.
const TARGETS: usize = 16;

/// The forms of one link.
#[derive(Debug, Default)]
pub(super) struct Forms {
    /// All forms, each once, the written one first.
    pub(super) all: Vec<Vec<u8>>,
    /// True when one was too long and has been cut.
    pub(super) truncated: bool,
}

impl Forms {
    fn add(&mut self, mut form: Vec<u8>) {
        if form.len() > LENGTH {
            form.truncate(LENGTH);
            self.truncated = true;
        }
        if !self.all.contains(&form) {
            self.all.push(form);
        }
    }
}

/// Makes the forms of a link.
pub(super) fn forms(raw: &[u8], hints: Hints<'_>) -> Forms {
    let mut forms = Forms::default();
    let mut next = Some(raw.to_owned());
    for _ in 0..=TARGETS {
        let Some(uri) = next.take() else { break };
        let uri = without_line_ends(&uri);
        forms.add(uri.clone());
        if uri.len() <= 1 || is_local(&uri) {
            break;
        }
        if is_mail(&uri) {
            mail_forms(&uri, &mut forms);
        } else {
            next = web_forms(&uri, hints, &mut forms);
        }
    }
    forms
}

/// Without line ends, and without blanks around it.
fn without_line_ends(uri: &[u8]) -> Vec<u8> {
    let joined: Vec<u8> = uri.iter().copied().filter(|octet| *octet != b'\n').collect();
    joined.trim_ascii().iter().copied().filter(|octet| *octet != b'\r').collect()
}

/// True for what stays on the same host: `#top`, `?page=2`, `/logo.png`.
fn is_local(uri: &[u8]) -> bool {
    match uri {
        [b'#' | b'?' | b'&', ..] => true,
        [b'/', next, ..] => *next != b'/',
        _ => false,
    }
}

/// True for `mailto:` and for an `@` before any colon.
fn is_mail(uri: &[u8]) -> bool {
    starts_with(uri, b"mailto:")
        || memchr::memchr2(b':', b'@', uri).is_some_and(|at| uri.get(at) == Some(&b'@'))
}

/// Adds an address without what programs ignore behind and around it.
fn mail_forms(uri: &[u8], forms: &mut Forms) {
    let Some(sign) = memchr::memchr(b'@', uri) else { return };
    let after = uri.get(sign + 1..).unwrap_or_default();
    let until = |ends: &[u8]| after.iter().position(|octet| ends.contains(octet));
    if sign > 0 {
        if let Some(length) = until(b"?").filter(|length| *length > 0) {
            forms.add(cut(uri, sign + 1 + length).to_owned());
        }
        if let Some(length) = until(b"?&").filter(|length| *length > 0)
            && after.get(length) == Some(&b'&')
        {
            forms.add(cut(uri, sign + 1 + length).to_owned());
        }
        let length = until(b"?&%").unwrap_or(after.len());
        if length > 0
            && memchr::memmem::find(uri, b"%20").is_some()
            && let Some(start) = start_of_address(uri, sign)
        {
            let address = uri.get(start..sign + 1 + length).unwrap_or_default();
            forms.add([b"mailto:", address].concat());
        }
    }
    if let Some(address) = in_angle_brackets(uri) {
        forms.add([b"mailto:", address].concat());
    }
}

/// Where an address starts behind `mailto:` and encoded blanks; something stays before the
/// `@` at all events.
fn start_of_address(uri: &[u8], sign: usize) -> Option<usize> {
    let scheme = if uri.starts_with(b"mailto:") { b"mailto:".len() } else { 0 };
    let mut start = scheme;
    while uri.get(start..).is_some_and(|rest| rest.starts_with(b"%20")) {
        start += 3;
    }
    if start < sign {
        return Some(start);
    }
    let previous = if start > scheme { start - 3 } else { 0 };
    (previous < sign).then_some(previous)
}

/// The address of `"Name" <name@host>`.
fn in_angle_brackets(uri: &[u8]) -> Option<&[u8]> {
    let end = uri.iter().position(|octet| matches!(octet, b'?' | b'&')).unwrap_or(uri.len());
    let head = cut(uri, end);
    // The last bracket that has an address behind it; hostile ones have thousands.
    memchr::memrchr_iter(b'<', head).take(8).find_map(|open| {
        let inner = uri.get(open + 1..)?;
        let sign = memchr::memchr2(b'@', b'>', inner)?;
        let close = memchr::memchr(b'>', inner)?;
        (sign > 0 && close > sign + 1).then(|| inner.get(..close)).flatten()
    })
}

fn cut(text: &[u8], length: usize) -> &[u8] {
    text.get(..length).unwrap_or(text)
}

/// Adds the forms of a link that a browser opens; the target inside it, when it redirects.
fn web_forms(uri: &[u8], hints: Hints<'_>, forms: &mut Forms) -> Option<Vec<u8>> {
    let plain = completed(uri);
    forms.add(plain.clone());
    let Parts { scheme, user, host, rest, port } = Parts::of(&plain)?;
    let mut host = host.to_owned();
    let mut add = |host: &[u8], rest: &[u8]| forms.add([scheme, host, rest].concat());

    let without_port = port.filter(|port| !port.is_empty()).map(|port| {
        let usual: &[u8] = if scheme == b"http://" { b"80" } else { b"443" };
        if port == usual && !rest.get(1 + port.len()..).is_some_and(starts_with_word) {
            let rest = rest.get(1 + port.len()..).unwrap_or_default();
            add(&host, rest);
            rest
        } else {
            rest
        }
    });

    let ascii = host::to_ascii(&host);
    if !host.eq_ignore_ascii_case(ascii.as_bytes()) {
        ascii.as_bytes().clone_into(&mut host);
        add(&host, rest);
        if let Some(rest) = without_port.filter(|rest| !rest.is_empty()) {
            add(&host, rest);
        }
    }
    // Browsers drop control characters.
    let length = host.len();
    host.retain(|octet| *octet > 0x20);
    if host.len() < length {
        add(&host, rest);
    }

    let target = {
        let whole = [scheme, &host, rest].concat();
        (hints.target)(&whole)
            .filter(|target| target.contains(&b'.'))
            .or_else(|| link_inside(rest).map(<[u8]>::to_owned))
    };

    // A name before another `@` may look like a host.
    if let Some(sign) = memchr::memchr(b'@', &host)
        && sign > 0
    {
        host.drain(..=sign);
        add(&host, rest);
    }
    // A sentence goes on behind the link.
    let end = host.iter().rposition(u8::is_ascii_alphanumeric).map_or(0, |last| last + 1);
    if end < host.len() {
        host.truncate(end);
        add(&host, rest);
    }

    if let Some(address) = numeric_address(&host) {
        add(&address, rest);
    } else if scheme == b"http://"
        && user.is_empty()
        && ascii != "localhost"
        && port.is_none_or(|port| port.is_empty() || port == b"80")
        && !host::has_top_level(&ascii)
    {
        // Browsers try `http://name` as `www.name.com`.
        let name = ascii.strip_prefix("www.").filter(|name| !name.is_empty());
        let name = name.unwrap_or(&ascii);
        if !name.contains('.') {
            add(format!("www.{name}.com").as_bytes(), rest);
        }
    }
    target
}

/// True when a text starts with a letter, digit or underscore.
fn starts_with_word(text: &[u8]) -> bool {
    text.first().is_some_and(|octet| octet.is_ascii_alphanumeric() || *octet == b'_')
}

/// A link with slashes the right way, a scheme, and percent signs and references decoded.
fn completed(uri: &[u8]) -> Vec<u8> {
    let mut plain: Vec<u8> =
        uri.iter().map(|octet| if *octet == b'\\' { b'/' } else { *octet }).collect();
    if let Some(length) = web_scheme(&plain) {
        let slashes = plain.iter().skip(length).take(2).take_while(|c| **c == b'/').count();
        plain.splice(length..length + slashes, *b"//");
    }
    if has_escape(&plain) {
        plain = unescape(&plain);
    }
    let scheme = plain
        .iter()
        .take_while(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_'))
        .count();
    if scheme == 0 || plain.get(scheme) != Some(&b':') {
        let scheme: &[u8] = if plain.starts_with(b"ftp.") { b"ftp://" } else { b"http://" };
        plain.splice(..0, scheme.iter().copied());
    }
    if let Some(length) = web_scheme(&plain)
        && plain.get(length..length + 2) == Some(b"//")
    {
        let host = length + 2;
        let end = plain.iter().skip(host).position(|octet| matches!(octet, b'/' | b'?' | b'#'));
        if let Some(end) = end.filter(|end| *end > 0).map(|end| host + end)
            && plain.get(end) != Some(&b'/')
        {
            plain.insert(end, b'/');
        }
    }
    decode_references(plain)
}

/// Length of `http:` or `https:` at the start.
fn web_scheme(uri: &[u8]) -> Option<usize> {
    [&b"http:"[..], b"https:"].iter().find(|s| starts_with(uri, s)).map(|scheme| scheme.len())
}

/// The parts of an `http` or `https` link.
#[derive(Clone, Copy)]
struct Parts<'u> {
    /// With the slashes.
    scheme: &'u [u8],
    /// With the `@`; may be empty.
    user: &'u [u8],
    /// Without the port.
    host: &'u [u8],
    /// Port, path and all behind.
    rest: &'u [u8],
    /// Digits behind a colon, where there is one.
    port: Option<&'u [u8]>,
}

impl<'u> Parts<'u> {
    fn of(uri: &'u [u8]) -> Option<Self> {
        let length = web_scheme(uri)? + 2;
        let (scheme, after) = uri.split_at_checked(length)?;
        if !scheme.ends_with(b"//") {
            return None;
        }
        let ends_host = |octet: &u8| matches!(octet, b'/' | b'?' | b'#' | b':');
        let user = after
            .iter()
            .position(|octet| matches!(octet, b'@' | b'/' | b'?' | b'#'))
            .filter(|at| after.get(*at) == Some(&b'@'))
            // Without a host behind it, the `@` belongs to the host.
            .filter(|at| after.get(at + 1).is_some_and(|octet| !ends_host(octet)))
            .map_or(0, |at| at + 1);
        let (user, after) = after.split_at_checked(user)?;
        let end = after.iter().position(ends_host).unwrap_or(after.len());
        let (host, rest) = after.split_at_checked(end)?;
        let port = rest.strip_prefix(b":").map(|digits| {
            cut(digits, digits.iter().take_while(|octet| octet.is_ascii_digit()).count())
        });
        (!host.is_empty()).then_some(Self { scheme, user, host, rest, port })
    }
}

/// The first link inside a path or query, up to the next parameter.
fn link_inside(rest: &[u8]) -> Option<&[u8]> {
    let mut from = 0;
    loop {
        let colon = from + memchr::memchr(b':', rest.get(from..)?)?;
        from = colon + 1;
        let before = cut(rest, colon);
        let ends_with = |word: &[u8]| {
            before
                .len()
                .checked_sub(word.len())
                .and_then(|at| before.get(at..))
                .is_some_and(|tail| tail.eq_ignore_ascii_case(word))
        };
        let length = if ends_with(b"https") {
            5
        } else if ends_with(b"http") {
            4
        } else {
            continue;
        };
        let link = rest.get(colon - length..)?;
        let end = memchr::memchr2(b'&', b'#', link).unwrap_or(link.len());
        if end <= length + 1 {
            continue;
        }
        let link = cut(link, end);
        return link.contains(&b'.').then_some(link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &str, more: &[&str]) {
        let forms: Vec<String> = forms(raw.as_bytes(), Hints::NONE)
            .all
            .iter()
            .map(|form| String::from_utf8_lossy(form).into_owned())
            .collect();
        let expected: Vec<&str> = std::iter::once(raw).chain(more.iter().copied()).collect();
        assert_eq!(forms, expected, "{raw}");
    }

    #[test]
    fn encodings() {
        check("http://www.shop.com/a", &[]);
        check("http://%77ww.shop.com/%20a", &["http://www.shop.com/%20a"]);
        check("http://shop.com/&#111;", &["http://shop.com/o"]);
        // The fragment is split off first.
        check(
            "http://sh&#111;p.com",
            &["http://sh&/#111;p.com", "http://sh/#111;p.com", "http://www.sh&.com/#111;p.com"],
        );
        check("http:\\\\shop.com\\a", &["http://shop.com/a"]);
        check("https:/shop.com", &["https://shop.com"]);
        check("http:shop.com", &["http://shop.com"]);
        check("shop.com/a", &["http://shop.com/a"]);
        check("ftp.shop.com", &["ftp://ftp.shop.com"]);
        check("http://shop.com?a=1#b", &["http://shop.com/?a=1#b"]);
        check("http://shop.com/a&#x3002;b", &["http://shop.com/a.b"]);
        check("http://a.com/%e4ü\"", &["http://a.com/%e4%c3%bc%22"]);
    }

    #[test]
    fn hosts() {
        check("http://shop.com:80/a", &["http://shop.com/a"]);
        check("https://shop.com:443", &["https://shop.com"]);
        check("https://shop.com:80/", &[]);
        check("http://shop.com:8080/", &[]);
        check("http://münchen.de/", &["http://xn--mnchen-3ya.de/"]);
        check("http://bank.com@me@shop.com/", &["http://shop.com/"]);
        check("http://shop.com.../x", &["http://shop.com/x"]);
        check("http://shop/x", &["http://www.shop.com/x"]);
        check("http://localhost/x", &[]);
    }

    #[test]
    fn numeric_hosts() {
        check("http://0xc0000207/", &["http://192.0.2.7/"]);
        check("http://3221225991/", &["http://192.0.2.7/"]);
        check("http://0300.0x1.02.7/", &["http://192.1.2.7/"]);
        check("http://192.0.2.7/", &["http://192..2.7/"]);
        check("http://4294967296/", &["http://16.0.0.0/"]);
    }

    #[test]
    fn links_inside() {
        check("http://a.com/r?u=http://b.com/x&y=1", &["http://b.com/x"]);
        check(
            "http://a.com/r?u=https%3A%2F%2Fb.com",
            &["http://a.com/r?u=https://b.com", "https://b.com"],
        );
        check("http://a.com/http:nodot", &[]);
        let hints = Hints {
            target: &|uri| uri.strip_prefix(b"http://a.com/to/").map(<[u8]>::to_owned),
            ..Hints::NONE
        };
        let all = forms(b"http://a.com/to/b.com/http://c.com", hints).all;
        assert_eq!(
            all,
            [
                &b"http://a.com/to/b.com/http://c.com"[..],
                b"b.com/http://c.com",
                b"http://b.com/http://c.com",
                b"http://c.com",
            ]
        );
    }

    #[test]
    fn addresses() {
        check("mailto:me@a.com?subject=x&y", &["mailto:me@a.com"]);
        check("mailto:me@a.com&x?y", &["mailto:me@a.com&x", "mailto:me@a.com"]);
        check("mailto:%20me@a.com%20x", &["mailto:me@a.com"]);
        check("mailto:Me<me@a.com>", &["mailto:me@a.com"]);
        check("me@a.com", &[]);
    }

    #[test]
    fn no_links() {
        for raw in ["", "#", "#top", "?x", "/a.png", "cid:a@b", "javascript:x"] {
            check(raw, &[]);
        }
    }

    #[test]
    fn limits() {
        let chain = "http://a.com/".repeat(600);
        assert_eq!(forms(chain.as_bytes(), Hints::NONE).all.len(), TARGETS + 1);
        let long = format!("http://a.com/{}", "%".repeat(LENGTH - 20)) + "%41";
        let forms = forms(long.as_bytes(), Hints::NONE);
        assert!(forms.truncated && forms.all.iter().all(|form| form.len() <= LENGTH));
        for unit in ["<", "&#", "%20", "http:", "@", "0x", "&#0"] {
            super::forms(unit.repeat(LENGTH).as_bytes(), Hints::NONE);
        }
    }
}
