"""How an agent call's options become the request that a backend gets."""

from __future__ import annotations

import pytest

from engine.agents.executor import Agents
from engine.errors import AgentError, UsageError
from engine.executors import Job
from engine.retrying import RetryPolicy
from engine.settings import AgentSettings
from engine.values import AgentAnswer, AgentDefinition, AgentRequest, CallKind


async def answer(request, emit):
    return AgentAnswer(request)


class Finder:
    """Backends by name; one that is in `failing` raises what stands there."""

    def __init__(self, failing=None):
        self.failing = failing or {}
        self.asked = []

    def find(self, name):
        if name == "nowhere":
            raise UsageError("there is no backend 'nowhere'", code="unknown_backend")

        async def ask(request, emit):
            self.asked.append(name)
            if name in self.failing:
                raise self.failing[name]
            return await answer(request, emit)

        return ask

    def is_backend(self, word):
        return word in ("sample", "local", "openai", "anthropic", "nowhere")

    def line(self, name):
        return name.partition(":")[0]

    def acts(self, name):
        return name != "sample"

    def draws(self, name):
        return not name.startswith("acp")

    def tools(self, name, names):
        return names


def refuse_empty_enum(schema):
    if schema.get("enum") == []:
        raise UsageError("enum is empty", code="bad_schema")


REVIEWER = AgentDefinition("reviewer", "reads", model="small")


def agents(tmp_path, finder=None, **more):
    return Agents(
        "r-1",
        str(tmp_path),
        "sample",
        finder or Finder(),
        refuse_empty_enum,
        definitions={"reviewer": REVIEWER},
        **more,
    )


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
        ({"check": "true"}, "The option check of agent() needs the permission 'check', which this run does not have."),
        (
            {"candidates": 2, "backend": "acp:claude"},
            "agent() option 'candidates' cannot be kept by the backend acp:claude: it decides its steps by itself",
        ),
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


LISTS = {"lite": ("openai:small", "anthropic:small"), "ours": ("tuned",)}


def failed(code, **fields):
    return AgentError(f"it broke: {code}", code=code, **fields)


async def test_the_next_model_of_a_list_is_asked_when_a_service_fails_and_both_are_on_record(tmp_path):
    finder = Finder({"openai:small": failed("provider_quota", usage={"output_tokens": 5})})
    one = agents(tmp_path, finder, models=LISTS)
    done = await one.run(job(model="lite"), 1, lambda body: None)
    assert finder.asked == ["openai:small", "anthropic:small"]
    assert done.meta == {"asked_model": "lite", "fell_back": ["openai:small: it broke: provider_quota"]}
    assert done.usage.output_tokens == 5
    assert one.backend(job(model="lite")) == "openai:small" and one.model(job(model="lite")) == "lite"


@pytest.mark.parametrize("code", ["rate_limited", "schema_invalid", "provider_refusal", "empty"])
async def test_what_is_no_failure_of_the_service_asks_nobody_else(tmp_path, code):
    finder = Finder({"openai:small": failed(code)})
    with pytest.raises(AgentError):
        await agents(tmp_path, finder, models=LISTS).run(job(model="lite"), 1, lambda body: None)
    assert finder.asked == ["openai:small"]


async def test_a_model_that_cannot_run_here_is_passed_over(tmp_path):
    finder = Finder()
    one = agents(tmp_path, finder, models={"lite": ("nowhere:x", "openai:small")})
    finder.find = lambda name, find=finder.find: find("nowhere" if name == "nowhere:x" else name)
    await one.run(job(model="lite"), 1, lambda body: None)
    assert finder.asked == ["openai:small"]


def test_S25_a_phase_has_a_model_for_its_agents(tmp_path):
    one = agents(tmp_path, default_model="usual", phase_models={"Find": "small"})
    asked = job()
    asked.phase = "Find"
    assert one.model(asked) == "small"
    asked.content["model"] = "big"
    assert one.model(asked) == "big"


async def test_a_tier_that_nobody_named_is_said_and_answered_by_the_backend_s_own_model(tmp_path):
    told = []
    done = await agents(tmp_path).run(job(model="max"), 1, told.append)
    assert done.value.model is None
    assert told == [
        {
            "notice": "The model 'max' is no model of the config: sample answers with its own. "
            'Name it: [models] max = ["…"]',
            "code": "unknown_tier",
        }
    ]


def test_tools_are_what_the_call_and_its_definition_both_allow(tmp_path):
    reader = AgentDefinition("reader", "reads", tools=("read_file", "grep"))
    one = agents(tmp_path, finder=None)
    one.definitions["reader"] = reader
    assert one.request(job(), 1).tools is None
    assert one.request(job(agentType="reader"), 1).tools == ("read_file", "grep")
    assert one.request(job(tools=["grep", "edit_file"], agentType="reader"), 1).tools == ("grep",)
    assert one.request(job(tools=[]), 1).tools == ()
    assert one.request(job(tools=["grep"]), 1).is_named_tools


class Worktrees:
    def __init__(self, root):
        self.root = root
        self.seen = []

    async def enter(self, call, label):
        self.seen.append(("enter", call, label))
        return str(self.root)

    async def leave(self, call):
        self.seen.append(("leave", call))
        return {"branch": "pawl/r-1/3"}


async def test_S25_an_isolated_agent_works_in_a_worktree_and_says_what_became_of_it(tmp_path):
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    trees = Worktrees(tmp_path / "tree")
    one = agents(tmp_path, worktrees=trees)
    done = await one.run(job(isolation="worktree", backend="openai:m", cwd="sub"), 1, lambda body: None)
    assert done.value.workspace == f"{tmp_path}/tree/sub"
    assert done.meta["worktree"] == {"branch": "pawl/r-1/3"}
    assert trees.seen == [("enter", 3, "a label"), ("leave", 3)]


async def test_S25_what_was_changed_is_kept_when_the_attempt_fails(tmp_path):
    trees = Worktrees(tmp_path)
    one = agents(tmp_path, Finder({"openai:m": failed("provider_unavailable")}), worktrees=trees)
    with pytest.raises(AgentError):
        await one.run(job(isolation="worktree", backend="openai:m"), 1, lambda body: None)
    assert trees.seen[-1] == ("leave", 3)


async def test_S25_an_agent_that_only_answers_needs_no_worktree(tmp_path):
    trees = Worktrees(tmp_path)
    await agents(tmp_path, worktrees=trees).run(job(isolation="worktree"), 1, lambda body: None)
    assert trees.seen == []


async def test_S25_an_agent_that_may_fall_back_to_one_that_acts_needs_a_worktree(tmp_path):
    (tmp_path / "tree").mkdir()
    trees = Worktrees(tmp_path / "tree")
    finder = Finder({"sample": failed("provider_unavailable")})
    one = agents(tmp_path, finder, worktrees=trees, models={"lite": ("sample", "openai:small")})
    done = await one.run(job(isolation="worktree", model="lite"), 1, lambda body: None)
    assert done.value.workspace == f"{tmp_path}/tree"
