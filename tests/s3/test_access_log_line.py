import itertools
from dataclasses import replace

import pytest

from stratum.adapters.s3.access_log_line import (
    AccessLogEntry,
    log_line,
    log_object_key,
    operation_name,
)
from stratum.adapters.s3.operations import Operation
from stratum.domain.bucket_logging import DAY_MS, LogFile, LoggingConfiguration, PartitionSource
from stratum.domain.names import BucketName

ENTRY = AccessLogEntry(
    bucket_owner="79a5",
    bucket="photos",
    at_ms=1_549_414_838_000,
    source_ip="192.0.2.3",
    requester="arn:aws:iam::1:user/a",
    request_id="3E57427F3EXAMPLE",
    method="GET",
    operation=Operation.GET_OBJECT,
    key="a b/é",
    target="/photos/a%20b/%C3%A9?x=1",
    status=200,
    error_code="",
    sent_bytes=113,
    object_size_bytes=113,
    total_ms=7,
    referrer="",
    user_agent='curl "7"\n',
    version_id="",
    authentication="AuthHeader",
    host="s3.example",
)


def test_a_line_has_the_fields_of_amazons_format():
    assert log_line(ENTRY) == (
        "79a5 photos [06/Feb/2019:01:00:38 +0000] 192.0.2.3 arn:aws:iam::1:user/a 3E57427F3EXAMPLE"
        ' REST.GET.OBJECT a%20b/%C3%A9 "GET /photos/a%20b/%C3%A9?x=1 HTTP/1.1" 200 - 113 113 7 7 -'
        ' "curl %227%22%0A" - - SigV4 - AuthHeader s3.example - - -\n'
    )


def test_what_is_not_known_is_a_dash():
    anonymous = replace(
        ENTRY,
        requester="",
        key="",
        sent_bytes=0,
        object_size_bytes=None,
        authentication="",
        host="",
        error_code="AccessDenied",
        status=403,
    )
    line = log_line(anonymous)
    assert " REST.GET.OBJECT - " in line
    assert " 403 AccessDenied - - 7 7 " in line
    assert line.count("\n") == 1
    assert len(line.split('"')) == 5


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        (Operation.LIST_OBJECTS_V2, "BUCKET"),
        (Operation.PUT_BUCKET_CORS, "CORS"),
        (Operation.GET_BUCKET_ACL, "ACL"),
        (Operation.GET_OBJECT_TAGGING, "OBJECT_TAGGING"),
        (Operation.DELETE_OBJECTS, "MULTI_OBJECT_DELETE"),
        (Operation.PUT_BUCKET_LOGGING, "LOGGING_STATUS"),
        (Operation.GET_PUBLIC_ACCESS_BLOCK, "PUBLIC_ACCESS_BLOCK"),
    ],
)
def test_names_of_operations(operation, name):
    assert operation_name(operation) == name


def test_every_operation_has_a_name_without_blanks():
    for operation in Operation:
        assert operation_name(operation).replace("_", "").isalnum()


@pytest.mark.parametrize(
    ("partition", "day", "key"),
    [
        (None, None, "p/2019-02-06-01-00-38-{}"),
        (PartitionSource.DELIVERY_TIME, None, "p/me/r/photos/2019/02/06/2019-02-06-01-00-38-{}"),
        (PartitionSource.EVENT_TIME, 17_932, "p/me/r/photos/2019/02/05/2019-02-05-00-00-00-{}"),
    ],
)
def test_names_of_log_objects(partition, day, key):
    configuration = LoggingConfiguration(BucketName("logs"), "p/", partition)
    file = LogFile(BucketName("photos"), "me", configuration, day)
    numbers = itertools.count()
    found = [
        log_object_key(file, ENTRY.at_ms, region="r", new_id=lambda: f"{next(numbers):032x}")
        for _ in range(2)
    ]
    assert found == [key.format("0" * 16), key.format("0" * 15 + "1")]
    assert day is None or day * DAY_MS < ENTRY.at_ms
