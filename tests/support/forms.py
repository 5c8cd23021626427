"""Forms as browsers send them, and the policies that allow them."""

import base64
import datetime
import hashlib
import hmac
import json

from stratum.adapters.s3.dates import format_basic_date
from stratum.adapters.s3.signature import credential_scope, sign, signing_key

BOUNDARY = "----Boundary7MA4YWxk"


def encode_form(fields, file=b"", filename="photo.jpg", *, after=(), boundary=BOUNDARY):
    """A multipart/form-data body; `file` None leaves the file out."""
    body = b""
    for name, value in fields:
        body += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        ).encode()
    if file is not None:
        body += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"'
            "\r\nContent-Type: image/jpeg\r\n\r\n"
        ).encode()
        body += file + b"\r\n"
    for name, value in after:
        body += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        ).encode()
    return body + f"--{boundary}--\r\n".encode()


def content_type(boundary=BOUNDARY):
    return f"multipart/form-data; boundary={boundary}"


def policy(conditions, expires_s):
    """A policy in base64."""
    at = datetime.datetime.fromtimestamp(expires_s, datetime.UTC)
    document = {"expiration": at.strftime("%Y-%m-%dT%H:%M:%S.000Z"), "conditions": conditions}
    return base64.b64encode(json.dumps(document).encode()).decode()


def signed_v4(conditions, access_key_id, secret, now_s, lasting_s=600, region="us-east-1"):
    """The fields of a form signed with version 4, the conditions for its own fields added."""
    date = format_basic_date(now_s)
    own = {
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-credential": f"{access_key_id}/{credential_scope(date[:8], region)}",
        "x-amz-date": date,
    }
    text = policy([*conditions, *({name: value} for name, value in own.items())], now_s + lasting_s)
    signature = sign(signing_key(secret, date[:8], region), text)
    return {**own, "policy": text, "x-amz-signature": signature}


def signed_v2(conditions, access_key_id, secret, now_s, lasting_s=600):
    """The same with version 2."""
    text = policy(conditions, now_s + lasting_s)
    digest = hmac.digest(secret.encode(), text.encode(), hashlib.sha1)
    signature = base64.b64encode(digest).decode()
    return {"AWSAccessKeyId": access_key_id, "policy": text, "signature": signature}
