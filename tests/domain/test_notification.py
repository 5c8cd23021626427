from dataclasses import replace

import pytest

from stratum.domain.errors import InvalidArgument
from stratum.domain.notification import (
    TARGETS_MAX,
    EventName,
    NotificationConfiguration,
    NotificationTarget,
    TargetKind,
    check_notification,
    targets_for,
)

ARN = "arn:stratum:sqs:us-east-1:orders:webhook"
TARGET = NotificationTarget("a", TargetKind.QUEUE, ARN, ("s3:ObjectCreated:*",), "in/", ".jpg")


def configuration(*targets):
    return NotificationConfiguration(targets)


@pytest.mark.parametrize(
    ("event", "key", "told"),
    [
        (EventName.PUT, "in/a.jpg", True),
        (EventName.COMPLETE, "in/a.jpg", True),
        (EventName.DELETE, "in/a.jpg", False),
        (EventName.PUT, "out/a.jpg", False),
        (EventName.PUT, "in/a.png", False),
    ],
)
def test_who_is_told(event, key, told):
    assert bool(targets_for(configuration(TARGET), event, key)) == told


def test_an_event_may_be_named_alone():
    only_puts = replace(TARGET, events=("s3:ObjectCreated:Put",))
    assert targets_for(configuration(only_puts), EventName.PUT, "in/a.jpg") == (only_puts,)
    assert not targets_for(configuration(only_puts), EventName.COPY, "in/a.jpg")


@pytest.mark.parametrize(
    "targets",
    [
        [replace(TARGET, events=("s3:ObjectEaten:*",))],
        [replace(TARGET, events=("s3:*",))],
        [replace(TARGET, arn="arn:aws:sqs:us-east-1:1:unknown")],
        [replace(TARGET, prefix="x" * 1025)],
        [TARGET, replace(TARGET, events=("s3:ObjectRemoved:*",))],
        [TARGET, replace(TARGET, id="b")],
        [TARGET, replace(TARGET, id="b", prefix="in/a/", events=("s3:ObjectCreated:Put",))],
        [
            replace(TARGET, id=str(number), prefix=f"{number}/")
            for number in range(10_000, 10_001 + TARGETS_MAX)
        ],
    ],
    ids=["event", "all", "arn", "long", "id", "twice", "overlap", "many"],
)
def test_what_is_refused(targets):
    with pytest.raises(InvalidArgument):
        check_notification(configuration(*targets), {ARN})


def test_what_is_not():
    check_notification(
        configuration(
            TARGET,
            replace(TARGET, id="b", suffix=".png"),
            replace(TARGET, id="c", events=("s3:ObjectRemoved:*", "s3:Replication:*")),
        ),
        {ARN},
    )
