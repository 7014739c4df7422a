"""What is asked before a run starts: the size of the last run, or what a quick simulation came to."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.agents.simulated import OnlySample
from engine.cli import confirming, projecting
from engine.cli.confirming import confirmed
from engine.cli.projecting import is_small, projected
from engine.cli.streams import Output
from engine.engine import Engine
from engine.errors import UsageError
from engine.journal.memory import MemoryJournal
from engine.options import UNSET, RunOptions
from engine.settings import ConfirmSettings, Settings
from engine.workflows import ScriptSource

META = "export const meta = { name: 'test', description: 'a test' }\n"
PAID = RunOptions(backend="openai:m")
LOOP = "for (let i = 0; i < N; i++) await agent('x' + i)\n"


def script(body: str, **numbers: int) -> ScriptSource:
    for name, number in numbers.items():
        body = body.replace(name, str(number))
    return ScriptSource(META + body, None, "test.js")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else the machine does: no simulation here that ends is cut short."""
    monkeypatch.setattr(projecting, "TIME_S", 60.0)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with made(tmp_path) as opened:
        yield opened


def made(project: Path, **settings: Any) -> Engine:
    return Engine(project, MemoryJournal(), Settings(**settings))


async def refusal(engine: Engine, source: ScriptSource, options: RunOptions = PAID, args: Any = UNSET) -> str | None:
    """Why the run is refused where nobody can be asked; None when it may start."""
    found: UsageError | None = None
    try:
        await confirmed(engine, source, options, Output(), is_yes=False, args=args)
    except UsageError as error:
        found = error
    if found is None:
        return None
    assert (found.code, found.exit_code) == ("not_confirmed", 2)
    assert found.hint == "Confirm with --yes, or cap it: --max-agents N, --max-cost USD."
    return found.message


async def ran(engine: Engine, source: ScriptSource, backend: str = "sample") -> None:
    await (await engine.start(source, options=RunOptions(backend=backend))).result()


# ── by the last run ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_last_run_was_large_in_agents(tmp_path: Path) -> None:
    async with made(tmp_path, confirm=ConfirmSettings(agents=2)) as engine:
        await ran(engine, script(LOOP, N=3), "sample:usd=0.5")
        assert await refusal(engine, script(LOOP, N=3)) == (
            "test.js is a large workflow: its last run made 3 agent calls for $1.50"
        )
        await ran(engine, script(LOOP, N=1))
        assert await refusal(engine, script(LOOP, N=3)) is None, "the last one counts"


async def test_the_last_run_was_large_in_tokens(tmp_path: Path) -> None:
    async with made(tmp_path, confirm=ConfirmSettings(tokens=100)) as engine:
        await ran(engine, script(LOOP, N=2), "sample:tokens=200")
        message = await refusal(engine, script(LOOP, N=2))
    assert message is not None
    pattern = r"test\.js is a large workflow: its last run made 2 agent calls for \$0 and used [4-9]\d\d tokens"
    assert re.fullmatch(pattern, message)


async def test_a_run_that_was_not_large_is_enough_to_go_by(tmp_path: Path) -> None:
    async with made(tmp_path, confirm=ConfirmSettings(agents=20)) as engine:
        await ran(engine, script(LOOP, N=1))
        assert await refusal(engine, script(LOOP, N=100)) is None
        other = ScriptSource(script(LOOP, N=100).text.replace("'test'", "'other'"), None, "test.js")
        assert await refusal(engine, other) is not None, "the run of another workflow says nothing"


# ── by a simulation ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_first_run_is_projected(engine: Engine) -> None:
    assert await refusal(engine, script(LOOP, N=10_000)) == (
        "test.js is a large workflow: it has no run here to go by, and with made-up answers it made 201 agent calls and "
        "wanted more: about 1,005,000 tokens for $5.43, by the settings' table ([estimate] in config.toml): nothing is "
        "recorded yet"
    )
    assert [info async for info in engine.journal.runs()] == []


@pytest.mark.parametrize("confirm", [ConfirmSettings(tokens=149_999), ConfirmSettings(cost_usd=0.8)])
async def test_tokens_and_cost_count(tmp_path: Path, confirm: ConfirmSettings) -> None:
    async with made(tmp_path, confirm=confirm) as engine:
        assert await refusal(engine, script(LOOP, N=30)) == (
            "test.js is a large workflow: it has no run here to go by, and with made-up answers it made 30 agent calls: "
            "about 150,000 tokens for $0.8100, by the settings' table ([estimate] in config.toml): nothing is recorded yet"
        )
        assert await refusal(engine, script(LOOP, N=29)) is None


async def test_the_script_sees_its_args(tmp_path: Path) -> None:
    async with made(tmp_path, confirm=ConfirmSettings(agents=20)) as engine:
        source = script("for (let i = 0; i < args.n; i++) await agent('x' + i)")
        assert await refusal(engine, source, args={"n": 20}) is None
        assert await refusal(engine, source, args={"n": 21}) is not None


@pytest.mark.parametrize(
    "options",
    [
        RunOptions(backend="sample"),
        RunOptions(backend="sample:latency=1s"),
        RunOptions(backend="local"),
        RunOptions(),
        RunOptions(backend="openai:m", max_agents=5000),
        RunOptions(backend="openai:m", max_cost_usd=100.0),
        RunOptions(backend="openai:m", budget_tokens=10**9),
    ],
)
async def test_what_is_free_or_capped_is_not_projected(engine: Engine, options: RunOptions) -> None:
    assert await refusal(engine, script(LOOP, N=1000), options) is None


async def test_yes_confirms(engine: Engine) -> None:
    assert await confirmed(engine, script(LOOP, N=1000), PAID, Output(), is_yes=True) == PAID


@pytest.mark.parametrize(("typed", "is_started"), [("maybe", None), ("y", True), ("n", False), (None, False)])
async def test_a_person_is_asked(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, typed: str | None, is_started: bool | None
) -> None:
    answers, questions = [typed, "y"], []

    async def prompt(text: str) -> str | None:
        questions.append(text)
        return answers.pop(0)

    monkeypatch.setattr(confirming, "prompt", prompt)
    options = RunOptions(backend="openai:m", is_interactive=True)
    if is_started is False:
        with pytest.raises(UsageError, match="not started: you said no"):
            await confirmed(engine, script(LOOP, N=1000), options, Output(), is_yes=False)
    else:
        assert await confirmed(engine, script(LOOP, N=1000), options, Output(), is_yes=False) == options
    assert questions[0].startswith("Large workflow: it has no run here to go by, and with made-up answers it made 201")
    assert questions[0].endswith(" Start? [y/n]: ")
    assert len(questions) == (2 if typed == "maybe" else 1)


async def test_nothing_acts_and_nothing_is_left_behind(tmp_path: Path) -> None:
    body = """
    await check('touch checked')
    await writeFile('written', 'x')
    await ask('Really?')
    await sleep(3600000)
    """
    head = META.replace(" }", ", permissions: ['check', 'files', 'ask'] }")
    log = tmp_path / "log"
    async with made(tmp_path, allow=("check", "ask", "files"), log=str(log)) as engine:
        source = ScriptSource(head + body + LOOP.replace("N", "1000"), None, "test.js")
        assert await refusal(engine, source) is not None
    assert [path.name for path in tmp_path.iterdir()] == ["log"]
    assert log.read_bytes() == b""


async def test_files_are_looked_at_only_by_leave(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("30")
    source = script("const n = Number(await readFile('list'))\n" + LOOP.replace("N", "n"))
    async with made(tmp_path, confirm=ConfirmSettings(agents=20)) as engine:
        assert await projected(engine, source, UNSET, PAID, enough=20) is None
        allowed = RunOptions(backend="openai:m", allow=frozenset({"files"}))
        found = await projected(engine, source, UNSET, allowed, enough=50)
        assert found is not None
        assert (found.agents, found.is_whole) == (30, True)


@pytest.mark.parametrize(
    "body",
    [
        "for (;;) {}",
        "for (;;) await sleep(1)",
        "while (true) await new Promise(r => 0)",
        "let x = ;",
        "for (;;) throw 1",
    ],
)
async def test_a_script_that_does_not_end_or_cannot_run_is_for_the_run_to_find(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    monkeypatch.setattr(projecting, "TIME_S", 0.05)
    assert await refusal(engine, script(body)) is None


async def test_calls_that_were_made_before_the_time_was_up_count(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projecting, "TIME_S", 2.0)
    found = await projected(engine, script(LOOP + "for (;;) {}", N=12), UNSET, PAID, enough=200)
    assert found is not None
    assert (found.agents, found.is_whole, found.tokens) == (12, False, 60_000)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return await agent('x')", True),
        ("phase('a')\nlog('b')\nif (args) await agent(JSON.stringify(args))\nreturn await agent('c')", True),
        ("await agent('x')\n" * 10, False),
        ("await parallel([1, 2].map(n => () => agent('x' + n)))", False),
        ("for (const x of args) await agent(x)", False),
        ("while (true) await agent('x')", False),
        ("async function f() { await agent('x'); await f() }\nawait f()", False),
        ("await workflow('other')", False),
        ("await vote('q', { voters: 900 })", False),
    ],
)
def test_only_a_script_that_is_plainly_small_is_not_simulated(body: str, expected: bool) -> None:
    assert is_small(META + body) is expected


# ── a simulation asks nobody ───────────────────────────────────────────────────────────────────────────────────────────


class Finder:
    def __init__(self) -> None:
        self.found: list[str] = []

    def find(self, spec: str) -> Any:
        self.found.append(spec)

    def is_backend(self, word: str) -> bool:
        return True

    def tools(self, spec: str, names: tuple[str, ...]) -> tuple[str, ...]:
        self.found.append(spec)
        return names

    def line(self, spec: str) -> str:
        return spec


def test_a_simulation_finds_only_sample() -> None:
    finder = Finder()
    only = OnlySample(finder)
    for spec in ("openai:gpt-5", "cli:claude", "sample", "sample:tokens=5", "sampler"):
        only.find(spec)
    only.tools("acp:claude", ("Read",))
    assert finder.found == ["sample", "sample", "sample", "sample:tokens=5", "sample", "sample"]
    assert only.line("openai:gpt-5") == "sample"


@pytest.mark.parametrize("option", ["backend: 'openai:gpt-5'", "model: 'anthropic:claude'", "model: 'lite'"])
async def test_a_simulated_call_that_names_a_service_does_not_reach_it(
    tmp_path: Path, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    async with made(tmp_path, models={"lite": ("openai:gpt-5-nano",)}) as engine:
        source = script(f"return await agent('x', {{ {option} }})")
        handle = await engine.start(source, options=RunOptions(backend="sample"), simulate=True)
        result = await handle.result()
    assert (result.error, result.degraded, isinstance(result.result, str)) == (None, False, True)


# ── effects that a script for MiMo Code does not ask for ───────────────────────────────────────────────────────────────

MIMO = META.replace("description", "dialect: 'mimo', description")


@pytest.mark.parametrize(
    ("path", "text", "asked"),
    [
        ("/p/.mimocode/workflows/a.js", META + "return await readFile('a')", "files"),
        ("/p/.mimocode/workflows/a.js", META + "return await agent('a file')", ""),
        ("/p/.mimocode/workflows/a.js", MIMO.replace("mimo", "pawl") + "return await readFile('a')", ""),
        (None, MIMO + "return await glob ('*.md')", "files"),
        (None, MIMO.replace("dialect", "permissions: [{ permission: 'bash' }, 'ask'], dialect") + "exists('a')", "ask, files"),
        (None, META + "return await readFile('a')", ""),
    ],
)  # fmt: skip
async def test_S16_mimo_files_are_asked_for_when_a_script_uses_them(
    engine: Engine, capsys: pytest.CaptureFixture[str], path: str | None, text: str, asked: str
) -> None:
    source = ScriptSource(text, None if path is None else Path(path), "a.js")
    options = await confirmed(engine, source, PAID, Output(), is_yes=True)
    assert options.allow is None, "nobody is there to say yes, and --yes is not for effects"
    told = f"warning: a.js asks for {asked}; not allowed: --allow {asked.replace(' ', '')}\n" if asked else ""
    assert capsys.readouterr().err == told
