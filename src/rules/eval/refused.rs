//! Functions that do not run here, and why; and those that ask DNS lists.

use super::{Does, Function};

const LEARNS: &str = "there is no statistical classifier here";
const NETWORK: &str = "it asks a service of its own over the network";
const KEY: &str = "whether a key is only for testing stands in DNS, and nobody states it";
const EXTERNAL: &str = "it needs a program or a database beside SpamAssassin";
const FOLLOWS: &str =
    "links of shorteners are not followed, which would tell the sender of the mail";

const fn asks(name: &'static str) -> Function {
    Function { name, does: Does::Asks }
}

const fn refused(name: &'static str, reason: &'static str) -> Function {
    Function { name, does: Does::Refused(reason) }
}

pub(super) const FUNCTIONS: &[Function] = &[
    asks("check_rbl"),
    asks("check_rbl_txt"),
    asks("check_rbl_sub"),
    asks("check_rbl_from_host"),
    asks("check_rbl_from_domain"),
    asks("check_rbl_envfrom"),
    asks("check_rbl_rcvd"),
    asks("check_rbl_headers"),
    asks("check_rbl_ns_from"),
    asks("check_uridnsbl"),
    asks("check_hashbl_emails"),
    asks("check_hashbl_uris"),
    asks("check_hashbl_bodyre"),
    asks("check_hashbl_tag"),
    asks("check_hashbl_attachments"),
    asks("check_dns_sender"),
    asks("check_dnslist"),
    asks("check_dnslist_silence"),
    refused("check_dkim_testing", KEY),
    refused("check_bayes", LEARNS),
    refused("check_from_in_auto_welcomelist", LEARNS),
    refused("check_senders_reputation", LEARNS),
    refused("check_language", LEARNS),
    refused("check_body_language", LEARNS),
    refused("check_dcc", NETWORK),
    refused("check_dcc_reputation_range", NETWORK),
    refused("check_razor2", NETWORK),
    refused("check_razor2_range", NETWORK),
    refused("check_pyzor", NETWORK),
    refused("check_spamcop", NETWORK),
    refused("check_access_database", EXTERNAL),
    refused("check_microsoft_executable", EXTERNAL),
    refused("check_suspect_name", EXTERNAL),
    refused("short_url_chained", FOLLOWS),
    refused("short_url_redir", FOLLOWS),
    refused("short_url_maxchain", FOLLOWS),
    refused("short_url_loop", FOLLOWS),
    refused("short_url_code", FOLLOWS),
    refused("short_url_200", FOLLOWS),
    refused("short_url_404", FOLLOWS),
    refused(
        "short_url_tests",
        "SpamAssassin does not have it any more; `short_url` took its place",
    ),
    refused(
        "check_body_8bits",
        "which languages are expected is only asked by TextCat, which is not here",
    ),
    refused("check_shortcircuit", "every rule is evaluated, there is nothing to cut short"),
];
