"""The rules of docs/architecture.md, run as tests: who may import whom, and how big a file gets."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "stratum"
FILES = sorted(PACKAGE.rglob("*.py"))
ENTRY_POINTS = {
    "stratum.__main__",
    "stratum.cli",
    "stratum.commands",
    "stratum.kms_command",
    "stratum.pin_command",
    "stratum.recover_command",
    "stratum.scrub_command",
    "stratum.simulate_command",
    "stratum.undo_command",
    "stratum.user_command",
    "stratum.adapters.web.asgi",
}
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
BANNED_NAMES = {"utils", "util", "common", "helpers", "manager", "base", "misc"}
BANNED_IN_DOMAIN = {
    "trio",
    "quart",
    "quart_trio",
    "eventsourcing",
    "os",
    "io",
    "pathlib",
    "sqlite3",
    "logging",
    "random",
    "secrets",
    "time",
    "uuid",
    "datetime",
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
    return found


def ours(path: Path) -> set[str]:
    return {name for name in imports(path) if name.split(".")[0] == "stratum"}


def layer(name: str) -> str:
    """`domain`, `ports`, `app`, `adapters.s3`, `adapters.web`, `adapters` or the module itself."""
    parts = name.split(".")[1:]
    if parts[:1] == ["adapters"]:
        if len(parts) > 1 and parts[1] in ("s3", "web"):
            return f"adapters.{parts[1]}"
        return "adapters"
    if parts and parts[0].startswith("compose"):
        return "compose"
    return parts[0] if parts else "stratum"


ALLOWED = {
    "domain": {"domain"},
    "ports": {"domain"},
    "app": {"app", "ports", "domain"},
    "adapters.s3": {"adapters.s3", "domain"},
    "adapters.web": {"adapters.web", "adapters.s3", "app", "ports", "domain"},
    "adapters": {"adapters", "adapters.s3", "ports", "domain"},
    "compose": {"compose", "adapters", "adapters.s3", "adapters.web", "app", "ports", "domain"},
}


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_layers_import_only_what_they_may(path):
    name = module_name(path)
    if name in ENTRY_POINTS or name == "stratum":
        return
    allowed = ALLOWED[layer(name)]
    wrong = {imported for imported in ours(path) if layer(imported) not in allowed | {"stratum"}}
    assert not wrong, f"{name} imports {sorted(wrong)}"


@pytest.mark.parametrize("path", [p for p in FILES if "domain" in p.parts], ids=module_name)
def test_domain_is_pure(path):
    roots = {name.split(".")[0] for name in imports(path)}
    assert not roots & BANNED_IN_DOMAIN
    tree = ast.parse(path.read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)]


@pytest.mark.parametrize("path", [p for p in FILES if "s3" in p.parts], ids=module_name)
def test_the_wire_protocol_does_no_io(path):
    roots = {name.split(".")[0] for name in imports(path)}
    assert not roots & {"trio", "quart", "hypercorn", "socket", "sqlite3", "logging"}


@pytest.mark.parametrize("path", [p for p in FILES if "app" in p.parts], ids=module_name)
def test_use_cases_do_not_know_the_outside(path):
    roots = {name.split(".")[0] for name in imports(path)}
    assert not roots & {"quart", "hypercorn", "sqlite3", "eventsourcing", "msgspec", "awscrt"}


def test_only_entry_points_compose():
    users = {module_name(p) for p in FILES if "stratum.compose" in ours(p)}
    assert {name for name in users if layer(name) != "compose"} <= ENTRY_POINTS


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_files_and_functions_can_be_read_in_one_sitting(path):
    text = path.read_text()
    assert len(text.splitlines()) <= FILE_LINES_MAX
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno
            assert length <= FUNCTION_LINES_MAX, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_names_say_what_is_inside(path):
    assert path.stem not in BANNED_NAMES
    assert "import *" not in path.read_text()


def test_there_are_no_import_cycles():
    graph = {
        module_name(path): {name for name in ours(path) if name != module_name(path)}
        for path in FILES
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " → ".join((*trail, name))
        if name not in done:
            for imported in graph.get(name, ()):
                visit(imported, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())
