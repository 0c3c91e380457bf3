//! The installation's secret: without it nobody can tell what the memory is about.
//!
//! Comes in: the name of a file. Goes out: its content, trimmed; a missing file is made, readable
//! by its owner only. An error: a file that cannot be read, or holds too little.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Random octets of a secret of ours.
const OCTETS: usize = 32;

/// Shortest secret taken, in octets of the file.
const SHORTEST: usize = 16;

/// Largest file read.
const LONGEST: u64 = 4096;

/// Octets that nobody can foresee.
pub(super) fn random() -> io::Result<[u8; OCTETS]> {
    let mut octets = [0; OCTETS];
    File::open("/dev/urandom")?.read_exact(&mut octets)?;
    Ok(octets)
}

/// Reads the secret, or makes one.
pub(super) fn open(path: &Path) -> io::Result<Vec<u8>> {
    match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        result => return result,
    }
    make(path)?;
    // Somebody else may have been faster: then his counts.
    read(path)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut secret = Vec::new();
    File::open(path)?.take(LONGEST).read_to_end(&mut secret)?;
    let secret = secret.trim_ascii().to_vec();
    if secret.len() < SHORTEST {
        let reason = format!("a secret has {SHORTEST} characters at least");
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok(secret)
}

fn make(path: &Path) -> io::Result<()> {
    let octets = random()?;
    let digits = octets.iter().flat_map(|octet| [octet >> 4, octet & 15]);
    let text: String = digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    let written = file.write_all(format!("{text}\n").as_bytes()).and_then(|()| file.sync_all());
    // A link appears with its whole content, or not at all.
    let linked = written.and_then(|()| fs::hard_link(&draft, path));
    drop(fs::remove_file(&draft));
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_is_made_once_and_for_its_owner_only() {
        let folder = std::env::temp_dir().join(format!("calspamd-secret-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("secret");
        let first = open(&path).unwrap();
        assert_eq!(first.len(), 2 * OCTETS);
        assert_eq!(open(&path).unwrap(), first);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::write(&path, "short").unwrap();
        assert_eq!(open(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
        fs::remove_dir_all(&folder).unwrap();
    }
}
