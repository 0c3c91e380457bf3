//! What users report, and what administrators ask of the memory.
//!
//! Comes in: requests on the paths below. Goes out: what was learned, records, statistics.
//! Not an error: a report about what nobody has seen; it is about no message then.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, Bytes, Payload};
use actix_web::{HttpRequest, HttpResponse};
use tokio::sync::mpsc;

use super::super::perform;
use super::client::who;
use super::{JSON, Service, TEXT};
use crate::protocol::arf;
use crate::protocol::rspamd::{self, Options};
use crate::reputation::{By, Record, Report, Reporter, Subject, Trouble};
use crate::scan::Request;
use crate::server::access::Right;
use crate::server::current::Current;
use crate::server::turns::Stopping;

/// Lines of an export that wait for the network.
const LINES: usize = 1_000;

/// UIDs of a reported message that are looked up.
const UIDS: usize = 20;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Learn(Report),
    Contacts,
    Provenance,
    Report,
    Stats,
    Export,
    Import,
    Purge,
}

impl Ask {
    /// True when it changes something.
    pub(super) const fn changes(self) -> bool {
        match self {
            Self::Learn(_) | Self::Contacts | Self::Report | Self::Import | Self::Purge => true,
            Self::Provenance | Self::Stats | Self::Export => false,
        }
    }
}

/// A reply without its frame.
type Answer = (StatusCode, Vec<u8>);

fn refused(trouble: &Trouble) -> Answer {
    (StatusCode::SERVICE_UNAVAILABLE, rspamd::not_reloaded(&format!("store: {trouble}")))
}

fn bad(error: &str) -> Answer {
    (StatusCode::BAD_REQUEST, rspamd::not_reloaded(error))
}

/// Who reports: a user by name, else the mailbox that the mail went to. An address that only
/// the mail names could be anybody's.
fn reporter(request: &Request, with_password: bool) -> Reporter {
    let envelope = &request.envelope;
    let user = envelope.user.as_ref().filter(|name| !name.trim().is_empty());
    match user.or_else(|| envelope.recipients.first()) {
        Some(name) => Reporter::User(name.trim().to_lowercase()),
        None if with_password => Reporter::Administrator,
        None => Reporter::Unnamed,
    }
}

impl Service {
    /// Answers on one of these paths.
    pub(super) async fn memory(
        &self,
        request: &HttpRequest,
        payload: Payload,
        ask: Ask,
    ) -> HttpResponse {
        if ask.changes() && request.method() != Method::POST {
            return self.refuse_method(request);
        }
        if let Err(refusal) = self.ask(request, Right::Change).await {
            return refusal;
        }
        let headers = request.headers().iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
        let query = rspamd::query(request.query_string());
        let (asked, options) = rspamd::request(headers, &query, super::super::now());
        if ask == Ask::Export {
            return self.export(request);
        }
        let body = match self.scanned(request, payload, &options).await {
            Ok(body) => body,
            Err(refusal) => return self.refuse_as(request, refusal),
        };
        let reporter = reporter(&asked, request.headers().contains_key("password"));
        let (state, current) = (Arc::clone(&self.door.state), Arc::clone(&self.current));
        let reads_mail = matches!(ask, Ask::Learn(_) | Ask::Report);
        let work = move |waits| {
            let asked = Request { waits, ..asked };
            match ask {
                Ask::Learn(report) => {
                    learn((&state, &current), &body.octets, asked, &options, &reporter, report)
                }
                Ask::Contacts => contacts(&current, &body.octets, &asked),
                Ask::Provenance => provenance(&current, &asked, &options),
                Ask::Report => report(&current, &body.octets, &asked, &query),
                Ask::Stats => stats(&current),
                Ask::Import => import(&current, &body.octets),
                Ask::Purge | Ask::Export => purge(&current, &options),
            }
        };
        let done = if reads_mail {
            let may_wait = self.current.scan.may_wait();
            self.door.state.gate.run(who(request), may_wait, work).await
        } else {
            web::block(move || work(None)).await.map_err(|_| Stopping)
        };
        let (status, body) = done.unwrap_or_else(|Stopping| {
            (StatusCode::SERVICE_UNAVAILABLE, rspamd::failure("the service is stopping"))
        });
        self.respond(request, status, JSON, body)
    }

    /// Sends all entries as they are read: there may be many.
    fn export(&self, request: &HttpRequest) -> HttpResponse {
        let (send, receive) = mpsc::channel::<Bytes>(LINES);
        let reputation = self.current.scan.reputation.clone();
        // Ends by itself when the client goes away: nobody receives the lines then.
        drop(web::block(move || {
            let mut count = 0_u64;
            let result = reputation.export(&mut |line| {
                if send.blocking_send(Bytes::from(line + "\n")).is_ok() {
                    count += 1;
                }
            });
            let end = match result {
                Ok(()) => format!("# end {count}\n"),
                Err(trouble) => format!("# failed {trouble}\n"),
            };
            drop(send.blocking_send(Bytes::from(end)));
        }));
        self.respond(request, StatusCode::OK, TEXT, Lines(receive))
    }
}

/// A body that comes line by line.
struct Lines(mpsc::Receiver<Bytes>);

impl MessageBody for Lines {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        self.0.poll_recv(context).map(|line| line.map(Ok))
    }
}

fn learn(
    (state, current): (&super::State, &Current),
    body: &[u8],
    request: Request,
    options: &Options,
    who: &Reporter,
    report: Report,
) -> Answer {
    let reputation = &current.scan.reputation;
    let now = request.now;
    let subject = if body.trim_ascii().is_empty() {
        // The mail is gone, and somebody still knows its name.
        match (&options.message_id, &options.uid) {
            (Some(id), _) => Subject::MessageId(id.clone()),
            (None, Some(uid)) => Subject::Uid(uid.clone()),
            (None, None) => return bad("send the message, or its Message-ID or UID"),
        }
    } else {
        match perform::subject(current, body, request) {
            Some(subject) => subject,
            None => return (StatusCode::OK, rspamd::learned(0)),
        }
    };
    match reputation.learn(subject, who, report, now) {
        Ok(messages) => {
            state.journal.learned();
            (StatusCode::OK, rspamd::learned(messages))
        }
        Err(trouble) => refused(&trouble),
    }
}

fn contacts(current: &Current, body: &[u8], request: &Request) -> Answer {
    let user = request.envelope.user.as_ref().or_else(|| request.envelope.recipients.first());
    let Some(user) = user.filter(|user| user.contains('@')) else {
        return bad("say whose contacts they are: a User header with his mail address");
    };
    let addresses = rspamd::contacts(&String::from_utf8_lossy(body));
    match current.scan.reputation.contacts(user, &addresses, request.now) {
        Ok(count) => (StatusCode::OK, rspamd::learned(count)),
        Err(trouble) => refused(&trouble),
    }
}

fn provenance(current: &Current, request: &Request, options: &Options) -> Answer {
    let asked = [
        (By::MessageId, &options.message_id),
        (By::Uid, &options.uid),
        (By::Organizer, &options.organizer),
        (By::Campaign, &options.campaign),
    ];
    let Some((by, text)) = asked.into_iter().find_map(|(by, text)| Some((by, text.as_deref()?)))
    else {
        return bad("ask for message_id, uid, organizer or campaign");
    };
    match current.scan.reputation.provenance(by, text, request.now) {
        Ok(records) => (StatusCode::OK, rspamd::records(&records)),
        Err(trouble) => refused(&trouble),
    }
}

/// Writes an abuse report about a message; nothing is sent.
fn report(current: &Current, body: &[u8], request: &Request, query: &[(String, String)]) -> Answer {
    if body.trim_ascii().is_empty() {
        return bad("send the message that the report is about");
    }
    let options = match arf::options(query) {
        Ok(options) => options,
        Err(error) => return bad(&error),
    };
    let (settings, reputation) = (&*current.scan, &current.scan.reputation);
    let records = |uid: &String| {
        // Without the store the list is shorter.
        reputation.provenance(By::Uid, uid, request.now).unwrap_or_default()
    };
    let uids = arf::uids(body, request, settings);
    let delivered: Vec<arf::Delivered> =
        uids.iter().take(UIDS).flat_map(records).flat_map(delivered).collect();
    let pseudonym = |name: &str| reputation.pseudonym(name).unwrap_or_else(|| arf::pseudonym(name));
    let report = arf::report(body, request, settings, &options, &pseudonym, &delivered);
    (StatusCode::OK, arf::answer(&report, &options))
}

/// Whose calendars a message has reached, as its record shows it.
fn delivered(record: Record) -> Vec<arf::Delivered> {
    let Record { events, recipients, message_id, .. } = record;
    let each = recipients.into_iter().flat_map(|recipient| {
        let message_id = message_id.clone();
        events.iter().map(move |event| arf::Delivered {
            uid: event.uid.clone(),
            recipient: recipient.clone(),
            message_id: message_id.clone(),
        })
    });
    each.collect()
}

fn stats(current: &Current) -> Answer {
    match current.scan.reputation.stats() {
        Ok(found) => (StatusCode::OK, rspamd::store_stats(&found)),
        Err(trouble) => refused(&trouble),
    }
}

fn import(current: &Current, body: &[u8]) -> Answer {
    match current.scan.reputation.import(String::from_utf8_lossy(body).lines()) {
        Ok(Ok(count)) => (StatusCode::OK, rspamd::learned(count)),
        Ok(Err(line)) => bad(&line.to_string()),
        Err(trouble) => refused(&trouble),
    }
}

fn purge(current: &Current, options: &Options) -> Answer {
    let Some(address) = &options.address else { return bad("say which address") };
    match current.scan.reputation.purge(address) {
        Ok(gone) => (StatusCode::OK, rspamd::learned(usize::try_from(gone).unwrap_or(usize::MAX))),
        Err(trouble) => refused(&trouble),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reporters_are_users_first() {
        #[track_caller]
        fn check(user: Option<&str>, rcpt: &[&str], password: bool, expected: &Reporter) {
            let mut request = Request::default();
            request.envelope.user = user.map(str::to_owned);
            request.envelope.recipients = rcpt.iter().map(|&one| one.to_owned()).collect();
            request.envelope.sender = Some("eve@evil.example".to_owned());
            assert_eq!(reporter(&request, password), *expected);
        }
        let named = |name: &str| Reporter::User(name.to_owned());
        check(Some("Ann@corp.example"), &["bob@corp.example"], true, &named("ann@corp.example"));
        check(None, &["Bob@corp.example", "eve@corp.example"], true, &named("bob@corp.example"));
        check(Some(" "), &[], true, &Reporter::Administrator);
        check(None, &[], false, &Reporter::Unnamed);
    }
}
