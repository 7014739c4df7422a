"""Random scripts whose results say what they really waited for.

A program is a tree; each node becomes an async function `(x, d) => [x, d]`: `x` is a value, `d` the answers that the
program has waited for on the way. `A(prompt, d)` puts `d` into the call's label, which is in no key. An agent's answer
depends on prompt and label, so a result that was reused in a place where something else was waited for is a wrong one:
the oracle never asks the lanes.

Left out, as DESIGN leaves it out: an async function's own promise that is kept, settles, and is awaited later in
another lane; plain variables that lanes share and that are in no prompt.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Node: TypeAlias = list[Any]

HEAD = """const U = (...a) => [...new Set(a.flat())];
const A = (p, d, o) => agent(p, { label: JSON.stringify(d), ...o });
const got = (r, p) => (r === null ? 'null of ' + p : r);
const memo = {}, get = (k) => memo[k] ??= A('about ' + k + ' v' + V[k], []);
const both = (rs) => [rs.map((r) => r[0]).join(), U(...rs.map((r) => r[1]))];
const never = new Promise(() => {});
const fail = (d) => Object.assign(new Error('lost'), { d });
const line = () => { let tail = Promise.resolve([]); return async () => { const before = tail; let free; tail = new Promise((r) => free = r); return [await before, free]; }; };
"""

LEAVES = ["leaf"] * 6 + ["memo", "memo", "try", "sleep", "thenable"]
PLAIN = ["seq", "par", "pipe", "all", "share", "gate"]
MORE = [
    "limit",
    "settle",
    "dag",
    "timer",
    "flow",
    "loose",
    "loop",
    "race",
    "failfast",
    "generator",
    "adopt",
    "late",
    "clear",
]
OPEN = ["anyrace", "handrace", "now", "random", "lock"]
"""Kinds whose result depends on who is first: only the oracle of each delivery can judge them."""


@dataclass
class Program:
    """A tree, the versions of its memo table, and its child workflows."""

    tree: Node
    memos: tuple[int, ...] = (0, 0, 0)
    names: list[str] = field(default_factory=list)

    def script(self) -> str:
        return self._head() + "return await " + to_js(self.tree) + "('', [])"

    def children(self) -> dict[str, str]:
        """Texts of the workflows that the script calls."""
        out: dict[str, str] = {}
        for node in walk(self.tree):
            if node[0] == "flow":
                body = "return await " + to_js(node[2], "args.item") + "(args.x, args.d)"
                out[f"child{node[1]}"] = self._head() + body
        return out

    @property
    def is_open(self) -> bool:
        """Its result depends on the order of arrival."""
        return any(node[0] in OPEN for node in walk(self.tree))

    @property
    def withdraws(self) -> bool:
        """Some of its calls may be withdrawn, or left behind when it ends."""
        kinds = {"race", "failfast", "anyrace", "handrace", "loose", "late", "clear"}
        return any(node[0] in kinds for node in walk(self.tree))

    def edited(self, rnd: random.Random) -> Program:
        """Another prompt somewhere, or another version of the memo's. Edits never change who waits for whom."""
        if rnd.random() < 0.25:
            return Program(self.tree, tuple(rnd.randrange(3) for _ in self.memos))
        tree = json.loads(json.dumps(self.tree))
        leaves = [node for node in walk(tree) if node[0] == "leaf"]
        if leaves:
            rnd.choice(leaves)[1] = rnd.randrange(10**6)
        return Program(tree, self.memos)

    def _head(self) -> str:
        return f"const V = {list(self.memos)};\n" + HEAD


def walk(node: Node) -> list[Node]:
    out = [node]
    for part in node[1:]:
        if isinstance(part, list):
            out += walk(part)
    return out


def random_program(rnd: random.Random, *, is_open: bool = False, size: int = 2) -> Program:
    kinds = PLAIN * 2 + MORE + (["anyrace", "handrace", "lock", "lock"] if is_open else [])
    leaves = LEAVES + (["now", "random"] if is_open else [])
    shape = rnd.randrange(3)
    if shape == 0:
        tree = ["seq", _node(rnd, size, (), kinds, leaves), _node(rnd, size, (), kinds, leaves)]
    elif shape == 1:
        tree = ["par"] + [["seq"] + [_node(rnd, size - 1, (), kinds, leaves) for _ in range(3)] for _ in range(3)]
    else:
        tree = _node(rnd, size + 1, (), kinds, leaves)
    return Program(tree)


def _node(rnd: random.Random, depth: int, shared: tuple[int, ...], kinds: list[str], leaves: list[str]) -> Node:
    def inner(depth: int = depth - 1, extra: tuple[int, ...] = ()) -> Node:
        return _node(rnd, max(depth, 0), shared + extra, kinds, leaves)

    kind = rnd.choice(kinds) if depth > 0 else rnd.choice(leaves + (["use"] * 3 if shared else []))
    name = rnd.randrange(10**9)
    match kind:
        case "leaf":
            return ["leaf", rnd.randrange(40) if rnd.random() < 0.1 else rnd.randrange(10**6)]
        case "memo":
            return ["memo", rnd.randrange(3)]
        case "use":
            return ["use", rnd.choice(shared)]
        case "share":
            return ["share", name, inner(0), inner(extra=(name,))]
        case "gate" | "adopt":
            return [kind, *(inner() for _ in range(3))]
        case "pipe" | "limit":
            return [kind, rnd.randint(2, 3), *(inner() for _ in range(rnd.randint(1, 3)))]
        case "flow":
            # Its text is a script of its own: it sees nothing that this one shares.
            return ["flow", name, _node(rnd, depth - 1, (), kinds, leaves)]
        case "dag":
            return ["dag", rnd.randrange(4), *(inner() for _ in range(4))]
        case "race" | "failfast" | "anyrace" | "late":
            # A memo that a loser has made is withdrawn with it, for all who share it.
            leaves = [leaf for leaf in leaves if leaf != "memo"]
            return [kind, rnd.randrange(2), *(inner() for _ in range(rnd.randint(2, 3)))]
        case "handrace":
            return ["handrace", 0, inner(), inner()]
        case "lock":
            return ["lock", name, inner(extra=()), inner(0), inner(0)]
        case _ if kind in [*LEAVES, "now", "random"]:
            return [kind, rnd.randrange(10**6)]
        case _:
            return [kind, *(inner() for _ in range(rnd.randint(1, 3)))]


def to_js(p: Node, item: str = "''") -> str:
    """The text of an async function (x, d) => [x, d]."""

    def one(body: str) -> str:
        return "(async (x, d) => {" + body + "})"

    parts = [q for q in p[1:] if isinstance(q, list)]
    calls = [f"{to_js(q, item)}(x, d)" for q in parts]

    def own(i: int) -> str:
        """The i-th part, called with a slot's own variables."""
        return f"{to_js(parts[i], item)}(y, f)"

    n = p[1] if len(p) > 1 and isinstance(p[1], int) else 0
    thunks = ",".join("() => " + call for call in calls)
    last = calls[-1] if calls else ""
    match p[0]:
        case "leaf":
            prompt = f"'L{n}' + {item}" + ("" if n % 8 else " + x")
            return one(f"const p = {prompt}; const r = got(await A(p, d), p); return [r, U(d, [r])]")
        case "try":
            return one(
                f"const p = 'F{n}' + {item}; let r; try {{ r = got(await A(p, d), p) }} "
                "catch (e) { r = 'caught ' + e.code + p } return [r, U(d, [r])]"
            )
        case "random":
            return one(
                f"const p = 'R{n}' + {item} + Math.random(); const r = got(await A(p, d), p); return [r, U(d, [r])]"
            )
        case "now":
            return one(
                f"const p = 'N{n}' + {item} + Date.now(); const r = got(await A(p, d), p); return [r, U(d, [r])]"
            )
        case "sleep":
            return one(f"await sleep({n % 50}); return [x, d]")
        case "thenable":
            return one(
                f"const p = 'H{n}' + {item}; "
                "const r = got(await { then(ok, no) { A(p, d).then(ok, no) } }, p); return [r, U(d, [r])]"
            )
        case "memo":
            return one(f"const r = got(await get('{n}'), 'memo {n}'); return [x, U(d, [r])]")
        case "use":
            return one(f"const [, e] = await s{n}; return [x, U(d, e)]")
        case "share":
            return one(
                f"const s{n} = {calls[0]}; const r = await {calls[1]}; const q = await s{n}; "
                "return [r[0] + q[0], U(r[1], q[1])]"
            )
        case "seq":
            return one("".join(f"[x, d] = await {c};" for c in calls) + "return [x, d]")
        case "loop":
            return one(
                "for (let i = 0; i < 2; i++) {" + "".join(f"[x, d] = await {c};" for c in calls) + "} return [x, d]"
            )
        case "loose":  # nobody waits for it
            return one(
                f"const loose = {calls[0]}; A('loose', d); "
                + "".join(f"[x, d] = await {c};" for c in calls[1:])
                + "return [x, d]"
            )
        case "generator":
            steps = "".join(f"[x, d] = await {c}; yield [x, d];" for c in calls)
            return one(
                f"const g = async function* () {{ {steps} }}; for await (const r of g()) [x, d] = r; return [x, d]"
            )
        case "gate":  # one slot waits for what another hands over
            return one(
                f"let open; const g = new Promise((r) => open = r); const rs = await parallel([async () => {{ const r = await {calls[0]}; open(r); return r }}, "
                f"async () => {{ let [y, f] = await {calls[1]}; const [, e] = await g; f = U(f, e); return {own(2)} }}]); return both(rs)"
            )
        case "adopt":  # the gate is opened with a promise that has not settled
            return one(
                f"let open; const g = new Promise((r) => open = r); const rs = await parallel([async () => {{ const [y, f] = await {calls[0]}; const h = A('handed' + y, f); open(h); const r = got(await h, 'handed'); return [r, U(f, [r])] }}, "
                f"async () => {{ let [y, f] = await {calls[1]}; const r = got(await g, 'handed'); f = U(f, [r]); return {own(2)} }}]); return both(rs)"
            )
        case "lock":  # one at a time; who waited for the lock has waited for its holder
            slots = ",".join(
                f"async () => {{ let [y, f] = await {c}; const [e, free] = await take{n}(); f = U(f, e); [y, f] = await {own(0)}; free(f); return [y, f] }}"
                for c in calls[1:]
            )
            return one(f"const take{n} = line(); const rs = await parallel([{slots}]); return both(rs)")
        case "all":
            return one(f"const rs = await Promise.all([{','.join(calls)}]); return both(rs)")
        case "par":
            return one(f"const rs = await parallel([{thunks}]); return both(rs)")
        case "settle":
            thrown = "async () => { const r = await " + calls[0] + "; throw fail(r[1]) }"
            return one(
                f"const rs = await parallel([{thunks}, {thrown}], {{ settle: true }}); "
                "return both(rs.map((r) => (r.ok ? r.value : ['lost', r.error.d ?? []])))"
            )
        case "race":  # all but one lose, however late
            return one(f"return await race([{_losers(calls, 'throw fail(r[1])', '')}])")
        case "failfast":
            return one(
                f"try {{ await parallel([{_losers(calls, 'throw fail(r[1])', 'await never;', is_winner_throwing=True)}], {{ failFast: true }}) }} "
                "catch (e) { if (!e.d) throw e; return ['failed', e.d] }"
            )
        case "anyrace":
            return one(f"return await race([{thunks}])")
        case "handrace":
            return one(f"return await Promise.race([{','.join(calls)}])")
        case "limit":
            many = ",".join([f"(i) => {to_js(p[2], item + ' + i')}(x, d)"])
            rest = "".join(f", (v, i) => {to_js(q, item + ' + i')}(v[0], v[1])" for q in p[3:])
            return one(
                f"const rs = await pipeline([...Array({n + 1}).keys()], {many}{rest}, {{ concurrency: {n - 1} }}); return both(rs)"
            )
        case "pipe":
            stages = ",".join(f"(v, _, i) => {to_js(q, item + ' + i')}(v[0], v[1])" for q in p[2:])
            return one(f"const rs = await pipeline([...Array({n})].map(() => [x, d]), {stages}); return both(rs)")
        case "dag":
            bodies = ",".join(f"{'abcd'[i]}: (x, d) => {c}" for i, c in enumerate(calls))
            failing = "abcd"[n]
            return one(
                f"const run = {{ {bodies} }}; const rs = await dag([{{id: 'd', dependsOn: ['b', 'c']}}, {{id: 'a'}}, {{id: 'b', dependsOn: ['a']}}, {{id: 'c', dependsOn: ['a']}}], "
                "async (node, before) => { const r = await run[node.id](x, U(d, ...Object.values(before).map((b) => b[1]))); "
                + (f"if (node.id === '{failing}') throw fail(r[1]); " if n % 2 else "")
                + "return r }); return both(Object.values(rs).map((r) => r ?? ['none', []]))"
            )
        case "timer":
            return one(f"return await new Promise((ok, no) => setTimeout(() => {last}.then(ok, no), 5))")
        case "clear":
            return one(
                f"const t = setTimeout(() => {{ A('late', d) }}, 5); [x, d] = await {last}; clearTimeout(t); return [x, d]"
            )
        case "late":  # a loser that goes on after it was withdrawn
            return one(
                f"const g = race([async () => {{ try {{ await A('w', d); await never }} catch {{ await null; A('after', d) }} return never }}, () => {last}]); return await g"
            )
        case "flow":
            return one(f"return await workflow('child{n}', {{ x, d, item: {item} }})")
    raise AssertionError(p[0])


def _losers(calls: list[str], losing: str, hanging: str, *, is_winner_throwing: bool = False) -> str:
    """Thunks: the first wins (or throws); the others run their call and then lose, or hang."""
    first = calls[0]
    if is_winner_throwing:
        winner = f"async () => {{ const r = await {first}; {losing} }}"
        return ",".join([winner, *(f"async () => {{ await {c}; {hanging} }}" for c in calls[1:])])
    return ",".join([f"() => {first}", *(f"async () => {{ const r = await {c}; {losing} }}" for c in calls[1:])])
