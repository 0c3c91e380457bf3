//! The table.

use super::{Answer, Datum, Fact, Kind, Origin, Place, Scope, Value};

/// Every fact a rule may ask.
pub static TABLE: &[Fact] = &[
    Fact {
        name: "summary",
        kind: Kind::Text,
        scope: Scope::Event,
        origin: Origin::Calendar,
        meaning: "SUMMARY, normalised.",
        example: "Team meeting",
        read: |_, event| {
            Answer::Known(
                event
                    .and_then(|e| e.event.property("SUMMARY").map(|p| (e, p)))
                    .and_then(|(e, p)| p.text().map(|t| (e, p, t)))
                    .map(|(e, p, t)| Datum::new(Value::Text(t.into()), Place::Property(e.event, p), Origin::Calendar))
                    .into_iter()
                    .collect(),
            )
        },
    },
    Fact {
        name: "attendees",
        kind: Kind::Number,
        scope: Scope::Event,
        origin: Origin::Calendar,
        meaning: "Number of attendees.",
        example: "3",
        read: |_, event| {
            Answer::Known(
                event
                    .map(|e| {
                        #[expect(clippy::cast_precision_loss, reason = "a count")]
                        Datum::new(Value::Number(e.event.attendee_count as f64), Place::Event(e.event), Origin::Calendar)
                    })
                    .into_iter()
                    .collect(),
            )
        },
    },
];
