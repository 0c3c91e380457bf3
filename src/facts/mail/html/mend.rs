//! What SpamAssassin mends in HTML before it is parsed.
//!
//! Comes in: HTML. Goes out: the same, borrowed where nothing is to be mended.
//! Not an error: anything.

use std::borrow::Cow;

use memchr::{memchr, memmem};

/// HTML as SpamAssassin mends it before it is parsed: hard blanks are blanks, `<br/>` is
/// `<br>`, typographic quotes are quotes.
pub(super) fn mended(html: &str) -> Cow<'_, str> {
    let bytes = html.as_bytes();
    let quoted = memmem::find(bytes, "\u{201C}".as_bytes()).is_some()
        || memmem::find(bytes, "\u{201D}".as_bytes()).is_some();
    let mut html = Cow::Borrowed(html);
    if memmem::find(bytes, b"&nbsp;").is_some() {
        html = Cow::Owned(html.replace("&nbsp;", " "));
    }
    if memmem::find(html.as_bytes(), b"/>").is_some() {
        html = Cow::Owned(without_slashes(&html));
    }
    if quoted {
        html = Cow::Owned(html.replace(['\u{201C}', '\u{201D}'], "\""));
    }
    html
}

/// `<br />` to `<br>`; tags with attributes stay.
fn without_slashes(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = memchr(b'<', rest.as_bytes()) {
        let (before, from) = rest.split_at(at + 1);
        out.push_str(before);
        let name_end = from.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(from.len());
        let (name, tail) = from.split_at(name_end);
        out.push_str(name);
        rest = tail;
        if !name.is_empty() {
            let after = tail.trim_start().strip_prefix("/>");
            if let Some(after) = after {
                out.push('>');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(html: &str, expected: &str) {
        assert_eq!(mended(html), expected, "{html:?}");
    }

    #[test]
    fn mends() {
        check("<br/>a<hr />b<a b />", "<br>a<hr>b<a b />");
        check("a&nbsp;b&amp;nbsp;", "a b&amp;nbsp;");
        check("<a href=\u{201D}x\u{201C}>", "<a href=\"x\">");
        check("</p/><//>< />", "</p/><//>< />");
    }
}
