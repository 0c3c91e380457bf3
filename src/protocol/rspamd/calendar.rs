//! What the answer says beside symbols and scores: the events, and what to do with them.

use serde::Serialize;

use super::Options;
use super::reply::Float;
use crate::facts::Origin;
use crate::message::Defect;
use crate::scan::{EventOutcome, Outcome, Request};
use crate::verdict::Decision;

/// What the answer says of the calendar: `calendar`.
#[derive(Serialize)]
pub(super) struct Calendar<'a> {
    events: Vec<WireEvent<'a>>,
    decision: WireDecision<'a>,
    provenance: Provenance<'a>,
    defects: Vec<WireDefect<'a>>,
    extracted: WireExtracted<'a>,
    partial: &'a [String],
}

#[derive(Serialize)]
struct WireEvent<'a> {
    uid: Option<&'a str>,
    recurrence_id: Option<&'a str>,
    method: Option<&'a str>,
    sequence: Option<i64>,
    organizer: Option<&'a str>,
    sent_by: Option<&'a str>,
    summary: Option<&'a str>,
    start: Option<&'a str>,
    end: Option<&'a str>,
    instances_1y: u64,
    notifications_1y: u64,
    score: Float,
    symbols: &'a [String],
}

#[derive(Serialize)]
struct WireDecision<'a> {
    auto_insert: bool,
    apply: &'static str,
    target: &'static str,
    busy: &'static str,
    alarms: &'static str,
    attachments: &'static str,
    notify_organizer: bool,
    manual_insert: &'static str,
    reasons: &'a [String],
}

#[derive(Serialize)]
struct Provenance<'a> {
    record: Option<&'a str>,
    message_id: Option<&'a str>,
    received_at: Option<String>,
    source_ip: Option<String>,
    via: &'static str,
    campaign: Option<&'a str>,
}

#[derive(Serialize)]
struct WireDefect<'a> {
    kind: &'static str,
    place: &'a str,
    detail: &'a str,
}

#[derive(Serialize)]
struct WireExtracted<'a> {
    urls: Vec<&'a str>,
    emails: &'a [String],
    phones: &'a [String],
    text: &'a str,
}

pub(super) fn calendar<'a>(
    outcome: &'a Outcome,
    request: &Request,
    options: &Options,
) -> Calendar<'a> {
    let extracted = &outcome.extracted;
    let events = if options.without_events { &[] } else { outcome.events.as_slice() };
    // The links of the mail around it stand in `urls` above; these are the events' own.
    let urls = extracted.urls.iter().filter(|url| url.origin == Origin::Calendar);
    Calendar {
        events: events.iter().map(event).collect(),
        decision: decision(&outcome.verdict.decision),
        provenance: Provenance {
            record: outcome.remembered.record.as_deref(),
            message_id: outcome.message_id.as_deref(),
            received_at: received_at(request.now),
            source_ip: request.envelope.client_ip.map(|ip| ip.to_string()),
            via: if request.bare { "itip" } else { "imip" },
            campaign: outcome.remembered.campaign.as_deref(),
        },
        defects: outcome.defects.iter().map(defect).collect(),
        extracted: WireExtracted {
            urls: urls.map(|url| url.url.as_str()).collect(),
            emails: &extracted.emails,
            phones: &extracted.phones,
            text: &extracted.text,
        },
        partial: &outcome.partial,
    }
}

fn event(event: &EventOutcome) -> WireEvent<'_> {
    WireEvent {
        uid: event.uid.as_deref(),
        recurrence_id: event.recurrence_id.as_deref(),
        method: event.method.as_deref(),
        sequence: event.sequence,
        organizer: event.organizer.as_deref(),
        sent_by: event.sent_by.as_deref(),
        summary: event.summary.as_deref(),
        start: event.start.as_deref(),
        end: event.end.as_deref(),
        instances_1y: event.instances,
        notifications_1y: event.notifications,
        score: Float(event.score),
        symbols: &event.symbols,
    }
}

fn decision(decision: &Decision) -> WireDecision<'_> {
    let keep = |keep: bool| if keep { "keep" } else { "strip" };
    WireDecision {
        auto_insert: decision.auto_insert,
        apply: decision.apply.name(),
        target: decision.target.name(),
        busy: decision.busy.name(),
        alarms: keep(decision.keep_alarms),
        attachments: keep(decision.keep_attachments),
        notify_organizer: decision.notify_organizer,
        manual_insert: decision.manual_insert.name(),
        reasons: &decision.reasons,
    }
}

fn defect(defect: &Defect) -> WireDefect<'_> {
    WireDefect { kind: defect.kind.name(), place: &defect.place, detail: &defect.detail }
}

fn received_at(seconds: i64) -> Option<String> {
    chrono::DateTime::from_timestamp(seconds, 0)
        .map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}
