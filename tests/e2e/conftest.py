"""One server for the whole directory, a fresh bucket for every test."""

import itertools
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.server import running_server

CROWD = 1_500

_numbers = itertools.count(1)


@contextmanager
def temporary_folder():
    """Not pytest's tmp_path: that is kept for later, and these are gigabytes."""
    with tempfile.TemporaryDirectory(prefix="stratum-e2e-") as path:
        yield Path(path)


@pytest.fixture
def folder():
    """An empty directory for one test."""
    with temporary_folder() as path:
        yield path


@pytest.fixture(scope="module")
def module_folder():
    """An empty directory for the tests of one file."""
    with temporary_folder() as path:
        yield path


@pytest.fixture(scope="session")
def server():
    with temporary_folder() as path, running_server(path / "data") as running:
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


@pytest.fixture(scope="session")
def crowd(s3):
    """A bucket with more objects than a page of a listing, and their keys; only to be read."""
    name, keys = "crowd", [f"{number // 100:02}/{number:04}" for number in range(CROWD)]
    s3.create_bucket(Bucket=name)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket=name, Key=key, Body=key.encode()), keys))
    return name, keys
