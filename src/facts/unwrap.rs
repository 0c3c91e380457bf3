//! Takes links out of the wrappers that mail filters, mail programs and portals put around
//! them, without asking anybody: a link is never fetched.
//!
//! Sources: the public descriptions of the wrappers; see `docs/rules.md` for the list.

use std::borrow::Cow;

use url::Url;

/// Wrappers inside wrappers followed.
const DEPTH: usize = 4;

/// How a wrapper carries its target.
enum Carrier {
    /// In one of these query parameters, as it is.
    Query(&'static [&'static str]),
    /// In this query parameter, base64 of the URL.
    Base64(&'static str),
    /// Bing's click links: base64url after a two-letter prefix.
    Bing,
    /// The path from this segment on, percent-encoded.
    PathAfter(&'static str),
    /// `/amp/s/host/path`.
    Amp,
    /// Proofpoint URL defence v2: `-` for `%`, `_` for `/`.
    ProofpointV2,
    /// Proofpoint URL defence v3.
    ProofpointV3,
}

/// Host suffix, path prefix, carrier.
const WRAPPERS: &[(&str, &str, Carrier)] = &[
    ("safelinks.protection.outlook.com", "", Carrier::Query(&["url"])),
    ("safelinks.o365.us", "", Carrier::Query(&["url"])),
    ("statics.teams.cdn.office.net", "/evergreen-assets/safelinks", Carrier::Query(&["url"])),
    ("l.facebook.com", "/l.php", Carrier::Query(&["u"])),
    ("lm.facebook.com", "/l.php", Carrier::Query(&["u"])),
    ("l.instagram.com", "", Carrier::Query(&["u"])),
    ("l.messenger.com", "", Carrier::Query(&["u"])),
    ("linkprotect.cudasvc.com", "/url", Carrier::Query(&["a"])),
    ("secure-web.cisco.com", "", Carrier::PathAfter("")),
    ("awstrack.me", "/L0/", Carrier::PathAfter("L0")),
    ("youtube.com", "/redirect", Carrier::Query(&["q"])),
    ("linkedin.com", "/redir/redirect", Carrier::Query(&["url"])),
    ("out.reddit.com", "", Carrier::Query(&["url"])),
    ("slack-redir.net", "/link", Carrier::Query(&["url"])),
    ("steamcommunity.com", "/linkfilter", Carrier::Query(&["url", "u"])),
    ("duckduckgo.com", "/l/", Carrier::Query(&["uddg"])),
    ("t.umblr.com", "/redirect", Carrier::Query(&["z"])),
    ("clicktime.symantec.com", "", Carrier::Query(&["u"])),
    ("trendmicro.com", "/wis/clicktime", Carrier::Query(&["url"])),
    ("protection.sophos.com", "", Carrier::Base64("u")),
    ("deref-gmx.net", "", Carrier::Query(&["redirectUrl"])),
    ("deref-web.de", "", Carrier::Query(&["redirectUrl"])),
    ("deref-web-02.de", "", Carrier::Query(&["redirectUrl"])),
    ("bing.com", "/ck/a", Carrier::Bing),
    ("vk.com", "/away.php", Carrier::Query(&["to"])),
    ("urldefense.proofpoint.com", "/v1/", Carrier::Query(&["u"])),
    ("urldefense.proofpoint.com", "/v2/", Carrier::ProofpointV2),
    ("urldefense.proofpoint.com", "/v3/", Carrier::ProofpointV3),
    ("urldefense.com", "/v3/", Carrier::ProofpointV3),
    ("urldefense.us", "/v3/", Carrier::ProofpointV3),
];

/// Targets of a link, outermost first; empty for a link that wraps nothing.
pub(super) fn targets(url: &str, host: &str) -> Vec<String> {
    let mut targets: Vec<String> = Vec::new();
    let mut current: (Cow<'_, str>, Cow<'_, str>) = (Cow::Borrowed(url), Cow::Borrowed(host));
    for _ in 0..DEPTH {
        let Some(target) = unwrap_once(&current.0, &current.1) else { break };
        if targets.contains(&target) || target == url {
            break;
        }
        let Some(host) = super::links::host_of(&target) else { break };
        targets.push(target.clone());
        current = (Cow::Owned(target), Cow::Owned(host));
    }
    targets
}

fn unwrap_once(url: &str, host: &str) -> Option<String> {
    let known = WRAPPERS.iter().find(|(suffix, path, _)| {
        covers(host, suffix) && (path.is_empty() || path_of(url).starts_with(path))
    });
    if let Some((_, _, carrier)) = known {
        return unwrap_known(url, carrier);
    }
    if host.starts_with("www.google.") || host.starts_with("google.") {
        match path_of(url) {
            path if path.starts_with("/url") => {
                return unwrap_known(url, &Carrier::Query(&["q", "url"]));
            }
            path if path.starts_with("/amp/") => return unwrap_known(url, &Carrier::Amp),
            _ => {}
        }
    }
    generic(url)
}

fn covers(host: &str, suffix: &str) -> bool {
    host.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Path, query and fragment of a URL as written.
fn path_of(url: &str) -> &str {
    let after = url.find("://").map_or(url, |at| url.get(at + 3..).unwrap_or_default());
    after.find('/').and_then(|at| after.get(at..)).unwrap_or_default()
}

fn unwrap_known(url: &str, carrier: &Carrier) -> Option<String> {
    let query = |names: &[&str]| -> Option<String> {
        let parsed = Url::parse(url).ok()?;
        names.iter().find_map(|name| {
            parsed.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        })
    };
    let target = match carrier {
        Carrier::Query(names) => query(names)?,
        Carrier::Base64(name) => decode_base64(&query(&[name])?)?,
        Carrier::Bing => {
            let value = query(&["u"])?;
            decode_base64(value.get(2..)?)?
        }
        Carrier::PathAfter(segment) => {
            let path = path_of(url);
            let path = if segment.is_empty() {
                path.rsplit('/').next()?
            } else {
                path.split('/').skip_while(|part| part != segment).nth(1)?
            };
            percent_decode(path)
        }
        Carrier::Amp => {
            let rest = path_of(url).strip_prefix("/amp/")?;
            match rest.strip_prefix("s/") {
                Some(rest) => format!("https://{rest}"),
                None => format!("http://{rest}"),
            }
        }
        Carrier::ProofpointV2 => {
            let value = query(&["u"])?;
            percent_decode(&value.replace('-', "%").replace('_', "/"))
        }
        Carrier::ProofpointV3 => proofpoint_v3(url)?,
    };
    absolute(&target)
}

/// Proofpoint v3 writes `v3/__URL__;REST!`: stars in URL stand for characters in REST.
fn proofpoint_v3(url: &str) -> Option<String> {
    let start = url.find("v3/__")? + 5;
    let rest = url.get(start..)?;
    let end = rest.find("__;")?;
    let masked = percent_decode(rest.get(..end)?);
    let tail = rest.get(end + 3..)?;
    let encoded = tail.get(..tail.find('!')?)?;
    let characters: Vec<char> = decode_base64(encoded)?.chars().collect();
    let mut characters = characters.into_iter();
    let mut out = String::with_capacity(masked.len());
    let mut chars = masked.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '*' {
            out.push(c);
            continue;
        }
        let count = if chars.peek() == Some(&'*') {
            chars.next();
            run_length(chars.next()?)?
        } else {
            1
        };
        out.extend(characters.by_ref().take(count));
    }
    // The scheme's second slash is lost on the way.
    if let Some((scheme, rest)) = out.split_once(":/")
        && !rest.starts_with('/')
    {
        return Some(format!("{scheme}://{rest}"));
    }
    Some(out)
}

fn run_length(c: char) -> Option<usize> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    ALPHABET.find(c).map(|at| at + 2)
}

/// A link that carries another one in its path or query: an open redirector, or a wrapper
/// this table does not know.
fn generic(url: &str) -> Option<String> {
    let path = path_of(url);
    if memchr::memmem::find(path.as_bytes(), b"://").is_none()
        && memchr::memchr(b'%', path.as_bytes()).is_none()
    {
        return None;
    }
    let lower = path.to_ascii_lowercase();
    let at = ["http://", "https://", "http%3a", "https%3a"]
        .iter()
        .filter_map(|scheme| lower.find(scheme))
        .min()?;
    let inner = path.get(at..)?;
    let encoded = inner.get(..8).is_some_and(|head| head.contains('%'));
    let inner = match inner.find(['&', ' ', '"', '\'']) {
        Some(end) => inner.get(..end)?,
        None => inner,
    };
    absolute(&if encoded { percent_decode(inner) } else { inner.to_owned() })
}

fn absolute(target: &str) -> Option<String> {
    let target = target.trim();
    let lower = target.get(..8).unwrap_or(target).to_ascii_lowercase();
    if lower.starts_with("http://") || lower.starts_with("https://") {
        Some(target.to_owned())
    } else if target.starts_with("//") {
        Some(format!("http:{target}"))
    } else if lower.starts_with("www.") {
        Some(format!("http://{target}"))
    } else {
        None
    }
}

pub(super) fn percent_decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let ahead = bytes.clone();
            let digits: Vec<u8> = ahead.take(2).collect();
            let value =
                std::str::from_utf8(&digits).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
            if let (Some(value), 2) = (value, digits.len()) {
                out.push(value);
                bytes.next();
                bytes.next();
                continue;
            }
        }
        out.push(byte);
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Base64, either alphabet, padding optional.
pub(super) fn decode_base64(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let mut buffer = 0_u32;
    let mut bits = 0;
    for byte in text.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => break,
            _ => return None,
        };
        buffer = (buffer << 6) | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push(u8::try_from((buffer >> bits) & 0xff).unwrap_or_default());
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: &[&str]) {
        let host = super::super::links::host_of(url).unwrap_or_default();
        assert_eq!(targets(url, &host), expected, "{url}");
    }

    #[test]
    fn unwraps_known_wrappers() {
        let target = "https://a.example/x?y=1";
        for url in [
            "https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fa.example%2Fx%3Fy%3D1&data=05",
            "https://www.google.com/url?q=https://a.example/x?y%3D1&sa=D",
            "https://www.google.de/url?sa=t&url=https%3A%2F%2Fa.example%2Fx%3Fy%3D1",
            "https://l.facebook.com/l.php?u=https%3A%2F%2Fa.example%2Fx%3Fy%3D1&h=AT",
            "https://linkprotect.cudasvc.com/url?a=https%3a%2f%2fa.example%2fx%3fy%3d1&c=E",
            "https://secure-web.cisco.com/1abc/https%3A%2F%2Fa.example%2Fx%3Fy%3D1",
            "https://x.r.eu.awstrack.me/L0/https:%2F%2Fa.example%2Fx%3Fy=1/1/010/abc=1",
            "https://urldefense.proofpoint.com/v2/url?u=https-3A__a.example_x-3Fy-3D1&d=Dw",
            "https://urldefense.com/v3/__https:/a.example/x?y=1__;!!abc!def$",
            "https://www.bing.com/ck/a?!&&p=1&u=a1aHR0cHM6Ly9hLmV4YW1wbGUveD95PTE&ntb=1",
            "https://eu.protection.sophos.com/?d=a.example&u=aHR0cHM6Ly9hLmV4YW1wbGUveD95PTE=",
            "https://redirect.example/go?to=https%3A%2F%2Fa.example%2Fx%3Fy%3D1",
        ] {
            check(url, &[target]);
        }
        check("https://www.google.com/amp/s/a.example/p", &["https://a.example/p"]);
        check(
            "https://urldefense.com/v3/__https://a.example/*x__;w6k!!k!s$",
            &["https://a.example/éx"],
        );
    }

    #[test]
    fn unwraps_wrappers_in_wrappers_but_not_for_ever() {
        check(
            "https://l.facebook.com/l.php?u=https%3A%2F%2Fwww.google.com%2Furl%3Fq%3Dhttps%253A%252F%252Fa.example%252F",
            &["https://www.google.com/url?q=https%3A%2F%2Fa.example%2F", "https://a.example/"],
        );
        let deep = format!(
            "https://r.example/?u={}https://z.example/",
            "https://r.example/?u=".repeat(50)
        );
        let host = super::super::links::host_of(&deep).unwrap_or_default();
        assert!(targets(&deep, &host).len() <= DEPTH);
    }

    #[test]
    fn leaves_plain_links_alone() {
        for url in [
            "https://a.example/x?y=1",
            "https://calendar.google.com/calendar/event?action=VIEW&eid=abc",
            "https://zoom.us/j/123?pwd=abc",
        ] {
            check(url, &[]);
        }
    }
}
