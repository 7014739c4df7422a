"""The scripted model, held to the services' own clients: what it says must be what they read, in every shape."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from support.scripted_model import Asked, Call, Cuts, Fails, Garbage, Holds, Refuse, Reply, ScriptedModel, Stalls, Turn

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
PARAMETERS = {"type": "object", "properties": {"path": {"type": "string"}}}
TWO_CALLS = Reply(["Looking.", Call("read", {"path": "a b c"}, "t1"), Call("read", {"path": "d"})], usage=(20, 5))


@asynccontextmanager
async def _clients(model: ScriptedModel) -> AsyncIterator[tuple[Any, Any]]:
    ours = openai.AsyncOpenAI(base_url=model.url, api_key="k", max_retries=0)
    theirs = anthropic.AsyncAnthropic(base_url=model.origin, api_key="k", max_retries=0)
    async with ours, theirs:
        yield ours, theirs


Told = dict[str, Any]
"""What a client understood: text, calls as (id, name, args), usage, model, why it ended."""


async def _chat(client: Any, messages: list[Any], *, stream: bool, **more: Any) -> Told:
    tools = [{"type": "function", "function": {"name": "read", "parameters": PARAMETERS}}]
    body: dict[str, Any] = {"model": "m", "messages": messages, "tools": tools, **more}
    if stream:
        body["stream_options"] = {"include_usage": True}
        async with client.chat.completions.stream(**body) as events:
            answer = await events.get_final_completion()
    else:
        answer = await client.chat.completions.create(**body)
    said = answer.choices[0].message
    calls = [(call.id, call.function.name, json.loads(call.function.arguments)) for call in said.tool_calls or ()]
    usage = (answer.usage.prompt_tokens, answer.usage.completion_tokens)
    why = answer.choices[0].finish_reason
    return {"text": said.content, "calls": calls, "usage": usage, "model": answer.model, "why": why, "raw": said}


async def _responses(client: Any, items: list[Any], *, stream: bool, **more: Any) -> Told:
    tools = [{"type": "function", "name": "read", "parameters": PARAMETERS, "strict": False}]
    body: dict[str, Any] = {"model": "m", "input": items, "tools": tools, **more}
    if stream:
        async with client.responses.stream(**body) as events:
            answer = await events.get_final_response()
    else:
        answer = await client.responses.create(**body)
    calls = [
        (item.call_id, item.name, json.loads(item.arguments)) for item in answer.output if item.type == "function_call"
    ]
    usage = (answer.usage.input_tokens, answer.usage.output_tokens)
    told = {"text": answer.output_text, "calls": calls, "usage": usage, "model": answer.model, "why": answer.status}
    return told | {"raw": answer}


async def _messages(client: Any, messages: list[Any], *, stream: bool, **more: Any) -> Told:
    tools = [{"name": "read", "input_schema": PARAMETERS}]
    body: dict[str, Any] = {"model": "m", "max_tokens": 100, "messages": messages, "tools": tools, **more}
    if stream:
        async with client.messages.stream(**body) as events:
            answer = await events.get_final_message()
    else:
        answer = await client.messages.create(**body)
    text = "".join(block.text for block in answer.content if block.type == "text")
    calls = [(block.id, block.name, block.input) for block in answer.content if block.type == "tool_use"]
    usage = (answer.usage.input_tokens, answer.usage.output_tokens)
    return {
        "text": text,
        "calls": calls,
        "usage": usage,
        "model": answer.model,
        "why": answer.stop_reason,
        "raw": answer,
    }


USER: list[Any] = [{"role": "user", "content": "Look."}]
APIS = {"chat": _chat, "responses": _responses, "messages": _messages}


async def _ask(api: str, clients: tuple[Any, Any], messages: list[Any] = USER, *, stream: bool, **more: Any) -> Told:
    return await APIS[api](clients[api == "messages"], messages, stream=stream, **more)


def _with_results(api: str, told: Told, results: dict[str, str]) -> list[Any]:
    """The conversation so far and the tools' results, as the service wants them back."""
    calls = told["calls"]
    if api == "chat":
        asked = [
            {"id": i, "type": "function", "function": {"name": n, "arguments": json.dumps(a)}} for i, n, a in calls
        ]
        back = [{"role": "tool", "tool_call_id": i, "content": text} for i, text in results.items()]
        return [*USER, {"role": "assistant", "content": told["text"], "tool_calls": asked}, *back]
    if api == "responses":
        asked = [{"type": "function_call", "call_id": i, "name": n, "arguments": json.dumps(a)} for i, n, a in calls]
        back = [{"type": "function_call_output", "call_id": i, "output": text} for i, text in results.items()]
        return [*USER, {"role": "assistant", "content": told["text"]}, *asked, *back]
    blocks = [{"type": "text", "text": told["text"]}]
    blocks += [{"type": "tool_use", "id": i, "name": n, "input": a} for i, n, a in calls]
    back = [{"type": "tool_result", "tool_use_id": i, "content": text} for i, text in results.items()]
    return [*USER, {"role": "assistant", "content": blocks}, {"role": "user", "content": back}]


every_shape = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
every_api = pytest.mark.parametrize("api", APIS)


@every_api
@every_shape
async def test_says_text(api: str, stream: bool) -> None:
    async with (
        ScriptedModel([Reply("Three short words.", model="other", usage=(3, 4))]) as model,
        _clients(model) as on,
    ):
        told = await _ask(api, on, stream=stream)
    why = {"chat": "stop", "responses": "completed", "messages": "end_turn"}[api]
    raw = told.pop("raw")
    assert raw
    assert told == {"text": "Three short words.", "calls": [], "usage": (3, 4), "model": "other", "why": why}
    (asked,) = model.requests
    assert (asked.api, asked.prompt, asked.is_streamed, asked.tools) == (api, "Look.", stream, {"read": PARAMETERS})


@every_api
@every_shape
async def test_calls_tools_and_gets_their_results(api: str, stream: bool) -> None:
    async with ScriptedModel([TWO_CALLS, "Done."]) as model, _clients(model) as on:
        told = await _ask(api, on, stream=stream)
        (first, *_), (second, *_) = told["calls"]
        assert told["calls"] == [("t1", "read", {"path": "a b c"}), (second, "read", {"path": "d"})]
        assert told["text"] == "Looking."
        assert told["usage"] == (20, 5)
        back = _with_results(api, told, {first: "one", second: "two"})
        assert (await _ask(api, on, back, stream=stream))["text"] == "Done."
    asked = model.requests[1]
    assert [(result.id, result.text) for result in asked.results] == [("t1", "one"), (second, "two")]
    assert asked.messages[0].text == "Look."
    assert [call.args for message in asked.messages for call in message.calls] == [{"path": "a b c"}, {"path": "d"}]


@every_api
async def test_a_missing_result_and_an_unknown_one_are_refused(api: str) -> None:
    async with ScriptedModel([TWO_CALLS]) as model, _clients(model) as on:
        told = await _ask(api, on, stream=False)
        error = anthropic.BadRequestError if api == "messages" else openai.BadRequestError
        second = told["calls"][1][0]
        with pytest.raises(error, match=second):
            await _ask(api, on, _with_results(api, told, {"t1": "one"}), stream=False)
        with pytest.raises(error, match="stranger"):
            await _ask(api, on, _with_results(api, told, {"t1": "1", second: "2", "stranger": "3"}), stream=False)
        with pytest.raises(error, match="Invalid role 'narrator'"):
            await _ask(api, on, [{"role": "narrator", "content": "x"}], stream=False)
    assert len(model.refused) == 3
    assert len(model.requests) == 1


@every_api
async def test_a_wanted_schema_arrives(api: str) -> None:
    wanted: dict[str, Any] = {
        "chat": {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}},
        "responses": {"text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}}},
        "messages": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    }[api]
    async with ScriptedModel(['{"n": 1}']) as model, _clients(model) as on:
        assert (await _ask(api, on, stream=False, **wanted))["text"] == '{"n": 1}'
    assert model.requests[0].schema == SCHEMA


@every_api
@every_shape
async def test_fails_with_status_and_headers(api: str, stream: bool) -> None:
    headers = {"retry-after": "7", "x-ratelimit-reset-tokens": "6m0s", "x-should-retry": "false"}
    async with ScriptedModel([Fails(429, "slow down", headers=headers)]) as model, _clients(model) as on:
        with pytest.raises((openai.RateLimitError, anthropic.RateLimitError), match="slow down") as caught:
            await _ask(api, on, stream=stream)
    assert caught.value.response.headers["retry-after"] == "7"
    assert caught.value.response.headers["x-ratelimit-reset-tokens"] == "6m0s"


async def test_fails_in_the_middle_of_a_stream() -> None:
    async with ScriptedModel(then=lambda _: Fails(529, "overloaded", after_tokens=2)) as model, _clients(model) as on:
        with pytest.raises(openai.APIError, match="overloaded"):
            await _chat(on[0], USER, stream=True)
        with pytest.raises(anthropic.APIStatusError, match="overloaded"):
            await _messages(on[1], USER, stream=True)


@every_api
async def test_refuses(api: str) -> None:
    async with ScriptedModel([Refuse("No.")]) as model, _clients(model) as on:
        told = await _ask(api, on, stream=False)
    if api == "messages":
        assert told["why"] == "refusal"
    elif api == "chat":
        assert told["raw"].refusal == "No."
    else:
        assert told["raw"].output[0].content[0].refusal == "No."


@every_api
async def test_stalls_until_the_client_goes(api: str) -> None:
    async with ScriptedModel([Stalls(after_tokens=2)]) as model, _clients(model) as on:
        task = asyncio.ensure_future(_ask(api, on, stream=True))
        await model.asked.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.wait_for(model.left.wait(), 10)
        assert task.cancelled()


@every_api
@pytest.mark.parametrize(("stream", "after"), [(False, 0), (False, 30), (True, 0), (True, 200)])
async def test_cuts(api: str, stream: bool, after: int) -> None:
    async with ScriptedModel([Cuts(after)]) as model, _clients(model) as on:
        with pytest.raises(Exception) as caught:  # each client has errors of its own for it
            await _ask(api, on, stream=stream)
    assert "Error" in type(caught.value).__name__


async def test_garbage_and_a_held_answer() -> None:
    until = asyncio.Event()
    async with ScriptedModel([Garbage(b"<html>"), Holds(until, "now")]) as model, _clients(model) as on:
        with pytest.raises(Exception):  # noqa: B017 each client has errors of its own
            await _chat(on[0], USER, stream=False)
        model.asked.clear()
        task = asyncio.ensure_future(_chat(on[0], USER, stream=True))
        await model.asked.wait()
        until.set()
        assert (await task)["text"] == "now"


async def test_then_routes_by_content() -> None:
    def route(asked: Asked) -> Turn:
        return f"to {asked.prompt}"

    async with ScriptedModel(then=route) as model, _clients(model) as on:
        prompts = [f"p{number}" for number in range(20)]
        told = await asyncio.gather(
            *(_chat(on[0], [{"role": "user", "content": prompt}], stream=True) for prompt in prompts)
        )
    assert [answer["text"] for answer in told] == [f"to {prompt}" for prompt in prompts]


async def test_lists_models_and_counts_tokens() -> None:
    async with ScriptedModel(models=("a", "b")) as model, _clients(model) as on:
        assert [row.id async for row in on[0].models.list()] == ["a", "b"]
        assert [row.id async for row in on[1].models.list()] == ["a", "b"]
        assert (await on[1].messages.count_tokens(model="m", messages=USER)).input_tokens > 0


async def test_a_script_that_fails_fails_its_test() -> None:
    def wrong(_: Asked) -> Turn:
        raise AssertionError("not what was expected")

    async def ask() -> None:
        async with ScriptedModel(then=wrong) as model, _clients(model) as on:
            with pytest.raises(openai.InternalServerError, match="the script failed: AssertionError"):
                await _chat(on[0], USER, stream=False)

    with pytest.raises(AssertionError, match="not what was expected"):
        await ask()
