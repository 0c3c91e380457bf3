"""Reads abuse reports (RFC 5965), one JSON object a line with the mail in `report`, and says what is
wrong with them. Knows nothing of the program that wrote them but Python's own mail parser."""

import email
import email.policy
import json
import sys

ONCE = {
    "feedback-type", "user-agent", "version", "original-envelope-id", "original-mail-from",
    "arrival-date", "received-date", "reporting-mta", "source-ip", "incidents",
}
MANY = {"authentication-results", "original-rcpt-to", "reported-domain", "reported-uri"}
TYPES = {"abuse", "fraud", "virus", "other", "not-spam"}


def problems(answer):
    octets = answer["report"].encode()
    if any(len(line) > 998 for line in octets.split(b"\r\n")):
        yield "a line is too long"
    if octets.replace(b"\r\n", b"").count(b"\n") or octets.replace(b"\r\n", b"").count(b"\r"):
        yield "a line end is half"
    if answer["redacted"] and not answer["report"].isascii():
        yield "not ASCII"
    mail = email.message_from_bytes(octets, policy=email.policy.default)
    if mail.get_content_type() != "multipart/report" or mail.get_param("report-type") != "feedback-report":
        yield f"it is {mail['content-type']}"
        return
    for name in ("From", "Subject", "Date", "Message-ID", "MIME-Version"):
        if len(mail.get_all(name, [])) != 1:
            yield f"{name}: {mail.get_all(name)}"
    parts = mail.get_payload()
    kinds = [part.get_content_type() for part in parts]
    if kinds[:2] != ["text/plain", "message/feedback-report"] or len(kinds) != 3:
        yield f"parts {kinds}"
        return
    if kinds[2] not in ("message/rfc822", "text/rfc822-headers"):
        yield f"the third part is {kinds[2]}"
    if mail.defects or any(part.defects for part in parts):
        yield f"defects {mail.defects} {[part.defects for part in parts]}"
    for part in parts[1:]:
        if part.get("Content-Transfer-Encoding", "7bit").lower() not in ("7bit", "8bit"):
            yield "an encoded message"
    fields = parts[1].get_payload(0)
    if fields.get_payload().strip():
        yield "the report has a body"
    names = [name.lower() for name in fields.keys()]
    for name in ("feedback-type", "user-agent", "version"):
        if name not in names:
            yield f"no {name}"
    for name in set(names):
        if name not in ONCE | MANY:
            yield f"the field {name} is unknown"
        if name in ONCE and names.count(name) > 1:
            yield f"{name} stands there {names.count(name)} times"
    if fields["Feedback-Type"] not in TYPES or fields["Feedback-Type"] != answer["type"]:
        yield f"type {fields['Feedback-Type']}"
    if str(fields["Version"]) != "1":
        yield f"version {fields['Version']}"
    if kinds[2] == "message/rfc822" and answer["redacted"]:
        inner = parts[2].get_payload(0)
        if not inner.get_payload():
            yield "the copy is empty"
        if inner.defects:
            yield f"defects of the copy {inner.defects}"


count, bad = 0, 0
for line in sys.stdin:
    count += 1
    for problem in problems(json.loads(line)):
        bad += 1
        print(f"report {count}: {problem}")
print(f"{count} reports, {bad} problems")
sys.exit(1 if bad or not count else 0)
