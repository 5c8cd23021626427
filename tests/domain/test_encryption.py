"""Which encryption counts, and when a client's key is asked for."""

import pytest

from stratum.domain.encryption import (
    NO_WISH,
    CustomerKey,
    Encryption,
    EncryptionConfiguration,
    EncryptionWish,
    SseMethod,
    check_key_given,
    check_part_key_given,
    hides_md5,
    wanted_encryption,
)
from stratum.domain.errors import AccessDenied, InvalidArgument, InvalidRequest

KEY = CustomerKey(bytes(32))
S3 = EncryptionWish(SseMethod.S3)
CUSTOMER = EncryptionWish(SseMethod.CUSTOMER, customer_key=KEY)


def kms(key_id=""):
    return EncryptionWish(SseMethod.KMS, key_id)


@pytest.mark.parametrize(
    ("wish", "default", "wanted"),
    [
        (NO_WISH, None, None),
        (NO_WISH, EncryptionConfiguration(SseMethod.S3), S3),
        (NO_WISH, EncryptionConfiguration(SseMethod.KMS, "mine"), kms("mine")),
        (NO_WISH, EncryptionConfiguration(SseMethod.KMS), kms("aws/s3")),
        (S3, None, S3),
        (S3, EncryptionConfiguration(SseMethod.KMS, "mine"), S3),
        (kms("yours"), EncryptionConfiguration(SseMethod.KMS, "mine"), kms("yours")),
        # The bucket's key is not for those who name the method themselves.
        (kms(), EncryptionConfiguration(SseMethod.KMS, "mine"), kms("aws/s3")),
        (CUSTOMER, EncryptionConfiguration(SseMethod.S3), CUSTOMER),
    ],
)
def test_the_request_counts_then_the_bucket(wish, default, wanted):
    assert wanted_encryption(wish, default, "aws/s3") == wanted


def test_a_server_without_a_default_key_wants_one_named():
    with pytest.raises(InvalidArgument):
        wanted_encryption(kms(), None, "")
    assert wanted_encryption(kms("mine"), None, "") == kms("mine")


def test_a_bucket_can_refuse_keys_of_clients():
    default = EncryptionConfiguration(SseMethod.S3, blocks_customer_keys=True)
    with pytest.raises(AccessDenied):
        wanted_encryption(CUSTOMER, default, "")
    assert wanted_encryption(NO_WISH, default, "") == S3


@pytest.mark.parametrize("check", [check_key_given, check_part_key_given])
def test_a_clients_key_comes_exactly_where_it_is_needed(check):
    needing = Encryption(SseMethod.CUSTOMER, "")
    for encryption in (None, Encryption(SseMethod.S3, ""), Encryption(SseMethod.KMS, "")):
        check(encryption, None)
        with pytest.raises(InvalidRequest):
            check(encryption, KEY)
    check(needing, KEY)
    with pytest.raises(InvalidRequest):
        check(needing, None)


def test_whose_etag_is_an_md5():
    assert not hides_md5(None)
    assert not hides_md5(Encryption(SseMethod.S3, ""))
    assert hides_md5(Encryption(SseMethod.KMS, ""))
    assert hides_md5(Encryption(SseMethod.CUSTOMER, ""))


def test_a_clients_key_is_not_shown():
    assert repr(CustomerKey(b"s" * 32)) == "CustomerKey()"
    assert KEY.md5 == "cLxh0G4PIZYkTXS4/2ywMg==" or len(KEY.md5) == 24
