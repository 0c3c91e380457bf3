//! File names of attachments, and what they end in.

use crate::calendar::Property;
use crate::facts::paths;

/// Longest ending that counts as one.
const ENDING: usize = 16;

/// File names that parameters of a property give: FILENAME (RFC 8607), X-FILENAME,
/// X-APPLE-FILENAME and the like.
pub(in super::super) fn of(property: &Property) -> impl Iterator<Item = &str> {
    property
        .parameters
        .iter()
        .filter(|(name, _)| name.ends_with("FILENAME"))
        .map(|(_, value)| value.as_str())
        .filter(|value| !value.is_empty())
}

/// The same of a line as written, where backslashes are still there.
pub(super) fn of_line(rest: &str) -> impl Iterator<Item = &str> {
    let (parameters, _) = paths::split(rest);
    let mut quoted = false;
    let pieces = parameters.split(move |c: char| {
        quoted ^= c == '"';
        c == ';' && !quoted
    });
    pieces.filter_map(|piece| {
        let (name, value) = piece.split_once('=')?;
        name.trim().to_ascii_uppercase().ends_with("FILENAME").then_some(value.trim_matches('"'))
    })
}

/// What a file name ends in, lower case, as the system that opens it sees it: dots, spaces
/// and quotes at the end do not count, nor does what follows a colon.
pub(in super::super) fn extension(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next()?;
    // `run.exe::$DATA` is the file run.exe; a drive letter has gone with its backslash.
    let last = last.split(':').next()?;
    let trimmed =
        last.trim_end_matches(|c: char| c.is_whitespace() || c.is_control() || ".\"'".contains(c));
    let (before, ending) = trimmed.rsplit_once('.')?;
    // Marks that only turn text around are not part of it.
    let ending: String = ending.chars().filter(|c| !is_direction(*c)).collect();
    let plausible = !before.is_empty()
        && (1..=ENDING).contains(&ending.len())
        && ending.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    plausible.then(|| ending.to_ascii_lowercase())
}

/// Characters that change the direction of text (UAX 9).
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What the path of a link ends in.
pub(in super::super) fn link_extension(url: &str) -> Option<String> {
    let after = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = after.split(['?', '#']).next()?;
    let (_, path) = path.split_once(['/', '\\'])?;
    let decoded = super::percent_decoded(path);
    extension(&String::from_utf8_lossy(&decoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_lines() {
        let line = r#";FILENAME="..\..\a;b.exe";FMTTYPE=x;X-FileName=c:\d.txt:https://x"#;
        // The second name is cut at its colon, as RFC 5545 has it.
        assert_eq!(of_line(line).collect::<Vec<_>>(), [r"..\..\a;b.exe", "c"]);
        assert_eq!(of_line(":https://x").count(), 0);
    }

    #[test]
    fn endings_of_names() {
        for (name, expected) in [
            ("agenda.PDF", Some("pdf")),
            ("invoice.pdf.exe", Some("exe")),
            ("run.exe. ", Some("exe")),
            ("run.exe::$DATA", Some("exe")),
            ("invoice\u{202e}fdp.exe", Some("exe")),
            ("invoice.\u{202e}fdp.scr\u{202c}", Some("scr")),
            (r"C:\Users\ann\agenda.docx", Some("docx")),
            ("../../x.search-ms", Some("search-ms")),
            (".profile", None),
            ("Meeting no. 4 of the board", None),
            ("agenda", None),
            ("", None),
        ] {
            assert_eq!(extension(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn endings_of_links() {
        for (url, expected) in [
            ("https://files.example/a/setup.msi?x=1.pdf", Some("msi")),
            ("https://files.example/a/setup%2Eexe#top", Some("exe")),
            ("https://files.example", None),
            ("https://files.example/a?file=setup.exe", None),
            ("file:///C:/x.bat", Some("bat")),
        ] {
            assert_eq!(link_extension(url).as_deref(), expected, "{url}");
        }
    }
}
