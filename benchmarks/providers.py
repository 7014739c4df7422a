"""What our side adds to a call of a provider: the same questions to the same scripted service, by the bare library, by
our loop, and by a whole run with its journal. The service runs in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

from benchmarks import runs
from benchmarks.report import Line
from engine.agents.loop import NoTools
from engine.agents.provider import ProviderBackend
from engine.executors import Emit
from engine.prices import Prices
from engine.settings import AgentSettings, PriceSettings
from engine.values import AgentRequest
from engine.workflows import ScriptSource

CALLS = 60
SERVICE = r"""
import asyncio, json, sys
sys.path.insert(0, "tests")
from support.scripted_model import Call, ScriptedModel

def then(asked):
    if "read_file" in asked.tools and not asked.results:
        return Call("read_file", {"path": "README.md"})
    return "done"

async def main():
    async with ScriptedModel(then=then) as model:
        print(model.url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""


class NoBench:
    """Without tools."""

    async def tools(self, request: AgentRequest, emit: Emit) -> NoTools:
        return NoTools()


@contextlib.asynccontextmanager
async def service() -> AsyncIterator[str]:
    """The scripted service's address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVICE, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None and process.stdin is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.stdin.close()
        await process.wait()


async def bare(url: str, calls: int) -> float:
    """Seconds a call by the library alone: its `direct` API, streamed as ours is."""
    from pydantic_ai.direct import model_request_stream
    from pydantic_ai.messages import ModelRequest
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    async with OpenAIChatModel("fake-1", provider=OpenAIProvider(base_url=url, api_key="x")) as model:
        began = time.perf_counter()
        for number in range(calls):
            async with model_request_stream(model, [ModelRequest.user_text_prompt(f"question {number}")]) as stream:
                async for _ in stream:
                    pass
                stream.get()
        return (time.perf_counter() - began) / calls


async def looped(url: str, calls: int) -> float:
    """Seconds a call by our backend: conversation, loop, price; no journal."""
    backend = ProviderBackend(
        "openai",
        "fake-1",
        environ={"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "x"},
        settings=AgentSettings(),
        prices=Prices({"fake-1": PriceSettings(input=1.0, output=1.0)}),
        bench=NoBench(),
    )
    usual: dict[str, Any] = {"run_id": "r", "identity": bytes(32), "attempt": 1, "workspace": os.getcwd()}
    try:
        await backend.run(AgentRequest(call=0, prompt="warm", **usual), lambda body: None)
        began = time.perf_counter()
        for number in range(calls):
            await backend.run(AgentRequest(call=number, prompt=f"question {number}", **usual), lambda body: None)
        return (time.perf_counter() - began) / calls
    finally:
        await backend.close()


def script(calls: int, *, tools: bool) -> ScriptSource:
    options = "{ tools: ['read_file'] }" if tools else "{ tools: [] }"
    text = (
        "export const meta = { name: 'calls', description: 'Calls of a provider, one after another.' }\n"
        f"for (let i = 0; i < {calls}; i++) await agent(`question ${{i}}`, {options})\n"
    )
    return ScriptSource(text=text, path=None, name="calls")


async def whole(url: str, calls: int, *, tools: bool) -> float:
    """Seconds a call of a run: script, journal with every turn, loop."""
    os.environ.update(OPENAI_BASE_URL=url, OPENAI_API_KEY="x")
    async with runs.project() as (engine, _):
        (engine.project / "README.md").write_text("a line\n" * 50)
        await runs.live(engine, script(1, tools=tools), backend="openai:fake-1")
        result = await runs.live(engine, script(calls, tools=tools), backend="openai:fake-1")
        return result.seconds / calls


async def measured(rounds: int) -> list[Line]:
    """The section `providers`."""
    loop = Line("a provider call in our loop", "ms", floor="the bare library")
    run = Line("a provider call of a run, journal and all", "ms", floor="the bare library")
    with_tool = Line("the same with one tool call (two turns)", "ms", floor="twice the bare library")
    async with service() as url:
        await bare(url, 3)
        for _ in range(rounds):
            floor = await bare(url, CALLS) * 1000
            loop.add(await looped(url, CALLS) * 1000, floor)
            run.add(await whole(url, CALLS, tools=False) * 1000, floor)
            with_tool.add(await whole(url, CALLS, tools=True) * 1000, 2 * floor)
    return [loop, run, with_tool]


if __name__ == "__main__":
    print(json.dumps([line.to_json() for line in asyncio.run(measured(3))], indent=1))
