"""Runs the requests: with a model through `pawl new`; without one the recorded answers, to test the checks."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.authoring.checks import BASE, failed
from engine.errors import PawlError

HERE = Path(__file__).parent
WORKSPACE = {
    "README.md": "# A small shop\n\nIt sells books. `python -m shop` starts it.\n",
    "docs/usage.md": "# Usage\n\n`shop --port 80` listens on port 80.\n",
    "src/app.py": "def start(port):\n    print('listening on', port)\n",
    "src/cart.py": "def total(lines):\n    return sum(line['price'] * line['count'] for line in lines)\n",
    "web/index.html": "<html><body><img src='logo.png'><div onclick='buy()'>Buy</div></body></html>\n",
    "web/page.tsx": "export const Page = () => <main>Books</main>\n",
}
"""What scripts are written for and simulated in."""


@dataclass(frozen=True, slots=True)
class Request:
    """
    Attributes:
        checks: what a good answer passes beside `BASE`.
        permissions: what it has to ask for.
    """

    name: str
    kind: str
    request: str
    checks: tuple[str, ...]
    permissions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one request.

    Attributes:
        rounds: scripts that were written until one was right; 0 for a recorded answer.
        passed, of: checks.
        failed: the names of the others.
        note: why there is no script.
    """

    name: str
    kind: str
    is_right: bool
    rounds: int
    passed: int
    of: int
    failed: tuple[str, ...]
    tokens: int = 0
    cost_usd: float = 0.0
    note: str = ""


def requests() -> list[Request]:
    listed = json.loads((HERE / "requests.json").read_text(encoding="utf-8"))["requests"]
    return [
        Request(**{**one, "checks": tuple(one["checks"]), "permissions": tuple(one["permissions"])}) for one in listed
    ]


def bad_answers() -> dict[str, tuple[str, ...]]:
    """Name of a script that is wrong on purpose → the checks that it has to fail."""
    listed = json.loads((HERE / "requests.json").read_text(encoding="utf-8"))["bad"]
    return {one["name"]: tuple(one["fails"]) for one in listed}


@contextmanager
def workspace() -> Iterator[Path]:
    """A small project of its own, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="pawl-authoring-"))
    try:
        for name, text in WORKSPACE.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def answer_of(request: Request) -> Path:
    """The recorded answer. One for each shape of script is enough: the others would only have other words in them."""
    return HERE / "answers" / f"{request.name}.js"


async def recorded(request: Request, project: Path) -> Row:
    """The recorded answer to a request, checked."""
    text = answer_of(request).read_text(encoding="utf-8")
    return _row(request, await failed(text, request.checks, request.permissions, project=project))


async def written(request: Request, project: Path, backend: str) -> Row:
    """What a model writes for a request, checked. A run that fails is a row, too."""
    from engine import authoring
    from engine.options import RunOptions

    of = len({*BASE, *request.checks})
    try:
        answer = await authoring.write(request.request, project=project, options=RunOptions(backend=backend))
    except PawlError as error:
        return Row(request.name, request.kind, False, 0, 0, of, (), note=f"{error.code}: {error.message}")
    usage = answer.result.run_usage
    tokens, cost_usd = usage.input_tokens + usage.output_tokens, usage.cost_usd
    if answer.script is None:
        note = str((answer.result.error or {}).get("message", "no script was written"))
        return Row(request.name, request.kind, False, answer.attempts, 0, of, (), tokens, cost_usd, note)
    row = _row(request, await failed(answer.script, request.checks, request.permissions, project=project))
    return replace(row, is_right=answer.is_ok, rounds=answer.attempts, tokens=tokens, cost_usd=cost_usd)


async def measured(backend: str | None, names: list[str]) -> list[Row]:
    """Every request, or those with these names, one after another; without a model, those that have an answer."""
    chosen = [request for request in requests() if not names or request.name in names]
    if backend is None:
        chosen = [request for request in chosen if answer_of(request).exists()]
    rows = []
    with workspace() as project:
        for request in chosen:
            rows.append(await (recorded(request, project) if backend is None else written(request, project, backend)))
    return rows


def table(rows: list[Row]) -> str:
    """For people: a line for each request, then the sums."""
    lines = [f"{'request':<22} {'right':<6} {'rounds':>6} {'checks':>7} {'tokens':>9} {'cost':>8}  failed"]
    for row in rows:
        right, checks = "yes" if row.is_right else "no", f"{row.passed}/{row.of}"
        shown = f"{row.name:<22} {right:<6} {row.rounds:>6} {checks:>7} {row.tokens:>9,} {row.cost_usd:>7.3f}$"
        lines.append(f"{shown}  {', '.join(row.failed) or row.note}".rstrip())
    first = sum(row.is_right and row.rounds == 1 for row in rows)
    lines.append(
        f"\n{len(rows)} requests: {sum(row.is_right for row in rows)} right, {first} of them at the first try; "
        f"{sum(row.passed for row in rows)} of {sum(row.of for row in rows)} checks; "
        f"{sum(row.tokens for row in rows):,} tokens, ${sum(row.cost_usd for row in rows):.2f}"
    )
    return "\n".join(lines)


def as_json(rows: list[Row]) -> str:
    return json.dumps([asdict(row) for row in rows], indent=1)


def _row(request: Request, wrong: list[str]) -> Row:
    of = len({*BASE, *request.checks})
    return Row(request.name, request.kind, "runs" not in wrong, 0, of - len(wrong), of, tuple(wrong))
