//! Turns calcard's properties into [`Property`]s, by move.

use std::borrow::Cow;

use calcard::icalendar::{
    ICalendarEntry, ICalendarParameter, ICalendarParameterName, ICalendarParameterValue,
    ICalendarProperty, ICalendarValue, Uri,
};

use super::time;
use super::{Party, Property, Value};

/// Values of one list kept as properties of their own.
const MOST_VALUES: usize = 1_000;

/// Adds an entry's values to the list, one property each.
pub(super) fn push(entry: ICalendarEntry, within: usize, list: &mut Vec<Property>) {
    let ICalendarEntry { name, params, mut values } = entry;
    let joined = is_joined(&name);
    let attached = matches!(name, ICalendarProperty::Attach | ICalendarProperty::Image);
    let binary = !params.is_empty() && has_binary_type(&params);
    let name = property_name(name);
    let mut parameters: Vec<(Cow<'static, str>, String)> = Vec::with_capacity(params.len());
    parameters.extend(params.into_iter().filter_map(parameter));
    if values.len() <= 1 {
        let value = values.pop().map_or_else(
            || Value::Text(String::new()),
            |value| convert(value, binary, attached, &parameters),
        );
        list.push(Property { name, within, parameters, value });
        return;
    }
    if joined {
        list.push(Property { name, within, parameters, value: join(values) });
        return;
    }
    let final_index = values.len().min(MOST_VALUES).saturating_sub(1);
    for (index, value) in values.into_iter().take(MOST_VALUES).enumerate() {
        let parameters =
            if index == final_index { std::mem::take(&mut parameters) } else { parameters.clone() };
        let value = convert(value, binary, attached, &parameters);
        list.push(Property { name: name.clone(), within, parameters, value });
    }
}

/// True for properties whose values calcard splits at semicolons: they are one text.
fn is_joined(name: &ICalendarProperty) -> bool {
    matches!(
        name,
        ICalendarProperty::Other(_) | ICalendarProperty::Geo | ICalendarProperty::RequestStatus
    )
}

fn join(values: Vec<ICalendarValue>) -> Value {
    let mut uri = false;
    let mut text = String::new();
    for (index, value) in values.into_iter().enumerate() {
        if index > 0 {
            text.push(';');
        }
        match convert(value, false, false, &[]) {
            Value::Uri(part) => {
                uri = true;
                text.push_str(&part);
            }
            Value::Text(part) | Value::Other(part) => text.push_str(&part),
            Value::Binary { data, .. } => text.push_str(&String::from_utf8_lossy(&data)),
        }
    }
    if uri { Value::Uri(text) } else { Value::Text(text) }
}

/// The name in upper case.
fn property_name(name: ICalendarProperty) -> Cow<'static, str> {
    match name.into_string() {
        Cow::Owned(mut name) => {
            name.make_ascii_uppercase();
            Cow::Owned(name)
        }
        known @ Cow::Borrowed(_) => known,
    }
}

fn has_binary_type(parameters: &[ICalendarParameter]) -> bool {
    parameters.iter().any(|parameter| {
        parameter.name == ICalendarParameterName::Value
            && parameter.value.as_text().is_some_and(|kind| kind.eq_ignore_ascii_case("BINARY"))
    })
}

/// One parameter, decoded.
fn parameter(parameter: ICalendarParameter) -> Option<(Cow<'static, str>, String)> {
    let ICalendarParameter { name, value } = parameter;
    let name = match name.into_string() {
        Cow::Owned(mut name) => {
            name.make_ascii_uppercase();
            Cow::Owned(name)
        }
        known @ Cow::Borrowed(_) => known,
    };
    let text = if value == ICalendarParameterValue::Null {
        String::new()
    } else {
        value.into_text()?.into_owned()
    };
    Some((name, decode(text)))
}

/// Undoes RFC 6868: `^n`, `^^` and `^'`.
pub(super) fn decode(text: String) -> String {
    if !text.contains('^') {
        return text;
    }
    let mut decoded = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let replacement = match (character, characters.peek()) {
            ('^', Some('n')) => '\n',
            ('^', Some('^')) => '^',
            ('^', Some('\'')) => '"',
            (other, _) => {
                decoded.push(other);
                continue;
            }
        };
        characters.next();
        decoded.push(replacement);
    }
    decoded
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "calcard's values that are words, numbers or dates all become their text"
)]
fn convert(
    value: ICalendarValue,
    binary: bool,
    attached: bool,
    parameters: &[(Cow<'static, str>, String)],
) -> Value {
    let media_type = || {
        parameters
            .iter()
            .find(|(name, _)| name == "FMTTYPE")
            .map(|(_, value)| value.to_ascii_lowercase())
    };
    match value {
        // Calcard turns decoded base64 into text wherever it is valid UTF-8.
        ICalendarValue::Text(text) if binary => {
            Value::Binary { media_type: media_type(), data: text.into_bytes() }
        }
        ICalendarValue::Text(text) => Value::Text(text),
        ICalendarValue::Uri(Uri::Location(text)) if attached && is_content(&text) => {
            Value::Binary { media_type: media_type(), data: text.into_bytes() }
        }
        ICalendarValue::Uri(Uri::Location(text)) => Value::Uri(text),
        ICalendarValue::Uri(Uri::Data(data)) => Value::Binary {
            media_type: data.content_type.map(|kind| kind.to_ascii_lowercase()).or_else(media_type),
            data: data.data,
        },
        ICalendarValue::Binary(data) => Value::Binary { media_type: media_type(), data },
        ICalendarValue::PartialDateTime(date) => Value::Other(time::written(&date)),
        other => Value::Other(other.into_text().map_or_else(String::new, Cow::into_owned)),
    }
}

/// True for inline content that came without VALUE=BINARY (vCalendar 1.0) and was decoded:
/// no URI has line breaks or tags.
fn is_content(text: &str) -> bool {
    text.contains(['\n', '<'])
}

/// The address of a `mailto:` URI or a bare address, in lower case.
pub(super) fn address(value: &str) -> Option<String> {
    if let Some(plain) = plain_address(value) {
        return Some(plain.to_ascii_lowercase());
    }
    let value = value.trim().trim_matches(['<', '>']);
    let rest = match value.split_once(':') {
        Some((scheme, rest)) if scheme.trim().eq_ignore_ascii_case("mailto") => rest,
        Some(_) => return None,
        None => value,
    };
    let rest = rest.split('?').next().unwrap_or_default().trim().trim_matches(['<', '>']);
    let decoded = percent_decoded(rest);
    let address = decoded.trim();
    let address =
        if address.is_ascii() { address.to_ascii_lowercase() } else { address.to_lowercase() };
    let (local, domain) = address.rsplit_once('@')?;
    let usable = !local.is_empty()
        && !domain.is_empty()
        && !address.bytes().any(|byte| byte <= b' ' || byte == 0x7f);
    usable.then_some(address)
}

/// The address of `mailto:` and plain characters, which nearly all are: nothing to decode.
fn plain_address(value: &str) -> Option<&str> {
    let scheme = value.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("mailto:"))?;
    let rest = value.get(scheme.len()..)?;
    let mut at = None;
    for (index, byte) in rest.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'+' => {}
            b'@' if at.is_none() => at = Some(index),
            _ => return None,
        }
    }
    at.filter(|at| *at > 0 && at + 1 < rest.len()).map(|_| rest)
}

fn percent_decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes();
    while let Some((first, rest)) = bytes.split_first() {
        bytes = rest;
        if *first == b'%'
            && let (Some(high), Some(low)) = (digit(rest.first()), digit(rest.get(1)))
            && let Ok(byte) = u8::try_from(high * 16 + low)
        {
            decoded.push(byte);
            bytes = rest.get(2..).unwrap_or_default();
        } else {
            decoded.push(*first);
        }
    }
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}

/// Reads ORGANIZER, ATTENDEE or CALENDAR-ADDRESS.
pub(super) fn party(property: &Property) -> Party {
    let value = property.text().unwrap_or_default().to_owned();
    let mut party = Party { address: address(&value), value, ..Party::default() };
    for (name, text) in &property.parameters {
        let slot = match name.as_ref() {
            "CN" => &mut party.name,
            "DIR" => &mut party.directory,
            "PARTSTAT" => &mut party.status,
            "ROLE" => &mut party.role,
            "CUTYPE" => &mut party.user_type,
            "EMAIL" => &mut party.email,
            "SENT-BY" => &mut party.sent_by,
            _ => continue,
        };
        if slot.is_some() {
            continue;
        }
        *slot = Some(match name.as_ref() {
            "CN" => text.trim().to_owned(),
            "DIR" => text.clone(),
            "EMAIL" | "SENT-BY" => address(text).unwrap_or_else(|| text.trim().to_lowercase()),
            _ => text.to_ascii_uppercase(),
        });
    }
    if party.address.is_none() {
        party.address = party.email.as_deref().and_then(address);
    }
    party
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: Option<&str>) {
        assert_eq!(address(value).as_deref(), expected, "{value}");
    }

    #[test]
    fn addresses() {
        check("mailto:Ann@Example.com", Some("ann@example.com"));
        check("MAILTO: ann@example.com ", Some("ann@example.com"));
        check("ann@example.com", Some("ann@example.com"));
        check("mailto:<ann@example.com>", Some("ann@example.com"));
        check("mailto:ann%40example.com?subject=x", Some("ann@example.com"));
        check("mailto:ann%", None);
        check("invalid:nomail", None);
        check("urn:uuid:1@2", None);
        check("mailto:nobody", None);
        check("", None);
    }

    #[test]
    fn carets() {
        let check = |text: &str, expected: &str| assert_eq!(decode(text.to_owned()), expected);
        check("a^nb^^c^'d", "a\nb^c\"d");
        check("^x^", "^x^");
        check("plain", "plain");
    }
}
