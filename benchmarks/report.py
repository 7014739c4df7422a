"""What was measured, as a table for people or JSON for programs."""

from __future__ import annotations

import os
import platform
import sqlite3
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any


@dataclass(slots=True)
class Line:
    """One measurement: medians over rounds.

    Attributes:
        floor: what stands beside it, measured in the same rounds; `ratio` is the median of the rounds' own ratios.
        least, most: what the ratio, or without a floor the value, must reach or keep to.
    """

    name: str
    unit: str
    values: list[float] = field(default_factory=list)
    floor: str = ""
    floors: list[float] = field(default_factory=list)
    least: float | None = None
    most: float | None = None
    is_ratio_judged: bool = False

    def add(self, value: float, floor: float | None = None) -> None:
        self.values.append(value)
        if floor is not None:
            self.floors.append(floor)

    @property
    def value(self) -> float:
        return median(self.values)

    @property
    def ratio(self) -> float | None:
        if not self.floors:
            return None
        return median(value / floor for value, floor in zip(self.values, self.floors, strict=True))

    @property
    def verdict(self) -> str:
        judged = self.ratio if self.is_ratio_judged else self.value
        if judged is None or (self.least is None and self.most is None):
            return ""
        if self.least is not None:
            return f"{'ok' if judged >= self.least else 'MISSED'}: at least {self.least:,g}"
        assert self.most is not None
        return f"{'ok' if judged <= self.most else 'MISSED'}: at most {self.most:,g}"

    def to_json(self) -> dict[str, Any]:
        found = asdict(self)
        return {**found, "value": self.value, "ratio": self.ratio, "verdict": self.verdict}


def machine() -> dict[str, str]:
    """What the numbers depend on."""
    load = os.getloadavg()[0]
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": str(os.cpu_count()),
        "load": f"{load:.1f}",
    }


def table(lines: list[Line]) -> str:
    """Columns: what, value, floor, ratio, verdict."""
    rows = [("", "median", "floor", "ratio", "target")]
    for line in lines:
        floor = f"{_number(median(line.floors))} {line.floor}" if line.floors else ""
        ratio = "" if line.ratio is None else f"{line.ratio:.2f}"
        rows.append((line.name, f"{_number(line.value)} {line.unit}", floor, ratio, line.verdict))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
