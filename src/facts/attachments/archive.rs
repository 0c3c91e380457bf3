//! What a ZIP file says it holds.
//!
//! Comes in: octets. Goes out: the names of its members. Nothing is unpacked, so nothing can
//! be a bomb. Records are looked for rather than followed, because programs that open a broken
//! archive do the same, and so that archives inside archives that are only stored show theirs.
//! Not an error: no ZIP, or half of one.

use memchr::memmem;

/// Members looked at.
const MEMBERS: usize = 1_000;

/// What a ZIP file holds.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// Names of members, folders left out.
    pub(super) names: Vec<String>,
    /// A member is encrypted.
    pub(super) encrypted: bool,
}

impl Members {
    pub(super) fn any(&self, holds: impl Fn(&str) -> bool) -> bool {
        self.names.iter().any(|name| holds(name))
    }
}

/// Reads the records of the directory, or those before the members where there is none.
pub(super) fn read(data: &[u8]) -> Members {
    let mut members = Members::default();
    // Names of records that lie inside each other must not grow beyond the file.
    let mut room = data.len();
    if !data.starts_with(b"PK\x03\x04") {
        return members;
    }
    // Signature, place of the flags, of the name's length, of the name (APPNOTE 4.3.12, 4.3.7).
    for (signature, flags, length, name) in [(b"PK\x01\x02", 8, 28, 46), (b"PK\x03\x04", 6, 26, 30)]
    {
        for at in memmem::find_iter(data, signature).take(MEMBERS) {
            let record = data.get(at..).unwrap_or_default();
            let (Some(flags), Some(length)) = (number(record, flags), number(record, length))
            else {
                continue;
            };
            let Some(written) = record.get(name..name + length).filter(|name| !name.is_empty())
            else {
                continue;
            };
            let Some(left) = room.checked_sub(written.len()) else { break };
            room = left;
            if !written.ends_with(b"/") {
                members.encrypted |= flags & 1 == 1;
                members.names.push(String::from_utf8_lossy(written).into_owned());
            }
        }
        if !members.names.is_empty() {
            break;
        }
    }
    members
}

fn number(record: &[u8], at: usize) -> Option<usize> {
    let octets = record.get(at..)?.first_chunk::<2>()?;
    Some(u16::from_le_bytes(*octets).into())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A ZIP file with empty members.
    pub(in super::super) fn zip(names: &[&str], encrypted: bool, directory: bool) -> Vec<u8> {
        let flags = [u8::from(encrypted), 0];
        let mut data = Vec::new();
        for name in names {
            let length = u16::try_from(name.len()).unwrap().to_le_bytes();
            data.extend_from_slice(b"PK\x03\x04\x14\0");
            data.extend_from_slice(&flags);
            data.extend_from_slice(&[0; 18]);
            data.extend_from_slice(&length);
            data.extend_from_slice(&[0; 2]);
            data.extend_from_slice(name.as_bytes());
        }
        for name in names.iter().filter(|_| directory) {
            let length = u16::try_from(name.len()).unwrap().to_le_bytes();
            data.extend_from_slice(b"PK\x01\x02\x14\0\x14\0");
            data.extend_from_slice(&flags);
            data.extend_from_slice(&[0; 18]);
            data.extend_from_slice(&length);
            data.extend_from_slice(&[0; 16]);
            data.extend_from_slice(name.as_bytes());
        }
        data
    }

    #[test]
    fn lists_members() {
        for directory in [true, false] {
            let members = read(&zip(&["a/", "a/setup.exe", "b.txt"], false, directory));
            assert_eq!(members.names, ["a/setup.exe", "b.txt"]);
            assert!(!members.encrypted);
            assert!(read(&zip(&["a"], true, directory)).encrypted);
        }
        let nested: Vec<u8> =
            b"PK\x03\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\0\0".repeat(20_000);
        let kept: usize = read(&nested).names.iter().map(String::len).sum();
        assert!(kept <= 3 * nested.len(), "{kept}");
        assert!(read(b"PK\x03\x04").names.is_empty());
        assert!(read(b"no zip PK\x01\x02").names.is_empty());
        let many: Vec<String> = (0..2 * MEMBERS).map(|n| n.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(read(&zip(&many, false, true)).names.len(), MEMBERS);
    }
}
