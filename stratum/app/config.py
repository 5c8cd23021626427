"""The configuration: one table of keys, read from defaults, file, environment and flags.

Flags win over the environment, the environment over the file, the file over defaults. Unknown
keys are errors: a typing mistake must not pass for a default.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stratum.app.encryption_config import EncryptionConfig, encryption_config, one_of
from stratum.app.journal_copies import CopiesConfig
from stratum.app.mover import MoveLimits
from stratum.app.remote_config import RemoteConfig, remote_config
from stratum.app.upkeep import UpkeepConfig
from stratum.domain.errors import InvalidConfig
from stratum.domain.names import Tier
from stratum.domain.ownership import ObjectOwnership
from stratum.domain.policies import HAZARD, POLICIES
from stratum.domain.pricing import PATIENCES
from stratum.domain.stripes import ErasureProfile

Value = str | int | float | bool | tuple[str, ...]

DISKS_PER_TIER = 6

KEYS: dict[str, tuple[Value, str]] = {
    "server.listen": ("127.0.0.1:9000", "address and port of the S3 endpoint"),
    "server.region": ("us-east-1", "region name in signatures and bucket locations"),
    "server.domains": ((), "domains whose subdomains are buckets (virtual-host style)"),
    "website.domains": ((), "domains whose subdomains are web sites, read from buckets"),
    "notifications.webhooks": ((), "NAME=URL, each a target for notifications of buckets"),
    "logging.interval_s": (300.0, "how long lines of access logs wait for their delivery"),
    "server.connections_max": (4096, "connections served at once; more get 503"),
    "server.shutdown_grace_s": (30.0, "how long requests may go on after SIGTERM"),
    "tiers.hot.disks": ((), "directories, one per disk; default DATA/hot/disk0 … disk5"),
    "tiers.warm.disks": ((), "directories, one per disk; default DATA/warm/disk0 … disk5"),
    "tiers.cold.endpoint": ("", "URL of a remote S3; empty: no cold tier"),
    "tiers.cold.bucket": ("", "bucket in the remote"),
    "tiers.cold.prefix": ("", "prefix of all names in the remote bucket"),
    "tiers.cold.region": ("us-east-1", "region for signing requests to the remote"),
    "tiers.cold.access_key_id": ("", "credentials for the remote"),
    "tiers.cold.secret_access_key": ("", "credentials for the remote"),
    "tiers.cold.encrypt": (True, "encrypt what goes to the remote"),
    "erasure.data": (4, "data shards of a stripe"),
    "erasure.parity": (2, "parity shards of a stripe"),
    "erasure.write_quorum": (5, "disks that must have a shard before a write is acknowledged"),
    "erasure.reserve_bytes": (67108864, "free space below which a disk takes no more shards"),
    "erasure.buffers": (64, "stripes in memory at once, 1.5 MiB each when used"),
    "erasure.workers": (1, "processes that encode large stripes; 0: encode in the server"),
    "scrub.days": (30.0, "how long reading all shards takes, in days; 0: only by command"),
    "scrub.bytes_per_s": (20e6, "limit on what repairs and scrubs by themselves read"),
    "tiering.enabled": (True, "move volumes by themselves"),
    "tiering.interval_s": (60.0, "longest time between two looks at the timers"),
    "tiering.day_s": (86400.0, "how long a day lasts for tiering, in seconds"),
    "tiering.policy": (HAZARD, f"the policy that decides: {', '.join(POLICIES)}"),
    "tiering.history_days": (400.0, "how long reads are kept for simulations; 0: not at all"),
    "tiering.patience": ("balanced", "what waiting costs: thrifty, balanced or fast"),
    "tiering.prices": ("prices.toml", "price list, relative to DATA, or a preset"),
    "tiering.moves": (2, "moves carried out at once"),
    "tiering.queue": (256, "moves under way or waiting"),
    "tiering.attempts": (6, "attempts at a move before it is abandoned"),
    "tiering.backoff_s": (1.0, "pause after the first failed attempt; doubles up to a minute"),
    "tiering.bytes_per_s": (200e6, "limit on moves while no client is served; 0: none"),
    "tiering.busy_bytes_per_s": (20e6, "limit on moves while clients are served; 0: none"),
    "tiering.high_watermark": (0.9, "share of a disk from which on room is made"),
    "tiering.low_watermark": (0.8, "share of a disk that is then left used"),
    "tiering.spend_per_month": (0.0, "$ for requests and egress of the remote; 0: no cap"),
    "tiering.reclaim_grace_s": (60.0, "how long a superseded copy is kept for readers"),
    "s3.object_ownership": (
        "ObjectWriter",
        "ownership of objects in new buckets: ObjectWriter, BucketOwnerPreferred or"
        " BucketOwnerEnforced (no ACLs)",
    ),
    "encryption.default": ("", "for buckets without their own: AES256 or aws:kms; empty: none"),
    "encryption.key_file": ("encryption-keys.toml", "keys of SSE-S3 and SSE-KMS; relative to DATA"),
    "encryption.kms_keys": ((), "names of KMS keys, made at the start unless they exist"),
    "encryption.kms_default_key": ("aws/s3", "KMS key if none is named; empty: one must be"),
    "encryption.customer_keys_over_http": ("local", "SSE-C without TLS: local, always or never"),
    "metadata.url": ("sqlite:///DATA/metadata/journal.db", "where the journal is"),
    "metadata.copies": ("hot", "tier whose disks keep copies of the journal: hot, warm or none"),
    "metadata.copy_interval_s": (1.0, "how far copies on disks may be behind the journal"),
    "metadata.copy_in_cold": (True, "keep a copy of the journal in the cold tier, too"),
    "metadata.anchor_interval_s": (3600.0, "time between two signed anchors"),
    "metadata.anchor_key": ("anchor-key.pem", "key that signs anchors; relative to DATA"),
}


@dataclass(frozen=True)
class Config:
    """Everything the server is started with, checked."""

    data: Path
    listen: str
    region: str
    domains: tuple[str, ...]
    website_domains: tuple[str, ...]
    webhooks: dict[str, str]
    """URL by ARN."""
    log_interval_s: float
    connections_max: int
    shutdown_grace_s: float
    disks: dict[Tier, tuple[Path, ...]]
    remote: RemoteConfig | None
    profile: ErasureProfile
    write_quorum: int
    reserve_bytes: int
    buffers: int
    workers: int
    tiering_enabled: bool
    tiering_interval_s: float
    day_s: float
    policy: str
    history_days: float
    patience: str
    prices: Path
    moves: MoveLimits
    high_watermark: float
    low_watermark: float
    spend_per_month: float
    reclaim_grace_s: float
    object_ownership: ObjectOwnership
    encryption: EncryptionConfig
    journal: Path
    upkeep: UpkeepConfig
    copies: CopiesConfig
    anchor_key: Path

    @property
    def scrub_state(self) -> Path:
        return self.journal.with_name("scrub.json")

    @property
    def access_log(self) -> Path:
        return self.journal.with_name("access.db")

    @property
    def read_history(self) -> Path:
        return self.journal.with_name("reads.db")

    @property
    def lifecycle_timers(self) -> Path:
        return self.journal.with_name("lifecycle.db")

    @property
    def identities(self) -> Path:
        return self.journal.with_name("identities.db")

    @property
    def shard_indexes(self) -> Path:
        """Where the packed shards of each disk are; made again from the disks if it is lost."""
        return self.journal.with_name("shards")


def load_config(
    data: Path, file: Path | None, environ: Mapping[str, str], flags: Mapping[str, str]
) -> Config:
    """Raises InvalidConfig with the key and what is wrong with it.

    `file` None: `DATA/stratum.toml` or `./stratum.toml` if there is one.
    """
    values: dict[str, Value] = {key: default for key, (default, _) in KEYS.items()}
    for path in (file,) if file else (data / "stratum.toml", Path("stratum.toml")):
        if file or path.is_file():
            values.update(_from_file(path))
            break
    for key in KEYS:
        name = "STRATUM_" + key.upper().replace(".", "_")
        if name in environ:
            values[key] = _parse(key, environ[name])
    values.update({key: _parse(key, text) for key, text in flags.items()})
    return _config(data.absolute(), values)


def _from_file(path: Path) -> dict[str, Value]:
    try:
        document = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InvalidConfig(f"{path}: {error}") from error
    values: dict[str, Value] = {}

    def walk(prefix: str, table: Mapping[str, object]) -> None:
        for name, value in table.items():
            key = f"{prefix}{name}"
            if isinstance(value, dict) and key not in KEYS:
                walk(f"{key}.", value)
            elif key not in KEYS:
                raise InvalidConfig(f"{path}: unknown key {key}")
            else:
                values[key] = _typed(key, value)

    walk("", document)
    return values


def _typed(key: str, value: object) -> Value:
    default = KEYS[key][0]
    if isinstance(default, tuple):
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
    elif isinstance(default, bool):
        if isinstance(value, bool):
            return value
    elif isinstance(default, float):
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    elif type(value) is type(default):
        assert isinstance(value, str | int)
        return value
    raise InvalidConfig(f"{key}: expected {_kind(default)}, not {value!r}")


def _parse(key: str, text: str) -> Value:
    default = KEYS[key][0]
    try:
        if isinstance(default, tuple):
            return tuple(item.strip() for item in text.split(",") if item.strip())
        if isinstance(default, bool):
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        return type(default)(text)
    except (KeyError, ValueError):
        raise InvalidConfig(f"{key}: expected {_kind(default)}, not {text!r}") from None


def _kind(default: Value) -> str:
    kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    return kinds.get(type(default), "a list of texts")


def _config(data: Path, values: Mapping[str, Value]) -> Config:
    def text(key: str) -> str:
        return str(values[key])

    def number(key: str, low: float, high: float = float("inf")) -> float:
        value = values[key]
        assert isinstance(value, int | float)
        if not low <= value <= high:
            raise InvalidConfig(f"{key}: {value} is outside {low} … {high}")
        return value

    def texts(key: str) -> tuple[str, ...]:
        value = values[key]
        assert isinstance(value, tuple)
        return value

    profile = ErasureProfile(int(number("erasure.data", 1)), int(number("erasure.parity", 0)))
    url = text("metadata.url")
    if not url.startswith("sqlite:///"):
        raise InvalidConfig(f"metadata.url: only sqlite:/// is supported, not {url!r}")
    return Config(
        data=data,
        listen=_listen(text("server.listen")),
        region=text("server.region"),
        domains=tuple(domain.lower() for domain in texts("server.domains")),
        website_domains=tuple(domain.lower() for domain in texts("website.domains")),
        webhooks=_webhooks(texts("notifications.webhooks"), text("server.region")),
        log_interval_s=number("logging.interval_s", 0.01),
        connections_max=int(number("server.connections_max", 1, 1_000_000)),
        shutdown_grace_s=number("server.shutdown_grace_s", 0),
        disks=_all_disks(data, {tier: texts(f"tiers.{tier}.disks") for tier in LOCAL}, profile),
        remote=remote_config(values),
        profile=profile,
        write_quorum=int(number("erasure.write_quorum", profile.data, profile.shards)),
        reserve_bytes=int(number("erasure.reserve_bytes", 0)),
        buffers=int(number("erasure.buffers", 4, 4096)),
        workers=int(number("erasure.workers", 0, 64)),
        tiering_enabled=bool(values["tiering.enabled"]),
        tiering_interval_s=number("tiering.interval_s", 0.01),
        day_s=number("tiering.day_s", 0.01),
        history_days=number("tiering.history_days", 0, 36_600),
        policy=one_of("tiering.policy", text("tiering.policy"), POLICIES),
        patience=one_of("tiering.patience", text("tiering.patience"), PATIENCES),
        prices=data / text("tiering.prices"),
        moves=MoveLimits(
            at_once=int(number("tiering.moves", 1, 64)),
            queue=int(number("tiering.queue", 1, 100_000)),
            attempts=int(number("tiering.attempts", 1, 100)),
            backoff_s=number("tiering.backoff_s", 0.001),
            bytes_per_s=number("tiering.bytes_per_s", 0),
            busy_bytes_per_s=number("tiering.busy_bytes_per_s", 0),
        ),
        high_watermark=number("tiering.high_watermark", 0.01, 1),
        low_watermark=number("tiering.low_watermark", 0, number("tiering.high_watermark", 0, 1)),
        spend_per_month=number("tiering.spend_per_month", 0),
        reclaim_grace_s=number("tiering.reclaim_grace_s", 0),
        object_ownership=_ownership(text("s3.object_ownership")),
        encryption=encryption_config(data, values),
        journal=_journal(data, url.removeprefix("sqlite:///")),
        upkeep=UpkeepConfig(
            days=number("scrub.days", 0), bytes_per_s=number("scrub.bytes_per_s", 1)
        ),
        copies=CopiesConfig(
            tier=_copies_tier(text("metadata.copies")),
            interval_s=number("metadata.copy_interval_s", 0.01),
            in_remote=bool(values["metadata.copy_in_cold"]),
            anchor_interval_s=number("metadata.anchor_interval_s", 0.01),
        ),
        anchor_key=data / text("metadata.anchor_key"),
    )


def _webhooks(given: tuple[str, ...], region: str) -> dict[str, str]:
    """URLs by the ARNs that buckets name them by."""
    found: dict[str, str] = {}
    for entry in given:
        name, equals, url = entry.partition("=")
        if not re.fullmatch("[A-Za-z0-9_-]{1,64}", name) or not equals:
            raise InvalidConfig(
                "notifications.webhooks: NAME=URL expected, a name of letters and"
                f" digits, not {name[:64]!r}"
            )
        found[f"arn:stratum:sqs:{region}:{name}:webhook"] = url
    return found


LOCAL = (Tier.HOT, Tier.WARM)


def _copies_tier(text: str) -> Tier | None:
    if text not in (*LOCAL, "none"):
        raise InvalidConfig(f"metadata.copies: hot, warm or none, not {text!r}")
    return None if text == "none" else Tier(text)


def _journal(data: Path, path: str) -> Path:
    """`DATA` at the beginning stands for the data directory."""
    return data / path.removeprefix("DATA/") if path.startswith("DATA/") else Path(path)


def _all_disks(
    data: Path, given: Mapping[Tier, tuple[str, ...]], profile: ErasureProfile
) -> dict[Tier, tuple[Path, ...]]:
    disks = {tier: _disks(data, tier, paths, profile) for tier, paths in given.items()}
    hot, warm = ({path.resolve() for path in disks[tier]} for tier in LOCAL)
    if hot & warm:
        raise InvalidConfig(f"tiers: {min(hot & warm)} is listed as a disk of both tiers")
    return disks


def _listen(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise InvalidConfig(f"server.listen: HOST:PORT expected, not {text!r}")
    return text


def _disks(
    data: Path, tier: Tier, given: tuple[str, ...], profile: ErasureProfile
) -> tuple[Path, ...]:
    if not given:
        return tuple(data / tier / f"disk{index}" for index in range(profile.shards))
    paths = tuple((data / path).absolute() for path in given)
    if len(paths) != profile.shards:
        raise InvalidConfig(
            f"tiers.{tier}.disks: {len(paths)} directories given; {profile.data} data and"
            f" {profile.parity} parity shards need {profile.shards}, one per disk"
        )
    if len({path.resolve() for path in paths}) != len(paths):
        raise InvalidConfig(f"tiers.{tier}.disks: a directory is listed twice")
    return paths


def _ownership(text: str) -> ObjectOwnership:
    try:
        return ObjectOwnership(text)
    except ValueError:
        allowed = ", ".join(ObjectOwnership)
        raise InvalidConfig(f"s3.object_ownership: {allowed}; not {text!r}") from None
