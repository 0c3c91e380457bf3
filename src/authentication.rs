//! Verifies who sent a message: SPF, DKIM, DMARC and ARC, where nobody trusted has said so.
//!
//! Comes in: a [`Message`], its [`Envelope`], and from outside a resolver with the runtime that
//! drives it.
//! Goes out: the same statements that a trusted server would write ([`MethodResult`]), so that
//! facts do not care who made them.
//! Not an error: a name server that is silent (`temperror`), a broken record (`permerror`), a
//! message that is too costly to verify, no resolver at all (nothing is known then).
//!
//! A question goes on when nobody waits for its answer any more: it was asked for the cache too.
//! While name servers are silent, nobody waits for them.
//!
//! The only module that knows mail-auth.

mod cache;
#[cfg(test)]
mod tests;
mod verify;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use mail_auth::MessageAuthenticator;
use mail_auth::hickory_resolver::TokioResolver;
use tokio::runtime::Handle;

use crate::message::{
    self, AuthenticationResults, Envelope, Mechanism, Message, MethodResult, Source,
};
use cache::Caches;
use verify::Delivery;

/// Header fields of a message that is verified; others have a few dozen.
const FIELDS: usize = 1_000;

/// Octets of all header fields together.
const HEAD: usize = 256 * 1024;

/// Verifications in a row that took too long; from then on nobody waits for more than an answer
/// from the cache takes, until one is in time again.
const SLOW: u32 = 5;

/// Time to wait when name servers are silent.
const SHORT: Duration = Duration::from_millis(20);

/// The verifier; cheap to clone.
#[derive(Clone)]
pub struct Authenticator {
    inner: Arc<Inner>,
    budget: Duration,
}

struct Inner {
    mail_auth: MessageAuthenticator,
    runtime: Handle,
    caches: Caches,
    /// Verifications in a row that took longer than the budget.
    slow: AtomicU32,
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator").field("budget", &self.budget).finish_non_exhaustive()
    }
}

impl Authenticator {
    /// Takes the resolver that everybody shares, the runtime it lives on, and the time that a
    /// scan waits at most. Records are cached here, so the resolver need not do so.
    pub fn new(resolver: TokioResolver, runtime: Handle, budget: Duration) -> Self {
        let mail_auth = MessageAuthenticator(resolver);
        let (caches, slow) = (Caches::default(), AtomicU32::new(0));
        Self { inner: Arc::new(Inner { mail_auth, runtime, caches, slow }), budget }
    }

    /// The same, of which scans wait for another time.
    #[must_use]
    pub fn within(&self, budget: Duration) -> Self {
        Self { inner: Arc::clone(&self.inner), budget }
    }

    /// Begins to verify what nobody has said of the message, on another thread.
    ///
    /// `is_first_hop` is false where the client is one of our own servers, whose address says
    /// nothing about the sender.
    pub fn start(&self, message: &Message<'_>, envelope: &Envelope, is_first_hop: bool) -> Pending {
        let said = |mechanism| {
            message.authentication.as_ref().is_some_and(|results| results.says(mechanism))
        };
        let wanted = !(said(Mechanism::Spf) && said(Mechanism::Dkim) && said(Mechanism::Dmarc));
        // Mail of our own users is not signed yet.
        let is_outbound = envelope.user.as_deref().is_some_and(|user| !user.is_empty());
        if message.bare || is_outbound || !wanted || !is_affordable(message) {
            return Pending::default();
        }
        let delivery = Delivery {
            ip: envelope.client_ip.filter(|_| is_first_hop),
            helo: envelope.helo.clone().unwrap_or_default(),
            sender: envelope.sender.clone(),
        };
        let bytes: Arc<[u8]> = message.raw.as_ref().into();
        let (sender, receiver) = channel();
        let (inner, budget) = (Arc::clone(&self.inner), self.budget);
        let work = async move { inner.run(&bytes, &delivery, budget, &sender).await };
        self.inner.runtime.spawn(work);
        let patience = self.inner.patience(budget);
        Pending { answers: Some(receiver), until: Instant::now().checked_add(patience) }
    }
}

impl Inner {
    async fn run(
        &self,
        bytes: &[u8],
        delivery: &Delivery,
        budget: Duration,
        answers: &Sender<Vec<MethodResult>>,
    ) {
        // A receiver that is gone has run out of time; the caches profit all the same.
        let tell = |results| drop(answers.send(results));
        let started = Instant::now();
        verify::verify(&self.mail_auth, &self.caches, bytes, delivery, tell).await;
        if started.elapsed() < budget {
            self.slow.store(0, Ordering::Relaxed);
        } else {
            self.slow.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Time that a scan waits.
    fn patience(&self, budget: Duration) -> Duration {
        let silent = self.slow.load(Ordering::Relaxed) >= SLOW;
        if silent { SHORT.min(budget) } else { budget }
    }
}

/// Where the time of verification grows with the square of the header, it is bounded.
fn is_affordable(message: &Message<'_>) -> bool {
    let octets: usize =
        message.headers.iter().map(|header| header.name.len() + header.raw.len()).sum();
    !message.headers.is_empty() && message.headers.len() <= FIELDS && octets <= HEAD
}

/// A verification going on; the default is none.
#[derive(Debug, Default)]
pub struct Pending {
    answers: Option<Receiver<Vec<MethodResult>>>,
    until: Option<Instant>,
}

/// What a verification came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What is known now, whoever said it.
    pub results: Option<AuthenticationResults>,
    /// Something was not answered within the time.
    pub timed_out: bool,
}

impl Pending {
    /// Waits for the answers, at most `left`, and joins them to what was said before.
    ///
    /// What is not answered by then is a `temperror`: known to be unknown.
    pub fn finish(self, message: &Message<'_>, left: Duration, trusted: &[String]) -> Verified {
        let mut results = message.authentication.clone();
        let Some(answers) = self.answers else { return Verified { results, timed_out: false } };
        let now = Instant::now();
        let end = now.checked_add(left).into_iter().chain(self.until).min().unwrap_or(now);
        let mut found = Vec::new();
        let timed_out = loop {
            match answers.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(more) => found.extend(more),
                Err(error) => {
                    break error == std::sync::mpsc::RecvTimeoutError::Timeout;
                }
            }
        };
        if found.iter().any(|result| result.mechanism == Mechanism::Arc && result.passes()) {
            found.extend(message::sealed(&message.headers, trusted));
        }
        if timed_out {
            let missing = [Mechanism::Spf, Mechanism::Dkim, Mechanism::Dmarc, Mechanism::Arc]
                .into_iter()
                .filter(|mechanism| found.iter().all(|result| result.mechanism != *mechanism));
            let missing: Vec<MethodResult> = missing.map(without_answer).collect();
            found.extend(missing);
        }
        // Which mechanism is done first depends on the name servers.
        found.sort_by_key(|result| result.mechanism as u8);
        if !found.is_empty() {
            let verified = AuthenticationResults { results: Vec::new(), source: Source::Verified };
            results.get_or_insert(verified).complete(found);
        }
        Verified { results, timed_out }
    }
}

fn without_answer(mechanism: Mechanism) -> MethodResult {
    MethodResult {
        mechanism,
        result: "temperror".to_owned(),
        domain: None,
        helo: false,
        policy: None,
    }
}
