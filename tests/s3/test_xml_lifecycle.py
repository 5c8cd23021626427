import pytest

from stratum.adapters.s3.errors import translate
from stratum.adapters.s3.xml_lifecycle import parse_lifecycle, render_lifecycle
from stratum.domain.lifecycle import (
    DAY_MS,
    Expiration,
    Filter,
    Lifecycle,
    NoncurrentExpiration,
    NoncurrentTransition,
    Rule,
    Transition,
)

STATUS = "<Status>Enabled</Status>"
AFTER_A_DAY = "<Expiration><Days>1</Days></Expiration>"


def configuration(content):
    return f"<LifecycleConfiguration>{content}</LifecycleConfiguration>".encode()


def rule(*, chosen="<Filter/>", actions=AFTER_A_DAY, status=STATUS, name="<ID>r</ID>"):
    return configuration(f"<Rule>{name}{chosen}{status}{actions}</Rule>")


def parse(body):
    return parse_lifecycle(body)


def only(body):
    (parsed,) = parse(body)
    return parsed


def code(body):
    with pytest.raises(Exception) as error:
        parse(body)
    return translate(error.value).code


EVERYTHING = Lifecycle(
    (
        Rule(
            "all & more",
            enabled=True,
            filter=Filter("a/<b>", {"team": "x", "year": ""}, 10, 20),
            expiration=Expiration(days=30),
            transitions=(Transition("STANDARD_IA", 0), Transition("GLACIER", 10)),
            noncurrent_expiration=NoncurrentExpiration(9, 3),
            noncurrent_transitions=(
                NoncurrentTransition("GLACIER_IR", 1, 2),
                NoncurrentTransition("DEEP_ARCHIVE", 4),
            ),
        ),
        Rule("old", enabled=False, filter=Filter("b/"), abort_upload_days=7, old_style=True),
        Rule("by date", enabled=True, expiration=Expiration(date_ms=DAY_MS)),
        Rule("markers", enabled=True, expiration=Expiration(lone_marker=True)),
        Rule(
            "one tag",
            enabled=True,
            filter=Filter(tags={"a": "b"}),
            abort_upload_days=None,
            transitions=(Transition("ONEZONE_IA", date_ms=DAY_MS),),
        ),
    )
)


def test_what_is_rendered_is_parsed_again():
    assert parse(render_lifecycle(EVERYTHING)) == EVERYTHING.rules


def test_a_rule_without_an_id_gets_one():
    made = only(rule(name="")).id
    assert made
    assert only(rule(name="<ID/>")).id == made
    nameless = f"<Rule><Filter/>{STATUS}{AFTER_A_DAY}</Rule>"
    first, second = parse(configuration(nameless * 2))
    assert first.id == made != second.id


@pytest.mark.parametrize(
    ("chosen", "meant"),
    [
        ("<Filter/>", Filter()),
        ("<Filter><Prefix/></Filter>", Filter()),
        ("<Filter><Prefix>a</Prefix></Filter>", Filter("a")),
        ("<Filter><Tag><Key>a</Key><Value>b</Value></Tag></Filter>", Filter(tags={"a": "b"})),
        (
            "<Filter><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan></Filter>",
            Filter(larger_than_bytes=5),
        ),
        (
            "<Filter><And><Prefix>a</Prefix><ObjectSizeLessThan>5</ObjectSizeLessThan></And></Filter>",
            Filter("a", smaller_than_bytes=5),
        ),
        (
            "<Filter><Prefix>a/</Prefix><Tag><Key>x</Key><Value/></Tag><And><Prefix>a</Prefix>"
            "<Tag><Key>y</Key><Value/></Tag></And></Filter>",
            Filter("a/", {"x": "", "y": ""}),
        ),
    ],
)
def test_filters(chosen, meant):
    assert only(rule(chosen=chosen)).filter == meant


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (configuration(""), "MalformedXML"),
        (b"<Lifecycle/>", "MalformedXML"),
        (rule(status="<Status>enabled</Status>"), "MalformedXML"),
        (rule(status=""), "MalformedXML"),
        (rule(chosen=""), "MalformedXML"),
        (rule(chosen="<Filter/><Prefix/>"), "MalformedXML"),
        (rule(chosen="<Filter/><Filter/>"), "MalformedXML"),
        (
            rule(chosen="<Filter><Prefix>a</Prefix><And><Prefix>b</Prefix></And></Filter>"),
            "MalformedXML",
        ),
        (rule(chosen="<Filter><Tag><Key>a</Key></Tag></Filter>"), "MalformedXML"),
        (rule(chosen="<Filter><Tag><Key/><Value/></Tag></Filter>"), "InvalidTag"),
        (
            rule(
                chosen="<Filter><And><Tag><Key>a</Key><Value/></Tag><Tag><Key>a</Key><Value/></Tag>"
                "</And></Filter>"
            ),
            "InvalidRequest",
        ),
        (
            rule(chosen="<Filter><ObjectSizeLessThan>x</ObjectSizeLessThan></Filter>"),
            "MalformedXML",
        ),
        (rule(actions="<Expiration/>"), "MalformedXML"),
        (
            rule(actions="<Expiration><Days>1</Days><Date>2020-01-01</Date></Expiration>"),
            "MalformedXML",
        ),
        (rule(actions="<Expiration><Days>1.5</Days></Expiration>"), "MalformedXML"),
        (rule(actions="<Expiration><Days>0</Days></Expiration>"), "InvalidArgument"),
        (rule(actions="<Expiration><Date>20200101</Date></Expiration>"), "MalformedXML"),
        (
            rule(actions="<Expiration><Date>2020-01-01T10:00:00Z</Date></Expiration>"),
            "InvalidArgument",
        ),
        (rule(actions=AFTER_A_DAY * 2), "MalformedXML"),
        (rule(actions="<Transition><Days>1</Days></Transition>"), "MalformedXML"),
        (
            rule(actions="<Transition><StorageClass>GLACIER</StorageClass></Transition>"),
            "MalformedXML",
        ),
        (
            rule(
                actions="<Transition><Days>1</Days><StorageClass>STANDARD</StorageClass>"
                "</Transition>"
            ),
            "MalformedXML",
        ),
        (rule(actions="<NoncurrentVersionExpiration/>"), "MalformedXML"),
        (
            rule(
                actions="<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>"
                "<NewerNoncurrentVersions>0</NewerNoncurrentVersions></NoncurrentVersionExpiration>"
            ),
            "InvalidArgument",
        ),
        (rule(actions="<AbortIncompleteMultipartUpload/>"), "MalformedXML"),
        (rule(actions=""), "InvalidRequest"),
    ],
)
def test_refusals(body, refusal):
    assert code(body) == refusal
