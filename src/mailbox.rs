//! Mail as it lies on a disk: single files, folders of them, Maildir and mbox.
//!
//! Comes in: a path. Goes out: the files below it, by name, and the messages of each; what
//! cannot be read is told with its name and the reason. Memory is bounded by the limit of one
//! message, however large a file is.
//! Not an error: an empty folder, a file that is no mail. Links to folders are not followed,
//! so no walk goes in circles.

mod mbox;

use std::fs;
use std::io::{self, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

pub use mbox::{Mbox, Piece};

/// Folders in folders that are looked into.
const DEPTH: usize = 64;

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system says so.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Over the limit of one message, in bytes.
    #[error("larger than {0} bytes (max_message)")]
    TooLarge(usize),
    /// More folders in each other than anybody needs.
    #[error("more than {DEPTH} folders in each other")]
    TooDeep,
}

/// A file that may hold mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes when it was listed.
    pub size: u64,
    /// When it was written, seconds since 1970; `None` where the system does not say.
    pub modified: Option<i64>,
}

/// What a path leads to.
#[derive(Debug, Default)]
pub struct Listing {
    /// Files, by name within each folder.
    pub files: Vec<File>,
    /// What could not be looked at.
    pub unread: Vec<(PathBuf, ReadError)>,
}

impl Listing {
    /// Adds a file, or all files below a folder.
    ///
    /// Hidden files are left out, and of a Maildir (a folder with `cur` and `new`) also `tmp`
    /// and the index files beside them.
    pub fn add(&mut self, path: &Path) {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => self.add_folder(path, 0),
            // Also a pipe, if somebody names one.
            Ok(metadata) => self.add_file(path.to_owned(), &metadata),
            Err(error) => self.unread.push((path.to_owned(), error.into())),
        }
    }

    fn add_file(&mut self, path: PathBuf, metadata: &fs::Metadata) {
        let modified = metadata.modified().ok();
        let modified = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = modified.and_then(|time| i64::try_from(time.as_secs()).ok());
        self.files.push(File { path, size: metadata.len(), modified });
    }

    fn add_folder(&mut self, folder: &Path, depth: usize) {
        if depth >= DEPTH {
            return self.unread.push((folder.to_owned(), ReadError::TooDeep));
        }
        let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.unread.push((folder.to_owned(), error.into())),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        let is_maildir = ["cur", "new"].iter().all(|name| folder.join(name).is_dir());
        for entry in entries {
            let name = entry.file_name();
            let path = entry.path();
            let is_hidden = name.as_encoded_bytes().starts_with(b".");
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => {
                    // Folders in a Maildir are hidden by its rules.
                    let is_wanted = if is_maildir { name != "tmp" } else { !is_hidden };
                    if is_wanted {
                        self.add_folder(&path, depth + 1);
                    }
                }
                Ok(_) if is_hidden || is_maildir => {}
                // Through a link to a file, but not to a folder, which may be one around us.
                Ok(_) => match fs::metadata(&path) {
                    Ok(metadata) if metadata.is_file() => self.add_file(path, &metadata),
                    Ok(_) => {}
                    Err(error) => self.unread.push((path, error.into())),
                },
                Err(error) => self.unread.push((path, error.into())),
            }
        }
    }
}

/// A file, opened.
pub enum Opened {
    /// One message, to be read with [`Message::read`].
    Message(Message),
    /// Many, one behind the other.
    Mbox(Mbox<BufReader<fs::File>>),
}

/// A file with one message.
pub struct Message(fs::File);

impl Message {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// The system's, and [`ReadError::TooLarge`].
    pub fn read(self, limit: usize) -> Result<Vec<u8>, ReadError> {
        read(self.0, limit)
    }
}

/// Opens a file and looks at its start: an mbox begins with a `From ` line.
///
/// # Errors
///
/// The system's.
pub fn open(path: &Path, limit: usize) -> Result<Opened, ReadError> {
    let mut file = fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Ok(Opened::Message(Message(file)));
    }
    let mut start = Vec::with_capacity(mbox::SEPARATOR);
    let longest = u64::try_from(mbox::SEPARATOR).unwrap_or(u64::MAX);
    file.by_ref().take(longest).read_to_end(&mut start)?;
    file.rewind()?;
    Ok(if mbox::is_separator(&start) {
        Opened::Mbox(Mbox::new(BufReader::new(file), limit))
    } else {
        Opened::Message(Message(file))
    })
}

/// Reads everything, up to a limit.
///
/// # Errors
///
/// The system's, and [`ReadError::TooLarge`].
pub fn read(reader: impl Read, limit: usize) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    let past_limit = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(past_limit).read_to_end(&mut bytes)?;
    if bytes.len() > limit { Err(ReadError::TooLarge(limit)) } else { Ok(bytes) }
}

/// True for files that are calendars by their name, with no mail around them.
pub fn is_calendar(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
    ["ics", "ical", "ifb", "vcs"].iter().any(|name| ending == *name)
}

/// A message's name: the file's, for one of an mbox with the offset of its `From ` line.
pub fn name(path: &Path, at: Option<u64>) -> String {
    match at {
        Some(at) => format!("{}.{at}", path.display()),
        None => path.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir()
                .join(format!("calspamd-mailbox-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn write(&self, name: &str) {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }

        fn listed(&self) -> Vec<String> {
            let mut listing = Listing::default();
            listing.add(&self.0);
            assert!(listing.unread.is_empty(), "{:?}", listing.unread);
            let shown = |file: &File| {
                file.path.strip_prefix(&self.0).unwrap().to_string_lossy().into_owned()
            };
            listing.files.iter().map(shown).collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn folders_are_walked_by_name_and_links_to_folders_are_not() {
        let folder = Folder::new("links");
        for name in ["b/2.eml", "b/10.eml", "a.eml", ".hidden", ".git/x", "c/d/e"] {
            folder.write(name);
        }
        symlink(&folder.0, folder.0.join("b/around")).unwrap();
        symlink(folder.0.join("a.eml"), folder.0.join("b/link.eml")).unwrap();
        let all = ["a.eml", "b/10.eml", "b/2.eml", "b/link.eml", "c/d/e"];
        assert_eq!(folder.listed(), all);
    }

    #[test]
    fn of_a_maildir_only_delivered_messages_count() {
        let folder = Folder::new("maildir");
        let messages = [".Junk/cur/3", ".Junk/new/4", "cur/1:2,S", "new/2"];
        for name in messages {
            folder.write(name);
        }
        for name in
            ["tmp/5", "dovecot.index", "subscriptions", ".Junk/tmp/6", ".Junk/maildirfolder"]
        {
            folder.write(name);
        }
        assert_eq!(folder.listed(), messages);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = Folder::new("unread");
        let mut listing = Listing::default();
        listing.add(&folder.0.join("nowhere"));
        symlink("nowhere", folder.0.join("dangling")).unwrap();
        let mut deep = folder.0.clone();
        for _ in 0..=DEPTH {
            deep.push("d");
        }
        fs::create_dir_all(&deep).unwrap();
        listing.add(&folder.0);
        let shown: Vec<String> = listing.unread.iter().map(|(_, why)| why.to_string()).collect();
        assert_eq!(shown.len(), 3, "{shown:?}");
        assert!(shown[1].contains("64 folders"), "{shown:?}");
        assert!(listing.files.is_empty());
    }

    #[test]
    fn a_message_is_read_up_to_its_limit() {
        assert_eq!(read(&b"abc"[..], 3).unwrap(), b"abc");
        assert!(matches!(read(&b"abcd"[..], 3), Err(ReadError::TooLarge(3))));
    }

    #[test]
    fn calendars_and_messages_have_names() {
        assert!(is_calendar(Path::new("a/b.ICS")) && is_calendar(Path::new("b.vcs")));
        assert!(!is_calendar(Path::new("ics")) && !is_calendar(Path::new("a.ics.eml")));
        assert_eq!(name(Path::new("a/b"), None), "a/b");
        assert_eq!(name(Path::new("a/b"), Some(12)), "a/b.12");
    }
}
