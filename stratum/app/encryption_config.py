"""The configuration of server-side encryption, from the values of the table in `config`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stratum.domain.encryption import STORE_KEY, EncryptionConfiguration, SseMethod
from stratum.domain.errors import InvalidConfig


@dataclass(frozen=True)
class EncryptionConfig:
    """Server-side encryption. `default` is for buckets that are not configured themselves."""

    default: EncryptionConfiguration | None
    key_file: Path
    kms_keys: tuple[str, ...]
    kms_default_key: str
    customer_keys_over_http: str
    """`local`: on connections from this machine; `always`, `never`."""

    @property
    def key_names(self) -> tuple[str, ...]:
        """Keys that must be there from the start."""
        if self.default is None:
            return self.kms_keys
        own = STORE_KEY if self.default.method is SseMethod.S3 else self.kms_default_key
        return (*self.kms_keys, *((own,) if own else ()))


def encryption_config(data: Path, values: Mapping[str, object]) -> EncryptionConfig:
    """Raises InvalidConfig with the key and what is wrong with it."""
    names = values["encryption.kms_keys"]
    assert isinstance(names, tuple)
    over_http = "encryption.customer_keys_over_http"
    return EncryptionConfig(
        default=_sse_default(str(values["encryption.default"])),
        key_file=data / str(values["encryption.key_file"]),
        kms_keys=names,
        kms_default_key=str(values["encryption.kms_default_key"]),
        customer_keys_over_http=one_of(
            over_http, str(values[over_http]), ("local", "always", "never")
        ),
    )


def _sse_default(text: str) -> EncryptionConfiguration | None:
    if not text:
        return None
    methods = (SseMethod.S3.value, SseMethod.KMS.value)
    return EncryptionConfiguration(SseMethod(one_of("encryption.default", text, methods)))


def one_of(key: str, text: str, allowed: tuple[str, ...]) -> str:
    """The text if it is allowed; raise InvalidConfig."""
    if text not in allowed:
        raise InvalidConfig(f"{key}: {', '.join(allowed[:-1])} or {allowed[-1]}, not {text!r}")
    return text
