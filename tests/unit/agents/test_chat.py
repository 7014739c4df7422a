"""The HTTP backend: what goes over the wire, and what each failure means."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from support.model_server import STALLS, ModelServer, Reply, fails, says

from engine.agents.answer import ask_until_valid
from engine.agents.chat import ChatBackend
from engine.errors import AgentError, UsageError
from engine.values import AgentAnswer, AgentDefinition, AgentRequest, Usage

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def request(**fields: Any) -> AgentRequest:
    usual: dict[str, Any] = {"run_id": "r", "call": 1, "identity": b"i" * 32, "attempt": 1, "workspace": "/"}
    return AgentRequest(**({"prompt": "Say hi"} | usual | fields))


async def ask(server: ModelServer, asked: AgentRequest | None = None) -> AgentAnswer:
    backend = ChatBackend("fake-1", base_url=server.url, api_key="key-1")
    try:
        return await ask_until_valid(backend, asked or request(), lambda _: None, rounds=3)
    finally:
        await backend.close()


async def failure(*replies: Reply, **fields: Any) -> AgentError:
    async with ModelServer(list(replies)) as server:
        with pytest.raises(AgentError) as caught:
            await ask(server, request(**fields))
    return caught.value


async def test_a_question_and_its_answer() -> None:
    async with ModelServer([says("Hello.")]) as server:
        definition = AgentDefinition(name="verify", description="…", prompt="Be strict.")
        answer = await ask(server, request(definition=definition, effort="max", feedback=(("a", "b"),)))
    assert answer == AgentAnswer("Hello.", Usage(7, 11), model="fake-1")
    assert server.headers[0]["authorization"] == "Bearer key-1"
    assert server.requests == [
        {
            "model": "fake-1",
            "messages": [
                {"role": "system", "content": "Be strict."},
                {"role": "user", "content": "Say hi"},
                {"role": "assistant", "content": "a"},
                {"role": "user", "content": "That answer does not do: b. Answer again."},
            ],
            "reasoning_effort": "high",
        }
    ]


async def test_S21_a_wrong_answer_is_shown_to_the_model_and_asked_again() -> None:
    async with ModelServer([says('{"n": "x"}'), says('```json\n{"n": 3}\n```')]) as server:
        answer = await ask(server, request(schema=SCHEMA, model="other"))
    assert answer == AgentAnswer({"n": 3}, Usage(14, 22), model="fake-1")
    first, second = server.requests
    assert first["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": SCHEMA, "strict": False},
    }
    assert first["model"] == "other"
    assert second["messages"][1:] == [
        {"role": "assistant", "content": '{"n": "x"}'},
        {"role": "user", "content": 'That answer does not do: at /n: expected integer, found "x". Answer again.'},
    ]


async def test_rate_limits_are_told_with_their_wait() -> None:
    error = await failure(fails(429, "slow down", retry_after="7"))
    assert (error.code, error.retryable, error.retry_after_s) == ("rate_limited", True, 7.0)
    assert error.message == "openai: too many requests: slow down"
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    later = await failure(fails(429, "slow down", retry_after=date))
    assert later.retry_after_s is not None
    assert 60 < later.retry_after_s <= 90
    assert (await failure(fails(429, "x", retry_after_ms="250"))).retry_after_s == 0.25
    assert (await failure(fails(429, "x", retry_after="soon"))).retry_after_s is None
    used_up = await failure(fails(429, "no money", code="insufficient_quota"))
    assert (used_up.code, used_up.retryable) == ("provider_quota", False)


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 529])
async def test_outages_are_worth_another_attempt(status: int) -> None:
    error = await failure(fails(status, "down", retry_after="1"))
    assert (error.code, error.retryable, error.retry_after_s) == ("provider_unavailable", True, 1.0)
    assert error.message == f"openai: the service failed with {status}: down"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_refusals_are_final(status: int) -> None:
    error = await failure(fails(status, "no"))
    assert (error.code, error.retryable) == ("provider_refused", False)
    assert error.message == f"openai: the service refused with {status}: no"


@pytest.mark.parametrize(
    "body", [b"<html>gateway</html>", b"", b"[]", b"{}", b'{"choices": []}', b'{"choices": [{"message": 5}]}']
)
async def test_what_is_no_answer_is_worth_another_attempt(body: bytes) -> None:
    error = await failure(Reply(body))
    assert (error.code, error.retryable) == ("provider_bad_answer", True)
    shown = body.decode() or "(nothing)"
    assert error.message == f"openai: the service sent something that is no answer: {shown}"


@pytest.mark.parametrize("kept_bytes", [0, 10, 120])
async def test_a_cut_connection_is_worth_another_attempt(kept_bytes: int) -> None:
    reply = says("hello")
    error = await failure(Reply(reply.body, cut=kept_bytes))
    assert (error.code, error.retryable) == ("provider_connection", True)
    assert error.message.startswith("openai: the service cannot be reached, or broke off: ")


async def test_nobody_listens() -> None:
    async with ModelServer() as server:
        url = server.url
    backend = ChatBackend("fake-1", base_url=url)
    with pytest.raises(AgentError) as caught:
        await backend.run(request(), lambda _: None)
    await backend.close()
    assert (caught.value.code, caught.value.retryable) == ("provider_connection", True)


async def test_silence_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.agents.chat.ANSWER_TIMEOUT_S", 0.05)
    error = await failure(STALLS)
    assert (error.code, error.retryable) == ("provider_timeout", True)
    assert error.message == "openai: the service gave no answer in time"


async def test_a_refusal_of_the_model_is_final_and_paid() -> None:
    error = await failure(says(None, refusal="I cannot help with that."))
    assert error.message == "openai: the model refused: I cannot help with that."
    assert (error.code, error.retryable) == ("provider_refusal", False)
    assert error.fields["usage"] == {"input_tokens": 7, "output_tokens": 11, "cost_usd": 0.0}
    filtered = await failure(says("", finish="content_filter"))
    assert filtered.message == "openai: the model refused: its content filter stopped the answer"


async def test_an_object_that_was_cut_off_says_so() -> None:
    error = await failure(says('{"n":', finish="length"), schema=SCHEMA)
    assert (error.code, error.message) == (
        "provider_cut_off",
        "openai: the answer was cut off at the model's output limit",
    )


async def test_a_response_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.agents.chat.MAX_RESPONSE_BYTES", 1 << 20)
    error = await failure(Reply(b"x" * (2 << 20)))
    assert error.message == "openai: the response has more than 1 MiB"


async def test_cancelling_reaches_the_server() -> None:
    async with ModelServer([STALLS]) as server:
        task = asyncio.create_task(ask(server))
        await asyncio.wait_for(server.asked.wait(), 10)
        assert server.connections == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(server.left.wait(), 10)
        assert server.connections == 0


async def test_parts_and_missing_usage_are_read() -> None:
    reply = says([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])
    body = {**reply.body, "model": None}
    del body["usage"]
    async with ModelServer([Reply(body)]) as server:
        assert await ask(server) == AgentAnswer("ab", Usage(), model="fake-1")


async def test_no_message_holds_the_key() -> None:
    secret = "sk-" + "q1" * 20
    async with ModelServer([fails(401, "wrong key"), Reply(b"junk")]) as server:
        backend = ChatBackend("m", base_url=server.url, api_key=secret)
        for _ in range(2):
            with pytest.raises(AgentError) as caught:
                await backend.run(request(), lambda _: None)
            assert secret not in json.dumps(caught.value.to_json())
        await backend.close()


def test_the_environment_is_checked() -> None:
    with pytest.raises(UsageError) as caught:
        ChatBackend.from_environment("m", {"OPENAI_BASE_URL": "localhost:80"})
    assert caught.value.message == "OPENAI_BASE_URL is 'localhost:80': expected http://… or https://…"
    with pytest.raises(UsageError) as caught:
        ChatBackend.from_environment("m", {"OPENAI_API_KEY": "a\nb"})
    assert caught.value.message == "OPENAI_API_KEY holds characters that no key has"
