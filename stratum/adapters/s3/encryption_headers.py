"""Headers of server-side encryption: what a request asks for and brings, what an answer says.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerSideEncryptionCustomerKeys.html and
https://docs.aws.amazon.com/AmazonS3/latest/userguide/specifying-kms-encryption.html; the text of
errors is Amazon's.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json

from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.request import Headers
from stratum.domain.encryption import (
    NO_WISH,
    CustomerKey,
    Encryption,
    EncryptionWish,
    SseMethod,
)
from stratum.domain.errors import InvalidArgument, InvalidRequest

PREFIX = "x-amz-server-side-encryption"
METHOD = PREFIX
KEY_ID = f"{PREFIX}-aws-kms-key-id"
CONTEXT = f"{PREFIX}-context"
BUCKET_KEY = f"{PREFIX}-bucket-key-enabled"
CUSTOMER = f"{PREFIX}-customer-"
SOURCE_CUSTOMER = "x-amz-copy-source-server-side-encryption-customer-"

CUSTOMER_ALGORITHM = "AES256"
CUSTOMER_KEY_BYTES = 32
CONTEXT_LENGTH_MAX_BYTES = 8192
KEY_ID_LENGTH_MAX = 2048
DOUBLE_LAYER = "aws:kms:dsse"


def encryption_wish(headers: Headers) -> EncryptionWish:
    """What a PUT, a copy or a new upload asks for.

    Raises InvalidArgument, S3Error InvalidEncryptionAlgorithmError, NotImplemented for double
    encryption (DSSE).
    """
    customer = customer_key(headers)
    asked = headers.get(METHOD)
    if customer is not None:
        if asked is not None:
            raise InvalidArgument(
                "Server Side Encryption with Customer provided key is incompatible with the"
                " encryption method specified",
                METHOD,
                asked[:100],
            )
        _only_with_kms(headers)
        return EncryptionWish(SseMethod.CUSTOMER, customer_key=customer)
    if asked is None:
        _only_with_kms(headers)
        return NO_WISH
    method = sse_method(asked)
    if method is SseMethod.KMS:
        return EncryptionWish(method, headers.get(KEY_ID, "")[:KEY_ID_LENGTH_MAX], context(headers))
    _only_with_kms(headers)
    return EncryptionWish(method)


def sse_method(text: str) -> SseMethod:
    """AES256 or aws:kms; raise InvalidArgument, S3Error NotImplemented for DSSE."""
    if text == DOUBLE_LAYER:
        raise S3Error(
            "NotImplemented",
            f"Dual-layer server-side encryption ({DOUBLE_LAYER}) is not implemented",
            fields={"Header": METHOD},
        )
    if text not in (SseMethod.S3, SseMethod.KMS):
        raise InvalidArgument(
            "The encryption method specified is not supported", METHOD, text[:100]
        )
    return SseMethod(text)


def customer_key(headers: Headers, prefix: str = CUSTOMER) -> CustomerKey | None:
    """The client's own key, None without one; `prefix` SOURCE_CUSTOMER for that of a copy's source.

    Raises InvalidArgument, S3Error InvalidEncryptionAlgorithmError. No error repeats the key.
    """
    algorithm = headers.get(f"{prefix}algorithm")
    key = headers.get(f"{prefix}key")
    md5 = headers.get(f"{prefix}key-md5")
    if algorithm is None and key is None and md5 is None:
        return None
    about = "Requests specifying Server Side Encryption with Customer provided keys must provide"
    if algorithm is None:
        raise InvalidArgument(f"{about} a valid encryption algorithm.", f"{prefix}algorithm")
    if algorithm != CUSTOMER_ALGORITHM:
        raise S3Error(
            "InvalidEncryptionAlgorithmError",
            fields={"ArgumentName": f"{prefix}algorithm", "ArgumentValue": algorithm[:100]},
        )
    if key is None:
        raise InvalidArgument(f"{about} an appropriate secret key.", f"{prefix}key")
    secret = _base64(key)
    if secret is None or len(secret) != CUSTOMER_KEY_BYTES:
        raise InvalidArgument(
            "The secret key was invalid for the specified algorithm.", f"{prefix}key"
        )
    if md5 is None:
        raise InvalidArgument(
            f"{about} the client calculated MD5 of the secret key.", f"{prefix}key-MD5"
        )
    digest = hashlib.md5(secret, usedforsecurity=False).digest()
    if not hmac.compare_digest(_base64(md5) or b"", digest):
        raise InvalidArgument(
            "The calculated MD5 hash of the key did not match the hash that was provided.",
            f"{prefix}key-MD5",
            md5[:100],
        )
    return CustomerKey(secret)


def refuse_on_read(headers: Headers) -> None:
    """How an object is encrypted is no question of reading it. Raises InvalidArgument."""
    for name in (METHOD, KEY_ID, CONTEXT, BUCKET_KEY):
        if name in headers:
            raise InvalidArgument(
                f"{name} header is not supported for this operation.", name, headers[name][:100]
            )


def refuse_customer_keys(headers: Headers) -> None:
    """For connections that others could listen to. Raises InvalidRequest."""
    if any(name.startswith((CUSTOMER, SOURCE_CUSTOMER)) for name in headers):
        raise InvalidRequest(
            "Requests specifying Server Side Encryption with Customer provided keys must be made"
            " over a secure connection."
        )


def context(headers: Headers) -> str:
    """x-amz-server-side-encryption-context as given: base64 of a JSON object of strings; raise
    InvalidArgument."""
    text = headers.get(CONTEXT)
    if text is None:
        return ""
    try:
        found = json.loads(_base64(text[:CONTEXT_LENGTH_MAX_BYTES]) or b"")
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise InvalidArgument(
            "The header x-amz-server-side-encryption-context shall be Base64-encoded UTF-8 string"
            " holding JSON which represents a string-string map",
            CONTEXT,
            text[:100],
        )
    return text


def encryption_headers(
    encryption: Encryption | None, customer: CustomerKey | None = None
) -> dict[str, str]:
    """What an answer says of an object's encryption; `customer` is the key the request brought.

    There are no bucket keys here, so x-amz-server-side-encryption-bucket-key-enabled is not sent.
    """
    if encryption is None:
        return {}
    if encryption.method is SseMethod.CUSTOMER:
        if customer is None:
            return {}
        return {f"{CUSTOMER}algorithm": CUSTOMER_ALGORITHM, f"{CUSTOMER}key-md5": customer.md5}
    headers = {METHOD: encryption.method.value}
    if encryption.key_id:
        headers[KEY_ID] = encryption.key_id
    if encryption.context:
        headers[CONTEXT] = encryption.context
    return headers


def _only_with_kms(headers: Headers) -> None:
    for name in (KEY_ID, CONTEXT):
        if name in headers:
            raise InvalidArgument(
                "Server Side Encryption with AWS KMS managed key requires HTTP header"
                " x-amz-server-side-encryption : aws:kms",
                name,
                headers[name][:100],
            )


def _base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeError, binascii.Error):
        return None
