"""rclone, with nothing but an endpoint and keys: provider Other."""

import json
import os
import subprocess

import pytest

from tests.support.payloads import file_digest, payload, write_payload_file
from tests.support.server import BIN

MIB = 1 << 20
LIMIT_S = 240


@pytest.fixture
def rclone(server, folder):
    """Runs `rclone ARGUMENTS` with the remote `store:`; returns stdout, or stderr if it fails."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RCLONE_", "AWS_"))}
    environment = {
        **kept,
        "RCLONE_CONFIG": os.devnull,
        "RCLONE_CONFIG_STORE_TYPE": "s3",
        "RCLONE_CONFIG_STORE_PROVIDER": "Other",
        "RCLONE_CONFIG_STORE_ENDPOINT": server.url,
        "RCLONE_CONFIG_STORE_ACCESS_KEY_ID": server.access_key_id,
        "RCLONE_CONFIG_STORE_SECRET_ACCESS_KEY": server.secret_access_key,
        "RCLONE_RETRIES": "1",
        "RCLONE_LOW_LEVEL_RETRIES": "1",
    }

    def run(*arguments, code=0):
        done = subprocess.run(
            [BIN / "rclone", *arguments],
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        return done.stderr if code else done.stdout

    return run


@pytest.fixture
def tree(folder):
    """A directory `here` with files of many names and sizes."""
    sizes = {
        "empty": 0,
        "small.txt": 11,
        "dir/one stripe": MIB,
        "dir/deeper/odd": 3 * MIB + 17,
        "ünïcode/日本語.bin": 5000,
        "signs/a+b%2F&c=d#e.txt": 100,
        "signs/percent%": 100,
    }
    for seed, (name, size) in enumerate(sizes.items()):
        file = folder / "here" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(payload(size, seed))
    return sizes


def test_a_tree_there_and_back(rclone, folder, tree):
    rclone("mkdir", "store:rclone-tree")
    rclone("copy", "here", "store:rclone-tree/there")
    rclone("check", "here", "store:rclone-tree/there")
    rclone("check", "--download", "here", "store:rclone-tree/there")
    listed = json.loads(rclone("lsjson", "-R", "--files-only", "store:rclone-tree/there"))
    assert {entry["Path"]: entry["Size"] for entry in listed} == tree
    rclone("copy", "store:rclone-tree/there", "back")
    for name in tree:
        assert (folder / "back" / name).read_bytes() == (folder / "here" / name).read_bytes()
    times = {entry["Path"]: entry["ModTime"][:19] for entry in listed}
    here = json.loads(rclone("lsjson", "-R", "--files-only", "here"))
    assert {entry["Path"]: entry["ModTime"][:19] for entry in here} == times
    rclone("purge", "store:rclone-tree")


def test_a_sync_makes_them_equal(rclone, folder, tree, bucket):
    rclone("sync", "here", f"store:{bucket}")
    (folder / "here" / "small.txt").write_bytes(b"changed, longer")
    (folder / "here" / "empty").unlink()
    (folder / "here" / "new").write_bytes(b"new")
    assert "differences found" in rclone("check", "here", f"store:{bucket}", code=1)
    rclone("sync", "here", f"store:{bucket}")
    rclone("check", "here", f"store:{bucket}")
    assert rclone("cat", f"store:{bucket}/small.txt") == "changed, longer"
    rclone("delete", f"store:{bucket}/dir")
    assert "dir/" not in rclone("lsf", "-R", f"store:{bucket}")
    rclone("moveto", f"store:{bucket}/new", f"store:{bucket}/moved")
    assert rclone("cat", f"store:{bucket}/moved") == "new"


def test_more_objects_than_one_page(rclone, crowd):
    bucket, keys = crowd
    listed = rclone("lsf", "-R", "--files-only", f"store:{bucket}").split()
    assert sorted(listed) == keys
    assert json.loads(rclone("size", "--json", f"store:{bucket}"))["count"] == len(keys)


@pytest.mark.slow
def test_a_big_file_in_many_parts(rclone, folder, bucket):
    (folder / "here").mkdir()
    write_payload_file(folder / "here" / "big", 96 * MIB + 5)
    rclone("copy", "--s3-upload-cutoff", "5M", "--s3-chunk-size", "8M", "here", f"store:{bucket}")
    rclone("check", "--download", "here", f"store:{bucket}")
    rclone("copyto", f"store:{bucket}/big", f"store:{bucket}/copy")
    rclone("copy", f"store:{bucket}/copy", "back")
    assert file_digest(folder / "back" / "copy") == file_digest(folder / "here" / "big")


def test_listings_as_a_mount_makes_them(rclone, tree, bucket):
    """One level at a time, with sizes and modification times, and the hash of a file."""
    rclone("copy", "here", f"store:{bucket}/m")
    top = {e["Path"]: e for e in json.loads(rclone("lsjson", "--hash", f"store:{bucket}/m"))}
    assert top["dir"]["IsDir"]
    assert top["small.txt"]["Size"] == 11
    assert len(top["small.txt"]["Hashes"]["md5"]) == 32
    below = json.loads(rclone("lsjson", "--recursive", "--files-only", f"store:{bucket}/m"))
    assert {entry["Path"] for entry in below} >= {"dir/one stripe", "signs/a+b%2F&c=d#e.txt"}
    size = json.loads(rclone("size", "--json", f"store:{bucket}/m"))
    assert size["count"] == len(below)
