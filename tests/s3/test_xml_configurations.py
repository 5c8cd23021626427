"""Documents that configure a bucket: website, logging, notification, request payment."""

import pytest

from stratum.adapters.s3.errors import translate
from stratum.adapters.s3.xml_logging import (
    parse_logging,
    parse_request_payment,
    render_logging,
    render_request_payment,
)
from stratum.adapters.s3.xml_notification import parse_notification, render_notification
from stratum.adapters.s3.xml_website import parse_website, render_website
from stratum.domain.bucket_logging import LoggingConfiguration, PartitionSource
from stratum.domain.names import BucketName
from stratum.domain.notification import NotificationConfiguration, NotificationTarget, TargetKind
from stratum.domain.request_payment import Payer
from stratum.domain.website import RoutingRule, WebsiteConfiguration, WebsiteRedirect


def code(parse, document):
    with pytest.raises(Exception) as error:
        parse(document.encode())
    return translate(error.value).code


# -- website ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "website",
    [
        WebsiteConfiguration("index.html"),
        WebsiteConfiguration(redirect_all=WebsiteRedirect("a.example", "https")),
        WebsiteConfiguration(
            "index.html",
            "errors/<404>.html",
            (
                RoutingRule(WebsiteRedirect("h", "https", 307, replace_prefix="b/"), "a/", 404),
                RoutingRule(WebsiteRedirect(replace_key="k")),
            ),
        ),
    ],
)
def test_a_website_that_was_put_is_got(website):
    assert parse_website(render_website(website)) == website


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", "InvalidArgument"),
        ("<IndexDocument/>", "InvalidArgument"),
        ("<IndexDocument><Suffix>a/b</Suffix></IndexDocument>", "InvalidArgument"),
        ("<IndexDocument><Key>a</Key></IndexDocument>", "MalformedXML"),
        ("<RedirectAllRequestsTo/>", "MalformedXML"),
        ("<RoutingRules><RoutingRule/></RoutingRules>", "MalformedXML"),
        (
            "<IndexDocument><Suffix>a</Suffix></IndexDocument><RoutingRules><RoutingRule><Condition/>"
            "<Redirect><HostName>h</HostName></Redirect></RoutingRule></RoutingRules>",
            "MalformedXML",
        ),
    ],
)
def test_websites_that_are_refused(content, error):
    document = f"<WebsiteConfiguration>{content}</WebsiteConfiguration>"
    assert code(parse_website, document) == error


# -- notification -------------------------------------------------------------------------------
def test_notifications_that_were_put_are_got():
    configuration = NotificationConfiguration(
        (
            NotificationTarget("a", TargetKind.QUEUE, "arn:q", ("s3:ObjectCreated:*",), "in/", "&"),
            NotificationTarget("b", TargetKind.TOPIC, "arn:t", ("s3:ObjectRemoved:Delete",)),
        )
    )
    document = render_notification(configuration)
    assert parse_notification(document, lambda: "made") == configuration
    nameless = document.replace(b"<Id>b</Id>", b"")
    assert parse_notification(nameless, lambda: "made").targets[1].id == "made"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("<EventBridgeConfiguration/>", "NotImplemented"),
        ("<QueueConfiguration/>", "MalformedXML"),
        ("<QueueConfiguration><Queue>arn</Queue></QueueConfiguration>", "MalformedXML"),
        ("<OtherConfiguration/>", "MalformedXML"),
        (
            "<QueueConfiguration><Queue>arn</Queue><Event>e</Event><Filter><S3Key><FilterRule>"
            "<Name>infix</Name><Value>a</Value></FilterRule></S3Key></Filter></QueueConfiguration>",
            "InvalidArgument",
        ),
    ],
)
def test_notifications_that_are_refused(content, error):
    document = f"<NotificationConfiguration>{content}</NotificationConfiguration>"
    assert code(lambda body: parse_notification(body, str), document) == error


# -- logging and payment ------------------------------------------------------------------------
@pytest.mark.parametrize(
    "configuration",
    [
        None,
        LoggingConfiguration(BucketName("logs"), ""),
        LoggingConfiguration(BucketName("logs"), "a/", PartitionSource.EVENT_TIME),
    ],
)
def test_logging_that_was_put_is_got(configuration):
    assert parse_logging(render_logging(configuration)) == configuration


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("<TargetPrefix/>", "MalformedXML"),
        ("<TargetBucket>logs</TargetBucket>", "MalformedXML"),
        ("<TargetBucket>L</TargetBucket><TargetPrefix/>", "InvalidBucketName"),
        (
            "<TargetBucket>logs</TargetBucket><TargetPrefix/><TargetGrants><Grant/></TargetGrants>",
            "NotImplemented",
        ),
        (
            "<TargetBucket>logs</TargetBucket><TargetPrefix/><TargetObjectKeyFormat/>",
            "MalformedXML",
        ),
        (
            f"<TargetBucket>logs</TargetBucket><TargetPrefix>{'x' * 801}</TargetPrefix>",
            "InvalidArgument",
        ),
    ],
)
def test_logging_that_is_refused(content, error):
    document = (
        f"<BucketLoggingStatus><LoggingEnabled>{content}</LoggingEnabled></BucketLoggingStatus>"
    )
    assert code(parse_logging, document) == error


def test_who_pays():
    assert parse_request_payment(render_request_payment(Payer.REQUESTER)) is Payer.REQUESTER
    assert parse_request_payment(render_request_payment(None)) is Payer.BUCKET_OWNER
    nobody = "<RequestPaymentConfiguration><Payer>Nobody</Payer></RequestPaymentConfiguration>"
    assert code(parse_request_payment, nobody) == "MalformedXML"
