"""A script is saved with its request above it, and never over another file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.authoring.generation import Written
from engine.authoring.saving import save, save_as, save_draft, with_header
from engine.errors import UsageError
from engine.options import RunResult
from engine.script import check_report  # noqa: F401 - the module that reads what is saved
from engine.settings import Settings
from engine.setup import report
from engine.values import RunStatus

SCRIPT = "export const meta = { name: 'a', description: 'b' }\nreturn 1\n"
DAY_MS = 1_796_000_000_000


def written(request: str = "Do it.", **fields: Any) -> Written:
    result = RunResult("r1", 1, RunStatus.COMPLETED, None, None, False, {})
    return Written("r1", result, request, DAY_MS, **{"script": SCRIPT, "meta": {"name": "a"}, **fields})


async def is_script(text: str) -> bool:
    return (await report(text, "x.js", Settings().sandbox, portable=False)).is_ok


async def test_the_request_and_the_date_stand_above_it() -> None:
    text = with_header(SCRIPT, written("Do it,\nall of it."))
    assert text == "// Written by `pawl new` on 2026-11-30 (r1), asked for:\n//   Do it,\n//   all of it.\n" + SCRIPT
    assert await is_script(text)


@pytest.mark.parametrize(
    "end", ["\n", "\r", "\r\n", "\u2028", "\u2029", "\x0b", "\x85", "\u202e", "*/", "\x00", "\ud800"]
)
async def test_a_request_cannot_leave_its_comment(end: str) -> None:
    text = with_header(SCRIPT, written(f"Do it.{end}throw new Error('out')"))
    assert all(line.startswith("//") for line in text.splitlines()[:2])
    assert await is_script(text.encode("utf-8", "replace").decode())
    head = text.partition("export")[0]
    assert all(line.startswith("//") for line in head.splitlines())


async def test_a_first_line_that_names_a_program_stays_first() -> None:
    text = with_header("#!/usr/bin/env pawl\n" + SCRIPT, written())
    assert text.startswith("#!/usr/bin/env pawl\n// Written by")
    assert await is_script(text)


def test_a_long_request_is_wrapped_and_cut() -> None:
    lines = with_header(SCRIPT, written("word " * 4000)).splitlines()
    assert max(map(len, lines)) <= 122
    assert lines[41] == "//   … 134 more lines: pawl show r1"


def test_a_taken_name_gets_a_number(tmp_path: Path) -> None:
    first, second = save(tmp_path, SCRIPT, written()), save(tmp_path, "// other\n" + SCRIPT, written())
    assert [path.relative_to(tmp_path).as_posix() for path in (first, second)] == [
        ".pawl/workflows/a.js",
        ".pawl/workflows/a-2.js",
    ]
    assert "// other" not in first.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "file"), [("../../etc/x", "etc-x.js"), ("Größe & Co", "Gr-e-Co.js"), ("…", "workflow.js"), ("a" * 200, "a" * 60 + ".js")]
)  # fmt: skip
def test_a_name_is_no_path(name: str, file: str, tmp_path: Path) -> None:
    assert save(tmp_path, SCRIPT, written(meta={"name": name})) == tmp_path / ".pawl/workflows" / file


def test_an_existing_file_is_never_written_over(tmp_path: Path) -> None:
    target = tmp_path / "mine.js"
    target.symlink_to(tmp_path / "nowhere")  # also a link that leads nowhere is there
    with pytest.raises(UsageError) as caught:
        save_as(target, SCRIPT, written())
    assert (caught.value.code, caught.value.message) == ("exists", f"-o: '{target}' exists")
    with pytest.raises(UsageError) as caught:
        save_as(tmp_path / "no" / "folder.js", SCRIPT, written())
    assert caught.value.message == f"-o: there is no folder '{tmp_path}/no'"


def test_a_draft_holds_what_is_wrong_with_it(tmp_path: Path) -> None:
    problem = {"severity": "error", "code": "crashes", "text": "it crashes\n    here\n", "line": 3}
    path = save_draft(tmp_path, written(problems=(problem,)))
    assert path == tmp_path / ".pawl/drafts/a-r1.js"
    assert path.read_text(encoding="utf-8").endswith(
        f"{SCRIPT}\n// What is wrong with it:\n// ! crashes: it crashes\n// !     here\n"
    )
