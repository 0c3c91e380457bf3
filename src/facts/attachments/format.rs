//! What a file is, by its content.
//!
//! Comes in: octets, what the file name ends in, and the members of a ZIP file. Goes out: a
//! [`Format`]. Labels do not count, but for text that only its name makes a page.
//! Not an error: octets of no known kind; they are [`Format::Other`].

use std::borrow::Cow;

use memchr::memmem;

use super::archive::Members;

/// Octets in which marks of text formats are looked for.
const HEAD: usize = 4 * 1024;
/// Octets in which a profile's marks are looked for.
const PROFILE: usize = 1024 * 1024;

macro_rules! formats {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// What a file is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Format {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Format {
            /// Name in facts.
            pub(super) const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }

        /// All names, for documentation.
        #[cfg(test)]
        pub(super) const NAMES: &[&str] = &[$($name),+];
    };
}

formats! {
    /// Nothing.
    Empty = "empty",
    /// A picture made of pixels.
    Image = "image",
    /// SVG.
    Svg = "svg",
    /// A web page.
    Html = "html",
    /// XML of another kind.
    Xml = "xml",
    /// iCalendar or vCard.
    Calendar = "calendar",
    /// Other text.
    Text = "text",
    /// A script, or help that runs scripts.
    Script = "script",
    /// PDF.
    Pdf = "pdf",
    /// A document without macros: OOXML, ODF, RTF, EPUB, iWork, the old binary formats.
    Document = "document",
    /// A document with macros.
    Macro = "macro",
    /// A ZIP file whose members can be seen.
    Zip = "zip",
    /// A ZIP file with encrypted members.
    Encrypted = "encrypted",
    /// An archive that is not looked into.
    Archive = "archive",
    /// An image of a disk.
    Disk = "disk",
    /// A program.
    Program = "program",
    /// A shortcut.
    Shortcut = "shortcut",
    /// An Apple configuration profile.
    Profile = "profile",
    /// Sound or film.
    Media = "media",
    /// A mail or TNEF.
    Mail = "mail",
    /// Anything else.
    Other = "other",
}

/// Marks at fixed places.
const MARKS: &[(usize, &[u8], Format)] = &[
    (0, b"\x89PNG\r\n\x1a\n", Format::Image),
    (0, b"\xff\xd8\xff", Format::Image),
    (0, b"GIF8", Format::Image),
    (8, b"WEBP", Format::Image),
    (0, b"II*\0", Format::Image),
    (0, b"MM\0*", Format::Image),
    (0, b"\0\0\x01\0", Format::Image),
    (0, b"8BPS", Format::Image),
    (8, b"WAVE", Format::Media),
    (8, b"AVI ", Format::Media),
    (8, b"AIF", Format::Media),
    (0, b"OggS", Format::Media),
    (0, b"ID3", Format::Media),
    (0, b"\xff\xfb", Format::Media),
    (0, b".snd", Format::Media),
    (0, b"caff", Format::Media),
    (0, b"fLaC", Format::Media),
    (0, b"\x1a\x45\xdf\xa3", Format::Media),
    (0, b"{\\rt", Format::Document),
    (0, b"Rar!\x1a\x07", Format::Archive),
    (0, b"7z\xbc\xaf\x27\x1c", Format::Archive),
    (0, b"\x1f\x8b", Format::Archive),
    (0, b"BZh", Format::Archive),
    (0, b"\xfd7zXZ\0", Format::Archive),
    (0, b"\x28\xb5\x2f\xfd", Format::Archive),
    (0, b"MSCF\0\0\0\0", Format::Archive),
    (7, b"**ACE**", Format::Archive),
    (2, b"-lh", Format::Archive),
    (257, b"ustar", Format::Archive),
    (0, b"xar!", Format::Archive),
    // A notebook holds files of any kind.
    (0, b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d", Format::Archive),
    (0x8001, b"CD001", Format::Disk),
    (0x8001, b"BEA01", Format::Disk),
    (0, b"conectix", Format::Disk),
    (0, b"vhdxfile", Format::Disk),
    (0, b"KDMV", Format::Disk),
    (0, b"MSWIM\0\0\0", Format::Disk),
    (0, b"\x7fELF", Format::Program),
    (0, b"\xfe\xed\xfa\xce", Format::Program),
    (0, b"\xfe\xed\xfa\xcf", Format::Program),
    (0, b"\xce\xfa\xed\xfe", Format::Program),
    (0, b"\xcf\xfa\xed\xfe", Format::Program),
    (0, b"\xca\xfe\xba\xbe", Format::Program),
    (0, b"dex\n", Format::Program),
    (0, b"\x4c\0\0\0\x01\x14\x02\0", Format::Shortcut),
    (0, b"ITSF", Format::Script),
    (0, b"\x78\x9f\x3e\x22", Format::Mail),
    (0, b"bplist00", Format::Other),
];

/// First words of text formats, compared without case.
const WORDS: &[(&[u8], Format)] = &[
    (b"#!/", Format::Script),
    (b"<?php", Format::Script),
    (b"<job", Format::Script),
    (b"<package", Format::Script),
    (b"<hta:", Format::Script),
    (b"[internetshortcut]", Format::Shortcut),
    (b"[desktop entry]", Format::Shortcut),
    (b"[shell]", Format::Shortcut),
    (b"begin:vca", Format::Calendar),
    (b"mime-version:", Format::Mail),
    (b"received:", Format::Mail),
    (b"return-path:", Format::Mail),
];

/// Tags that a page may start with.
const TAGS: [&[u8]; 18] = [
    b"<!doctype html",
    b"<html",
    b"<head",
    b"<body",
    b"<meta",
    b"<title",
    b"<style",
    b"<script",
    b"<iframe",
    b"<form",
    b"<div",
    b"<table",
    b"<center",
    b"<font",
    b"<h1",
    b"<a ",
    b"<img",
    b"<p>",
];

/// Says what a file is.
pub(super) fn of(data: &[u8], extension: Option<&str>, members: &Members) -> Format {
    if data.iter().all(u8::is_ascii_whitespace) {
        return Format::Empty;
    }
    if is_profile(data) {
        return Format::Profile;
    }
    let at = |place: usize, mark: &[u8]| data.get(place..).is_some_and(|d| d.starts_with(mark));
    if at(0, b"PK\x03\x04") {
        return of_zip(data, members);
    }
    if at(0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") {
        return of_ole(data);
    }
    if data.get(..HEAD.min(data.len())).is_some_and(|head| memmem::find(head, b"%PDF-").is_some()) {
        return Format::Pdf;
    }
    // "MZ" may start a word; a program has zeros right behind it.
    if at(0, b"MZ") && data.get(2..256.min(data.len())).is_some_and(|d| d.contains(&0)) {
        return Format::Program;
    }
    if at(4, b"ftyp") {
        let still = [&b"heic"[..], b"heix", b"mif1", b"avif"].iter().any(|brand| at(8, brand));
        return if still { Format::Image } else { Format::Media };
    }
    if at(0, b"BM") && data.get(6..10) == Some(&[0; 4]) {
        return Format::Image;
    }
    if let Some((.., format)) = MARKS.iter().find(|(place, mark, _)| at(*place, mark)) {
        return *format;
    }
    // A disk image of Apple's has its mark in the last block.
    let tail = data.get(data.len().saturating_sub(512)..).unwrap_or_default();
    if tail.len() == 512 && tail.starts_with(b"koly") {
        return Format::Disk;
    }
    of_text(data, extension)
}

fn of_zip(data: &[u8], members: &Members) -> Format {
    let has = |name: &str| members.any(|member| member.eq_ignore_ascii_case(name));
    let starts = |start: &str| members.any(|member| member.starts_with(start));
    if members.encrypted {
        return Format::Encrypted;
    }
    let ends = |end: &str| {
        members.any(|member| {
            let tail = member.len().checked_sub(end.len()).and_then(|at| member.get(at..));
            tail.is_some_and(|tail| tail.eq_ignore_ascii_case(end))
        })
    };
    if has("[Content_Types].xml") {
        let active = ends("vbaProject.bin") || starts("xl/macrosheets/");
        return if active { Format::Macro } else { Format::Document };
    }
    // ODF and EPUB start with a member that only says their type, not compressed.
    if data.get(30..).is_some_and(|rest| rest.starts_with(b"mimetypeapplication/")) {
        return if starts("Basic/") { Format::Macro } else { Format::Document };
    }
    if has("META-INF/MANIFEST.MF") || has("AndroidManifest.xml") {
        return Format::Program;
    }
    if has("Index/Document.iwa") || has("Index.zip") { Format::Document } else { Format::Zip }
}

/// The old binary formats of Office, and what else is stored like them.
fn of_ole(data: &[u8]) -> Format {
    // The class of an installer, in the directory's root entry.
    const INSTALLER: &[u8] = b"\x84\x10\x0c\0\0\0\0\0\xc0\0\0\0\0\0\0\x46";
    const MACROS: &[u8] = b"_\0V\0B\0A\0_\0P\0R\0O\0J\0E\0C\0T\0";
    if memmem::find(data, INSTALLER).is_some() {
        Format::Program
    } else if memmem::find(data, MACROS).is_some() {
        Format::Macro
    } else {
        Format::Document
    }
}

fn of_text(data: &[u8], extension: Option<&str>) -> Format {
    let text = text_head(data, HEAD);
    let trimmed = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    let head = trimmed.to_ascii_lowercase();
    let head = head.as_bytes();
    if let Some((_, format)) = WORDS.iter().find(|(word, _)| head.starts_with(word)) {
        return *format;
    }
    let first = |mark: &[u8]| memmem::find(head, mark);
    let page = TAGS.iter().any(|tag| head.starts_with(tag))
        || first(b"<html").is_some()
        || first(b"<script").is_some_and(|at| first(b"<svg").is_none_or(|svg| at < svg));
    if page {
        return Format::Html;
    }
    if first(b"<svg").is_some() {
        return Format::Svg;
    }
    if text.contains('\0') || text.matches('\u{fffd}').count() * 10 > text.len() {
        return Format::Other;
    }
    // A browser shows anything as a page that its name calls one.
    match extension {
        Some("htm" | "html" | "xhtml" | "shtml" | "xht" | "mht" | "mhtml") => Format::Html,
        Some("svg") => Format::Svg,
        Some(_) | None if head.starts_with(b"<?xml") => Format::Xml,
        Some(_) | None => Format::Text,
    }
}

/// The first octets as text; UTF-16 where a byte order mark or the zeros of `<` show it.
pub(super) fn text_head(data: &[u8], most: usize) -> Cow<'_, str> {
    let head = data.get(..data.len().min(most)).unwrap_or_default();
    let little = head.starts_with(b"\xff\xfe") || head.starts_with(b"<\0");
    let big = head.starts_with(b"\xfe\xff") || head.starts_with(b"\0<");
    if !(little || big) {
        return String::from_utf8_lossy(head);
    }
    let (pairs, _) = head.as_chunks::<2>();
    let units = pairs
        .iter()
        .map(|pair| if little { u16::from_le_bytes(*pair) } else { u16::from_be_bytes(*pair) });
    char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')).collect::<String>().into()
}

/// Property list, plain, binary or signed, with the keys of a configuration profile.
pub(super) fn is_profile(data: &[u8]) -> bool {
    let head = data.get(..data.len().min(PROFILE)).unwrap_or_default();
    let has = |mark: &[u8]| memmem::find(head, mark).is_some();
    let list = head.starts_with(b"bplist00") || has(b"<plist");
    list && has(b"PayloadType") && has(b"PayloadIdentifier")
}

#[cfg(test)]
mod tests {
    use super::super::archive::{read, tests::zip};
    use super::*;

    #[track_caller]
    fn check(data: &[u8], name: Option<&str>, expected: Format) {
        assert_eq!(of(data, name, &read(data)), expected, "{}", String::from_utf8_lossy(data));
    }

    #[test]
    fn binary_formats() {
        check(b"", None, Format::Empty);
        check(b"\r\n  ", None, Format::Empty);
        check(b"\x89PNG\r\n\x1a\n\0\0", Some("exe"), Format::Image);
        check(b"RIFF....WEBPVP8", None, Format::Image);
        check(b"\0\0\0\x18ftypheic", None, Format::Image);
        check(b"\0\0\0\x18ftypmp42", None, Format::Media);
        check(b"BM\x36\0\0\0\0\0\0\0", None, Format::Image);
        check(b"BMW meets the board", None, Format::Text);
        check(b"MZ\x90\0\x03\0\0\0", Some("pdf"), Format::Program);
        check(b"MZ: minutes of the meeting", None, Format::Text);
        check(b"junk %PDF-1.7", None, Format::Pdf);
        check(b"\x4c\0\0\0\x01\x14\x02\0\0\0", None, Format::Shortcut);
        let mut disk = vec![0; 0x8001];
        disk.extend_from_slice(b"CD001");
        check(&disk, None, Format::Disk);
        let mut apple = vec![1; 512];
        apple.extend_from_slice(b"koly");
        apple.resize(1024, 0);
        check(&apple, None, Format::Disk);
        check(b"\x01\x02\x03\0\x04", None, Format::Other);
    }

    #[test]
    fn office_formats() {
        check(&zip(&["a.txt"], false, true), None, Format::Zip);
        check(&zip(&["a.txt"], true, true), None, Format::Encrypted);
        check(
            &zip(&["[Content_Types].xml", "word/document.xml"], false, true),
            None,
            Format::Document,
        );
        check(
            &zip(&["[Content_Types].xml", "word/vbaProject.bin"], false, true),
            Some("docx"),
            Format::Macro,
        );
        check(
            &zip(&["mimetypeapplication/vnd.oasis.opendocument.text"], false, true),
            None,
            Format::Document,
        );
        check(&zip(&["META-INF/MANIFEST.MF", "A.class"], false, true), None, Format::Program);
        let ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 Root Entry";
        check(ole, None, Format::Document);
        check(&[&ole[..], b"_\0V\0B\0A\0_\0P\0R\0O\0J\0E\0C\0T\0"].concat(), None, Format::Macro);
        check(b"{\\rtf1 hello}", None, Format::Document);
    }

    #[test]
    fn text_formats() {
        check(b"Agenda: budget", None, Format::Text);
        check(b"Agenda: budget", Some("html"), Format::Html);
        check("Übersicht".as_bytes(), Some("txt"), Format::Text);
        check(b"\xef\xbb\xbf \n<!DOCTYPE html><p>x", Some("pdf"), Format::Html);
        check(b"<!-- saved from x --><HTML>", None, Format::Html);
        check(b"Loading ...<script>x()</script>", None, Format::Html);
        check(b"\xff\xfe<\0h\0t\0m\0l\0>\0", None, Format::Html);
        check(b"<\0s\0v\0g\0 \0x\0=\0", None, Format::Svg);
        check(b"<?xml version='1.0'?><svg xmlns='x'><script>a</script></svg>", None, Format::Svg);
        check(b"<?xml version='1.0'?><note/>", None, Format::Xml);
        check(b"[InternetShortcut]\r\nURL=file://192.0.2.1/x", None, Format::Shortcut);
        check(b"#!/bin/sh\nrm x", None, Format::Script);
        check(b"BEGIN:VCALENDAR", None, Format::Calendar);
    }

    #[test]
    fn profiles() {
        let keys = b"<plist><key>PayloadType</key><key>PayloadIdentifier</key>";
        check(keys, None, Format::Profile);
        check(
            &[b"0\x82\x0a\x06\x09*\x86H\x86\xf7\x0d\x01\x07\x02", &keys[..]].concat(),
            None,
            Format::Profile,
        );
        check(b"bplist00 PayloadType PayloadIdentifier", None, Format::Profile);
        check(b"<?xml version='1.0'?><plist><key>Name</key></plist>", None, Format::Xml);
    }

    #[test]
    fn names_are_words() {
        assert!(NAMES.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase())));
    }
}
