import trio

from stratum.app import access_logs
from stratum.app.access_logs import AccessLogs
from stratum.domain.bucket_logging import DAY_MS, LoggingConfiguration, PartitionSource
from stratum.domain.listing import ListRequest
from stratum.domain.names import BucketName
from stratum.domain.settings import BucketSettings
from tests.support.store import Store
from tests.support.tiering_world import ALICE, BUCKET

LOGS = BucketName("logs")
INTERVAL_S = 60


async def logging(configuration=LoggingConfiguration(LOGS, "a/")):  # noqa: B008
    store = Store()
    for name in (BUCKET, LOGS):
        await store.buckets.create(ALICE, name)
    if configuration is not None:
        settings = BucketSettings(logging=configuration)
        await store.buckets.configure(ALICE, BUCKET, "logging", settings)
    numbers = iter(range(1000))

    def name_key(file, _delivery_ms):
        return f"{file.configuration.target_prefix}{file.day}-{next(numbers)}"

    logs = AccessLogs(store.journal, store.objects, name_key, store.now_ms, interval_s=INTERVAL_S)
    return store, logs


async def delivered(store):
    """Log objects by key."""
    page = await store.objects.list(LOGS, ListRequest())
    found = {}
    for entry in page.entries:
        async with store.objects.open(LOGS, entry.key) as download:
            found[entry.key] = b"".join([bytes(piece) async for piece in download.pieces])
    return found


def add(logs, line=b"line\n", at_ms=0):
    file = logs.file_for(BUCKET, at_ms)
    assert file is not None
    logs.add(file, line)


async def test_only_configured_buckets_are_logged():
    _, logs = await logging(None)
    assert logs.file_for(BUCKET, 0) is None
    assert logs.file_for(BucketName("no-such-bucket"), 0) is None


async def test_lines_are_delivered_together_after_the_interval(nursery, autojump_clock):
    store, logs = await logging()
    await nursery.start(logs.run)
    add(logs, b"one\n")
    add(logs, b"two\n")
    await trio.sleep(INTERVAL_S - 1)
    assert await delivered(store) == {}
    await trio.sleep(2)
    assert await delivered(store) == {"a/None-0": b"one\ntwo\n"}
    await trio.sleep(INTERVAL_S)
    assert len(await delivered(store)) == 1
    nursery.cancel_scope.cancel()


async def test_many_lines_do_not_wait(nursery, autojump_clock, monkeypatch):
    monkeypatch.setattr(access_logs, "DELIVER_MIN_BYTES", 100)
    store, logs = await logging()
    await nursery.start(logs.run)
    add(logs, b"x" * 100)
    await trio.sleep(1)
    assert list((await delivered(store)).values()) == [b"x" * 100]
    nursery.cancel_scope.cancel()


async def test_a_stop_delivers_what_waits(autojump_clock):
    store, logs = await logging()
    async with trio.open_nursery() as nursery:
        await nursery.start(logs.run)
        add(logs)
        nursery.cancel_scope.cancel()
    assert list((await delivered(store)).values()) == [b"line\n"]


async def test_by_the_requests_date_a_day_has_its_own_object():
    store, logs = await logging(LoggingConfiguration(LOGS, "", PartitionSource.EVENT_TIME))
    add(logs, b"today\n", DAY_MS)
    add(logs, b"tomorrow\n", 2 * DAY_MS)
    await logs.flush()
    assert await delivered(store) == {"1-0": b"today\n", "2-1": b"tomorrow\n"}


async def test_what_does_not_fit_or_has_no_target_is_lost_and_counted(monkeypatch):
    monkeypatch.setattr(access_logs, "BUFFER_MAX_BYTES", 10)
    store, logs = await logging()
    add(logs, b"12345\n")
    add(logs, b"12345\n")
    assert logs.lost == 1
    await store.buckets.delete(ALICE, LOGS)
    await logs.flush()
    assert logs.lost == 2
    add(logs, b"12345\n")
    assert logs.lost == 2
