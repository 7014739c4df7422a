"""The `sample` backend: no model, no network; answers shaped by the schema and derived from a hash of what was asked.

The same question gives the same answer in every run: nothing about the run or the call's place goes into the hash. Only
`fail` looks at the call's identity, so that failures are spread over calls and attempts and stay where they are.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import orjson

from engine.errors import AgentError
from engine.values import AgentAnswer, AgentRequest, Json, Usage

_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class SampleOptions:
    """What `sample:…` may set.

    Attributes:
        latency_s: how long an answer takes.
        fail: share of attempts, 0 to 1, that end as a permanent provider failure.
        tokens: output tokens of an answer; None counts four characters as one.
        usd: price of an answer.
        seed: another seed gives other answers and other failures.
        empty: share of answers, 0 to 1, whose lists are as short as the schema allows: what nobody found.
    """

    latency_s: float = 0.0
    fail: float = 0.0
    tokens: int | None = None
    usd: float = 0.0
    seed: int = 0
    empty: float = 0.0


class SampleBackend:
    """See the module."""

    name = "sample"

    def __init__(self, options: SampleOptions = SampleOptions()) -> None:
        self.options = options
        self._seed = str(options.seed).encode()

    async def run(self, request: AgentRequest, emit: Callable[[dict[str, Json]], None]) -> AgentAnswer:
        options = self.options
        if options.latency_s > 0:
            await asyncio.sleep(options.latency_s)
        if options.fail > 0 and self._share(b"fail\0%b%d" % (request.identity, request.attempt)) < options.fail:
            raise AgentError(
                f"sample: attempt {request.attempt} fails, as sample:fail={options.fail:g} asks for",
                code="sample_failed",
            )
        digest = self._digest(request)
        is_empty = options.empty > 0 and self._share(b"empty\0%b" % digest) < options.empty
        if request.schema is None:
            value = self._text(request, digest)
        else:
            value = self._object(request.schema, digest, is_empty=is_empty)
        return AgentAnswer(value, self._usage(request, value), model=request.model or "sample")

    async def close(self) -> None:
        """Nothing is held."""

    def _digest(self, request: AgentRequest) -> bytes:
        kind = request.definition
        asked = (
            request.prompt,
            request.schema,
            request.model,
            request.effort,
            (kind.name, kind.prompt, kind.model, kind.tools) if kind else None,
            request.feedback,
        )
        return hashlib.blake2b(orjson.dumps(asked), digest_size=16, key=self._seed).digest()

    def _share(self, text: bytes) -> float:
        """Where this lies between 0 and 1."""
        return int.from_bytes(hashlib.blake2b(text, digest_size=8, key=self._seed).digest()) / 2**64

    def _text(self, request: AgentRequest, digest: bytes) -> str:
        first_line = request.prompt.strip().partition("\n")[0][:60]
        return f"Sample answer {digest[:4].hex()} to: {first_line}"

    def _object(self, schema: dict[str, Json], digest: bytes, *, is_empty: bool) -> Json:
        from engine.agents.shaping import NoExample, example
        from engine.schemas import validator_for

        try:
            validator = validator_for(schema)
            value = example(validator, Random(int.from_bytes(digest)))
            return _emptied(value, lambda one: validator.problem(one) is None) if is_empty else value
        except NoExample:
            raise AgentError(
                "sample: found no value that satisfies the schema",
                code="sample_schema",
                hint="Make the schema plainer, or use another backend.",
            ) from None

    def _usage(self, request: AgentRequest, value: Json) -> Usage:
        tokens = self.options.tokens
        if tokens is None:
            length = len(value) if isinstance(value, str) else len(orjson.dumps(value))
            tokens = 1 + length // _CHARACTERS_PER_TOKEN
        read = 1 + len(request.prompt) // _CHARACTERS_PER_TOKEN
        draws = request.candidates  # all of them are paid for, though they would be the same
        return Usage(draws * read, draws * tokens, draws * self.options.usd)


def _emptied(value: Json, fits: Callable[[Json], bool]) -> Json:
    """`value` without the entries of its lists, wherever it fits without them."""
    waiting: list[Json] = [value]
    while waiting:
        holder = waiting.pop()
        for place, part in list(holder.items() if isinstance(holder, dict) else enumerate(holder)):
            if not isinstance(part, dict | list):
                continue
            if isinstance(part, list) and part:
                holder[place] = []
                if fits(value):
                    continue
                holder[place] = part
            waiting.append(part)
    return value
