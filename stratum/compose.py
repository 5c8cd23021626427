"""Where everything is put together: the only module that names concrete adapters.

Reading `open_stratum` from top to bottom is reading the architecture.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from random import Random
from typing import cast

import trio
from awscrt.checksums import crc64nvme

from stratum.adapters.access_log import open_access_log
from stratum.adapters.identity import RandomMint, RootCredentials, uuid7_source
from stratum.adapters.identity_store import open_identity_store
from stratum.adapters.journal import open_journal
from stratum.adapters.journal_reader import open_journal_readonly
from stratum.adapters.lifecycle_timers import open_lifecycle_timers
from stratum.adapters.master_keys import has_plain_copies, load_keyring, prepare_keys
from stratum.adapters.metered_remote import MeteredRemote
from stratum.adapters.record_codec import decode_record
from stratum.adapters.remote_s3 import S3Remote
from stratum.adapters.s3.digests import combine, digest, new_hasher
from stratum.adapters.s3.post_signature import FormSecrets
from stratum.adapters.s3_client import Credentials
from stratum.adapters.sealed_remote import SealedRemote
from stratum.adapters.session_tokens import TokenSealer
from stratum.adapters.web.aftermath import Aftermath
from stratum.adapters.web.asgi_types import AsgiApp
from stratum.adapters.web.control import Commands, make_control
from stratum.adapters.web.front import Access, Front
from stratum.adapters.web.guard import Guard
from stratum.adapters.web.handler_table import handler_table
from stratum.adapters.web.iam_front import IamFront
from stratum.adapters.web.iam_table import iam_actions
from stratum.adapters.web.identity_control import add_identity_commands
from stratum.adapters.web.lifespan import Lifespan
from stratum.adapters.web.metrics import Metrics
from stratum.adapters.web.post_handlers import FormSigners
from stratum.adapters.web.private_channel import PrivateChannel
from stratum.adapters.web.tiering_control import add_tiering_commands
from stratum.adapters.web.websites import Websites
from stratum.adapters.workers import open_codec
from stratum.app.buckets import Buckets
from stratum.app.config import Config
from stratum.app.crew import Crew
from stratum.app.datapath import REMOTE_MAGIC
from stratum.app.deliveries import Deliveries
from stratum.app.disk_services import DiskServices, watched
from stratum.app.identities import Identities, open_identities
from stratum.app.journal_copies import JournalCopies
from stratum.app.lifecycle import LifecycleWorker, make_lifecycle
from stratum.app.locks import Locks
from stratum.app.objects import Objects
from stratum.app.recovery import Recovered, claim_disks, settle_staged
from stratum.app.scrubber import Scrubber
from stratum.app.spending import RemoteMeter
from stratum.app.status import status, tiering_limits
from stratum.app.tiering_services import TieringServices, adopt_prices, make_tiering
from stratum.app.uploads import Uploads
from stratum.compose_copies import open_copies
from stratum.compose_deliveries import open_deliveries
from stratum.compose_disks import keep_disks, make_datapath, open_disks
from stratum.compose_encryption import make_sealing
from stratum.compose_tiering import open_learning, tiering_rules
from stratum.domain.names import BucketName, Caller, ObjectKey, Tier
from stratum.domain.object import require_version
from stratum.ports import Journal, RemoteStore, ShardStore

log = logging.getLogger("stratum")

Announce = Callable[[str], None]


def now_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Stratum:
    """An open store."""

    config: Config
    journal: Journal
    disks: Mapping[Tier, Sequence[ShardStore]]
    remote: RemoteStore | None
    buckets: Buckets
    objects: Objects
    uploads: Uploads
    tiering: TieringServices
    lifecycle: LifecycleWorker
    metrics: Metrics
    scrubber: Scrubber
    copies: JournalCopies
    deliveries: Deliveries
    disk_services: DiskServices


@asynccontextmanager
async def open_remote_of(
    config: Config, meter: RemoteMeter | None = None
) -> AsyncIterator[RemoteStore | None]:
    """The cold tier, None without one. Raises InvalidConfig if its keys can't be read."""
    cold = config.remote
    if cold is None:
        yield None
        return
    remote = S3Remote(
        cold.endpoint,
        cold.bucket,
        Credentials(cold.access_key_id, cold.secret_access_key),
        prefix=cold.prefix,
        region=cold.region,
        now_ms=now_ms,
        random=Random().random,  # noqa: S311  (spreads retries, no secret)
    )
    may_be_plain = not cold.encrypt or has_plain_copies(config.data)
    try:
        yield SealedRemote(
            MeteredRemote(remote, meter or RemoteMeter()),
            load_keyring(config.data, os.environ),
            sealing=cold.encrypt,
            plain_magic=REMOTE_MAGIC if may_be_plain else None,
        )
    finally:
        await remote.aclose()


@asynccontextmanager
async def _own_cold_tier(
    config: Config, journal: Journal, announce: Announce, meter: RemoteMeter
) -> AsyncIterator[RemoteStore | None]:
    """The cold tier of the server, which makes the master key if there is none yet."""
    if config.remote is not None:
        held = journal.catalog.totals().get(Tier.COLD)
        in_use = held is not None and held.volumes > 0
        sealing = config.remote.encrypt
        announce(prepare_keys(config.data, os.environ, sealing=sealing, in_use=in_use))
    async with open_remote_of(config, meter) as remote:
        yield remote


@asynccontextmanager
async def open_stratum(config: Config, announce: Announce = log.warning) -> AsyncIterator[Stratum]:
    """Open the store: recover, then start what runs in the background; close in reverse.

    `announce` is told what the operator must know, one sentence each.
    """
    new_id = uuid7_source(now_ms)
    metrics = Metrics()
    meter = RemoteMeter()
    disks = watched(open_disks(config, own=True))
    rules = tiering_rules(config)
    async with (
        open_journal(config.journal, now_ms) as journal,
        open_access_log(config.access_log) as access_log,
        open_learning(config, access_log, rules, now_ms) as learning,
        _own_cold_tier(config, journal, announce, meter) as remote,
        open_lifecycle_timers(config.lifecycle_timers) as timers,
        open_codec(workers=_workers(config), buffers=config.buffers) as codec,
        trio.open_nursery() as background,
        AsyncExitStack() as opened,
    ):
        absent = await claim_disks(journal, disks, new_id)
        copies = await open_copies(config, journal, remote, now_ms, announce)
        await opened.enter_async_context(copies.kept())
        _report_start(absent, await settle_staged(journal, disks, decode_record))
        await adopt_prices(journal, rules.prices)

        datapath = make_datapath(config, disks, remote, codec, metrics, Crew(background))
        tiering = make_tiering(
            config,
            journal,
            access_log,
            datapath,
            disks,
            meter,
            rules,
            metrics.tiering,
            crc64nvme,
            new_id,
            now_ms,
            copies.mirror.settled_ms,
            learning,
        )
        sealing = make_sealing(config, now_ms)
        objects = Objects(journal, datapath, tiering.accesses, new_id, now_ms, new_hasher, sealing)
        hashing = (new_hasher, combine, digest)
        uploads = Uploads(journal, datapath, objects, tiering.accesses, new_id, now_ms, *hashing)
        told = open_deliveries(config, journal, objects, metrics.deliveries, new_id, now_ms)
        deliveries = await opened.enter_async_context(told)
        tell = deliveries.notifications.expire
        lifecycle = make_lifecycle(journal, timers, tiering, rules, new_id, now_ms, tell)
        await _start(background, (*tiering.loops(), lifecycle.run, *deliveries.loops()))
        scrubber = Scrubber(journal, disks, codec, decode_record, config.profile)
        services = await keep_disks(config, background, journal, disks, scrubber, now_ms)
        yield Stratum(
            config,
            journal,
            disks,
            remote,
            Buckets(journal, config.region, config.object_ownership),
            objects,
            uploads,
            tiering,
            lifecycle,
            metrics,
            scrubber,
            copies,
            deliveries,
            services,
        )
        background.cancel_scope.cancel()


async def _start(background: trio.Nursery, loops: Sequence[Callable[..., Awaitable[None]]]) -> None:
    for loop in loops:
        await background.start(loop)


@asynccontextmanager
async def open_scrubber(config: Config, *, repair: bool) -> AsyncIterator[tuple[Journal, Scrubber]]:
    """A scrubber without a server, and its journal: to repair it is opened for writing, which
    keeps servers away; otherwise for reading, also beside one. Raises Unavailable."""
    async with AsyncExitStack() as stack:
        journal: Journal = await stack.enter_async_context(open_journal_readonly(config.journal))
        if repair:
            journal = await stack.enter_async_context(open_journal(config.journal, now_ms))
        codec = await stack.enter_async_context(open_codec(workers=0))
        disks = open_disks(config, own=repair)
        async with trio.open_nursery() as background:
            for disk in (each for members in disks.values() for each in members if repair):
                background.start_soon(disk.run)
            yield journal, Scrubber(journal, disks, codec, decode_record, config.profile)
            background.cancel_scope.cancel()


def _workers(config: Config) -> int:
    """None where we may not have children: Hypercorn runs its workers as daemonic processes."""
    return 0 if multiprocessing.current_process().daemon else config.workers


def _report_start(absent: Sequence[str], recovered: Recovered) -> None:
    if absent:
        log.error("%d disks are missing: %s", len(absent), ", ".join(absent))
    if recovered.published or recovered.discarded:
        log.info(
            "recovered: %d extents published, %d unfinished ones thrown away",
            recovered.published,
            recovered.discarded,
        )


@asynccontextmanager
async def open_identities_of(
    config: Config, journal: Journal, root: RootCredentials
) -> AsyncIterator[Identities]:
    """All identities, the root's among them."""
    async with open_identity_store(config.identities) as store:
        yield await open_identities(
            store, journal, root.identities(), RandomMint(), now_ms, TokenSealer
        )


def _make_commands(stratum: Stratum) -> Commands:
    """What the operator can ask for and order."""

    async def metrics() -> bytes:
        totals, moves = await stratum.journal.query(
            lambda catalog: (catalog.totals(), len(catalog.pending_moves()))
        )
        spent = stratum.tiering.spending.use().cost(stratum.tiering.prices)
        stratum.metrics.tiering.set_gauges(stratum.tiering.watermarks.fullness(), spent)
        services = stratum.disk_services
        stratum.metrics.disks.set_gauges(services.conditions(), services.pass_state)
        return stratum.metrics.render(totals, moves, (await stratum.journal.head()).seq)

    async def report() -> dict[str, object]:
        state = await status(
            stratum.journal,
            stratum.disks,
            stratum.remote,
            stratum.config.profile,
            stratum.copies.status(),
            stratum.copies.anchors.public_key,
            tiering_limits(stratum.config, stratum.tiering.prices),
            stratum.disk_services.conditions(),
            stratum.disk_services.pass_state,
        )
        return asdict(state)

    async def move(caller: Caller, bucket: BucketName, key: ObjectKey, target: Tier) -> str:
        version = require_version(stratum.journal.catalog, bucket, key)
        await stratum.tiering.orders.by_hand(version.volume_id, target, caller.name)
        return version.volume_id

    async def scrub(repair: bool) -> AsyncGenerator[dict[str, object], None]:
        async with stratum.scrubber.run(repair=repair) as steps:
            async for step in steps:
                yield asdict(step)

    async def ready() -> bool:
        return (await stratum.journal.head()).seq >= 0

    pins = stratum.tiering.pins
    return Commands(ready, metrics, report, move, pins.pin, pins.unpin, scrub)


def make_front(stratum: Stratum, identities: Identities) -> AsgiApp:
    """The ASGI application over an open store."""
    config = stratum.config
    guard = Guard(stratum.journal, identities)
    access = Access(
        identities.secret_for,
        identities.session_secret,
        identities.principal_of,
        guard,
        config.region,
        config.domains,
    )

    control = make_control(_make_commands(stratum), access, now_ms)
    add_identity_commands(control, identities, access, now_ms)
    add_tiering_commands(control, stratum.tiering.undo, access, now_ms)
    secrets = FormSecrets(identities.secret_for, identities.session_secret)
    forms = FormSigners(secrets, identities.principal_of, config.region, now_ms)
    locks = Locks(stratum.buckets, stratum.objects, now_ms)
    told = stratum.deliveries.notifications
    stores = (stratum.buckets, stratum.objects, stratum.uploads)
    classes = stratum.tiering.classes
    table = handler_table(*stores, forms, told, locks, stratum.lifecycle, classes)
    return Front(
        table,
        access,
        cast("AsgiApp", control),
        stratum.metrics,
        uuid7_source(now_ms),
        now_ms,
        stratum.tiering.foreground,
        Websites(stratum.buckets, stratum.objects, classes, guard, config.website_domains),
        Aftermath(stratum.buckets, stratum.objects, stratum.deliveries),
        PrivateChannel(config.encryption.customer_keys_over_http),
        IamFront(identities, iam_actions(identities)),
    )


def make_application(
    config: Config, root: RootCredentials, announce: Announce = log.warning
) -> Lifespan:
    """The whole server as an ASGI application: its lifespan opens and closes the store."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[AsgiApp]:
        async with (
            open_stratum(config, announce) as stratum,
            open_identities_of(config, stratum.journal, root) as identities,
        ):
            yield make_front(stratum, identities)

    return Lifespan(opened)
