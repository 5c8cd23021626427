"""Telling others what happened to objects: by webhook, with retries, never in a client's way.

A target is a webhook of the server's configuration; buckets name it by its ARN. Each has a queue of
its own, so a target that is down holds up nobody else. A queue is bounded, and in memory: what does
not fit, what no attempt delivers and what waits when the server stops is lost, counted and logged.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

import trio

from stratum.domain.bucket import require_bucket
from stratum.domain.catalog import Bucket
from stratum.domain.errors import StratumError
from stratum.domain.names import BucketName
from stratum.domain.notification import (
    Cause,
    Message,
    NotificationConfiguration,
    ObjectChange,
    targets_for,
)
from stratum.ports import Journal, NewId, NowMs

QUEUE_MAX = 1000
"""Messages waiting for one target."""
ATTEMPTS_MAX = 8
BACKOFF_FIRST_S = 1.0
BACKOFF_MAX_S = 60.0
"""Pauses double from the first to the last: about four minutes until a message is given up."""

LIFECYCLE = Cause("", "s3.amazonaws.com", "")
"""Amazon's principal for the acts of lifecycle rules."""

log = logging.getLogger("stratum.notifications")

Post = Callable[[bytes], Awaitable[None]]
"""Deliver one message to a webhook; raises RemoteFailed unless it was accepted."""


Render = Callable[[Message], bytes]
RenderTest = Callable[[BucketName, Cause, int], bytes]


class Notifications:
    """`webhooks` by ARN; `render` makes the bytes of a message, `render_test` of a test."""

    def __init__(
        self,
        journal: Journal,
        webhooks: Mapping[str, Post],
        render: Render,
        render_test: RenderTest,
        new_id: NewId,
        now_ms: NowMs,
    ) -> None:
        self._journal = journal
        self._webhooks = webhooks
        self._render = render
        self._render_test = render_test
        self.new_id = new_id
        self._now_ms = now_ms
        channels = {arn: trio.open_memory_channel[bytes](QUEUE_MAX) for arn in webhooks}
        self._queues = {arn: send for arn, (send, _) in channels.items()}
        self._waiting = {arn: receive for arn, (_, receive) in channels.items()}
        self.lost = 0
        """Messages that were given up."""

    @property
    def arns(self) -> frozenset[str]:
        """The targets buckets may name."""
        return frozenset(self._webhooks)

    def notify(self, changes: Sequence[ObjectChange], cause: Cause) -> None:
        """Queue what the buckets' targets want to hear of."""
        for change in changes:
            bucket = self._journal.catalog.bucket(change.bucket)
            if bucket is not None and bucket.settings.notification is not None:
                self._queue_change(bucket, bucket.settings.notification, change, cause)

    def expire(self, changes: Sequence[ObjectChange]) -> None:
        """The same for what lifecycle rules did, which no request caused."""
        self.notify(changes, LIFECYCLE)

    def test(
        self, bucket: BucketName, configuration: NotificationConfiguration, cause: Cause
    ) -> None:
        """Send each target of a new configuration a test message, as Amazon S3 does."""
        require_bucket(self._journal.catalog, bucket)
        body = self._render_test(bucket, cause, self._now_ms())
        for arn in {target.arn for target in configuration.targets}:
            self._queue(arn, body)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Deliver until cancelled."""
        async with trio.open_nursery() as nursery:
            for arn in self._webhooks:
                nursery.start_soon(self._deliver_all, arn)
            task_status.started()

    def _queue_change(
        self,
        bucket: Bucket,
        configuration: NotificationConfiguration,
        change: ObjectChange,
        cause: Cause,
    ) -> None:
        for target in targets_for(configuration, change.event, change.key):
            sequencer = self.new_id().upper()
            message = Message(target, change, cause, bucket.owner.id, self._now_ms(), sequencer)
            self._queue(target.arn, self._render(message))

    def _queue(self, arn: str, body: bytes) -> None:
        queue = self._queues.get(arn)
        if queue is None:
            return self._lose(arn, "it is not configured any more")
        try:
            queue.send_nowait(body)
        except trio.WouldBlock:
            self._lose(arn, f"{QUEUE_MAX} messages are waiting for it")
        return None

    async def _deliver_all(self, arn: str) -> None:
        async for body in self._waiting[arn]:
            await self._deliver(arn, body)

    async def _deliver(self, arn: str, body: bytes) -> None:
        pause_s = BACKOFF_FIRST_S
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                return await self._webhooks[arn](body)
            except StratumError as error:
                if attempt == ATTEMPTS_MAX:
                    return self._lose(arn, str(error))
                log.info("notification to %s: %s; again in %g s", arn, error, pause_s)
            await trio.sleep(pause_s)
            pause_s = min(pause_s * 2, BACKOFF_MAX_S)
        return None

    def _lose(self, arn: str, why: str) -> None:
        self.lost += 1
        log.warning("a notification to %s was given up: %s", arn, why)
