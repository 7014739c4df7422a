"""S01: TypeScript is a syntax error, and is called by its name."""

from __future__ import annotations

import pytest
from support.runs import META, Project

from engine.engine import Engine


@pytest.mark.parametrize(
    "text",
    [
        "const a: string = 'x';",
        "let a: number;",
        "function f(a: string) {}",
        "const f = (a: number) => a;",
        "interface A { b: string }",
        "const x = 5 as number;",
    ],
)
async def test_S01_typescript_is_refused_by_its_name(project: Project, text: str) -> None:
    async with Engine.open(project.folder) as engine:
        report = await engine.check(META + text, file="a.ts")
    assert [(d.code, d.line) for d in report.errors] == [("typescript", 2)]
