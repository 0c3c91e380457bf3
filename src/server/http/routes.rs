//! All paths of the service.
//!
//! Comes in: a path. Goes out: what is at it. The description that `/openapi.json` serves lists the
//! same paths.

use super::{controller, memory};
use crate::reputation::Report;
use crate::server::access::Right;

/// What `/openapi.json` answers: all paths in the words of `OpenAPI` 3.1. Written by hand; the
/// tests hold it against the table below and against the running service.
pub(super) const DESCRIPTION: &str = include_str!("openapi.json");

/// A command that scans, by the shape of its request and answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// `/checkv2`.
    New,
    /// `/checkv3`: a request in parts.
    Parts,
    /// The old commands.
    Old,
}

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    Check(Check),
    Control(controller::Ask),
    Memory(memory::Ask),
    Reload,
    Description,
    Ping,
    Health,
    Ready,
    Metrics,
}

const ROUTES: [(&str, Route); 36] = [
    ("/checkv2", Route::Check(Check::New)),
    ("/checkv3", Route::Check(Check::Parts)),
    ("/check", Route::Check(Check::Old)),
    ("/scan", Route::Check(Check::Old)),
    ("/process", Route::Check(Check::Old)),
    ("/report", Route::Check(Check::Old)),
    ("/report_ifspam", Route::Check(Check::Old)),
    ("/skip", Route::Check(Check::Old)),
    ("/symbols", Route::Control(controller::Ask::Symbols)),
    ("/stat", Route::Control(controller::Ask::Stat)),
    ("/statreset", Route::Control(controller::Ask::StatReset)),
    ("/auth", Route::Control(controller::Ask::Auth)),
    ("/pie", Route::Control(controller::Ask::Pie)),
    ("/actions", Route::Control(controller::Ask::Actions)),
    ("/counters", Route::Control(controller::Ask::Counters)),
    ("/errors", Route::Control(controller::Ask::Errors)),
    ("/graph", Route::Control(controller::Ask::Graph)),
    ("/healthy", Route::Control(controller::Ask::Healthy)),
    ("/history", Route::Control(controller::Ask::History)),
    ("/historyreset", Route::Control(controller::Ask::HistoryReset)),
    ("/learnspam", Route::Memory(memory::Ask::Learn(Report::Spam))),
    ("/learnham", Route::Memory(memory::Ask::Learn(Report::Ham))),
    ("/learnforget", Route::Memory(memory::Ask::Learn(Report::Forget))),
    ("/learncontacts", Route::Memory(memory::Ask::Contacts)),
    ("/calendar/provenance", Route::Memory(memory::Ask::Provenance)),
    ("/calendar/report", Route::Memory(memory::Ask::Report)),
    ("/calendar/store/stats", Route::Memory(memory::Ask::Stats)),
    ("/calendar/store/export", Route::Memory(memory::Ask::Export)),
    ("/calendar/store/import", Route::Memory(memory::Ask::Import)),
    ("/calendar/store/purge", Route::Memory(memory::Ask::Purge)),
    ("/reload", Route::Reload),
    ("/openapi.json", Route::Description),
    ("/ping", Route::Ping),
    ("/health", Route::Health),
    ("/ready", Route::Ready),
    ("/metrics", Route::Metrics),
];

impl Route {
    /// What is at a path, which knows no case, as with Rspamd.
    pub(super) fn of(path: &str, has_body: bool) -> Option<Self> {
        let (_, route) = ROUTES.iter().find(|(known, _)| known.eq_ignore_ascii_case(path))?;
        // With a message it is an old command that scans.
        let scans = has_body && *route == Self::Control(controller::Ask::Symbols);
        Some(if scans { Self::Check(Check::Old) } else { *route })
    }

    /// What the caller has to be allowed; nothing where everybody may ask, because the answer tells
    /// no more than that the service is there, or where that is looked at with the method.
    pub(super) const fn right(self) -> Option<Right> {
        match self {
            Self::Check(_) | Self::Metrics => Some(Right::Read),
            Self::Control(ask) => Some(ask.right()),
            Self::Memory(_)
            | Self::Reload
            | Self::Description
            | Self::Ping
            | Self::Health
            | Self::Ready => None,
        }
    }

    /// True where the body of a request was read when it was answered with 200.
    pub(super) const fn reads_body(self) -> bool {
        match self {
            Self::Check(_) | Self::Memory(_) => true,
            Self::Control(_)
            | Self::Reload
            | Self::Description
            | Self::Ping
            | Self::Health
            | Self::Ready
            | Self::Metrics => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

    /// The methods by which a path is described.
    fn expected(route: Route) -> &'static [&'static str] {
        match route {
            Route::Memory(ask) if ask.changes() => &["post"],
            Route::Check(_)
            | Route::Reload
            | Route::Control(controller::Ask::StatReset | controller::Ask::HistoryReset) => {
                &["post"]
            }
            // With a message it scans.
            Route::Control(controller::Ask::Symbols) => &["get", "post"],
            Route::Control(_)
            | Route::Memory(_)
            | Route::Description
            | Route::Ping
            | Route::Health
            | Route::Ready
            | Route::Metrics => &["get"],
        }
    }

    #[test]
    fn what_is_described_is_there_and_what_is_there_is_described() {
        let description: Value = serde_json::from_str(DESCRIPTION).unwrap();
        assert_eq!(description["info"]["version"], env!("CARGO_PKG_VERSION"));
        let described: BTreeMap<&str, Vec<&str>> = description["paths"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(path, methods)| {
                let mut methods: Vec<&str> =
                    methods.as_object().unwrap().keys().map(String::as_str).collect();
                methods.sort_unstable();
                (path.as_str(), methods)
            })
            .collect();
        let there = ROUTES.iter().map(|(path, route)| (*path, expected(*route).to_vec())).collect();
        assert_eq!(described, there);
        assert_eq!(ROUTES.len(), described.len(), "a path twice");
    }

    #[test]
    fn paths_know_no_case() {
        #[track_caller]
        fn check(path: &str, has_body: bool, expected: Option<Route>) {
            assert_eq!(Route::of(path, has_body), expected, "{path}");
        }
        check("/CheckV2", true, Some(Route::Check(Check::New)));
        check("/Symbols", false, Some(Route::Control(controller::Ask::Symbols)));
        check("/symbols", true, Some(Route::Check(Check::Old)));
        check("/stat", true, Some(Route::Control(controller::Ask::Stat)));
        for path in ["", "/", "checkv2", "/checkv2/", "/check%76"] {
            check(path, true, None);
        }
    }
}
