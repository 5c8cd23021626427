"""One server for the whole directory, a fresh bucket for every test."""

import itertools
import tempfile
from pathlib import Path

import pytest

from tests.support.server import running_server

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server():
    # Not pytest's tmp_path: that is kept, and these are gigabytes.
    with (
        tempfile.TemporaryDirectory(prefix="stratum-e2e-") as folder,
        running_server(Path(folder) / "data") as running,
    ):
        yield running
        assert "Traceback" not in running.log(), running.log()


@pytest.fixture(scope="session")
def s3(server):
    """A boto3 client that does not retry."""
    with server.client() as client:
        yield client


@pytest.fixture
def bucket(s3):
    """The name of a new bucket."""
    name = f"bucket-{next(_numbers)}"
    s3.create_bucket(Bucket=name)
    return name
