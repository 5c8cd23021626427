import pytest

from stratum.adapters.s3.errors import translate
from stratum.adapters.s3.xml_cors import parse_cors, render_cors
from stratum.domain.cors import CorsConfiguration, CorsRule

FULL = CorsConfiguration(
    (
        CorsRule(
            ("PUT", "GET"), ("https://a.example", "*.b"), ("x-amz-*",), ("etag",), 3000, "a & b"
        ),
        CorsRule(("GET",), ("*",)),
    )
)


def test_what_was_put_is_got():
    assert parse_cors(render_cors(FULL)) == FULL


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "MalformedXML"),
        ("<CORSRule/>", "MalformedXML"),
        ("<CORSRule><AllowedOrigin>*</AllowedOrigin></CORSRule>", "MalformedXML"),
        ("<CORSRule><AllowedMethod>GET</AllowedMethod></CORSRule>", "MalformedXML"),
        ("<Rule/>", "MalformedXML"),
        (
            "<CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin>"
            "<MaxAgeSeconds>-1</MaxAgeSeconds></CORSRule>",
            "MalformedXML",
        ),
        (
            "<CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin>"
            "<Unknown>1</Unknown></CORSRule>",
            "MalformedXML",
        ),
        (
            "<CORSRule><AllowedMethod>OPTIONS</AllowedMethod><AllowedOrigin>*</AllowedOrigin>"
            "</CORSRule>",
            "InvalidRequest",
        ),
    ],
)
def test_documents_that_are_refused(content, code):
    with pytest.raises(Exception) as error:
        parse_cors(f"<CORSConfiguration>{content}</CORSConfiguration>".encode())
    assert translate(error.value).code == code
