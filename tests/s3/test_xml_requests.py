import tracemalloc

import pytest

from stratum.adapters.s3.errors import S3Error, translate
from stratum.adapters.s3.xml_requests import (
    DELETE_KEYS_MAX,
    DEPTH_MAX,
    ELEMENTS_MAX,
    XML_LENGTH_MAX_BYTES,
    DeleteEntry,
    DeleteRequest,
    parse_complete_upload,
    parse_create_bucket,
    parse_delete,
    parse_document,
)
from stratum.domain.checksums import Checksum, ChecksumAlgorithm
from stratum.domain.conditions import Conditions, EntityTags
from stratum.domain.upload import NamedPart

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
BOMB = (
    '<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "aaaaaaaaaa">'
    + "".join(
        f'<!ENTITY {name} "{f"&{inner};" * 10}">'
        for inner, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "]><Delete><Object><Key>&i;</Key></Object></Delete>"
)


def code(function, body):
    with pytest.raises(Exception) as error:
        function(body if isinstance(body, bytes) else body.encode())
    return translate(error.value).code


def delete(content):
    return f"<Delete {NAMESPACE}>{content}</Delete>".encode()


def keys(count):
    return "".join(f"<Object><Key>k{number}</Key></Object>" for number in range(count))


# -- the parser ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "document",
    [
        BOMB,
        "<!DOCTYPE Delete><Delete/>",
        '<!DOCTYPE d SYSTEM "file:///etc/passwd"><Delete/>',
        '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><Delete>&x;</Delete>',
        '<!DOCTYPE d [<!ENTITY % x SYSTEM "http://x/y">%x;]><Delete/>',
        '<!DOCTYPE d [<!ATTLIST Delete a CDATA "b">]><Delete/>',
        "<Delete>&undefined;</Delete>",
    ],
)
def test_no_document_type_and_no_entities(document):
    tracemalloc.start()
    assert code(parse_delete, document) == "MalformedXML"
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    "document",
    [
        "<Delete>",
        "<Delete></delete>",
        "<Delete/><Delete/>",
        "text",
        "<Other/>",
        "\0",
        "<Delete>\x01</Delete>",
        "<Delete a=1/>",
        b"<Delete>\xff</Delete>",
        b'<?xml version="1.0" encoding="nonsense"?><Delete/>',
        b'<?xml version="1.0" encoding="utf-7"?><Delete/>',
        b'<?xml version="1.0" encoding="gb2312"?><Delete/>',
        "<a" * 1000,
    ],
)
def test_documents_that_are_not_well_formed(document):
    assert code(parse_delete, document) == "MalformedXML"


def test_limits():
    assert code(parse_delete, b" " * XML_LENGTH_MAX_BYTES + b"<") == "MaxMessageLengthExceeded"
    deep = "<a>" * (DEPTH_MAX - 1) + "</a>" * (DEPTH_MAX - 1)
    assert parse_document(f"<r>{deep}</r>".encode(), "r").name == "r"
    assert code(lambda body: parse_document(body, "r"), f"<r><a>{deep}</a></r>") == "MalformedXML"
    many = "<a/>" * (ELEMENTS_MAX - 1)
    assert len(parse_document(f"<r>{many}</r>".encode(), "r").children) == ELEMENTS_MAX - 1
    assert code(lambda body: parse_document(body, "r"), f"<r><a/>{many}</r>") == "MalformedXML"


def test_namespaces_encodings_and_comments_do_not_matter():
    expected = DeleteRequest((DeleteEntry("é"),), quiet=False)
    content = "<Object><Key>é</Key></Object>"
    for text in (
        f"<Delete>{content}</Delete>",
        f"<Delete {NAMESPACE}><!-- c -->{content}<Unknown><Key>x</Key></Unknown></Delete>",
        '<s:Delete xmlns:s="urn:x"><s:Object><s:Key>é</s:Key></s:Object></s:Delete>',
        "<Delete><Object><Key><![CDATA[é]]></Key></Object></Delete>",
        "<Delete><Object><Key>&#233;</Key></Object></Delete>",
    ):
        assert parse_delete(text.encode()) == expected
    declared = f'<?xml version="1.0" encoding="ISO-8859-1"?><Delete>{content}</Delete>'
    assert parse_delete(declared.encode("latin-1")) == expected
    assert parse_delete(f"<Delete>{content}</Delete>".encode("utf-16")) == expected


# -- Delete -------------------------------------------------------------------------------------
def test_delete():
    body = delete(
        "<Quiet> true </Quiet>"
        "<Object><Key> a &amp; b\n</Key></Object>"
        "<Object><Key>k</Key><VersionId>null</VersionId></Object>"
        '<Object><Key>k</Key><ETag>"e"</ETag></Object>'
    )
    e = Conditions(if_match=EntityTags(strong=frozenset({"e"})))
    assert parse_delete(body) == DeleteRequest(
        (
            DeleteEntry(" a & b\n"),
            DeleteEntry("k", "null"),
            DeleteEntry("k", conditions=e),
        ),
        quiet=True,
    )


def test_how_many_keys_one_request_deletes():
    assert len(parse_delete(delete(keys(DELETE_KEYS_MAX))).entries) == DELETE_KEYS_MAX
    assert code(parse_delete, delete(keys(DELETE_KEYS_MAX + 1))) == "MalformedXML"
    assert code(parse_delete, delete("")) == "MalformedXML"
    assert code(parse_delete, b"  \n") == "MissingRequestBodyError"


@pytest.mark.parametrize(
    "content",
    [
        "<Object/>",
        "<Object><Key/></Object>",
        "<Object><Key>a</Key><Key>b</Key></Object>",
        "<Quiet>perhaps</Quiet><Object><Key>a</Key></Object>",
        "<Quiet>true</Quiet><Quiet>true</Quiet><Object><Key>a</Key></Object>",
    ],
)
def test_deletes_that_make_no_sense(content):
    assert code(parse_delete, delete(content)) == "MalformedXML"


def test_conditions_of_a_deletion():
    content = (
        "<Object><Key>a</Key><Size>5</Size></Object>"
        "<Object><Key>b</Key><LastModifiedTime>1970-01-01T00:00:09Z</LastModifiedTime></Object>"
        "<Object><Key>c</Key>"
        "<LastModifiedTime>Thu, 01 Jan 1970 00:00:09 GMT</LastModifiedTime></Object>"
    )
    assert [entry.conditions for entry in parse_delete(delete(content)).entries] == [
        Conditions(if_match_size_bytes=5),
        Conditions(if_match_modified_ms=9000),
        Conditions(if_match_modified_ms=9000),
    ]
    for bad in ("<Size>x</Size>", "<LastModifiedTime>x</LastModifiedTime>"):
        body = delete(f"<Object><Key>a</Key>{bad}</Object>")
        assert code(parse_delete, body) == "MalformedXML"


# -- CompleteMultipartUpload --------------------------------------------------------------------
def complete(content):
    return f"<CompleteMultipartUpload {NAMESPACE}>{content}</CompleteMultipartUpload>".encode()


def part(number, etag="&quot;e&quot;", extra=""):
    return f"<Part><ETag>{etag}</ETag>{extra}<PartNumber>{number}</PartNumber></Part>"


def test_complete():
    checksum = "<ChecksumCRC32> AAAAAA== </ChecksumCRC32>"
    body = complete(part(2) + part(1, "e") + part(10000, extra=checksum))
    assert parse_complete_upload(body) == (
        NamedPart(2, "e"),
        NamedPart(1, "e"),
        NamedPart(10000, "e", Checksum(ChecksumAlgorithm.CRC32, "AAAAAA==")),
    )


def test_how_many_parts_an_object_has():
    checksum = "<ChecksumSHA256>arcu6553sHVAiX4MjW0j7I7vD4w6R+Gz9Ok0Q9lTa+0=</ChecksumSHA256>"
    etag = f"&quot;{'0' * 32}&quot;"
    parts = "\n".join(part(number, etag, checksum) for number in range(1, 10_001))
    assert len(parse_complete_upload(complete(parts))) == 10_000
    assert code(parse_complete_upload, complete(parts + part(1))) == "MalformedXML"
    assert code(parse_complete_upload, complete("")) == "MalformedXML"


@pytest.mark.parametrize("number", ["", "0", "10001", "-1", "1.0", "x", "٣", "9" * 5000])
def test_part_numbers_that_are_none(number):
    assert code(parse_complete_upload, complete(part(number))) == "MalformedXML"


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        ("<Part><PartNumber>1</PartNumber></Part>", "MalformedXML"),
        (part(1, ""), "MalformedXML"),
        (part(1, extra="<ChecksumCRC32>bad</ChecksumCRC32>"), "BadDigest"),
        (part(1, extra="<ChecksumROT13>AAAAAA==</ChecksumROT13>"), "MalformedXML"),
        (part(1, extra="<ChecksumCRC32>AAAAAA==</ChecksumCRC32>" * 2), "MalformedXML"),
    ],
)
def test_parts_that_make_no_sense(content, refusal):
    assert code(parse_complete_upload, complete(content)) == refusal


# -- CreateBucketConfiguration ------------------------------------------------------------------
def test_create_bucket():
    def configuration(content):
        return f"<CreateBucketConfiguration>{content}</CreateBucketConfiguration>".encode()

    constraint = configuration("<LocationConstraint> eu-west-1\n</LocationConstraint>")
    assert parse_create_bucket(constraint) == "eu-west-1"
    assert parse_create_bucket(b"") is None
    assert parse_create_bucket(configuration("")) is None
    assert parse_create_bucket(configuration("<LocationConstraint/>")) is None
    for content in ("<Bucket><Type>Directory</Type></Bucket>", "<Tags><Tag/></Tags>"):
        assert code(parse_create_bucket, configuration(content)) == "NotImplemented"
    assert code(parse_create_bucket, b"<Delete/>") == "MalformedXML"


def test_refusals_are_answers():
    with pytest.raises(S3Error) as error:
        parse_delete(b"<")
    assert error.value.status == 400
