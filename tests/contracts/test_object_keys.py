"""Data keys: wrapped by the right key, bound to their object, one for each plaintext."""

import base64
import hashlib
import hmac
import json
import os

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from stratum.adapters.key_file import KeyFile
from stratum.adapters.object_keys import WrappingKeys, key_name
from stratum.domain.encryption import STORE_KEY, CustomerKey, EncryptionWish, SseMethod
from stratum.domain.errors import InvalidRequest, NoSuchKmsKey, SealBroken

CLIENT, OTHER_CLIENT = CustomerKey(b"c" * 32), CustomerKey(b"d" * 32)
S3 = EncryptionWish(SseMethod.S3)
KMS = EncryptionWish(SseMethod.KMS, "mine", "e30=")
CUSTOMER = EncryptionWish(SseMethod.CUSTOMER, customer_key=CLIENT)
WISHES = pytest.mark.parametrize("wish", [S3, KMS, CUSTOMER], ids=["s3", "kms", "customer"])
SIZE = 10


@pytest.fixture
def file(tmp_path):
    file = KeyFile(tmp_path / "keys.toml", tmp_path, os.urandom, lambda: 0)
    file.add("mine")
    return file


@pytest.fixture
def keys(file):
    return WrappingKeys(file, "aws/s3", os.urandom)


def sealed(data_key, salt="", text=b"plaintext"):
    out = bytearray(len(text) + 16)
    data_key.cipher(salt, SIZE).seal_into(0, memoryview(text), memoryview(out), last=True)
    return bytes(out)


def customer_key(wish):
    return wish.customer_key


@WISHES
def test_what_was_wrapped_is_unwrapped(keys, wish):
    encryption, made = keys.make(wish, "bucket", "key")
    assert encryption.method is wish.method
    found = keys.unwrap(encryption, "bucket", "key", customer_key(wish))
    assert sealed(found) == sealed(made)
    assert found.hidden("m") == made.hidden("m")


@WISHES
def test_every_data_key_is_new(keys, wish):
    assert sealed(keys.make(wish, "b", "k")[1]) != sealed(keys.make(wish, "b", "k")[1])


@WISHES
def test_a_wrapped_key_is_of_one_object(keys, wish):
    encryption, _ = keys.make(wish, "bucket", "key")
    for bucket, key in (("bucket", "other"), ("other", "key")):
        with pytest.raises((SealBroken, InvalidRequest)):
            keys.unwrap(encryption, bucket, key, customer_key(wish))


def test_the_description_is_enough_to_unwrap(keys, file):
    """docs/storage-format.md, step by step."""

    def by_the_book(master, encryption, bucket, key):
        wrapped = base64.b64decode(encryption.wrapped_key)
        bound_to = json.dumps(
            [encryption.method, encryption.key_id, encryption.context, bucket, key],
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode()
        return AESGCM(master).decrypt(wrapped[:12], wrapped[12:], bound_to)

    masters = {
        S3: file.ring_or_new(STORE_KEY).newest.secret,
        KMS: file.ring("mine").newest.secret,
        CUSTOMER: hmac.digest(CLIENT.secret, b"stratum/sse-c/wrap", hashlib.sha256),
    }
    for wish, master in masters.items():
        encryption, made = keys.make(wish, "bucket", "käy")
        data_key = by_the_book(master, encryption, "bucket", "käy")
        nonce = bytes(11) + b"\x01"
        assert AESGCM(data_key).decrypt(nonce, sealed(made), None) == b"plaintext"
        part_key = hmac.digest(data_key, b"stratum/sse/part/salt", hashlib.sha256)
        assert AESGCM(part_key).decrypt(nonce, sealed(made, "salt"), None) == b"plaintext"


def test_each_part_has_a_key_of_its_own(keys):
    _, made = keys.make(S3, "b", "k")
    assert len({sealed(made, salt) for salt in ("", "a", "b")}) == 3


def test_another_key_of_the_client_is_refused(keys):
    encryption, _ = keys.make(CUSTOMER, "b", "k")
    with pytest.raises(InvalidRequest):
        keys.unwrap(encryption, "b", "k", OTHER_CLIENT)


def test_nothing_is_stored_of_a_clients_key(keys):
    one, _ = keys.make(CUSTOMER, "b", "k")
    other, _ = keys.make(CUSTOMER, "b", "k")
    assert one.master_id == ""
    assert one.wrapped_key != other.wrapped_key
    for form in (CLIENT.secret.hex(), CLIENT.md5, base64.b64encode(CLIENT.secret).decode()):
        assert form not in repr(one)
    assert "cccc" not in repr(CUSTOMER)


def test_rotation_keeps_old_objects_readable(keys, file):
    old, made = keys.make(KMS, "b", "k")
    file.rotate("mine")
    new, _ = keys.make(KMS, "b", "k")
    assert new.master_id != old.master_id
    assert sealed(keys.unwrap(old, "b", "k", None)) == sealed(made)


def test_a_data_key_is_wrapped_anew_without_a_change(keys, file):
    old, made = keys.make(S3, "b", "k")
    new = keys.rewrap(old, EncryptionWish(SseMethod.KMS, "mine"), "b", "k")
    assert (new.method, new.key_id) == (SseMethod.KMS, "mine")
    assert new.wrapped_key != old.wrapped_key
    assert sealed(keys.unwrap(new, "b", "k", None)) == sealed(made)
    with pytest.raises(NoSuchKmsKey):
        keys.rewrap(old, EncryptionWish(SseMethod.KMS, "nobody"), "b", "k")


def test_a_version_that_is_gone_is_said_to_be(keys, file, tmp_path):
    of_store, _ = keys.make(S3, "b", "k")
    of_kms, _ = keys.make(KMS, "b", "k")
    (tmp_path / "keys.toml").unlink()
    (tmp_path / "encryption-keys-made").unlink()
    file.add("mine")
    with pytest.raises(NoSuchKmsKey):
        keys.unwrap(of_kms, "b", "k", None)
    with pytest.raises(SealBroken, match="which is not there"):
        keys.unwrap(of_store, "b", "k", None)


@pytest.mark.parametrize("name", ["nobody", "", STORE_KEY, "alias/stratum/sse-s3"])
def test_a_key_that_is_not_there_or_not_for_clients_is_refused(keys, file, name):
    file.ring_or_new(STORE_KEY)
    with pytest.raises(NoSuchKmsKey):
        keys.make(EncryptionWish(SseMethod.KMS, name), "b", "k")


def test_the_default_key_is_made_when_it_is_needed(keys, file):
    assert file.ring("aws/s3") is None
    encryption, _ = keys.make(EncryptionWish(SseMethod.KMS, "aws/s3"), "b", "k")
    assert encryption.key_id == "aws/s3"
    assert file.ring("aws/s3") is not None


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("mine", "mine"),
        ("alias/mine", "mine"),
        ("alias/aws/s3", "aws/s3"),
        ("arn:aws:kms:us-east-1:123456789012:key/mine", "mine"),
        ("arn:aws:kms:us-east-1:123456789012:alias/aws/s3", "aws/s3"),
        ("arn:nonsense", "arn:nonsense"),
    ],
)
def test_ways_to_name_a_key(given, name):
    assert key_name(given) == name
