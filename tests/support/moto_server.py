"""A real S3 server of somebody else's: moto, in a thread."""

from contextlib import contextmanager

import boto3
from botocore.config import Config
from moto.server import ThreadedMotoServer

ACCESS_KEY_ID = "AKIAREMOTE"
SECRET_ACCESS_KEY = "remote-secret"


@contextmanager
def moto_server():
    """The endpoint of a fresh server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()
        # stop() ends the thread and leaves the listening socket to the garbage collector.
        server._server.server_close()


@contextmanager
def boto3_client(endpoint):
    """The same server as boto3 sees it."""
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY_ID,
        aws_secret_access_key=SECRET_ACCESS_KEY,
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 0}),
    )
    try:
        yield client
    finally:
        client.close()
