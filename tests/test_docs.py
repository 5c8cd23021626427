"""The documentation lists what the code has, and nothing else."""

import argparse
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from stratum import cli, commands
from stratum.adapters.s3.operations import Operation
from stratum.adapters.web.handler_table import handler_table
from stratum.adapters.web.iam_table import iam_actions
from stratum.adapters.web.metrics import Metrics
from stratum.app.audit import Finding
from stratum.app.config import KEYS
from stratum.domain import errors, events
from stratum.domain.managed_policies import MANAGED_POLICIES, managed_name
from stratum.domain.tiering import Decision

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
SOURCES = sorted((ROOT / "stratum").rglob("*.py"))
OPERATIONS = (DOCS / "operations.md").read_text()
EVENTS = (DOCS / "events.md").read_text()
OWN_DISKS = {"tiers.hot.disks", "tiers.warm.disks"}
"""Their defaults depend on DATA."""


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def section(text: str, heading: str) -> str:
    """What stands below a heading, up to the next one of its level or above."""
    level = len(heading) - len(heading.lstrip("#"))
    _, found, rest = f"\n{text}".partition(f"\n{heading}\n")
    assert found, f"there is no {heading!r}"
    return re.split(rf"\n#{{1,{level}}} ", rest)[0]


def rows(text: str) -> Iterator[list[str]]:
    """The cells of every table row that begins with code or a word."""
    for line in text.splitlines():
        if re.match(r"\| [`\w]", line):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def code_in(text: str) -> set[str]:
    """Everything between back-ticks."""
    return set(re.findall(r"`([^`\n]+)`", text))


# -- links --------------------------------------------------------------------------------------
def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"dead link {link}"
        assert not anchor or anchor in anchors(target), f"dead anchor {link}"


def test_every_decision_record_is_in_the_index_under_its_title() -> None:
    records = sorted((DOCS / "adr").glob("[0-9]*.md"))
    index = [
        f"| [{record.name[:4]}]({record.name}) | {title} |"
        for record in records
        for title in re.findall(r"^# \d+\. (.+)$", record.read_text(), re.MULTILINE)
    ]
    numbers = [int(record.name[:4]) for record in records]
    assert numbers == list(range(1, len(records) + 1))
    written = (DOCS / "adr" / "README.md").read_text().splitlines()
    assert [line for line in written if line.startswith("| [")] == index


# -- S3 -----------------------------------------------------------------------------------------
def test_the_table_of_s3_operations_is_the_table_of_handlers() -> None:
    page = (DOCS / "s3-compatibility.md").read_text()
    written = {row[0]: row[1] for row in rows(section(page, "## Operations")) if row[1] != "built"}
    nobody = cast("Any", None)
    built = handler_table(*[nobody] * 8)
    assert written == {op.value: "yes" if op in built else "501" for op in Operation}
    assert f"\n{len(built)} of the {len(Operation)} operations" in page


def test_every_action_of_iam_and_sts_is_listed() -> None:
    page = section((DOCS / "s3-compatibility.md").read_text(), "## IAM and STS")
    written = {
        name.replace("KIND", kind)
        for name in code_in(page)
        for kind in ("User", "Group", "Role")
        if re.fullmatch("[A-Z][A-Za-z0-9]+", name)
    }
    actions = iam_actions(cast("Any", None))
    assert {name for service in actions.values() for name in service} <= written
    others = {"KIND", "User", "Group", "Role", "ACTION"}
    managed = {managed_name(arn) for arn in MANAGED_POLICIES}
    built = {name for service in actions.values() for name in service}
    assert written - built - others - managed == set()
    assert managed <= written


# -- events -------------------------------------------------------------------------------------
def test_every_event_has_its_section() -> None:
    written = re.findall(r"^### (\w+)$", section(EVENTS, "## All events"), re.MULTILINE)
    assert written == [event.__name__ for event in events.ALL]


@pytest.mark.parametrize("event", events.ALL, ids=lambda event: event.__name__)
def test_the_fields_of_an_event_are_described(event: type[events.Event]) -> None:
    table = list(rows(section(EVENTS, f"### {event.__name__}")))
    written = [name for row in table for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(written) == sorted(field.name for field in fields(event))


def test_envelope_and_decision_are_described() -> None:
    envelope = code_in(section(EVENTS, "## Envelope"))
    assert {field.name for field in fields(events.Recorded)} - {"event"} <= envelope
    decided = code_in(section(EVENTS, "### TierDecided"))
    assert {field.name for field in fields(Decision)} <= decided


# -- configuration ------------------------------------------------------------------------------
def test_the_table_of_configuration_keys_is_complete_and_true() -> None:
    written = {}
    for row in rows(section(OPERATIONS, "## Configuration")):
        if row[0] != "key":
            key, variable, said = (cell.strip("`") for cell in row[:3])
            written[key] = (variable, said)
    assert list(written) == list(KEYS)
    for key, (default, _) in KEYS.items():
        variable, said = written[key]
        assert variable == "STRATUM_" + key.upper().replace(".", "_")
        if key not in OWN_DISKS:
            value = str(default).lower() if isinstance(default, bool) else str(default)
            assert said == ("none" if default in ("", ()) else value), key


# -- command line -------------------------------------------------------------------------------
def commands_of(parser: argparse.ArgumentParser, path: str) -> Iterator[tuple[str, set[str]]]:
    """Each command that can be run, as typed, with its options."""
    options = {option for action in parser._actions for option in action.option_strings}
    children = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not children:
        yield path, options - {"-h", "--help"}
    for name, child in ((n, c) for action in children for n, c in action.choices.items()):
        yield from commands_of(child, f"{path} {name}")


COMMANDS = dict(commands_of(cli.make_parser(), "stratum"))


def test_commands_and_options_are_documented() -> None:
    page = section(OPERATIONS, "## Commands")
    spans = code_in(page)
    for command, options in COMMANDS.items():
        assert any(f"{span} ".startswith(f"{command} ") for span in spans), command
        for option in options:
            assert any(span.split()[0] == option for span in spans), f"{command} {option}"


def test_documented_options_exist() -> None:
    known = {option for options in COMMANDS.values() for option in options}
    written = re.findall(r"`(--[a-z-]+)", section(OPERATIONS, "## Commands"))
    assert set(written) <= known


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_commands_that_are_mentioned_exist(page: Path) -> None:
    text = page.read_text()
    code = [*re.findall(r"^```.*?^```", text, re.DOTALL | re.MULTILINE), *code_in(text)]
    first_words = {command.split()[1] for command in COMMANDS} | {"COMMAND"}
    for word in re.findall(r"\bstratum ([A-Za-z][\w-]*)", "\n".join(code)):
        assert word in first_words, f"there is no stratum {word}"


def test_exit_codes_are_documented() -> None:
    codes = {
        value
        for module in (cli, commands)
        for name, value in vars(module).items()
        if name.startswith("EXIT_")
    }
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    codes |= {kind.exit_code for kind in kinds if issubclass(kind, errors.StratumError)}
    table = rows(section(OPERATIONS, "### Exit codes"))
    written = {int(row[0]) for row in table if row[0] != "code"}
    assert written == codes | {0}


def test_kinds_of_findings_are_documented() -> None:
    sources = ("audit.py", "anchors.py")
    source = "".join((ROOT / "stratum" / "app" / name).read_text() for name in sources)
    kinds = set(re.findall(rf'{Finding.__name__}\(\s*"([a-z-]+)"', source))
    assert kinds == code_in(section(OPERATIONS, "### Findings of `audit --verify`"))


# -- metrics and limits -------------------------------------------------------------------------
def test_the_table_of_metrics_is_complete() -> None:
    families = text_string_to_metric_families(Metrics().render({}, 0, 0).decode())
    exposed = {
        family.name + "_total" * (family.type == "counter")
        for family in families
        if not family.name.endswith("_created")
    }
    table = list(rows(section(OPERATIONS, "### Metrics")))
    assert {row[0].strip("`") for row in table if row[0] != "metric"} == exposed


def test_limits_and_modules_that_are_named_exist() -> None:
    sources = "\n".join(source.read_text() for source in SOURCES)
    limits = [row[1] for row in rows(section(OPERATIONS, "## Limits")) if row[1] != "constant"]
    for name in code_in("\n".join(limits)):
        assert re.search(rf"^ *{name.rpartition('.')[2]}\b", sources, re.MULTILINE), name
    modules = {source.name for source in SOURCES}
    code_map = code_in(section((DOCS / "architecture.md").read_text(), "## Code map"))
    assert {name for name in code_map if name.endswith(".py")} <= modules
