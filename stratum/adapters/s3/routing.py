"""Which operation a request is, on which bucket and key.

The path is split at the first `/` while still encoded and each half decoded exactly once, so
`//`, `.`, `..`, `+`, a trailing `/` and `%2F` are bytes of the key and nothing is normalised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.operations import (
    BUCKET,
    BUCKET_SUBRESOURCES,
    OBJECT,
    OBJECT_SUBRESOURCES,
    SERVICE,
    WITH_COPY_SOURCE,
    WITHOUT_PARAMETER,
    Methods,
    Operation,
)
from stratum.adapters.s3.request import RequestHead, decode_path_segment, parse_query
from stratum.domain.names import BucketName, ObjectKey, bucket_name, object_key

WRITE_GET_OBJECT_RESPONSE_PATH = b"/WriteGetObjectResponse"


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is about. `key` is None for operations on buckets, `bucket` for ListBuckets.

    `query` holds the decoded parameters, of repeated ones the first.
    """

    operation: Operation
    bucket: BucketName | None
    key: ObjectKey | None
    query: dict[str, str]


def resolve(head: RequestHead, domains: Sequence[str] = ()) -> Target:
    """Find the operation; `domains` are served virtual-host style (`BUCKET.DOMAIN`) as well.

    Raises S3Error (InvalidURI, InvalidArgument, MethodNotAllowed) and, of the domain,
    InvalidBucketName, InvalidKey and KeyTooLong.
    """
    if not head.raw_path.startswith(b"/"):
        raise S3Error("InvalidURI")
    query = parse_query(head.raw_query)
    if head.method == "POST" and head.raw_path == WRITE_GET_OBJECT_RESPONSE_PATH:
        return Target(Operation.WRITE_GET_OBJECT_RESPONSE, None, None, query)
    raw_key = head.raw_path[1:]
    from_host = bucket_of_host(head.headers.get("host", ""), domains) if domains else None
    if from_host is None:
        raw_bucket, slash, raw_key = raw_key.partition(b"/")
        if slash and not raw_bucket:
            raise S3Error("InvalidURI")
        from_host = decode_path_segment(raw_bucket)
    bucket = bucket_name(from_host) if from_host else None
    key = object_key(decode_path_segment(raw_key)) if raw_key else None
    return Target(_operation(head, bucket, key, query), bucket, key, query)


def bucket_of_host(host: str, domains: Sequence[str]) -> str | None:
    """The bucket in front of one of our domains in a Host header; None for path style."""
    name = _without_port(host.lower())
    for domain in domains:
        suffix = "." + _without_port(domain.lower())
        if name.endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return None


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


def _operation(
    head: RequestHead, bucket: BucketName | None, key: ObjectKey | None, query: dict[str, str]
) -> Operation:
    method = head.method
    if method == "OPTIONS":
        return Operation.PREFLIGHT_REQUEST
    if bucket is None:
        return _lookup(SERVICE, method, "SERVICE")
    if key is None:
        operation = _of_resource(BUCKET, BUCKET_SUBRESOURCES, method, query, "BUCKET")
        if operation is Operation.LIST_OBJECTS and query.get("list-type") == "2":
            return Operation.LIST_OBJECTS_V2
    else:
        operation = _of_resource(OBJECT, OBJECT_SUBRESOURCES, method, query, "OBJECT")
        if method == "PUT" and ("partNumber" in query) != ("uploadId" in query):
            raise S3Error("InvalidArgument", "partNumber and uploadId belong together")
        if "x-amz-copy-source" in head.headers:
            operation = WITH_COPY_SOURCE.get(operation, operation)
    parameter, instead = WITHOUT_PARAMETER.get(operation, ("", operation))
    return operation if parameter in query else instead


def _of_resource(
    plain: Methods, subresources: dict[str, Methods], method: str, query: dict[str, str], kind: str
) -> Operation:
    named = [name for name in query if name in subresources]
    if not named:
        return _lookup(plain, method, kind)
    if len(named) > 1:
        conflicting = ", ".join(sorted(named))
        raise S3Error(
            "InvalidArgument",
            f"Conflicting query string parameters: {conflicting}",
            fields={"ArgumentName": "ResourceType", "ArgumentValue": named[0]},
        )
    return _lookup(subresources[named[0]], method, named[0].upper())


def _lookup(methods: Methods, method: str, kind: str) -> Operation:
    operation = methods.get(method)
    if operation is None:
        raise S3Error(
            "MethodNotAllowed",
            fields={"Method": method[:20], "ResourceType": kind},
            headers={"allow": ", ".join(sorted(methods))},
        )
    return operation
