"""A proxy in front of a remote S3 that misbehaves: errors, silence, broken and wrong answers."""

import http.client
import random
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

FAULTS = ("500", "503", "drop", "lost answer", "slow", "truncated", "wrong bytes")
SLOW_S = 1.0


class FaultyProxy:
    """`share` of the requests go wrong, each in a way drawn from FAULTS."""

    def __init__(self, endpoint: str, seed: int, share: float) -> None:
        self.share = share
        self.faults = 0
        self._rng = random.Random(seed)
        self._lock = threading.Lock()
        self.host = urlsplit(endpoint).netloc

    def draw(self) -> str:
        with self._lock:
            if self._rng.random() >= self.share:
                return ""
            self.faults += 1
            return self._rng.choice(FAULTS)

    def carry_out(self, handler: BaseHTTPRequestHandler) -> None:
        """Forward one request, or not."""
        body = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        # The journal's copies there are not read back; who tests them spoils them elsewhere.
        fault = "" if "/journal/" in handler.path else self.draw()
        if fault in ("500", "503"):
            handler.send_response(int(fault))
            handler.send_header("content-length", "0")
            handler.end_headers()
            return
        if fault == "drop":
            handler.close_connection = True
            return
        if fault == "slow":
            time.sleep(SLOW_S)
        if fault == "wrong bytes" and body:
            body = body[:-1] + bytes([body[-1] ^ 0xFF])
        upstream = http.client.HTTPConnection(self.host, timeout=30)
        try:
            # The signature covers the Host header, so it goes through as it is.
            upstream.request(handler.command, handler.path, body, dict(handler.headers))
            answer = upstream.getresponse()
            data, headers, status = answer.read(), answer.getheaders(), answer.status
        finally:
            upstream.close()
        if fault == "lost answer":
            handler.close_connection = True
            return
        if fault == "wrong bytes" and data:
            data = data[:-1] + bytes([data[-1] ^ 0xFF])
        handler.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("connection", "transfer-encoding"):
                handler.send_header(name, value)
        handler.end_headers()
        if handler.command != "HEAD":
            if fault == "truncated" and data:
                handler.close_connection = True
                data = data[: len(data) // 2]
            handler.wfile.write(data)


@contextmanager
def faulty_proxy(endpoint: str, seed: int, share: float):
    """The proxy and its URL."""
    proxy = FaultyProxy(endpoint, seed, share)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self):
            try:
                super().handle_one_request()
            except ConnectionError:  # the server was killed in the middle of it
                self.close_connection = True

        def log_message(self, *_):
            pass

    for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
        setattr(Handler, f"do_{method}", _do(proxy))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _do(proxy: FaultyProxy):
    def carry_out(handler: BaseHTTPRequestHandler) -> None:
        proxy.carry_out(handler)

    return carry_out
