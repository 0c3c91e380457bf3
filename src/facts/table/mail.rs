//! The mail around it.

use std::borrow::Cow;

use crate::facts::answers::{
    domain_of, float, header, known, mail, mailboxes, normal, recipients, stated,
};
use crate::facts::{Answer, Datum, Fact, Place, Value, identity, text};
use crate::message::Mechanism;

use super::{event, message};
use crate::facts::Kind::{Address, Domain, Flag, Number, Text};
use crate::facts::Origin::{Mail, Network};

pub(super) const FACTS: &[Fact] = &[
    message("parts", Number, Mail, "MIME parts.", "4", |f| {
        mail(f, || {
            vec![Datum::new(
                Value::Number(float(f.message.part_count)),
                Place::Name("message"),
                Mail,
            )]
        })
    }),
    message("part.type", Text, Mail, "Types of the MIME parts.", "text/html", |f| {
        mail(f, || {
            f.message
                .parts
                .iter()
                .enumerate()
                .map(|(at, p)| {
                    Datum::new(Value::Text((&*p.content_type).into()), Place::Part(at), Mail)
                })
                .collect()
        })
    }),
    message("part.name", Text, Mail, "File names of the MIME parts.", "agenda.pdf", |f| {
        mail(f, || {
            f.message
                .parts
                .iter()
                .enumerate()
                .filter_map(|(at, p)| {
                    p.name
                        .as_deref()
                        .map(|n| Datum::new(Value::Text(n.into()), Place::Part(at), Mail))
                })
                .collect()
        })
    }),
    message("from.address", Address, Mail, "Address of From.", "ann@corp.example", |f| {
        mailboxes(f, &f.message.from, "From", |m| Some(Cow::Borrowed(&*m.address)))
    }),
    message("from.domain", Domain, Mail, "Registered domain of From.", "corp.example", |f| {
        mailboxes(f, &f.message.from, "From", |m| domain_of(&m.address))
    }),
    message("from.name", Text, Mail, "Display name of From, normalised.", "Ann Example", |f| {
        mailboxes(f, &f.message.from, "From", |m| Some(normal(&m.name)))
    }),
    message(
        "from.confusables",
        Number,
        Mail,
        "Disguised words in the display name of From.",
        "0",
        |f| {
            mail(f, || {
                vec![Datum::new(
                    Value::Number(float(
                        f.message
                            .from
                            .iter()
                            .map(|m| text::normalise(&m.name).1.confusables)
                            .sum::<usize>(),
                    )),
                    Place::Name("From"),
                    Mail,
                )]
            })
        },
    ),
    message("sender.address", Address, Mail, "Address of Sender.", "pat@corp.example", |f| {
        mailboxes(f, f.message.sender.as_slice(), "Sender", |m| Some(Cow::Borrowed(&*m.address)))
    }),
    message("sender.domain", Domain, Mail, "Registered domain of Sender.", "corp.example", |f| {
        mailboxes(f, f.message.sender.as_slice(), "Sender", |m| domain_of(&m.address))
    }),
    message("reply_to.address", Address, Mail, "Addresses of Reply-To.", "ann@corp.example", |f| {
        mailboxes(f, &f.message.reply_to, "Reply-To", |m| Some(Cow::Borrowed(&*m.address)))
    }),
    message(
        "reply_to.domain",
        Domain,
        Mail,
        "Registered domains of Reply-To.",
        "corp.example",
        |f| mailboxes(f, &f.message.reply_to, "Reply-To", |m| domain_of(&m.address)),
    ),
    message("subject", Text, Mail, "Subject, normalised.", "Invitation: Team meeting", |f| {
        mail(f, || {
            f.message
                .subject
                .as_deref()
                .filter(|s| !s.is_empty())
                .map(|s| Datum::new(Value::Text(normal(s)), Place::Name("Subject"), Mail))
                .into_iter()
                .collect()
        })
    }),
    message(
        "list.id",
        Text,
        Mail,
        "List-Id header (RFC 2919): the mail came through a mailing list.",
        "<dev.lists.example>",
        |f| mail(f, || header(f, "List-Id")),
    ),
    message(
        "envelope.from",
        Address,
        Network,
        "MAIL FROM; unknown when the caller did not say.",
        "ann@corp.example",
        |f| stated(f.envelope.sender.as_deref(), "MAIL FROM"),
    ),
    message(
        "rcpt.address",
        Address,
        Network,
        "RCPT TO; without an envelope the addresses of To and Cc.",
        "vic@corp.example",
        recipients,
    ),
    message(
        "client.ip",
        Text,
        Network,
        "Address of the SMTP client; unknown when the caller did not say.",
        "192.0.2.1",
        |f| {
            f.envelope.client_ip.map_or(Answer::Unknown, |ip| {
                known([Datum::new(
                    Value::Text(ip.to_string().into()),
                    Place::Name("client"),
                    Network,
                )])
            })
        },
    ),
    message("user", Text, Network, "Authenticated user of outbound mail.", "ann", |f| {
        known(
            f.envelope
                .user
                .as_deref()
                .filter(|u| !u.is_empty())
                .map(|u| Datum::new(Value::Text(u.into()), Place::Name("user"), Network)),
        )
    }),
    message(
        "client.trusted",
        Flag,
        Network,
        "The SMTP client is an authenticated user, this host, or in `site.trusted_networks`; never unknown.",
        "no",
        identity::client_trusted,
    ),
    message(
        "auth.stated",
        Flag,
        Network,
        "Something is known of the message's authentication: trusted parties have stated it, or it was verified here; never unknown.",
        "yes",
        identity::is_stated,
    ),
    message(
        "auth.source",
        Text,
        Network,
        "Who says it: caller, header (of a trusted server) or verified (here); unknown when nothing is known, as all that follow.",
        "caller",
        identity::source,
    ),
    message("auth.spf", Text, Network, "SPF result.", "pass", |f| {
        identity::result(f, Mechanism::Spf)
    }),
    message("auth.dkim", Text, Network, "DKIM result: pass if a signature passes.", "pass", |f| {
        identity::result(f, Mechanism::Dkim)
    }),
    message("auth.dmarc", Text, Network, "DMARC result.", "pass", |f| {
        identity::result(f, Mechanism::Dmarc)
    }),
    message("auth.arc", Text, Network, "ARC result.", "pass", |f| {
        identity::result(f, Mechanism::Arc)
    }),
    message(
        "auth.spf.domain",
        Domain,
        Network,
        "Registered domain that SPF is about.",
        "corp.example",
        |f| identity::domains(f, Mechanism::Spf),
    ),
    message(
        "auth.dkim.domain",
        Domain,
        Network,
        "Registered domains of the signatures that pass; of the first one where none does.",
        "corp.example",
        |f| identity::domains(f, Mechanism::Dkim),
    ),
    message(
        "auth.dmarc.domain",
        Domain,
        Network,
        "Registered domain that DMARC is about.",
        "corp.example",
        |f| identity::domains(f, Mechanism::Dmarc),
    ),
    message(
        "auth.dmarc.policy",
        Text,
        Network,
        "What that domain asks for when DMARC fails: none quarantine reject.",
        "reject",
        identity::policy,
    ),
    message(
        "auth.arc.domain",
        Domain,
        Network,
        "Registered domain of the last sealer of ARC.",
        "lists.example",
        |f| identity::domains(f, Mechanism::Arc),
    ),
    message(
        "auth.domain",
        Domain,
        Network,
        "Registered domains that pass SPF, DKIM or DMARC.",
        "corp.example",
        identity::passing_domains,
    ),
    message(
        "auth.aligned.from",
        Flag,
        Network,
        "The registered domain of From passes SPF, DKIM or DMARC.",
        "yes",
        identity::from_aligned,
    ),
    event(
        "auth.aligned.organizer",
        Flag,
        "The organizer's registered domain passes SPF, DKIM or DMARC.",
        "yes",
        identity::organizer_aligned,
    ),
    event(
        "auth.aligned.sent_by",
        Flag,
        "The registered domain of SENT-BY passes SPF, DKIM or DMARC.",
        "no",
        identity::sent_by_aligned,
    ),
];
