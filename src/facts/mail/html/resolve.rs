//! Relative links made absolute, as SpamAssassin does it (RFC 2396 §5.2, with its habits).
//!
//! Comes in: the document's base, empty when it has none, and a link.
//! Goes out: the link made absolute as far as can be.
//! Not an error: anything.

/// The pieces of a link; a piece that is not there is not the same as an empty one.
#[derive(Default, Clone, Copy)]
struct Pieces<'u> {
    scheme: Option<&'u str>,
    authority: Option<&'u str>,
    path: &'u str,
    query: Option<&'u str>,
    fragment: Option<&'u str>,
}

impl<'u> Pieces<'u> {
    fn of(link: &'u str) -> Self {
        let mut found = Self::default();
        let mut rest = link;
        if let Some((scheme, tail)) = rest.split_once(':')
            && !scheme.is_empty()
            && !scheme.contains(['/', '?', '#'])
        {
            found.scheme = Some(scheme);
            rest = tail;
        }
        // A fragment ends at the line's end, and the link with it.
        if let Some((before, fragment)) = rest.split_once('#') {
            found.fragment = fragment.split('\n').next();
            rest = before;
        }
        if let Some((before, query)) = rest.split_once('?') {
            found.query = Some(query);
            rest = before;
        }
        found.path = rest;
        if let Some(tail) = rest.strip_prefix("//") {
            let end = tail.find('/').unwrap_or(tail.len());
            let (authority, path) = tail.split_at(end);
            found.authority = Some(authority);
            found.path = path;
        }
        found
    }
}

/// The link as the reader's mail program would follow it.
pub(super) fn resolve(base: &str, link: &str) -> String {
    let base = Pieces::of(base);
    let mut link = Pieces::of(link);
    if link.scheme.is_some() && link.scheme == base.scheme {
        link.scheme = None;
    }
    let (scheme, authority, path, query);
    if link.scheme.is_some() || link.authority.is_some() {
        scheme = link.scheme.or(base.scheme);
        authority = link.authority;
        path = without_dots(link.path);
        query = link.query;
    } else {
        scheme = base.scheme;
        authority = base.authority;
        if link.path.is_empty() {
            path = base.path.to_owned();
            query = link.query.or(base.query);
        } else {
            path = if link.path.starts_with('/') {
                without_dots(link.path)
            } else if base.authority.is_some() && base.path.is_empty() {
                without_dots(&format!("/{}", link.path))
            } else {
                let folder = base.path.rfind('/').and_then(|end| base.path.get(..=end));
                without_dots(&format!("{}{}", folder.unwrap_or_default(), link.path))
            };
            query = link.query;
        }
    }
    compose(scheme, authority, &path, query, link.fragment)
}

fn compose(
    scheme: Option<&str>,
    authority: Option<&str>,
    path: &str,
    query: Option<&str>,
    fragment: Option<&str>,
) -> String {
    let mut out = String::with_capacity(path.len() + 32);
    match (scheme, authority) {
        (Some(scheme), _) => {
            out.push_str(scheme);
            out.push(':');
        }
        (None, Some(host)) if is_numbered_host(host, "www") => out.push_str("http:"),
        (None, Some(host)) if is_numbered_host(host, "ftp") => out.push_str("ftp:"),
        (None, _) => {}
    }
    if let Some(authority) = authority {
        out.push_str("//");
        out.push_str(authority);
    }
    out.push_str(path);
    for (mark, piece) in [('?', query), ('#', fragment)] {
        if let Some(piece) = piece {
            out.push(mark);
            out.push_str(piece);
        }
    }
    out
}

/// `www.`, `www2.`
fn is_numbered_host(host: &str, kind: &str) -> bool {
    let head = host.get(..kind.len()).is_some_and(|head| head.eq_ignore_ascii_case(kind));
    let rest = host.get(kind.len()..).unwrap_or_default();
    head && rest.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with('.')
}

/// Takes `.` and `..` out of a path.
fn without_dots(path: &str) -> String {
    let rest = path.strip_prefix("./").or_else(|| path.strip_prefix("../"));
    let first_slash = rest.map(|rest| path.len() - rest.len() - 1);
    let mut rest = first_slash.and_then(|at| path.get(at..)).unwrap_or(path);
    let mut out = String::with_capacity(rest.len());
    // Perl takes "0" for nothing, which ends a path there.
    while !rest.is_empty() && rest != "0" {
        let slash = usize::from(rest.starts_with('/'));
        let length =
            rest.get(slash..).and_then(|tail| tail.find('/')).map_or(rest.len(), |at| at + slash);
        let (segment, tail) = rest.split_at(length);
        // The slash behind a dot stays, and one is put there where the path ends.
        let tail = if tail.is_empty() { "/" } else { tail };
        match segment {
            "/." => rest = tail,
            "/.." => {
                let end = out.rfind('/').unwrap_or(0);
                out.truncate(end);
                rest = tail;
            }
            _ => {
                out.push_str(segment);
                rest = rest.get(length..).unwrap_or_default();
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(base: &str, link: &str, expected: &str) {
        assert_eq!(resolve(base, link), expected, "{link} at {base}");
    }

    #[test]
    fn links() {
        check("", "http://a.example/x?y#z", "http://a.example/x?y#z");
        check("", "a/b", "a/b");
        check("", "//www2.a.example/x", "http://www2.a.example/x");
        check("", "//a.example/x", "//a.example/x");
        check("", "http://a.example/b/../c/./d/.", "http://a.example/c/d/");
        check("", "http://a.example/b/..", "http://a.example/");
        check("http://a.example/b/", "c", "http://a.example/b/c");
        check("http://a.example/b/", "../c", "http://a.example/c");
        check("http://a.example/b/", "/c?d", "http://a.example/c?d");
        check("http://a.example/b/", "?d", "http://a.example/b/?d");
        check("http://a.example/b/", "#d", "http://a.example/b/#d");
        check("http://a.example", "c", "http://a.example/c");
        check("http://a.example/b/", "http:c", "http://a.example/b/c");
        check("http://a.example/b/", "https://b.example", "https://b.example");
        check("http://a.example/b/", "//b.example/c", "http://b.example/c");
    }
}
