//! Translates escapes and bracketed classes of Perl regexes.

use std::fmt::Write as _;

use super::pattern::Dialect;
use super::translate::Input;

/// What an escape or a member of a class stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unit {
    /// A code by number: a byte (a character, when it does not fit one), or a character.
    Code(u32),
    /// A character as written.
    Literal(char),
    /// A class, written for use inside brackets.
    Inside(&'static str),
    /// A class or property that is written the same inside brackets and outside.
    Both(String),
}

/// Reads an escape whose backslash is gone already.
pub(super) fn escape(
    input: &mut Input<'_>,
    dialect: Dialect,
    inside: bool,
) -> Result<Unit, String> {
    let Some(c) = input.bump() else {
        return Err("the pattern ends with a backslash".to_owned());
    };
    Ok(match c {
        'x' => Unit::Code(hexadecimal(input)?),
        'o' if input.eat("{") => {
            let digits = input.until("}").unwrap_or("");
            Unit::Code(code(digits, 8, "\\o")?)
        }
        '0'..='7' => {
            let more = input.take(2, |c| matches!(c, '0'..='7'));
            Unit::Code(code(&format!("{c}{more}"), 8, "\\")?)
        }
        'a' => Unit::Code(7),
        'b' if inside => Unit::Code(8),
        't' => Unit::Code(9),
        'n' => Unit::Code(10),
        'f' => Unit::Code(12),
        'r' => Unit::Code(13),
        'e' => Unit::Code(27),
        'c' => match input.bump() {
            Some(control) => Unit::Code(u32::from(control.to_ascii_uppercase()) ^ 0x40),
            None => return Err("`\\c` needs a letter".to_owned()),
        },
        'd' | 'D' | 's' | 'S' | 'w' | 'W' => Unit::Both(format!("\\{c}")),
        'h' => Unit::Inside(match dialect {
            Dialect::Bytes => r"\t\x20",
            Dialect::Unicode => r"\t\p{Zs}",
        }),
        'v' => Unit::Inside(r"\n\x0b\x0c\r"),
        'H' => Unit::Both(r"[^\t\x20]".to_owned()),
        'V' => Unit::Both(r"[^\n\x0b\x0c\r]".to_owned()),
        'N' if !inside => Unit::Both(r"[^\n]".to_owned()),
        'p' | 'P' => {
            let name = if input.eat("{") {
                input.until("}").unwrap_or("")
            } else {
                input.take(1, |_| true)
            };
            match dialect {
                Dialect::Bytes if inside => {
                    return Err("`\\p` inside a class needs characters, not bytes".to_owned());
                }
                Dialect::Bytes => Unit::Both(format!("(?u:\\{c}{{{name}}})")),
                Dialect::Unicode => Unit::Both(format!("\\{c}{{{name}}}")),
            }
        }
        c => Unit::Literal(c),
    })
}

fn hexadecimal(input: &mut Input<'_>) -> Result<u32, String> {
    if input.eat("{") {
        code(input.until("}").unwrap_or("").trim(), 16, "\\x")
    } else {
        match input.take(2, |c| c.is_ascii_hexdigit()) {
            // Perl: `\x` without digits is NUL.
            "" => Ok(0),
            digits => code(digits, 16, "\\x"),
        }
    }
}

fn code(digits: &str, radix: u32, prefix: &str) -> Result<u32, String> {
    u32::from_str_radix(digits, radix)
        .ok()
        .filter(|code| char::from_u32(*code).is_some())
        .ok_or_else(|| format!("`{prefix}{{{digits}}}` is not a character"))
}

/// Writes a unit outside brackets.
pub(super) fn push_unit(out: &mut String, unit: &Unit, dialect: Dialect) {
    match unit {
        Unit::Literal(c) if c.is_ascii_graphic() || dialect == Dialect::Unicode => {
            push_character(out, *c);
        }
        Unit::Code(code) if (0x21..0x7f).contains(code) => {
            push_character(out, char::from_u32(*code).unwrap_or(' '));
        }
        Unit::Code(_) | Unit::Literal(_) => {
            let octets = octets(unit, dialect);
            if octets.len() == 1 {
                out.push_str(&octets.concat());
            } else {
                let _ = write!(out, "(?:{})", octets.concat());
            }
        }
        Unit::Inside(members) => {
            let _ = write!(out, "[{members}]");
        }
        Unit::Both(text) => out.push_str(text),
    }
}

/// The escapes that make up a code or character: its bytes, or itself.
fn octets(unit: &Unit, dialect: Dialect) -> Vec<String> {
    let bytes = |c: char| -> Vec<String> {
        c.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("\\x{byte:02x}")).collect()
    };
    match (unit, dialect) {
        (Unit::Literal(c), Dialect::Bytes) => bytes(*c),
        (Unit::Literal(c), Dialect::Unicode) => vec![format!("\\x{{{:x}}}", u32::from(*c))],
        (Unit::Code(code), Dialect::Bytes) if *code > 0xff => {
            char::from_u32(*code).map(bytes).unwrap_or_default()
        }
        (Unit::Code(code), Dialect::Bytes) => vec![format!("\\x{code:02x}")],
        (Unit::Code(code), Dialect::Unicode) => vec![format!("\\x{{{code:x}}}")],
        (Unit::Inside(_) | Unit::Both(_), _) => Vec::new(),
    }
}

/// Writes a character that stands for itself.
pub(super) fn push_character(out: &mut String, c: char) {
    if r"\.+*?()|[]{}^$".contains(c) {
        out.push('\\');
    }
    out.push(c);
}

/// Writes a character as its UTF-8 bytes.
pub(super) fn push_bytes(out: &mut String, c: char) {
    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
        let _ = write!(out, "\\x{byte:02x}");
    }
}

/// Translates a bracketed class whose `[` is gone already.
pub(super) fn class(
    input: &mut Input<'_>,
    out: &mut String,
    dialect: Dialect,
) -> Result<(), String> {
    out.push('[');
    if input.eat("^") {
        out.push('^');
    }
    let mut first = true;
    while let Some(low) = member(input, dialect, first)? {
        first = false;
        let single = matches!(low, Unit::Code(_) | Unit::Literal(_));
        let ranged = single && input.peek() == Some('-') && !input.rest.starts_with("-]");
        if !ranged {
            push_member(out, &low, dialect);
            continue;
        }
        input.eat("-");
        match member(input, dialect, true)? {
            Some(high @ (Unit::Code(_) | Unit::Literal(_))) => {
                push_range(out, &low, &high, dialect)?;
            }
            Some(set) => {
                push_member(out, &low, dialect);
                out.push_str(r"\-");
                push_member(out, &set, dialect);
            }
            None => return Err("unclosed character class".to_owned()),
        }
    }
    out.push(']');
    Ok(())
}

/// Reads one member; `None` at the closing bracket.
fn member(input: &mut Input<'_>, dialect: Dialect, first: bool) -> Result<Option<Unit>, String> {
    Ok(Some(match input.bump() {
        None => return Err("unclosed character class".to_owned()),
        Some(']') if !first => return Ok(None),
        Some('[') if input.rest.starts_with(':') && posix(input.rest).is_some() => {
            let name = posix(input.rest).unwrap_or("");
            input.until(":]");
            Unit::Both(format!("[:{name}:]"))
        }
        Some('\\') => escape(input, dialect, true)?,
        Some(c) => Unit::Literal(c),
    }))
}

/// The name in `:alpha:]`.
fn posix(rest: &str) -> Option<&str> {
    let (name, _) = rest.strip_prefix(':')?.split_once(":]")?;
    name.chars().all(|c| c == '^' || c.is_ascii_lowercase()).then_some(name)
}

fn push_member(out: &mut String, unit: &Unit, dialect: Dialect) {
    let character = match unit {
        Unit::Literal(c) => Some(*c),
        Unit::Code(code) => char::from_u32(*code).filter(char::is_ascii),
        Unit::Inside(members) => return out.push_str(members),
        Unit::Both(text) => return out.push_str(text),
    };
    match character {
        Some(c) if r"[]\^-&~".contains(c) => {
            out.push('\\');
            out.push(c);
        }
        Some(c) if c.is_ascii_graphic() => out.push(c),
        Some(_) | None => out.push_str(&octets(unit, dialect).concat()),
    }
}

/// Between characters of several bytes the range is one between their last bytes, which is
/// what Perl makes of them when it sees bytes and the author meant one small alphabet.
fn push_range(out: &mut String, low: &Unit, high: &Unit, dialect: Dialect) -> Result<(), String> {
    let (mut from, mut to) = (octets(low, dialect), octets(high, dialect));
    let invalid = || "invalid range in a character class".to_owned();
    let (first, last) = (from.pop().ok_or_else(invalid)?, to.pop().ok_or_else(invalid)?);
    let ordered = match (low, high) {
        (Unit::Literal(a), Unit::Literal(b)) => a <= b,
        (Unit::Code(a), Unit::Literal(b)) => *a <= u32::from(*b),
        (Unit::Literal(a), Unit::Code(b)) => u32::from(*a) <= *b,
        (Unit::Code(a), Unit::Code(b)) => a <= b,
        (Unit::Inside(_) | Unit::Both(_), _) | (_, Unit::Inside(_) | Unit::Both(_)) => false,
    };
    if !ordered {
        return Err(invalid());
    }
    out.push_str(&from.concat());
    if from != to {
        out.push_str(&to.concat());
    }
    // Hexadecimal escapes of one length compare like their codes.
    if from == to || first <= last {
        let _ = write!(out, "{first}-{last}");
    } else {
        let _ = write!(out, "{first}{last}");
    }
    Ok(())
}
