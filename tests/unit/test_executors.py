"""How an agent call's options become the request that a backend gets."""

from __future__ import annotations

import pytest

from engine.errors import UsageError
from engine.executors import Agents, Job
from engine.retrying import RetryPolicy
from engine.settings import AgentSettings
from engine.values import AgentAnswer, AgentDefinition, AgentRequest, CallKind


async def answer(request, emit):
    return AgentAnswer(request)


def find(name):
    if name == "nowhere":
        raise UsageError("there is no backend 'nowhere'", code="unknown_backend")
    return answer


def refuse_empty_enum(schema):
    if schema.get("enum") == []:
        raise UsageError("enum is empty", code="bad_schema")


REVIEWER = AgentDefinition("reviewer", "reads", model="small")


def agents(tmp_path, **more):
    return Agents("r-1", str(tmp_path), "sample", find, refuse_empty_enum, definitions={"reviewer": REVIEWER}, **more)


def job(**content):
    return Job(3, CallKind.AGENT, {"prompt": "look", **content}, b"\x01" * 32, label="a label", session="s-9")


async def test_a_request_holds_the_call_s_options_and_the_run_s_defaults(tmp_path):
    (tmp_path / "sub").mkdir()
    one = agents(tmp_path, default_model="usual", default_effort="low")
    asked = job(schema={"type": "object"}, effort="max", agentType="reviewer", cwd="sub")
    assert (await one.run(asked, 2, lambda body: None)).value == AgentRequest(
        run_id="r-1",
        call=3,
        identity=b"\x01" * 32,
        attempt=2,
        prompt="look",
        workspace=f"{tmp_path}/sub",
        schema={"type": "object"},
        model="small",
        effort="max",
        definition=REVIEWER,
        label="a label",
        session="s-9",
    )


@pytest.mark.parametrize(
    ("content", "model"),
    [({}, "usual"), ({"agentType": "reviewer"}, "small"), ({"agentType": "reviewer", "model": "big"}, "big")],
)
def test_the_model_is_the_call_s_else_the_definition_s_else_the_run_s(tmp_path, content, model):
    assert agents(tmp_path, default_model="usual").model(job(**content)) == model


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"agentType": "x"}, "agentType 'x' is not known: expected one of reviewer"),
        ({"backend": "nowhere"}, "there is no backend 'nowhere'"),
        ({"schema": {"enum": []}}, "enum is empty"),
        ({"goal": "tests pass"}, "agent() option 'goal' is not in this version of Pawl."),
        ({"cwd": "../.."}, "'../..' leads out of the workspace"),
        ({"cwd": "none"}, "'none' is not a folder of the workspace: No such file or directory"),
    ],
)
def test_S22_S24_S26_what_cannot_work_is_refused_by_name(tmp_path, content, message):
    with pytest.raises(UsageError) as caught:
        agents(tmp_path).check(job(**content))
    assert caught.value.message == message


def test_S26_time_and_retries_come_from_the_call_else_from_the_settings(tmp_path):
    one = agents(tmp_path, settings=AgentSettings(timeout_minutes=5, attempts=4, backoff_s=2))
    assert one.timeout_s(job()) == 300 and one.timeout_s(job(timeoutMinutes=0.5)) == 30
    assert one.retry_policy(job()) == RetryPolicy(4, 2)
    assert one.retry_policy(job(retry={"attempts": 1})) == RetryPolicy(1, 2)
    assert one.backend(job()) == "sample" and one.backend(job(backend="local")) == "local"
