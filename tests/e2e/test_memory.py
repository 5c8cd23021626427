"""A body of any size goes through a bounded amount of memory.

The size can be raised: `STRATUM_TEST_STREAM_MIB=2048 pytest -s tests/e2e/test_memory.py`.
"""

import os
import threading
import time

import pytest
import xxhash

from stratum.adapters.s3.signature import UNSIGNED_PAYLOAD
from tests.support.payloads import payload
from tests.support.server import running_server

MIB = 1 << 20
STREAM_MIB = int(os.environ.get("STRATUM_TEST_STREAM_MIB", "1024"))
RSS_LIMIT_MIB = 300
SAMPLE_INTERVAL_S = 0.02


class RssSampler:
    """Samples the resident memory of a server's processes until the block ends."""

    def __init__(self, server):
        self._server = server
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.peak_bytes = server.rss_bytes()

    def _run(self):
        while not self._ended.wait(SAMPLE_INTERVAL_S):
            self.peak_bytes = max(self.peak_bytes, self._server.rss_bytes())

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()


@pytest.mark.slow
def test_a_long_stream_in_little_memory(folder):
    unit = bytearray(payload(MIB))
    sent, received = xxhash.xxh3_128(), xxhash.xxh3_128()

    def pieces():
        for number in range(STREAM_MIB):
            unit[:8] = number.to_bytes(8)  # no two stripes alike
            sent.update(unit)
            yield unit

    path = "/bucket/stream"
    with running_server(folder / "data") as server, server.client() as client:
        client.create_bucket(Bucket="bucket")
        idle_bytes = server.rss_bytes()
        with server.connection() as connection:
            headers = {
                **server.signed("PUT", path, payload_hash=UNSIGNED_PAYLOAD),
                "content-length": str(STREAM_MIB * MIB),
            }
            started_s = time.monotonic()
            with RssSampler(server) as writing:
                connection.request("PUT", path, pieces(), headers)
                response = connection.getresponse()
                assert response.status == 200, response.read()
                response.read()
            put_s = time.monotonic() - started_s
            started_s = time.monotonic()
            with RssSampler(server) as reading:
                connection.request("GET", path, headers=server.signed("GET", path))
                response = connection.getresponse()
                assert response.status == 200
                while piece := response.read(MIB):
                    received.update(piece)
            get_s = time.monotonic() - started_s
        client.delete_object(Bucket="bucket", Key="stream")
    print(
        f"\n{STREAM_MIB} MiB: idle {idle_bytes / MIB:.0f} MiB;"
        f" PUT peak {writing.peak_bytes / MIB:.0f} MiB in {put_s:.1f} s;"
        f" GET peak {reading.peak_bytes / MIB:.0f} MiB in {get_s:.1f} s"
    )
    assert received.digest() == sent.digest()
    assert max(writing.peak_bytes, reading.peak_bytes) < RSS_LIMIT_MIB * MIB
