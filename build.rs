//! Puts the stock rules into the binary, so that a lone binary works.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=rules");
    let root = env::var_os("CARGO_MANIFEST_DIR").ok_or("no CARGO_MANIFEST_DIR")?;
    let mut out = String::new();
    for (name, folder, ending) in [("RULES", "rules", "cf"), ("LISTS", "rules/lists", "txt")] {
        let mut files: Vec<_> = fs::read_dir(Path::new(&root).join(folder))?
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|found| found == ending))
            .collect();
        files.sort();
        writeln!(out, "pub(super) const {name}: &[(&str, &str)] = &[")?;
        for path in files {
            let file = path.file_name().and_then(|name| name.to_str()).ok_or("file name")?;
            writeln!(out, "    ({file:?}, include_str!({:?})),", path.to_str().ok_or("path")?)?;
        }
        writeln!(out, "];")?;
    }
    fs::write(Path::new(&env::var_os("OUT_DIR").ok_or("no OUT_DIR")?).join("stock.rs"), out)?;
    Ok(())
}
