"""Forms: a browser posts a file to a bucket, and goes where the form says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from stratum.adapters.s3.encryption_headers import refuse_customer_keys
from stratum.adapters.s3.form_data import FormReader, boundary_of
from stratum.adapters.s3.operations import Operation
from stratum.adapters.s3.post_headers import (
    expanded,
    headers_of_fields,
    missing_key,
    object_url,
    render_post_response,
    success_redirect,
    success_status,
)
from stratum.adapters.s3.post_policy import SIZE_MAX_BYTES, check_policy, parse_policy
from stratum.adapters.s3.post_signature import (
    SESSION_FIELD,
    FormSecrets,
    authenticate_form,
    policy_document,
)
from stratum.adapters.s3.request import RequestHead
from stratum.adapters.s3.routing import Target
from stratum.adapters.web.body import Body
from stratum.adapters.web.messages import S3Request, S3Response
from stratum.adapters.web.object_handlers import ObjectHandlers
from stratum.domain.errors import EntityTooLarge, EntityTooSmall, PreconditionFailed
from stratum.domain.names import object_key
from stratum.domain.notification import EventName, ObjectChange
from stratum.domain.principal import ANONYMOUS, Principal
from stratum.ports import NowMs

ENCLOSURE_TYPE = "Bucket POST must be of the enclosure-type multipart/form-data"


class FormFile(Body):
    """The file of a form, as the body of the PUT it stands for. Its size in bytes must be within
    `limits`, which the form's policy sets once its fields have been read."""

    def __init__(self, body: Body, reader: FormReader) -> None:
        self._body = body
        self._reader = reader
        self._pieces: list[bytes] = []
        self.size_bytes = 0
        self._rest = memoryview(b"")
        self.limits = (0, SIZE_MAX_BYTES)

    async def open(self) -> None:
        """Read up to the file: all fields are there then. Raises S3Error."""
        while not self._reader.has_file:
            await self._pull()

    async def piece(self) -> memoryview:
        """The next bytes of the file. Raises EntityTooLarge; EntityTooSmall at its end."""
        while not self._pieces:
            if self._reader.complete:
                if self.size_bytes < self.limits[0]:
                    raise EntityTooSmall(
                        "Your proposed upload is smaller than the minimum allowed size"
                    )
                return memoryview(b"")
            await self._pull()
        piece = self._pieces.pop(0)
        self.size_bytes += len(piece)
        if self.size_bytes > self.limits[1]:
            raise EntityTooLarge("Your proposed upload exceeds the maximum allowed size")
        return memoryview(piece)

    async def _pull(self) -> None:
        raw = await self._body.piece()
        if not raw:
            self._reader.finish()
        self._pieces += self._reader.receive_data(raw)


@dataclass(frozen=True)
class FormSigners:
    """Who may have signed a form, and when a policy has ended."""

    secrets: FormSecrets
    principal_of: Callable[[str, str], Principal]
    """By access key id and session token, empty without one."""
    region: str
    now_ms: NowMs


class PostHandlers:
    def __init__(self, objects: ObjectHandlers, signers: FormSigners) -> None:
        self._objects = objects
        self._signers = signers

    async def post(self, request: S3Request) -> S3Response:
        """Store the file of a form. Who asks stands in the form."""
        signers = self._signers
        boundary = boundary_of(request.head.headers.get("content-type", ""))
        if boundary is None:
            raise PreconditionFailed(ENCLOSURE_TYPE)
        reader = FormReader(boundary)
        file = FormFile(request.body, reader)
        await file.open()
        fields = expanded(reader.fields, reader.filename)
        access_key_id = authenticate_form(fields, signers.secrets, signers.region)
        who = ANONYMOUS
        if access_key_id is not None:
            who = signers.principal_of(access_key_id, fields.get(SESSION_FIELD, ""))
        # Whoever signs signs a policy; a form of nobody needs none.
        if access_key_id is not None or "policy" in fields:
            policy = parse_policy(policy_document(fields))
            check_policy(policy, fields, request.bucket, signers.now_ms())
            file.limits = (policy.size_min_bytes, policy.size_max_bytes)
        if not fields.get("key"):
            raise missing_key()
        key = object_key(fields["key"])
        head = RequestHead(
            "PUT",
            request.head.raw_path,
            b"",
            # Its length is not known before its end.
            {**headers_of_fields(fields), "transfer-encoding": "chunked"},
            request.head.is_private,
        )
        if not head.is_private:
            refuse_customer_keys(head.headers)
        target = Target(Operation.PUT_OBJECT, request.bucket, key, {})
        asked = replace(request.asked, who=who, head=head, target=target)
        request.guard.admit(asked)
        put = replace(request, head=head, target=target, asked=asked, body=file)
        stored = await self._objects.put(put)
        etag = stored.headers["etag"].strip('"')
        version_id = stored.headers.get("x-amz-version-id")
        change = ObjectChange(
            EventName.POST, request.bucket, key, version_id, file.size_bytes, etag
        )
        return replace(_answer(request, fields, key, stored), changes=(change,))


def _answer(request: S3Request, fields: dict[str, str], key: str, stored: S3Response) -> S3Response:
    etag = stored.headers["etag"].strip('"')
    redirect = success_redirect(fields, request.bucket, key, etag)
    if redirect is not None:
        return replace(stored, status=303, headers={**stored.headers, "location": redirect})
    path = request.head.raw_path.decode("latin-1").rstrip("/")
    location = object_url(f"http://{request.head.headers.get('host', '')}{path}", key)
    headers = {**stored.headers, "location": location}
    status = success_status(fields)
    if status != 201:
        return replace(stored, status=status, headers=headers)
    body = render_post_response(location, request.bucket, key, etag)
    return S3Response(status, {**headers, "content-type": "application/xml"}, body)
