"""The pages of `pawl show` and `pawl diff` for people. Pure: readings in, lines out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from engine import history
from engine.cli import wording
from engine.cli.streams import one_line, printable, table
from engine.conversations import Hit
from engine.difference import Difference
from engine.history import CallView, Reading
from engine.values import Json, RunStatus, TurnRow

CHANGES = {
    "answer": "another answer",
    "request": "another request",
    "left": "only left",
    "right": "only right",
    "same": "same",
}


def run_lines(reading: Reading, told: Mapping[str, Json]) -> Iterator[str]:
    """A run, from what matters most to what matters least; `told` is what `--json` prints."""
    info, version, result = reading.info, reading.version, history.result(reading)
    yield f"{info.run_id}@{version.version} · {one_line(info.name)} · {reading.status}" + (
        " · degraded" if result.degraded else ""
    )
    yield from _facts(reading, told)
    for reason in told["reasons"]:
        yield f"degraded     {printable(reason['text'])}"
    if result.error is not None:
        yield f"error        {result.error.get('code')}: {printable(str(result.error.get('message')))}"
        if (excerpt := (result.error.get("fields") or {}).get("excerpt")) is not None:
            yield printable(str(excerpt))
    for question in told["waiting"]:
        yield f"waits for    {printable(str(question['question']))}"
        yield f"             pawl answer {info.run_id} {question['call']} VALUE"
    for tree in told["worktrees"]:
        yield f"worktree     {_worktree(tree)}"
    if len(reading.versions) > 1:
        yield ""
        yield table(
            [
                (f"@{v['version']}", v["status"], wording.when(v["started_at"]), v["script_sha256"][:12])
                for v in told["versions"]
            ],
            head=("VERSION", "STATUS", "STARTED", "SCRIPT"),
        )
    if "calls" in told:
        yield ""
        yield calls_table(history.calls(reading))
    elif told["nulls"]:
        yield ""
        yield table(
            [
                (str(n["call"]), n["outcome"], one_line(n["title"], 40), one_line(n["reason"] or "", 80))
                for n in told["nulls"]
            ],
            head=("CALL", "OUTCOME", "WHAT", "WHY"),
            right=(0,),
        )
    if result.status is RunStatus.COMPLETED:
        yield ""
        yield printable(result.result if isinstance(result.result, str) else _json(result.result))
    elif not reading.is_live:
        yield ""
        yield f"Go on with: pawl resume {info.run_id}"


def _facts(reading: Reading, told: Mapping[str, Json]) -> Iterator[str]:
    info, version, result = reading.info, reading.version, history.result(reading)
    ended = version.end.ended_at if version.end else None
    yield f"started      {wording.when(version.started_at)}" + (f", ended {wording.when(ended)}" if ended else "")
    yield f"agents       {wording.agents(result.agents)}"
    yield f"paid         {wording.used(result.usage) or 'nothing'}" + (
        f"; in all versions {wording.used(info.paid) or 'nothing'}" if info.versions > 1 else ""
    )
    yield f"caps         {wording.caps(told['caps'])}"
    if backend := told["settings"].get("backend"):
        yield f"backend      {backend}" + (f", model {m}" if (m := told["settings"].get("model")) else "")
    yield f"allowed      {', '.join(version.permissions) or 'no host effects'}"
    if sandbox := version.engine.get("sandbox"):
        yield f"sandbox      {sandbox}"
    yield f"script       {told['script']['path'] or 'standard input'} ({told['script']['sha256'][:12]})"
    for workflow in told["workflows"]:
        yield f"workflow     {workflow['name'] or workflow['ref']} ({(workflow['sha256'] or 'not loaded')[:12]})"
    yield f"driven by    {info.owner or 'nobody'}"
    yield f"journal      {told['journal']}"


def calls_table(views: Sequence[CallView]) -> str:
    """Every call on one line."""
    if not views:
        return "No calls."
    rows = [
        (
            str(view.call),
            view.kind,
            view.outcome + (" (reused)" if view.reused else ""),
            one_line(view.title, 40),
            one_line(view.phase or "", 20),
            str(view.attempts),
            "" if view.duration_ms is None else wording.duration(view.duration_ms / 1000),
            wording.short(view.usage.output_tokens) if view.usage.output_tokens else "",
            one_line(view.reason or "", 60),
        )
        for view in views
    ]
    return table(
        rows,
        head=("CALL", "KIND", "OUTCOME", "WHAT", "PHASE", "ATTEMPTS", "TOOK", "TOKENS", "WHY"),
        right=(0, 5, 6, 7),
    )


def call_lines(view: CallView) -> Iterator[str]:
    """Everything about one call."""
    told = view.details()
    yield f"call {view.call} · {view.kind} · {view.outcome}" + (" · reused" if view.reused else "")
    for name in ("label", "phase", "lane", "reason", "attempts", "backend", "model"):
        if told[name] not in (None, ""):
            yield f"{name:<12} {printable(str(told[name]))}"
    if (asked := view.meta.get("asked_model")) is not None:
        yield f"{'asked for':<12} {printable(str(asked))}"
    for name in ("retries", "fell_back", "notices"):
        for why in view.meta.get(name) or ():
            yield f"{name.replace('_', ' '):<12} {printable(str(why))}"
    for one in view.meta.get("verdicts") or ():
        yield f"{'verdict':<12} {one_line(': '.join(filter(None, (one['met'], one['reason']))), 200)}"
    if view.worktree is not None:
        yield f"{'worktree':<12} {_worktree(view.worktree)}"
    for name in ("requested_at", "started_at", "settled_at"):
        if told[name] is not None:
            yield f"{name[:-3]:<12} {wording.when(told[name])}"
    if paid := wording.used(view.usage):
        yield f"{'paid':<12} {paid}"
    for name in ("key", "history", "identity"):
        yield f"{name:<12} {told[name]}"
    yield f"{'occurrence':<12} {told['occurrence']}"
    for name, value in view.content.items():
        yield f"\n{name}:\n{_indented(value)}"
    if told["error"] is not None:
        yield f"\nerror:\n{_indented(told['error'])}"
    elif view.settlement is not None:
        yield f"\nvalue:\n{_indented(told['value'])}"


def transcript_lines(view: CallView, turns: Sequence[TurnRow]) -> Iterator[str]:
    """What a subagent was asked, said and did, over all its attempts."""
    yield f"call {view.call} · {view.kind} · {view.outcome} · {one_line(view.title, 60)}"
    if not turns:
        yield "No conversation is on record: it was not started, or its backend keeps none."
    attempt = 0
    for turn in turns:
        body = json.loads(turn.body)
        if turn.attempt != attempt:
            attempt = turn.attempt
            yield f"\n── attempt {attempt} " + "─" * 40
        yield f"\n{_speaker(turn.role, body)} · {wording.when(turn.at)}"
        if turn.role == "session":
            yield f"  {printable(str(body.get('session')))}"
        if body.get("text"):
            yield _indented(str(body["text"]).rstrip("\n"))
        for call in body.get("calls") or ():
            yield f"  → {printable(str(call.get('name')))} {printable(_json(call.get('args')))}"


def _speaker(role: str, body: Mapping[str, Json]) -> str:
    if role == "tool":
        return f"{printable(str(body.get('name')))}{'' if body.get('ok', True) else ' (failed)'}"
    if role == "assistant" and body.get("model"):
        return f"{role} ({printable(str(body['model']))})"
    return printable(role)


def hit_lines(hits: Sequence[Hit]) -> Iterator[str]:
    """One line a hit, what was found between marks."""
    for hit in hits:
        found = hit.found
        where = f"{found.run_id}@{found.version}" + (f" call {hit.call}" if hit.call is not None else "")
        yield f"{where}  {printable(found.role)}: {one_line(found.snippet, 160)}"
    first = hits[0]
    if first.call is not None:
        name = f"{first.found.run_id}@{first.found.version}"
        yield f"-- the whole conversation: pawl show {name} --call {first.call} --transcript"


def _worktree(tree: Mapping[str, Json]) -> str:
    """A worktree on one line: how it stands, where, what changed."""
    if tree.get("state") == "removed":
        return "removed: nothing was changed in it"
    parts = [str(tree.get(name)) for name in ("state", "branch", "path") if tree.get(name)]
    changed = [line.strip() for line in str(tree.get("summary") or "").splitlines() if line.strip()]
    if tree.get("conflicts"):
        parts.append(f"conflicts in {', '.join(map(str, tree['conflicts']))}")
    elif changed:
        parts.append(changed[-1])  # of a diffstat, the sum
    return one_line(" · ".join(parts), 200)


def difference_lines(left: Reading, right: Reading, found: Sequence[Difference], *, is_all: bool) -> Iterator[str]:
    """One line a difference with what differs below it, then the sum."""
    names = [f"{r.info.run_id}@{r.version.version}" for r in (left, right)]
    yield f"left {names[0]}, right {names[1]}"
    for one in found:
        if one.change == "same" and not is_all:
            continue
        view = one.left or one.right
        assert view is not None
        numbers = f"[{one.left.call if one.left else '-'}|{one.right.call if one.right else '-'}]"
        yield f"{numbers} {one_line(view.title, 60)}: {CHANGES[one.change]}"
        for name, before, after in one.fields:
            yield f"    {name}: {one_line(_json(before), 100)} → {one_line(_json(after), 100)}"
    sums = {change: sum(one.change == change for one in found) for change in CHANGES}
    yield ", ".join(f"{number} {CHANGES[change]}" for change, number in sums.items() if number) or "no calls"
    if history.result(left).result != history.result(right).result:
        yield "the results differ"


def _indented(value: Json) -> str:
    text = value if isinstance(value, str) else _json(value, indent=2)
    return "\n".join("  " + printable(line) for line in text.split("\n"))


def _json(value: Json, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)
