"""Any interleaving of what services do wrong, over several agents of a real run: I6, I7, nothing lost, nothing left.

The real engine, sandbox, journal on disk and client of the service; only the service is scripted. What it says that it
served is what the journal is held to.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.agents_failing import ENDLESS, MOST_OUT, PIECES, SCHEMA, TURNS, HurriedClock, Service, variables
from support.runs import Project, script

from engine.engine import Engine
from engine.options import RunOptions, RunResult
from engine.settings import AgentSettings, PriceSettings, Settings
from engine.values import Outcome, RunStatus, SettlementRow

HURRY = 200.0
SETTINGS = Settings(
    # Silence of 0.6 s ends an attempt, and an attempt ends after 2.4 s: far above what the test's own loop ever sleeps.
    agents=AgentSettings(turns=5, attempts=2, schema_rounds=3, stall_s=120.0, timeout_minutes=8.0),
    prices={"fake-1": PriceSettings(input=1.0, output=10.0), "fake-2": PriceSettings(input=1.0, output=10.0)},
)
BODY = """
const one = async (i) => {
  try { return ['value', await agent(`Task of agent-${i}.`, args.options[i])] }
  catch (error) { return ['error', error.code ?? error.name] }
}
return await parallel(args.options.map((_, i) => () => one(i)))
"""


@dataclass(frozen=True)
class Plan:
    """A run: what happens to each agent, which of them have schemas, and the caps."""

    service: str
    turns: tuple[tuple[str, ...], ...]
    schemas: tuple[bool, ...]
    concurrency: int = 3
    tokens: int | None = None
    usd: float | None = None
    agents: int | None = None

    def options(self) -> list[dict[str, Any]]:
        return [
            {"label": f"agent-{at}", "tools": ["read_file", "list_files"], **({"schema": SCHEMA} if has else {})}
            for at, has in enumerate(self.schemas)
        ]

    def caps(self) -> dict[str, Any]:
        return {"budget_tokens": self.tokens, "max_cost_usd": self.usd, "max_agents": self.agents}


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    agents = draw(st.integers(1, 4))
    names = st.sampled_from([name for name in TURNS if name != "silence"])
    turns = [tuple(draw(st.lists(names, max_size=4))) for _ in range(agents)]
    if draw(st.integers(0, 9)) == 9:  # costs seconds: an answer that never begins ends with the attempt's time
        turns[0] = (*turns[0][:1], "silence")
    return Plan(
        draw(st.sampled_from(["openai", "anthropic", "openai-responses"])),
        tuple(turns),
        tuple(draw(st.lists(st.booleans(), min_size=agents, max_size=agents))),
        draw(st.integers(1, 4)),
        draw(st.none() | st.integers(1, 60)),
        draw(st.none() | st.integers(1, 60).map(lambda tokens: tokens * 10e-6)),
        draw(st.none() | st.integers(1, 3)),
    )


class Hurried(Project):
    def engine(self) -> Engine:
        engine = super().engine()
        engine._clock = HurriedClock(HURRY)
        return engine


async def look(project: Project, run: str) -> dict[str, SettlementRow]:
    """Newest settlements by label."""
    async with project.engine() as engine:
        assert await engine.journal.verify() == []
        info = await engine.journal.run_info(run)
        rows = [row for v in range(1, info.versions + 1) for row in await engine.journal.calls(run, v)]
        labels = {row.call: row.label or "" for row in rows}
        settled = await engine.journal.settlements(run)
        return {labels[call]: row for call, row in sorted(settled.items())}


def sums(settled: dict[str, SettlementRow]) -> tuple[int, int, float]:
    rows = settled.values()
    return sum(r.input_tokens for r in rows), sum(r.output_tokens for r in rows), sum(r.cost_usd for r in rows)


async def hold(plan: Plan, folder: Path) -> None:
    """Runs the plan, replays it, resumes it with a healthy service, and checks all of it."""
    (folder / "a.txt").write_text("one line\n")
    service = Service(dict(enumerate(plan.turns)))
    hurried, project = Hurried(folder, SETTINGS), Project(folder, SETTINGS)
    backend = f"{plan.service}:fake-1"
    tasks = asyncio.all_tasks()
    async with service.model as model:
        keys = {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}
        with variables(OPENAI_BASE_URL=model.url, ANTHROPIC_BASE_URL=model.origin, **keys):
            async with asyncio.timeout(60):
                result = await hurried.run(
                    BODY, args={"options": plan.options()}, run_id="r", backend=backend,
                    concurrency=plan.concurrency, **plan.caps(),
                )  # fmt: skip
            await service.without_connections()
            assert asyncio.all_tasks() - tasks - model._tasks == set(), "tasks are left"
            assert model.refused == [], "the service was asked something that it does not take"
            first = await look(project, "r")
            check_ends(result, first, plan)
            check_usage(result, first, service, plan)
            check_caps(service, plan)
            replayed = await project.replay("r")
            assert (replayed.status, replayed.result, replayed.error) == (result.status, result.result, result.error)
            served = {agent: list(names) for agent, names in service.served.items()}
            service.heal()
            lifted = {name: 10_000 for name, cap in plan.caps().items() if cap is not None}
            resumed = await project.resume("r", **lifted)
            check_resumed(resumed, result, await look(project, "r"), first, service, served, plan)
            await service.without_connections()
            replayed = await project.replay("r")
            assert replayed.result == resumed.result


def check_ends(result: RunResult, settled: dict[str, SettlementRow], plan: Plan) -> None:
    """I7: a value, a null with its reason, or an error with its reason; and the script got just that."""
    assert result.error is None, result.error
    assert len(settled) == len(plan.turns)
    for at, (kind, got) in enumerate(result.result):
        row = settled[f"agent-{at}"]
        told = f"{row.outcome} {row.reason}"
        if row.outcome == Outcome.OK:
            assert (kind, got) == ("value", json.loads(row.value)), told
            assert (isinstance(got, dict) and got["n"] >= 5) if plan.schemas[at] else got.strip(), told
        elif row.outcome == Outcome.NULL:
            assert (kind, got) == ("value", None), told
            assert row.reason, "I7: null without a reason"
            assert row.reason.split(":")[0] in ("provider_failed", "timeout", "empty"), told
        else:
            assert kind == "error", told
            assert row.outcome in (Outcome.FAILED, Outcome.REFUSED)
            assert row.reason, "I7: an error without a reason"
            assert row.reason.startswith(f"{got}: "), told
            assert got == "schema_invalid" or got.startswith("limit_"), told


def check_usage(result: RunResult, settled: dict[str, SettlementRow], service: Service, plan: Plan) -> None:
    """What is on record is what the service counted, and for answers that broke off at most their pieces."""
    tokens_in, tokens_out, usd = sums(settled)
    used = result.run_usage
    assert (tokens_in, tokens_out) == (used.input_tokens, used.output_tokens)
    assert usd == pytest.approx(used.cost_usd, abs=1e-12)
    served = Counter(name for names in service.served.values() for name in names)
    reasons = " ".join(f"{row.reason} {row.meta!r}" for row in settled.values())
    if reasons.count("silent for") > served["stall"] or reasons.count("timeout: ") > served["silence"]:
        return  # the machine was so slow that good answers were given up: what they cost is not known
    assert tokens_in == service.counted["in"]
    assert service.counted["out"] <= tokens_out <= service.counted["out"] + PIECES * service.broken
    assert usd == pytest.approx(service.counted["in"] * 1e-6 + service.counted["out"] * 10e-6, abs=1e-9)


def check_caps(service: Service, plan: Plan) -> None:
    """I6: past a cap by no more than what the turns that were under way cost."""
    over = plan.concurrency * (MOST_OUT + (PIECES if service.broken else 0))
    if plan.tokens is not None:
        assert service.counted["out"] < plan.tokens + over
    if plan.usd is not None:
        spent = service.counted["in"] * 1e-6 + service.counted["out"] * 10e-6
        assert spent < plan.usd + plan.concurrency * (MOST_OUT * 10e-6 + 7e-6) + 1e-9
    if plan.agents is not None:
        assert len(service.served) <= plan.agents


def check_resumed(  # noqa: PLR0917 two runs, from three sides
    resumed: RunResult,
    result: RunResult,
    settled: dict[str, SettlementRow],
    first: dict[str, SettlementRow],
    service: Service,
    served: dict[int, list[str]],
    plan: Plan,
) -> None:
    """What succeeded is as it was and was not asked again; what failed is done."""
    assert resumed.error is None
    for at, (before, after) in enumerate(zip(result.result, resumed.result, strict=True)):
        label = f"agent-{at}"
        asked = service.served.get(at, [])[len(served.get(at, [])) :]
        if first[label].outcome == Outcome.OK:
            assert (before, asked) == (after, []), f"{label} had its answer and was asked again: {asked}"
        else:
            assert settled[label].outcome == Outcome.OK, settled[label].reason
            assert after == ["value", {"n": 100 + at} if plan.schemas[at] else f"answer of agent-{at}"]
            assert asked == ["healthy"]


async def hold_interrupted(plan: Plan, folder: Path, after: Sequence[int]) -> None:
    """Interrupts each version at its N-th request, goes on with the service as bad as it was, then with a healthy one."""
    (folder / "a.txt").write_text("one line\n")
    service = Service(dict(enumerate(plan.turns)))
    project = Hurried(folder, SETTINGS)
    tasks = asyncio.all_tasks()
    async with service.model as model:
        keys = {"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}
        with variables(OPENAI_BASE_URL=model.url, ANTHROPIC_BASE_URL=model.origin, **keys):
            for number, requests in enumerate([*after, None]):
                if requests is None:
                    service.heal()
                async with asyncio.timeout(60), project.engine() as engine:
                    if number == 0:
                        options = RunOptions(backend=f"{plan.service}:fake-1", concurrency=plan.concurrency)
                        args = {"options": plan.options()}
                        handle = await engine.start(script(BODY), args=args, options=options, run_id="r")
                    else:
                        handle = await engine.resume("r")
                    left = count(requests or 10_000, -1)
                    service.on_request = lambda handle=handle, left=left: next(left) == 1 and handle.interrupt()
                    result = await project.end(handle)
                await service.without_connections()
                assert asyncio.all_tasks() - tasks - model._tasks == set(), "tasks are left"
                assert result.status in (RunStatus.INTERRUPTED, RunStatus.COMPLETED), result.error
            assert model.refused == [], "the service was asked something that it does not take"
            assert result.status is RunStatus.COMPLETED
            settled = await look(project, "r")
            for at, value in enumerate(result.result):
                assert settled[f"agent-{at}"].outcome == Outcome.OK, settled[f"agent-{at}"].reason
                assert value[0] == "value"
                assert value[1], f"agent-{at} has no answer of a healthy service"
            # What was on its way when somebody interrupted may be lost to the count; nothing is counted twice.
            lost = 7 * plan.concurrency * len(after)
            async with project.engine() as engine:
                tokens_in = (await engine.journal.run_info("r")).paid.input_tokens
            assert tokens_in == result.run_usage.input_tokens
            assert service.counted["in"] - lost <= tokens_in <= service.counted["in"]
            assert (await project.replay("r")).result == result.result


def one(plan: Plan, after: Sequence[int] | None = None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        work = hold(plan, Path(folder)) if after is None else hold_interrupted(plan, Path(folder), after)
        asyncio.run(work)


AFTER = st.lists(st.integers(1, 8), min_size=1, max_size=3)


@settings(max_examples=9)
@given(plans())
@example(Plan("openai", ((ENDLESS,), ("429 for ever",), ("stall", "stall")), (False, True, False)))
@example(Plan("anthropic", (("429 for 2 s", "empty", "empty"), ("misfit",) * 3, ("refusal",)), (False, True, True)))
@example(Plan("openai", ((ENDLESS,), (ENDLESS,), ()), (True, False, False), concurrency=2, tokens=20, agents=2))
def test_I6_I7_any_failures_of_a_service_end_in_a_value_a_null_or_an_error(plan: Plan) -> None:
    one(plan)


@settings(max_examples=5)
@given(plans(), AFTER)
@example(
    Plan("anthropic", (("two looks", "args that are no JSON"), ("misfit", "a look and an answer")), (True, True)),
    [2, 3],
)
def test_I2_I7_interrupted_among_failures_and_resumed(plan: Plan, after: list[int]) -> None:
    one(plan, after)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(max_examples=600)
@given(plans())
def test_I6_I7_any_failures_of_a_service_soak(plan: Plan) -> None:
    one(plan)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(max_examples=300)
@given(plans(), AFTER)
def test_I2_I7_interrupted_among_failures_and_resumed_soak(plan: Plan, after: list[int]) -> None:
    one(plan, after)


@pytest.mark.parametrize("service", ["openai", "openai-responses", "anthropic"])
def test_I7_every_kind_of_failure_once(service: str) -> None:
    """Each alone, with and without a schema: all of them agents of one run."""
    names = [name for name in TURNS if name not in ("429 for 2 s", "429 reset")]
    one(Plan(service, tuple((name,) for name in names for _ in range(2)), (False, True) * len(names), 16))
