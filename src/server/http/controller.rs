//! The paths of Rspamd's controller that look at the service, or set its numbers back.
//!
//! Comes in: a request that may do what it asks. Goes out: the reply; its JSON is `protocol`'s.

use std::hash::{DefaultHasher, Hash, Hasher};

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};

use super::{JSON, Service, list_state};
use crate::protocol::rspamd;
use crate::server::access::Right;
use crate::server::current::Current;
use crate::server::history::{Graph, ROWS};
use crate::server::{State, now};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Stat,
    StatReset,
    Auth,
    Pie,
    Actions,
    Counters,
    Errors,
    Graph,
    Healthy,
    History,
    HistoryReset,
    Symbols,
}

impl Ask {
    /// What the caller has to be allowed.
    pub(super) const fn right(self) -> Right {
        match self {
            Self::StatReset | Self::HistoryReset => Right::Change,
            Self::Stat
            | Self::Auth
            | Self::Pie
            | Self::Actions
            | Self::Counters
            | Self::Errors
            | Self::Graph
            | Self::Healthy
            | Self::History
            | Self::Symbols => Right::Read,
        }
    }
}

impl Service {
    /// Answers on one of these paths; `right` is what the caller may.
    pub(super) fn control(&self, request: &HttpRequest, ask: Ask, right: Right) -> HttpResponse {
        let (state, current) = (&*self.door.state, &*self.current);
        let journal = &state.journal;
        journal.controlled();
        let body = match ask {
            Ask::Stat => rspamd::stat(&stat(state, current, right)),
            Ask::Auth => rspamd::auth(&stat(state, current, right)),
            Ask::Pie => rspamd::pie(&stat(state, current, right)),
            Ask::Actions => rspamd::actions(&current.scan.verdict.thresholds),
            Ask::Counters => {
                let counters: Vec<rspamd::Counter<'_>> = current
                    .symbols
                    .iter()
                    .map(|symbol| rspamd::Counter {
                        symbol: &symbol.name,
                        weight: symbol.score,
                        hits: current.hits.count(&symbol.name),
                    })
                    .collect();
                rspamd::counters(&counters, state.started.elapsed().as_secs())
            }
            Ask::Errors => state.errors.reply(),
            Ask::Graph => match argument(request, "type").as_deref().map(Graph::of) {
                Some(Some(graph)) => rspamd::graph(&journal.graph(graph, now())),
                Some(None) => return self.bad(request, "Invalid graph type"),
                None => return self.bad(request, "Absent graph type"),
            },
            Ask::History => {
                let number = |name: &str| argument(request, name).and_then(|n| n.parse().ok());
                let from = number("from").unwrap_or(0);
                rspamd::history(&journal.rows(from, number("to").unwrap_or(ROWS - 1)))
            }
            Ask::Symbols => rspamd::symbols(&current.symbols),
            Ask::Healthy => rspamd::done().into(),
            Ask::StatReset => {
                journal.reset_numbers();
                rspamd::done().into()
            }
            Ask::HistoryReset => {
                journal.forget_rows();
                rspamd::done().into()
            }
        };
        let mut response = self.respond(request, StatusCode::OK, JSON, body);
        let never = header::HeaderValue::from_static("no-store");
        response.headers_mut().insert(header::CACHE_CONTROL, never);
        response
    }

    fn bad(&self, request: &HttpRequest, error: &str) -> HttpResponse {
        self.respond(request, StatusCode::BAD_REQUEST, JSON, rspamd::failure(error))
    }
}

/// A query argument.
pub(super) fn argument(request: &HttpRequest, name: &str) -> Option<String> {
    let all = rspamd::query(request.query_string());
    all.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn stat(state: &State, current: &Current, right: Right) -> rspamd::Stat {
    let numbers = state.journal.numbers();
    rspamd::Stat {
        config_id: config_id(current),
        uptime: state.started.elapsed().as_secs(),
        read_only: right == Right::Read,
        learned: numbers.learned,
        actions: numbers.actions,
        scan_times: numbers.times(),
        connections: numbers.connections,
        control_connections: numbers.control_connections,
        lists: current.scan.lists.report().iter().map(list_state).collect(),
    }
}

/// Changes when the rules or the thresholds do.
fn config_id(current: &Current) -> String {
    let mut hasher = DefaultHasher::new();
    for symbol in &*current.symbols {
        symbol.name.hash(&mut hasher);
        symbol.score.to_bits().hash(&mut hasher);
    }
    for (action, limit) in current.scan.verdict.thresholds.list() {
        action.hash(&mut hasher);
        limit.to_bits().hash(&mut hasher);
    }
    format!("{:016x}", hasher.finish())
}
