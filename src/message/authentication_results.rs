//! `Authentication-Results` (RFC 8601) as stated by the caller or by trusted hops.

/// One mechanism of message authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// SPF (RFC 7208).
    Spf,
    /// DKIM (RFC 6376).
    Dkim,
    /// DMARC (RFC 7489).
    Dmarc,
    /// ARC (RFC 8617).
    Arc,
}

/// One `method=result` statement with the identity it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodResult {
    /// Which mechanism.
    pub mechanism: Mechanism,
    /// `pass`, `fail`, `softfail`, `none`, `temperror` …, in lower case.
    pub result: String,
    /// Domain the result is about (`header.d`, `smtp.mailfrom`, `header.from`), lower case.
    pub domain: Option<String>,
    /// DMARC policy where stated: `none`, `quarantine`, `reject`.
    pub policy: Option<String>,
}

/// Everything trusted parties say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthenticationResults {
    /// Statements in order of appearance.
    pub results: Vec<MethodResult>,
}
