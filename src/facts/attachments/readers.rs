//! How facts about attachments are read: the functions that the table names.

use std::collections::HashSet;

use super::format::{self, Format};
use super::{Attachment, is_attached, names};
use crate::calendar::{Property, Value as Content};
use crate::facts::answers::{all, known, number, one};
use crate::facts::{Answer, Datum, EventFacts, Facts, Origin, Place, Value, domain, links};
use crate::message::{Format as PartFormat, Message};

/// Octets of a page or drawing that rules look at.
pub(super) const MARKUP: usize = 64 * 1024;
/// Letters and digits below which a description says nothing.
const FEW: usize = 20;
/// Shortest piece of a coded run that spaces or line ends part.
const PIECE: usize = 40;

/// Files of properties, as opposed to those in the HTML of texts.
fn files<'f>(e: &'f EventFacts<'f>) -> impl Iterator<Item = &'f Attachment<'f>> {
    e.attachments.files.iter().filter(|file| !file.in_text)
}

fn attached<'f>(e: &'f EventFacts<'f>) -> impl Iterator<Item = (&'f Property, Place<'f>)> {
    let properties = e.event.properties.iter().filter(|property| is_attached(property));
    properties.map(|property| (property, Place::Property(e.event, property)))
}

fn texts<'f>(found: impl Iterator<Item = (String, Place<'f>)>) -> Answer<'f> {
    all(found.map(|(text, place)| (Value::Text(text.into()), place)))
}

pub(in crate::facts) fn file_names<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    let read = attached(e).flat_map(|(property, place)| {
        names::of(property).map(move |name| (Value::Text(name.into()), place))
    });
    let written = f.reading.calendars.get(e.event.calendar).map(|c| &*c.backslash_lines);
    let written = written.unwrap_or_default().iter().filter(|line| line.event == Some(e.index));
    let written = written.filter(|line| matches!(&*line.name, "ATTACH" | "IMAGE"));
    all(read.chain(written.flat_map(|line| {
        names::of_line(&line.rest).map(|name| (Value::Text(name.into()), Place::Name(&line.place)))
    })))
}

pub(in crate::facts) fn extensions<'f>(e: &'f EventFacts<'f>, _: &'f Facts<'f>) -> Answer<'f> {
    texts(files(e).flat_map(|file| {
        names::of(file.property).filter_map(names::extension).map(|name| (name, file.place))
    }))
}

pub(in crate::facts) fn declared<'f>(e: &'f EventFacts<'f>, _: &'f Facts<'f>) -> Answer<'f> {
    all(files(e).map(|file| (Value::Text((&*file.declared).into()), file.place)))
}

pub(in crate::facts) fn formats<'f>(e: &'f EventFacts<'f>, _: &'f Facts<'f>) -> Answer<'f> {
    all(files(e).map(|file| (Value::Text(file.format().name().into()), file.place)))
}

pub(in crate::facts) fn members<'f>(e: &'f EventFacts<'f>, _: &'f Facts<'f>) -> Answer<'f> {
    texts(files(e).filter(|file| file.format() == Format::Zip).flat_map(|file| {
        let endings: HashSet<String> =
            file.members().names.iter().filter_map(|name| names::extension(name)).collect();
        let mut endings: Vec<String> = endings.into_iter().collect();
        endings.sort_unstable();
        endings.into_iter().map(|ending| (ending, file.place))
    }))
}

pub(in crate::facts) fn pages<'f>(e: &'f EventFacts<'f>, _: &'f Facts<'f>) -> Answer<'f> {
    markup(files(e).filter(|file| file.format() == Format::Html))
}

pub(in crate::facts) fn drawings<'f>(e: &'f EventFacts<'f>, _: &'f Facts<'f>) -> Answer<'f> {
    markup(e.attachments.files.iter().filter(|file| file.format() == Format::Svg))
}

fn markup<'f>(files: impl Iterator<Item = &'f Attachment<'f>>) -> Answer<'f> {
    all(files.map(|file| (Value::Text(format::text_head(&file.data, MARKUP)), file.place)))
}

/// What a label promises, as far as it matters whether that is true.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Claim {
    Picture,
    Media,
    Pdf,
    /// The old Office formats, which hold macros and, from many exporters, HTML.
    OldDocument,
    Document,
    Text,
}

fn claim_of_type(declared: &str) -> Option<Claim> {
    let kind = declared.split(';').next().unwrap_or_default().trim();
    match kind {
        "image/svg+xml" => None,
        "application/pdf" | "application/x-pdf" => Some(Claim::Pdf),
        "application/msword" | "application/vnd.ms-excel" | "application/vnd.ms-powerpoint" => {
            Some(Claim::OldDocument)
        }
        "text/plain" | "text/csv" => Some(Claim::Text),
        _ if kind.contains("macroenabled") => None,
        _ if kind.starts_with("image/") => Some(Claim::Picture),
        _ if kind.starts_with("audio/") || kind.starts_with("video/") => Some(Claim::Media),
        _ if kind.starts_with("application/vnd.openxmlformats")
            || kind.starts_with("application/vnd.oasis.opendocument") =>
        {
            Some(Claim::Document)
        }
        _ => None,
    }
}

fn claim_of_extension(extension: &str) -> Option<Claim> {
    Some(match extension {
        "png" | "jpg" | "jpeg" | "jpe" | "gif" | "bmp" | "webp" | "tif" | "tiff" | "ico"
        | "heic" | "heif" | "avif" => Claim::Picture,
        "mp3" | "m4a" | "wav" | "ogg" | "aif" | "aiff" | "flac" | "mp4" | "m4v" | "mov" | "avi"
        | "mpg" | "mpeg" | "webm" => Claim::Media,
        "pdf" => Claim::Pdf,
        "doc" | "xls" | "ppt" | "dot" | "rtf" => Claim::OldDocument,
        "docx" | "xlsx" | "pptx" | "odt" | "ods" | "odp" => Claim::Document,
        "txt" | "csv" | "ics" | "vcf" => Claim::Text,
        _ => return None,
    })
}

/// True for content that somebody hides behind the label, rather than confuses with it.
fn is_lie(claim: Claim, format: Format) -> bool {
    match format {
        Format::Program
        | Format::Shortcut
        | Format::Disk
        | Format::Profile
        | Format::Encrypted
        | Format::Zip
        | Format::Archive => true,
        // An HTML table under .xls is what half the world's exporters write.
        Format::Html => !matches!(claim, Claim::Text | Claim::OldDocument),
        Format::Script | Format::Svg => claim != Claim::Text,
        Format::Macro => claim != Claim::OldDocument,
        Format::Empty
        | Format::Image
        | Format::Xml
        | Format::Calendar
        | Format::Text
        | Format::Pdf
        | Format::Document
        | Format::Media
        | Format::Mail
        | Format::Other => false,
    }
}

pub(in crate::facts) fn disguised<'f>(e: &'f EventFacts<'f>, _: &'f Facts<'f>) -> Answer<'f> {
    texts(files(e).filter_map(|file| {
        let format = file.format();
        let by_type = claim_of_type(&file.declared).map(|claim| (claim, file.declared.to_string()));
        let by_name = names::of(file.property)
            .filter_map(names::extension)
            .filter_map(|ending| Some((claim_of_extension(&ending)?, ending)));
        by_type
            .into_iter()
            .chain(by_name)
            .find(|(claim, _)| is_lie(*claim, format))
            .map(|(_, label)| (format!("{label} -> {}", format.name()), file.place))
    }))
}

// ---- attachments that are links ----

fn attached_links<'f>(
    e: &'f EventFacts<'f>,
) -> impl Iterator<Item = (&'f Property, &'f str, Place<'f>)> {
    attached(e).filter(|(property, _)| property.name != "CONFERENCE").filter_map(
        |(property, place)| match &property.value {
            Content::Uri(uri) => Some((property, uri.as_str(), place)),
            Content::Text(_) | Content::Binary { .. } | Content::Other(_) => None,
        },
    )
}

pub(in crate::facts) fn link_extensions<'f>(e: &'f EventFacts<'f>, _: &'f Facts<'f>) -> Answer<'f> {
    texts(attached_links(e).flat_map(|(property, uri, place)| {
        let of_names = names::of(property).filter_map(names::extension);
        names::link_extension(uri).into_iter().chain(of_names).map(move |ending| (ending, place))
    }))
}

pub(in crate::facts) fn link_domains<'f>(e: &'f EventFacts<'f>, _: &'f Facts<'f>) -> Answer<'f> {
    texts(attached_links(e).filter_map(|(_, uri, place)| {
        links::host_of(uri).map(|host| (domain::registered(&host).into_owned(), place))
    }))
}

// ---- pictures ----

pub(in crate::facts) fn images<'f>(e: &'f EventFacts<'f>, _: &'f Facts<'f>) -> Answer<'f> {
    number(e, e.attachments.images)
}

pub(in crate::facts) fn only_image<'f>(e: &'f EventFacts<'f>, _: &'f Facts<'f>) -> Answer<'f> {
    let has_image = e.attachments.images + e.attachments.shown > 0;
    let described = e.texts.iter().filter(|text| {
        text.is_html_twin() || matches!(&*text.property.name, "DESCRIPTION" | "COMMENT")
    });
    let letters = described
        .flat_map(|text| text.visible.chars())
        .filter(|c| c.is_alphanumeric())
        .take(FEW)
        .count();
    one(Value::Flag(has_image && letters < FEW), Place::Event(e.event))
}

/// Links of QR codes.
fn code_links<'f>(e: &'f EventFacts<'f>) -> impl Iterator<Item = (String, Place<'f>)> {
    let found = e
        .attachments
        .codes
        .iter()
        .flat_map(|code| links::find(&code.text).into_iter().map(|url| (url, code.place)));
    found.filter_map(|(url, place)| {
        links::host_of(&url).map(|host| (domain::registered(&host).into_owned(), place))
    })
}

pub(in crate::facts) fn code_domains<'f>(e: &'f EventFacts<'f>, _: &'f Facts<'f>) -> Answer<'f> {
    texts(code_links(e))
}

pub(in crate::facts) fn code_domains_alone<'f>(
    e: &'f EventFacts<'f>,
    f: &'f Facts<'f>,
) -> Answer<'f> {
    if e.attachments.codes.is_empty() {
        return known([]);
    }
    let own = f.links.all.get(e.links.clone()).unwrap_or_default();
    let elsewhere: HashSet<String> = own
        .iter()
        .filter(|link| !matches!(link.place, Place::Code(..)))
        .filter_map(|link| link.domain().map(std::borrow::Cow::into_owned))
        .collect();
    texts(code_links(e).filter(|(domain, _)| !elsewhere.contains(domain)))
}

// ---- long texts ----

pub(in crate::facts) fn longest<'f>(e: &'f EventFacts<'f>, _: &'f Facts<'f>) -> Answer<'f> {
    let longest = e.texts.iter().max_by_key(|text| text.visible.len());
    known(longest.map(|text| {
        let size = crate::facts::answers::float(text.visible.len());
        Datum::new(Value::Number(size), text.place, Origin::Calendar)
    }))
}

pub(in crate::facts) fn blob<'f>(e: &'f EventFacts<'f>, _: &'f Facts<'f>) -> Answer<'f> {
    let longest = e.texts.iter().map(|text| (blob_of(&text.visible), text.place));
    let longest = longest.max_by_key(|(size, _)| *size).filter(|(size, _)| *size > 0);
    known(longest.map(|(size, place)| {
        Datum::new(Value::Number(crate::facts::answers::float(size)), place, Origin::Calendar)
    }))
}

/// Longest run of hex or base64 in a text, from 512 octets on. Links and armoured keys, mails
/// and signatures do not count.
///
/// A run that long meets every 512th octet, so only runs around those are measured.
fn blob_of(text: &str) -> usize {
    const STEP: usize = 512;
    let bytes = text.as_bytes();
    let coded = |at: usize| bytes.get(at).is_some_and(|byte| is_coded(*byte));
    let (mut longest, mut at) = (0, STEP - 1);
    while at < bytes.len() {
        if !coded(at) {
            at += STEP;
            continue;
        }
        let (mut start, mut end) = piece(bytes, at);
        // Wrapped at a fixed width: one line end or space, and the next piece.
        while end - start >= PIECE {
            let next = skip_break(bytes, end);
            let (_, next_end) = piece(bytes, next);
            if next == end || next_end < next + PIECE {
                break;
            }
            end = next_end;
        }
        while let Some(before) = start.checked_sub(2) {
            let (previous, previous_end) = piece(bytes, before);
            let gap = bytes.get(previous_end..start).unwrap_or_default();
            let joined = (1..=2).contains(&gap.len()) && gap.iter().all(u8::is_ascii_whitespace);
            if !joined || previous_end < previous + PIECE {
                break;
            }
            start = previous;
        }
        let run = bytes.get(start..end).unwrap_or_default();
        if run.len() >= STEP && is_opaque(run) && !is_excused(text, start) {
            longest = longest.max(run.len());
        }
        at = end.max(at) + STEP;
    }
    longest
}

fn is_coded(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_')
}

/// The unbroken piece around a place; empty there when it is none.
fn piece(bytes: &[u8], at: usize) -> (usize, usize) {
    if !bytes.get(at).is_some_and(|byte| is_coded(*byte)) {
        return (at, at);
    }
    let start = bytes.iter().take(at).rposition(|byte| !is_coded(*byte)).map_or(0, |at| at + 1);
    let end = bytes.iter().skip(at).position(|byte| !is_coded(*byte));
    (start, end.map_or(bytes.len(), |end| at + end))
}

/// Behind one line end or space.
fn skip_break(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().take(2).take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// True for a mixture of letters and digits: rulers and names are none.
fn is_opaque(run: &[u8]) -> bool {
    let digits = run.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = run.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    digits * 30 >= run.len()
        && letters * 10 >= run.len()
        && (digits + letters) * 10 >= run.len() * 8
}

/// True for a part of a link, and for what stands in PGP's or PEM's armour.
fn is_excused(text: &str, start: usize) -> bool {
    let mut from = start.saturating_sub(2_000);
    while !text.is_char_boundary(from) {
        from -= 1;
    }
    let before = text.get(from..start).unwrap_or_default();
    let word = before.rsplit(char::is_whitespace).next().unwrap_or_default();
    word.contains("://") || before.contains("-----BEGIN ")
}

// ---- the mail and its calendar parts ----

/// What calendar parts hold that hold no calendar.
pub(in crate::facts) fn part_contents<'f>(f: &'f Facts<'f>) -> Answer<'f> {
    let others = f.message.calendar_parts.iter().filter(|part| part.format == PartFormat::Other);
    known(others.map(|part| {
        let data = part.text.as_bytes();
        let name = f.message.parts.get(part.part).and_then(|part| part.name.as_deref());
        let extension = name.and_then(names::extension);
        let format = format::of(data, extension.as_deref(), &super::archive::read(data));
        let value = Value::Text(format.name().into());
        Datum::new(value, Place::Part(part.part), Origin::Calendar)
    }))
}

/// True for a message that shares a calendar (MS-OXSHARE): a matter of ours without any
/// calendar part.
pub fn shares_calendar(message: &Message<'_>) -> bool {
    message.headers.iter().any(|header| {
        (header.name.eq_ignore_ascii_case("content-class")
            && header.decoded().eq_ignore_ascii_case("sharing"))
            || is_sharing_link(&header.name)
    })
}

/// `x-sharing-config-url`, `-browse-url`, `-remote-path` and the like.
fn is_sharing_link(name: &str) -> bool {
    const START: &str = "x-sharing-";
    name.get(..START.len()).is_some_and(|start| start.eq_ignore_ascii_case(START))
        && ["url", "path"].iter().any(|end| {
            let tail = name.len().checked_sub(end.len()).and_then(|at| name.get(at..));
            tail.is_some_and(|tail| tail.eq_ignore_ascii_case(end))
        })
}

pub(in crate::facts) fn shares<'f>(f: &'f Facts<'f>) -> Answer<'f> {
    let shares = Value::Flag(shares_calendar(f.message));
    known([Datum::new(shares, Place::Name("message"), Origin::Calendar)])
}

pub(in crate::facts) fn sharing_links<'f>(f: &'f Facts<'f>) -> Answer<'f> {
    let fields = f.message.headers.iter().filter(|header| is_sharing_link(&header.name));
    known(fields.map(|header| {
        let value = Value::Text(header.decoded().into());
        Datum::new(value, Place::Name(&header.name), Origin::Calendar)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: std::ops::RangeInclusive<usize>) {
        let size = blob_of(text);
        assert!(expected.contains(&size), "{size}: {}", text.get(..80).unwrap_or(text));
    }

    #[test]
    fn blobs() {
        let coded = "q8Zt1bXw0LkP9aVe7HsY".repeat(80);
        let none = 0..=0;
        check(&coded, 1600..=1600);
        check(&format!("Agenda for Monday. {coded} Thanks, Ann"), 1600..=1600);
        let mut lines = String::from("Key:\n");
        for line in coded.as_bytes().chunks(64) {
            lines.push_str(std::str::from_utf8(line).unwrap());
            lines.push('\n');
        }
        check(&lines, 1600..=1630);
        check(&format!("https://a.example/?t={coded}"), none.clone());
        check(&format!("-----BEGIN PGP MESSAGE-----\n\n{lines}"), none.clone());
        check(&"-".repeat(2_000), none.clone());
        check(&"Hyperlinkwort".repeat(150), none.clone());
        check(&"Bring the 3 open questions of your team. ".repeat(100), none.clone());
        check(&"x1".repeat(100), none.clone());
        check("", none.clone());
        check(&"日本語".repeat(500), none);
    }

    #[test]
    fn blobs_take_linear_time() {
        let start = std::time::Instant::now();
        for text in
            ["q8Zt1bXw0L".repeat(100_000), format!("{}\n", "q8Zt1bXw".repeat(8)).repeat(15_000)]
        {
            assert!(blob_of(&text) > 900_000);
        }
        assert!(start.elapsed() < std::time::Duration::from_secs(2));
    }

    #[track_caller]
    fn lie(label: &str, format: Format, expected: bool) {
        let claim = claim_of_type(label).or_else(|| claim_of_extension(label));
        assert_eq!(claim.is_some_and(|claim| is_lie(claim, format)), expected, "{label}");
    }

    #[test]
    fn lies() {
        lie("image/png", Format::Html, true);
        lie("image/png", Format::Image, false);
        lie("image/svg+xml", Format::Svg, false);
        lie("pdf", Format::Program, true);
        lie("pdf", Format::Document, false);
        lie("xls", Format::Html, false);
        lie("xls", Format::Macro, false);
        lie("xlsx", Format::Macro, true);
        lie("docx", Format::Zip, true);
        lie("txt", Format::Html, false);
        lie("application/octet-stream", Format::Program, false);
        lie("html", Format::Html, false);
    }
}
