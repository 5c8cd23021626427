"""What S3 handlers take and return: small values of ours, known to no framework."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from stratum.adapters.s3.request import RequestHead
from stratum.adapters.s3.routing import Target
from stratum.adapters.s3.sigv4 import Authentication
from stratum.adapters.web.body import Body
from stratum.adapters.web.guard import Asked, Guard
from stratum.domain.attributes import VersionAttributes
from stratum.domain.errors import InvalidArgument
from stratum.domain.names import BucketName, Caller, ObjectKey
from stratum.domain.notification import ObjectChange
from stratum.domain.volume import ObjectVersion
from stratum.ports import Buffer


@dataclass(frozen=True)
class S3Request:
    """An authenticated request. What `stack` holds is released when the answer has been sent."""

    id: str
    head: RequestHead
    target: Target
    asked: Asked
    guard: Guard
    authentication: Authentication
    body: Body
    stack: AsyncExitStack
    found: ObjectVersion | None = None
    """The version the request is about, if authorising it took a look; no longer true after the
    first checkpoint."""

    @property
    def caller(self) -> Caller:
        """The account that asks: it owns what the request makes."""
        return self.asked.who.account

    def new_attributes(self) -> VersionAttributes:
        """Owner and ACL of the object that this request writes."""
        return self.guard.new_attributes(self.asked)

    def authorize(
        self,
        action: str,
        bucket: BucketName,
        key: ObjectKey | None = None,
        version_id: str | None = None,
    ) -> None:
        """Ask for more than the operation as such needs; see `Guard.require`."""
        self.guard.require(self.asked, action, bucket, key, version_id)

    @property
    def bucket(self) -> BucketName:
        assert self.target.bucket is not None, "the operation is one on a bucket"
        return self.target.bucket

    @property
    def key(self) -> ObjectKey:
        assert self.target.key is not None, "the operation is one on an object"
        return self.target.key

    @property
    def version_id(self) -> str | None:
        """The version the request names, None for the current one. Raises InvalidArgument."""
        version_id = self.query.get("versionId")
        if version_id == "":
            raise InvalidArgument("Version id cannot be the empty string", "versionId", "")
        return version_id

    @property
    def query(self) -> dict[str, str]:
        return self.target.query


@dataclass(frozen=True)
class S3Response:
    """An answer. With `pieces`, `headers` carry their total length as content-length."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    pieces: AsyncIterator[Buffer] | None = None
    error_code: str = ""
    changes: tuple[ObjectChange, ...] = ()
    """What it changed, where the request does not say it: several objects, or one of a form."""


def xml(document: bytes, headers: dict[str, str] | None = None) -> S3Response:
    """A 200 with an XML document."""
    return S3Response(200, {"content-type": "application/xml", **(headers or {})}, document)
