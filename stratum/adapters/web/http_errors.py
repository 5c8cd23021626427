"""What can go wrong below the S3 layer: requests that never become one, clients that leave."""

from __future__ import annotations

from http import HTTPStatus


class RequestRefused(Exception):
    """The bytes received are no acceptable HTTP/1.1 request; `status` and `code` are the answer.

    The message goes to the client: it is fixed text and never repeats what the client sent.
    """

    def __init__(self, message: str, status: int = 400, code: str = "BadRequest") -> None:
        super().__init__(message)
        self.message = message
        self.status = HTTPStatus(status)
        self.code = code


class HeadTooLarge(RequestRefused):
    """More header bytes or lines than the limits allow (RFC 6585 section 5)."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 431, "RequestHeaderSectionTooLarge")


class ClientDisconnected(ConnectionError):
    """The client closed, reset or stopped serving its end; nobody is left to answer.

    An OSError, as ASGI 2.4 wants from `send()`.
    """
