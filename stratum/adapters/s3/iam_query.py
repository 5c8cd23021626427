"""The query protocol of IAM and STS: a form in, XML out.

https://docs.aws.amazon.com/IAM/latest/UserGuide/programming.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from stratum.adapters.s3.errors import S3Error, translate
from stratum.adapters.s3.xml_text import escape

FORM_LENGTH_MAX_BYTES = 128 * 1024
FIELDS_MAX = 1000
NAMESPACES = {
    "iam": "https://iam.amazonaws.com/doc/2010-05-08/",
    "sts": "https://sts.amazonaws.com/doc/2011-06-15/",
}
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'

Content = str | Mapping[str, object] | Sequence[object]
"""A text, named elements in order, or the members of a list. None in a mapping is left out."""

_RENAMED = {
    "InvalidArgument": ("ValidationError", 400),
    "InvalidRequest": ("ValidationError", 400),
    "MalformedPolicy": ("MalformedPolicyDocument", 400),
    "InvalidAccessKeyId": ("InvalidClientTokenId", 403),
    "InvalidToken": ("InvalidClientTokenId", 403),
    "AuthorizationHeaderMalformed": ("IncompleteSignature", 400),
    "ConditionalRequestConflict": ("EntityAlreadyExists", 409),
}
"""Where IAM has another name than S3 for the same error."""


@dataclass(frozen=True)
class QueryAnswer:
    status: int
    body: bytes


@dataclass(frozen=True)
class Entries:
    """A map whose keys are data, in the form IAM gives it."""

    items: Mapping[str, object]


def parse_form(body: bytes) -> dict[str, str]:
    """The fields of a form; of repeated ones the first. Raises S3Error."""
    try:
        pairs = parse_qsl(
            body.decode("utf-8"), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict"
        )
    except ValueError:
        raise S3Error("InvalidArgument", "The form can't be read") from None
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields.setdefault(name, value)
    return fields


def render_result(
    service: str, action: str, result: Mapping[str, object] | None, request_id: str
) -> bytes:
    """`None`: an action that returns nothing."""
    inner = "" if result is None else f"<{action}Result>{_render(result)}</{action}Result>"
    return (
        f'{DECLARATION}<{action}Response xmlns="{NAMESPACES[service]}">{inner}'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
        f"</{action}Response>"
    ).encode()


def render_refusal(service: str, error: Exception, request_id: str) -> QueryAnswer:
    """Any exception, by the table of all errors and IAM's own names."""
    wire = translate(error)
    code, status = _RENAMED.get(wire.code, (wire.code, wire.status))
    kind = "Receiver" if status >= 500 else "Sender"
    body = (
        f'{DECLARATION}<ErrorResponse xmlns="{NAMESPACES[service]}"><Error><Type>{kind}</Type>'
        f"<Code>{code}</Code><Message>{escape(wire.message)}</Message></Error>"
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    )
    return QueryAnswer(status, body.encode())


def _render(content: object) -> str:
    if isinstance(content, Mapping):
        return "".join(
            f"<{name}>{_render(value)}</{name}>"
            for name, value in content.items()
            if value is not None
        )
    if isinstance(content, Entries):
        return "".join(
            f"<entry><key>{escape(name)}</key><value>{_render(value)}</value></entry>"
            for name, value in content.items.items()
        )
    if isinstance(content, bool):
        return "true" if content else "false"
    if isinstance(content, str | int):
        return escape(str(content))
    assert isinstance(content, Sequence)
    return "".join(f"<member>{_render(each)}</member>" for each in content)
