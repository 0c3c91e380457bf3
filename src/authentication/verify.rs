//! The four mechanisms, one after the other or at once, and mail-auth's results in the words of
//! RFC 8601.
//!
//! Comes in: the message, and what the SMTP transaction says. Goes out: statements, as soon as a
//! mechanism has its answer.
//! Not an error: anything in the message or in the DNS.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use mail_auth::dkim::DkimError;
use mail_auth::dmarc::Policy;
use mail_auth::dmarc::verify::DmarcParameters;
use mail_auth::spf::verify::SpfParameters;
use mail_auth::{
    ArcOutput, AuthenticatedMessage, DkimOutput, DkimResult, DmarcOutput, DmarcResult, Error,
    MessageAuthenticator, Parameters, SpfOutput, SpfResult,
};

use super::cache::{Cache, Caches, Looks};
use crate::message::{Mechanism, MethodResult};

/// Signatures of a message that are verified, the topmost first.
pub(super) const SIGNATURES: usize = 10;

/// Sets of ARC headers; a chain with more is not looked at.
const SETS: usize = 20;

/// Names in the list of signed fields; each is looked for among all fields.
const SIGNED_FIELDS: usize = 200;

/// What the SMTP transaction says of the sender.
pub(super) struct Delivery {
    /// Address of the client, where SPF may judge by it.
    pub(super) ip: Option<IpAddr>,
    pub(super) helo: String,
    pub(super) sender: Option<String>,
}

impl Delivery {
    /// SPF judges by HELO where there is no address in MAIL FROM (RFC 7208 §2.4).
    fn is_about_helo(&self) -> bool {
        !self.sender.as_deref().is_some_and(|sender| sender.contains('@'))
    }
}

type Asked<'x, P> = Parameters<
    'x,
    P,
    Looks<'x>,
    Cache<Box<str>, mail_auth::RecordSet<mail_auth::MX>>,
    Cache<Box<str>, mail_auth::RecordSet<std::net::Ipv4Addr>>,
    Cache<Box<str>, mail_auth::RecordSet<std::net::Ipv6Addr>>,
    Cache<IpAddr, mail_auth::RecordSet<Box<str>>>,
>;

impl Caches {
    fn asked<'x, P>(&'x self, looks: &'x Looks<'x>, params: P) -> Asked<'x, P> {
        Parameters {
            params,
            cache_txt: Some(looks),
            cache_mx: Some(&self.mx),
            cache_ptr: Some(&self.ptr),
            cache_ipv4: Some(&self.ipv4),
            cache_ipv6: Some(&self.ipv6),
        }
    }
}

/// Verifies a message, and tells each mechanism's results as they come.
pub(super) async fn verify(
    mail_auth: &MessageAuthenticator,
    caches: &Caches,
    bytes: &[u8],
    delivery: &Delivery,
    tell: impl Fn(Vec<MethodResult>),
) {
    let looks = &Looks::into_caches(caches);
    let failed = AtomicBool::new(false);
    let tell = |results: Vec<MethodResult>| {
        if results.iter().any(|result| result.result == "temperror") {
            failed.store(true, Ordering::Relaxed);
        }
        tell(results);
    };
    let Some(mut message) = AuthenticatedMessage::parse(bytes) else { return };
    bound(&mut message);
    let message = &message;

    let spf = async {
        let output = spf(mail_auth, caches, looks, delivery).await;
        if let Some(output) = &output {
            let about = statement(Mechanism::Spf, spf_result(output.result()), output.domain());
            tell(vec![MethodResult { helo: delivery.is_about_helo(), ..about }]);
        }
        output
    };
    let dkim = async {
        let outputs = mail_auth.verify_dkim(caches.asked(looks, message)).await;
        tell(dkim_statements(&outputs));
        outputs
    };
    let arc = async {
        if message.ams_headers.len() <= SETS {
            let output = mail_auth.verify_arc(caches.asked(looks, message)).await;
            tell(vec![arc_statement(&output)]);
        }
    };
    let (spf, dkim, ()) = tokio::join!(spf, dkim, arc);

    let none = SpfOutput::default();
    let sender = delivery.sender.as_deref().unwrap_or_default();
    let sender_domain = sender.rsplit_once('@').map_or(&*delivery.helo, |(_, domain)| domain);
    let parameters =
        DmarcParameters::new(message, &dkim, sender_domain, spf.as_ref().unwrap_or(&none));
    let output = mail_auth.verify_dmarc(caches.asked(looks, parameters)).await;
    tell(dmarc_statement(&output, spf.is_some()).into_iter().collect());
    if !failed.load(Ordering::Relaxed) {
        looks.all_answered();
    }
}

/// Bounds what a message can make us do.
fn bound(message: &mut AuthenticatedMessage<'_>) {
    message.dkim_headers.retain(|header| header.header.h.len() <= SIGNED_FIELDS);
    message.dkim_headers.truncate(SIGNATURES);
    message.errors.truncate(SIGNATURES);
    for header in &mut message.dkim_headers {
        // Nobody here sends reports, so nobody asks who wants them.
        header.header.r = false;
    }
    message.ams_headers.retain(|header| header.header.h.len() <= SIGNED_FIELDS);
}

/// SPF of MAIL FROM, or of HELO for the null sender. `None` where there is nothing to judge by.
async fn spf(
    mail_auth: &MessageAuthenticator,
    caches: &Caches,
    looks: &Looks<'_>,
    delivery: &Delivery,
) -> Option<SpfOutput> {
    let (ip, sender) = (delivery.ip?, delivery.sender.as_deref()?);
    if ip.is_loopback() || (sender.is_empty() && delivery.helo.is_empty()) {
        return None;
    }
    let helo = &*delivery.helo;
    let parameters = if delivery.is_about_helo() {
        SpfParameters::verify_ehlo(ip, helo, helo)
    } else {
        SpfParameters::verify_mail_from(ip, helo, helo, sender)
    };
    Some(mail_auth.check_host(caches.asked(looks, parameters)).await)
}

fn statement(mechanism: Mechanism, result: &str, domain: &str) -> MethodResult {
    let domain = domain.trim_matches('.').to_lowercase();
    MethodResult {
        mechanism,
        result: result.to_owned(),
        domain: Some(domain).filter(|domain| !domain.is_empty()),
        helo: false,
        policy: None,
    }
}

fn spf_result(result: SpfResult) -> &'static str {
    match result {
        SpfResult::Pass => "pass",
        SpfResult::Fail => "fail",
        SpfResult::SoftFail => "softfail",
        SpfResult::Neutral => "neutral",
        SpfResult::TempError => "temperror",
        SpfResult::PermError => "permerror",
        SpfResult::None => "none",
    }
}

fn dkim_result(result: &DkimResult) -> &'static str {
    match result {
        DkimResult::Pass => "pass",
        // A body that was changed is a failure to everybody else (RFC 8601 §2.7.1).
        DkimResult::Fail(_) | DkimResult::Neutral(Error::Dkim(DkimError::FailedBodyHashMatch)) => {
            "fail"
        }
        DkimResult::Neutral(_) => "neutral",
        DkimResult::PermError(_) => "permerror",
        DkimResult::TempError(_) => "temperror",
        DkimResult::None => "none",
    }
}

fn dkim_statements(outputs: &[DkimOutput<'_>]) -> Vec<MethodResult> {
    if outputs.is_empty() {
        return vec![statement(Mechanism::Dkim, "none", "")];
    }
    let domain = |output: &DkimOutput<'_>| output.signature().map(|s| s.d.clone());
    outputs
        .iter()
        .map(|output| {
            let domain = domain(output).unwrap_or_default();
            statement(Mechanism::Dkim, dkim_result(output.result()), &domain)
        })
        .collect()
}

/// The domain is that of the last sealer.
fn arc_statement(output: &ArcOutput<'_>) -> MethodResult {
    let sealer = output.sets().last().map_or("", |set| &set.seal.header.d);
    // RFC 8617 knows none, pass and fail; what could not be asked is no failure.
    let result = match output.result() {
        DkimResult::Pass => "pass",
        DkimResult::None => "none",
        DkimResult::TempError(_) => "temperror",
        DkimResult::Fail(_) | DkimResult::Neutral(_) | DkimResult::PermError(_) => "fail",
    };
    statement(Mechanism::Arc, result, sealer)
}

/// `None` where SPF could have decided and was not asked: what is left is no failure.
fn dmarc_statement(output: &DmarcOutput, with_spf: bool) -> Option<MethodResult> {
    let result = match output.result() {
        DmarcResult::Pass => "pass",
        DmarcResult::Fail(_) if with_spf => "fail",
        DmarcResult::Fail(_) => return None,
        DmarcResult::TempError(_) => "temperror",
        DmarcResult::PermError(_) => "permerror",
        DmarcResult::None => "none",
    };
    let policy = output.dmarc_record().map(|_| match output.policy() {
        Policy::Quarantine => "quarantine",
        Policy::Reject => "reject",
        Policy::None | Policy::Unspecified => "none",
    });
    Some(MethodResult {
        policy: policy.map(str::to_owned),
        ..statement(Mechanism::Dmarc, result, output.domain())
    })
}
