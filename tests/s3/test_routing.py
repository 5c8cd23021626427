from functools import cache

import botocore.session
import pytest

from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.operations import (
    BUCKET,
    BUCKET_SUBRESOURCES,
    OBJECT,
    OBJECT_SUBRESOURCES,
    SERVICE,
    UNREACHABLE,
    WITH_COPY_SOURCE,
    WITHOUT_PARAMETER,
    Operation,
)
from stratum.adapters.s3.request import RequestHead
from stratum.adapters.s3.routing import bucket_of_host, resolve
from stratum.domain.errors import InvalidBucketName, KeyTooLong

DEPRECATED = {
    "GetBucketLifecycle",
    "GetBucketNotification",
    "PutBucketLifecycle",
    "PutBucketNotification",
}


def ask(method, path, query="", domains=(), **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = path if isinstance(path, bytes) else path.encode()
    return resolve(RequestHead(method, raw, query.encode(), named), domains)


def refused(method, path, query="", **headers):
    with pytest.raises(S3Error) as error:
        ask(method, path, query, **headers)
    return error.value


@cache
def amazons_model():
    return botocore.session.get_session().get_service_model("s3")


def test_every_operation_of_amazons_sdk_is_known():
    assert set(amazons_model().operation_names) - DEPRECATED <= {o.value for o in Operation}


def test_every_operation_can_be_asked_for():
    tables = [SERVICE, BUCKET, OBJECT, *BUCKET_SUBRESOURCES.values(), *OBJECT_SUBRESOURCES.values()]
    reachable = {operation for table in tables for operation in table.values()}
    reachable |= {operation for _, operation in WITHOUT_PARAMETER.values()}
    reachable |= set(WITH_COPY_SOURCE.values())
    reachable |= {
        Operation.LIST_OBJECTS_V2,
        Operation.PREFLIGHT_REQUEST,
        Operation.WRITE_GET_OBJECT_RESPONSE,
    }
    assert reachable | UNREACHABLE == set(Operation)


@pytest.mark.parametrize("name", sorted(set(amazons_model().operation_names) - DEPRECATED))
def test_requests_as_amazons_sdk_makes_them(name):
    model = amazons_model().operation_model(name)
    uri = model.http["requestUri"].replace("{Bucket}", "bucket").replace("{Key+}", "key")
    path, _, query = uri.partition("?")
    headers = {}
    for member, shape in model.input_shape.members.items() if model.input_shape else ():
        if member not in model.input_shape.required_members:
            continue
        where = shape.serialization
        if where.get("location") == "querystring":
            query += f"&{where['name']}=1"
        elif where.get("location") == "header":
            headers[where["name"].lower().replace("-", "_")] = "bucket/source"
    if name in {o.value for o in UNREACHABLE}:
        return
    target = ask(model.http["method"], path, query, **headers)
    assert target.operation == name
    assert target.bucket == ("bucket" if "{Bucket}" in model.http["requestUri"] else None)
    assert target.key == ("key" if "{Key+}" in model.http["requestUri"] else None)


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        (b"/bucket/a", "a"),
        (b"/bucket//", "/"),
        (b"/bucket//a", "/a"),
        (b"/bucket/a//b", "a//b"),
        (b"/bucket/a/", "a/"),
        (b"/bucket/a%2Fb", "a/b"),
        (b"/bucket/%2F", "/"),
        (b"/bucket/.", "."),
        (b"/bucket/..", ".."),
        (b"/bucket/../../etc/passwd", "../../etc/passwd"),
        (b"/bucket/a+b", "a+b"),
        (b"/bucket/a%2Bb%20c", "a+b c"),
        (b"/bucket/%252F", "%2F"),
        (b"/bucket/%C3%A9", "é"),
        ("/bucket/é".encode(), "é"),
        (b"/bucket/a;b=c&d:@!$'()*,", "a;b=c&d:@!$'()*,"),
        (b"/bucket/%00%0a", "\0\n"),
        (b"/bucket/~-_.", "~-_."),
        (b"/bucket/a%3Facl", "a?acl"),
    ],
)
def test_keys_are_decoded_once_and_not_normalised(raw, key):
    target = ask("GET", raw)
    assert (target.operation, target.bucket, target.key) == (Operation.GET_OBJECT, "bucket", key)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"*",
        b"bucket/key",
        b"//",
        b"//key",
        b"/bucket/%FF",
        b"/bucket/\xff",
        b"/bucket/%ED%A0%80",
        b"/bucket/%zz",
        b"/bucket/%",
        b"/bucket/%4",
    ],
)
def test_paths_that_name_nothing(raw):
    assert refused("GET", raw).code == "InvalidURI"


@pytest.mark.parametrize("query", ["prefix=%FF", "prefix=%zz", "%C3=1"])
def test_queries_that_are_not_text(query):
    assert refused("GET", "/bucket", query).code == "InvalidURI"


def test_names_are_checked():
    for path in ("/_stratum/health", "/AB/key", "/a", "/192.168.0.1/x"):
        with pytest.raises(InvalidBucketName):
            ask("GET", path)
    with pytest.raises(KeyTooLong):
        ask("PUT", "/bucket/" + "%C3%A9" * 513)
    assert len(ask("PUT", "/bucket/" + "k" * 1024).key) == 1024


def test_the_query_is_decoded_and_the_first_value_counts():
    target = ask("GET", "/bucket", "prefix=a%2Fb+c&prefix=x&&list-type=2&empty&delimiter==")
    assert target.query == {"prefix": "a/b c", "list-type": "2", "empty": "", "delimiter": "="}
    assert target.operation is Operation.LIST_OBJECTS_V2


@pytest.mark.parametrize(
    ("method", "path", "query", "operation"),
    [
        ("GET", "/", "", "ListBuckets"),
        ("GET", "/", "x-id=ListBuckets", "ListBuckets"),
        ("GET", "/bucket", "", "ListObjects"),
        ("GET", "/bucket/", "", "ListObjects"),
        ("GET", "/bucket", "list-type=1", "ListObjects"),
        ("HEAD", "/bucket", "", "HeadBucket"),
        ("POST", "/bucket", "", "PostObject"),
        ("POST", "/bucket", "delete", "DeleteObjects"),
        ("POST", "/bucket", "delete=", "DeleteObjects"),
        ("GET", "/bucket", "metrics&id=x", "GetBucketMetricsConfiguration"),
        ("GET", "/bucket", "metrics", "ListBucketMetricsConfigurations"),
        ("GET", "/bucket/key", "versionId=null", "GetObject"),
        ("GET", "/bucket/key", "partNumber=1", "GetObject"),
        ("GET", "/bucket/key", "website", "GetObject"),
        ("GET", "/bucket", "attributes", "ListObjects"),
        ("PUT", "/bucket/key", "x-id=PutObject", "PutObject"),
        ("PUT", "/bucket/key", "partNumber=1&uploadId=u", "UploadPart"),
        ("GET", "/bucket/key", "uploadId=u", "ListParts"),
        ("POST", "/bucket/key", "uploadId=u", "CompleteMultipartUpload"),
        ("DELETE", "/bucket/key", "uploadId=u", "AbortMultipartUpload"),
        ("POST", "/bucket/key", "uploads", "CreateMultipartUpload"),
        ("POST", "/bucket/key", "select&select-type=2", "SelectObjectContent"),
        ("OPTIONS", "/bucket/key", "", "PreflightRequest"),
        ("OPTIONS", "/bucket", "", "PreflightRequest"),
        ("POST", "/WriteGetObjectResponse", "", "WriteGetObjectResponse"),
    ],
)
def test_what_decides_the_operation(method, path, query, operation):
    assert ask(method, path, query).operation == operation


def test_a_copy_source_makes_a_put_a_copy():
    source = {"x_amz_copy_source": "bucket/other"}
    assert ask("PUT", "/bucket/key", **source).operation is Operation.COPY_OBJECT
    part = ask("PUT", "/bucket/key", "partNumber=1&uploadId=u", **source)
    assert part.operation is Operation.UPLOAD_PART_COPY
    assert ask("PUT", "/bucket/key", "acl", **source).operation is Operation.PUT_OBJECT_ACL


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [
        ("POST", "/", ""),
        ("PUT", "/", ""),
        ("HEAD", "/", ""),
        ("PATCH", "/bucket", ""),
        ("POST", "/bucket/key", ""),
        ("POST", "/bucket", "acl"),
        ("GET", "/bucket", "delete"),
        ("DELETE", "/bucket/key", "acl"),
        ("HEAD", "/bucket/key", "acl"),
        ("GET", "/bucket/key", "uploads"),
        ("BREW", "/bucket/key", ""),
    ],
)
def test_methods_a_resource_does_not_have(method, path, query):
    error = refused(method, path, query)
    assert (error.code, error.status) == ("MethodNotAllowed", 405)
    assert error.headers["allow"]


@pytest.mark.parametrize(
    ("method", "query"),
    [
        ("GET", "acl&tagging"),
        ("PUT", "uploadId=u&acl"),
        ("PUT", "uploadId=u"),
        ("PUT", "partNumber=1"),
    ],
)
def test_parameters_that_do_not_go_together(method, query):
    assert refused(method, "/bucket/key", query).code == "InvalidArgument"


@pytest.mark.parametrize(
    ("host", "bucket"),
    [
        ("bucket.s3.example.com", "bucket"),
        ("bucket.s3.example.com:9000", "bucket"),
        ("BUCKET.S3.Example.Com", "bucket"),
        ("my.dotted.bucket.s3.example.com", "my.dotted.bucket"),
        ("bucket.localhost:9000", "bucket"),
        ("s3.example.com", None),
        ("s3.example.com:9000", None),
        (".s3.example.com", None),
        ("evil-s3.example.com", None),
        ("other.org", None),
        ("127.0.0.1:9000", None),
        ("[::1]:9000", None),
        ("", None),
    ],
)
def test_buckets_in_the_host_name(host, bucket):
    assert bucket_of_host(host, ["s3.example.com", "localhost:9000"]) == bucket


def test_virtual_host_style():
    domains = ["s3.example.com"]
    host = {"host": "bucket.s3.example.com:9000"}
    target = ask("GET", "/a//b", domains=domains, **host)
    assert (target.bucket, target.key) == ("bucket", "a//b")
    target = ask("GET", "//a", domains=domains, **host)
    assert (target.bucket, target.key) == ("bucket", "/a")
    assert ask("GET", "/", domains=domains, **host).operation is Operation.LIST_OBJECTS
    target = ask("GET", "/bucket/key", domains=domains, host="s3.example.com")
    assert (target.bucket, target.key) == ("bucket", "key")
    assert ask("GET", "/bucket/key", **host).bucket == "bucket"
