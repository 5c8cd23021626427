import pytest
import trio
import trio.testing

from stratum.app.notifications import ATTEMPTS_MAX, QUEUE_MAX, Notifications
from stratum.domain.errors import RemoteFailed
from stratum.domain.names import ObjectKey
from stratum.domain.notification import (
    Cause,
    EventName,
    NotificationConfiguration,
    NotificationTarget,
    ObjectChange,
    TargetKind,
)
from stratum.domain.settings import BucketSettings
from tests.support.store import Store
from tests.support.tiering_world import ALICE, BUCKET

GOOD, BAD = "arn:good", "arn:bad"
CAUSE = Cause("request", "alice", "127.0.0.1")


class Webhook:
    """Refuses the first `failures` messages."""

    def __init__(self, failures=0):
        self.failures = failures
        self.received = []
        self.times = []

    async def __call__(self, body):
        await trio.lowlevel.checkpoint()
        self.times.append(trio.current_time())
        if self.failures:
            self.failures -= 1
            raise RemoteFailed("not now")
        self.received.append(body)


def change(key="k", event=EventName.PUT):
    return ObjectChange(event, BUCKET, ObjectKey(key))


def target(arn, *events, prefix=""):
    return NotificationTarget(arn, TargetKind.QUEUE, arn, events or ("s3:ObjectCreated:*",), prefix)


async def notifications(webhooks, *targets):
    store = Store()
    await store.buckets.create(ALICE, BUCKET)
    configuration = NotificationConfiguration(targets)
    await store.buckets.configure(
        ALICE, BUCKET, "notification", BucketSettings(notification=configuration)
    )
    numbers = iter(range(10**6))
    return Notifications(
        store.journal,
        webhooks,
        lambda message: f"{message.change.event.value} {message.change.key}".encode(),
        lambda bucket, _cause, _now: f"test {bucket}".encode(),
        lambda: f"{next(numbers):032x}",
        store.now_ms,
    )


async def test_each_target_hears_what_it_asked_for(nursery, autojump_clock):
    one, other = Webhook(), Webhook()
    told = await notifications(
        {GOOD: one, BAD: other}, target(GOOD), target(BAD, "s3:ObjectRemoved:*", prefix="a/")
    )
    await nursery.start(told.run)
    told.notify(
        [change("x"), change("a/y", EventName.DELETE), change("z", EventName.DELETE)], CAUSE
    )
    await trio.testing.wait_all_tasks_blocked()
    assert one.received == [b"s3:ObjectCreated:Put x"]
    assert other.received == [b"s3:ObjectRemoved:Delete a/y"]
    nursery.cancel_scope.cancel()


async def test_a_target_that_is_down_is_tried_again_with_growing_pauses(nursery, autojump_clock):
    webhook = Webhook(failures=3)
    told = await notifications({GOOD: webhook}, target(GOOD))
    await nursery.start(told.run)
    told.notify([change()], CAUSE)
    await trio.sleep(60)
    assert len(webhook.received) == 1
    assert [round(b - a) for a, b in zip(webhook.times, webhook.times[1:], strict=False)] == [
        1,
        2,
        4,
    ]
    assert told.lost == 0
    nursery.cancel_scope.cancel()


async def test_a_message_is_given_up_and_the_next_one_goes_on(nursery, autojump_clock):
    webhook = Webhook(failures=ATTEMPTS_MAX)
    told = await notifications({GOOD: webhook}, target(GOOD))
    await nursery.start(told.run)
    told.notify([change("lost"), change("kept")], CAUSE)
    await trio.sleep(600)
    assert webhook.received == [b"s3:ObjectCreated:Put kept"]
    assert told.lost == 1
    nursery.cancel_scope.cancel()


async def test_a_full_queue_loses_what_is_new_and_holds_up_nobody_else(nursery, autojump_clock):
    stuck, good = Webhook(failures=10**9), Webhook()
    told = await notifications({BAD: stuck, GOOD: good}, target(BAD), target(GOOD))
    await nursery.start(told.run)
    for number in range(QUEUE_MAX + 10):
        told.notify([change(str(number))], CAUSE)
        await trio.testing.wait_all_tasks_blocked()
    assert len(good.received) == QUEUE_MAX + 10
    assert told.lost == 9  # one is being tried
    nursery.cancel_scope.cancel()


async def test_buckets_that_tell_nobody_cost_nothing():
    told = await notifications({GOOD: Webhook()})
    told.notify([change()], CAUSE)
    assert told.lost == 0


async def test_a_new_configuration_sends_one_test_per_target(nursery, autojump_clock):
    webhook = Webhook()
    told = await notifications({GOOD: webhook})
    await nursery.start(told.run)
    configuration = NotificationConfiguration((target(GOOD), target(GOOD, "s3:ObjectAcl:Put")))
    told.test(BUCKET, configuration, CAUSE)
    await trio.testing.wait_all_tasks_blocked()
    assert webhook.received == [f"test {BUCKET}".encode()]
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("arn", [GOOD, "arn:removed from the configuration"])
async def test_targets_that_are_gone(arn):
    told = await notifications({GOOD: Webhook()}, target(arn))
    told.notify([change()], CAUSE)
    assert told.lost == (arn != GOOD)
