//! The stock rules, built into the binary so that it works alone.

use super::{File, Files};

mod content {
    include!(concat!(env!("OUT_DIR"), "/stock.rs"));
}

/// The stock rule files and lists.
pub fn built_in() -> Files {
    let files = |content: &[(&str, &str)], folder: &str| {
        content
            .iter()
            .map(|(name, text)| File { name: format!("{folder}{name}"), text: (*text).to_owned() })
            .collect()
    };
    Files {
        rules: files(content::RULES, "stock/"),
        lists: files(content::LISTS, ""),
        ..Files::default()
    }
}
