"""`python -m benchmarks [--quick] [--json] [SECTION…]`: measures in rounds, each beside its floors.

`python -m benchmarks authoring` is another one: how good the scripts are that `pawl new` gets written.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
from dataclasses import dataclass

from benchmarks import floors, fresh, providers, runs, workflows
from benchmarks.report import Line, machine, table
from engine.cli.main import GARBAGE_THRESHOLD
from engine.workflows import ScriptSource


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int
    calls: int
    longest: int
    starts: int


FULL = Plan(rounds=3, calls=10_000, longest=100_000, starts=9)
QUICK = Plan(rounds=2, calls=2_000, longest=10_000, starts=3)


async def throughput(plan: Plan) -> list[Line]:
    """Durable calls a second by width, beside the serial floor: same rows, same script, same batch."""
    n = plan.calls
    cases: list[tuple[str, ScriptSource, int, int]] = [
        (f"{calls:,} calls, width {width:,}", workflows.lanes(calls, width), calls, width)
        for calls, width in ((n // 25, 1), (n // 4, 16), (n, 256), (n, 1024))
    ]
    cases.append(("one parallel() of 4,096 calls", workflows.fan(4096), 4096, 256))
    cases.append((f"pipelines, {n:,} calls", workflows.pipelines(n), n, 256))
    lines = [Line(name, "calls/s", floor="serial floor", is_ratio_judged=True) for name, *_ in cases]
    lines[2].least = 0.30
    async with runs.project() as (engine, journal):
        await runs.live(engine, workflows.lanes(1000, 256))
        rows = floors.recorded_rows(journal)
        for _ in range(plan.rounds):
            for line, (_, script, calls, width) in zip(lines, cases, strict=True):
                result = await runs.live(engine, script, concurrency=max(16, width))
                inserts = floors.inserts(rows, min(width, floors.BATCH))
                jobs = await floors.jobs(script, calls)
                line.add(calls / result.seconds, floors.serial(inserts, jobs))
    return lines


async def replay(plan: Plan) -> list[Line]:
    """Calls a second from the journal alone, loading included, beside the script without a host."""
    n = plan.calls
    cases = [
        (f"replay of {n:,} calls, width 256", workflows.lanes(n, 256), n, 15_000),
        (f"replay of {n:,} calls, width 16", workflows.lanes(n, 16), n, 15_000),
        (f"replay of {n // 5:,} calls, width 1", workflows.lanes(n // 5, 1), n // 5, 3_000),
    ]
    lines = [Line(name, "calls/s", floor="bare jobs", least=least) for name, _, _, least in cases]
    async with runs.project() as (engine, _):
        recorded = [(await runs.live(engine, script)).run_id for _, script, *_ in cases]
        for _ in range(plan.rounds):
            for line, run_id, (_, script, calls, _) in zip(lines, recorded, cases, strict=True):
                result = await runs.replayed(engine, run_id)
                line.add(calls / result.seconds, await floors.jobs(script, calls))
    return lines


async def growth(plan: Plan) -> list[Line]:
    """What a call costs in a long run, beside what it costs in a short one."""
    short, sizes = 1_000, [size for size in (10_000, 100_000) if size <= plan.longest]
    lines = [
        Line(f"cost of a call in a run of {size:,}", "µs", floor=f"in one of {short:,}", most=1.3, is_ratio_judged=True)
        for size in sizes
    ]
    async with runs.project() as (engine, _):
        for line, size in zip(lines, sizes, strict=True):
            for _ in range(2 if size > 10_000 else plan.rounds):
                brief = [(await runs.live(engine, workflows.lanes(short, 256))).seconds / short for _ in range(5)]
                result = await runs.live(engine, workflows.lanes(size, 256))
                line.add(result.seconds / size * 1e6, sorted(brief)[2] * 1e6)
    return lines


async def stalls(plan: Plan) -> list[Line]:
    """The longest time that a callback had to wait for the event loop."""
    cases = [
        ("parallel() of 4,096 calls", workflows.fan(4096)),
        (f"{plan.calls:,} calls, width 256", workflows.lanes(plan.calls, 256)),
    ]
    lines = [Line(f"longest stall, {name}", "ms", floor="CPU of it", most=50) for name, _ in cases]
    async with runs.project() as (engine, _):
        for _ in range(plan.rounds):
            for line, (_, script) in zip(lines, cases, strict=True):
                with runs.Pulse() as pulse:
                    await runs.live(engine, script, concurrency=256)
                line.add(pulse.longest_s * 1000, pulse.longest_cpu_s * 1000)
    return lines


async def starts(plan: Plan) -> list[Line]:
    """From a command line, or from a resume, to the first agent."""
    line = Line("`pawl run` to its first agent", "ms", floor="Python and its imports", most=250)
    resumed = Line(f"resume of {plan.calls:,} calls to the first live call", "ms", floor="replay of it")
    for _ in range(plan.starts):
        line.add(fresh.first_agent() * 1000, fresh.bare_start(imports=True) * 1000)
    longer = workflows.lanes(plan.calls, 256, more=1)
    for _ in range(plan.rounds):
        async with runs.project() as (engine, _):
            result = await runs.live(engine, workflows.lanes(plan.calls, 256))
            again = await runs.replayed(engine, result.run_id)
            resumed.add(await runs.first_live_call(engine, result.run_id, longer) * 1000, again.seconds * 1000)
    return [line, resumed]


async def memory(plan: Plan) -> list[Line]:
    """What 10,000 pending calls add, host and child."""
    total = Line("10,000 pending calls, host and child", "MB", floor="a run with one", most=100)
    host, child = Line("  of it the host", "MB"), Line("  of it the child", "MB")
    for _ in range(min(3, plan.rounds)):
        found = fresh.memory(10_000)
        total.add(found["host"] + found["child"], found["baseline"])
        host.add(found["host"])
        child.add(found["child"])
    return [total, host, child]


async def provider_calls(plan: Plan) -> list[Line]:
    """What our side adds to a call of a provider, with tools and without."""
    return await providers.measured(plan.rounds)


SECTIONS = {
    "throughput": throughput,
    "replay": replay,
    "growth": growth,
    "stalls": stalls,
    "starts": starts,
    "memory": memory,
    "providers": provider_calls,
}


async def measured(names: list[str], plan: Plan) -> list[Line]:
    lines: list[Line] = []
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        lines += await SECTIONS[name](plan)
    return lines


def main() -> None:
    if sys.argv[1:2] == ["authoring"]:  # counts what a model writes, measures no time
        from benchmarks.authoring.__main__ import main as authoring

        raise SystemExit(authoring(sys.argv[2:]))
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of: {', '.join(SECTIONS)} (all)")
    parser.add_argument("--quick", action="store_true", help="less of everything: a minute")
    parser.add_argument("--json", action="store_true", help="every round's numbers on standard output")
    given = parser.parse_args()
    if unknown := set(given.sections) - set(SECTIONS):
        parser.error(f"unknown section {sorted(unknown)[0]!r}: expected {', '.join(SECTIONS)}")
    gc.set_threshold(GARBAGE_THRESHOLD)  # both as `pawl` does
    gc.freeze()
    lines = asyncio.run(measured(given.sections or list(SECTIONS), QUICK if given.quick else FULL))
    if given.json:
        print(json.dumps({"machine": machine(), "lines": [line.to_json() for line in lines]}, indent=1))
    else:
        print(", ".join(f"{name} {what}" for name, what in machine().items()), f"\n\n{table(lines)}")


if __name__ == "__main__":
    main()
