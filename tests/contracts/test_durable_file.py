"""Small files the server can't start without: whole after a power cut, or not there."""

import os

import pytest

from stratum.adapters import durable_file
from stratum.adapters.durable_file import PUBLIC, write_durably
from stratum.adapters.price_file import load_prices
from stratum.domain.errors import InvalidConfig


@pytest.fixture
def synced(monkeypatch):
    """What was synced, in order: sizes of files, and `folder`."""
    found = []

    def fsync(handle):
        stat = os.fstat(handle)
        found.append("folder" if os.path.isdir(f"/proc/self/fd/{handle}") else stat.st_size)

    monkeypatch.setattr(durable_file.os, "fsync", fsync)
    return found


def test_the_bytes_are_synced_before_the_name_and_then_the_name(tmp_path, synced):
    write_durably(tmp_path / "new" / "file", "12345")
    assert synced == [5, "folder"]
    assert (tmp_path / "new" / "file").read_text() == "12345"
    assert (tmp_path / "new" / "file").stat().st_mode & 0o777 == 0o600


def test_what_a_crash_left_unfinished_is_not_the_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_durably(path, "old")

    def die(handle):
        raise OSError("the power is gone")

    monkeypatch.setattr(durable_file.os, "fsync", die)
    with pytest.raises(InvalidConfig):
        write_durably(path, "new")
    assert path.read_text() == "old"
    monkeypatch.undo()
    write_durably(path, "new", PUBLIC)
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["file"]


def test_the_price_list_is_written_like_that(tmp_path, synced):
    path = tmp_path / "prices.toml"
    load_prices(path, "balanced")
    assert synced == [path.stat().st_size, "folder"]
    assert load_prices(path, "balanced").patience == "balanced"
