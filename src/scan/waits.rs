//! Waits inside a scan: whoever runs many scans lets another one compute meanwhile.

use std::fmt::Debug;

use super::Request;

/// Who is told that a scan only waits for somebody's answer.
pub trait Waits: Debug + Send + Sync {
    /// The scan computes nothing for a while.
    fn begin(&self);

    /// It wants to go on; returns when it may.
    fn end(&self);
}

impl Request {
    /// Does what may take time and no work.
    pub(super) fn waiting<T>(&self, may_wait: bool, wait: impl FnOnce() -> T) -> T {
        let Some(waits) = self.waits.as_ref().filter(|_| may_wait) else { return wait() };
        waits.begin();
        let answer = wait();
        waits.end();
        answer
    }
}
