//! What single tags and attributes say.
//!
//! Comes in: names and values. Goes out: answers to small questions.
//! Not an error: values that mean nothing.

/// Elements of HTML 4 and XHTML 1, and the few besides that mail programs write.
const ELEMENTS: [&str; 94] = [
    "a",
    "abbr",
    "acronym",
    "address",
    "applet",
    "area",
    "b",
    "base",
    "basefont",
    "bdo",
    "big",
    "blockquote",
    "body",
    "br",
    "button",
    "caption",
    "center",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "del",
    "dfn",
    "dir",
    "div",
    "dl",
    "dt",
    "em",
    "fieldset",
    "font",
    "form",
    "frame",
    "frameset",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "hr",
    "html",
    "i",
    "iframe",
    "img",
    "input",
    "ins",
    "isindex",
    "kbd",
    "label",
    "legend",
    "li",
    "link",
    "map",
    "menu",
    "meta",
    "nobr",
    "noframes",
    "noscript",
    "object",
    "ol",
    "optgroup",
    "option",
    "p",
    "param",
    "pre",
    "q",
    "s",
    "samp",
    "script",
    "select",
    "small",
    "span",
    "strike",
    "strong",
    "style",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "textarea",
    "tfoot",
    "th",
    "thead",
    "title",
    "tr",
    "tt",
    "u",
    "ul",
    "var",
    "x-sigsep",
    "x-tab",
];

/// True for elements that HTML knows.
pub(super) fn known_element(tag: &str) -> bool {
    ELEMENTS.binary_search(&tag).is_ok()
}

/// True when the names of fonts look like none: letters, spaces and hyphens, perhaps a digit
/// at the end, in quotes or not, parted by commas.
pub(super) fn face_is_bad(face: &str) -> bool {
    let face = face.strip_suffix('\n').unwrap_or(face);
    let face = face.strip_suffix(';').unwrap_or(face);
    let mut names = face.split(',').map(str::trim_start);
    let first = names.next().unwrap_or_default();
    let first = first.strip_prefix(['"', '\'', '.']).unwrap_or(first);
    let rest_is_fine =
        names.all(|name| is_font_name(name.strip_prefix(['"', '\'']).unwrap_or(name), false));
    // Space in front of the first name may be part of it, so that one letter is enough.
    let spaced = face.starts_with(' ');
    !(is_font_name(first, spaced) && rest_is_fine)
}

fn is_font_name(name: &str, spaced: bool) -> bool {
    let name = name.strip_suffix(['"', '\'']).unwrap_or(name);
    let name = name.strip_suffix(|c: char| c.is_ascii_digit()).unwrap_or(name);
    let least = if spaced || name.starts_with(' ') { 1 } else { 2 };
    let name = name.trim_start_matches(' ');
    name.len() >= least
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.ends_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b' ' | b'-'))
}

/// Pixels of an image's side; `percent` is how many pixels one percent has. Zero where
/// nothing is to be read.
pub(super) fn image_side(text: &str, percent: f64) -> f64 {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let (digits, unit) = text.strip_suffix('%').map_or((text, 1.0), |digits| (digits, percent));
    let known = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if known { digits.parse::<f64>().unwrap_or(0.0) * unit } else { 0.0 }
}

/// The link that a page goes on to by itself: what follows the last `url=`.
pub(super) fn refresh_target(content: &str) -> Option<&str> {
    let lower = content.to_ascii_lowercase();
    let (at, length) = lower.rmatch_indices("url").find_map(|(at, word)| {
        let inside_word = lower
            .get(..at)
            .is_some_and(|before| before.ends_with(|c: char| c.is_alphanumeric() || c == '_'));
        let tail = lower.get(at + word.len()..)?;
        let spaces = tail.len() - tail.trim_start().len();
        (!inside_word && tail.get(spaces..)?.starts_with('='))
            .then_some((at, word.len() + spaces + 1))
    })?;
    let link = content.get(at + length..)?.trim_start();
    link.split(';').next().map(str::trim_end)
}

/// The charset in the value of a `meta` element.
pub(super) fn charset(content: &str) -> Option<&str> {
    let lower = content.to_ascii_lowercase();
    lower.match_indices("charset").find_map(|(at, word)| {
        let inside_word = lower
            .get(..at)
            .is_some_and(|before| before.ends_with(|c: char| c.is_alphanumeric() || c == '_'));
        let rest = content.get(at + word.len()..)?.trim_start().strip_prefix('=')?.trim_start();
        let rest = rest.strip_prefix(['"', '\'']).unwrap_or(rest);
        let value = rest.split(['"', '\'']).next().filter(|value| !value.is_empty());
        value.filter(|_| !inside_word)
    })
}

/// What a `base` makes of the links behind it: the link without a file at its end. Only
/// links of the web are bases.
pub(super) fn base_address(link: &str) -> Option<String> {
    let scheme = ["https:", "http:", "ftp:"].into_iter().find(|scheme| {
        link.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    })?;
    let slashes =
        link.get(scheme.len()..)?.bytes().take(2).take_while(|byte| *byte == b'/').count();
    let host_at = scheme.len() + slashes;
    let mut base = link.to_owned();
    if let Some(host_end) = link.get(host_at..)?.find('/').filter(|length| *length > 0) {
        let path_at = host_at + host_end + 1;
        let file_at = link.rfind('/').map_or(path_at, |slash| (slash + 1).max(path_at));
        let file = link.get(file_at..).unwrap_or_default();
        if let Some((stem, ending)) = file.rsplit_once('.')
            && (2..=4).contains(&ending.chars().count())
            && !stem.is_empty()
            && !stem.ends_with('.')
        {
            let kept = stem.rfind('.').map_or(0, |dot| dot + 1);
            base.truncate(file_at + kept);
        }
    }
    if !base.ends_with('/') {
        base.push('/');
    }
    Some(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_in_order() {
        let mut sorted = ELEMENTS;
        sorted.sort_unstable();
        assert_eq!(ELEMENTS, sorted);
    }

    #[track_caller]
    fn check_face(face: &str, bad: bool) {
        assert_eq!(face_is_bad(face), bad, "{face:?}");
    }

    #[test]
    fn fonts() {
        check_face("Arial", false);
        check_face("'Montserrat', sans-serif", false);
        check_face("Arial,Helvetica;", false);
        check_face(".SomeFont", false);
        check_face("kaku-w3", false);
        check_face("Arial1234", true);
        check_face("A", true);
        check_face("", true);
        check_face("Arial,,Times", true);
        check_face("Schrift\u{e4}", true);
    }

    #[track_caller]
    fn check_refresh(content: &str, expected: Option<&str>) {
        assert_eq!(refresh_target(content), expected, "{content:?}");
    }

    #[test]
    fn refreshes() {
        check_refresh("0; URL = http://a.example/x ; y", Some("http://a.example/x"));
        check_refresh("5", None);
        check_refresh("0;curl=x", None);
        check_refresh("0;url=x url=y", Some("y"));
    }

    #[track_caller]
    fn check_base(link: &str, expected: Option<&str>) {
        assert_eq!(base_address(link).as_deref(), expected, "{link:?}");
    }

    #[test]
    fn bases() {
        check_base("http://a.example", Some("http://a.example/"));
        check_base("http://a.example/b/index.html", Some("http://a.example/b/"));
        check_base("http://a.example/b", Some("http://a.example/b/"));
        check_base("mailto:a@b.example", None);
        check_base("/b/", None);
    }

    #[test]
    fn sides_and_charsets() {
        assert!((image_side("50%", 8.0) - 400.0).abs() < 0.1);
        assert!((image_side("50", 8.0) - 50.0).abs() < 0.1);
        assert!(image_side("50px", 8.0) < 0.1);
        assert_eq!(charset("text/html; charset = 'koi8-r'"), Some("koi8-r"));
        assert_eq!(charset("text/html"), None);
    }
}
