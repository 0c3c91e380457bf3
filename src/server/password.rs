//! Passwords of the configuration: in clear, or as a hash that [`hash`] has made.
//!
//! Comes in: what the configuration says, and what a caller sends. Goes out: whether they are the
//! same. How long the answer takes says nothing of where they differ.
//! A hash is made to be slow; whoever has proved to know the password once is let in by a quick
//! comparison from then on.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use blake2::{Blake2b512, Digest as _};

/// Longest password taken from a caller: more would only cost time.
const LONGEST: usize = 1024;

/// What a hash begins with.
const HASHED: &str = "$argon2";

/// A digest with this process's own key: equal ones tell nothing to who does not know the key.
type Blinded = [u8; 64];

/// A password, which shows itself nowhere.
#[derive(Clone)]
pub struct Password(Arc<Kept>);

enum Kept {
    Plain(String),
    Hashed {
        hash: String,
        /// The one password that fits, once it was seen.
        proven: OnceLock<Blinded>,
    },
}

/// Text that cannot be a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// It begins like a hash and is none.
    #[error("this is no whole hash\nmake one with `calspamd password`")]
    Hash,
    /// A hash of Rspamd's own.
    #[error("hashes of rspamadm are not read here\nmake one with `calspamd password`")]
    Foreign,
}

impl FromStr for Password {
    type Err = PasswordError;

    fn from_str(text: &str) -> Result<Self, PasswordError> {
        // `rspamadm pw` writes `$2$salt$hash`.
        if ["$1$", "$2$"].iter().any(|kind| text.starts_with(kind)) {
            return Err(PasswordError::Foreign);
        }
        if !text.starts_with(HASHED) {
            return Ok(Self(Arc::new(Kept::Plain(text.to_owned()))));
        }
        // `$argon2id$v=19$m=…,t=…,p=…$salt$hash`: one that is cut off would let nobody in.
        let fields = text.split('$').skip(1);
        let is_whole = fields.clone().count() == 5 && fields.clone().all(|field| !field.is_empty());
        if !is_whole || password_auth::is_hash_obsolete(text).is_err() {
            return Err(PasswordError::Hash);
        }
        let proven = OnceLock::new();
        Ok(Self(Arc::new(Kept::Hashed { hash: text.to_owned(), proven })))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        let text = |password: &Self| match &*password.0 {
            Kept::Plain(text) | Kept::Hashed { hash: text, .. } => blind(text.as_bytes()),
        };
        text(self) == text(other)
    }
}

impl Eq for Password {}

impl Password {
    /// The password itself, where the configuration has it in clear.
    pub fn plain(&self) -> Option<&str> {
        match &*self.0 {
            Kept::Plain(text) => Some(text),
            Kept::Hashed { .. } => None,
        }
    }

    /// Whether a caller knows it, if that can be told at once.
    pub(super) fn is_quick(&self, given: &[u8]) -> Option<bool> {
        match &*self.0 {
            Kept::Plain(text) => Some(blind(text.as_bytes()) == blind(given)),
            Kept::Hashed { proven, .. } => {
                if given.len() > LONGEST || std::str::from_utf8(given).is_err() {
                    return Some(false);
                }
                // Another password than the proven one may still be right only by a collision.
                proven.get().map(|proven| *proven == blind(given))
            }
        }
    }

    /// The same, however long it takes.
    pub(super) fn is(&self, given: &[u8]) -> bool {
        if let Some(known) = self.is_quick(given) {
            return known;
        }
        match &*self.0 {
            Kept::Plain(_) => false,
            Kept::Hashed { hash, proven } => {
                let fits = password_auth::verify_password(given, hash).is_ok();
                if fits {
                    // Somebody else may have been faster, with the same.
                    let _ = proven.set(blind(given));
                }
                fits
            }
        }
    }
}

/// The hash of a password, for the configuration.
pub fn hash(password: &str) -> String {
    password_auth::generate_hash(password)
}

fn blind(text: &[u8]) -> Blinded {
    static KEYS: OnceLock<[RandomState; 4]> = OnceLock::new();
    let keys = KEYS.get_or_init(|| std::array::from_fn(|_| RandomState::new()));
    let mut digest = Blake2b512::new();
    for (number, key) in keys.iter().enumerate() {
        digest.update(key.hash_one(number).to_le_bytes());
    }
    digest.update(text);
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_and_hashed_passwords_are_known() {
        for written in ["let me in".to_owned(), hash("let me in")] {
            let password: Password = written.parse().unwrap();
            // Twice: the second time nothing slow is left to do.
            for _ in 0..2 {
                assert!(password.is(b"let me in"));
                let start: String = written.chars().take(5).collect();
                for wrong in ["let me iN", "let me i", "let me in ", "", "\u{0}", &start] {
                    assert!(!password.is(wrong.as_bytes()), "{wrong:?}");
                }
            }
            assert_eq!(password.is_quick(b"let me in"), Some(true));
            assert_eq!(password.is_quick(b"other"), Some(false));
            assert!(!format!("{password:?}").contains("let me"));
        }
        assert_ne!(hash("a"), hash("a"));
    }

    #[test]
    fn a_hash_alone_lets_nobody_in() {
        let written = hash("let me in");
        let password: Password = written.parse().unwrap();
        assert_eq!(password.plain(), None);
        assert_eq!(password.is_quick(b"let me in"), None);
        assert!(!password.is(written.as_bytes()));
        for hostile in [&[b'x'; LONGEST + 1][..], b"\xff\xfe"] {
            assert_eq!(password.is_quick(hostile), Some(false));
        }
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        for text in
            ["$argon2", "$argon2id$v=19$m=1", "$argon2id$$$", "$argon2id$v=19$m=19456,t=2,p=1$$"]
        {
            assert_eq!(text.parse::<Password>().unwrap_err(), PasswordError::Hash, "{text}");
        }
        assert_eq!("$2$abc$def".parse::<Password>().unwrap_err(), PasswordError::Foreign);
        assert_eq!("$ecret".parse::<Password>().unwrap().plain(), Some("$ecret"));
    }
}
