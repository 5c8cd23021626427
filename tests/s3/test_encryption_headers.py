"""Headers of server-side encryption, each way they can be wrong with the error Amazon gives."""

import base64
import hashlib
import json

import pytest

from stratum.adapters.s3.encryption_headers import (
    SOURCE_CUSTOMER,
    customer_key,
    encryption_headers,
    encryption_wish,
    refuse_customer_keys,
    refuse_on_read,
)
from stratum.adapters.s3.errors import translate
from stratum.domain.encryption import NO_WISH, CustomerKey, Encryption, EncryptionWish, SseMethod

SSE = "x-amz-server-side-encryption"
CUSTOMER = f"{SSE}-customer-"
SECRET = bytes(range(32))
KEY = base64.b64encode(SECRET).decode()
MD5 = base64.b64encode(hashlib.md5(SECRET).digest()).decode()
CONTEXT = base64.b64encode(json.dumps({"project": "x"}).encode()).decode()


def of_client(prefix=CUSTOMER, **changes):
    values = {"algorithm": "AES256", "key": KEY, "key-md5": MD5}
    values |= {name.replace("_", "-"): value for name, value in changes.items()}
    return {prefix + name: value for name, value in values.items() if value is not None}


def code_of(act, *arguments):
    with pytest.raises(Exception) as refusal:
        act(*arguments)
    wire = translate(refusal.value)
    assert KEY not in wire.message + str(wire.fields)
    return wire.code


@pytest.mark.parametrize(
    ("headers", "wish"),
    [
        ({}, NO_WISH),
        ({SSE: "AES256"}, EncryptionWish(SseMethod.S3)),
        ({SSE: "aws:kms"}, EncryptionWish(SseMethod.KMS)),
        (
            {SSE: "aws:kms", f"{SSE}-aws-kms-key-id": "mine", f"{SSE}-context": CONTEXT},
            EncryptionWish(SseMethod.KMS, "mine", CONTEXT),
        ),
        (of_client(), EncryptionWish(SseMethod.CUSTOMER, customer_key=CustomerKey(SECRET))),
        ({SSE: "AES256", f"{SSE}-bucket-key-enabled": "true"}, EncryptionWish(SseMethod.S3)),
    ],
)
def test_what_is_asked_for(headers, wish):
    assert encryption_wish(headers) == wish


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({SSE: "aes:kms"}, "InvalidArgument"),
        ({SSE: ""}, "InvalidArgument"),
        ({SSE: "SSE-C"}, "InvalidArgument"),
        ({SSE: "aws:kms:dsse"}, "NotImplemented"),
        ({SSE: "AES256", f"{SSE}-aws-kms-key-id": "mine"}, "InvalidArgument"),
        ({f"{SSE}-aws-kms-key-id": "mine"}, "InvalidArgument"),
        ({f"{SSE}-context": CONTEXT}, "InvalidArgument"),
        ({SSE: "aws:kms", f"{SSE}-context": "{}"}, "InvalidArgument"),
        ({SSE: "aws:kms", f"{SSE}-context": "W10="}, "InvalidArgument"),
        ({SSE: "aws:kms", f"{SSE}-context": "eyJhIjogMX0="}, "InvalidArgument"),
        ({SSE: "aws:kms", **of_client()}, "InvalidArgument"),
        ({SSE: "AES256", **of_client()}, "InvalidArgument"),
        ({f"{SSE}-aws-kms-key-id": "mine", **of_client()}, "InvalidArgument"),
    ],
)
def test_what_can_not_be_asked_for(headers, code):
    assert code_of(encryption_wish, headers) == code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"algorithm": None}, "InvalidArgument"),
        ({"algorithm": "AES192"}, "InvalidEncryptionAlgorithmError"),
        ({"algorithm": "aes256"}, "InvalidEncryptionAlgorithmError"),
        ({"key": None}, "InvalidArgument"),
        ({"key": "not base64"}, "InvalidArgument"),
        ({"key": base64.b64encode(b"short").decode()}, "InvalidArgument"),
        ({"key": ""}, "InvalidArgument"),
        ({"key_md5": None}, "InvalidArgument"),
        ({"key_md5": "AAAAAAAAAAAAAAAAAAAAAA=="}, "InvalidArgument"),
        ({"key_md5": "ä"}, "InvalidArgument"),
        ({"key": None, "key_md5": None}, "InvalidArgument"),
    ],
)
@pytest.mark.parametrize("prefix", [CUSTOMER, SOURCE_CUSTOMER])
def test_a_clients_key_is_whole_and_right(changes, code, prefix):
    assert customer_key(of_client(prefix), prefix) == CustomerKey(SECRET)
    assert code_of(customer_key, of_client(prefix, **changes), prefix) == code


def test_the_two_keys_of_a_copy_are_not_mixed_up():
    headers = of_client(SOURCE_CUSTOMER)
    assert customer_key(headers) is None
    assert encryption_wish(headers) == NO_WISH


@pytest.mark.parametrize("name", [SSE, f"{SSE}-aws-kms-key-id", f"{SSE}-context"])
def test_reading_is_not_the_time_to_ask(name):
    refuse_on_read(of_client())
    assert code_of(refuse_on_read, {name: "aws:kms"}) == "InvalidArgument"


def test_a_clients_key_needs_a_connection_of_its_own():
    for headers in (of_client(), of_client(SOURCE_CUSTOMER)):
        assert code_of(refuse_customer_keys, headers) == "InvalidRequest"
    refuse_customer_keys({SSE: "AES256"})


def test_what_an_answer_says():
    assert encryption_headers(None) == {}
    assert encryption_headers(Encryption(SseMethod.S3, "wrapped")) == {SSE: "AES256"}
    assert encryption_headers(Encryption(SseMethod.KMS, "wrapped", "", "mine", CONTEXT)) == {
        SSE: "aws:kms",
        f"{SSE}-aws-kms-key-id": "mine",
        f"{SSE}-context": CONTEXT,
    }
    of_customer = Encryption(SseMethod.CUSTOMER, "wrapped")
    assert encryption_headers(of_customer) == {}
    assert encryption_headers(of_customer, CustomerKey(SECRET)) == {
        f"{CUSTOMER}algorithm": "AES256",
        f"{CUSTOMER}key-md5": MD5,
    }
