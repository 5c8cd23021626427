"""What the commands do. Those that only read open the journal beside a running server."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec
import trio

from stratum import compose
from stratum.adapters.access_log import open_access_log
from stratum.adapters.admin_client import call_server, server_url, write_server_url
from stratum.adapters.anchor_key import open_anchor_key, verify_signature
from stratum.adapters.identity import root_credentials
from stratum.adapters.journal_reader import JournalReader, open_journal_readonly
from stratum.adapters.price_file import load_prices
from stratum.adapters.rebuild import Difference, opened_catalog
from stratum.adapters.text_file import text_file
from stratum.adapters.web.limits import ConnectionLimits
from stratum.adapters.web.server import serve_http
from stratum.app import audit as auditing
from stratum.app import explain as explaining
from stratum.app import status as reporting
from stratum.app.anchors import archive_findings
from stratum.app.config import Config
from stratum.app.journal_mirror import archive_status
from stratum.app.rederive import rederive
from stratum.app.upkeep import pass_state
from stratum.compose_copies import archives
from stratum.compose_disks import open_disks
from stratum.compose_tiering import open_learning, tiering_rules
from stratum.domain.errors import InvalidArgument, JournalCorrupt, StratumError
from stratum.domain.names import BucketName, ObjectKey, bucket_name, object_key
from stratum.domain.policies import RULES
from stratum.ports import RemoteStore

EXIT_FINDINGS = 1

log = logging.getLogger("stratum")


async def serve(config: Config, options: argparse.Namespace) -> int:
    """Run the server until SIGTERM or SIGINT."""
    root = root_credentials(config.data, os.environ)
    if root.is_new:
        print(f"root credentials written to {root.path}", flush=True)
    elif root.path:
        print(f"root credentials are in {root.path}", flush=True)
    application = compose.make_application(config, root, partial(print, flush=True))
    stopping = trio.Event()
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(_stop_on_signal, stopping)
            urls = await nursery.start(
                lambda task_status: serve_http(
                    application,
                    listen=[config.listen],
                    limits=ConnectionLimits(connections=config.connections_max),
                    grace_s=config.shutdown_grace_s,
                    shutdown=stopping,
                    task_status=task_status,
                )
            )
            if application.failure is not None:
                raise application.failure
            with write_server_url(config.data, urls[0]):
                for url in urls:
                    print(f"listening on {url}", flush=True)
                await stopping.wait()
                log.info("stopping: finishing what is under way")
    except BaseException:
        # Whatever else went wrong then went wrong because of this.
        if application.failure is not None:
            raise application.failure from None
        raise
    return 0


async def _stop_on_signal(
    stopping: trio.Event, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for _ in signals:
            stopping.set()
            return


async def status(config: Config, options: argparse.Namespace) -> int:
    state = await _status_of_server(config) or await _status_alone(config)
    if options.format == "json":
        _print_json({**asdict(state), "server": server_url(config.data)})
    else:
        print(reporting.render_text(state))
        print(f"server: {server_url(config.data) or 'not running'}")
    healthy = not any(disk.state != "online" for tier in state.tiers for disk in tier.disks)
    return 0 if healthy else EXIT_FINDINGS


async def _status_of_server(config: Config) -> reporting.Status | None:
    """What the running server says, which knows more of its disks; None if it can't be asked."""
    if server_url(config.data) is None:
        return None
    try:
        root = root_credentials(config.data, os.environ, create=False)
        document = await trio.to_thread.run_sync(
            lambda: call_server(config.data, root, config.region, "GET", "/_stratum/api/status", {})
        )
        return msgspec.convert(document, reporting.Status)
    except (StratumError, msgspec.ValidationError):
        return None


async def _status_alone(config: Config) -> reporting.Status:
    async with open_journal_readonly(config.journal) as journal, _remote(config) as remote:
        copies = [await archive_status(each) for each in archives(config, remote)]
        key = open_anchor_key(config.anchor_key, create=False)
        return await reporting.status(
            journal,
            open_disks(config),
            remote,
            config.profile,
            copies,
            key.public if key else b"",
            reporting.tiering_limits(config, load_prices(config.prices, config.patience)),
            scrub=pass_state(text_file(config.scrub_state)[0]()),
        )


async def explain(config: Config, options: argparse.Namespace) -> int:
    bucket, key = _object(options.url)
    rules = tiering_rules(config)
    async with (
        open_journal_readonly(config.journal) as journal,
        open_access_log(config.access_log) as access_log,
        open_learning(config, access_log, rules, compose.now_ms) as learning,
    ):
        await learning.load()
        explanation = await explaining.explain(
            journal,
            access_log,
            rules,
            bucket,
            key,
            compose.now_ms(),
            enabled=config.tiering_enabled,
            version_id=options.version_id,
        )
    if options.format == "json":
        _print_json(explanation.to_json())
    else:
        print(explaining.render_text(explanation, compose.now_ms()))
    return 0


async def audit(config: Config, options: argparse.Namespace) -> int:
    async with open_journal_readonly(config.journal) as journal:
        if options.verify:
            return await _verify(config, journal, options.format, _key(options.anchor_key))
        bucket, prefix = bucket_and_prefix(options.url)
        wanted = auditing.Filter(
            bucket=bucket,
            prefix=prefix,
            since_ms=time_ms(options.since) or 0,
            until_ms=time_ms(options.until),
            type=options.type,
        )
        async with aclosing(auditing.events(journal, wanted)) as events:
            async for recorded in events:
                if options.format == "json":
                    _print_json(auditing.as_document(recorded), indent=None)
                else:
                    at = _iso(recorded.at_ms)
                    name = type(recorded.event).__name__
                    print(f"{recorded.seq:>8} {at} {recorded.by:10} {name:16}", end=" ")
                    print(auditing.as_line(recorded))
    return 0


async def _verify(
    config: Config, journal: JournalReader, form: str, trusted_key: bytes | None
) -> int:
    differences = await _differences(journal)
    found = 0
    async with _remote(config) as remote:
        verifier = auditing.Verifier(
            journal,
            open_disks(config),
            remote,
            differences,
        )
        in_archives = archive_findings(
            journal, archives(config, remote), verify_signature, trusted_key
        )
        for walk in (verifier.findings(), in_archives):
            async with aclosing(walk) as findings:
                async for finding in findings:
                    found += 1
                    if form == "json":
                        _print_json(asdict(finding), indent=None)
                    else:
                        print(f"{finding.kind}: {finding.subject}: {finding.detail}")
    head = await journal.head()
    if form == "text":
        print(f"{head.seq} events and {verifier.volumes} volumes checked: {found} findings")
    return EXIT_FINDINGS if found else 0


async def _differences(journal: JournalReader) -> list[str]:
    """What is wrong with the catalog. Events that can't be read are no reason to stop here: the
    audit goes on to say what else there is."""
    with tempfile.TemporaryDirectory(prefix="stratum-audit-") as folder:
        try:
            differences = await journal.compare(Path(folder) / "rebuilt.db")
        except JournalCorrupt as error:
            return [f"it can't be compared with the events: {error}"]
    return [_difference(difference) for difference in differences]


async def replay(config: Config, options: argparse.Namespace) -> int:
    async with open_journal_readonly(config.journal) as journal:
        if options.decisions:
            return await _rederive(journal, options.format)
        with tempfile.TemporaryDirectory(prefix="stratum-replay-") as folder:
            scratch = Path(folder) / "state.db"
            if options.verify:
                if options.at or options.seq is not None or options.out:
                    raise InvalidArgument(
                        "--verify compares the newest state: no --at, --seq, --out"
                    )
                return await _compare(journal, scratch, options.format)
            until = options.seq
            if options.at:
                until = await journal.seq_at(time_ms(options.at) or 0)
            path = Path(options.out) if options.out else scratch
            head = await journal.rebuild(path, until, _progress())
            with opened_catalog(path) as catalog:
                totals = catalog.totals()
    state = {
        "seq": head.seq,
        "at": _iso(head.at_ms) if head.seq else None,
        "digest": head.digest.hex(),
        "tiers": {tier.value: asdict(held) for tier, held in totals.items()},
    }
    if options.format == "json":
        _print_json(state)
    else:
        print(f"state after event {head.seq}, chain head {head.digest.hex()[:16]}")
        for tier, held in totals.items():
            size = reporting.human_bytes(held.size_bytes)
            print(f"{tier:5} {held.volumes:>9} volumes {size:>10}")
        if options.out:
            print(f"written to {options.out}")
    return 0


async def _rederive(journal: JournalReader, form: str) -> int:
    total = different = 0
    async with aclosing(rederive(journal, RULES)) as decisions:
        async for derived in decisions:
            total += 1
            if not derived.difference:
                continue
            different += 1
            if form == "json":
                found = {"seq": derived.recorded.seq, "difference": derived.difference}
                _print_json(found, indent=None)
            else:
                print(f"event {derived.recorded.seq}: {derived.difference}")
    if form == "text":
        print(f"{total} decisions derived again: {different} differences")
    return EXIT_FINDINGS if different else 0


async def _compare(journal: JournalReader, scratch: Path, form: str) -> int:
    differences = await journal.compare(scratch)
    head = await journal.head()
    if form == "json":
        _print_json({"seq": head.seq, "differences": [_difference(d) for d in differences]})
    else:
        for difference in differences:
            print(_difference(difference))
        print(f"{head.seq} events replayed: {len(differences)} differences")
    return EXIT_FINDINGS if differences else 0


async def tier_move(config: Config, options: argparse.Namespace) -> int:
    bucket, key = _object(options.url)
    root = root_credentials(config.data, os.environ, create=False)
    answer = await trio.to_thread.run_sync(
        lambda: call_server(
            config.data,
            root,
            config.region,
            "POST",
            "/_stratum/api/move",
            {"bucket": bucket, "key": key, "to": options.to},
        )
    )
    if options.format == "json":
        _print_json(answer)
    else:
        print(f"moving s3://{bucket}/{key} to {options.to}")
    return 0


# -- arguments and output -----------------------------------------------------------------------
@asynccontextmanager
async def _remote(config: Config) -> AsyncIterator[RemoteStore | None]:
    async with compose.open_remote_of(config) as remote:
        yield remote


def _object(url: str) -> tuple[BucketName, ObjectKey]:
    bucket, key = bucket_and_prefix(url)
    return bucket_name(bucket), object_key(key)


def bucket_and_prefix(url: str) -> tuple[str, str]:
    if not url:
        return "", ""
    if not url.startswith("s3://"):
        raise InvalidArgument(f"expected s3://BUCKET/KEY, not {url!r}")
    bucket, _, rest = url.removeprefix("s3://").partition("/")
    return bucket, rest


def _key(text: str | None) -> bytes | None:
    """A public key of 64 hexadecimal digits."""
    if text is None:
        return None
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise InvalidArgument(f"not a public key (64 hexadecimal digits): {text!r}")
    return key


def time_ms(text: str | None) -> int | None:
    """Unix ms of an ISO 8601 time (UTC unless it says otherwise) or of Unix seconds."""
    if text is None:
        return None
    try:
        return round(float(text) * 1000)
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidArgument(f"not a time: {text!r}") from None
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def _iso(at_ms: int) -> str:
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1000:03}Z"


def _difference(difference: Difference) -> str:
    return (
        f"{difference.table} {difference.key}: live {difference.live},"
        f" from events {difference.rebuilt}"
    )


def _progress() -> Callable[[int], None] | None:
    """A counter on the terminal, where there is one."""
    if not sys.stderr.isatty():
        return None

    def show(done: int) -> None:
        print(f"\r{done} events", end="", file=sys.stderr, flush=True)

    return show


def _print_json(value: object, indent: int | None = 2) -> None:
    print(json.dumps(value, indent=indent, default=str, ensure_ascii=False))
