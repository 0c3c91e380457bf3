//! UNC paths and `file:` links: opening one sends the user's credentials to a stranger
//! (CVE-2023-23397, CVE-2023-35636).

use crate::calendar::{RawLine, Reading};

/// A path with the place it was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Path<'r> {
    /// The path.
    pub(super) path: String,
    /// `VEVENT[0].URL`.
    pub(super) place: &'r str,
}

/// Properties whose value a program opens by itself or at a click.
fn is_opened(name: &str) -> bool {
    matches!(
        name,
        "URL" | "ATTACH" | "CONFERENCE" | "IMAGE" | "SOURCE" | "LINK" | "TZURL" | "STRUCTURED-DATA"
    ) || (name.starts_with("X-")
        && (name.contains("URL") || name.contains("URI") || name.contains("CONFERENCE")))
}

/// UNC paths of an event's raw lines: in values that are opened and in parameters
/// (`opened == true`), or in free text.
pub(super) fn unc_paths(reading: &Reading, event: usize, opened: bool) -> Vec<Path<'_>> {
    reading
        .calendars
        .iter()
        .flat_map(|calendar| &calendar.backslash_lines)
        .filter(|line| line.event == Some(event))
        .flat_map(|line| paths_of_line(line, opened))
        .collect()
}

fn paths_of_line(line: &RawLine, opened: bool) -> Vec<Path<'_>> {
    let (parameters, value) = split(&line.rest);
    let mut found = Vec::new();
    if opened {
        found.extend(find(parameters));
    }
    if is_opened(&line.name) == opened {
        // Text escapes each backslash; values that are opened are not text and hold them bare.
        let value = if opened { value.to_owned() } else { value.replace("\\\\", "\\") };
        found.extend(find(&value));
    }
    found.into_iter().map(|path| Path { path, place: &line.place }).collect()
}

/// Splits `;A="x:y":value` at the colon that ends the parameters.
pub(super) fn split(rest: &str) -> (&str, &str) {
    let mut quoted = false;
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b':' if !quoted => {
                return (
                    rest.get(..at).unwrap_or_default(),
                    rest.get(at + 1..).unwrap_or_default(),
                );
            }
            _ => {}
        }
    }
    ("", rest)
}

/// `\\host\share` or `\\host@SSL@443\share`, not after another backslash or a drive letter.
fn find(text: &str) -> Option<String> {
    for (at, _) in text.match_indices("\\\\") {
        let before = text.get(..at).unwrap_or_default().chars().next_back();
        if before.is_some_and(|c| c == '\\' || c == ':' || c.is_alphanumeric()) {
            continue;
        }
        let rest = text.get(at + 2..).unwrap_or_default().trim_start_matches('\\');
        let host_end = rest
            .find(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '@' | '?')))
            .unwrap_or(rest.len());
        let (host, path) = rest.split_at(host_end);
        let share = path.trim_start_matches('\\').chars().next();
        let plausible = host.len() >= 2
            && path.starts_with('\\')
            && share.is_some_and(|c| c.is_alphanumeric() || matches!(c, '$' | '_' | '.' | '%'))
            // `\\n` and the like are escapes written twice, not hosts.
            && (host.contains('.') || host.contains('@') || host.len() >= 3);
        if plausible {
            let path = text.get(at..).unwrap_or_default();
            return Some(
                path.chars()
                    .take_while(|c| !matches!(c, '"' | '<' | '>') && !c.is_whitespace())
                    .take(120)
                    .collect(),
            );
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, rest: &str, opened: bool, expected: &[&str]) {
        let line = RawLine {
            event: Some(0),
            place: format!("VEVENT[0].{name}"),
            name: name.to_owned(),
            rest: rest.to_owned(),
        };
        let paths: Vec<String> =
            paths_of_line(&line, opened).into_iter().map(|path| path.path).collect();
        assert_eq!(paths, expected, "{name}{rest}");
    }

    #[test]
    fn finds_paths_in_opened_values_and_parameters() {
        check("URL", r":\\evil.example\share\x", true, &[r"\\evil.example\share\x"]);
        check("ATTACH", r":\\\\evil.example\\share", true, &[r"\\\\evil.example\\share"]);
        check("DESCRIPTION", r#";ALTREP="\\evil.example\a":text"#, true, &[r"\\evil.example\a"]);
        check("X-CORP-URL", r":\\192.0.2.1@80\x\y", true, &[r"\\192.0.2.1@80\x\y"]);
        check("DESCRIPTION", r":see \\\\files.corp.test\\team", true, &[]);
    }

    #[test]
    fn finds_paths_in_text() {
        check(
            "DESCRIPTION",
            r":see \\\\files.corp.test\\team",
            false,
            &[r"\\files.corp.test\team"],
        );
        check("DESCRIPTION", r":line\\nnext C:\\Users\\vic", false, &[]);
        check("DESCRIPTION", r":\\\\alpha + \\\\beta", false, &[]);
        check("DESCRIPTION", r":a\\\\b", false, &[]);
        check("URL", r":\\evil.example\share", false, &[]);
    }
}
