//! SpamAssassin's directives that mean nothing here, and why.

/// What SpamAssassin writes into mails.
const REPORTS: &[&str] = &[
    "add_header",
    "clear_headers",
    "clear_report_template",
    "clear_unsafe_report_template",
    "fold_headers",
    "header_checks",
    "remove_header",
    "report",
    "report_charset",
    "report_contact",
    "report_hostname",
    "report_safe",
    "report_wrap_width",
    "required_hits",
    "required_score",
    "rewrite_header",
    "subjprefix",
    "unsafe_report",
    "version_tag",
];

/// Its statistical classifier and its memory of senders.
const LEARNING: &[&str] = &[
    "bayes_auto_learn",
    "bayes_auto_learn_threshold_nonspam",
    "bayes_auto_learn_threshold_spam",
    "bayes_ignore_from",
    "bayes_ignore_header",
    "bayes_ignore_to",
    "bayes_min_ham_num",
    "bayes_min_spam_num",
    "bayes_path",
    "bayes_stopword_en",
    "bayes_token_sources",
    "ok_languages",
    "txrep_factor",
    "use_auto_welcomelist",
    "use_auto_whitelist",
    "use_bayes",
    "use_txrep",
];

/// How it asks DNS; here the configuration says that.
const RESOLVER: &[&str] = &[
    "asn_lookup",
    "clear_uridnsbl_skip_domain",
    "dns_available",
    "dns_block_rule",
    "dns_local_ports_avoid",
    "dns_local_ports_none",
    "dns_local_ports_permit",
    "dns_options",
    "dns_query_restriction",
    "dns_server",
    "parse_dkim_uris",
    "rbl_headers",
    "rbl_timeout",
    "skip_rbl_checks",
    "skip_uribl_checks",
    "uridnsbl_max_domains",
    "uridnsbl_timeout",
];

/// How it runs: plug-ins, files, users.
const RUNNING: &[&str] = &[
    "allow_user_rules",
    "body_part_scan_size",
    "clear_originating_ip_headers",
    "dkim_minimum_key_bits",
    "dkim_timeout",
    "enable_compat",
    "envelope_sender_header",
    "freemail_add_describe_email",
    "freemail_import_welcomelist_auth",
    "freemail_max_body_emails",
    "freemail_max_body_freemails",
    "freemail_skip_when_over_max",
    "loadmodule",
    "loadplugin",
    "lock_method",
    "max_shortcircuit",
    "meta_ignore",
    "normalize_charset",
    "originating_ip_headers",
    "rawbody_part_scan_size",
    "redirector_sub",
    "reuse",
    "score_set",
    "shortcircuit",
    "shortcircuit_spam",
    "spf_timeout",
    "time_limit",
    "tryplugin",
];

const NO_CLASSIFIER: &str = "there is no statistical classifier here";

/// The groups, and why they say nothing here.
const GROUPS: [(&[&str], &str); 4] = [
    (REPORTS, "it is about what SpamAssassin writes into mails"),
    (LEARNING, NO_CLASSIFIER),
    (RESOLVER, "how DNS is asked is said in the configuration"),
    (RUNNING, "it is about how SpamAssassin itself runs"),
];

/// Why a directive says nothing here; none for one nobody knows.
pub(super) fn reason(directive: &str) -> Option<&'static str> {
    // There are more of the classifier than are listed.
    if directive.starts_with("bayes_") {
        return Some(NO_CLASSIFIER);
    }
    GROUPS.iter().find(|(names, _)| names.contains(&directive)).map(|(_, reason)| *reason)
}

/// All of them.
pub(super) fn directives() -> impl Iterator<Item = &'static str> {
    GROUPS.iter().flat_map(|(names, _)| names.iter().copied())
}

/// Words of `tflags` that change nothing here.
pub(super) const FLAGS: &[&str] = &[
    "net",
    "learn",
    "userconf",
    "noautolearn",
    "autolearn_force",
    "autolearn_body",
    "noawl",
    "publish",
    "nolog",
    "ips_only",
    "domains_only",
    "ns",
    "a",
    "notrim",
];
