"""What boto3 would send, without a network: requests are caught after they were signed."""

import io

import boto3
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from stratum.adapters.s3.request import RequestHead, headers_from_raw


class _Nothing(io.BytesIO):
    def stream(self, *_args, **_kwargs):
        return iter(())


class CapturingClient:
    """A boto3 client whose requests end up in `head` and `body`, answered with an empty 200."""

    def __init__(self, access_key_id, secret, region, endpoint, **config):
        self.head = None
        self.body = b""
        self.client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id=access_key_id,
            aws_secret_access_key=secret,
            region_name=region,
            config=Config(s3={"addressing_style": "path"}, **config),
        )
        self.client.meta.events.register("before-send.s3", self._catch)

    def _catch(self, request, **_kwargs):
        self.head = head_of(request.method, request.url, request.headers.items())
        body = request.body if request.body is not None else b""
        self.body = body.read() if hasattr(body, "read") else bytes(body)
        return AWSResponse(request.url, 200, {}, _Nothing())


def head_of(method, url, headers=()):
    """The request head for a URL with path and query exactly as they are in it."""
    authority, slash, target = url.partition("://")[2].partition("/")
    path, _, query = (slash + target).partition("?")
    raw = [(name.encode(), _bytes(value)) for name, value in headers]
    if "host" not in {name.lower() for name, _ in raw}:
        raw.append((b"host", authority.encode()))
    return RequestHead(
        method, path.encode() or b"/", query.encode(), headers_from_raw(dict(raw).items())
    )


def _bytes(value):
    return value if isinstance(value, bytes) else str(value).encode("latin-1")
