"""How numbers, times and money read for people. Pure."""

from __future__ import annotations

import time
from collections.abc import Mapping

from engine.values import Json, Usage


def count(number: int, noun: str) -> str:
    """`1 agent`, `2 agents`, `1,000 agents`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def money(usd: float) -> str:
    """`$0.0012`, `$1.25`; never a cost that rounds to nothing."""
    if usd == 0:
        return "$0"
    return f"${usd:.2f}" if usd >= 1 else f"${usd:.4f}" if usd >= 0.0001 else f"${usd:.2g}"


def short(number: int) -> str:
    """`950`, `12.3k`, `4.5M`: for columns."""
    if number < 1000:
        return str(number)
    return f"{number / 1000:.1f}k" if number < 999_950 else f"{number / 1_000_000:.1f}M"


def used(usage: Usage) -> str:
    """`1,200 tokens in, 340 out, $0.02`; nothing where nothing was used."""
    if not (usage.input_tokens or usage.output_tokens or usage.cost_usd):
        return ""
    text = f"{usage.input_tokens:,} tokens in, {usage.output_tokens:,} out"
    return f"{text}, {money(usage.cost_usd)}" if usage.cost_usd else text


def when(at_ms: int) -> str:
    """Local time to the second; programs read the milliseconds of `--json`."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_ms / 1000))


def size(size_bytes: int) -> str:
    """`512 B`, `1.5 MiB`."""
    value, unit = float(size_bytes), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{int(value)} B" if unit == "B" else f"{value:.1f} {unit}"


def caps(values: Mapping[str, Json]) -> str:
    """The caps of a run in one line: `at most 1,000 agents, 16 at once, 50,000 output tokens, $5.00, 30 minutes`."""
    agents, together = values.get("agents"), values.get("concurrency")
    parts = ["any number of agents" if agents is None else f"at most {count(agents, 'agent')}"]
    if together is not None:
        parts.append(f"{together:,} at once")
    if (tokens := values.get("tokens")) is not None:
        parts.append(f"{tokens:,} output tokens")
    if (cost := values.get("cost_usd")) is not None:
        parts.append(money(cost))
    if (minutes := values.get("minutes")) is not None:
        parts.append(f"{minutes:g} minutes")
    if tokens is None and cost is None:
        parts.append("no budget")
    return ", ".join(parts)


def agents(counts: Mapping[str, int]) -> str:
    """`25 agents (9 live, 16 reused, 1 null)`."""
    parts = [f"{counts[name]:,} {name}" for name in ("live", "reused", "null", "failed", "refused") if counts.get(name)]
    total = count(counts.get("total", 0), "agent")
    return f"{total} ({', '.join(parts)})" if parts else total
