"""Server-side encryption, put together."""

from __future__ import annotations

import os

from stratum.adapters.key_file import KeyFile
from stratum.adapters.object_keys import WrappingKeys
from stratum.adapters.s3.digests import new_hasher
from stratum.app.config import Config
from stratum.app.sealing import Sealing
from stratum.ports import NowMs


def open_key_file(config: Config, now_ms: NowMs) -> KeyFile:
    """The keyring; nothing is read yet."""
    return KeyFile(config.encryption.key_file, config.journal.parent, os.urandom, now_ms)


def make_sealing(config: Config, now_ms: NowMs) -> Sealing:
    """What encrypts, with the keys that the configuration names. Raises InvalidConfig."""
    own, keys = config.encryption, open_key_file(config, now_ms)
    keys.prepare(own.key_names)
    wrapping = WrappingKeys(keys, own.kms_default_key, os.urandom)
    return Sealing(wrapping, new_hasher, own.default, own.kms_default_key)
