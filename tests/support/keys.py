"""Server-side encryption with keys in memory."""

import os

from stratum.adapters.master_keys import Keyring, MasterKey
from stratum.adapters.object_keys import WrappingKeys
from stratum.adapters.s3.digests import new_hasher
from stratum.app.sealing import Sealing
from stratum.domain.encryption import EncryptionConfiguration, SseMethod


class MemoryKeys:
    """Named keys that are made when they are asked for."""

    def __init__(self):
        self._rings = {}

    def ring(self, name):
        return self._rings.get(name)

    def ring_or_new(self, name):
        if name not in self._rings:
            self._rings[name] = Keyring([MasterKey(os.urandom(32))], "memory")
        return self._rings[name]


def sealing(*, encrypted=False):
    """`encrypted`: whatever comes without a wish is encrypted with SSE-S3."""
    wrapping = WrappingKeys(MemoryKeys(), "aws/s3", os.urandom)
    default = EncryptionConfiguration(SseMethod.S3) if encrypted else None
    return Sealing(wrapping, new_hasher, default, "aws/s3")
