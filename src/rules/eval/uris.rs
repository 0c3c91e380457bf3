//! Functions about links (SpamAssassin's `URIEval`, `HTTPSMismatch` and `DecodeShortURLs`).

use super::Function;

pub(super) const FUNCTIONS: &[Function] = &[];
