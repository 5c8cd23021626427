"""The sending side of aws-chunked, as Amazon documents it."""

import hashlib


def encode(chunks, signer=None, trailers=None):
    """A whole body; `chunks` are the payload's pieces, without the last, empty one."""
    body = b""
    for data in [*chunks, b""]:
        signature = b""
        if signer is not None:
            digest = hashlib.sha256(data).hexdigest()
            signature = b";chunk-signature=" + signer.sign_chunk(digest).encode()
        body += f"{len(data):x}".encode() + signature + b"\r\n"
        body += data + b"\r\n" if data else b""
    for name, value in (trailers or {}).items():
        body += f"{name}:{value}\r\n".encode()
    if signer is not None and trailers:
        lines = "".join(f"{name}:{value}\n" for name, value in trailers.items())
        signature = signer.sign_trailer(hashlib.sha256(lines.encode()).hexdigest())
        body += f"x-amz-trailer-signature:{signature}\r\n".encode()
    return body + b"\r\n"
