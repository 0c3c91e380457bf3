//! Walks over calendar text once before calcard sees it.
//!
//! Comes in: the text of one calendar part.
//! Goes out: one [`Object`] per VCALENDAR with the text calcard shall parse, what only the
//! raw lines can tell (attendees past the limit, rules and backslashes as written), and
//! defects.
//! Not an error: anything. Components that are closed in the wrong order are put right,
//! and what is over a limit is left out, so that calcard and this module always see the
//! same structure and calcard's cost is bounded.
//!
//! Good text is handed on as a slice; only text that needs a repair is copied.

use std::borrow::Cow;
use std::fmt::Write as _;

use memchr::{memchr_iter, memmem};

use crate::message::DefectKind;

use super::content::{self, Content};
use super::defects::Reported;
use super::lines::{Line, Lines};
use super::object::{CLASSES, Notes, Object, class, kind};
use super::{RawLine, Session};

/// Raw lines with backslashes that matter kept per calendar.
const MOST_RAW_LINES: usize = 100;
/// Octets kept of a raw line.
const RAW_LINE: usize = 4 * 1024;
/// Rules of one event whose text is kept; more are counted.
pub(super) const MOST_RULES: usize = 20;
/// Lines that are no content lines and still go to calcard, which may make sense of them.
const MOST_GARBAGE: usize = 1_000;
/// Observances of one calendar that calcard reads: they show nothing to anybody, so the rest
/// is counted only and does not use up the limit on components.
const MOST_OBSERVANCES: usize = 500;
/// Octets kept of a rule.
const RULE: usize = 16 * 1024;

/// An open component.
#[derive(Debug, Default)]
struct Frame {
    name: String,
    ordinal: usize,
    /// The event this component is or belongs to.
    event: Option<usize>,
    is_event: bool,
    children: [usize; CLASSES],
    reported: Reported,
}

/// What becomes of a content line.
enum Fate {
    Keep,
    Drop,
    Replace(String),
}

struct Walk<'x, 's, 'a> {
    text: &'x str,
    part: usize,
    session: &'s mut Session<'a>,
    /// Open components, never more than the depth limit.
    frames: Vec<Frame>,
    /// Components open below the depth limit.
    skipped: usize,
    object: Object<'x>,
    object_start: usize,
    /// The repaired text, once it has to differ from the text.
    repaired: Option<String>,
    done: Vec<Object<'x>>,
    reported: Reported,
    garbage: usize,
    backslash_pairs: bool,
    control_characters: bool,
}

fn has_pair(text: &str) -> bool {
    memmem::find(text.as_bytes(), b"\\\\").is_some()
}

/// True for an attachment whose parameters hold a backslash: it may be part of a file name, and
/// calcard takes it for an escape.
fn names_a_path(line: &Line<'_>, name: &str) -> bool {
    (name.eq_ignore_ascii_case("ATTACH") || name.eq_ignore_ascii_case("IMAGE"))
        && memchr::memchr(
            b'\\',
            line.raw.as_bytes().get(..RAW_LINE.min(line.raw.len())).unwrap_or_default(),
        )
        .is_some()
}

/// Surveys the text of the part with that index in [`Message::parts`].
///
/// [`Message::parts`]: crate::message::Message::parts
pub(super) fn survey<'x>(text: &'x str, part: usize, session: &mut Session<'_>) -> Vec<Object<'x>> {
    let bytes = text.as_bytes();
    let mut walk = Walk {
        text,
        part,
        session,
        frames: Vec::new(),
        skipped: 0,
        object: Object::default(),
        object_start: 0,
        repaired: None,
        done: Vec::new(),
        reported: Reported::default(),
        garbage: 0,
        backslash_pairs: has_pair(text),
        control_characters: content::has_control_characters(bytes),
    };
    let mut carriage_returns = memchr_iter(b'\r', bytes).count();
    let mut end = text.len();
    let mut lines = Lines::new(text);
    let mut read = 0_usize;
    while let Some(mut line) = lines.next() {
        read += 1;
        if !read.is_multiple_of(1024) || !walk.session.out_of_time() {
            if content::name_is_folded(&line) {
                // Rare enough that the copy does not matter: the name itself is folded.
                let unfolded = line.unfolded();
                let mut whole = Line { raw: &unfolded, folded: false, ..line };
                let parsed = content::parse(&mut whole, &mut Lines::new(""));
                walk.repair(line.start);
                walk.line(&whole, parsed);
            } else {
                let parsed = content::parse(&mut line, &mut lines);
                walk.line(&line, parsed);
            }
        }
        if walk.session.stopped {
            end = line.start;
            break;
        }
        carriage_returns -= line.carriage_returns.min(carriage_returns);
    }
    if carriage_returns > 0 && !walk.session.stopped {
        walk.report_part(DefectKind::ControlCharacters, "carriage return inside a line");
    }
    walk.close_all(end);
    walk.done
}

impl Walk<'_, '_, '_> {
    /// Reads one content line.
    fn line(&mut self, line: &Line<'_>, parsed: Content<'_>) {
        let fate = match parsed {
            Content::Blank => Fate::Keep,
            Content::Boundary { begin, name } => {
                let clean = content::component_name(name);
                // Calcard must see the same name, whatever stands around it.
                let as_written =
                    clean == name && line.raw.len() == name.len() + if begin { 6 } else { 4 };
                if !as_written && (!begin || !self.frames.is_empty()) {
                    self.repair(line.start);
                }
                if begin {
                    self.begin(line.start, clean, !as_written);
                } else {
                    self.end(line, &clean);
                }
                return;
            }
            Content::Garbage | Content::Named { .. } if self.frames.is_empty() => {
                return self.report_part(DefectKind::TrailingData, "outside VCALENDAR");
            }
            Content::Garbage | Content::Named { .. } if self.skipped > 0 => Fate::Drop,
            Content::Garbage => {
                self.report(DefectKind::GarbageLine, "no content line");
                self.garbage += 1;
                // Calcard would step over most of them, but a million take their time.
                if self.garbage > MOST_GARBAGE { Fate::Drop } else { Fate::Keep }
            }
            Content::Named { name, value, parameters, .. } => {
                self.property(line, name, value, parameters)
            }
        };
        match fate {
            Fate::Keep => {
                if let Some(repaired) = &mut self.repaired {
                    repaired.push_str(line.raw);
                    repaired.push('\n');
                }
            }
            Fate::Drop => {
                self.repair(line.start);
            }
            Fate::Replace(text) => self.write(line.start, &text),
        }
    }

    /// Judges a property inside an open component.
    fn property(
        &mut self,
        line: &Line<'_>,
        name: &str,
        value: &str,
        parameters: content::Parameters,
    ) -> Fate {
        if self.control_characters && content::has_control_characters(line.raw.as_bytes()) {
            self.report(DefectKind::ControlCharacters, name);
        }
        if parameters.repeated {
            self.report(DefectKind::RepeatedParameter, name);
        }
        let (event, is_event) =
            self.frames.last().map_or((None, false), |frame| (frame.event, frame.is_event));
        if name.eq_ignore_ascii_case("ATTENDEE") {
            if is_event && let Some(notes) = event.and_then(|at| self.object.events.get_mut(at)) {
                notes.attendees += 1;
            }
            self.session.attendees += 1;
            if self.session.attendees > self.session.settings.attendees {
                self.report(DefectKind::LimitAttendees, "later attendees were counted only");
                return Fate::Drop;
            }
        } else if is_event
            && name.eq_ignore_ascii_case("RRULE")
            && !value.trim().is_empty()
            && let Some(notes) = event.and_then(|at| self.object.events.get_mut(at))
        {
            notes.rule_count += 1;
            if notes.rules.len() < MOST_RULES {
                notes.rules.push(content::cut(&super::lines::unfold(value), RULE).to_owned());
            }
        }
        self.session.count_line(self.part);
        if self.session.stopped {
            return Fate::Drop;
        }
        if (line.cut_pair
            || (self.backslash_pairs && has_pair(line.raw))
            || names_a_path(line, name))
            && self.object.backslash_lines.len() < MOST_RAW_LINES
        {
            self.keep_raw_line(line, name, event);
        }
        self.repaired_form(line, name, value, parameters)
    }

    /// Decides whether calcard may read the line as it stands.
    fn repaired_form(
        &mut self,
        line: &Line<'_>,
        name: &str,
        value: &str,
        parameters: content::Parameters,
    ) -> Fate {
        let limit = self.session.settings.line;
        let too_long = line.raw.len() > limit;
        let value_limit = limit.saturating_sub(line.raw.len() - value.len());
        let kept = if too_long { content::cut(value, value_limit) } else { value };
        let separators = content::separators(name, kept) + parameters.pieces;
        let left = self.session.pieces_left;
        self.session.pieces_left = left.saturating_sub(separators);
        if too_long || separators > left {
            self.report(DefectKind::LimitLine, name);
            return self.shorter(line, name, value, kept, parameters.pieces, left);
        }
        if parameters.unbalanced {
            self.report(DefectKind::GarbageLine, "a quote is not closed");
            return Fate::Replace(line.unfolded().replace('"', ""));
        }
        if line.cut_escape && !parameters.quoted_printable {
            let mut text = line.unfolded().into_owned();
            let trailing = text.len() - text.trim_end_matches('\\').len();
            if trailing % 2 == 1 {
                text.push('\\');
            }
            return Fate::Replace(text);
        }
        Fate::Keep
    }

    /// Cuts a line that is too long, and keeps as many values of a list as the message may
    /// still have.
    fn shorter(
        &mut self,
        line: &Line<'_>,
        name: &str,
        value: &str,
        kept: &str,
        pieces: usize,
        left: usize,
    ) -> Fate {
        if pieces > left {
            return Fate::Drop;
        }
        let kept = content::values(name, kept, left - pieces);
        if name.eq_ignore_ascii_case("RDATE") {
            let rest = value.get(kept.len()..).unwrap_or_default();
            let left_out = memchr_iter(b',', rest.as_bytes()).count();
            let event = self.frames.last().and_then(|frame| frame.event);
            if let Some(notes) = event.and_then(|at| self.object.events.get_mut(at)) {
                notes.dates_left_out += left_out;
            }
        }
        let length = line.raw.len() - value.len() + kept.len();
        Fate::Replace(super::lines::unfold(content::cut(line.raw, length)))
    }

    /// Keeps a line with a backslash pair as written.
    fn keep_raw_line(&mut self, line: &Line<'_>, name: &str, event: Option<usize>) {
        let text = line.unfolded();
        let name = name.to_ascii_uppercase();
        let rest = text.get(name.len()..).unwrap_or_default();
        self.object.backslash_lines.push(RawLine {
            event,
            place: format!("{}.{name}", self.place()),
            rest: content::cut(rest, RAW_LINE).to_owned(),
            name,
        });
    }

    /// Opens a component.
    fn begin(&mut self, start: usize, name: String, repair: bool) {
        if name == "VCALENDAR" && !self.frames.is_empty() {
            self.close_all(start);
        }
        let kind = kind(&name);
        if self.frames.is_empty() {
            if name != "VCALENDAR" && name != "VTIMEZONE" && kind.is_none() {
                return self.report_part(DefectKind::TrailingData, "outside VCALENDAR");
            }
            if name != "VCALENDAR" {
                self.report_part(DefectKind::TrailingData, "a component outside VCALENDAR");
            }
            self.object = Object::default();
            self.object_start = start;
            self.repaired = repair.then(String::new);
        }
        let observance = name == "STANDARD" || name == "DAYLIGHT";
        let left_out = observance && self.object.observances >= MOST_OBSERVANCES;
        if !left_out && self.session.count_component(self.part) {
            return;
        }
        self.object.components += usize::from(name != "VCALENDAR");
        self.object.timezones += usize::from(name == "VTIMEZONE");
        self.object.observances += usize::from(observance);
        self.object.depth = self.object.depth.max(self.frames.len() + self.skipped + 1);
        let too_deep = self.skipped > 0 || self.frames.len() >= self.session.settings.depth;
        if too_deep || left_out {
            if self.frames.len() >= self.session.settings.depth {
                self.report(DefectKind::LimitNesting, "deeper components were left out");
            }
            self.skipped += 1;
            self.repair(start);
            return;
        }
        if self.repaired.is_some() {
            self.write(start, &format!("BEGIN:{name}"));
        }
        let (ordinal, event) = match kind {
            Some(kind) => {
                let ordinal = self.session.next_ordinal(kind);
                self.object.events.push(Notes {
                    kind,
                    ordinal,
                    attendees: 0,
                    rules: Vec::new(),
                    rule_count: 0,
                    dates_left_out: 0,
                });
                (ordinal, Some(self.object.events.len() - 1))
            }
            None => match self.frames.last_mut() {
                Some(parent) => {
                    let event = parent.event;
                    let counter = parent.children.get_mut(class(&name));
                    let ordinal = counter.map_or(0, |counter| {
                        *counter += 1;
                        *counter - 1
                    });
                    (ordinal, event)
                }
                None => (self.session.calendars + self.done.len(), None),
            },
        };
        self.frames.push(Frame {
            name,
            ordinal,
            event,
            is_event: kind.is_some(),
            ..Frame::default()
        });
    }

    /// Closes a component. An END that closes an outer component closes the inner ones too;
    /// one that closes nothing is left out.
    fn end(&mut self, line: &Line<'_>, name: &str) {
        if self.skipped > 0 {
            self.skipped -= 1;
            self.repair(line.start);
            return;
        }
        if self.frames.is_empty() {
            return self.report_part(DefectKind::EndMismatch, "nothing is open");
        }
        let open = self.frames.iter().rposition(|frame| frame.name == name);
        let Some(open) = open else {
            self.report(DefectKind::EndMismatch, "END names no open component");
            self.repair(line.start);
            return;
        };
        while self.frames.len() > open + 1 {
            self.report(DefectKind::EndMismatch, "END of an outer component");
            self.report(DefectKind::Unclosed, "closed with the component around it");
            if let Some(inner) = self.frames.pop() {
                self.write(line.start, &format!("END:{}", inner.name));
            }
        }
        if let Some(closed) = self.frames.pop()
            && self.repaired.is_some()
        {
            self.write(line.start, &format!("END:{}", closed.name));
        }
        if self.frames.is_empty() {
            self.finish(line.end);
        }
    }

    /// Closes whatever is open where the text, or what is read of it, ends.
    fn close_all(&mut self, end: usize) {
        if self.frames.is_empty() {
            return;
        }
        if self.session.stopped {
            self.frames.clear();
        }
        while !self.frames.is_empty() {
            self.report(DefectKind::Unclosed, "no END");
            self.frames.pop();
        }
        self.skipped = 0;
        self.finish(end);
    }

    fn finish(&mut self, end: usize) {
        let mut object = std::mem::take(&mut self.object);
        object.text = match self.repaired.take() {
            Some(repaired) => Cow::Owned(repaired),
            None => Cow::Borrowed(self.text.get(self.object_start..end).unwrap_or_default()),
        };
        self.done.push(object);
    }

    /// From here on calcard gets a copy; what was kept so far is copied first.
    fn repair(&mut self, line_start: usize) -> &mut String {
        let (text, start) = (self.text, self.object_start);
        self.repaired
            .get_or_insert_with(|| text.get(start..line_start).unwrap_or_default().to_owned())
    }

    fn write(&mut self, line_start: usize, text: &str) {
        let repaired = self.repair(line_start);
        repaired.push_str(text);
        repaired.push('\n');
    }

    /// `VEVENT[0].VALARM[1]` of the innermost open component.
    fn place(&self) -> String {
        let from = self.frames.iter().rposition(|frame| frame.is_event).unwrap_or(0);
        let mut place = String::new();
        for frame in self.frames.iter().skip(from) {
            if !place.is_empty() {
                place.push('.');
            }
            // Writing to a string cannot fail.
            let _ = write!(place, "{}[{}]", frame.name, frame.ordinal);
        }
        place
    }

    fn report(&mut self, kind: DefectKind, detail: &str) {
        if kind.is_syntax() {
            self.session.syntax_errors += 1;
        }
        let first = self.frames.last_mut().is_some_and(|frame| frame.reported.first(kind));
        if first && self.session.defects.takes(kind) {
            let place = self.place();
            self.session.defects.add(kind, place, content::cut(detail, 40));
        }
    }

    fn report_part(&mut self, kind: DefectKind, detail: &str) {
        if self.reported.first(kind) {
            self.session.defects.add(kind, format!("part[{}]", self.part), detail);
        }
    }
}
