//! What the site knows.

use crate::facts::{Fact, identity};

use super::{event, message};
use crate::facts::Kind::{Address, Flag, Text};
use crate::facts::Origin::Mail;

pub(super) const FACTS: &[Fact] = &[
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
    event(
        "site.blocked.file",
        Text,
        "Types of inline files whose SHA-256 `site.block_urls` names.",
        "application/pdf",
        identity::files_blocked,
    ),
    message(
        "site.blocked.part",
        Text,
        Mail,
        "Types of the mail's attachments whose SHA-256 `site.block_urls` names.",
        "application/pdf",
        identity::parts_blocked,
    ),
    message(
        "site.blocked.from",
        Address,
        Mail,
        "From and Sender that `site.block_addresses` names.",
        "bad@evil.example",
        identity::senders_blocked,
    ),
    message(
        "site.blocked.reply_to",
        Address,
        Mail,
        "Reply-To that `site.block_addresses` names.",
        "bad@evil.example",
        identity::answers_blocked,
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
