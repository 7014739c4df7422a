"""Views of what is recorded. Readings are built from rows by hand: the views are pure functions of them."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from engine import difference, history, overview
from engine.errors import UsageError
from engine.events import RunEnded
from engine.history import Reading, parse_reference
from engine.timeline import Follower, timeline
from engine.values import (
    AttemptRow,
    CallRow,
    EventRow,
    LoadRow,
    RunInfo,
    RunStatus,
    SettlementRow,
    Usage,
    VersionEnd,
    VersionInfo,
)

T0 = 1_700_000_000_000


def call(record: int, **given: Any) -> CallRow:
    content = {"prompt": f"find {record}", **given.pop("content", {})}
    row = CallRow(
        call=record,
        number=record,
        kind="agent",
        lane=f"p{record}",
        key=bytes([record]) * 32,
        history=b"\0" * 32,
        occurrence=0,
        label=None,
        phase="Find",
        content=json.dumps(content).encode(),
        made_at=T0 + 10 * record,
    )
    return row._replace(**given)


def settled(number: int, outcome: str = "ok", value: Any = "answer", **given: Any) -> SettlementRow:
    row = SettlementRow(
        call=number,
        order=number,
        outcome=outcome,
        value=json.dumps(value).encode() if outcome in ("ok", "null") else b"",
        reason=None,
        error=b"",
        backend="sample",
        model="m1",
        input_tokens=10,
        output_tokens=5,
        cost_usd=0.5,
        settled_at=T0 + 1000 + number,
        meta=b"{}",
    )
    return row._replace(**given)


def attempt(number: int, nth: int = 1, at: int | None = None) -> AttemptRow:
    return AttemptRow(number, nth, "sample", "m1", T0 + 500 + number if at is None else at)


def ended(status: RunStatus = RunStatus.COMPLETED, at: int = T0 + 2000, **given: Any) -> VersionEnd:
    end = VersionEnd(
        status=status,
        result=b'"done"' if status is RunStatus.COMPLETED else None,
        error=None,
        degraded=False,
        counts={"total": 2, "live": 2, "reused": 0, "failed": 0, "null": 0, "refused": 0},
        usage=Usage(20, 10, 1.0),
        active_ms=2000,
        ended_at=at,
    )
    return dataclasses.replace(end, **given)


def version(number: int = 1, started_at: int = T0, end: VersionEnd | None = None, **given: Any) -> VersionInfo:
    found = VersionInfo(
        version=number,
        script=b"return 1",
        script_path="flows/a.js",
        meta={"name": "a", "description": "d", "phases": [{"title": "Find"}]},
        args=None,
        settings={"backend": "sample", "agents": 1000, "concurrency": 16},
        engine={"sandbox": "seccomp"},
        permissions=("check",),
        started_at=started_at,
        end=end,
    )
    return dataclasses.replace(found, **given)


def reading(*versions: VersionInfo, shown: int = 1, is_driven: bool = False, **rows: Any) -> Reading:
    every = versions or (version(end=ended()),)
    info = RunInfo(
        run_id="r1",
        name="a",
        project="/p",
        created_at=T0,
        status=every[-1].end.status if every[-1].end else RunStatus.RUNNING,
        versions=len(every),
        paid=Usage(20, 10, 1.0),
        agents=2,
        active_ms=2000,
    )
    rows["settlements"] = {row.call: row for row in rows.get("settlements", ())}
    return Reading(info=info, version=every[shown - 1], versions=every, is_driven=is_driven, **rows)


class TestReference:
    @pytest.mark.parametrize(("text", "parsed"), [("a", ("a", None)), ("a.b-C_1@12", ("a.b-C_1", 12))])
    def test_a_run_and_a_version(self, text: str, parsed: tuple[str, int | None]) -> None:
        assert parse_reference(text) == parsed

    @pytest.mark.parametrize("text", ["a@", "a@0", "a@-1", "a@x", "a@²", "a@1@2"])
    def test_a_version_that_is_none(self, text: str) -> None:
        with pytest.raises(UsageError) as caught:
            parse_reference(text)
        found = text.partition("@")[2]
        assert caught.value.message == f"{text!r} names no version: expected RUN@V with V from 1, found {found!r}"
        assert caught.value.hint == "pawl show a lists the versions."

    @pytest.mark.parametrize("text", ["", "a/b", "..", "x" * 65, "a b", "a\n"])
    def test_a_run_id_that_is_none(self, text: str) -> None:
        with pytest.raises(UsageError, match="is not a run id") as caught:
            parse_reference(text)
        assert caught.value.code == "bad_run_id"


class TestStatus:
    def test_an_ended_version_says_how(self) -> None:
        assert reading(version(end=ended(RunStatus.CANCELLED))).status is RunStatus.CANCELLED

    def test_a_version_without_end_and_driver_was_interrupted(self) -> None:
        assert reading(version()).status is RunStatus.INTERRUPTED

    def test_a_driven_version_runs(self) -> None:
        assert reading(version(), is_driven=True).status is RunStatus.RUNNING

    def test_an_older_version_without_end_was_interrupted_though_the_run_is_driven(self) -> None:
        both = (version(), version(2, T0 + 5000))
        assert reading(*both, shown=1, is_driven=True).status is RunStatus.INTERRUPTED
        assert reading(*both, shown=2, is_driven=True).status is RunStatus.RUNNING


class TestCalls:
    def test_a_settled_call_has_all_that_is_known(self) -> None:
        told = reading(calls=[call(1, label="one")], attempts=[attempt(1)], settlements=[settled(1)])
        (view,) = history.calls(told)
        assert view.to_json() == {
            "call": 1,
            "record": 1,
            "kind": "agent",
            "label": "one",
            "title": "one",
            "phase": "Find",
            "lane": "p1",
            "outcome": "ok",
            "reason": None,
            "reused": False,
            "attempts": 1,
            "backend": "sample",
            "model": "m1",
            "usage": {"input_tokens": 10, "output_tokens": 5, "cost_usd": 0.5},
            "requested_at": T0 + 10,
            "started_at": T0 + 501,
            "settled_at": T0 + 1001,
            "seconds": 0.5,
            "worktree": None,
        }

    def test_a_call_without_label_is_titled_by_what_was_asked(self) -> None:
        long = call(2, content={"prompt": "a  b\n" + "x" * 100})
        first, second = history.calls(reading(calls=[call(1), long]))
        assert first.title == "find 1"
        assert second.title == "a b " + "x" * 55 + "…"

    @pytest.mark.parametrize(
        ("is_driven", "attempts", "kind", "outcome"),
        [
            (True, [], "agent", "queued"),
            (True, [attempt(1)], "agent", "running"),
            (True, [], "ask", "waiting"),
            (False, [attempt(1)], "agent", "interrupted"),
            (False, [], "agent", "interrupted"),
        ],
    )
    def test_an_open_call_says_where_it_stands(
        self, is_driven: bool, attempts: list[AttemptRow], kind: str, outcome: str
    ) -> None:
        told = reading(version(), is_driven=is_driven, calls=[call(1, kind=kind)], attempts=attempts)
        assert [view.outcome for view in history.calls(told)] == [outcome]

    def test_what_an_earlier_version_recorded_is_reused_and_not_paid_again(self) -> None:
        both = (version(end=ended(RunStatus.INTERRUPTED)), version(2, T0 + 5000, ended(at=T0 + 9000)))
        rows: dict[str, Any] = {
            "calls": [call(1), call(2)],
            "attempts": [attempt(1), attempt(2), attempt(2, 2, T0 + 6000)],
            "settlements": [settled(1), settled(2, settled_at=T0 + 7000)],
        }
        first, second = history.calls(reading(*both, shown=2, **rows))
        assert (first.reused, first.attempts, first.outcome) == (True, 1, "ok")
        assert (second.reused, second.attempts, second.started_at) == (False, 2, T0 + 6000)
        assert history.usage([first, second]) == Usage(10, 5, 0.5)
        assert history.counts([first, second]) == {
            "total": 2, "live": 1, "reused": 1, "failed": 0, "null": 0, "refused": 0,
        }  # fmt: skip

    def test_what_a_later_version_finished_was_open_in_the_earlier_one(self) -> None:
        both = (version(end=ended(RunStatus.INTERRUPTED)), version(2, T0 + 5000, ended(at=T0 + 9000)))
        rows: dict[str, Any] = {
            "calls": [call(2)],
            "attempts": [attempt(2), attempt(2, 2, T0 + 6000)],
            "settlements": [settled(2, settled_at=T0 + 7000)],
        }
        (view,) = history.calls(reading(*both, shown=1, **rows))
        assert (view.outcome, view.attempts, view.settled_at) == ("interrupted", 1, None)

    def test_details_hold_the_question_the_answer_and_the_hashes(self) -> None:
        failed = settled(1, "failed", error=b'{"code": "schema", "message": "no"}')
        told = reading(calls=[call(1, content={"model": "big"})], attempts=[attempt(1)], settlements=[failed])
        details = history.find_call(told, 1).details()
        assert details["content"] == {"prompt": "find 1", "model": "big"}
        assert (details["value"], details["error"]) == (None, {"code": "schema", "message": "no"})
        assert details["key"] == "01" * 32
        assert len(details["identity"]) == 64
        assert details["identity"] != details["key"]

    def test_a_call_that_is_not_there(self) -> None:
        with pytest.raises(UsageError) as caught:
            history.find_call(reading(calls=[call(1)]), 7)
        assert caught.value.message == "r1@1 has no call 7: it made 1 call"
        assert caught.value.hint == "pawl show r1@1 --calls lists them."
        assert caught.value.code == "unknown_call"


class TestReasons:
    def test_I7_every_null_failure_and_refusal_has_its_reason(self) -> None:
        told = reading(
            calls=[call(1), call(2), call(3), call(4), call(5)],
            settlements=[
                settled(1, "null", None, reason="timeout: 30 minutes"),
                settled(2, "null", None, reason="skipped"),
                settled(3, "failed", error=b'{"code": "schema", "message": "not an object"}'),
                settled(4, "refused", reason="limit_agents: the cap of 3 is reached"),
                settled(5),
            ],
            events=[
                EventRow(1, "log", T0, b'{"text": "slot 2: boom", "level": "warning", "code": "swallowed_error"}'),
                EventRow(2, "log", T0, b'{"text": "unknown option x", "level": "warning", "code": "unknown_option"}'),
            ],
        )
        assert history.reasons(told) == [
            {"code": "null", "text": "find 1: timeout: 30 minutes", "call": 1},
            {"code": "failed", "text": "find 3: not an object", "call": 3},
            {"code": "refused", "text": "find 4: limit_agents: the cap of 3 is reached", "call": 4},
            {"code": "swallowed_error", "text": "slot 2: boom", "call": None},
        ]
        nulls = overview.shown(told, with_calls=False)["nulls"]
        assert [(n["call"], n["outcome"], n["reason"]) for n in nulls] == [
            (1, "null", "timeout: 30 minutes"),
            (2, "null", "skipped"),
            (3, "failed", None),
            (4, "refused", "limit_agents: the cap of 3 is reached"),
        ]


class TestResult:
    def test_of_an_ended_version_is_what_run_printed(self) -> None:
        told = history.result(reading())
        assert told.to_json() == {
            "run_id": "r1",
            "version": 1,
            "status": "completed",
            "result": "done",
            "error": None,
            "degraded": False,
            "agents": {"total": 2, "live": 2, "reused": 0, "failed": 0, "null": 0, "refused": 0},
            "usage": {"input_tokens": 20, "output_tokens": 10, "cost_usd": 1.0},
            "run_usage": {"input_tokens": 20, "output_tokens": 10, "cost_usd": 1.0},
            "seconds": 2.0,
        }
        assert told.exit_code == 0

    def test_of_one_that_was_killed_is_counted_from_its_calls(self) -> None:
        told = history.result(
            reading(version(), calls=[call(1), call(2)], attempts=[attempt(1)], settlements=[settled(1)])
        )
        assert (told.status, told.exit_code, told.usage) == (RunStatus.INTERRUPTED, 5, Usage(10, 5, 0.5))
        assert told.agents == {"total": 2, "live": 1, "reused": 0, "failed": 0, "null": 0, "refused": 0}


class TestShown:
    def test_it_has_what_a_person_asks_about(self) -> None:
        told = overview.shown(
            reading(
                calls=[call(1, kind="ask", content={"question": "which?", "choices": ["a"]})],
                loads=[LoadRow('"child"', "child", "w/child.js", b"return 2", b"")],
            ),
            with_calls=True,
        )
        assert told["waiting"] == [{"call": 1, "question": "which?", "choices": ["a"]}]
        assert told["permissions"] == ["check"]
        assert told["engine"] == {"sandbox": "seccomp"}
        assert told["script"]["path"] == "flows/a.js"
        assert [(w["ref"], w["name"], w["error"]) for w in told["workflows"]] == [("child", "child", None)]
        assert [c["call"] for c in told["calls"]] == [1]
        assert [v["status"] for v in told["versions"]] == ["completed"]
        json.dumps(told)

    def test_null_args_and_no_args_differ(self) -> None:
        assert overview.shown(reading(version(end=ended())), with_calls=False)["has_args"] is False
        given = overview.shown(reading(version(end=ended(), args=b"null")), with_calls=False)
        assert (given["has_args"], given["args"]) == (True, None)


class TestTimeline:
    def rows(self) -> dict[str, Any]:
        return {
            "calls": [call(1), call(2)],
            "attempts": [attempt(1), attempt(2)],
            "settlements": [settled(1)],
            "events": [
                EventRow(1, "phase", T0 + 1, b'{"title": "Find"}'),
                EventRow(2, "log", T0 + 600, b'{"text": "hi"}'),
            ],
        }

    def test_events_come_in_the_order_in_which_things_happened(self) -> None:
        kinds = [(e.kind, getattr(e, "call", None)) for e in timeline(reading(**self.rows()))]
        assert kinds == [
            ("run_started", None),
            ("phase", None),
            ("call_requested", 1),
            ("call_requested", 2),
            ("call_started", 1),
            ("call_started", 2),
            ("log", None),
            ("call_settled", 1),
            ("run_ended", None),
        ]

    def test_a_follower_tells_each_event_once(self) -> None:
        follower, rows = Follower(), self.rows()
        early = reading(version(), is_driven=True, **{**rows, "settlements": [], "events": []})
        first = follower.news(early)
        assert follower.news(early) == []
        second = follower.news(reading(**rows))
        assert [e.kind for e in second] == ["phase", "log", "call_settled", "run_ended"]
        assert len(first) + len(second) == len(timeline(reading(**rows)))

    def test_the_last_event_carries_the_result(self) -> None:
        last = timeline(reading())[-1]
        assert isinstance(last, RunEnded)
        assert last.result == history.result(reading()).to_json()

    def test_a_kind_that_a_newer_program_recorded_is_passed_over(self) -> None:
        told = reading(events=[EventRow(1, "hologram", T0, b"{}")])
        assert [e.kind for e in timeline(told)] == ["run_started", "run_ended"]


class TestDifference:
    def test_calls_are_aligned_by_key_then_by_place(self) -> None:
        left = reading(
            calls=[call(1), call(2), call(3), call(4)],
            settlements=[settled(1), settled(2), settled(3), settled(4)],
        )
        right = reading(
            calls=[
                call(1, number=1),
                call(2, number=2, lane="elsewhere"),
                call(3, number=3, key=b"x" * 32, content={"prompt": "look 3"}),
                call(5, number=4, lane="new"),
            ],
            settlements=[settled(1), settled(2, value="another"), settled(3), settled(5)],
        )
        found = [
            (d.change, d.left and d.left.call, d.right and d.right.call, d.fields)
            for d in difference.differences(left, right)
        ]
        assert found == [
            ("same", 1, 1, ()),
            ("answer", 2, 2, (("value", "answer", "another"),)),
            ("request", 3, 3, (("prompt", "find 3", "look 3"),)),
            ("left", 4, None, ()),
            ("right", None, 4, ()),
        ]

    def test_equal_requests_stay_with_their_lane(self) -> None:
        same = b"k" * 32
        left = reading(calls=[call(1, key=same, lane="a"), call(2, key=same, lane="b")])
        right = reading(calls=[call(1, key=same, lane="b"), call(2, key=same, lane="a")])
        pairs = [(d.left and d.left.call, d.right and d.right.call) for d in difference.differences(left, right)]
        assert pairs == [(1, 2), (2, 1)]

    def test_a_run_does_not_differ_from_itself(self) -> None:
        one = reading(calls=[call(1), call(2)], settlements=[settled(1)])
        told = difference.to_json(one, one, difference.differences(one, one))
        assert told["counts"] == {"same": 2, "answer": 0, "request": 0, "left": 0, "right": 0}
        assert (told["same_script"], told["same_args"], told["same_result"]) == (True, True, True)
