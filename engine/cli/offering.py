"""A script that was written, as a person sees it before deciding: what it is, what it may do and cost, its text."""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from engine.authoring.saving import with_header
from engine.cli import wording
from engine.cli.asking import prompt
from engine.cli.confirming import MEANING
from engine.cli.inputs import args_value
from engine.cli.simulating import SIMULATED, estimate
from engine.cli.streams import Output, one_line, printable
from engine.options import UNSET, RunOptions
from engine.values import Json

if TYPE_CHECKING:
    from engine.authoring.generation import Written
    from engine.journal.reading import ModelUsage
    from engine.options import RunResult
    from engine.settings import Settings

Choice = Literal["run", "save", "discard"]

UNCAPPED = 1000
"""Agents of a run without a cap of its own, for the dearest that it may get; as `limits.agents` of the settings."""


class HasArgs(Protocol):
    args: Json


@dataclass(slots=True)
class Offer:
    """
    Attributes:
        usage: what calls of each model used, as this project's journal has it.
        choice: what a person said; None while nobody was asked.
        file: where the script was saved; `draft`: where one that is not right was.
    """

    out: Output
    project: Path
    settings: Settings
    usage: Mapping[str, ModelUsage]
    options: RunOptions
    written: Written
    choice: Choice | None = None
    file: Path | None = None
    draft: Path | None = None

    # ── for people ─────────────────────────────────────────────────────────────────────────────────────────────────

    def show(self) -> None:
        """Prints it: name, phases, shape, agents, cost, permissions, warnings, the text with line numbers."""
        for line in (*self._about(), *self._text()):
            self.out.print(line)

    def problem_line(self, problem: Mapping[str, Json]) -> str:
        text = "\n    ".join(printable(str(problem["text"])).splitlines())
        return f"  {problem['severity']}: {text}"

    def shown_path(self, path: Path) -> str:
        return str(path.relative_to(self.project)) if path.is_relative_to(self.project) else str(path)

    def run_line(self) -> str:
        """The command that runs the saved file from this folder."""
        assert self.file is not None
        path = os.path.relpath(self.file)
        needed = " --args JSON" if self._needed_args() else ""
        return f"pawl run {shlex.quote(path if os.sep in path else f'./{path}')}{needed}"

    def _about(self) -> Iterator[str]:
        written, meta = self.written, self.written.meta or {}
        yield self.out.paint(one_line(written.name), "bold") + f": {one_line(str(meta.get('description', '')))}"
        titles = [
            one_line(str(phase.get("title", ""))) for phase in meta.get("phases") or [] if isinstance(phase, dict)
        ]
        yield f"Phases: {' → '.join(titles)}" if titles else "Phases: none"
        yield from tree(written.name, written.shape)
        told, most = self._estimate(self._simulated()), self._estimate(self._most())
        yield f"Agents: {self._simulated():,} with made-up answers, at most {self._most():,}"
        yield f"Estimate: {_price(told)}; at most {_price(most)}\n  from {told['source_text']}"
        # MiMo Code has objects of its own there, which ask nobody for anything here.
        permissions = [name for name in meta.get("permissions") or [] if isinstance(name, str)]
        yield "Asks for: " + (
            ", ".join(f"{name} ({MEANING.get(name, 'unknown')})" for name in permissions) if permissions else "nothing"
        )
        if needed := self._needed_args():
            yield f"Needs args: {', '.join(needed)}"
        if written.notes:
            yield f"Note: {one_line(written.notes, 400)}"
        for problem in written.problems:
            yield self.problem_line(problem).strip()
        yield ""

    def _text(self) -> Iterator[str]:
        lines = with_header(self.written.script or "", self.written).splitlines()
        width = len(str(len(lines)))
        for number, line in enumerate(lines, 1):
            yield f"{self.out.paint(str(number).rjust(width), 'dim')} {printable(line)}".rstrip()

    def _needed_args(self) -> list[str]:
        schema = (self.written.meta or {}).get("args")
        needed = schema.get("required") if isinstance(schema, dict) else None
        return [one_line(str(name), 40) for name in needed or []]

    # ── what a person wants ────────────────────────────────────────────────────────────────────────────────────────

    async def ask(self) -> None:
        """Asks until there is a choice; what was edited is checked and shown again."""
        while self.choice is None:
            can_run = self.written.is_ok
            question = f"{'[r]un, ' if can_run else ''}[e]dit, [s]ave, [d]iscard: "
            typed = await prompt(question)
            letter = "d" if typed is None else typed.strip().lower()[:1]
            if letter == "e":
                await self._edit()
            elif letter == "r" and can_run:
                self.choice = "run"
            elif letter in ("s", "d"):
                self.choice = "save" if letter == "s" else "discard"

    async def ask_for_args(self, wish: HasArgs) -> None:
        """Asks for args that the script needs and nobody gave."""
        needed = self._needed_args()
        if needed and wish.args is UNSET:
            typed = await prompt(f"It needs args ({', '.join(needed)}), as JSON: ")
            wish.args = UNSET if not typed else args_value(typed)

    async def _edit(self) -> None:
        from engine.authoring.examining import examined

        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
        with tempfile.TemporaryDirectory(prefix="pawl-new-") as folder:
            path = Path(folder, "workflow.js")
            path.write_text(self.written.script or "", encoding="utf-8")
            try:
                done = await asyncio.to_thread(subprocess.run, [*shlex.split(editor), str(path)], check=False)
                text = path.read_text(encoding="utf-8")
            except (OSError, ValueError) as error:
                self.out.note(f"Cannot edit with {editor!r}: {error}. Set EDITOR.")
                return
        if done.returncode != 0:
            self.out.note(f"{editor!r} ended with {done.returncode}; the script is as it was.")
            return
        found = (await examined(self.project, self.settings, text)).to_json()
        self.written = replace(
            self.written,
            script=text,
            is_ok=found["ok"],
            problems=tuple(found["problems"]),
            meta=found["meta"] or self.written.meta,
            shape=tuple(found["shape"]),
            agents=found["agents"],
            notes="",
        )
        self.show()

    # ── for programs ───────────────────────────────────────────────────────────────────────────────────────────────

    def to_json(self) -> dict[str, Json]:
        """What `pawl new --json` prints; docs/cli.md promises its members."""
        written, meta = self.written, self.written.meta or {}
        return {
            **told_of_run(written.result),
            "ok": written.is_ok,
            "name": meta.get("name"),
            "description": meta.get("description"),
            "file": None if self.file is None else str(self.file),
            "draft": None if self.draft is None else str(self.draft),
            "script": written.script,
            "problems": list(written.problems),
            "attempts": written.attempts,
            "phases": list(written.shape),
            "agents": {"simulated": self._simulated(), "most": self._most()},
            "estimate": self._estimate(self._simulated()),
            "permissions": meta.get("permissions") or [],
            "notes": written.notes,
        }

    def _simulated(self) -> int:
        return int((self.written.agents or {}).get("simulated") or 0)

    def _most(self) -> int:
        cap = (self.written.agents or {}).get("most")
        return UNCAPPED if cap is None else int(cap)

    def _estimate(self, agents: int) -> dict[str, Json]:
        usage = {model: one for model, one in self.usage.items() if model != SIMULATED}
        return estimate([self.options.model or self.settings.model] * agents, usage, self.settings.estimate)


def told_of_run(result: RunResult) -> dict[str, Json]:
    """The run that writes: members that are there whatever came of it."""
    return {
        "run_id": result.run_id,
        "version": result.version,
        "status": str(result.status),
        "error": result.error,
        "usage": result.usage.to_json(),
        "run_usage": result.run_usage.to_json(),
        "seconds": round(result.seconds, 3),
        "run": None,
    }


def tree(name: str, shape: tuple[dict[str, Json], ...]) -> Iterator[str]:
    """The phases and what is asked in them, as it was simulated."""
    yield f"  {one_line(name)}"
    for place, group in enumerate(shape):
        is_last = place == len(shape) - 1
        parts = []
        if group["agents"]:
            parts.append(f"{wording.count(group['agents'], 'agent')}, {group['width']:,} at once")
        parts += [f"{effect}() × {times:,}" for effect, times in group["effects"].items()]
        yield f"  {'└─' if is_last else '├─'} {one_line(group['phase'] or '(no phase)', 60)} · {', '.join(parts)}"
        labels = group["labels"]
        more = group["agents"] - len(labels)
        if labels:
            listed = ", ".join(one_line(label, 40) for label in labels) + (f" and {more:,} more" if more > 0 else "")
            yield f"  {'  ' if is_last else '│ '}   {listed}"


def _price(told: Mapping[str, Json]) -> str:
    tokens = told["input_tokens"] + told["output_tokens"]
    return f"{tokens:,} tokens, {wording.money(told['cost_usd'])}"
