"""Where a client's own key is accepted."""

import pytest

from stratum.adapters.web.private_channel import PrivateChannel


def scope(client, scheme="http"):
    return {"scheme": scheme, "client": client and (client, 4242), "server": ("192.0.2.1", 9000)}


@pytest.mark.parametrize(
    ("without_tls", "client", "scheme", "is_private"),
    [
        ("local", "127.0.0.1", "http", True),
        ("local", "127.8.0.1", "http", True),
        ("local", "::1", "http", True),
        ("local", "::ffff:127.0.0.1", "http", True),
        ("local", "192.0.2.1", "http", True),
        ("local", None, "http", True),
        ("local", "192.0.2.7", "http", False),
        ("local", "2001:db8::1", "http", False),
        ("local", "192.0.2.7", "https", True),
        ("always", "192.0.2.7", "http", True),
        ("never", "127.0.0.1", "http", False),
        ("never", "127.0.0.1", "https", True),
    ],
)
def test_who_is_heard_by_nobody_else(without_tls, client, scheme, is_private):
    assert PrivateChannel(without_tls).is_private(scope(client, scheme)) == is_private
