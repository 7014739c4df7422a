"""The house rules that a reader would otherwise have to take on trust: who imports whom, what the docs promise."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]

LADDER = [
    ["engine.cli"],
    ["engine", "engine.engine"],
    ["engine.run"],
    ["engine.dispatch", "engine.journal", "engine.agents", "engine.effects", "engine.events"],
    ["engine.ports"],
    ["engine.replay", "engine.lanes", "engine.identity", "engine.script"],
    ["engine.values"],
    ["engine.errors"],
]
"""Who may import whom: a module imports from its own rung and the ones below. What is not named may sit anywhere that
its imports and its importers allow; no cycle is allowed anywhere."""

ENTRANCES = {
    "acp": ["engine/agents/acp/"],
    "aiosqlite": ["engine/journal/connection.py"],
    "click": ["engine/cli/"],
    "rich": ["engine/cli/"],
    "_quickjs": ["sandbox/child.py"],
    "quickjs": [],
    "tree_sitter": ["sandbox/"],
    "tree_sitter_javascript": ["sandbox/"],
    "xllamacpp": ["engine/agents/"],
    "httpx": ["engine/agents/"],
    "mcp": ["engine/agents/tools/", "engine/serving/"],
    "mcp_types": ["engine/serving/server.py"],
    "uvicorn": ["engine/serving/http.py"],
    "genai_prices": ["engine/prices.py"],
    "yaml": ["engine/agents/definition_file.py"],
    "jsonschema": ["engine/schemas.py"],
    "referencing": ["engine/schemas.py"],
    "jsonschema_specifications": ["engine/schemas.py"],
    "pydantic_ai": ["engine/agents/"],
    "httpx2": ["engine/agents/models.py"],
    "pydantic": ["engine/config.py", "engine/agents/"],
    "pydantic_core": ["engine/config.py", "engine/agents/"],
}
"""A third-party package enters through as few files as possible; one that is not here may not enter at all."""

SANDBOX_FACES = {"sandbox", "sandbox.protocol", "sandbox.parsing"}
"""The public modules of `sandbox`: processes, what their messages mean, and what the parser found."""

EVERYWHERE = {"orjson", "structlog"}
"""Packages without a door of their own: values in, values out."""


class Import(NamedTuple):
    importer: str
    imported: str
    path: str
    line: int
    is_for_types: bool


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> frozenset[str]:
    return frozenset(module_name(path) for path in python_files("engine", "sandbox"))


@cache
def imports() -> tuple[Import, ...]:
    """Every import of the two packages, deferred ones and those for types included."""
    return tuple(found for path in python_files("engine", "sandbox") for found in imports_of(path))


def imports_of(path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for statement in block.body
        for node in ast.walk(statement)
    }
    importer, where = module_name(path), str(path.relative_to(ROOT))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{where}:{node.lineno}: relative imports hide the direction"
            base = node.module or ""
            names = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in modules() else base for alias in node.names]
        else:
            continue
        for name in names:
            yield Import(importer, name, where, node.lineno, id(node) in for_types)


def rung(module: str) -> int | None:
    """The rung of the nearest named ancestor; the package `engine` itself names its own file only."""
    for number, names in enumerate(LADDER):
        if any(module == name or (name != "engine" and module.startswith(name + ".")) for name in names):
            return number
    return None


def test_imports_go_down_the_ladder() -> None:
    wrong = [
        f"{found.path}:{found.line}: {found.importer} imports {found.imported}, which is above it"
        for found in imports()
        if (above := rung(found.imported)) is not None and (own := rung(found.importer)) is not None and above < own
    ]
    assert wrong == []


def test_the_ladder_holds_through_modules_without_a_rung() -> None:
    """A detour over an unnamed module is still an import."""
    graph: dict[str, set[str]] = {}
    for found in imports():
        graph.setdefault(found.importer, set()).add(found.imported)

    def reach(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for module in graph.get(waiting.pop(), ()):
                if module in modules() and module not in seen:
                    seen.add(module)
                    waiting.append(module)
        return seen

    wrong = [
        f"{module} reaches {other}"
        for module in sorted(modules())
        if (own := rung(module)) is not None
        for other in sorted(reach(module))
        if (above := rung(other)) is not None and above < own
    ]
    assert wrong == []


def test_no_import_cycle_of_any_kind() -> None:
    """Deferred imports and those for types count: a circle is one thing in two files, whenever it closes."""
    edges = {(i.importer, i.imported) for i in imports() if i.imported in modules() and i.imported != i.importer}
    while True:  # a module that nobody imports, or that imports nobody, is in no circle
        importers, imported = {a for a, _ in edges}, {b for _, b in edges}
        kept = {(a, b) for a, b in edges if a in imported and b in importers}
        if kept == edges:
            break
        edges = kept
    assert sorted(edges) == []


def test_sandbox_knows_nothing_of_engine_and_engine_uses_its_public_names() -> None:
    wrong = [
        f"{found.path}:{found.line}: {found.importer} imports {found.imported}"
        for found in imports()
        if (found.importer.split(".")[0] == "sandbox" and found.imported.split(".")[0] == "engine")
        or (
            found.importer.startswith("engine")
            and found.imported.startswith("sandbox")
            and found.imported not in SANDBOX_FACES
        )
    ]
    assert wrong == []


def test_third_party_packages_enter_through_their_doors() -> None:
    own = {"engine", "sandbox", "framing", "jail", *(path.stem for path in (ROOT / "sandbox").rglob("*.py"))}
    wrong = []
    for found in imports():
        package = found.imported.split(".")[0]
        if package in sys.stdlib_module_names or package in own or package in EVERYWHERE:
            continue
        doors = ENTRANCES.get(package)
        if doors is None or not any(found.path.startswith(door) for door in doors):
            wrong.append(f"{found.path}:{found.line}: {package} may enter through {doors or 'no file'}")
    assert wrong == []


def documents() -> list[Path]:
    return sorted(
        [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md"), *ROOT.glob("sandbox/*.md")]
    )


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings get on the usual code hosts."""
    headings = re.findall(r"^#{1,6} +(.+?) *$", without_code(page.read_text(encoding="utf-8")), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", documents(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        goal = (page.parent / file).resolve() if file else page
        if not goal.exists() or (anchor and anchor not in anchors(goal)):
            broken.append(target)
    assert broken == []


def test_every_page_is_listed() -> None:
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    decisions = (ROOT / "docs/decisions/README.md").read_text(encoding="utf-8")
    missing = [path.name for path in (ROOT / "docs").glob("*.md") if path.name != "index.md" and path.name not in index]
    missing += [path.name for path in (ROOT / "docs/decisions").glob("0*.md") if path.name not in decisions]
    assert missing == []


def test_commands_that_docs_name_exist() -> None:
    from engine.cli.commands import COMMANDS

    wrong = []
    for page in documents():
        text = page.read_text(encoding="utf-8")
        code = re.findall(r"`([^`\n]+)`", without_code(text)) + re.findall(
            r"^```.*?^```", text, re.DOTALL | re.MULTILINE
        )
        for snippet in code:
            for name in re.findall(r"(?:^|[\s|&;/])pawl ([a-z]+)\b", snippet):
                if name not in COMMANDS and page.name != "CHANGELOG.md":
                    wrong.append(f"{page.relative_to(ROOT)}: pawl {name}")
    assert wrong == []


@cache
def test_names() -> dict[str, set[str]]:
    """Test file → names of its tests, from the source: nothing is imported."""
    names: dict[str, set[str]] = {}
    for path in python_files("tests"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        }
        names[str(path.relative_to(ROOT))] = functions
    return names


test_names.__test__ = False  # type: ignore[attr-defined]


def test_every_guarantee_names_a_test_that_exists() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = re.search(r"^## Guarantees$(.*?)^## ", readme, re.DOTALL | re.MULTILINE)
    assert section is not None, "README.md has no section Guarantees"
    rows = [row for row in section[1].splitlines() if row.startswith("| **")]
    assert len(rows) >= 8, "the table of guarantees is gone"
    wrong = []
    for row in rows:
        proofs = re.findall(r"`(tests/[\w/.]+\.py)(?:::(\w+))?`", row)
        if not proofs:
            wrong.append(f"no test: {row}")
        for file, name in proofs:
            if file not in test_names() or (name and name not in test_names()[file]):
                wrong.append(f"{file}::{name} does not exist")
    assert wrong == []


def test_every_test_file_has_a_name_of_its_own() -> None:
    """Without packages below tests/, two files of one name cannot be collected together."""
    names = sorted(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name in names if names.count(name) > 1] == []


def rules() -> list[str]:
    return re.findall(r"^\| (S\d\d) \|", (ROOT / "docs/scripts.md").read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_the_contract_is_whole() -> None:
    numbers = [*range(1, 17), *range(20, 28), *range(30, 37), *range(40, 49), *range(60, 65), 70, 71, 72]
    assert sorted(rules()) == [f"S{number:02}" for number in numbers]


@pytest.mark.parametrize("rule", sorted(rules()))
def test_every_rule_has_a_test_of_its_name(rule: str) -> None:
    named = [name for names in test_names().values() for name in names if name.startswith(f"test_{rule}_")]
    assert named != [], f"docs/scripts.md promises {rule}; write test_{rule}_…"


def tracked_texts() -> Iterator[tuple[str, str]]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listing.returncode != 0:
        pytest.skip("not a checkout")
    for name in filter(None, listing.stdout.decode().split("\0")):
        path = ROOT / name
        if path.is_file() and path != Path(__file__).resolve():
            yield name, path.read_bytes().decode("utf-8", "replace")


def test_no_file_mentions_a_machine_or_unfinished_work() -> None:
    """What is published names no path of the machine it was written on, no package host, and nothing left to do."""
    forbidden = re.compile(
        r"/work/|/root/|(?<![\w.])/home/\w|pypi\.org|pythonhosted|registry\.npmjs|\b(?:TODO|FIXME|XXX|HACK)\b"
    )
    wrong = [
        f"{name}:{text[: hit.start()].count(chr(10)) + 1}: {hit[0]}"
        for name, text in tracked_texts()
        for hit in forbidden.finditer(text)
    ]
    assert wrong == []


def test_one_version_everywhere() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert version is not None
    assert f"## [{version[1]}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_ci_uses_the_commands_that_people_use() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    used = re.findall(r"^make ([a-z-]+)", script, flags=re.MULTILINE)
    assert {"check", "test", "test-ng", "wheel"} <= set(used)
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in used)
    assert script.rstrip().splitlines()[-1].startswith("make test "), "the main suite's closing line must come last"


def test_types_declare_every_global_of_the_library() -> None:
    """`define(globalThis, "name"` in stdlib_js, and nothing that the library does not define."""
    defined = {
        name
        for path in (ROOT / "stdlib_js").glob("*.js")
        for name in re.findall(r'define\(globalThis, "(\w+)"', path.read_text(encoding="utf-8"))
    }
    text = (ROOT / "stdlib_js/pawl.d.ts").read_text(encoding="utf-8")
    declared = set(re.findall(r"^declare (?:function|const|class) (\w+)", text, flags=re.MULTILINE))
    standard = {"Date", "AggregateError", "Promise", "Map", "Set", "Object", "Math", "Intl", "Iterator"}
    assert sorted(defined - declared - standard) == []
