"""Keys of clients (SSE-C) are accepted only where nobody can listen: Amazon S3 wants TLS."""

from __future__ import annotations

from stratum.adapters.web.asgi_types import Scope

LOCAL, ALWAYS, NEVER = "local", "always", "never"


class PrivateChannel:
    """`without_tls`: `local` connections come from this machine, also those of a proxy here that
    speaks TLS to the others; `always` and `never` mean what they say."""

    def __init__(self, without_tls: str) -> None:
        self._without_tls = without_tls

    def is_private(self, scope: Scope) -> bool:
        if scope.get("scheme") == "https" or self._without_tls == ALWAYS:
            return True
        return self._without_tls == LOCAL and _is_local(scope)


def _is_local(scope: Scope) -> bool:
    client, server = scope.get("client"), scope.get("server")
    if not client:  # a Unix socket
        return True
    host = str(client[0]).removeprefix("::ffff:")
    return host.startswith("127.") or host == "::1" or bool(server and host == server[0])
