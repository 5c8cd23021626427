"""Pages of other origins: configuration, preflight requests, actual requests."""

import pytest

from tests.support.refusals import refused

RULES = [
    {
        "ID": "app",
        "AllowedMethods": ["GET", "PUT"],
        "AllowedOrigins": ["https://app.example", "https://*.test.example"],
        "AllowedHeaders": ["x-amz-*", "Content-Type"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 600,
    },
    {"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]},
]
APP = "https://app.example"


@pytest.fixture
def shared(s3, bucket):
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": RULES})
    return bucket


def preflight(server, path, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    status, answered, _ = server.request("OPTIONS", path, headers=headers)
    found = {k: v for k, v in answered.items() if k.startswith("access-control")}
    return status, {name.removeprefix("access-control-"): value for name, value in found.items()}


def test_the_configuration_is_kept_until_deleted(s3, shared):
    assert s3.get_bucket_cors(Bucket=shared)["CORSRules"] == RULES
    s3.delete_bucket_cors(Bucket=shared)
    with refused("NoSuchCORSConfiguration", 404):
        s3.get_bucket_cors(Bucket=shared)
    with refused("InvalidRequest", 400):
        s3.put_bucket_cors(
            Bucket=shared,
            CORSConfiguration={
                "CORSRules": [{"AllowedMethods": ["PATCH"], "AllowedOrigins": ["*"]}]
            },
        )


def test_a_preflight_is_answered_without_credentials(server, shared):
    status, allowed = preflight(
        server,
        f"/{shared}/key?X-Amz-Signature=of-another-method",
        Origin=APP,
        Access_Control_Request_Method="PUT",
        Access_Control_Request_Headers="X-Amz-Date, content-type",
    )
    assert status == 200
    assert allowed == {
        "allow-origin": APP,
        "allow-methods": "GET, PUT",
        "allow-headers": "x-amz-date, content-type",
        "allow-credentials": "true",
        "expose-headers": "ETag",
        "max-age": "600",
    }
    status, allowed = preflight(
        server, f"/{shared}/key", Origin="https://b.example", Access_Control_Request_Method="GET"
    )
    assert (status, allowed) == (200, {"allow-origin": "*", "allow-methods": "GET"})


def test_preflights_that_are_refused(server, s3, shared, bucket):
    path = f"/{shared}/key"
    asked = {"Access_Control_Request_Method": "PUT"}
    assert preflight(server, path) == (400, {})
    assert preflight(server, path, Origin=APP) == (400, {})
    assert preflight(server, path, Origin="https://b.example", **asked) == (403, {})
    assert preflight(
        server, path, Origin=APP, Access_Control_Request_Headers="x-other", **asked
    ) == (403, {})
    s3.delete_bucket_cors(Bucket=shared)
    assert preflight(server, path, Origin=APP, **asked) == (403, {})
    assert preflight(server, "/no-such-bucket/k", Origin=APP, **asked) == (404, {})


def test_answers_to_other_origins_can_be_read(server, s3, shared):
    s3.put_object(Bucket=shared, Key="k", Body=b"x")
    for key, expected in (("k", 200), ("missing", 404)):
        path = f"/{shared}/{key}"
        headers = server.signed("GET", path, headers={"origin": APP})
        status, answered, _ = server.request("GET", path, headers=headers)
        assert status == expected
        assert answered["access-control-allow-origin"] == APP
        assert "Origin" in answered["vary"]
    status, answered, _ = server.request("DELETE", f"/{shared}/k", headers={"origin": APP})
    assert status == 403
    assert "access-control-allow-origin" not in answered
