"""What SealedRemote promises beyond the contract of RemoteStore: nobody learns or changes anything.

The remote here belongs to an adversary, who does to what it keeps whatever these tests do.
"""

import os
from contextlib import aclosing, asynccontextmanager
from itertools import count

import pytest
import trio
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from stratum.adapters import sealed_remote
from stratum.adapters.master_keys import Keyring, MasterKey
from stratum.adapters.memory_remote import MemoryRemote
from stratum.adapters.sealed_format import HEADER_BYTES, SEGMENT_SIZE_BYTES
from stratum.adapters.sealed_remote import BATCH_BYTES, SealedRemote
from stratum.domain.errors import RemoteFailed
from stratum.domain.sealing import TAG_BYTES

NAME = "volumes/b5/0192f0c1a2b37c4d8e5f60718293a4b5"
OTHER = "volumes/b6/0192f0c1a2b37c4d8e5f60718293a4b6"
OLD_KEY, NEW_KEY = MasterKey(bytes(range(32))), MasterKey(bytes(range(32, 64)))
SEGMENT = 100
PLAIN_MAGIC = b"STRATUMR"
DATA = bytes(index * 7 % 251 for index in range(250))
SIZE = len(DATA)
"""Two whole segments and half a one."""


class Adversary(MemoryRemote):
    """Keeps objects, notes what is asked for, and can be opened up."""

    def __init__(self):
        super().__init__("remote")
        self.requests = []

    @asynccontextmanager
    async def read(self, name, start, stop):
        self.requests.append((start, stop))
        async with super().read(name, start, stop) as pieces:
            yield pieces

    def held(self, name=NAME):
        return self._objects[name]

    def replace(self, name, data):
        self._objects[name] = bytearray(data)


def ring(*keys):
    return Keyring(keys, "key-file")


def sealed(inner, *keys, **options):
    options = {"segment_size_bytes": SEGMENT, **options}
    return SealedRemote(inner, ring(*(keys or (OLD_KEY,))), **options)


async def put(remote, data=DATA, name=NAME):
    async def body():
        yield data

    async with aclosing(body()) as pieces:
        await remote.put(name, len(data), pieces)


async def get(remote, start=0, stop=SIZE, name=NAME, into=None):
    received = bytearray() if into is None else into
    async with remote.read(name, start, stop) as pieces:
        async for piece in pieces:
            assert len(piece)
            received += piece
    return bytes(received)


@pytest.fixture
async def inner():
    """A remote that holds DATA, sealed."""
    inner = Adversary()
    await put(sealed(inner))
    return inner


# -- the format ---------------------------------------------------------------------------------
KNOWN_ANSWER = (
    "5354524154554d53010000001000000015000000000000000c7d43d3ba54ee8f"
    "03b288c64acb6ee3e8e9eaebecedeeeff0f1f2f36cc3a2b6a08267a5de9bc5f1"
    "52b8db97133b59aa556eaeb2c87cd452dfc3e1eb5fa55c241a9aa947c5721b27"
    "5b56416cbfc8e24f46c3eb57765db0b7387cc9d40e9e286395d37b5479588e7e"
    "daa06545ce6f3dd398b9a1c839fa77a94e966300d1d702318a"
)
"""21 bytes in segments of 16, with what `counting` gives for the random bytes."""


def counting():
    """Bytes that tests can foretell."""
    numbers = count(200)
    return lambda length: bytes(next(numbers) % 256 for _ in range(length))


def opened_by_the_book(name, data, master_secret):
    """docs/storage-format.md, step by step, on primitives."""

    def gcm(key, nonce, sealed, aad=b""):
        decryptor = Cipher(algorithms.AES(key), modes.GCM(nonce, sealed[-16:])).decryptor()
        decryptor.authenticate_additional_data(aad)
        return decryptor.update(sealed[:-16]) + decryptor.finalize()

    assert data[:12] == b"STRATUMS\x01\x00\x00\x00"
    segment_size = int.from_bytes(data[12:16], "little")
    size = int.from_bytes(data[16:24], "little")
    data_key = gcm(master_secret, data[40:52], data[52:100], data[:40] + name.encode())
    plaintext, number, at = b"", 0, 100
    while at < len(data):
        segment = data[at : at + segment_size + 16]
        at += len(segment)
        nonce = number.to_bytes(11, "big") + (b"\x01" if at == len(data) else b"\x00")
        plaintext += gcm(data_key, nonce, segment)
        number += 1
    assert len(plaintext) == size
    return plaintext


async def test_the_format_does_not_change():
    inner = Adversary()
    await put(
        sealed(inner, OLD_KEY, random_bytes=counting(), segment_size_bytes=16),
        b"two segments, no more",
    )
    assert inner.held().hex() == KNOWN_ANSWER
    assert inner.held()[24:40] == OLD_KEY.id


@pytest.mark.parametrize("size", [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT])
async def test_the_description_is_enough_to_decrypt(size):
    inner = Adversary()
    data = os.urandom(size)
    await put(sealed(inner), data)
    assert opened_by_the_book(NAME, bytes(inner.held()), OLD_KEY.secret) == data
    assert await sealed(inner).size(NAME) == size


async def test_another_segment_size_is_read_from_the_header():
    inner = Adversary()
    await put(sealed(inner, segment_size_bytes=64))
    for segment_size in (32, 64, 1000, SEGMENT_SIZE_BYTES):
        remote = sealed(inner, segment_size_bytes=segment_size)
        assert await get(remote) == DATA
        assert await get(sealed(inner, segment_size_bytes=segment_size), 65, 200) == DATA[65:200]


# -- ranges -------------------------------------------------------------------------------------
@st.composite
def ranges(draw):
    """A size of up to twelve segments of 50 bytes, and a range in it; ends near the boundaries."""

    def near_a_boundary(low, high):
        edge = 50 * draw(st.integers(low // 50, high // 50)) + draw(st.integers(-2, 2))
        return min(max(low, edge), high)

    size = near_a_boundary(0, 600)
    start = near_a_boundary(0, size)
    return size, start, near_a_boundary(start, size)


@settings(max_examples=300)
@given(asked=ranges(), known=st.booleans(), per_batch=st.sampled_from([1, 2, 3, 99]))
def test_every_range_is_what_was_put(asked, known, per_batch):
    size, start, stop = asked
    data = os.urandom(size)

    async def go():
        inner = Adversary()
        remote = sealed(inner, segment_size_bytes=50)
        await put(remote, data)
        if not known:
            remote = sealed(inner, segment_size_bytes=50)
        assert await get(remote, start, stop) == data[start:stop]
        assert len(inner.requests) <= (1 if known else 2)
        if known and start < stop:
            # Exactly the segments that hold the range.
            first, last = start // 50, (stop - 1) // 50
            low = HEADER_BYTES + first * (50 + TAG_BYTES)
            high = HEADER_BYTES + min((last + 1) * 50, size) + (last + 1) * TAG_BYTES
            assert inner.requests == [(low, high)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealed_remote, "BATCH_BYTES", per_batch * 50)
        trio.run(go)


async def test_a_whole_object_is_one_request(inner):
    assert await get(sealed(inner)) == DATA
    assert inner.requests == [(0, len(inner.held()))]


async def test_large_objects_go_through_threads_in_batches():
    inner = Adversary()
    data = os.urandom(2 * BATCH_BYTES + 3 * SEGMENT_SIZE_BYTES + 17)
    remote = SealedRemote(inner, ring(OLD_KEY))
    await put(remote, data)
    assert opened_by_the_book(NAME, bytes(inner.held()), OLD_KEY.secret) == data
    assert await get(remote, 0, len(data)) == data
    assert await get(remote, 70_000, len(data) - 5) == data[70_000:-5]


async def test_ranges_beyond_the_end_are_refused_before_the_remote_is_asked(inner):
    remote = sealed(inner)
    await get(remote)
    inner.requests.clear()
    for start, stop in ((0, 251), (250, 251), (900, 901)):
        with pytest.raises(RemoteFailed, match="InvalidRange"):
            await get(remote, start, stop)
    assert not inner.requests


# -- secrecy ------------------------------------------------------------------------------------
async def test_the_remote_sees_neither_the_bytes_nor_what_they_are():
    inner = Adversary()
    secret = b"bucket=payroll key=salaries/2026.csv " * 40
    await put(sealed(inner, segment_size_bytes=SEGMENT_SIZE_BYTES), secret)
    held = bytes(inner.held())
    assert not any(secret[at : at + 8] in held for at in range(len(secret) - 8))
    assert OLD_KEY.secret not in held


async def test_the_same_bytes_look_different_each_time():
    inner = Adversary()
    remote = sealed(inner)
    await put(remote)
    before = bytes(inner.held())
    await put(remote)
    await put(remote, name=OTHER)
    copies = (before, bytes(inner.held()), bytes(inner.held(OTHER)))
    bodies = {
        copy[HEADER_BYTES + at : HEADER_BYTES + at + 16] for copy in copies for at in (0, 116)
    }
    assert len(bodies) == 6


async def test_keys_are_never_shown(inner):
    remote = sealed(inner)
    await put(remote)
    shown = f"{remote!r} {vars(remote)} {OLD_KEY!r} {ring(OLD_KEY)!r} {remote.describe()}"
    assert OLD_KEY.secret.hex() not in shown
    assert repr(OLD_KEY.secret) not in shown
    (seal,) = remote._known.values()
    assert repr(seal.data_key) not in shown + repr(seal)
    assert remote.describe() == f"remote (encrypted with key {OLD_KEY.short_id})"


# -- integrity ----------------------------------------------------------------------------------
async def refused(remote, start=0, stop=SIZE, name=NAME):
    """That a read raises RemoteFailed, and gave nothing but right bytes before."""
    received = bytearray()
    with pytest.raises(RemoteFailed):
        await get(remote, start, stop, name, received)
    assert received == DATA[start : start + len(received)]
    return True


async def test_no_byte_can_be_changed(inner, monkeypatch):
    monkeypatch.setattr(sealed_remote, "BATCH_BYTES", SEGMENT)
    for at in range(len(inner.held())):
        inner.corrupt(NAME, at)
        assert await refused(sealed(inner)), at
        inner.corrupt(NAME, at)
    assert await get(sealed(inner)) == DATA


async def test_damage_at_the_beginning_is_known_before_the_first_byte(inner):
    inner.corrupt(NAME, HEADER_BYTES)
    with pytest.raises(RemoteFailed, match="segment 0"):
        async with sealed(inner).read(NAME, 0, 10):
            pytest.fail("entered")


async def test_segments_that_are_intact_can_be_read(inner):
    inner.corrupt(NAME, HEADER_BYTES)
    assert await get(sealed(inner), 100, 250) == DATA[100:]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("left", [0, 50, HEADER_BYTES, HEADER_BYTES + 116, HEADER_BYTES + 232, -1])
async def test_truncation(inner, left, known):
    remote = sealed(inner)
    if known:
        await get(remote)
    inner.replace(NAME, inner.held()[:left])
    assert await refused(remote)
    # Even what claims to be an object that ends there.
    assert await remote.size(NAME) != len(DATA)


async def test_a_shorter_object_cannot_be_claimed(inner):
    """The last segment is marked, and the size belongs to the header."""
    cut = inner.held()[: HEADER_BYTES + 2 * 116]
    cut[16:24] = (200).to_bytes(8, "little")
    inner.replace(NAME, cut)
    assert await refused(sealed(inner), 0, 200)


async def test_more_bytes_after_the_end(inner):
    inner.replace(NAME, inner.held() + bytes(5))
    assert await sealed(inner).size(NAME) == len(DATA) + 5


async def test_segments_cannot_be_swapped_repeated_or_left_out(inner):
    held = bytes(inner.held())
    header, one, two, last = held[:100], held[100:216], held[216:332], held[332:]
    for order in ((two, one, last), (one, one, last), (two, two, last), (one, last), (last, two)):
        inner.replace(NAME, header + b"".join(order))
        assert await refused(sealed(inner))


async def test_objects_cannot_be_swapped_or_mixed(inner):
    await put(sealed(inner), name=OTHER)
    mine, others = bytes(inner.held()), bytes(inner.held(OTHER))
    for forged in (others, mine[:100] + others[100:], others[:100] + mine[100:]):
        inner.replace(NAME, forged)
        assert await refused(sealed(inner))


async def test_a_plain_object_is_not_taken_for_a_sealed_one(inner):
    inner.replace(NAME, PLAIN_MAGIC + bytes(300))
    with pytest.raises(RemoteFailed, match="not a sealed object"):
        await get(sealed(inner))
    with pytest.raises(RemoteFailed, match="not a sealed object"):
        await sealed(inner).size(NAME)


# -- keys ---------------------------------------------------------------------------------------
async def test_rotation_reads_the_old_and_seals_with_the_new(inner):
    remote = sealed(inner, NEW_KEY, OLD_KEY)
    assert await get(remote) == DATA
    await put(remote, name=OTHER)
    assert inner.held(OTHER)[24:40] == NEW_KEY.id
    assert await get(sealed(inner, NEW_KEY), name=OTHER) == DATA


async def test_a_key_that_is_missing_is_named(inner):
    for keys in ((), (NEW_KEY,)):
        remote = SealedRemote(inner, ring(*keys), segment_size_bytes=SEGMENT)
        for call in (get, lambda remote: remote.size(NAME)):
            with pytest.raises(RemoteFailed, match=f"{OLD_KEY.id.hex()}.*key-file"):
                await call(remote)


async def test_nothing_leaves_without_a_key():
    inner = Adversary()
    remote = SealedRemote(inner, ring())
    assert "missing" in remote.describe()
    with pytest.raises(RemoteFailed, match="no master key"):
        await put(remote)
    assert [name async for name in inner.names()] == []


# -- plain objects ------------------------------------------------------------------------------
PLAIN = PLAIN_MAGIC + bytes(range(200))


@pytest.mark.parametrize("sealing", [True, False])
async def test_plain_and_sealed_objects_side_by_side(inner, sealing):
    inner.replace(OTHER, PLAIN)
    for start, stop in ((0, 208), (0, 8), (3, 120), (120, 208), (207, 208), (150, 160)):
        remote = sealed(inner, sealing=sealing, plain_magic=PLAIN_MAGIC)
        for _ in range(2):
            assert await get(remote, start, stop, OTHER) == PLAIN[start:stop]
            assert await get(remote, start, stop) == DATA[start:stop]
        assert await remote.size(OTHER) == len(PLAIN)
        assert await remote.size(NAME) == len(DATA)


async def test_without_sealing_objects_are_put_as_they_are(inner):
    remote = sealed(inner, sealing=False, plain_magic=PLAIN_MAGIC)
    assert await get(remote) == DATA
    await put(remote, PLAIN)
    assert inner.held() == PLAIN
    inner.requests.clear()
    restarted = SealedRemote(inner, ring(), sealing=False, plain_magic=PLAIN_MAGIC)
    assert await get(restarted, 150, len(PLAIN)) == PLAIN[150:]
    assert inner.requests == [(0, len(PLAIN))]
    assert remote.describe() == "remote"


# -- what is remembered -------------------------------------------------------------------------
async def test_an_object_put_again_is_read_with_its_new_key(inner):
    remote = sealed(inner)
    await get(remote)
    await put(remote, DATA[::-1])
    assert await get(remote) == DATA[::-1]
    inner.lose_next_answers(1)
    with pytest.raises(RemoteFailed):
        await put(remote, DATA)
    assert await get(remote) == DATA


async def test_a_header_that_went_stale_is_asked_for_again(inner):
    remote = sealed(inner)
    await get(remote)
    await put(sealed(inner), DATA[::-1])
    with pytest.raises(RemoteFailed):
        await get(remote)
    assert await get(remote) == DATA[::-1]


async def test_headers_that_are_kept_are_few(monkeypatch):
    monkeypatch.setattr(sealed_remote, "HEADERS_KNOWN_MAX", 3)
    inner = Adversary()
    remote = sealed(inner)
    names = [f"volumes/00/{number:032x}" for number in range(5)]
    for name in names:
        await put(remote, name=name)
    assert list(remote._known) == names[2:]
    await get(remote, name=names[2])
    await get(remote, name=names[0])
    assert list(remote._known) == [names[4], names[2], names[0]]
    await remote.delete(names[2])
    assert names[2] not in remote._known


# -- failures of the remote ---------------------------------------------------------------------
async def test_a_read_that_breaks_off_gives_right_bytes_until_then(inner, monkeypatch):
    monkeypatch.setattr(sealed_remote, "BATCH_BYTES", SEGMENT)
    remote = sealed(inner)
    await get(remote)
    for after in range(len(inner.held()) - HEADER_BYTES):
        inner.truncate_next_read(after)
        assert await refused(remote)
    assert await get(remote) == DATA


async def test_a_remote_that_fails_says_why(inner):
    inner.fail_next(10, "SlowDown")
    for call in (get, put, lambda remote: remote.size(NAME), lambda remote: remote.delete(NAME)):
        with pytest.raises(RemoteFailed, match="SlowDown"):
            await call(sealed(inner))
