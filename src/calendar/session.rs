//! What one reading counts and collects across all parts of a message.

use crate::message::DefectKind;

use super::defects::Defects;
use super::walk::Work;
use super::{Kind, Settings};

/// What one reading counts and collects across all parts of a message.
pub(super) struct Session<'a> {
    pub(super) settings: &'a Settings,
    pub(super) expired: &'a dyn Fn() -> bool,
    pub(super) defects: Defects,
    /// Errors of syntax on raw lines, all of them: defects name one a kind and place.
    pub(super) syntax_errors: usize,
    pub(super) work: Work,
    /// Calendars read so far: the index of the one being read.
    pub(super) calendars: usize,
    pub(super) components: usize,
    pub(super) lines: usize,
    pub(super) attendees: usize,
    /// List members and parameters beyond the usual that calcard may still keep in memory.
    pub(super) pieces_left: usize,
    pub(super) ordinals: [usize; 4],
    /// True when nothing more is read.
    pub(super) stopped: bool,
}

/// List members and unusual parameters read per message.
const MOST_PIECES: usize = 200_000;
/// Content lines read per component that may be read.
const LINES_PER_COMPONENT: usize = 20;

impl<'a> Session<'a> {
    pub(super) fn new(settings: &'a Settings, expired: &'a dyn Fn() -> bool) -> Self {
        Self {
            settings,
            expired,
            defects: Defects::default(),
            syntax_errors: 0,
            work: Work::default(),
            calendars: 0,
            components: 0,
            lines: 0,
            attendees: 0,
            pieces_left: MOST_PIECES,
            ordinals: [0; 4],
            stopped: false,
        }
    }

    /// Asks the clock; once time is up it stays up.
    pub(super) fn out_of_time(&mut self) -> bool {
        let expired = (self.expired)();
        if expired {
            self.stop(DefectKind::LimitTime, String::new(), "the rest was not read");
        }
        expired
    }

    pub(super) fn stop(&mut self, kind: DefectKind, place: String, detail: &str) {
        self.stopped = true;
        self.defects.add(kind, place, detail);
    }

    /// Counts a content line that calcard will read.
    pub(super) fn count_line(&mut self, part: usize) {
        self.lines += 1;
        if self.lines > self.settings.components.saturating_mul(LINES_PER_COMPONENT) {
            let place = format!("part[{part}]");
            self.stop(DefectKind::LimitComponents, place, "too many content lines");
        }
    }

    /// Counts a component; true when it is one too many.
    pub(super) fn count_component(&mut self, part: usize) -> bool {
        self.components += 1;
        if self.components > self.settings.components {
            let place = format!("part[{part}]");
            self.stop(DefectKind::LimitComponents, place, "the rest was not read");
        }
        self.stopped
    }

    pub(super) fn next_ordinal(&mut self, kind: Kind) -> usize {
        let Some(counter) = self.ordinals.get_mut(kind as usize) else {
            return 0;
        };
        *counter += 1;
        *counter - 1
    }
}
