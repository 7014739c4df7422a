"""Who answers in a simulation: `sample`, whatever a call, a definition, a phase or the config names.

A simulation must cost nothing and ask nobody. That `sample` is its default backend is not enough: a model's reference
names a service by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.agents.executor import Finder
from engine.agents.judging import Ask

SAMPLE = "sample"


@dataclass(frozen=True, slots=True)
class OnlySample:
    """A `Finder` that finds `sample` for every name."""

    finder: Finder

    def find(self, spec: str) -> Ask:
        return self.finder.find(spec if spec.startswith(f"{SAMPLE}:") else SAMPLE)

    def is_backend(self, word: str) -> bool:
        return self.finder.is_backend(word)

    def tools(self, spec: str, names: tuple[str, ...]) -> tuple[str, ...]:
        return self.finder.tools(SAMPLE, names)

    def line(self, spec: str) -> str:
        return self.finder.line(SAMPLE)

    def acts(self, spec: str) -> bool:
        return False

    def draws(self, spec: str) -> bool:
        return True
