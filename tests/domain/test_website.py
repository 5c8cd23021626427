import pytest

from stratum.domain.errors import InvalidArgument, InvalidRequest
from stratum.domain.website import (
    ROUTING_RULES_MAX,
    RedirectTarget,
    RoutingRule,
    WebsiteConfiguration,
    WebsiteRedirect,
    check_website,
    index_key,
    redirect_before,
    redirect_on_error,
)

SITE = WebsiteConfiguration("index.html", "error.html")


def site(*rules):
    return WebsiteConfiguration("index.html", rules=rules)


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("", "index.html"),
        ("docs/", "docs/index.html"),
        ("docs", "docs"),
        ("docs/a.html", "docs/a.html"),
    ],
)
def test_folders_have_an_index(key, found):
    assert index_key(SITE, key) == found


def test_a_renamed_folder():
    renamed = RoutingRule(WebsiteRedirect(replace_prefix="documents/"), prefix="docs/")
    found = redirect_before(site(renamed), "docs/a/b.html")
    assert found == RedirectTarget(301, None, None, "documents/a/b.html")
    assert redirect_before(site(renamed), "other/docs/") is None


def test_a_whole_key_and_another_host():
    rule = RoutingRule(
        WebsiteRedirect("other.example", "https", 302, replace_key="gone.html"), prefix="old/"
    )
    found = redirect_before(site(rule), "old/x")
    assert found == RedirectTarget(302, "other.example", "https", "gone.html")


def test_rules_for_errors_wait_for_the_error():
    missing = RoutingRule(WebsiteRedirect(replace_prefix="report-404/"), "a/", 404)
    assert redirect_before(site(missing), "a/b") is None
    assert redirect_on_error(site(missing), "a/b", 404).key == "report-404/b"
    assert redirect_on_error(site(missing), "a/b", 403) is None
    assert redirect_on_error(site(missing), "b", 404) is None


def test_the_first_rule_counts():
    rules = [RoutingRule(WebsiteRedirect(replace_key=name), prefix="a") for name in "xy"]
    assert redirect_before(site(*rules), "abc").key == "x"


def test_everything_goes_elsewhere():
    moved = WebsiteConfiguration(redirect_all=WebsiteRedirect("new.example", "https"))
    assert redirect_before(moved, "a/b") == RedirectTarget(301, "new.example", "https", "a/b")


@pytest.mark.parametrize(
    ("website", "error"),
    [
        (WebsiteConfiguration(), InvalidArgument),
        (WebsiteConfiguration("a/index.html"), InvalidArgument),
        (
            WebsiteConfiguration("index.html", redirect_all=WebsiteRedirect("a.example")),
            InvalidArgument,
        ),
        (site(RoutingRule(WebsiteRedirect(), error_status=200)), InvalidRequest),
        (site(RoutingRule(WebsiteRedirect(status=200))), InvalidRequest),
        (site(RoutingRule(WebsiteRedirect(status=300))), InvalidRequest),
        (site(RoutingRule(WebsiteRedirect(protocol="ftp"))), InvalidRequest),
        (
            site(RoutingRule(WebsiteRedirect(replace_key="a", replace_prefix="b"))),
            InvalidRequest,
        ),
        (site(*[RoutingRule(WebsiteRedirect("h"))] * (ROUTING_RULES_MAX + 1)), InvalidRequest),
    ],
)
def test_what_is_refused(website, error):
    with pytest.raises(error):
        check_website(website)


def test_what_is_not():
    check_website(SITE)
    check_website(site(RoutingRule(WebsiteRedirect("h", "http", 307), "a", 404)))
