//! The `calspamd` program: everything is in the library, this starts it.

use std::process::ExitCode;

fn main() -> ExitCode {
    calspamd::cli::main()
}
