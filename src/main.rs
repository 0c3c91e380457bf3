//! The program. Everything it does is in the library, see [`calspamd::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    calspamd::cli::main()
}
