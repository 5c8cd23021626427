import ast
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import stratum.adapters.s3
from stratum.adapters.s3.error_codes import CODES, MEANINGS, RETRY_AFTER_S
from stratum.adapters.s3.errors import S3Error, credentials_required, render_error, translate
from stratum.domain import errors


def classes():
    return [
        value
        for value in vars(errors).values()
        if isinstance(value, type)
        and issubclass(value, errors.StratumError)
        and value is not errors.StratumError
    ]


def make(kind):
    match kind:
        case errors.PreconditionFailed:
            return kind("If-Match")
        case errors.InvalidStorageClass | errors.InvalidObjectState:
            return kind("details", "GLACIER")
        case errors.NotModified:
            return kind("abc", 784111777000)
        case errors.DeleteMarkerNamed:
            return kind("abc", 784111777000)
        case errors.InvalidRange:
            return kind(10, "bytes=10-")
        case errors.InvalidStorageClass | errors.InvalidObjectState:
            return kind("details", "GLACIER")
        case _:
            return kind("details")


def render(error, **kwargs):
    return render_error(error, resource="/bucket/key", request_id="4442587FB7D0A2F9", **kwargs)


def elements(response):
    root = ET.fromstring(response.body)
    assert root.tag == "Error"
    return {child.tag: child.text or "" for child in root}


def test_the_table_is_total():
    assert set(MEANINGS) == set(classes())
    assert set(MEANINGS.values()) | set(RETRY_AFTER_S) <= set(CODES)


def test_every_code_that_is_raised_is_in_the_table():
    raised = set()
    for path in Path(stratum.adapters.s3.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "S3Error":
                for constant in ast.walk(node.args[0]):
                    if isinstance(constant, ast.Constant):
                        raised.add(constant.value)
    assert len(raised) > 10
    assert raised <= set(CODES)


@pytest.mark.parametrize("code", sorted(CODES))
def test_codes_have_sensible_statuses_and_messages(code):
    status, message = CODES[code]
    assert status == 304 or 400 <= status <= 507
    assert message
    assert re.fullmatch(r"(KMS\.)?[A-Za-z0-9]+", code)


@pytest.mark.parametrize("kind", classes(), ids=lambda kind: kind.__name__)
def test_every_error_has_an_answer(kind):
    response = render(make(kind))
    assert response.status == CODES[response.code][0]
    if response.status == 304:
        assert response.body == b""
        return
    assert response.headers["content-type"] == "application/xml"
    found = elements(response)
    assert found["Code"] == response.code
    assert found["Message"]
    assert found["Resource"] == "/bucket/key"
    assert found["RequestId"] == "4442587FB7D0A2F9"
    assert "HostId" in found


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.InsufficientShards, "ServiceUnavailable"),
        (errors.InsufficientDisks, "ServiceUnavailable"),
        (errors.RemoteFailed, "ServiceUnavailable"),
        (errors.Unavailable, "SlowDown"),
    ],
)
def test_what_is_unavailable_may_be_tried_again(kind, code):
    response = render(kind("disk3 at /mnt/secret is gone"))
    assert (response.status, response.code) == (503, code)
    assert int(response.headers["retry-after"]) > 0
    assert b"secret" not in response.body


def test_a_stranger_is_an_internal_error_and_tells_nothing():
    response = render(ZeroDivisionError("secret"))
    assert (response.status, response.code) == (500, "InternalError")
    assert b"secret" not in response.body


def test_details_amazon_gives():
    found = elements(render(errors.InvalidArgument("no", "max-keys", "blah")))
    assert (found["ArgumentName"], found["ArgumentValue"]) == ("max-keys", "blah")
    found = elements(render(errors.PreconditionFailed("If-Match")))
    assert found["Condition"] == "If-Match"
    response = render(errors.InvalidRange(10, "bytes=10-"))
    assert elements(response)["ActualObjectSize"] == "10"
    assert response.headers["content-range"] == "bytes */10"
    assert elements(render(errors.NoSuchKey(""), key="a&b"))["Key"] == "a&b"
    assert elements(render(errors.NoSuchBucket(""), bucket="b"))["BucketName"] == "b"
    assert elements(render(errors.NoSuchKey("")))["Message"] == CODES["NoSuchKey"][1]


def test_304_keeps_its_validators():
    response = render(errors.NotModified("abc", 784111777999))
    assert response.headers == {
        "etag": '"abc"',
        "last-modified": "Sun, 06 Nov 1994 08:49:37 GMT",
    }


def test_the_wires_own_errors():
    error = S3Error("AccessDenied", "why", fields={"Extra": "<&>"}, headers={"x": "y"})
    response = render(error)
    assert (response.status, response.headers["x"]) == (403, "y")
    assert elements(response)["Extra"] == "<&>"
    assert translate(error) is error
    assert credentials_required().status == 401
    with pytest.raises(KeyError):
        S3Error("NoSuchCode")


def test_answers_are_well_formed_whatever_they_quote():
    nasty = "\0\x1b]]><!--\ud800\uffff\r\n\U0001f600"
    response = render(S3Error("InvalidArgument", nasty), key=nasty)
    assert elements(response)["Message"].endswith("\r\n\U0001f600")
    assert b"<!--" not in response.body
