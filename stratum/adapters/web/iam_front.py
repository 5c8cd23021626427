"""IAM and STS at `POST /`: forms, signed for the service they are meant for.

Which of the two a request is for stands in the scope of its signature, as with Amazon; the action
must be one of that service. IAM has no regions, so clients sign for any, or none at all: the region
of the scope is taken as it is.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from stratum.adapters.s3.condition_keys import Circumstances, condition_keys
from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.iam_query import (
    FORM_LENGTH_MAX_BYTES,
    parse_form,
    render_refusal,
    render_result,
)
from stratum.adapters.s3.request import RequestHead
from stratum.adapters.s3.signature import signatures_equal
from stratum.adapters.s3.sigv4 import authenticate
from stratum.adapters.web.body import Body
from stratum.adapters.web.messages import S3Response
from stratum.app.identities import Identities
from stratum.domain.errors import StratumError
from stratum.domain.principal import Principal
from stratum.domain.wildcards import Context

FORM_TYPE = "application/x-www-form-urlencoded"
SERVICES = ("iam", "sts")

_SCOPE = re.compile(r"Credential=[^,]*/([^/,]*)/(iam|sts)/aws4_request").search

log = logging.getLogger("stratum.iam")

Fields = Mapping[str, str]
Result = Mapping[str, object] | None


@dataclass(frozen=True)
class Call:
    """One action somebody asks for."""

    action: str
    fields: Fields
    who: Principal
    keys: Context


Action = Callable[[Call], Awaitable[Result]]


def is_api_call(head: RequestHead) -> bool:
    """Whether a request is for IAM or STS and not for S3."""
    content_type = head.headers.get("content-type", "")
    return (
        head.method == "POST"
        and head.raw_path == b"/"
        and content_type.partition(";")[0].strip().lower() == FORM_TYPE
    )


class IamFront:
    """Authenticates a form and carries out its action; `actions` by service."""

    def __init__(self, identities: Identities, actions: Mapping[str, Mapping[str, Action]]) -> None:
        self._identities = identities
        self._actions = actions

    async def answer(
        self, request_id: str, head: RequestHead, body: Body, around: Circumstances
    ) -> S3Response:
        scope = _SCOPE(head.headers.get("authorization", ""))
        region, service = (scope[1], scope[2]) if scope else ("", SERVICES[0])
        try:
            form = await _read(body)
            now_s = around.now_ms // 1000
            who = self._authenticate((region, service), head, form, now_s)
            fields = parse_form(form)
            action = fields.get("Action", "")
            act = self._actions[service].get(action)
            if act is None:
                raise S3Error(
                    "InvalidAction", f"Could not find operation {action[:80]} of {service}"
                )
            call = Call(action, fields, who, condition_keys(head, {}, who, around))
            answer = render_result(service, action, await act(call), request_id)
        except Exception as error:
            if not isinstance(error, S3Error | StratumError):
                log.error("request %s failed", request_id, exc_info=error)
            refusal = render_refusal(service, error, request_id)
            return S3Response(refusal.status, {"content-type": "text/xml"}, refusal.body)
        return S3Response(200, {"content-type": "text/xml"}, answer)

    def _authenticate(
        self, scope: tuple[str, str], head: RequestHead, form: bytes, now_s: int
    ) -> Principal:
        digest = hashlib.sha256(form).hexdigest()
        signed = authenticate(
            head,
            now_s,
            self._identities.secret_for,
            scope[0],
            session_secret=self._identities.session_secret,
            service=scope[1],
            body_sha256=digest,
        )
        if signed is None:
            raise S3Error("AccessDenied", "The request must be signed")
        if not signatures_equal(digest, signed.payload_sha256 or ""):
            raise S3Error("SignatureDoesNotMatch")
        return self._identities.principal_of(signed.access_key_id, signed.session_token)


async def _read(body: Body) -> bytes:
    received = bytearray()
    while piece := await body.piece():
        received += piece
        if len(received) > FORM_LENGTH_MAX_BYTES:
            raise S3Error("MaxMessageLengthExceeded")
    return bytes(received)
