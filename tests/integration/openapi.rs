//! The description of the HTTP API against the running program, by Schemathesis: statuses, types and
//! schemas of replies are those that are described, and whatever is sent is scanned.

use std::process::Command;

use crate::cli::{Folder, err};
use crate::hostile::Program;
use crate::support::{ask, repository};

/// What is held. Not that nonsense is refused: what makes no sense counts as not sent; and not that
/// other methods are: they do not matter.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,whatever_is_sent_is_scanned";

/// Examples of each operation, beside those that go through its parameters one by one.
const EXAMPLES: &str = "20";

#[test]
fn the_service_is_as_described() {
    let program = Program::start();
    let folder = Folder::new();
    let url = format!("http://{}", program.address);
    // From a file: the path that a description came from would not be asked again.
    let description = ask(program.address, b"GET /openapi.json HTTP/1.0\r\n\r\n");
    let file = folder.write("openapi.json", &description.body);
    let output = Command::new(repository("target/clients/openapi/bin/schemathesis"))
        .args(["run", &file, "--url", &url, "--checks", CHECKS])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES])
        .args(["--seed", "9", "--continue-on-failure", "--no-color", "--warnings", "off"])
        // A busy machine makes examples slowly.
        .args(["--suppress-health-check", "all"])
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONPATH", repository("tests/clients/python"))
        .env("SCHEMATHESIS_HOOKS", "openapi")
        .output()
        .unwrap_or_else(|_| panic!("Schemathesis is not installed; `make tools` does that"));
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), err(&output));
    assert!(output.status.success(), "{said}");
    let cases = said.lines().find(|line| line.ends_with(" passed") && line.contains("generated"));
    println!("{}", cases.unwrap_or_else(|| panic!("{said}")).trim());
    // All of them.
    let described = description.json();
    let paths = described["paths"].as_object().unwrap().values();
    let count: usize = paths.map(|methods| methods.as_object().unwrap().len()).sum();
    assert!(said.contains(&format!("Tested: {count}\n")), "{count}: {said}");
    let metrics = ask(program.address, b"GET /metrics HTTP/1.0\r\n\r\n").body;
    assert!(metrics.contains("calspamd_panics_total 0\n"), "{metrics}");
}
