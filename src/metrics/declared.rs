//! What is counted: names, labels and words of all metrics, and why a request gets no scan.
//!
//! Goes out: declarations, which [`super::Metrics`] fills and the documentation lists.

/// Why a request got no scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// The message is larger than allowed.
    TooLarge,
    /// The message did not come in time.
    Timeout,
    /// The connection broke inside the message, or its chunks make no sense.
    BrokenBody,
    /// The message is compressed in a way that cannot be undone.
    Compression,
    /// There is nothing at this path.
    UnknownPath,
    /// The path changes the service and needs another method.
    Method,
    /// The path changes the service and the caller may not.
    Unauthorized,
    /// A request of several parts that cannot be taken apart.
    Parts,
    /// No form of a reply that the caller takes.
    NotAcceptable,
    /// The message is said to stand in a file that is not there, or not allowed.
    File,
    /// Encrypted for somebody else, broken, or in the clear where that is not allowed.
    Encryption,
    /// The client has sent too many requests.
    Rate,
    /// The client has too many connections.
    Connections,
    /// The client has sent too many wrong passwords.
    Guesses,
    /// All messages together, or those of the client, take too much memory.
    Room,
}

impl Rejection {
    /// Every reason.
    pub const ALL: [Self; 15] = [
        Self::TooLarge,
        Self::Timeout,
        Self::BrokenBody,
        Self::Compression,
        Self::UnknownPath,
        Self::Method,
        Self::Unauthorized,
        Self::Parts,
        Self::NotAcceptable,
        Self::File,
        Self::Encryption,
        Self::Rate,
        Self::Connections,
        Self::Guesses,
        Self::Room,
    ];

    /// Label value.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooLarge => "too-large",
            Self::Timeout => "timeout",
            Self::BrokenBody => "broken-body",
            Self::Compression => "compression",
            Self::UnknownPath => "unknown-path",
            Self::Method => "method",
            Self::Unauthorized => "unauthorized",
            Self::Parts => "parts",
            Self::NotAcceptable => "not-acceptable",
            Self::File => "file",
            Self::Encryption => "encryption",
            Self::Rate => "rate",
            Self::Connections => "connections",
            Self::Guesses => "guesses",
            Self::Room => "room",
        }
    }
}

/// The declaration of one metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Declaration {
    /// Name.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it counts.
    pub help: &'static str,
}

macro_rules! declare {
    ($($constant:ident: $kind:literal $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(pub(super) const $constant: Declaration = Declaration {
            name: $name, kind: $kind, labels: &[$($label),*], help: $help,
        };)+

        /// Every metric of ours, in the order of the documentation.
        pub(super) const DECLARATIONS: &[Declaration] = &[$($constant),+];
    };
}

declare! {
    SCANS: "counter" "calspamd_scans_total" ["action", "protocol"]
        "Messages scanned, by action and by the dialect they came in.";
    SCAN_SECONDS: "histogram" "calspamd_scan_duration_seconds" []
        "Time of a whole scan.";
    STAGE_SECONDS: "histogram" "calspamd_stage_duration_seconds" ["stage"]
        "Time spent in a stage of the scan.";
    HITS: "counter" "calspamd_hits_total" ["symbol"]
        "Messages in which a symbol hit.";
    DEFECTS: "counter" "calspamd_defects_total" ["kind"]
        "Things found wrong with the input.";
    PARTIAL: "counter" "calspamd_partial_total" ["reason"]
        "Answers that are not complete.";
    AUTHENTICATION: "counter" "calspamd_authentication_total" ["source"]
        "Messages with a calendar, by who says what is known of their authentication.";
    MESSAGE_BYTES: "counter" "calspamd_message_bytes_total" []
        "Bytes of all messages scanned.";
    IN_FLIGHT: "gauge" "calspamd_scans_in_flight" []
        "Scans going on.";
    WAITING: "gauge" "calspamd_scans_waiting" []
        "Messages that wait for their client's turn.";
    BODY_BYTES: "gauge" "calspamd_body_bytes" []
        "Bytes that the bodies of requests take in memory.";
    PANICS: "counter" "calspamd_panics_total" []
        "Scans ended by a mistake in calspamd; their messages were answered as not scanned.";
    REJECTED: "counter" "calspamd_requests_rejected_total" ["reason"]
        "Requests that got no scan.";
    RELOADS: "counter" "calspamd_reloads_total" ["result"]
        "Times rules and settings were to be read again; after a failure the old ones stay in force.";
    DNS_QUESTIONS: "counter" "calspamd_dns_questions_total" ["list", "result"]
        "Questions to DNS lists, by what became of them; what the cache answers is not asked.";
    DNS_CACHE: "counter" "calspamd_dns_cache_total" ["result"]
        "Questions answered from the cache (hit), asked by somebody already (joined), asked (miss).";
    LIST_UP: "gauge" "calspamd_list_up" ["list"]
        "1 while a DNS list is asked, 0 while it is switched off.";
    STORE_OPERATIONS: "counter" "calspamd_store_operations_total" ["operation", "result"]
        "What the store was asked to do, and what became of it; nothing while there is none.";
    STORE_UP: "gauge" "calspamd_store_up" []
        "1 while the store is asked, 0 while it is left alone because it does not answer.";
    SYMBOLS: "gauge" "calspamd_symbols" []
        "Symbols that the rules in force can give.";
    RELOAD_OK: "gauge" "calspamd_last_reload_successful" []
        "1 while rules and settings in force are those of the files, 0 after a reload that failed.";
    BUILD: "gauge" "calspamd_build_info" ["version"]
        "Always 1; the version of calspamd.";
}

/// The process's own numbers, which the collector of the library brings along.
pub(super) const PROCESS: [Declaration; 7] = [
    process("process_cpu_seconds_total", "counter", "Total user and system CPU time spent."),
    process("process_open_fds", "gauge", "Number of open file descriptors."),
    process("process_max_fds", "gauge", "Maximum number of open file descriptors."),
    process("process_virtual_memory_bytes", "gauge", "Virtual memory size."),
    process("process_resident_memory_bytes", "gauge", "Resident memory size."),
    process("process_start_time_seconds", "gauge", "Start time of the process since 1970."),
    process("process_threads", "gauge", "Number of threads in the process."),
];

const fn process(name: &'static str, kind: &'static str, help: &'static str) -> Declaration {
    Declaration { name, kind, labels: &[], help }
}
