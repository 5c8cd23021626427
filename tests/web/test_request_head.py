"""Request heads, sans-IO: where they end, what they mean, which are refused."""

import pytest

from stratum.adapters.web.http_errors import HeadTooLarge, RequestRefused
from stratum.adapters.web.request_head import HeadReader, parse_head
from tests.support.feeding import WAYS, bytewise

LIMIT_BYTES = 1000
SIMPLE = b"GET /bucket/key?versionId=7 HTTP/1.1\r\nHost: example.org\r\nX-Amz-Meta-A: b\r\n\r\n"


def parse(head, header_count=200):
    return parse_head(head, header_count)


def with_lines(*lines, first=b"PUT /b/k HTTP/1.1", host=True):
    lines = (b"Host: h", *lines) if host else lines
    return b"\r\n".join((first, *lines, b"", b""))


def feed_all(pieces, limit_bytes=LIMIT_BYTES):
    """(head, everything after it) or None."""
    reader, pieces = HeadReader(limit_bytes), list(pieces)
    for index, piece in enumerate(pieces):
        if parts := reader.feed(piece):
            return parts[0], parts[1] + b"".join(pieces[index + 1 :])
    return None


class TestHeadReader:
    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("tail", [b"", b"body", SIMPLE, b"\n\n\x00"])
    def test_a_head_ends_at_its_empty_line(self, way, tail):
        assert feed_all(way(SIMPLE + tail)) == (SIMPLE, tail)

    def test_it_may_be_cut_anywhere(self):
        for cut in range(len(SIMPLE) + 1):
            assert feed_all([SIMPLE[:cut], SIMPLE[cut:] + b"x"]) == (SIMPLE, b"x")

    @pytest.mark.parametrize("way", WAYS)
    def test_one_empty_line_before_it_is_skipped(self, way):
        assert feed_all(way(b"\r\n" + SIMPLE + b"x")) == (SIMPLE, b"x")

    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize(
        "data",
        [
            b"\r\n\r\n" + SIMPLE,
            b"\rGET / HTTP/1.1\r\n\r\n",
            b"\n" + SIMPLE,
            b" " + SIMPLE,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"get / HTTP/1.1\r\n",
            b"GET / HTTP/1.1\nHost: h\n\n",
            b"GET / HTTP/1.1\r\nHost: h\n\r\n",
        ],
    )
    def test_what_cannot_become_a_request_is_refused_at_once(self, way, data):
        def read():
            if parts := feed_all(way(data)):
                parse(parts[0])

        with pytest.raises(RequestRefused) as caught:
            read()
        assert caught.value.status == 400

    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("excess", [-1, 0, 1, 5000])
    def test_the_size_limit_includes_the_empty_line(self, way, excess):
        padding = LIMIT_BYTES + excess - len(b"GET / HTTP/1.1\r\nA: \r\n\r\n")
        head = b"GET / HTTP/1.1\r\nA: " + padding * b"x" + b"\r\n\r\n"
        if excess <= 0:
            assert feed_all(way(head)) == (head, b"")
        else:
            with pytest.raises(HeadTooLarge) as caught:
                feed_all(way(head))
            assert caught.value.status == 431

    def test_an_endless_head_costs_no_quadratic_time(self):
        reader = HeadReader(200_000)
        for piece in bytewise(b"GET / HTTP/1.1\r\nA: " + 150_000 * b"x"):
            assert reader.feed(piece) is None


class TestMeaning:
    def test_parts(self):
        head = parse(SIMPLE)
        assert head.method == "GET"
        assert head.http_version == "1.1"
        assert (head.path, head.query) == (b"/bucket/key", b"versionId=7")
        assert head.headers == [(b"host", b"example.org"), (b"x-amz-meta-a", b"b")]
        assert (head.body_length, head.keep_alive, head.expects_continue) == (0, True, False)

    def test_values_are_stripped_and_keep_their_bytes_order_and_repetition(self):
        head = parse(with_lines(b"B: \t x \xc3\xa9\t ", b"A:", b"b:y"))
        assert head.headers[1:] == [(b"b", b"x \xc3\xa9"), (b"a", b""), (b"b", b"y")]

    @pytest.mark.parametrize(
        ("target", "path", "query"),
        [
            (b"/", b"/", b""),
            (b"/b//k/%2F/../.%FF+%20;a#f", b"/b//k/%2F/../.%FF+%20;a#f", b""),
            (b"//b/k", b"//b/k", b""),
            (b"/b?uploads", b"/b", b"uploads"),
            (b"/b?a=?&b=%zz", b"/b", b"a=?&b=%zz"),
            (b"/b?", b"/b", b""),
        ],
    )
    def test_the_target_is_passed_on_as_sent(self, target, path, query):
        head = parse(with_lines(first=b"GET " + target + b" HTTP/1.1"))
        assert (head.path, head.query) == (path, query)

    @pytest.mark.parametrize(
        ("target", "path", "query"),
        [
            (b"http://other:81/b/k?x", b"/b/k", b"x"),
            (b"HTTPS://other:81", b"/", b""),
            (b"http://other:81?list-type=2", b"/", b"list-type=2"),
        ],
    )
    def test_the_absolute_form_overrides_host(self, target, path, query):
        head = parse(with_lines(b"A: b", first=b"GET " + target + b" HTTP/1.1"))
        assert (head.path, head.query) == (path, query)
        assert head.headers == [(b"host", b"other:81"), (b"a", b"b")]

    def test_options_may_ask_about_the_server(self):
        assert parse(with_lines(first=b"OPTIONS * HTTP/1.1")).path == b"*"

    @pytest.mark.parametrize(
        ("version", "connection", "expected"),
        [
            (b"1.1", b"", True),
            (b"1.1", b"Connection: close", False),
            (b"1.1", b"Connection: TE, Close", False),
            (b"1.1", b"Connection: keep-alive", True),
            (b"1.0", b"", False),
            (b"1.0", b"Connection: Keep-Alive", True),
        ],
    )
    def test_persistence(self, version, connection, expected):
        lines = [connection] if connection else []
        head = parse(with_lines(*lines, first=b"GET / HTTP/" + version))
        assert head.keep_alive is expected

    def test_http_10_needs_no_host_and_gets_no_100(self):
        head = parse(with_lines(b"Expect: 100-continue", first=b"PUT / HTTP/1.0", host=False))
        assert not head.expects_continue
        assert parse(with_lines(b"Expect: 100-Continue")).expects_continue

    def test_an_offered_upgrade_is_ignored(self):
        head = parse(with_lines(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c"))
        assert head.keep_alive

    @pytest.mark.parametrize(
        ("line", "length"),
        [
            (b"Content-Length: 0", 0),
            (b"Content-Length: 5497558138880", 5 << 40),
            (b"Content-Length: 007", 7),
            (b"Transfer-Encoding: Chunked", None),
        ],
    )
    def test_body_length(self, line, length):
        assert parse(with_lines(line)).body_length == length


MALFORMED = {
    "both framings": with_lines(b"Content-Length: 3", b"Transfer-Encoding: chunked"),
    "both framings, other order": with_lines(b"Transfer-Encoding: chunked", b"Content-Length: 3"),
    "differing lengths": with_lines(b"Content-Length: 3", b"Content-Length: 4"),
    "length list": with_lines(b"Content-Length: 3, 4"),
    "negative length": with_lines(b"Content-Length: -1"),
    "signed length": with_lines(b"Content-Length: +1"),
    "hexadecimal length": with_lines(b"Content-Length: 0x1"),
    "length with underscore": with_lines(b"Content-Length: 1_0"),
    "empty length": with_lines(b"Content-Length:"),
    "huge length": with_lines(b"Content-Length: " + b"9" * 30),
    "coding twice": with_lines(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    "coding list": with_lines(b"Transfer-Encoding: gzip, chunked"),
    "chunked not last": with_lines(b"Transfer-Encoding: chunked, identity"),
    "almost chunked": with_lines(b"Transfer-Encoding: xchunked"),
    "hidden chunked": with_lines(b"Transfer-Encoding: \x0bchunked"),
    "identity": with_lines(b"Transfer-Encoding: identity"),
    "chunked in 1.0": with_lines(b"Transfer-Encoding: chunked", first=b"PUT / HTTP/1.0"),
    "folded": with_lines(b"A: b", b" c"),
    "folded by tab": with_lines(b"Transfer-Encoding:", b"\tchunked"),
    "fold first": b"GET / HTTP/1.1\r\n Host: h\r\n\r\n",
    "space before colon": with_lines(b"Content-Length : 3"),
    "no colon": with_lines(b"Content-Length 3"),
    "no name": with_lines(b": 3"),
    "bad name": with_lines(b"A(: 3"),
    "bare CR": with_lines(b"A: b\rContent-Length: 3"),
    "bare LF": with_lines(b"A: b\nContent-Length: 3"),
    "NUL": with_lines(b"A: b\x00"),
    "control character": with_lines(b"A: b\x01"),
    "no host": with_lines(host=False),
    "two hosts": with_lines(b"Host: h"),
    "host with path": with_lines(b"Host: h/x", host=False),
    "host with user": with_lines(b"Host: u@h", host=False),
    "host with space": with_lines(b"Host: h x", host=False),
    "unknown method": with_lines(first=b"FROB / HTTP/1.1"),
    "two spaces": with_lines(first=b"GET  / HTTP/1.1"),
    "tab": with_lines(first=b"GET\t/ HTTP/1.1"),
    "space in target": with_lines(first=b"GET /a b HTTP/1.1"),
    "raw bytes in target": with_lines(first=b"GET /\xc3\xa9 HTTP/1.1"),
    "raw bytes in query": with_lines(first=b"GET /?\xc3\xa9 HTTP/1.1"),
    "relative target": with_lines(first=b"GET b/k HTTP/1.1"),
    "no target": with_lines(first=b"GET HTTP/1.1"),
    "star for GET": with_lines(first=b"GET * HTTP/1.1"),
    "authority for CONNECT": with_lines(first=b"CONNECT h:80 HTTP/1.1"),
    "user in target": with_lines(first=b"GET http://u@h/ HTTP/1.1"),
    "empty authority": with_lines(first=b"GET http:///b HTTP/1.1"),
    "other scheme": with_lines(first=b"GET ftp://h/b HTTP/1.1"),
    "version garbage": with_lines(first=b"GET / HTTP/1.1x"),
    "trailing space": with_lines(first=b"GET / HTTP/1.1 "),
    "lower-case http": with_lines(first=b"GET / http/1.1"),
    "another protocol": with_lines(first=b"GET / RTSP/1.0"),
}


@pytest.mark.parametrize("head", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_heads_are_refused(head):
    with pytest.raises(RequestRefused) as caught:
        parse(head)
    assert (caught.value.status, caught.value.code) == (400, "BadRequest")


@pytest.mark.parametrize("first", [b"GET / HTTP/2.0", b"GET /", b"GET / HTTP/0.9"])
def test_other_versions_of_http_are_refused(first):
    with pytest.raises(RequestRefused) as caught:
        parse(with_lines(first=first, host=False))
    assert caught.value.status == 505


def test_header_count_is_limited():
    lines = [b"A: b"] * 199
    assert len(parse(with_lines(*lines)).headers) == 200
    with pytest.raises(HeadTooLarge):
        parse(with_lines(*lines, b"A: b"))
