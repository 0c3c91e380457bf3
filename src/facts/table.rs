//! The table: every fact, declared once. To add a fact, add an entry; rules, documentation,
//! `calspamd facts` and the type checks at load follow from it.

use std::borrow::Cow;

use super::answers::{
    all, attendees, calendar_part_formats, calendar_text, count, disguises, distinct, domain_of,
    duration, ended_ago, extra_links, extra_words, flag, float, header, html_twin, is_encoded,
    known, largest, links, mail, mailboxes, markup, missing, moment_delta, normal, number, one,
    organizer, own_links, phone_contexts, recipients, registered, seconds, shows_event,
    start_second, stated, text_option, texts, uid_has_recipient, unc, values, words, x_properties,
};
use super::gather::{EventFacts, TextValue};
use super::{
    Answer, Datum, Fact, Facts, Kind, Origin, Place, Read, Scope, Value, identity, paths, text,
};
use crate::message::Mechanism;

use Kind::{Address, Duration, Flag, Number, Size, Text};
use Origin::{Calendar, Mail, Network};

type EventReader = for<'f> fn(&'f EventFacts<'f>, &'f Facts<'f>) -> Answer<'f>;
type MessageReader = for<'f> fn(&'f Facts<'f>) -> Answer<'f>;

const fn event(
    name: &'static str,
    kind: Kind,
    meaning: &'static str,
    example: &'static str,
    read: EventReader,
) -> Fact {
    Fact {
        name,
        kind,
        scope: Scope::Event,
        origin: Calendar,
        meaning,
        example,
        read: Read::Event(read),
    }
}

const fn message(
    name: &'static str,
    kind: Kind,
    origin: Origin,
    meaning: &'static str,
    example: &'static str,
    read: MessageReader,
) -> Fact {
    Fact { name, kind, scope: Scope::Message, origin, meaning, example, read: Read::Message(read) }
}

/// Every fact a rule may ask.
pub static TABLE: &[Fact] = &[
    // The iTIP message and the calendar object.
    event(
        "method",
        Text,
        "METHOD of the event's calendar, upper case (RFC 5546 §1.4).",
        "REQUEST",
        |e, f| calendar_text(e, f, |c| c.method.as_deref(), "VCALENDAR.METHOD"),
    ),
    event(
        "kind",
        Text,
        "The component's name: VEVENT, VTODO, VJOURNAL or VFREEBUSY.",
        "VEVENT",
        |e, _| one(Value::Text(e.event.kind.name().into()), Place::Event(e.event)),
    ),
    event(
        "prodid",
        Text,
        "PRODID of the event's calendar.",
        "-//Example Corp//Scheduler 1.0//EN",
        |e, f| calendar_text(e, f, |c| c.prodid.as_deref(), "VCALENDAR.PRODID"),
    ),
    event(
        "calscale",
        Text,
        "CALSCALE of the event's calendar, upper case.",
        "GREGORIAN",
        |e, f| calendar_text(e, f, |c| c.calscale.as_deref(), "VCALENDAR.CALSCALE"),
    ),
    event("uid", Text, "UID.", "d41f6a0e-1b5c-4f6b-a3a3-1c9c9c3a7c55", |e, _| {
        text_option(e, e.event.uid.as_deref(), "UID")
    }),
    event(
        "uid.has_recipient",
        Flag,
        "UID contains a recipient's address.",
        "yes",
        uid_has_recipient,
    ),
    event("recurrence_id", Text, "RECURRENCE-ID as written.", "20261201T100000Z", |e, _| {
        text_option(e, e.event.recurrence_id.as_deref(), "RECURRENCE-ID")
    }),
    event(
        "sequence",
        Number,
        "SEQUENCE; 0 when it is missing (RFC 5545 §3.8.7.4).",
        "0",
        |e, _| number(e, e.event.sequence.unwrap_or(0)),
    ),
    event("status", Text, "STATUS, upper case.", "CONFIRMED", |e, _| {
        text_option(e, e.event.status.as_deref(), "STATUS")
    }),
    event("transparency", Text, "TRANSP, upper case.", "OPAQUE", |e, _| {
        text_option(e, e.event.transparency.as_deref(), "TRANSP")
    }),
    event("busy_status", Text, "X-MICROSOFT-CDO-BUSYSTATUS, upper case.", "BUSY", |e, _| {
        text_option(e, e.event.busy_status.as_deref(), "X-MICROSOFT-CDO-BUSYSTATUS")
    }),
    event(
        "missing",
        Text,
        "Required properties that are missing or empty: UID DTSTAMP DTSTART PRODID VERSION (RFC 5545 §3.6).",
        "UID",
        |e, f| words(e, missing(e, f)),
    ),
    event(
        "missing.properties",
        Number,
        "How many required properties are missing.",
        "1",
        |e, f| number(e, missing(e, f).len()),
    ),
    event(
        "duplicated",
        Text,
        "Properties that may stand once and stand more often with other values.",
        "SUMMARY",
        |e, _| words(e, e.event.duplicated.clone()),
    ),
    event(
        "copies.differ",
        Text,
        "Properties in which copies of the same object in one mail differ.",
        "SUMMARY",
        |e, _| words(e, e.event.differs.clone()),
    ),
    event(
        "xprops.encoded",
        Number,
        "X- properties of no known calendar product whose value is 32 or more characters of hex or base64.",
        "0",
        |e, _| number(e, x_properties(e).filter(|p| p.text().is_some_and(is_encoded)).count()),
    ),
    event("xprops.unknown", Number, "X- properties of no known calendar product.", "2", |e, _| {
        number(e, x_properties(e).count())
    }),
    // Texts.
    event("summary", Text, "SUMMARY, normalised.", "Team meeting", |e, _| {
        texts(e, &["SUMMARY"], TextValue::normal)
    }),
    event("summary.raw", Text, "SUMMARY as unescaped.", "Team meeting", |e, _| {
        texts(e, &["SUMMARY"], |t| t.raw)
    }),
    event(
        "summary.confusables",
        Number,
        "Words of SUMMARY and LOCATION that mix Latin with look-alike letters of another script, or are in small capitals or mathematical letters.",
        "0",
        |e, _| number(e, disguises(e, &["SUMMARY", "LOCATION"], |t| t.disguise.confusables)),
    ),
    event("description", Text, "DESCRIPTION, normalised.", "Agenda: budget", |e, _| {
        texts(e, &["DESCRIPTION"], TextValue::normal)
    }),
    event(
        "description.raw",
        Text,
        "DESCRIPTION as unescaped, markup kept.",
        "<p>Agenda</p>",
        |e, _| texts(e, &["DESCRIPTION"], |t| t.raw),
    ),
    event("location", Text, "LOCATION, normalised.", "Room 4", |e, _| {
        texts(e, &["LOCATION"], TextValue::normal)
    }),
    event("location.raw", Text, "LOCATION as unescaped.", "Room 4", |e, _| {
        texts(e, &["LOCATION"], |t| t.raw)
    }),
    event("comment", Text, "COMMENT, normalised.", "See you there", |e, _| {
        texts(e, &["COMMENT"], TextValue::normal)
    }),
    event("comment.raw", Text, "COMMENT as unescaped.", "See you there", |e, _| {
        texts(e, &["COMMENT"], |t| t.raw)
    }),
    event("categories", Text, "CATEGORIES, each value, normalised.", "Travel", |e, _| {
        texts(e, &["CATEGORIES"], TextValue::normal)
    }),
    event(
        "text",
        Text,
        "Every text a calendar shows, one value per property, alarms and the calendar's name included, normalised.",
        "Agenda: budget",
        |e, _| texts(e, &[], TextValue::normal),
    ),
    event(
        "text.raw",
        Text,
        "The same texts as unescaped, markup kept.",
        "<p>Agenda</p>",
        |e, _| texts(e, &[], |t| t.raw),
    ),
    event("text.hidden", Text, "Text that HTML styles hide.", "preheader", |e, _| {
        texts(e, &[], |t| &t.hidden)
    }),
    event(
        "markup",
        Text,
        "Values of any property or parameter that hold a `<`, and inline content of text types.",
        "<b>Agenda</b>",
        markup,
    ),
    event("text.phones", Number, "Distinct phone numbers in the event's texts.", "1", |e, _| {
        number(e, e.phones.len())
    }),
    event(
        "text.phone.context",
        Text,
        "For each phone number the paragraph around it, up to 200 characters either side.",
        "Call +1 202 555 0143 to cancel",
        phone_contexts,
    ),
    event("text.amounts", Number, "Amounts of money in the event's texts.", "1", |e, _| {
        number(e, e.amounts.len())
    }),
    event("text.emails", Number, "Mail addresses in the event's texts.", "0", |e, _| {
        number(e, e.emails.len())
    }),
    event(
        "text.invisibles",
        Number,
        "Zero-width and bidi characters inside words of scripts that have no use for them.",
        "0",
        |e, _| number(e, disguises(e, &[], |t| t.disguise.invisibles)),
    ),
    event(
        "text.tag_characters",
        Number,
        "Tag characters, variation selector supplements and invisible operators (those of flag emoji do not count).",
        "0",
        |e, _| number(e, disguises(e, &[], |t| t.disguise.tag_characters)),
    ),
    event(
        "html.only",
        Flag,
        "There is an HTML description, but DESCRIPTION is missing or empty.",
        "no",
        |e, _| {
            flag(
                e,
                html_twin(e).is_some() && !e.texts.iter().any(|t| t.property.name == "DESCRIPTION"),
            )
        },
    ),
    event(
        "html.extra_links",
        Number,
        "Links of X-ALT-DESC or STYLED-DESCRIPTION whose host stands nowhere else in the event.",
        "0",
        extra_links,
    ),
    event(
        "html.extra_words",
        Number,
        "Words of four letters or more in X-ALT-DESC or STYLED-DESCRIPTION that are not in DESCRIPTION; 0 without a DESCRIPTION.",
        "0",
        extra_words,
    ),
    event(
        "body.shows_event",
        Flag,
        "The mail's Subject or text shows a word of SUMMARY or the date; no value without SUMMARY, unknown without a mail.",
        "yes",
        shows_event,
    ),
    // Links.
    event(
        "url",
        Text,
        "Links of the event from every property, parameter, text and href; also the targets inside redirectors.",
        "https://meet.example/abc",
        |e, f| links(e, f, |l| Some(Cow::Borrowed(&*l.url))),
    ),
    event("url.scheme", Text, "Their schemes, lower case.", "https", |e, f| {
        links(e, f, |l| Some(Cow::Borrowed(&*l.scheme)))
    }),
    event(
        "url.host",
        Kind::Domain,
        "Their hosts, lower case, punycode.",
        "meet.example",
        |e, f| links(e, f, |l| l.host.as_deref().map(Cow::Borrowed)),
    ),
    event("url.domain", Kind::Domain, "Their registered domains.", "meet.example", |e, f| {
        links(e, f, registered)
    }),
    event("urls", Number, "Number of distinct links.", "1", |e, f| {
        number(e, own_links(e, f).filter(|l| !l.unwrapped).count())
    }),
    event(
        "url.disguised",
        Text,
        "Links whose text shows another registered domain than their target.",
        "bank.example -> evil.example",
        |e, f| links(e, f, |l| l.disguise.as_deref().map(Cow::Borrowed)),
    ),
    event(
        "unc.property",
        Text,
        "UNC paths in values and parameters that programs open.",
        "\\\\host.example\\share",
        |e, f| unc(e, f, true),
    ),
    event("unc.text", Text, "UNC paths in running text.", "\\\\files.example\\team", |e, f| {
        unc(e, f, false)
    }),
    // Time.
    event(
        "start_in",
        Duration,
        "Time from the scan to the first start; negative in the past.",
        "2d",
        |e, f| moment_delta(e, e.event.start, |start| start - f.now),
    ),
    event(
        "ended_ago",
        Duration,
        "Time since the end of the last instance; no value unless that is in the past.",
        "8d",
        ended_ago,
    ),
    event("duration", Duration, "Length of one instance.", "1h", duration),
    event("all_day", Flag, "DTSTART is a date.", "no", |e, _| {
        flag(e, e.event.start.is_some_and(|start| start.date_only))
    }),
    event("end.missing", Flag, "A timed event has neither DTEND nor DURATION.", "no", |e, _| {
        flag(e, e.event.end_missing && e.event.start.is_some_and(|start| !start.date_only))
    }),
    event(
        "start.second",
        Number,
        "Seconds field of DTSTART; no value for all-day events.",
        "0",
        start_second,
    ),
    event("dtstamp.age", Duration, "Time from DTSTAMP to the scan.", "5m", |e, f| {
        values(e.event.dtstamp.map(|stamp| seconds(f.now - stamp)), Place::Event(e.event))
    }),
    event(
        "instances",
        Number,
        "Instances in the first year; 1 without recurrence.",
        "52",
        |e, _| number(e, e.event.recurrence.instances),
    ),
    event(
        "recurrence.frequency",
        Text,
        "FREQ of the first RRULE, upper case.",
        "WEEKLY",
        |e, _| text_option(e, e.event.recurrence.frequency.as_deref(), "RRULE"),
    ),
    event("recurrence.endless", Flag, "An RRULE has neither COUNT nor UNTIL.", "no", |e, _| {
        flag(e, e.event.recurrence.endless)
    }),
    event("recurrence.abusive", Text, "Forms of recurrence made to hurt.", "secondly", |e, _| {
        words(e, e.event.recurrence.abusive.clone())
    }),
    event("alarms", Number, "VALARM components.", "1", |e, _| number(e, e.event.alarms.len())),
    event(
        "alarm.rings",
        Number,
        "Notifications of one instance: the sum of REPEAT + 1 over all alarms.",
        "1",
        |e, _| number(e, e.event.alarms.iter().map(|a| u64::from(a.repeat) + 1).sum::<u64>()),
    ),
    event("alarm.repeat", Number, "REPEAT of each alarm.", "0", |e, _| {
        all(e
            .event
            .alarms
            .iter()
            .map(|a| (Value::Number(f64::from(a.repeat)), Place::Event(e.event))))
    }),
    event("alarm.action", Text, "ACTION of each alarm, upper case.", "DISPLAY", |e, _| {
        all(e
            .event
            .alarms
            .iter()
            .filter_map(|a| a.action.as_deref())
            .map(|a| (Value::Text(a.into()), Place::Name("VALARM.ACTION"))))
    }),
    event("alarm.attach", Text, "ATTACH values of alarms as written.", "Basso", |e, f| {
        let values = e.event.alarms.iter().flat_map(|alarm| &alarm.attachments);
        let mut answer: Vec<Datum<'_>> = values
            .map(|value| {
                Datum::new(Value::Text(value.into()), Place::Name("VALARM.ATTACH"), Calendar)
            })
            .collect();
        // Reading a value unescapes it, which takes a path's backslashes: they are kept apart.
        answer.extend(
            paths::unc_paths(f.reading, e.index, true)
                .into_iter()
                .filter(|path| path.place.contains(".VALARM[") && path.place.ends_with(".ATTACH"))
                .map(|path| {
                    Datum::new(Value::Text(path.path.into()), Place::Name(path.place), Calendar)
                }),
        );
        Answer::Known(answer)
    }),
    event(
        "alarm.attendee.address",
        Address,
        "ATTENDEEs of EMAIL alarms.",
        "vic@corp.example",
        |e, _| {
            all(e
                .event
                .alarms
                .iter()
                .flat_map(|a| &a.attendees)
                .map(|a| (Value::Text(a.into()), Place::Name("VALARM.ATTENDEE"))))
        },
    ),
    event(
        "notifications",
        Number,
        "Notifications in the first year: instances × rings.",
        "52",
        |e, _| number(e, e.event.notifications()),
    ),
    // People.
    event("organizers", Number, "ORGANIZER properties.", "1", |e, _| {
        number(e, e.event.organizers.len())
    }),
    event("organizer.address", Address, "The organizer's address.", "ann@corp.example", |e, _| {
        organizer(e, |p| p.address.as_deref().map(Cow::Borrowed))
    }),
    event(
        "organizer.domain",
        Kind::Domain,
        "Registered domain of that address.",
        "corp.example",
        |e, _| organizer(e, |p| p.address.as_deref().and_then(domain_of)),
    ),
    event("organizer.name", Text, "CN of the organizer, normalised.", "Ann Example", |e, _| {
        organizer(e, |p| p.name.as_deref().map(normal))
    }),
    event("organizer.name.raw", Text, "CN of the organizer as written.", "Ann Example", |e, _| {
        organizer(e, |p| p.name.as_deref().map(Cow::Borrowed))
    }),
    event(
        "organizer.value",
        Text,
        "The ORGANIZER value as written.",
        "mailto:ann@corp.example",
        |e, _| organizer(e, |p| Some(Cow::Borrowed(&*p.value))),
    ),
    event(
        "organizer.unusable",
        Flag,
        "An ORGANIZER stands there but holds no usable mail address.",
        "no",
        |e, _| flag(e, e.event.organizers.iter().any(|p| p.address.is_none())),
    ),
    event(
        "organizer.sent_by",
        Address,
        "SENT-BY of the organizer (RFC 5545 §3.2.18).",
        "pat@corp.example",
        |e, _| organizer(e, |p| p.sent_by.as_deref().map(Cow::Borrowed)),
    ),
    event(
        "organizer.sent_by.domain",
        Kind::Domain,
        "Registered domain of SENT-BY.",
        "corp.example",
        |e, _| organizer(e, |p| p.sent_by.as_deref().and_then(domain_of)),
    ),
    event(
        "organizer.email.domain",
        Kind::Domain,
        "Registered domain of the organizer's EMAIL parameter (RFC 7986 §6.2).",
        "corp.example",
        |e, _| organizer(e, |p| p.email.as_deref().and_then(domain_of)),
    ),
    event("organizer.is_attendee", Flag, "The organizer is among the attendees.", "yes", |e, _| {
        flag(
            e,
            e.event
                .organizers
                .iter()
                .filter_map(|o| o.address.as_deref())
                .any(|o| e.event.attendees.iter().any(|a| a.address.as_deref() == Some(o))),
        )
    }),
    event("attendees", Number, "ATTENDEE properties and participants.", "3", |e, _| {
        number(e, e.event.attendee_count)
    }),
    event(
        "attendee.address",
        Address,
        "Addresses of the attendees.",
        "vic@corp.example",
        |e, _| attendees(e, |p| p.address.as_deref().map(Cow::Borrowed)),
    ),
    event(
        "attendee.domain",
        Kind::Domain,
        "Registered domains of the attendees.",
        "corp.example",
        |e, _| attendees(e, |p| p.address.as_deref().and_then(domain_of)),
    ),
    event("attendee.name", Text, "CN of the attendees, normalised.", "Vic Tim", |e, _| {
        attendees(e, |p| p.name.as_deref().map(normal))
    }),
    event(
        "attendee.status",
        Text,
        "PARTSTAT of the attendees, upper case.",
        "NEEDS-ACTION",
        |e, _| attendees(e, |p| p.status.as_deref().map(Cow::Borrowed)),
    ),
    event(
        "names.confusables",
        Number,
        "Words in CN of organizer and attendees that mix Latin with look-alike letters of another script, or are in small capitals or mathematical letters.",
        "0",
        |e, _| {
            number(
                e,
                e.event
                    .organizers
                    .iter()
                    .chain(e.event.attendees.iter().take(100))
                    .filter_map(|p| p.name.as_deref())
                    .map(|n| text::normalise(n).1.confusables)
                    .sum::<usize>(),
            )
        },
    ),
    // The message's calendars as a whole.
    message("objects", Number, Calendar, "Distinct UIDs of the message.", "1", |f| {
        count(
            distinct(f.reading.events.iter().map(|e| e.uid.as_deref().unwrap_or_default())),
            Calendar,
        )
    }),
    message("methods", Number, Calendar, "Distinct METHODs of the message.", "1", |f| {
        count(distinct(f.reading.calendars.iter().filter_map(|c| c.method.as_deref())), Calendar)
    }),
    message("calendar.depth", Number, Calendar, "Deepest nesting of components.", "2", |f| {
        largest(f, |c| c.depth)
    }),
    message(
        "calendar.components",
        Number,
        Calendar,
        "Components of the largest calendar.",
        "3",
        |f| largest(f, |c| c.components),
    ),
    message(
        "calendar.timezones",
        Number,
        Calendar,
        "VTIMEZONE components of the largest calendar.",
        "1",
        |f| largest(f, |c| c.timezones),
    ),
    message(
        "calendar.observances",
        Number,
        Calendar,
        "STANDARD and DAYLIGHT components of the largest calendar.",
        "2",
        |f| largest(f, |c| c.observances),
    ),
    message(
        "calendar_parts",
        Number,
        Calendar,
        "Parts that are or claim to be calendars.",
        "2",
        |f| count(f.message.calendar_parts.len(), Calendar),
    ),
    message(
        "calendar_part.format",
        Text,
        Calendar,
        "What each such part holds: empty icalendar jcal jscalendar xcal other.",
        "icalendar",
        calendar_part_formats,
    ),
    message(
        "calendar_part.mislabelled",
        Text,
        Calendar,
        "Declared types of parts with a calendar file name and another type.",
        "application/pdf",
        |f| {
            known(f.message.calendar_parts.iter().filter(|c| c.named && !c.typed).filter_map(|c| {
                f.message.parts.get(c.part).map(|p| {
                    Datum::new(
                        Value::Text((&*p.content_type).into()),
                        Place::Part(c.part),
                        Calendar,
                    )
                })
            }))
        },
    ),
    message(
        "calendar_part.name",
        Text,
        Calendar,
        "File names of calendar parts.",
        "invite.ics",
        |f| {
            known(f.message.calendar_parts.iter().filter_map(|c| {
                f.message
                    .parts
                    .get(c.part)
                    .and_then(|p| p.name.as_deref())
                    .map(|n| Datum::new(Value::Text(n.into()), Place::Part(c.part), Calendar))
            }))
        },
    ),
    message(
        "calendar_part.size",
        Size,
        Calendar,
        "Sizes of calendar parts, decoded.",
        "4KB",
        |f| {
            known(f.message.calendar_parts.iter().map(|c| {
                Datum::new(Value::Number(float(c.text.len())), Place::Part(c.part), Calendar)
            }))
        },
    ),
    message(
        "defect",
        Text,
        Calendar,
        "Names of the defects met in the input.",
        "method-mismatch",
        |f| {
            known(f.message.defects.iter().chain(&f.reading.defects).map(|d| {
                Datum::new(
                    Value::Text(d.kind.name().into()),
                    Place::Name(if d.place.is_empty() { "message" } else { &d.place }),
                    Calendar,
                )
            }))
        },
    ),
    message(
        "defects.syntax",
        Number,
        Calendar,
        "Recoverable errors of syntax, counted one by one: components not closed or closed wrongly, lines that are none, repeated parameters, values that are none.",
        "0",
        |f| count(f.reading.syntax_errors, Calendar),
    ),
    // The mail around it.
    message("parts", Number, Mail, "MIME parts.", "4", |f| {
        mail(f, || {
            vec![Datum::new(
                Value::Number(float(f.message.part_count)),
                Place::Name("message"),
                Mail,
            )]
        })
    }),
    message("part.type", Text, Mail, "Types of the MIME parts.", "text/html", |f| {
        mail(f, || {
            f.message
                .parts
                .iter()
                .enumerate()
                .map(|(at, p)| {
                    Datum::new(Value::Text((&*p.content_type).into()), Place::Part(at), Mail)
                })
                .collect()
        })
    }),
    message("part.name", Text, Mail, "File names of the MIME parts.", "agenda.pdf", |f| {
        mail(f, || {
            f.message
                .parts
                .iter()
                .enumerate()
                .filter_map(|(at, p)| {
                    p.name
                        .as_deref()
                        .map(|n| Datum::new(Value::Text(n.into()), Place::Part(at), Mail))
                })
                .collect()
        })
    }),
    message("from.address", Address, Mail, "Address of From.", "ann@corp.example", |f| {
        mailboxes(f, &f.message.from, "From", |m| Some(Cow::Borrowed(&*m.address)))
    }),
    message("from.domain", Kind::Domain, Mail, "Registered domain of From.", "corp.example", |f| {
        mailboxes(f, &f.message.from, "From", |m| domain_of(&m.address))
    }),
    message("from.name", Text, Mail, "Display name of From, normalised.", "Ann Example", |f| {
        mailboxes(f, &f.message.from, "From", |m| Some(normal(&m.name)))
    }),
    message(
        "from.confusables",
        Number,
        Mail,
        "Disguised words in the display name of From.",
        "0",
        |f| {
            mail(f, || {
                vec![Datum::new(
                    Value::Number(float(
                        f.message
                            .from
                            .iter()
                            .map(|m| text::normalise(&m.name).1.confusables)
                            .sum::<usize>(),
                    )),
                    Place::Name("From"),
                    Mail,
                )]
            })
        },
    ),
    message("sender.address", Address, Mail, "Address of Sender.", "pat@corp.example", |f| {
        mailboxes(f, f.message.sender.as_slice(), "Sender", |m| Some(Cow::Borrowed(&*m.address)))
    }),
    message(
        "sender.domain",
        Kind::Domain,
        Mail,
        "Registered domain of Sender.",
        "corp.example",
        |f| mailboxes(f, f.message.sender.as_slice(), "Sender", |m| domain_of(&m.address)),
    ),
    message("reply_to.address", Address, Mail, "Addresses of Reply-To.", "ann@corp.example", |f| {
        mailboxes(f, &f.message.reply_to, "Reply-To", |m| Some(Cow::Borrowed(&*m.address)))
    }),
    message(
        "reply_to.domain",
        Kind::Domain,
        Mail,
        "Registered domains of Reply-To.",
        "corp.example",
        |f| mailboxes(f, &f.message.reply_to, "Reply-To", |m| domain_of(&m.address)),
    ),
    message("subject", Text, Mail, "Subject, normalised.", "Invitation: Team meeting", |f| {
        mail(f, || {
            f.message
                .subject
                .as_deref()
                .filter(|s| !s.is_empty())
                .map(|s| Datum::new(Value::Text(normal(s)), Place::Name("Subject"), Mail))
                .into_iter()
                .collect()
        })
    }),
    message(
        "list.id",
        Text,
        Mail,
        "List-Id header (RFC 2919): the mail came through a mailing list.",
        "<dev.lists.example>",
        |f| mail(f, || header(f, "List-Id")),
    ),
    message(
        "envelope.from",
        Address,
        Network,
        "MAIL FROM; unknown when the caller did not say.",
        "ann@corp.example",
        |f| stated(f.envelope.sender.as_deref(), "MAIL FROM"),
    ),
    message(
        "rcpt.address",
        Address,
        Network,
        "RCPT TO; without an envelope the addresses of To and Cc.",
        "vic@corp.example",
        recipients,
    ),
    message(
        "client.ip",
        Text,
        Network,
        "Address of the SMTP client; unknown when the caller did not say.",
        "192.0.2.1",
        |f| {
            f.envelope.client_ip.map_or(Answer::Unknown, |ip| {
                known([Datum::new(
                    Value::Text(ip.to_string().into()),
                    Place::Name("client"),
                    Network,
                )])
            })
        },
    ),
    message("user", Text, Network, "Authenticated user of outbound mail.", "ann", |f| {
        known(
            f.envelope
                .user
                .as_deref()
                .filter(|u| !u.is_empty())
                .map(|u| Datum::new(Value::Text(u.into()), Place::Name("user"), Network)),
        )
    }),
    message(
        "client.trusted",
        Flag,
        Network,
        "The SMTP client is an authenticated user, this host, or in `site.trusted_networks`; never unknown.",
        "no",
        identity::client_trusted,
    ),
    message(
        "auth.stated",
        Flag,
        Network,
        "Something is known of the message's authentication: trusted parties have stated it, or it was verified here; never unknown.",
        "yes",
        identity::is_stated,
    ),
    message(
        "auth.source",
        Text,
        Network,
        "Who says it: caller, header (of a trusted server) or verified (here); unknown when nothing is known, as all that follow.",
        "caller",
        identity::source,
    ),
    message("auth.spf", Text, Network, "SPF result.", "pass", |f| {
        identity::result(f, Mechanism::Spf)
    }),
    message("auth.dkim", Text, Network, "DKIM result: pass if a signature passes.", "pass", |f| {
        identity::result(f, Mechanism::Dkim)
    }),
    message("auth.dmarc", Text, Network, "DMARC result.", "pass", |f| {
        identity::result(f, Mechanism::Dmarc)
    }),
    message("auth.arc", Text, Network, "ARC result.", "pass", |f| {
        identity::result(f, Mechanism::Arc)
    }),
    message(
        "auth.spf.domain",
        Kind::Domain,
        Network,
        "Registered domain that SPF is about.",
        "corp.example",
        |f| identity::domains(f, Mechanism::Spf),
    ),
    message(
        "auth.dkim.domain",
        Kind::Domain,
        Network,
        "Registered domains of the signatures that pass; of the first one where none does.",
        "corp.example",
        |f| identity::domains(f, Mechanism::Dkim),
    ),
    message(
        "auth.dmarc.domain",
        Kind::Domain,
        Network,
        "Registered domain that DMARC is about.",
        "corp.example",
        |f| identity::domains(f, Mechanism::Dmarc),
    ),
    message(
        "auth.dmarc.policy",
        Text,
        Network,
        "What that domain asks for when DMARC fails: none quarantine reject.",
        "reject",
        identity::policy,
    ),
    message(
        "auth.arc.domain",
        Kind::Domain,
        Network,
        "Registered domain of the last sealer of ARC.",
        "lists.example",
        |f| identity::domains(f, Mechanism::Arc),
    ),
    message(
        "auth.domain",
        Kind::Domain,
        Network,
        "Registered domains that pass SPF, DKIM or DMARC.",
        "corp.example",
        identity::passing_domains,
    ),
    message(
        "auth.aligned.from",
        Flag,
        Network,
        "The registered domain of From passes SPF, DKIM or DMARC.",
        "yes",
        identity::from_aligned,
    ),
    event(
        "auth.aligned.organizer",
        Flag,
        "The organizer's registered domain passes SPF, DKIM or DMARC.",
        "yes",
        identity::organizer_aligned,
    ),
    event(
        "auth.aligned.sent_by",
        Flag,
        "The registered domain of SENT-BY passes SPF, DKIM or DMARC.",
        "no",
        identity::sent_by_aligned,
    ),
    // What the site knows.
    event(
        "site.local.organizer",
        Flag,
        "The organizer's address is in one of `site.domains`.",
        "no",
        identity::organizer_local,
    ),
    message(
        "site.local.from",
        Flag,
        Mail,
        "The address of From is in one of `site.domains`.",
        "no",
        identity::from_local,
    ),
    event(
        "site.welcome.organizer",
        Flag,
        "The organizer is one of `site.welcome_organizers`, or says so.",
        "no",
        identity::organizer_welcome,
    ),
    event(
        "site.blocked.organizer",
        Address,
        "ORGANIZER, SENT-BY and EMAIL= that `site.block_addresses` names.",
        "bad@evil.example",
        identity::organizer_blocked,
    ),
    event(
        "site.blocked.attendee",
        Address,
        "Attendees that `site.block_addresses` names.",
        "bad@evil.example",
        identity::attendee_blocked,
    ),
    event(
        "site.blocked.url",
        Text,
        "Links of the event that `site.block_urls` names.",
        "https://evil.example/",
        identity::links_blocked,
    ),
    message(
        "site.blocked.from",
        Address,
        Mail,
        "From that `site.block_addresses` names.",
        "bad@evil.example",
        |f| identity::mailboxes_blocked(f, &f.message.from, "From"),
    ),
    message(
        "site.blocked.reply_to",
        Address,
        Mail,
        "Reply-To that `site.block_addresses` names.",
        "bad@evil.example",
        |f| identity::mailboxes_blocked(f, &f.message.reply_to, "Reply-To"),
    ),
    message(
        "site.blocked.mail_url",
        Text,
        Mail,
        "Links of the mail's bodies that `site.block_urls` names.",
        "https://evil.example/",
        identity::mail_links_blocked,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_is_declared_well() {
        let mut names: Vec<&str> = TABLE.iter().map(|fact| fact.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count, "a fact is declared twice");
        for fact in TABLE {
            assert!(fact.meaning.ends_with('.'), "{}: the meaning is a sentence", fact.name);
            assert!(!fact.example.is_empty(), "{}: no example", fact.name);
            assert!(
                fact.name.bytes().all(|b| b.is_ascii_lowercase() || matches!(b, b'.' | b'_')),
                "{}: not a dotted noun",
                fact.name
            );
        }
    }
}
