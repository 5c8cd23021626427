"""Buckets read as web sites, and buckets whose requesters pay."""

import http.client
import json

import pytest

from tests.support.refusals import refused
from tests.support.server import running_server

DOMAIN = "site.example"


@pytest.fixture(scope="module")
def site_server(module_folder):
    settings = {"STRATUM_WEBSITE_DOMAINS": DOMAIN}
    with running_server(module_folder / "data", settings) as running:
        yield running
        assert "Traceback" not in running.log(), running.log()


@pytest.fixture(scope="module")
def owner(site_server):
    with site_server.client() as client:
        yield client


def visit(server, host, path, method="GET", **headers):
    with server.connection() as connection:
        connection.request(method, path, headers={"Host": f"{host}.{DOMAIN}", **headers})
        response = connection.getresponse()
        answered = {name.lower(): value for name, value in response.getheaders()}
        return response.status, answered, response.read()


def readable_by_all(owner, bucket):
    statements = [
        {"Effect": "Allow", "Principal": "*", "Action": action, "Resource": resource}
        for action, resource in (
            ("s3:GetObject", f"arn:aws:s3:::{bucket}/*"),
            ("s3:ListBucket", f"arn:aws:s3:::{bucket}"),
        )
    ]
    policy = {"Version": "2012-10-17", "Statement": statements}
    owner.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))


@pytest.fixture(scope="module")
def site(owner):
    bucket = "my-site"
    owner.create_bucket(Bucket=bucket)
    readable_by_all(owner, bucket)
    rules = [
        {
            "Condition": {"KeyPrefixEquals": "old/"},
            "Redirect": {"ReplaceKeyPrefixWith": "new/", "HttpRedirectCode": "302"},
        },
        {
            "Condition": {"KeyPrefixEquals": "gone/", "HttpErrorCodeReturnedEquals": "404"},
            "Redirect": {"HostName": "archive.example", "Protocol": "https"},
        },
    ]
    owner.put_bucket_website(
        Bucket=bucket,
        WebsiteConfiguration={
            "IndexDocument": {"Suffix": "index.html"},
            "ErrorDocument": {"Key": "oops.html"},
            "RoutingRules": rules,
        },
    )
    for key, body in {"index.html": "home", "docs/index.html": "docs", "oops.html": "oops"}.items():
        owner.put_object(Bucket=bucket, Key=key, Body=body.encode(), ContentType="text/html")
    owner.put_object(Bucket=bucket, Key="moved", Body=b"", WebsiteRedirectLocation="/docs/")
    assert owner.get_bucket_website(Bucket=bucket)["RoutingRules"] == rules
    return bucket


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/", 200, b"home"),
        ("/?utm=1&versionId=x", 200, b"home"),
        ("/docs/", 200, b"docs"),
        ("/docs/index.html", 200, b"docs"),
        ("/missing", 404, b"oops"),
    ],
)
def test_pages(site_server, site, path, status, body):
    answered, headers, content = visit(site_server, site, path)
    assert (answered, content) == (status, body)
    assert headers["content-type"] == "text/html"
    answered, headers, content = visit(site_server, site, path, "HEAD")
    assert (answered, content, headers["content-length"]) == (status, b"", str(len(body)))


@pytest.mark.parametrize(
    ("path", "status", "location"),
    [
        ("/docs", 302, "/docs/"),
        ("/moved", 301, "/docs/"),
        ("/old/a%20b", 302, "/new/a%20b"),
        ("/gone/x", 301, "https://archive.example/gone/x"),
    ],
)
def test_redirects(site_server, site, path, status, location):
    answered, headers, _ = visit(site_server, site, path)
    assert (answered, headers["location"]) == (status, location)


def test_a_site_is_only_read(site_server, site):
    for method in ("PUT", "POST", "DELETE"):
        status, headers, body = visit(site_server, site, "/index.html", method)
        assert (status, headers["allow"]) == (405, "GET, HEAD")
        assert headers["content-type"].startswith("text/html")
        assert b"MethodNotAllowed" in body


def test_conditions_hold_for_pages(site_server, owner, site):
    etag = owner.head_object(Bucket=site, Key="index.html")["ETag"]
    status, _, body = visit(site_server, site, "/", **{"If-None-Match": etag})
    assert (status, body) == (304, b"")
    status, _, body = visit(site_server, site, "/", Range="bytes=1-2")
    assert (status, body) == (206, b"om")


def test_what_is_private_or_no_site_stays_so(site_server, owner):
    owner.create_bucket(Bucket="no-site")
    status, _, body = visit(site_server, "no-site", "/")
    assert (status, b"NoSuchWebsiteConfiguration" in body) == (404, True)
    owner.put_bucket_website(
        Bucket="no-site", WebsiteConfiguration={"IndexDocument": {"Suffix": "i"}}
    )
    owner.put_object(Bucket="no-site", Key="i", Body=b"secret")
    status, _, body = visit(site_server, "no-site", "/")
    assert (status, b"secret" in body) == (403, False)
    assert visit(site_server, "no-such-bucket", "/")[0] == http.client.NOT_FOUND
    owner.delete_bucket_website(Bucket="no-site")
    with refused("NoSuchWebsiteConfiguration", 404):
        owner.get_bucket_website(Bucket="no-site")


def test_a_site_that_moved(site_server, owner):
    owner.create_bucket(Bucket="old-site")
    owner.put_bucket_website(
        Bucket="old-site",
        WebsiteConfiguration={
            "RedirectAllRequestsTo": {"HostName": "new.example", "Protocol": "https"}
        },
    )
    status, headers, _ = visit(site_server, "old-site", "/a/b")
    assert (status, headers["location"]) == (301, "https://new.example/a/b")


def test_where_an_object_sends_is_not_copied(owner, site):
    owner.copy_object(Bucket=site, Key="copy", CopySource=f"{site}/moved")
    assert "WebsiteRedirectLocation" not in owner.head_object(Bucket=site, Key="copy")
    owner.copy_object(
        Bucket=site, Key="copy", CopySource=f"{site}/moved", WebsiteRedirectLocation="/else"
    )
    assert owner.head_object(Bucket=site, Key="copy")["WebsiteRedirectLocation"] == "/else"
    with refused("InvalidRedirectLocation", 400):
        owner.put_object(Bucket=site, Key="k", WebsiteRedirectLocation="elsewhere")


# -- request payment ----------------------------------------------------------------------------
def test_requesters_must_say_that_they_pay(site_server, owner):
    bucket = "paid-for"
    owner.create_bucket(Bucket=bucket)
    owner.put_object(Bucket=bucket, Key="k", Body=b"x")
    readable_by_all(owner, bucket)
    assert owner.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    assert site_server.request("GET", f"/{bucket}/k")[0] == http.client.OK
    owner.put_bucket_request_payment(
        Bucket=bucket, RequestPaymentConfiguration={"Payer": "Requester"}
    )
    assert owner.get_bucket_request_payment(Bucket=bucket)["Payer"] == "Requester"
    assert site_server.request("GET", f"/{bucket}/k")[0] == http.client.FORBIDDEN
    assert "RequestCharged" not in owner.get_object(Bucket=bucket, Key="k")
