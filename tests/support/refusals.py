"""Expecting an error of S3."""

from contextlib import contextmanager

import pytest
from botocore.exceptions import ClientError


class Refusal:
    """Filled when the block has ended."""

    response: dict


@contextmanager
def refused(code: str, status: int):
    """The block must end with this S3 error code and HTTP status."""
    refusal = Refusal()
    with pytest.raises(ClientError) as caught:
        yield refusal
    response = caught.value.response
    answered = response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]
    assert answered == (code, status), response
    refusal.response = response


def outcome(call, *arguments, **settings) -> str:
    """The S3 error code a call ended with; "" if it went well."""
    try:
        call(*arguments, **settings)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return ""
