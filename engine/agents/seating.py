"""Who may judge for a call: the setting's models, else the worker's own (S70, S71). Known before anything is spent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from engine.agents.judging import Ask, Seat
from engine.errors import UsageError
from engine.routing import Route, routes

_READING = ("read_file", "list_files", "grep")


class Finder(Protocol):
    """What is needed of `engine.agents.registry.Backends`."""

    def find(self, spec: str) -> Ask: ...

    def is_backend(self, word: str) -> bool: ...

    def tools(self, spec: str, names: tuple[str, ...]) -> tuple[str, ...]: ...

    def line(self, spec: str) -> str: ...

    def acts(self, spec: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Seating:
    """
    Attributes:
        judge_model: `[agents] judge_model`.
        models: `[models]` of the config.
        require_price: raises for a model whose price nobody knows, in a run with a cap on money.
    """

    finder: Finder
    judge_model: str | None
    models: Mapping[str, tuple[str, ...]]
    require_price: Callable[[str, str | None], None] | None

    def seats(self, worker: Route) -> list[Seat]:
        """Best first. Raises `UsageError` of the first when nobody can judge."""
        if self.judge_model is None:
            return [self._seat(worker)]
        found = routes(
            backend=worker.backend,
            model=self.judge_model,
            is_own_backend=False,
            models=self.models,
            is_backend=self.finder.is_backend,
        )
        seats: list[Seat] = []
        problem: UsageError | None = None
        for way in found.ways:
            try:
                seats.append(self._seat(way))
            except UsageError as error:
                problem = problem or error
        if not seats:
            assert problem is not None
            raise problem
        return seats

    def _seat(self, way: Route) -> Seat:
        finder = self.finder
        ask = finder.find(way.backend)
        if self.require_price is not None:
            self.require_price(way.backend, way.model)
        return Seat(
            f"{way.backend}{f' {way.model}' if way.model else ''}",
            ask,
            way.model,
            tools=self._fewest_tools(way.backend),
            acts=finder.acts(way.backend),
            is_made_up=finder.line(way.backend) == "sample",
        )

    def _fewest_tools(self, backend: str) -> tuple[str, ...]:
        """None for a judge; what reads for a program that cannot be held to none. It is in an empty folder then."""
        problem: UsageError | None = None
        for names in ((), _READING):
            try:
                return self.finder.tools(backend, names)
            except UsageError as error:
                problem = problem or error
        assert problem is not None
        raise UsageError(
            f"{backend} cannot be a judge: {problem.message}",
            code=problem.code,
            hint="Name another: [agents] judge_model in the config.",
        )
