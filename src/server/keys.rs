//! What the listeners prove themselves with: pairs of keys for `HTTPCrypt`, certificates for TLS.
//!
//! Comes in: settings that name files. Goes out: keys and certificates that were read and checked,
//! and are read again with each reload.
//! An error, and the operator's: a file that cannot be read, holds something else, or lets others
//! of the machine read a private key.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::current::Current;
use super::{Address, Settings, State, spamd};

pub use crate::protocol::rspamd::crypt::{KeyError, KeyPair};

/// Largest file that is read: more than any chain of certificates.
const MOST: u64 = 1 << 20;

/// Rights that nobody may have on a file with a private key: others any, its group that to write.
const FORBIDDEN: u32 = 0o027;

/// Where our pair of keys for `HTTPCrypt` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In the configuration itself: the private key, or what `calspamd keypair` writes.
    Text(Hidden),
    /// In a file as `calspamd keypair` writes it.
    File(PathBuf),
}

/// A listener that speaks TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Where: `IP:PORT`.
    pub listen: Address,
    /// File with our certificate and those between it and a root (PEM).
    pub certificate: PathBuf,
    /// File with its private key (PEM).
    pub key: PathBuf,
}

/// Why there is no key or no certificate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may read a private key, or its group may change it.
    #[error(
        "{}: others of this machine may read this private key\n  hint: chmod o= {}, and g-w",
        .0.display(), .0.display()
    )]
    Rights(PathBuf),
    /// A file that holds no pair of keys.
    #[error("{}: {error}", path.display())]
    KeyPair {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: KeyError,
    },
    /// The configuration's own pair of keys is none.
    #[error("http.keypair: {0}")]
    Text(KeyError),
    /// A file without a certificate.
    #[error("{}: there is no certificate (PEM) in it", .0.display())]
    NoCertificate(PathBuf),
    /// A file without a private key.
    #[error("{}: there is no private key (PEM) in it", .0.display())]
    NoKey(PathBuf),
    /// Certificate and key do not fit, or are of a kind that nobody knows here.
    #[error("{} and {}: {error}", certificate.display(), key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        error: rustls::Error,
    },
    /// Nobody could send what is asked for.
    #[error(
        "http.encrypted_only: there is no key to encrypt for\n  hint: name it in http.keypair_file"
    )]
    NoKeyPair,
    /// A Unix socket needs no TLS, and gets none.
    #[error("{0}: TLS is for IP:PORT")]
    Unix(Address),
}

/// Reads everything that the settings name, to see whether it is all right before any address is
/// taken. Gives our public key, where there is one.
///
/// # Errors
///
/// As [`Error`] says.
pub fn check(http: &Settings, spamd: &spamd::Settings) -> Result<Option<String>, Error> {
    for tls in http.tls.iter().chain(&spamd.tls) {
        tls.check()?;
    }
    let keypair = http.keypair.as_ref().map(Source::read).transpose()?;
    if http.encrypted_only && keypair.is_none() {
        return Err(Error::NoKeyPair);
    }
    Ok(keypair.map(|pair| pair.public()))
}

/// The contents of a file, never more than makes sense.
fn contents(path: &Path, is_private: bool) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode();
    if is_private && mode & FORBIDDEN != 0 {
        return Err(Error::Rights(path.to_owned()));
    }
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// What shows itself nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(pub String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden(…)")
    }
}

impl Source {
    /// Reads the pair.
    ///
    /// # Errors
    ///
    /// As [`Error`] says.
    pub fn read(&self) -> Result<KeyPair, Error> {
        match self {
            Self::Text(text) => KeyPair::read(&text.0).map_err(Error::Text),
            Self::File(path) => {
                let bytes = contents(path, true)?;
                KeyPair::read(&String::from_utf8_lossy(&bytes))
                    .map_err(|error| Error::KeyPair { path: path.clone(), error })
            }
        }
    }
}

impl Tls {
    /// Reads certificate and key. The rights of the key's file are left to whoever manages
    /// certificates: many programs share it.
    pub(super) fn read(&self) -> Result<CertifiedKey, Error> {
        let bytes = contents(&self.certificate, false)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or_else(|| Error::NoCertificate(self.certificate.clone()))?;
        let key = PrivateKeyDer::from_pem_slice(&contents(&self.key, false)?)
            .map_err(|_| Error::NoKey(self.key.clone()))?;
        CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| Error::Pair {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            error,
        })
    }

    /// Reads them to see whether they are all right.
    fn check(&self) -> Result<(), Error> {
        match &self.listen {
            Address::Unix(_) => Err(Error::Unix(self.listen.clone())),
            Address::Tcp(_) => self.read().map(drop),
        }
    }
}

/// The certificate that a listener shows: the one in force when a client comes.
pub(super) struct Presented {
    state: Arc<State>,
    of: fn(&Current) -> Option<&Arc<CertifiedKey>>,
}

impl Presented {
    pub(super) fn new(
        state: &Arc<State>,
        of: fn(&Current) -> Option<&Arc<CertifiedKey>>,
    ) -> Arc<Self> {
        Arc::new(Self { state: Arc::clone(state), of })
    }
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Presented {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        (self.of)(&self.state.current.load()).cloned()
    }
}

/// How TLS is spoken: the library's own choice of versions and ciphers, nobody asked for a
/// certificate.
pub(super) fn server_config(presented: Arc<Presented>) -> io::Result<ServerConfig> {
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    Ok(config.with_no_client_auth().with_cert_resolver(presented))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A file with these rights, gone at the end.
    struct Kept(PathBuf);

    impl Kept {
        fn new(name: &str, text: &str, mode: u32) -> Self {
            let path = std::env::temp_dir().join(format!("calspamd-{}-{name}", std::process::id()));
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            Self(path)
        }
    }

    impl Drop for Kept {
        fn drop(&mut self) {
            drop(fs::remove_file(&self.0));
        }
    }

    #[test]
    fn a_private_key_is_not_for_everybody() {
        let pair = KeyPair::generate().unwrap();
        for (mode, allowed) in
            [(0o600, true), (0o640, true), (0o400, true), (0o644, false), (0o660, false)]
        {
            let file = Kept::new(&format!("pair-{mode:o}"), &pair.write(), mode);
            match Source::File(file.0.clone()).read() {
                Ok(read) => assert!(allowed && read == pair, "{mode:o}"),
                Err(error) => assert!(!allowed && matches!(error, Error::Rights(_)), "{mode:o}"),
            }
        }
    }

    #[test]
    fn mistakes_name_the_file() {
        let text = |source: Source| source.read().unwrap_err().to_string();
        let missing = text(Source::File("/nonexistent/pair".into()));
        assert!(missing.starts_with("cannot read /nonexistent/pair: "), "{missing}");
        let empty = Kept::new("empty", "", 0o600);
        assert!(text(Source::File(empty.0.clone())).contains("there is no `privkey`"));
        let inline = text(Source::Text(Hidden("abc".to_owned())));
        assert!(inline.starts_with("http.keypair: there is no `privkey`"), "{inline}");
        let tls = |listen: &str| Tls {
            listen: listen.parse().unwrap(),
            certificate: empty.0.clone(),
            key: empty.0.clone(),
        };
        let error = tls("127.0.0.1:0").check().unwrap_err().to_string();
        assert!(error.ends_with("there is no certificate (PEM) in it"), "{error}");
        assert!(matches!(tls("unix:/a").check(), Err(Error::Unix(_))));
    }
}
