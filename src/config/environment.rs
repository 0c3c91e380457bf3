//! Variables named `CALSPAMD_SECTION__KEY`, for containers.

use super::Error;
use super::mistake::message_and_hint;
use super::sections::Sections;

const PREFIX: &str = "CALSPAMD_";

/// Names with the prefix that are no settings.
const LOG: &str = "LOG";
const CORPUS: &str = "CORPUS";

/// What the environment says.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    pub(super) sections: Sections,
    /// `CALSPAMD_LOG`: directives for the log.
    pub(super) log: Option<String>,
}

/// The process's own variables that may concern us.
pub fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

pub(super) fn read(
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Overrides, Error> {
    let mut overrides = Overrides::default();
    for (variable, value) in variables {
        match variable.strip_prefix(PREFIX) {
            None | Some(CORPUS) => {}
            Some(LOG) => overrides.log = Some(value),
            Some(name) => {
                let one = setting(name, &value).map_err(|message| {
                    let (message, hint) = message_and_hint(&message);
                    Error::Environment { variable, message, hint }
                })?;
                overrides.sections = overrides.sections.overlaid(one);
            }
        }
    }
    Ok(overrides)
}

/// Reads one variable as a file with one key in it. The value may be written as in the file,
/// or as a string without its quotes, or as a list of strings with commas between them.
fn setting(name: &str, value: &str) -> Result<Sections, String> {
    let lower = name.to_ascii_lowercase();
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let Some((section, key)) =
        lower.split_once("__").filter(|(section, key)| is_name(section) && is_name(key))
    else {
        return Err("there is no such setting\nwrite CALSPAMD_SECTION__KEY, as in \
                    CALSPAMD_HTTP__LISTEN"
            .to_owned());
    };
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let list: Vec<String> = value.split(',').map(|item| quoted(item.trim())).collect();
    let forms = [value.to_owned(), quoted(value), format!("[{}]", list.join(","))];
    let mut first_error = None;
    for (index, form) in forms.iter().enumerate() {
        let file = format!("[{section}]\n{key} = {form}\n");
        // The bare form counts only where it is one value and nothing behind it.
        if index == 0 && (value.contains('\n') || toml::from_str::<toml::Table>(&file).is_err()) {
            continue;
        }
        match toml::from_str(&file) {
            Ok(sections) => return Ok(sections),
            Err(error) => {
                first_error.get_or_insert_with(|| error.message().to_owned());
            }
        }
    }
    Err(first_error.unwrap_or_default())
}
