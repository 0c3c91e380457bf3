//! Pairs of keys: made, written and read as `rspamadm keypair` does.
//!
//! Comes in: the text of a pair, in Rspamd's configuration language or JSON, or nothing. Goes out:
//! a [`KeyPair`], which knows the secrets that it shares with others.
//! An error: a text without a private key, or with keys that do not belong together.

use std::fmt;

use blake2::{Blake2b512, Digest};
use chacha20::{R20, hchacha};
use curve25519_dalek::MontgomeryPoint;
use moka::sync::Cache;

use super::{Refusal, Secret};

/// Octets of a key of either kind.
const KEY: usize = 32;
/// Characters of a key in Rspamd's base32.
const KEY_TEXT: usize = 52;
/// Octets of a public key's digest that stand in the header `Key`.
const SHORT_ID: usize = 5;
/// Characters of the header's first half; Rspamd sends 8.
const ID_TEXT: usize = 128;
/// Secrets shared with others that are kept. Most clients make a new key for each connection,
/// peers keep theirs.
const SHARED: u64 = 1_024;

/// Why there is no pair of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text names no private key, or one that is none.
    #[error("there is no `privkey` of 52 characters in it, as `calspamd keypair` writes")]
    Private,
    /// Keys of another kind.
    #[error("only keys for curve25519 in base32 are known here, as `calspamd keypair` writes")]
    Kind,
    /// The public key is not that of the private one.
    #[error("its `pubkey` and `privkey` do not belong together")]
    Public,
    /// The system has no random numbers.
    #[error("the system has no random numbers")]
    Random,
}

/// A private key with all that follows from it.
#[derive(Clone)]
pub struct KeyPair {
    private: [u8; KEY],
    public: [u8; KEY],
    id: [u8; 64],
    shared: Cache<[u8; KEY], Secret>,
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("public", &self.public()).finish_non_exhaustive()
    }
}

impl PartialEq for KeyPair {
    fn eq(&self, other: &Self) -> bool {
        self.public == other.public
    }
}

impl Eq for KeyPair {}

impl KeyPair {
    /// A new pair.
    ///
    /// # Errors
    ///
    /// The system has no random numbers.
    pub fn generate() -> Result<Self, KeyError> {
        let mut private = [0; KEY];
        getrandom::fill(&mut private).map_err(|_| KeyError::Random)?;
        Ok(Self::of(curve25519_dalek::scalar::clamp_integer(private)))
    }

    fn of(private: [u8; KEY]) -> Self {
        let public = MontgomeryPoint::mul_base_clamped(private).to_bytes();
        let id = Blake2b512::digest(public).into();
        Self { private, public, id, shared: Cache::new(SHARED) }
    }

    /// Reads a pair: a private key alone, or what `calspamd keypair` and `rspamadm keypair` write.
    ///
    /// # Errors
    ///
    /// As [`KeyError`] says.
    pub fn read(text: &str) -> Result<Self, KeyError> {
        if let Some(private) = key(text.trim()) {
            return Ok(Self::of(private));
        }
        let is_gap = |c: char| c.is_whitespace() || "{}=:;,\"'".contains(c);
        let words: Vec<&str> = text.split(is_gap).filter(|word| !word.is_empty()).collect();
        let value = |name: &str| {
            let place = words.iter().position(|word| word.eq_ignore_ascii_case(name))?;
            words.get(place + 1).copied()
        };
        for (name, known) in [("algorithm", "curve25519"), ("encoding", "base32"), ("type", "kex")]
        {
            if value(name).is_some_and(|value| !value.eq_ignore_ascii_case(known)) {
                return Err(KeyError::Kind);
            }
        }
        let pair = Self::of(value("privkey").and_then(key).ok_or(KeyError::Private)?);
        match value("pubkey").map(key) {
            Some(public) if public != Some(pair.public) => Err(KeyError::Public),
            Some(_) | None => Ok(pair),
        }
    }

    /// The key that others need, as Rspamd writes it.
    pub fn public(&self) -> String {
        rspamd_base32::encode(self.public)
    }

    /// The digest by which senders name our key, as it stands in the header `Key`.
    pub fn short_id(&self) -> String {
        rspamd_base32::encode(self.id.get(..SHORT_ID).unwrap_or_default())
    }

    /// The pair in Rspamd's configuration language, with the private key.
    pub fn write(&self) -> String {
        format!(
            "keypair {{\n    pubkey = \"{}\";\n    privkey = \"{}\";\n    encoding = \"base32\";\n    \
             type = \"kex\";\n    id = \"{}\";\n    algorithm = \"curve25519\";\n}}\n",
            self.public(),
            rspamd_base32::encode(self.private),
            rspamd_base32::encode(self.id)
        )
    }

    /// What we and the sender of a request share, by its header `Key`.
    ///
    /// # Errors
    ///
    /// The header makes no sense, or the request is for another key.
    pub fn shared_with(&self, header: &[u8]) -> Result<Secret, Refusal> {
        let header = std::str::from_utf8(header).map_err(|_| Refusal::Header)?;
        let (id, public) = header.trim().split_once('=').ok_or(Refusal::Header)?;
        let public = key(public).ok_or(Refusal::Header)?;
        let id = Some(id).filter(|id| id.len() <= ID_TEXT).ok_or(Refusal::Header)?;
        let id = rspamd_base32::decode(id).map_err(|_| Refusal::Header)?;
        if id.len() < SHORT_ID || id.get(..SHORT_ID) != self.id.get(..SHORT_ID) {
            return Err(Refusal::OtherKey);
        }
        if let Some(secret) = self.shared.get(&public) {
            return Ok(secret);
        }
        let secret = self.agree(public).ok_or(Refusal::Header)?;
        self.shared.insert(public, secret.clone());
        Ok(secret)
    }

    /// The secret shared with the owner of a public key. `None` for the few points that make the
    /// same secret with everybody.
    fn agree(&self, public: [u8; KEY]) -> Option<Secret> {
        let point = MontgomeryPoint(public).mul_clamped(self.private).to_bytes();
        (point != [0; KEY]).then(|| Secret(hchacha::<R20>(&point.into(), &[0; 16].into()).into()))
    }
}

/// A key out of its text.
fn key(text: &str) -> Option<[u8; KEY]> {
    if text.len() != KEY_TEXT {
        return None;
    }
    rspamd_base32::decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by `rspamadm keypair` of Rspamd 3.4.
    const WRITTEN: &str = "keypair {\n    pubkey = \"PUBLIC\";\n    privkey = \"PRIVATE\";\n    encoding = \"base32\";\n    type = \"kex\";\n    id = \"ID\";\n    algorithm = \"curve25519\";\n}\n";
    const PUBLIC: &str = "hku7nsnjs6ig9jzbsfjg5s4kr3meug6jzfrgtknprassatefb6jy";
    const PRIVATE: &str = "yt5faxm4kcxpqfaj79dc7fpd4y3kqcicxegznarjwnwc8ncrpuhy";
    const ID: &str = "7r6qnndfcbhwbpenzkiiegzx7gycmjq9j7ff3kkr49xxruwqjrpxmqgducyxskk7twusb4h7xunkwnd68tg66hpea3th5dr3oxetmwy";

    fn written() -> String {
        WRITTEN.replace("PUBLIC", PUBLIC).replace("PRIVATE", PRIVATE).replace("ID", ID)
    }

    #[test]
    fn pairs_are_read_and_written_as_rspamd_does() {
        let pair = KeyPair::read(&written()).unwrap();
        assert_eq!(pair.public(), PUBLIC);
        assert_eq!(pair.write(), written());
        assert_eq!(KeyPair::read(&format!(" {PRIVATE}\n")).unwrap(), pair);
        let json = format!("{{\"keypair\":{{\"privkey\":\"{PRIVATE}\",\"pubkey\":\"{PUBLIC}\"}}}}");
        assert_eq!(KeyPair::read(&json).unwrap(), pair);
        assert!(!format!("{pair:?}").contains(PRIVATE));
    }

    #[test]
    fn new_pairs_differ_and_can_be_read_again() {
        let (one, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        assert_ne!(one, other);
        let again = KeyPair::read(&one.write()).unwrap();
        assert_eq!(again.private, one.private);
    }

    #[test]
    fn mistakes_are_named() {
        #[track_caller]
        fn check(text: &str, expected: KeyError) {
            assert_eq!(KeyPair::read(text), Err(expected), "{text}");
        }
        check("", KeyError::Private);
        check("privkey", KeyError::Private);
        check("privkey = \"abc\"", KeyError::Private);
        check(&format!("pubkey = {PUBLIC}"), KeyError::Private);
        check(&written().replace(PUBLIC, PRIVATE), KeyError::Public);
        check(&written().replace(PUBLIC, "short"), KeyError::Public);
        check(&written().replace("curve25519", "nistp256"), KeyError::Kind);
        check(&written().replace("kex", "sign"), KeyError::Kind);
        check(&written().replace("base32", "hex"), KeyError::Kind);
    }

    #[test]
    fn both_sides_come_to_the_same() {
        let (ours, theirs) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let header = |to: &KeyPair, from: &KeyPair| format!("{}={}", to.short_id(), from.public());
        let here = ours.shared_with(header(&ours, &theirs).as_bytes()).unwrap();
        let there = theirs.shared_with(header(&theirs, &ours).as_bytes()).unwrap();
        assert_eq!(here.0, there.0);
        // The second time it comes from memory.
        assert_eq!(ours.shared_with(header(&ours, &theirs).as_bytes()).unwrap().0, here.0);
        assert_eq!(
            ours.shared_with(header(&theirs, &ours).as_bytes()).unwrap_err(),
            Refusal::OtherKey
        );
    }

    #[test]
    fn headers_that_make_no_sense() {
        let pair = KeyPair::read(PRIVATE).unwrap();
        let id = pair.short_id();
        // The points of small order: whoever sends one, the secret would be the same.
        let zero = rspamd_base32::encode([0; KEY]);
        let mut one = [0; KEY];
        one[0] = 1;
        let one = rspamd_base32::encode(one);
        for header in [
            String::new(),
            "=".to_owned(),
            format!("={PUBLIC}"),
            format!("{id}="),
            format!("{id}={}", PUBLIC.trim_start_matches('h')),
            format!("{id}={PUBLIC}y"),
            format!("{id}={}", PUBLIC.replace('h', "!")),
            format!("{}={PUBLIC}", "y".repeat(1_000)),
            format!("{id}={zero}"),
            format!("{id}={one}"),
        ] {
            let refusal = pair.shared_with(header.as_bytes()).unwrap_err();
            assert!(
                matches!(refusal, Refusal::Header)
                    || (header.starts_with('=') && refusal == Refusal::OtherKey),
                "{header}"
            );
        }
        assert_eq!(pair.shared_with(b"\xff=\xff").unwrap_err(), Refusal::Header);
    }
}
