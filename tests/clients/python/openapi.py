"""What Schemathesis has to know of the service beyond its description.

Loaded by `schemathesis` through SCHEMATHESIS_HOOKS.
"""

import schemathesis
from hypothesis import strategies as st

# A file in place of the body, or a body that is not what its compression says, is refused before
# anything is scanned. Most requests must not be.
EARLY = {"compression", "content-encoding", "file", "path", "shm", "shm-offset", "shm-length"}


def one_in(count: int, text: str) -> bool:
    """A choice that is the same for the same request."""
    return sum(text.encode("utf-8", "surrogatepass")) % count == 0


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Fields that are not described are mistakes here; clients must pass over them."""

    def close(value):
        if isinstance(value, dict):
            if value.get("type") == "object" and "required" in value:
                value.setdefault("additionalProperties", False)
            for inner in value.values():
                close(inner)
        elif isinstance(value, list):
            for inner in value:
                close(inner)

    close(raw_schema["components"]["schemas"])


def early(case):
    return {name for name in case.headers or {} if name.lower() in EARLY}


@schemathesis.hook
def before_call(context, case, **kwargs):
    if not one_in(8, "".join(map(str, case.headers.values()))):
        for name in early(case):
            del case.headers[name]


@schemathesis.check
def whatever_is_sent_is_scanned(context, response, case):
    """Broken input is no error: there is no status for it."""
    tags = case.operation.definition.raw.get("tags", [])
    # Of two parts not everything can be taken apart.
    if "scan" not in tags or case.path == "/checkv3" or case.method != "POST":
        return
    if not early(case):
        assert response.status_code == 200, f"{response.status_code} for a scan"


def line(name):
    return st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=200).map(
        lambda value: f"{name}:{value}\r\n"
    )


NAMES = [
    "SUMMARY", "DESCRIPTION", "LOCATION", "URL", "ORGANIZER", "ORGANIZER;CN=\"a\"",
    "ATTENDEE", "UID", "DTSTART", "DTSTART;TZID=Europe/Berlin", "DTEND", "DURATION", "RRULE",
    "RDATE", "EXDATE", "RECURRENCE-ID", "SEQUENCE", "ATTACH", "ATTACH;ENCODING=BASE64;VALUE=BINARY",
    "BEGIN", "END", "TRIGGER", "X-ALT-DESC;FMTTYPE=text/html", "METHOD", "CONFERENCE",
]
SOUND = [
    "SUMMARY:Lunch\r\n", "URL:https://www.sender.example/a?b=c\r\n", "RRULE:FREQ=DAILY\r\n",
    "DTSTART:20261121T100000Z\r\n", "DTEND:20261121T110000Z\r\n", "BEGIN:VALARM\r\n",
    "END:VALARM\r\n", "UID:u0@sender.example\r\n", "ORGANIZER:mailto:ann@sender.example\r\n",
    "RRULE:FREQ=SECONDLY;COUNT=999999999\r\n", "DTSTART;VALUE=DATE:99991231\r\n",
]
LINES = st.lists(
    st.one_of(st.sampled_from(SOUND), st.sampled_from(NAMES).flatmap(line)), max_size=20
).map("".join)
CALENDARS = LINES.map(
    lambda lines: "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\n"
    f"{lines}END:VEVENT\r\nEND:VCALENDAR\r\n"
)
FIELDS = st.lists(
    st.sampled_from(["From", "To", "Subject", "Message-ID", "Received", "Date", "List-Id"]).flatmap(line),
    max_size=6,
).map("".join)
MAILS = st.tuples(FIELDS, CALENDARS).map(
    lambda parts: f"{parts[0]}MIME-Version: 1.0\r\nContent-Type: text/calendar; method=REQUEST\r\n"
    f"\r\n{parts[1]}"
)
BOOKS = st.lists(line("EMAIL"), max_size=10).map(
    lambda lines: "BEGIN:VCARD\r\n" + "".join(lines) + "END:VCARD\r\n"
)

for name, strategy in [
    ("message/rfc822", MAILS),
    ("text/calendar", CALENDARS),
    ("text/vcard", BOOKS),
]:
    schemathesis.openapi.media_type(name, strategy.map(str.encode))
