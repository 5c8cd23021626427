"""What a request leaves behind besides its answer: notifications, and a line in an access log."""

from __future__ import annotations

from dataclasses import dataclass, replace

from stratum.adapters.s3.access_log_line import AccessLogEntry, log_line
from stratum.adapters.s3.condition_keys import Circumstances
from stratum.adapters.s3.operations import Operation
from stratum.adapters.s3.request import RequestHead
from stratum.adapters.s3.routing import Target
from stratum.adapters.web.cors_handlers import cross_origin
from stratum.adapters.web.messages import S3Response
from stratum.app.buckets import Buckets
from stratum.app.deliveries import Deliveries
from stratum.app.objects import Objects
from stratum.domain.catalog import Bucket
from stratum.domain.errors import StratumError
from stratum.domain.names import BucketName, ObjectKey
from stratum.domain.notification import Cause, EventName, ObjectChange
from stratum.domain.principal import Principal
from stratum.domain.request_payment import REQUESTER, Payer

CREATING = {
    Operation.PUT_OBJECT: EventName.PUT,
    Operation.POST_OBJECT: EventName.POST,
    Operation.COPY_OBJECT: EventName.COPY,
    Operation.COMPLETE_MULTIPART_UPLOAD: EventName.COMPLETE,
}
CHANGING = {
    Operation.PUT_OBJECT_TAGGING: EventName.TAGGING_PUT,
    Operation.DELETE_OBJECT_TAGGING: EventName.TAGGING_DELETE,
    Operation.PUT_OBJECT_ACL: EventName.ACL_PUT,
}


@dataclass
class Served:
    """One request and how it was answered. `who` None: nobody known."""

    request_id: str
    head: RequestHead
    around: Circumstances
    target: Target | None = None
    who: Principal | None = None
    response: S3Response = S3Response(500)  # noqa: RUF009  (a frozen value)

    @property
    def bucket(self) -> BucketName | None:
        return self.target.bucket if self.target else None

    @property
    def requester(self) -> str:
        """As logs and notifications name who asked; empty for nobody known."""
        return (self.who.arn or self.who.account.id) if self.who else ""


class Aftermath:
    def __init__(self, buckets: Buckets, objects: Objects, deliveries: Deliveries) -> None:
        self._buckets = buckets
        self._objects = objects
        self._notifications = deliveries.notifications
        self._access_logs = deliveries.access_logs

    def answered(self, served: Served) -> S3Response:
        """The handler is done: the answer with what goes with every answer; whoever wants to hear
        of what was changed is told."""
        bucket = self._buckets.find(served.bucket) if served.bucket else None
        if bucket is None:
            return served.response
        settings, response = bucket.settings, served.response
        if settings.notification is not None and 200 <= response.status < 400:
            caller = served.requester or "Anonymous"
            cause = Cause(served.request_id, caller, served.around.source_ip)
            changes = response.changes or self._changes(served)
            self._notifications.notify(changes, cause)
        if settings.request_payment is Payer.REQUESTER and _is_charged(served, bucket):
            headers = {**response.headers, "x-amz-request-charged": REQUESTER}
            response = replace(response, headers=headers)
        if settings.cors is not None:
            response = cross_origin(settings.cors, served.head, response)
        served.response = response
        return response

    def sent(self, served: Served, took_ms: int) -> None:
        """The answer is out: note it in the access log of its bucket."""
        if served.target is None or served.bucket is None:
            return
        file = self._access_logs.file_for(served.bucket, served.around.now_ms)
        if file is not None:
            entry = _entry(served, served.target, file.owner_id, took_ms)
            self._access_logs.add(file, log_line(entry).encode())

    def _changes(self, served: Served) -> tuple[ObjectChange, ...]:
        """What an operation on one object did, from its answer and what is stored now."""
        target, response = served.target, served.response
        if target is None or target.bucket is None:
            return ()
        key, version_id = target.key, response.headers.get("x-amz-version-id")
        if key is None:
            return ()
        if target.operation is Operation.DELETE_OBJECT:
            is_marker = "x-amz-delete-marker" in response.headers
            made = is_marker and "versionId" not in target.query
            event = EventName.DELETE_MARKER if made else EventName.DELETE
            return (ObjectChange(event, target.bucket, key, version_id),)
        event_name = CREATING.get(target.operation) or CHANGING.get(target.operation)
        if event_name is None:
            return ()
        return (self.describe(event_name, target.bucket, key, version_id),)

    def describe(
        self, event: EventName, bucket: BucketName, key: ObjectKey, version_id: str | None
    ) -> ObjectChange:
        """A change to an object that is there, with what is known of it."""
        try:
            version = self._objects.head(bucket, key, version_id=version_id)
        except StratumError:  # somebody deleted it meanwhile
            return ObjectChange(event, bucket, key, version_id)
        return ObjectChange(event, bucket, key, version_id, version.size_bytes, version.etag)


def _is_charged(served: Served, bucket: Bucket) -> bool:
    """Whether it was a success for somebody else than the owner."""
    who = served.who
    return served.response.status < 400 and who is not None and who.account.id != bucket.owner.id


def _entry(served: Served, target: Target, owner_id: str, took_ms: int) -> AccessLogEntry:
    head, response = served.head, served.response
    path, query = head.raw_path.decode("latin-1"), head.raw_query.decode("latin-1")
    by_header = "authorization" in head.headers
    return AccessLogEntry(
        bucket_owner=owner_id,
        bucket=target.bucket or "",
        at_ms=served.around.now_ms,
        source_ip=served.around.source_ip,
        requester=served.requester,
        request_id=served.request_id,
        method=head.method,
        operation=target.operation,
        key=target.key or "",
        target=f"{path}?{query}" if query else path,
        status=response.status,
        error_code=response.error_code,
        sent_bytes=0 if head.method == "HEAD" else _length(response),
        object_size_bytes=_object_size(head, target, response),
        total_ms=took_ms,
        referrer=head.headers.get("referer", ""),
        user_agent=head.headers.get("user-agent", ""),
        version_id=target.query.get("versionId", ""),
        authentication=("" if served.who is None else "AuthHeader" if by_header else "QueryString"),
        host=head.headers.get("host", ""),
    )


def _length(response: S3Response) -> int:
    text = response.headers.get("content-length", "")
    return int(text) if text.isdecimal() else len(response.body)


def _object_size(head: RequestHead, target: Target, response: S3Response) -> int | None:
    if target.operation in (Operation.GET_OBJECT, Operation.HEAD_OBJECT):
        text = response.headers.get("content-range", "").rpartition("/")[2]
        return int(text) if text.isdecimal() else _length(response)
    if target.operation in (Operation.PUT_OBJECT, Operation.UPLOAD_PART):
        headers = head.headers
        text = headers.get("x-amz-decoded-content-length") or headers.get("content-length", "")
        return int(text) if text.isdecimal() else None
    return None
