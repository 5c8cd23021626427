"""Files that browsers post to a bucket, with a policy signed in advance."""

import http.client
import time
from urllib.parse import urlsplit

import pytest
from botocore.config import Config

from tests.support.forms import content_type, encode_form, signed_v2, signed_v4
from tests.support.payloads import payload

MIB = 1 << 20


def post(server, bucket, fields, file=b"hello", filename="photo.jpg", **headers):
    """Status, headers and body of a posted form."""
    body = encode_form(list(fields.items()), file, filename)
    return server.request("POST", f"/{bucket}", body, {"content-type": content_type(), **headers})


def conditions(bucket, *more):
    return [{"bucket": bucket}, ["starts-with", "$key", "user/"], *more]


def signed(server, wanted, sign=signed_v4, **more):
    return sign(wanted, server.access_key_id, server.secret_access_key, int(time.time()), **more)


@pytest.mark.parametrize("sign", [signed_v4, signed_v2])
def test_a_file_is_stored_with_what_the_form_says_of_it(server, s3, bucket, sign):
    more = [{"Content-Type": "image/jpeg"}, {"x-amz-meta-place": "Ü"}]
    fields = {
        "key": "user/${filename}",
        "Content-Type": "image/jpeg",
        "x-amz-meta-place": "Ü",
        **signed(server, conditions(bucket, *more), sign),
    }
    content = payload(3 * MIB)
    status, headers, body = post(server, bucket, fields, content, "C:\\\\x\\\\é.jpg")
    assert (status, body) == (204, b"")
    got = s3.get_object(Bucket=bucket, Key="user/é.jpg")
    assert got["Body"].read() == content
    assert got["ContentType"] == "image/jpeg"
    assert got["Metadata"] == {"place": "=?UTF-8?B?w5w=?="}
    assert got["ETag"] == headers["etag"]
    assert headers["location"] == f"{server.url}/{bucket}/user/%C3%A9.jpg"


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_what_boto3_signs_is_taken(server, s3, bucket, version):
    with server.client(config=Config(signature_version=version)) as client:
        made = client.generate_presigned_post(bucket, "user/a", ExpiresIn=60)
    status, _, _ = post(server, urlsplit(made["url"]).path.strip("/"), made["fields"])
    assert status == 204
    assert s3.get_object(Bucket=bucket, Key="user/a")["Body"].read() == b"hello"


def test_the_form_says_what_the_browser_hears(server, bucket):
    for status in ("200", "201", "404"):
        wish = {"success_action_status": status}
        fields = {"key": "user/a", **wish, **signed(server, conditions(bucket, wish))}
        answered, headers, body = post(server, bucket, fields)
        assert answered == {"200": 200, "201": 201}.get(status, 204)
        if status == "201":
            text = body.decode()
            assert f"<Bucket>{bucket}</Bucket><Key>user/a</Key>" in text
            assert headers["etag"].strip('"') in text


@pytest.mark.parametrize(
    ("url", "status", "location"),
    [
        ("https://a.example/done", 303, "https://a.example/done?bucket={}&key=user%2Fa&etag=%22"),
        ("https://a.example/?x=1", 303, "https://a.example/?x=1&bucket={}&key=user%2Fa&etag=%22"),
        ("javascript:alert(1)", 204, None),
        ("/relative", 204, None),
    ],
)
def test_the_browser_goes_on_elsewhere(server, bucket, url, status, location):
    wish = {"success_action_redirect": url}
    fields = {"key": "user/a", **wish, **signed(server, conditions(bucket, wish))}
    answered, headers, _ = post(server, bucket, fields)
    assert answered == status
    if location:
        assert headers["location"].startswith(location.format(bucket))


@pytest.mark.parametrize(
    ("changed", "file", "status", "code"),
    [
        ({"key": "other/a"}, b"hello", 403, "AccessDenied"),
        ({"acl": "public-read"}, b"hello", 403, "AccessDenied"),
        ({"key": "user/" + "k" * 1024}, b"hello", 400, "KeyTooLongError"),
        ({"x-amz-signature": "0" * 64}, b"hello", 403, "SignatureDoesNotMatch"),
        ({"policy": ""}, b"hello", 400, "InvalidArgument"),
        ({}, b"", 400, "EntityTooSmall"),
        ({}, b"x" * 11, 400, "EntityTooLarge"),
        ({}, b"x" * MIB, 400, "EntityTooLarge"),
        ({"x-amz-checksum-crc32": "AAAAAA=="}, b"hello", 400, "BadDigest"),
        ({}, None, 400, "IncorrectNumberOfFilesInPostRequest"),
        ({"x-amz-meta-evil": "a\r\nb"}, b"hello", 400, "InvalidArgument"),
    ],
)
def test_forms_that_are_refused_leave_nothing(server, s3, bucket, changed, file, status, code):
    wanted = conditions(
        bucket,
        ["content-length-range", 1, 10],
        *([["starts-with", "$x-amz-meta-evil", "a"]] * bool("x-amz-meta-evil" in changed)),
    )
    fields = {"key": "user/a", **signed(server, wanted), **changed}
    answered, _, body = post(server, bucket, fields, file)
    assert (answered, f"<Code>{code}</Code>" in body.decode()) == (status, True), body
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_without_key_policy_or_form(server, bucket):
    fields = signed(server, [{"bucket": bucket}])
    assert post(server, bucket, fields)[0] == 400
    assert post(server, bucket, {"key": "user/a"})[0] == 403
    assert server.request("POST", f"/{bucket}", b"x", {"content-type": "text/plain"})[0] == 412
    expired = signed(server, conditions(bucket), lasting_s=-1)
    assert post(server, bucket, {"key": "user/a", **expired})[0] == 403
    assert post(server, "no-such-bucket", {"key": "user/a"})[0] in (403, 404)


def test_a_checksum_in_the_form_is_verified_and_kept(server, s3, bucket):
    fields = {
        "key": "user/a",
        "x-amz-checksum-crc32c": "mnG7TA==",
        **signed(server, conditions(bucket)),
    }
    status, headers, body = post(server, bucket, fields)
    assert status == 204, body
    assert headers["x-amz-checksum-crc32c"] == "mnG7TA=="


def test_a_form_in_small_pieces_and_without_length(server, s3, bucket):
    """As a proxy may send it on."""
    fields = {"key": "user/a", **signed(server, conditions(bucket))}
    body = encode_form(list(fields.items()), payload(200_000))
    with server.connection() as connection:
        connection.request(
            "POST",
            f"/{bucket}",
            (body[at : at + 777] for at in range(0, len(body), 777)),
            {"content-type": content_type(), "transfer-encoding": "chunked"},
            encode_chunked=True,
        )
        assert connection.getresponse().status == http.client.NO_CONTENT
    assert s3.get_object(Bucket=bucket, Key="user/a")["Body"].read() == payload(200_000)
