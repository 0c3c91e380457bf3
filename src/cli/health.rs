//! `calspamd health`: asks a running service whether it is well, for containers and scripts.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use super::Error;
use super::service::{Request, Service};
use crate::server::Settings;

/// A service that needs longer is not well.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn run(settings: &Settings, out: &mut dyn Write) -> Result<ExitCode, Error> {
    let service = Service { settings, patience: PATIENCE };
    let request = Request { method: "GET", path: "/health", headers: Vec::new(), body: b"" };
    let reply = service.ask(&request).map_err(|error| service.not_well(error))?;
    if reply.status != 200 {
        let line = super::terminal::clean(&reply.line).into_owned();
        return Err(service.not_well(format!("it answers `{line}`")));
    }
    writeln!(out, "ok")?;
    Ok(ExitCode::SUCCESS)
}
