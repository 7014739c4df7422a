"""The `local` backend: a small language model served inside this process; no key, no network.

llama.cpp runs in threads of its own and serves its HTTP protocol on the loopback interface, behind a key that only this
process has; the agent's side is the same as for any provider (`engine.agents.loop`). The model is loaded at the first
call and shared by all. It proves the plumbing, not answers: it is labelled a demo model wherever people see it. It
cannot call tools.

Structured answers are written under a grammar made from a bounded copy of the schema and judged by the real one in the
loop, so what leaves is valid or an honest error.
"""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import os
import secrets
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.agents.bounding import Bounds, bounded
from engine.agents.loop import NoTools, Talker
from engine.agents.models import client, load_library
from engine.agents.provider import answered
from engine.clock import SystemClock
from engine.errors import AgentError
from engine.executors import Emit
from engine.settings import AgentSettings
from engine.values import AgentAnswer, AgentRequest, Json

if TYPE_CHECKING:
    from pydantic_ai.models.openai import OpenAIChatModel

MODEL = "SmolLM2-135M-Instruct"
NOTICE = f"`local` is a demo model ({MODEL}): it works without key and network, and its answers are small."
NO_TOOLS = "`local` has no tools: its agents can neither read nor change anything, they only answer."

SLOTS = 2
"""Calls computed at once. More share the same cores; the rest wait here, in order."""
CONTEXT_TOKENS = 4096
"""Prompt and answer of one call: llama.cpp divides its context among the slots."""
BATCH_TOKENS = 128
"""Of a prompt, read at a stretch, about a second. A cancelled call is noticed in between."""
ANSWER_TOKENS = 384
"""An answer's most tokens, some 5 s. The model has little more to say."""

_TRIES = (Bounds(), Bounds(characters=80, items=2))
"""For a structured answer that did not fit: shorter the next time."""
_NAMED_KEYS = 12


class LocalBackend:
    """See the module. `path` is the model's file."""

    name = "local"
    notice = NOTICE

    def __init__(self, path: Path, *, settings: AgentSettings | None = None) -> None:
        self._path = path
        self._settings = settings or AgentSettings()
        self._server: Any = None
        self._model: OpenAIChatModel | None = None
        self._http: Any = None
        self._opening = asyncio.Lock()
        self._slots = asyncio.Semaphore(SLOTS)

    async def run(self, request: AgentRequest, emit: Emit) -> AgentAnswer:
        emit({"notice": NO_TOOLS, "code": "no_tools"})
        async with self._opening:
            if self._model is None:
                await self._open()
        assert self._model is not None
        tries = iter(_TRIES)
        bounds = next(tries)

        def shape(schema: dict[str, Json]) -> dict[str, Json]:
            nonlocal bounds
            shaped = bounded(schema, bounds)
            bounds = next(tries, bounds)
            return shaped

        if request.schema is not None:
            request = replace(request, prompt=f"{request.prompt}\n\n{_wish(bounded(request.schema, bounds))}")
        talker = Talker(
            self.name,
            self._model,
            {
                "max_retries": 0,
                "max_tokens": ANSWER_TOKENS,
                "temperature": 0.2,
                "seed": _seed(request),
                # What other calls left in a slot must not change this answer.
                "extra_body": {"cache_prompt": False},
            },
            lambda model, used: 0.0,
            is_one_shot=True,
            shape=shape,
        )
        if request.candidates > 1:  # one seed would draw the same each time
            usual = talker.settings
            talker = replace(talker, varied=lambda number: {**usual, "seed": _seed(request) + number})
        # An agent whose candidates are judged here, too, waits for its judge, who needs a slot: it may hold none.
        async with self._slots if request.candidates == 1 else nullcontext():
            answer = await self._answered(talker, request, emit)
        return replace(
            answer, value=answer.value.strip() if isinstance(answer.value, str) else answer.value, model=MODEL
        )

    async def _answered(self, talker: Talker, request: AgentRequest, emit: Emit) -> AgentAnswer:
        try:
            return await answered(talker, NoTools(), request, emit, settings=self._settings, clock=SystemClock())
        except AgentError as error:
            failure = _local(error)
            if request.schema is None or failure.code != "provider_refused" or failure.fields.get("status") != 400:
                raise failure from error
        # The library cannot make a grammar of this schema: let it write any object, and judge that.
        talker = replace(talker, shape=lambda schema: {"type": "object"})
        return await answered(talker, NoTools(), request, emit, settings=self._settings, clock=SystemClock())

    async def close(self) -> None:
        """Stops what runs and frees the model."""
        http, self._http, self._model = self._http, None, None
        if http is not None:
            await http.aclose()
        server, self._server = self._server, None
        if server is not None:
            atexit.unregister(self._free)
            holder = [server]
            del server
            # Its destructor waits for the library's threads.
            await asyncio.to_thread(holder.clear)

    def _free(self) -> None:
        self._server = None

    async def _open(self) -> None:
        key = secrets.token_hex(32)
        await load_library()
        self._server = await asyncio.to_thread(_load, self._path, key)
        # The library's threads must be gone before the interpreter is.
        atexit.register(self._free)
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.profiles.openai import OpenAIModelProfile
        from pydantic_ai.providers.openai import OpenAIProvider

        self._http = client()
        provider = OpenAIProvider(base_url=f"{self._server.listening_address}/v1", api_key=key, http_client=self._http)
        profile = OpenAIModelProfile(
            supports_tools=False,
            supports_json_schema_output=True,
            json_schema_transformer=None,
            openai_system_prompt_role="system",
            openai_chat_supports_max_completion_tokens=False,
        )
        self._model = OpenAIChatModel(MODEL, provider=provider, profile=profile)


def _load(path: Path, key: str) -> Any:
    """Starts llama.cpp on the model's file, silent, with a core left for everybody else."""
    import xllamacpp

    # As many threads as cores wait for each other in a spin when anything else runs: ten times slower.
    threads = max(1, (os.cpu_count() or 1) - 1)
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = CONTEXT_TOKENS * SLOTS
    params.n_parallel = SLOTS
    params.n_batch = params.n_ubatch = BATCH_TOKENS
    params.verbosity = -1
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.api_keys = [key]
    try:
        server = xllamacpp.Server(params)
    except (RuntimeError, ValueError, OSError) as error:
        raise AgentError(
            f"local: the model could not be loaded: {error}", code="local_failed", hint="Try: pawl model pull"
        ) from error
    # Its loop begins a moment after it listens, and who frees it before that waits for the loop's end for ever.
    # So it is seen at work once: one token.
    server.handle_chat_completions({"messages": [{"role": "user", "content": "."}], "max_tokens": 1})
    return server


def _seed(request: AgentRequest) -> int:
    """From what is asked, so that the same question alone gets the same answer."""
    definition = request.definition.prompt if request.definition is not None else ""
    asked = repr((request.prompt, definition, request.feedback)).encode("utf-8", "replace")
    return int.from_bytes(hashlib.blake2b(asked, digest_size=4).digest()) >> 1


def _wish(grammar: dict[str, Json]) -> str:
    """The object in words. The grammar forces its shape; without the words the model fills it with numbers."""
    wishes = []
    for name, part in list(grammar.get("properties", {}).items())[:_NAMED_KEYS]:
        said = part if isinstance(part, dict) else {}
        choices = said.get("enum")
        about = f"one of {', '.join(map(str, choices))}" if choices else said.get("description", "")
        wishes.append(f"{name} ({about})" if about else name)
    return f"Answer as a JSON object with: {', '.join(wishes)}." if wishes else "Answer as a JSON object."


def _local(error: AgentError) -> AgentError:
    """What the demo model's errors mean to people."""
    if error.code in ("provider_refused", "context_exceeded") and "context" in error.message:
        return AgentError(
            f"local: the prompt is too long: {error.message.removeprefix('local: ')}; "
            f"the demo model takes {CONTEXT_TOKENS} tokens, answer included",
            code="prompt_too_long",
            hint="Give it less text, or use another backend.",
            **error.fields,
        )
    return error
