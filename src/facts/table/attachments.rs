//! What an event brings along: inline attachments, pictures, QR codes, oversized text; and
//! mails that share a calendar.

use crate::facts::Fact;
use crate::facts::attachments::readers as read;

use super::{event, message};
use crate::facts::Kind::{Domain, Flag, Number, Size, Text};
use crate::facts::Origin::Calendar;

pub(super) const FACTS: &[Fact] = &[
    event(
        "attachment.name",
        Text,
        "File names that FILENAME, X-FILENAME, X-APPLE-FILENAME and the like give to inline and linked attachments, as written.",
        "agenda.pdf",
        read::file_names,
    ),
    event(
        "attachment.extension",
        Text,
        "What the names of inline attachments end in, as the system that opens them sees it, lower case.",
        "pdf",
        read::extensions,
    ),
    event(
        "attachment.declared",
        Text,
        "FMTTYPE or the data: URI's type of inline attachments, lower case.",
        "application/pdf",
        read::declared,
    ),
    event(
        "attachment.format",
        Text,
        "What inline attachments are by their content: empty image svg html xml calendar text script pdf document macro zip encrypted archive disk program shortcut profile media mail other.",
        "pdf",
        read::formats,
    ),
    event(
        "attachment.disguised",
        Text,
        "Inline attachments whose type or name promises a picture, sound, document or text and whose content is something that runs, opens or unpacks.",
        "image/png -> html",
        read::disguised,
    ),
    event(
        "attachment.member.extension",
        Text,
        "What the names inside ZIP files end in, lower case.",
        "docx",
        read::members,
    ),
    event(
        "attachment.page",
        Text,
        "Inline attachments that are HTML, up to 64 KiB of each.",
        "<html><form action=...",
        read::pages,
    ),
    event(
        "attachment.svg",
        Text,
        "Inline SVG of properties and of data: URIs in texts, up to 64 KiB of each.",
        "<svg viewBox=...",
        read::drawings,
    ),
    event(
        "attachment.url.extension",
        Text,
        "What linked attachments end in: the path of the link and its file name, lower case.",
        "pdf",
        read::link_extensions,
    ),
    event(
        "attachment.url.domain",
        Domain,
        "Registered domains of linked attachments.",
        "files.example",
        read::link_domains,
    ),
    event(
        "images.inline",
        Number,
        "Images inside the HTML of texts, as data: URIs.",
        "2",
        read::images,
    ),
    event(
        "images.only",
        Flag,
        "The description shows an image of its own and fewer than 20 letters.",
        "no",
        read::only_image,
    ),
    event(
        "qr.domain",
        Domain,
        "Registered domains that QR codes in the event's images lead to. Read are inline images, data: URIs in texts and images of the mail named by cid:; their links are among the links, too.",
        "meet.example",
        read::code_domains,
    ),
    event(
        "qr.domain.alone",
        Domain,
        "Those of them that no other link of the event has.",
        "evil.example",
        read::code_domains_alone,
    ),
    event("text.longest", Size, "Size of the event's longest text as shown.", "2KB", read::longest),
    event(
        "text.blob",
        Size,
        "Longest run of hex or base64 in a text, from 512 bytes on; links and armoured messages do not count.",
        "3KB",
        read::blob,
    ),
    message(
        "calendar_part.content",
        Text,
        Calendar,
        "What calendar parts hold that hold no calendar, in the words of attachment.format.",
        "html",
        read::part_contents,
    ),
    message(
        "sharing",
        Flag,
        Calendar,
        "The mail says that it shares a calendar (Content-Class: Sharing, x-sharing-...-url).",
        "no",
        read::shares,
    ),
    message(
        "sharing.url",
        Text,
        Calendar,
        "Where the shared calendar is, by x-sharing-config-url and the like.",
        "https://mail.corp.example/calendar.ics",
        read::sharing_links,
    ),
];
