"""The tool loop and the conversation behind it, with a real client against a scripted service on loopback."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from support.scripted_model import Call, Cuts, Fails, Garbage, Holds, Reply, Say, ScriptedModel
from support.trails import MemoryTrail

from engine.agents.conversation import BEGINS_AGAIN, GOES_ON, HALF_DONE
from engine.agents.provider import ProviderBackend
from engine.agents.tools import ToolResult, ToolSpec
from engine.errors import AgentError, UsageError
from engine.masking import Masker
from engine.prices import Prices
from engine.settings import AgentSettings, PriceSettings, SecretSettings
from engine.values import AgentDefinition, AgentRequest

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 3}},
    "required": ["n"],
    "additionalProperties": False,
}
SHAPES = ("openai", "openai-responses", "anthropic")


class Bench:
    """Two tools: `look` reads, `act` acts. What ran is in `ran`; `act` waits for `go` when there is one."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, Any]] = []
        self.go: asyncio.Event | None = None
        self.acting = asyncio.Event()
        self.at_once = self.most_at_once = 0

    async def tools(self, request, emit):
        return self

    def specs(self):
        form = {"type": "object", "properties": {"what": {"type": "string"}}, "required": ["what"]}
        return [ToolSpec("look", "Looks.", form, True), ToolSpec("act", "Acts.", form, False)]

    async def close(self):
        self.is_closed = True

    async def run(self, name, args):
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.ran.append((name, args))
        try:
            await asyncio.sleep(0)
            if name == "act" and self.go is not None:
                self.acting.set()
                await self.go.wait()
        finally:
            self.at_once -= 1
        if not isinstance(args, dict):
            return ToolResult("arguments: expected an object", ok=False)
        return ToolResult(f"{name} saw {args.get('what')}", ok=True)


def request(prompt: str = "Do it.", **fields: Any) -> AgentRequest:
    usual: dict[str, Any] = {"run_id": "r", "call": 1, "identity": b"i" * 32, "attempt": 1, "workspace": "/"}
    return AgentRequest(prompt=prompt, **(usual | fields))


def backend(model: ScriptedModel, bench: Bench, service: str = "openai", **settings: Any) -> ProviderBackend:
    variables = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "k", "ANTHROPIC_BASE_URL": model.origin}
    return ProviderBackend(
        service,
        "fake-1",
        environ={**variables, "ANTHROPIC_API_KEY": "k"},
        settings=AgentSettings(**settings),
        prices=Prices({"fake-1": PriceSettings(input=1.0, output=10.0)}),
        bench=bench,
    )


class Asked:
    """One backend, asked; what it emitted is in `told`."""

    def __init__(self, replies, *, service="openai", bench=None, then=None, **settings):
        self.model = ScriptedModel(list(replies)) if then is None else ScriptedModel(list(replies), then=then)
        self.bench = bench or Bench()
        self.service = service
        self.settings = settings
        self.told: list[dict[str, Any]] = []

    async def answer(self, asked: AgentRequest):
        async with self.model as model:
            one = backend(model, self.bench, self.service, **self.settings)
            try:
                return await one.run(asked, self.told.append)
            finally:
                await one.close()

    async def failure(self, asked: AgentRequest) -> AgentError:
        with pytest.raises(AgentError) as caught:
            await self.answer(asked)
        return caught.value


# ── answers ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("service", SHAPES)
async def test_S20_text_comes_back_exactly_with_its_usage_and_price(service):
    asked = Asked([Reply([Say("  An answer.\n")], usage=(100, 20))], service=service)
    answer = await asked.answer(request())
    assert answer.value == "  An answer.\n"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (100, 20)
    assert answer.usage.cost_usd == pytest.approx(0.0003)
    assert answer.model == "fake-1"
    assert {"usage": answer.usage.to_json()} in asked.told


@pytest.mark.parametrize("service", SHAPES)
async def test_tools_run_until_there_is_an_answer_and_every_turn_is_on_record(service):
    trail = MemoryTrail()
    asked = Asked(
        [Reply([Say("Let me see."), Call("look", {"what": "a"})]), Call("act", {"what": "b"}), "Done."], service=service
    )
    answer = await asked.answer(request(trail=trail))
    assert answer.value == "Done."
    assert asked.bench.ran == [("look", {"what": "a"}), ("act", {"what": "b"})]
    assert [(turn.role, trail.text(turn)) for turn in trail.turns] == [
        ("user", "Do it."),
        ("assistant", "Let me see."),
        ("tool", "look saw a"),
        ("assistant", ""),
        ("tool", "act saw b"),
        ("assistant", "Done."),
    ]
    assert asked.model.requests[2].results[-1].text == "act saw b"
    assert asked.model.refused == []
    tools = [body["tool"] for body in asked.told if "tool" in body]
    assert tools == ["look", None, "act", None]


async def test_what_reads_runs_side_by_side_and_what_acts_alone_and_results_keep_their_order():
    trail = MemoryTrail()
    calls = [Call("look", {"what": w}) for w in "abc"] + [Call("act", {"what": "d"}), Call("look", {"what": "e"})]
    asked = Asked([Reply(calls), "Done."])
    await asked.answer(request(trail=trail))
    assert asked.bench.most_at_once == 3
    assert [trail.text(t) for t in trail.turns if t.role == "tool"] == [
        "look saw a", "look saw b", "look saw c", "act saw d", "look saw e",
    ]  # fmt: skip


@pytest.mark.parametrize("service", SHAPES)
async def test_S21_a_structured_answer_is_a_last_tool_call_and_its_error_is_shown(service):
    asked = Asked([Call("submit_answer", {"n": 1}), Call("submit_answer", {"n": 5})], service=service)
    answer = await asked.answer(request(schema=SCHEMA))
    assert answer.value == {"n": 5}
    assert "minimum" in asked.model.requests[1].results[-1].text or "3" in asked.model.requests[1].results[-1].text
    assert asked.model.refused == []


async def test_S21_text_that_holds_the_object_is_an_answer_too():
    assert (await Asked(['```json\n{"n": 4}\n```']).answer(request(schema=SCHEMA))).value == {"n": 4}


async def test_S21_when_the_rounds_are_used_up_it_throws_with_the_last_problem():
    asked = Asked([], then=lambda _: Call("submit_answer", {"n": 1}), schema_rounds=3)
    failure = await asked.failure(request(schema=SCHEMA))
    assert failure.code == "schema_invalid"
    assert failure.message.startswith("no answer fits the schema after 3 rounds: ")
    assert len(asked.model.requests) == 3
    assert failure.fields["usage"]["output_tokens"] > 0


async def test_a_structured_answer_may_come_after_work():
    asked = Asked([Call("look", {"what": "x"}), Reply([Call("act", {"what": "y"}), Call("submit_answer", {"n": 3})])])
    answer = await asked.answer(request(schema=SCHEMA))
    assert answer.value == {"n": 3}
    assert asked.bench.ran == [("look", {"what": "x"}), ("act", {"what": "y"})]


async def test_S20_an_empty_answer_is_asked_again_once():
    assert (await Asked([Say(" "), "Now."]).answer(request())).value == "Now."
    failure = await Asked([Say(" "), Say("")]).failure(request())
    assert failure.code == "empty"


async def test_a_loop_without_an_end_is_ended():
    asked = Asked([], then=lambda _: Call("look", {"what": "again"}), turns=4)
    failure = await asked.failure(request())
    assert (failure.code, failure.message) == ("too_many_turns", "the agent gave no answer within 4 turns")


async def test_a_definition_is_the_system_text_in_every_turn():
    asked = Asked([Call("look", {"what": "x"}), "Done."])
    await asked.answer(request(definition=AgentDefinition("d", "…", prompt="Be brief.")))
    assert ["Be brief." in one.system for one in asked.model.requests] == [True, True]


async def test_arguments_that_are_no_json_go_back_to_the_model():
    trail = MemoryTrail()
    broken = Garbled("look", '{"what": ')
    asked = Asked([broken, "Done."])
    assert (await asked.answer(request(trail=trail))).value == "Done."
    assert [trail.text(t) for t in trail.turns if t.role == "tool"] == ["arguments: expected an object"]


def Garbled(name: str, text: str) -> Call:
    return Call(name, text)


# ── failures of the service ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("service", SHAPES)
@pytest.mark.parametrize(
    ("turn", "code", "retryable"),
    [
        (Fails(429, "slow down", headers={"retry-after": "7"}), "rate_limited", True),
        (Fails(500, "oops"), "provider_unavailable", True),
        (Fails(503, "busy"), "provider_unavailable", True),
        (Fails(401, "no such key"), "provider_refused", False),
        (Fails(400, "what is this"), "provider_refused", False),
        (Fails(404, "no such model"), "provider_refused", False),
        (Cuts(0), "provider_connection", True),
        (Cuts(150), "provider_connection", True),
        (Garbage(b"<html>a proxy</html>"), "provider_", True),
    ],
    ids=lambda value: type(value).__name__ + str(getattr(value, "status", "")) if not isinstance(value, str) else value,
)
async def test_I7_each_failure_has_its_code_and_says_whether_to_try_again(service, turn, code, retryable):
    failure = await Asked([turn], service=service).failure(request())
    assert failure.code.startswith(code), failure.message
    assert failure.retryable is retryable
    assert failure.message.startswith(f"{service}: ")
    if code == "rate_limited":
        assert failure.retry_after_s == 7


async def test_a_quota_that_is_used_up_is_no_rate_limit():
    failure = await Asked([Fails(429, "You exceeded your quota", code="insufficient_quota")]).failure(request())
    assert (failure.code, failure.retryable) == ("provider_quota", False)


async def test_a_failure_in_the_middle_keeps_what_was_paid_and_the_conversation_goes_on_from_its_last_turn():
    trail = MemoryTrail()
    asked = Asked([Reply([Call("act", {"what": "a"})], usage=(50, 5)), Fails(500)])
    failure = await asked.failure(request(trail=trail))
    assert failure.fields["usage"]["input_tokens"] == 50
    again = Asked(["Finished."], bench=asked.bench)
    answer = await again.answer(request(trail=trail.reopened(), attempt=2))
    assert answer.value == "Finished."
    assert asked.bench.ran == [("act", {"what": "a"})]  # not again
    (shown,) = again.model.requests
    assert shown.results[-1].text == "act saw a"
    assert shown.messages[-1].text.endswith(GOES_ON)


@pytest.mark.parametrize("service", SHAPES)
async def test_interrupted_in_a_tool_it_goes_on_and_is_told_what_may_be_half_done(service):
    trail, bench = MemoryTrail(), Bench()
    bench.go = asyncio.Event()
    asked = Asked([Call("act", {"what": "a"})], service=service, bench=bench)
    task = asyncio.create_task(asked.answer(request(trail=trail)))
    await asyncio.wait_for(bench.acting.wait(), 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [turn.role for turn in trail.turns] == ["user", "assistant"]
    again = Asked(["I looked: it was done."], service=service)
    after = trail.reopened()
    assert (await again.answer(request(trail=after, attempt=2))).value == "I looked: it was done."
    assert again.model.refused == []  # no call without a result
    assert again.model.requests[0].results[-1].text == HALF_DONE
    assert [(turn.role, turn.attempt) for turn in after.turns[2:]] == [("tool", 2), ("user", 2), ("assistant", 2)]


async def test_I2_an_answer_that_is_on_record_is_not_asked_for_again():
    trail = MemoryTrail()
    first = await Asked([Call("look", {"what": "a"}), "The report."]).answer(request(trail=trail))
    again = Asked([])
    answer = await again.answer(request(trail=trail.reopened(), attempt=2))
    assert (answer.value, answer.model) == (first.value, first.model) == ("The report.", "fake-1")
    assert again.model.requests == []
    assert len(trail.turns) == 4


async def test_an_answer_on_record_that_does_not_fit_is_answered_with_what_is_wrong():
    trail = MemoryTrail()
    await trail.add("user", {"text": "Do it."})
    await Asked(["It is two.", Fails(500)]).failure(request(trail=trail, schema=SCHEMA))
    interrupted = MemoryTrail(trail.turns[:3])  # before the feedback
    again = Asked([Call("submit_answer", {"n": 4})])
    answer = await again.answer(request(trail=interrupted.reopened(), attempt=2, schema=SCHEMA))
    assert answer.value == {"n": 4}
    assert again.model.requests[0].messages[-1].text.startswith("That answer does not do: ")


async def test_what_other_backends_left_on_record_is_nothing_to_go_on_from():
    trail = MemoryTrail()
    await trail.add("user", {"text": "Do it."})
    args = {"native": True}  # no message of the library's
    await trail.add("assistant", {"text": "", "calls": [{"id": "1", "name": "act", "args": args}]})
    again = Asked(["Done."])
    assert (await again.answer(request(trail=trail.reopened(), attempt=2))).value == "Done."
    assert again.model.requests[0].messages[-1].text == BEGINS_AGAIN + "Do it."


async def test_interrupted_before_it_said_anything_it_begins_again_and_is_told_so():
    trail = MemoryTrail()
    await Asked([Fails(500)]).failure(request(trail=trail))
    again = Asked(["Done."])
    await again.answer(request(trail=trail.reopened(), attempt=2))
    assert again.model.requests[0].messages[-1].text == BEGINS_AGAIN + "Do it."


async def test_another_model_can_go_on_with_the_conversation():
    trail = MemoryTrail()
    await Asked([Call("look", {"what": "a"}), Fails(500)], service="anthropic").failure(request(trail=trail))
    again = Asked(["Done."], service="openai")
    assert (await again.answer(request(trail=trail.reopened(), attempt=2))).value == "Done."
    assert again.model.refused == []


async def test_secrets_are_masked_before_the_model_sees_them_again():
    trail = MemoryTrail(secret="hunter2hunter2")
    asked = Asked([Reply([Say("It is hunter2hunter2."), Call("look", {"what": "hunter2hunter2"})]), "Done."])
    await asked.answer(request(trail=trail, prompt="The word is hunter2hunter2."))
    assert b"hunter2hunter2" not in b"".join(turn.body for turn in trail.turns)
    assert "hunter2hunter2" not in json.dumps([one.raw for one in asked.model.requests])


async def test_a_mask_finds_secrets_in_arguments_however_json_writes_them():
    secret = 'hunter"2"\nhunter2'

    class Masking(MemoryTrail):
        async def add(self, role, body, *, wait=True):
            masked = Masker(SecretSettings(environment=("THE_SECRET",)), {"THE_SECRET": secret}).mask_json(body)[0]
            return await super().add(role, masked, wait=wait)

    trail = Masking()
    asked = Asked([Reply([Call("look", {"what": secret})]), "Done."])
    await asked.answer(request(trail=trail))
    (spoken,) = [json.loads(turn.body) for turn in trail.turns if turn.role == "assistant"][:1]
    assert spoken["native"]["parts"][0]["args"] == {"what": "[secret:THE_SECRET]"} == spoken["calls"][0]["args"]
    assert asked.model.requests[-1].raw["messages"][1]["tool_calls"][0]["function"]["arguments"] == (
        '{"what":"[secret:THE_SECRET]"}'
    )


async def test_an_id_that_a_mask_changes_is_the_same_in_the_call_and_in_its_result():
    trail = MemoryTrail(secret="call_hunter2")
    asked = Asked([Reply([Call("look", {"what": "a"}, id="call_hunter2")]), "Done."])
    assert (await asked.answer(request(trail=trail))).value == "Done."
    assert asked.model.refused == []


# ── what is no answer ──────────────────────────────────────────────────────────────────────────────────────────────────


def chunk(delta: Any, **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": fields.pop("finish_reason", None)}
    return {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "fake-1", "choices": [choice]} | fields


@pytest.mark.parametrize(
    "sent",
    [
        5,
        [1, 2],
        {"id": "x", "choices": "no"},
        chunk("no"),
        chunk({"tool_calls": "no"}),
        chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": 5, "arguments": "{}"}}]}),
        chunk({"content": "hi"}, usage="lots"),
        chunk({"content": "hi"}, model=5),
        chunk({"content": "hi"}, created="yesterday"),
    ],
)
async def test_I7_what_a_broken_service_streams_is_its_failure_and_no_bug_of_ours(sent):
    end = chunk({}, finish_reason="stop", model=sent.get("model") if isinstance(sent, dict) else "fake-1")
    events = "".join(f"data: {json.dumps(one)}\n\n" for one in (sent, end))
    failure = await Asked([Garbage((events + "data: [DONE]\n\n").encode())]).failure(request())
    assert (failure.code, failure.retryable) == ("provider_bad_answer", True)
    assert failure.message.startswith("openai: sent something that is no answer: ")


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://\u00fc\ud83d/v1"])
async def test_an_address_that_is_none_is_named_with_its_variable(url):
    one = ProviderBackend(
        "openai", "m", environ={"OPENAI_BASE_URL": url}, settings=AgentSettings(), prices=Prices(), bench=Bench()
    )
    with pytest.raises(UsageError) as caught:
        await one.run(request(), lambda body: None)
    assert caught.value.message == f"OPENAI_BASE_URL is {url!r}: expected http://… or https://…"
    await one.close()


async def test_halves_of_a_character_are_put_together_and_half_of_one_is_no_text():
    sent = [chunk({"content": text}) for text in ("a\ud83d", "\ude00b", "\ud83d")] + [chunk({}, finish_reason="stop")]
    events = "".join(f"data: {json.dumps(one)}\n\n" for one in sent)
    trail = MemoryTrail()
    asked = Asked([Garbage((events + "data: [DONE]\n\n").encode())])
    assert (await asked.answer(request(trail=trail))).value == "a\U0001f600b\ufffd"
    assert MemoryTrail.text(trail.turns[-1]) == "a\U0001f600b\ufffd"


async def test_a_conversation_that_is_too_long_loses_its_oldest_large_results():
    bench = Bench()
    long = "x" * 5_000
    full = Fails(400, "maximum context length is 10 tokens", code="context_length_exceeded")
    asked = Asked([Call("look", {"what": long}), Call("look", {"what": "b"}), full, "Done."], bench=bench)
    assert (await asked.answer(request())).value == "Done."
    assert long not in json.dumps(asked.model.requests[-1].results[0].text)
    assert asked.model.requests[-1].results[-1].text == "look saw b"


# ── how it is asked ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_S25_effort_is_sent_in_the_service_s_words():
    asked = Asked(["ok"])
    await asked.answer(request(effort="max"))
    assert asked.model.requests[0].raw["reasoning_effort"] == "high"


async def test_progress_tells_tokens_while_they_come():
    asked = Asked([Reply([Say("many words " * 50)])])
    await asked.answer(request())
    assert any("tokens" in body for body in asked.told)


async def test_a_price_that_is_not_known_is_said_and_counts_as_nothing():
    asked = Asked(["ok"])
    asked.told.clear()
    async with asked.model as model:
        one = backend(model, asked.bench)
        one._prices = Prices({})
        answer = await one.run(request(), asked.told.append)
        await one.close()
    assert answer.usage.cost_usd == 0
    (notice,) = [body for body in asked.told if "notice" in body]
    assert notice["code"] == "price_unknown"


async def test_a_cancelled_call_closes_its_connection_and_leaves_no_task():
    hold = asyncio.Event()
    asked = Asked([Holds(hold)])
    async with asked.model as model:
        one = backend(model, asked.bench)
        task = asyncio.create_task(one.run(request(), asked.told.append))
        await asyncio.wait_for(model.asked.wait(), 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(model.left.wait(), 5)
        await one.close()


async def test_calls_run_at_once_and_keep_apart():
    def then(asked):
        return f"You said: {asked.messages[-1].text}"

    asked = Asked([], then=then)
    async with asked.model as model:
        one = backend(model, asked.bench)
        answers = await asyncio.gather(*(one.run(request(f"number {n}"), lambda body: None) for n in range(30)))
        await one.close()
    assert [answer.value for answer in answers] == [f"You said: number {n}" for n in range(30)]
