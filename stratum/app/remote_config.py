"""The cold tier, as it is configured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stratum.domain.errors import InvalidConfig


@dataclass(frozen=True)
class RemoteConfig:
    """The cold tier. `secret_access_key` never appears in logs, events or status."""

    endpoint: str
    bucket: str
    prefix: str
    region: str
    access_key_id: str
    secret_access_key: str
    encrypt: bool = True

    def __repr__(self) -> str:
        return f"RemoteConfig({self.endpoint!r}, {self.bucket!r}, {self.prefix!r})"


def remote_config(values: Mapping[str, object]) -> RemoteConfig | None:
    """From the values of all keys. Raises InvalidConfig."""
    fields = {
        name: str(values[f"tiers.cold.{name}"])
        for name in (
            "endpoint",
            "bucket",
            "prefix",
            "region",
            "access_key_id",
            "secret_access_key",
        )
    }
    if not fields["endpoint"]:
        return None
    if not fields["endpoint"].startswith(("http://", "https://")):
        raise InvalidConfig("tiers.cold.endpoint: a URL with http:// or https://")
    for name in ("bucket", "access_key_id", "secret_access_key"):
        if not fields[name]:
            raise InvalidConfig(f"tiers.cold.{name}: needed with tiers.cold.endpoint")
    return RemoteConfig(**fields, encrypt=bool(values["tiers.cold.encrypt"]))
