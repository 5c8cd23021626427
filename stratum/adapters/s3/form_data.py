"""Reading multipart/form-data bodies, as browsers post files to a bucket, sans-IO.

Theory of operation. A body is a row of parts between delimiters (RFC 7578, RFC 2046 §5.1):

    body      = [preamble CRLF] "--" boundary *(CRLF part CRLF "--" boundary) "--" [epilogue]
    part      = *(header CRLF) CRLF content

Fields come first and are kept; their sizes together are bounded. The part named `file` is the
object: it is handed out as it arrives and never kept, apart from as many bytes as may be the
beginning of a delimiter. Everything behind it is ignored, as Amazon S3 does.

Names of fields have no case in S3; a name that comes twice is refused, since a policy and a reader
could mean different ones.
https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html
"""

from __future__ import annotations

import re
from enum import Enum, auto

from stratum.adapters.s3.errors import S3Error

FIELDS_LENGTH_MAX_BYTES = 20 * 1024
"""All that comes before the file's first byte, part headers included; Amazon's limit."""
FILE_FIELD = "file"
PADDING_LENGTH_MAX_BYTES = 256
"""Blanks a sender may put behind a boundary."""

_BOUNDARY = re.compile(r'boundary=(?:"([^"\r\n]{1,70})"|([^\s;,"]{1,70}))', re.IGNORECASE)
_DISPOSITION = re.compile(rb"content-disposition:[ \t]*form-data[ \t]*(;.*)?", re.IGNORECASE)
_PARAMETER = re.compile(rb';[ \t]*([\w-]+)=(?:"((?:[^"\\]|\\.)*)"|([^;\s"]*))')


class _State(Enum):
    PREAMBLE = auto()
    BOUNDARY = auto()
    HEADERS = auto()
    FIELD = auto()
    FILE = auto()
    END = auto()


def boundary_of(content_type: str) -> bytes | None:
    """The boundary in the Content-Type of a form; None if it is not that of a form."""
    kind, _, parameters = content_type.partition(";")
    match = _BOUNDARY.search(parameters)
    if kind.strip().lower() != "multipart/form-data" or match is None:
        return None
    return (match[1] or match[2]).encode("latin-1")


class FormReader:
    """Reads one form. Feed it with `receive_data`, then call `finish`.

    `fields` holds the values by lower-case name; `filename` what the sender called the file,
    without folders, once `has_file` says that all fields are there.
    """

    def __init__(self, boundary: bytes) -> None:
        self.fields: dict[str, str] = {}
        self.filename = ""
        self.has_file = False
        self._delimiter = b"\r\n--" + boundary
        # The first delimiter needs no line before it.
        self._buffer = bytearray(b"\r\n")
        self._searched = 0
        self._state = _State.PREAMBLE
        self._passed = 0  # bytes before the file that are done with
        self._name = ""

    @property
    def complete(self) -> bool:
        """Whether the file has been read to its end."""
        return self._state is _State.END

    def receive_data(self, data: bytes | memoryview) -> list[bytes]:
        """Take the next bytes of the body; return those of the file among them.

        Raises S3Error MalformedPOSTRequest, MaxPostPreDataLengthExceededError.
        """
        self._buffer += data
        file: list[bytes] = []
        while self._advance(file):
            self._searched = 0
            self._check_length(self._passed)
        if self._state is _State.END:
            self._buffer.clear()
        elif not self.has_file:
            self._check_length(self._passed + len(self._buffer))
        return file

    def _check_length(self, length: int) -> None:
        if length > FIELDS_LENGTH_MAX_BYTES:
            raise S3Error("MaxPostPreDataLengthExceededError")

    def finish(self) -> None:
        """The body has ended: raise MalformedPOSTRequest unless the file is whole."""
        if not self.complete:
            raise S3Error("MalformedPOSTRequest")

    def _advance(self, file: list[bytes]) -> bool:
        """One step; False when it takes more data."""
        match self._state:
            case _State.PREAMBLE:
                return self._take_until(self._delimiter, _State.BOUNDARY) is not None
            case _State.BOUNDARY:
                return self._pass_boundary()
            case _State.HEADERS:
                head = self._take_until(b"\r\n\r\n", _State.FIELD)
                if head is not None:
                    self._begin_part(head)
                return head is not None
            case _State.FIELD:
                content = self._take_until(self._delimiter, _State.BOUNDARY)
                if content is not None:
                    self._add_field(content)
                return content is not None
            case _State.FILE:
                return self._pass_file(file)
            case _State.END:
                return False

    def _take_until(self, mark: bytes, following: _State) -> bytes | None:
        """What stands before `mark`, which is dropped; None while it is not there."""
        at = self._buffer.find(mark, max(0, self._searched - len(mark) + 1))
        if at < 0:
            self._searched = len(self._buffer)
            return None
        content = bytes(self._buffer[:at])
        del self._buffer[: at + len(mark)]
        if not self.has_file:
            self._passed += at + len(mark)
        self._state = following
        return content

    def _pass_boundary(self) -> bool:
        """A line may follow, or the mark of the last one."""
        if self._buffer.startswith(b"--"):
            # Amazon wants a file in every form.
            raise S3Error("IncorrectNumberOfFilesInPostRequest")
        padding = self._take_until(b"\r\n", _State.HEADERS)
        if padding is None:
            if len(self._buffer) > PADDING_LENGTH_MAX_BYTES:
                raise S3Error("MalformedPOSTRequest")
            return False
        if padding.strip(b" \t"):
            raise S3Error("MalformedPOSTRequest")
        # A part without any header begins with the empty line; its own is put before it.
        self._buffer[:0] = b"\r\n"
        return True

    def _begin_part(self, head: bytes) -> None:
        found: dict[bytes, str] = {}
        for line in head.split(b"\r\n"):
            match = _DISPOSITION.fullmatch(line)
            if match is None:
                continue
            for name, quoted, bare in _PARAMETER.findall(match[1] or b""):
                text = _text(quoted.replace(b'\\"', b'"') or bare)
                found.setdefault(name.lower(), text)
        if b"name" not in found:
            raise S3Error("MalformedPOSTRequest")
        self._name = found[b"name"].lower()
        if self._name == FILE_FIELD:
            self._state = _State.FILE
            self.has_file = True
            # Some browsers send the whole path.
            self.filename = re.split(r"[/\\]", found.get(b"filename", ""))[-1]

    def _add_field(self, content: bytes) -> None:
        if self._name in self.fields:
            raise S3Error("MalformedPOSTRequest", f"The field {self._name[:100]} is there twice")
        self.fields[self._name] = _text(content)

    def _pass_file(self, file: list[bytes]) -> bool:
        content = self._take_until(self._delimiter, _State.END)
        if content is None:
            safe = len(self._buffer) - len(self._delimiter) + 1
            if safe > 0:
                content = bytes(self._buffer[:safe])
                del self._buffer[:safe]
                self._searched = len(self._buffer)
        if content:
            file.append(content)
        return self._state is _State.END


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise S3Error("MalformedPOSTRequest", "The form is not UTF-8") from None
