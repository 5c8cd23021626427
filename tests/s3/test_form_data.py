import pytest

from stratum.adapters.s3.errors import S3Error
from stratum.adapters.s3.form_data import FIELDS_LENGTH_MAX_BYTES, FormReader, boundary_of
from tests.support.feeding import WAYS
from tests.support.forms import BOUNDARY, encode_form


def read(pieces, boundary=BOUNDARY):
    reader = FormReader(boundary.encode())
    file = b"".join(b"".join(reader.receive_data(piece)) for piece in pieces)
    reader.finish()
    return reader, file


def refusal(pieces, boundary=BOUNDARY):
    with pytest.raises(S3Error) as error:
        read(pieces, boundary)
    return error.value.code


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"plain",
        b"\r\n",
        b"\r\n--",
        f"\r\n--{BOUNDARY[:-1]}".encode() * 3,
        bytes(range(256)) * 300,
    ],
    ids=["empty", "plain", "newline", "dashes", "nearly", "binary"],
)
def test_fields_and_file(way, content):
    fields = [("key", "a/${filename}"), ("ACL", "private"), ("x-amz-meta-é", "ü"), ("empty", "")]
    reader, file = read(way(encode_form(fields, content)))
    assert file == content
    assert reader.fields == {
        "key": "a/${filename}",
        "acl": "private",
        "x-amz-meta-é": "ü",
        "empty": "",
    }
    assert reader.filename == "photo.jpg"


@pytest.mark.parametrize("way", WAYS)
def test_what_follows_the_file_does_not_count(way):
    reader, file = read(way(encode_form([("key", "k")], b"x", after=[("key", "other")])))
    assert (reader.fields, file) == ({"key": "k"}, b"x")


@pytest.mark.parametrize("way", WAYS)
def test_a_preamble_and_blanks_behind_a_boundary_are_skipped(way):
    body = encode_form([("key", "k")], b"x").replace(b"\r\nContent-Dis", b" \t\r\nContent-Dis")
    reader, file = read(way(b"once upon a time\r\n" + body))
    assert (reader.fields, file) == ({"key": "k"}, b"x")


@pytest.mark.parametrize(
    ("filename", "kept"),
    [("C:\\\\photos\\\\a.jpg", "a.jpg"), ("/home/me/b.jpg", "b.jpg"), ('say \\"x\\"', 'say "x"')],
)
def test_names_of_files(filename, kept):
    reader, _ = read([encode_form([], b"x", filename)])
    assert reader.filename == kept.split("\\")[-1]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (encode_form([("key", "k")], None), "IncorrectNumberOfFilesInPostRequest"),
        (encode_form([("key", "k"), ("KEY", "l")]), "MalformedPOSTRequest"),
        (encode_form([("key", "k")], b"x")[:-60], "MalformedPOSTRequest"),
        (b"", "MalformedPOSTRequest"),
        (b"no form at all", "MalformedPOSTRequest"),
        (f"--{BOUNDARY}\r\n\r\nno name\r\n--{BOUNDARY}--".encode(), "MalformedPOSTRequest"),
        (f"--{BOUNDARY}longer\r\n".encode(), "MalformedPOSTRequest"),
        (
            encode_form([("key", "@")]).replace(b"@", b"\xff"),
            "MalformedPOSTRequest",
        ),
        (encode_form([("k", "x" * FIELDS_LENGTH_MAX_BYTES)]), "MaxPostPreDataLengthExceededError"),
        (
            encode_form([(f"f{n}", "") for n in range(FIELDS_LENGTH_MAX_BYTES // 60)]),
            "MaxPostPreDataLengthExceededError",
        ),
        (b"x" * (FIELDS_LENGTH_MAX_BYTES + 1), "MaxPostPreDataLengthExceededError"),
    ],
)
def test_forms_that_are_refused(way, body, code):
    assert refusal(way(body)) == code


def test_the_limit_is_one_on_fields_not_on_the_file():
    content = b"x" * (10 * FIELDS_LENGTH_MAX_BYTES)
    room = FIELDS_LENGTH_MAX_BYTES - 400
    _, file = read([encode_form([("key", "k" * room)], content)])
    assert file == content


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('Multipart/Form-Data; charset=utf-8; boundary="a b"', b"a b"),
        ("multipart/form-data", None),
        ("multipart/mixed; boundary=abc", None),
        (f"multipart/form-data; boundary={'x' * 71}", None),
        ("application/x-www-form-urlencoded", None),
        ("", None),
    ],
)
def test_boundaries(content_type, boundary):
    if content_type.endswith("x" * 71):
        boundary = b"x" * 70  # a longer one cannot fit any body
    assert boundary_of(content_type) == boundary
