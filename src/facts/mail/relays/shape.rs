//! Shapes of lines: small templates with holes, and the backtracking reader that fills them.
//!
//! Comes in: a template, and a line whose white space runs are single spaces.
//! Goes out: what stands in the holes, when the line begins with the template.
//! Not an error: a line that does not fit. A line made to hurt uses up its [`Effort`] and
//! fits nothing from then on.
//!
//! A template is text that stands in the line as written, with holes:
//!
//! | Hole | Stands for |
//! |------|------------|
//! | `{helo}` `{rdns}` … | a word, kept under that name; with `?` it may be empty |
//! | `{w}` `{w?}` | a word that is not kept |
//! | `{ip}` `{addr}` | an IP address, kept or not |
//! | `{d}` | digits |
//! | `{_}` `{__}` | anything, as little or as much as possible |
//! | `{sub}` | anything, as little as possible, kept |
//! | `{in}` `{in?}` `{in:auth}` | anything but a closing parenthesis; kept under a name |
//! | `{bare?:helo}` | a word without parentheses, kept; may be empty |
//! | `{dotted:rdns}` | a word with a dot inside, kept |
//! | `{lazy:id}` | as little of a word as possible, kept |
//! | `{at}` `{angle}` | a word without `@`; anything but `>` |
//! | `{dotless}` `{upto100}` `{letter}` | no dot in it; 100 octets at most; one letter |
//! | `{local}` | a name or address of the very host |
//! | `{SMTP\|QMQP}` `{auth:A\|B}` | one of these; kept under a name |
//! | `{edge}` `{end}` `{!x}` | edge of a word; end of the line; `x` does not follow |
//! | `«…»` | what may be missing |

use super::address::{ends_at, is_word, localhost_at};

/// Steps a message may cost; a sensible line costs some thousands over all templates.
const STEPS: usize = 2_000_000;

/// Steps one template may cost on one line.
const STEPS_OF_A_SHAPE: usize = 30_000;

/// How much may still be tried.
#[derive(Debug)]
pub(super) struct Effort {
    left: usize,
}

impl Effort {
    pub(super) const fn new() -> Self {
        Self { left: STEPS }
    }
}

/// Names of what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Ip,
    Helo,
    Rdns,
    By,
    Id,
    Ident,
    Auth,
    Sub,
}

impl Field {
    const COUNT: usize = 8;

    fn read(name: &str) -> Option<Self> {
        Some(match name {
            "ip" => Self::Ip,
            "helo" => Self::Helo,
            "rdns" => Self::Rdns,
            "by" => Self::By,
            "id" => Self::Id,
            "ident" => Self::Ident,
            "auth" => Self::Auth,
            "sub" => Self::Sub,
            _ => return None,
        })
    }
}

/// What stood in the holes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Found<'l> {
    spans: [Option<(usize, usize)>; Field::COUNT],
    line: &'l [u8],
}

impl<'l> Found<'l> {
    /// What was kept under a name; `None` when the part that has it was missing.
    pub(super) fn get(&self, field: Field) -> Option<&'l [u8]> {
        let (start, end) = self.spans.get(field as usize).copied().flatten()?;
        self.line.get(start..end)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Word,
    Bare,
    Digits,
    Inside,
    Any,
    At,
    Angle,
    Dotless,
}

impl Class {
    fn holds(self, byte: u8) -> bool {
        match self {
            Self::Word => byte != b' ',
            Self::Bare => !matches!(byte, b' ' | b'(' | b')'),
            Self::Digits => byte.is_ascii_digit(),
            Self::Inside => byte != b')',
            Self::Any => true,
            Self::At => !matches!(byte, b' ' | b'@'),
            Self::Angle => byte != b'>',
            Self::Dotless => byte != b'.',
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(&'static str),
    Run {
        class: Class,
        least: usize,
        lazy: bool,
        field: Option<Field>,
    },
    Dotted(Option<Field>),
    UpTo(usize),
    Letter,
    Address(Option<Field>),
    Local,
    OneOf(Vec<&'static str>, Option<Field>),
    Not(&'static str),
    Edge,
    End,
    /// The next so many pieces may be missing.
    Maybe(usize),
}

/// A template.
#[derive(Debug)]
pub(super) struct Shape {
    pieces: Vec<Piece>,
}

impl Shape {
    /// Reads a template of ours.
    pub(super) fn new(template: &'static str) -> Self {
        let mut pieces = Vec::new();
        let mut open = Vec::new();
        let mut rest = template;
        while let Some(c) = rest.chars().next() {
            match c {
                '{' => {
                    let hole = rest.get(1..).unwrap_or_default();
                    let (hole, after) = hole.split_once('}').unwrap_or((hole, ""));
                    pieces.push(hole_of(hole));
                    rest = after;
                }
                '«' => {
                    open.push(pieces.len());
                    pieces.push(Piece::Maybe(0));
                    rest = rest.get(c.len_utf8()..).unwrap_or_default();
                }
                '»' => {
                    if let Some(start) = open.pop() {
                        let length = pieces.len() - start - 1;
                        if let Some(piece) = pieces.get_mut(start) {
                            *piece = Piece::Maybe(length);
                        }
                    }
                    rest = rest.get(c.len_utf8()..).unwrap_or_default();
                }
                _ => {
                    let length = rest.find(['{', '«', '»']).unwrap_or(rest.len());
                    let (text, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
                    pieces.push(Piece::Text(text));
                    rest = after;
                }
            }
        }
        Self { pieces }
    }

    /// What stands in the holes, when `line` begins with the template.
    pub(super) fn read<'l>(&self, line: &'l [u8], effort: &mut Effort) -> Option<Found<'l>> {
        let steps = effort.left.min(STEPS_OF_A_SHAPE);
        let mut reader =
            Reader { pieces: &self.pieces, steps, found: Found { spans: [None; 8], line } };
        let fits = reader.fits(0, 0);
        effort.left -= steps - reader.steps;
        fits.then_some(reader.found)
    }
}

fn hole_of(hole: &'static str) -> Piece {
    let word = |field, least| Piece::Run { class: Class::Word, least, lazy: false, field };
    let run = |class, least, field| Piece::Run { class, least, lazy: false, field };
    match hole {
        "w" => word(None, 1),
        "w?" => word(None, 0),
        "ip" => Piece::Address(Some(Field::Ip)),
        "addr" => Piece::Address(None),
        "d" => run(Class::Digits, 1, None),
        "_" => Piece::Run { class: Class::Any, least: 0, lazy: true, field: None },
        "__" => run(Class::Any, 0, None),
        "sub" => Piece::Run { class: Class::Any, least: 0, lazy: true, field: Some(Field::Sub) },
        "in" => run(Class::Inside, 1, None),
        "in?" => run(Class::Inside, 0, None),
        "at" => run(Class::At, 1, None),
        "angle" => run(Class::Angle, 1, None),
        "dotless" => run(Class::Dotless, 1, None),
        "upto100" => Piece::UpTo(100),
        "letter" => Piece::Letter,
        "local" => Piece::Local,
        "edge" => Piece::Edge,
        "end" => Piece::End,
        _ => {
            let (head, tail) = hole.split_once(':').unwrap_or((hole, ""));
            if let Some(text) = hole.strip_prefix('!') {
                Piece::Not(text)
            } else if hole.contains('|') {
                match Field::read(head) {
                    Some(field) => Piece::OneOf(tail.split('|').collect(), Some(field)),
                    None => Piece::OneOf(hole.split('|').collect(), None),
                }
            } else {
                match head {
                    "in" => run(Class::Inside, 1, Field::read(tail)),
                    "in?" => run(Class::Inside, 0, Field::read(tail)),
                    "dotted" => Piece::Dotted(Field::read(tail)),
                    "lazy" => Piece::Run {
                        class: Class::Word,
                        least: 1,
                        lazy: true,
                        field: Field::read(tail),
                    },
                    "bare?" => run(Class::Bare, 0, Field::read(tail)),
                    name => match name.strip_suffix('?') {
                        Some(name) => word(Field::read(name), 0),
                        None => word(Field::read(name), 1),
                    },
                }
            }
        }
    }
}

struct Reader<'s, 'l> {
    pieces: &'s [Piece],
    steps: usize,
    found: Found<'l>,
}

impl Reader<'_, '_> {
    /// True when the pieces from `index` on fit at `position`.
    fn fits(&mut self, index: usize, position: usize) -> bool {
        if self.steps == 0 {
            return false;
        }
        self.steps -= 1;
        let (pieces, line) = (self.pieces, self.found.line);
        let Some(piece) = pieces.get(index) else {
            return true;
        };
        let rest = line.get(position..).unwrap_or_default();
        match piece {
            Piece::Text(text) => {
                rest.starts_with(text.as_bytes()) && self.fits(index + 1, position + text.len())
            }
            Piece::Not(text) => {
                !rest.starts_with(text.as_bytes()) && self.fits(index + 1, position)
            }
            Piece::End => rest.is_empty() && self.fits(index + 1, position),
            Piece::Edge => is_edge(line, position) && self.fits(index + 1, position),
            Piece::Maybe(length) => {
                self.fits(index + 1, position) || self.fits(index + 1 + length, position)
            }
            Piece::OneOf(words, field) => words.iter().any(|word| {
                rest.starts_with(word.as_bytes())
                    && self.keep(*field, index, position, position + word.len())
            }),
            Piece::Address(field) => {
                ends_at(line, position).any(|end| self.keep(*field, index, position, end))
            }
            Piece::Local => {
                localhost_at(line, position).any(|end| self.keep(None, index, position, end))
            }
            Piece::Letter => {
                rest.first().is_some_and(u8::is_ascii_alphabetic)
                    && self.fits(index + 1, position + 1)
            }
            Piece::UpTo(most) => {
                (0..=rest.len().min(*most)).rev().any(|run| self.fits(index + 1, position + run))
            }
            Piece::Dotted(field) => {
                let run = rest.iter().take_while(|byte| **byte != b' ').count();
                let dot = rest.iter().skip(1).position(|byte| *byte == b'.').map(|at| at + 1);
                (2..=run).rev().any(|length| {
                    dot.is_some_and(|dot| dot + 1 < length)
                        && self.keep(*field, index, position, position + length)
                })
            }
            Piece::Run { class, least, lazy, field } => {
                let run = if *class == Class::Any {
                    rest.len()
                } else {
                    rest.iter().take_while(|byte| class.holds(**byte)).count()
                };
                // The text that follows tells at once where the run cannot end.
                let next = match pieces.get(index + 1) {
                    Some(Piece::Text(text)) => text.as_bytes().first().copied(),
                    Some(_) | None => None,
                };
                let mut lengths = *least..run + 1;
                let mut passed = 0_usize;
                loop {
                    let length = if *lazy { lengths.next() } else { lengths.next_back() };
                    let Some(length) = length else {
                        return false;
                    };
                    if next.is_some() && rest.get(length).copied() != next {
                        passed += 1;
                        // To look is cheap, but not free.
                        if passed.is_multiple_of(32) {
                            self.steps = self.steps.saturating_sub(1);
                        }
                        continue;
                    }
                    if self.steps == 0 {
                        return false;
                    }
                    if self.keep(*field, index, position, position + length) {
                        return true;
                    }
                }
            }
        }
    }

    fn keep(&mut self, field: Option<Field>, index: usize, start: usize, end: usize) -> bool {
        let Some(field) = field else {
            return self.fits(index + 1, end);
        };
        let before = self.found.spans.get(field as usize).copied().flatten();
        self.set(field, Some((start, end)));
        let fits = self.fits(index + 1, end);
        if !fits {
            self.set(field, before);
        }
        fits
    }

    fn set(&mut self, field: Field, span: Option<(usize, usize)>) {
        if let Some(slot) = self.found.spans.get_mut(field as usize) {
            *slot = span;
        }
    }
}

/// True between a letter, digit or underscore and something else.
pub(super) fn is_edge(line: &[u8], position: usize) -> bool {
    let word = |index: Option<usize>| {
        index.and_then(|index| line.get(index)).is_some_and(|byte| is_word(*byte))
    };
    word(position.checked_sub(1)) != word(Some(position))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(template: &'static str, line: &str, expected: Option<&[(Field, &str)]>) {
        let shape = Shape::new(template);
        let found = shape.read(line.as_bytes(), &mut Effort::new());
        assert_eq!(found.is_some(), expected.is_some(), "{template} {line}");
        for (field, text) in expected.unwrap_or_default() {
            assert_eq!(
                found.unwrap().get(*field).map(|f| std::str::from_utf8(f).unwrap()),
                Some(*text),
                "{template} {line}"
            );
        }
    }

    #[test]
    fn holes() {
        use Field::{Auth, By, Helo, Ident, Ip, Rdns, Sub};
        check(
            "{helo} ({rdns} [{ip}]) by",
            "a (b [192.0.2.1]) by c",
            Some(&[(Helo, "a"), (Rdns, "b"), (Ip, "192.0.2.1")]),
        );
        check("{helo} (", "a  (", None);
        check("{rdns}[{ip}]", "a[b[192.0.2.1]", Some(&[(Rdns, "a[b")]));
        check("({helo?})", "()", Some(&[(Helo, "")]));
        check("({helo})", "()", None);
        check("{_} by {by} ", "x by y by z ", Some(&[(By, "y")]));
        check("{__} by {by} ", "x by y by z ", Some(&[(By, "z")]));
        check("({sub}) by", "(a) b) by", Some(&[(Sub, "a) b")]));
        check("({in:auth}) with", "(a b) with", Some(&[(Auth, "a b")]));
        check("({in}) with", "(a) b) with", None);
        check("(«{ident}@»{ip})", "(me@192.0.2.1)", Some(&[(Ident, "me")]));
        check("(«{ident}@»{ip})", "(192.0.2.1)", Some(&[]));
        check("a«b«c»»d{end}", "abd", Some(&[]));
        check("a«b«c»»d{end}", "acd", None);
        check("{A|BC} x", "BC x", Some(&[]));
        check("{auth:A|BC} x", "BC x", Some(&[(Auth, "BC")]));
        check("{[|}{ip}{]|}", "[192.0.2.1]", Some(&[]));
        check("x{! id }", "x id 1", None);
        check("x{! id }", "x it", Some(&[]));
        check("by {by}{edge}", "by a.b;", Some(&[(By, "a.b")]));
        check("{local})", "localhost)", Some(&[]));
    }

    #[test]
    fn effort_is_bounded() {
        let shape = Shape::new("{_}a{_}a{_}a{_}a{_}b");
        let line = "a".repeat(8_000);
        let mut effort = Effort::new();
        let started = std::time::Instant::now();
        for _ in 0..1_000 {
            assert!(shape.read(line.as_bytes(), &mut effort).is_none());
        }
        assert!(started.elapsed().as_secs() < 5);
        assert!(Shape::new("x").read(b"x", &mut effort).is_none());
    }
}
