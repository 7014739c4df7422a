"""The `local` backend: a small language model in this process; no key, no network.

llama.cpp runs in threads of its own and releases the interpreter while it computes, so the event loop stays free. The
model is loaded at the first call and shared by all. It proves the plumbing, not answers: it is labelled a demo model
wherever people see it. It has no tools.

Structured answers are written under a grammar made from a bounded copy of the schema and validated against the real one
here, so what leaves is valid or an honest error.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import hashlib
import os
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from engine.agents.bounding import Bounds, bounded
from engine.errors import AgentError
from engine.values import NO_USAGE, AgentAnswer, AgentRequest, Json, Usage

MODEL = "SmolLM2-135M-Instruct"
NOTICE = f"`local` is a demo model ({MODEL}): it works without key and network, and its answers are small."

SLOTS = 2
"""Calls computed at once. More share the same cores; the rest wait here, in order."""
CONTEXT_TOKENS = 4096
"""Prompt and answer of one call: llama.cpp divides its context among the slots."""
BATCH_TOKENS = 128
"""Of a prompt, read at a stretch, about a second. A cancelled call is noticed in between."""
ANSWER_TOKENS = 384
"""An answer's most tokens, some 5 s. The model has little more to say."""

_TRIES = (Bounds(), Bounds(characters=80, items=2))
"""For a structured answer that does not fit: again, shorter, with another seed."""
_PROGRESS_TOKENS = 16
_LONGEST_STOP_S = 5.0
_NAMED_KEYS = 12


class LocalBackend:
    """See the module. `path` is the model's file."""

    name = "local"
    notice = NOTICE

    def __init__(self, path: Path) -> None:
        self._path = path
        self._server: Any = None
        self._loading = asyncio.Lock()
        self._slots = asyncio.Semaphore(SLOTS)
        self._running: dict[threading.Event, tuple[threading.Thread, asyncio.Future[None]]] = {}
        # A thread inside the model while the interpreter goes away would crash the process.
        atexit.register(self._stop_threads)

    async def run(self, request: AgentRequest, emit: Callable[[dict[str, Json]], None]) -> AgentAnswer:
        async with self._loading:
            if self._server is None:
                self._server = await _in_thread(lambda: _load(self._path))
        if request.schema is None:
            text, usage = await self._complete(request, None, 0, emit)
            return AgentAnswer(text.strip(), usage, model=MODEL)
        return await self._object(request, request.schema, emit)

    async def close(self) -> None:
        """Stops what runs and frees the model."""
        for stop in self._running:
            stop.set()
        if self._running:
            await asyncio.wait([ended for _, ended in self._running.values()])
        atexit.unregister(self._stop_threads)
        self._server = None  # its destructor frees the model and closes the library's port

    def _stop_threads(self) -> None:
        for stop in list(self._running):
            stop.set()
        for thread, _ in list(self._running.values()):
            thread.join(_LONGEST_STOP_S)

    async def _object(
        self, request: AgentRequest, schema: dict[str, Json], emit: Callable[[dict[str, Json]], None]
    ) -> AgentAnswer:
        from engine.schemas import validator_for

        validator = validator_for(schema)
        paid, value = NO_USAGE, None
        for attempt, bounds in enumerate(_TRIES):
            text, usage = await self._complete(request, bounded(schema, bounds), attempt, emit)
            paid += usage
            try:
                value = orjson.loads(text)
            except orjson.JSONDecodeError:
                value = text  # cut off by the answer's limit
                continue
            if validator.fits(value):
                break
        return AgentAnswer(value, paid, model=MODEL)  # whoever asked validates again and gives feedback

    async def _complete(
        self, request: AgentRequest, grammar: Json, attempt: int, emit: Callable[[dict[str, Json]], None]
    ) -> tuple[str, Usage]:
        """One completion in a thread of its own. Cancelling it stops the thread at its next token."""
        call = _call(request, grammar, attempt)
        await self._slots.acquire()
        loop, stop = asyncio.get_running_loop(), threading.Event()
        done: asyncio.Future[tuple[str, Usage]] = loop.create_future()
        ended: asyncio.Future[None] = loop.create_future()

        def end() -> None:
            # The slot is given back when the thread has ended, which may be after the call was cancelled.
            del self._running[stop]
            self._slots.release()
            ended.set_result(None)

        def tell(tokens: int) -> None:
            if not done.done():
                emit({"tokens": tokens})

        def work() -> None:
            try:
                result = _generate(self._server, call, stop, lambda tokens: _on_loop(loop, tell, tokens))
            except AgentError as error:
                _on_loop(loop, _fail, done, error)
            except Exception as error:  # noqa: BLE001 - a native library: whatever it raises ends this call only
                broken = AgentError(f"local: the model's runtime failed: {error}", code="local_failed")
                _on_loop(loop, _fail, done, broken)
            else:
                _on_loop(loop, _succeed, done, result)
            finally:
                _on_loop(loop, end)

        thread = threading.Thread(target=work, name="pawl-local", daemon=True)
        self._running[stop] = (thread, ended)
        thread.start()
        try:
            return await done
        finally:
            stop.set()


def _load(path: Path) -> Any:
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
    # The library opens a port on the loopback interface, which nobody asked for: a key that nobody has closes it.
    params.api_keys = [secrets.token_hex(32)]
    try:
        return xllamacpp.Server(params)
    except (RuntimeError, ValueError, OSError) as error:
        raise AgentError(
            f"local: the model could not be loaded: {error}", code="local_failed", hint="Try: pawl model pull"
        ) from error


def _call(request: AgentRequest, grammar: Json, attempt: int) -> dict[str, Json]:
    """What llama.cpp gets; the seed comes from what is asked, so that the same question gives the same answer."""
    prompt = request.prompt if grammar is None else f"{request.prompt}\n\n{_wish(grammar)}"
    messages = [{"role": "user", "content": prompt}]
    if request.definition is not None and request.definition.prompt:
        messages.insert(0, {"role": "system", "content": request.definition.prompt})
    for answer, problem in request.feedback:
        messages.append({"role": "assistant", "content": answer or "…"})
        messages.append({"role": "user", "content": problem})
    seed = hashlib.blake2b(orjson.dumps([messages, grammar, attempt]), digest_size=4).digest()
    call: dict[str, Json] = {
        "messages": messages,
        "max_tokens": ANSWER_TOKENS,
        "temperature": 0.2 + 0.3 * attempt,
        "seed": int.from_bytes(seed) >> 1,
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,  # a sign of life while a long prompt is read: the moment to notice a cancellation
        "cache_prompt": False,  # what other calls left in a slot must not change this answer
    }
    if grammar is not None:
        wanted = {"name": "answer", "schema": grammar}
        call["response_format"] = {"type": "json_schema", "json_schema": wanted}
    return call


def _wish(grammar: dict[str, Json]) -> str:
    """The object in words. The grammar forces its shape; without the words the model fills it with numbers."""
    wishes = []
    for name, part in list(grammar.get("properties", {}).items())[:_NAMED_KEYS]:
        said = part if isinstance(part, dict) else {}
        choices = said.get("enum")
        about = f"one of {', '.join(map(str, choices))}" if choices else said.get("description", "")
        wishes.append(f"{name} ({about})" if about else name)
    return f"Answer as a JSON object with: {', '.join(wishes)}." if wishes else "Answer as a JSON object."


def _generate(
    server: Any, call: dict[str, Json], stop: threading.Event, tell: Callable[[int], None]
) -> tuple[str, Usage]:
    """Runs in a thread. Returns what was written so far when `stop` is set."""
    pieces: list[str] = []
    counts: dict[str, int] = {}
    errors: list[dict[str, Json]] = []

    def on_chunk(chunk: dict[str, Json]) -> bool:
        if "error" in chunk:
            errors.append(chunk["error"])
        for choice in chunk.get("choices", ()):
            piece = choice.get("delta", {}).get("content")
            if piece:
                pieces.append(piece)
                if len(pieces) % _PROGRESS_TOKENS == 0:
                    tell(len(pieces))
        counts.update(chunk.get("usage") or {})
        return stop.is_set()

    try:
        server.handle_chat_completions(call, on_chunk)
    except ValueError:
        if "response_format" not in call:
            raise
        # The library cannot make a grammar of this schema: let it write any JSON, and judge that.
        server.handle_chat_completions({**call, "response_format": {"type": "json_object"}}, on_chunk)
    if errors:
        raise _error(errors[0])
    usage = Usage(counts.get("prompt_tokens", 0), counts.get("completion_tokens", len(pieces)))
    return "".join(pieces), usage


def _error(told: dict[str, Json]) -> AgentError:
    if told.get("type") == "exceed_context_size_error":
        return AgentError(
            f"local: the prompt has {told.get('n_prompt_tokens', 'too many')} tokens; "
            f"the demo model takes {told.get('n_ctx', CONTEXT_TOKENS)}, answer included",
            code="prompt_too_long",
            hint="Give it less text, or use another backend.",
        )
    return AgentError(f"local: {told.get('message', told)}", code="local_failed")


async def _in_thread(work: Callable[[], Any]) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, work)


def _on_loop(loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *args: Any) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(callback, *args)


def _succeed(done: asyncio.Future[tuple[str, Usage]], result: tuple[str, Usage]) -> None:
    if not done.done():
        done.set_result(result)


def _fail(done: asyncio.Future[tuple[str, Usage]], error: AgentError) -> None:
    if not done.done():
        done.set_exception(error)
