//! The decision for the calendar as a mail header, for whoever delivers without reading JSON.
//!
//! Comes in: a [`Decision`]. Goes out: `insert=no; apply=create; ...`, one line of ASCII.

use std::fmt::Write;

use crate::verdict::Decision;

/// Name of the header. Whoever adds it removes every other of that name first: only the one
/// from calspamd is to be believed.
pub(super) const HEADER: &str = "X-Calspam-Decision";

/// Reasons shown; they are sorted by weight.
const REASONS: usize = 10;

/// The value of the header.
pub(super) fn header(decision: &Decision) -> String {
    let yes = |yes: bool| if yes { "yes" } else { "no" };
    let keep = |keep: bool| if keep { "keep" } else { "strip" };
    let mut value = format!(
        "insert={}; apply={}; target={}; busy={}; alarms={}; attachments={}; notify={}; manual={}",
        yes(decision.auto_insert),
        decision.apply.name(),
        decision.target.name(),
        decision.busy.name(),
        keep(decision.keep_alarms),
        keep(decision.keep_attachments),
        yes(decision.notify_organizer),
        decision.manual_insert.name(),
    );
    for (number, reason) in decision.reasons.iter().take(REASONS).enumerate() {
        let separator = if number == 0 { "; reasons=" } else { "," };
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, ',' | ';' | '"' | '\\');
        let reason: String = reason.chars().filter(|c| plain(*c)).collect();
        // A string takes everything.
        let _ = write!(value, "{separator}{reason}");
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{Apply, Busy, ManualInsert, Target};

    #[test]
    fn the_decision_is_one_line() {
        let mut decision = Decision {
            auto_insert: false,
            apply: Apply::Create,
            target: Target::Junk,
            busy: Busy::Free,
            keep_alarms: false,
            keep_attachments: true,
            notify_organizer: false,
            manual_insert: ManualInsert::Warn,
            reasons: vec!["CAL_CALLBACK".to_owned(), "limit:\r\nX-Evil: 1; a".to_owned()],
        };
        assert_eq!(
            header(&decision),
            "insert=no; apply=create; target=junk; busy=free; alarms=strip; attachments=keep; \
             notify=no; manual=warn; reasons=CAL_CALLBACK,limit:X-Evil:1a"
        );
        decision.reasons = Vec::new();
        decision.auto_insert = true;
        assert!(header(&decision).starts_with("insert=yes; "));
        assert!(header(&decision).ends_with("manual=warn"));
        decision.reasons = vec!["CAL_LONG".to_owned(); 50];
        assert_eq!(header(&decision).matches("CAL_LONG").count(), REASONS);
    }
}
