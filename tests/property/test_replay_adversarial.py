"""Hand-made scripts that are hard on the lanes: promises that cross them, slots that are withdrawn, joins left open.

Each is killed, edited (the numbers V are parts of its prompts), taken back and resumed. `label` carries what was really
waited for, as in tests/support/programs.py. Where the result depends on who is first, only deliveries are judged.
"""

from __future__ import annotations

import random

import pytest
from support.harness import Chances, World
from support.programs import HEAD
from support.stories import check, random_kill

KID = (
    "const V = [0, 0, 0];\n"
    + HEAD
    + """const r = await A('kid ' + args.n, []);
const q = await parallel([() => A('k1 ' + r, [r]), () => A('k2', [r])]); return await A('k3', [r, ...q])"""
)
UNORDERED = {"hand_timeouts", "locks_by_then", "shared_generator"}
"""Who comes first decides their result."""

SCRIPTS = {
    "nested_join_left_open": """
const rs = await parallel([
  async () => { const open = parallel([() => A('inner1'+V[0], []), async () => { const r = await A('inner2',
  []); A('inner3', [r]); return r }]); const r = await A('own'+V[1], []); return [r, open] },
  async () => { const r = await A('other'+V[2], []); const q = await A('other2', [r]); return [q, null] }]);
const [a, b] = rs; const x = await A('after', [a[0], b[0]].concat(await b[1] ?? [])); const inner = await a[1];
  return [x, await A('end', U([x], inner))]
""",
    "late_continuation_of_a_cancelled_slot": """
let open; const g = new Promise((r) => open = r);
const w = await race([async () => { try { await A('slow'+V[0], []); await never } catch (e) { await null; try {
  await A('zombie', []) } catch {} } const e = await g; await A('zombie2', [e]); return 'z' },
  async () => { const r = await A('fast'+V[1], []); return r }]);
const h = await A('opener'+V[2], [w]); open(h); const k = await A('end', [w, h]); return k
""",
    "race_loser_awaits_a_shared_promise": """
const s = A('shared'+V[0], []);
const w = await race([async () => { const r = await A('w'+V[1], []); return r }, async () => {
  const e = await s; await A('never', [e]); throw fail([]) }]);
const e = await s; return await A('end'+V[2], [w, e])
""",
    "adopted": """
const inner = Promise.withResolvers(), outer = Promise.withResolvers();
const rs = await parallel([
 async () => { const r = await A('a'+V[0], []); outer.resolve(inner.promise); const q = await A('a2', [r]);
  return [q, [r, q]] },
 async () => { const r = await A('b'+V[1], []); const q = await A('b2', [r]); inner.resolve([r, q]); return [q,
  [r, q]] },
 async () => { const r = await A('c'+V[2], []); const d = await outer.promise; return [await A('c2', U([r],
  d)), []] },
 async () => { let d = []; for (let i = 0; i < 4; i++) d = [await A('d' + i, d), ...d]; d = U(d,
  await outer.promise); return [await A('dd', d), d] }]);
return rs.map((r) => r[0])
""",
    "subclass": """
class Gate extends Promise { static get [Symbol.species]() { return Promise } }
let open; const g = new Gate((r) => open = r);
const rs = await parallel([
 async () => { const r = await A('a'+V[0], []); open([r]); return [r, [r]] },
 async () => { let d = []; for (let i = 0; i < 3; i++) d = [await A('b' + i + V[1], d), ...d]; d = U(d,
  await g); return [await A('bb', d), d] },
 async () => { const d = await g; return [await A('cc'+V[2], d), d] }]);
return rs.map((r) => r[0])
""",
    "then_chains": """
const s = A('s'+V[0], []).then((r) => A('t' + r, [r]).then((q) => [r, q]));
const rs = await parallel([async () => { const r = await A('a'+V[1], []); const d = U([r], await s);
  return A('a2', d) }, async () => { const d = await s; return A('b2', d) }, () => A('c'+V[2], [])]);
return await A('end', U(rs, await s))
""",
    "locks_by_then": """
const take = line();
const rs = await pipeline([1, 2, 3, 4], async (i) => { const r = await A('p' + i + V[i % 3], []); return [r] },
  async (d, i) => { const [e, free] = await take(); const f = U(d, e); const q = await A('crit' + i, f);
  free(U(f, [q])); return U(f, [q]) }, async (d, i) => U(d, [await A('after' + i, d)]));
return await A('end', U(...rs))
""",
    "queue_of_promises": """
const slots = Array.from({ length: 3 }, () => Promise.withResolvers());
const rs = await parallel([
 async () => { let d = []; for (let i = 0; i < 3; i++) { d = [await A('make' + i + V[i], d), ...d];
  slots[i].resolve(d) } return d },
 async () => { let d = []; for (let i = 0; i < 3; i++) { const e = await slots[i].promise; d = U(d, e);
  d = [await A('take' + i, d), ...d] } return d },
 async () => { let d = []; for (let i = 2; i >= 0; i--) { const e = await slots[i].promise; d = U(d, e);
  d = [await A('back' + i, d), ...d] } return d }]);
return await A('end', U(...rs))
""",
    "shared_generator": """
async function* gen() { let d = []; for (let i = 0; ; i++) { d = [await A('g' + i + V[i % 3], d), ...d];
  yield d } }
const it = gen();
const rs = await parallel([1, 2, 3].map((i) => async () => { const { value } = await it.next(); return U(value,
  [await A('user' + value.length, value)]) }));
return await A('end', U(...rs))
""",
    "for_await_of_promises": """
const made = [A('x'+V[0], []), A('y'+V[1], []), A('z'+V[2], [])];
const rs = await parallel([async () => { let d = []; for await (const r of made) d = U(d, [r]); return U(d,
  [await A('all', d)]) }, async () => { const r = await made[2]; return [await A('one', [r])] }]);
return await A('end', U(...rs))
""",
    "hand_timeouts": """
const withTimeout = (p) => Promise.race([p.then((r) => [r]), sleep(5).then(() => ['late'])]);
const rs = await parallel([1, 2, 3].map((i) => async () => { const d = await withTimeout(A('t' + i + V[i % 3],
  [])); return [d[0], await A('next' + i + d[0], d[0] === 'late' ? [] : d)] }));
return rs
""",
    "workflow_in_race": """
const r = await race([() => workflow('kid', { n: V[0] }), async () => { await workflow('kid', { n: 7 });
  throw fail([]) }]);
const q = await parallel([() => workflow('kid', { n: 8 }), () => A('b'+V[1], []), async () => {
  await A('c' + V[2], []); await workflow('kid', { n: 9 }); return null }]);
return [r, q[0], q[1]]
""",
    "fail_fast_leaves_a_gate_shut": """
let open; const g = new Promise((r) => open = r); let caught;
const first = parallel([async () => { await A('x'+V[0], []); throw fail(['x']) }, async () => {
  const r = await A('y'+V[1], []); open([r]); return r }, async () => { const e = await g; return A('z', e) }],
  { failFast: true });
try { await first } catch (e) { caught = e.d }
return await A('end'+V[2], [])
""",
    "dag_with_shared_and_failing_nodes": """
const s = A('shared'+V[0], []);
const out = await dag([{ id: 'd', dependsOn: ['b', 'c'] }, { id: 'c', dependsOn: ['a'] }, { id: 'b' }, {
  id: 'a' }, { id: 'e', dependsOn: ['f'] }, { id: 'f' }],
 async (n, before) => { let d = U([], ...Object.values(before)); if (n.id === 'b' || n.id === 'd') d = U(d,
  [await s]); const r = await A('node ' + n.id + V[1], d); if (n.id === 'f') throw new Error('no'); return U(d,
  [r]) });
return await A('end'+V[2], U(out.d, out.a))
""",
    "timers_that_call": """
const later = (ms, f) => new Promise((ok, no) => setTimeout(() => f().then(ok, no), ms));
const rs = await parallel([() => later(3, () => A('t1'+V[0], [])), async () => { const r = await later(1,
  () => A('t2'+V[1], [])); const q = await later(9, () => A('t3', [r])); return q }, () => A('plain'+V[2],
  [])]);
return await A('end', rs)
""",
    "same_prompts_everywhere": """
const rs = await parallel([1, 2, 3].map(() => async () => { const r = await A('same', []);
  const q = await A('same', [r]); return U([r], [q]) }));
const more = await Promise.all([A('same', U(...rs)), A('same', U(...rs)), A('v'+V[0], U(...rs))]);
return await A('same'+V[1]+V[2], U(more, ...rs))
""",
    "starts_with_await_null": """
const rs = await parallel([1, 2, 3].map((i) => async () => { await null; const r = await A('n' + i + V[i % 3],
  []); await null; return U([r], [await A('m' + i, [r])]) }));
return await A('end', U(...rs))
""",
    "settled_gates_used_twice": """
let open; const g = new Promise((r) => open = r);
const a = parallel([async () => { const r = await A('x'+V[0], []); open([r]); const q = await A('x2', [r]);
  return U([r], [q]) }, async () => { const r = await A('y'+V[1], []); return [r] }]);
const b = parallel([async () => { let d = []; for (let i = 0; i < 3; i++) d = U(d, [await A('l' + i + V[2],
  d)]); d = U(d, await g); return U(d, [await A('m', d)]) }]);
const [p, q] = await Promise.all([a, b]); return await A('end', U(...p, ...q))
""",
    "parallel_of_promises": """
const made = [A('x'+V[0], []), A('y'+V[1], [])];
const rs = await parallel([made[0], made[1], async () => { const r = await made[1]; return A('z', [r]) }]);
return await A('end'+V[2], rs)
""",
    "async_fn_promise_kept_in_outer_lane": """
const f = async () => { const r = await A('f1'+V[0], []); return U([r], [await A('f2', [r])]) }; const s = f();
const rs = await parallel([async () => { let d = []; for (let i = 0; i < 4; i++) d = U(d,
  [await A('l' + i + V[1], d)]); d = U(d, await s); return U(d, [await A('m', d)]) }, async () => {
  const d = await s; return U(d, [await A('k'+V[2], d)]) }]);
return await A('end', U(...rs))
""",
    "resolved_late_by_cancelled": """
let open; const g = new Promise((r) => open = r);
const side = (async () => { const d = await g; return U(d, [await A('side', d)]) })();
const w = await race([async () => { try { for (let i = 0; ; i++) await A('slow'+V[0]+i, []) } catch {
  open(['caught']) } await never }, async () => { const r = await A('w'+V[1], []); return r }]);
const d = await side.catch(() => ['none']); return await A('end'+V[2], U([w], d))
""",
    "concurrency_with_a_gate": """
let open; const g = new Promise((r) => open = r);
const rs = await parallel([async () => { const r = await A('a'+V[0], []); open([r]); return [r] },
  async () => { const e = await g; return U(e, [await A('b', e)]) }, async () => [await A('c'+V[1], [])],
  async () => { const e = await g; return U(e, [await A('d'+V[2], e)]) }], { concurrency: 2 });
return await A('end', U(...rs))
""",
}


@pytest.mark.parametrize("name", SCRIPTS)
async def test_I2_I4_survives(name: str) -> None:
    for seed in range(5):
        await _life(name, seed)


@pytest.mark.soak
@pytest.mark.parametrize("name", SCRIPTS)
async def test_I2_I4_survives_soak(name: str) -> None:
    for seed in range(100, 300):
        await _life(name, seed)


async def _life(name: str, seed: int) -> None:
    rnd = random.Random(seed)
    world = World(seed=seed, children={"kid": KID})
    edits = [(0, 0, 0)]
    chances = Chances(null=0.04) if seed % 3 == 0 else Chances()
    completed = 0
    for step in range(8):
        where = f"{name}, seed {seed}, step {step}"
        if step and rnd.random() < 0.6:
            edits.append(_edit(rnd) if rnd.random() < 0.6 else rnd.choice(edits))
        text = f"const V = {list(edits[-1])};\n{HEAD}{SCRIPTS[name]}"
        done = await world.run(text, kill=None if step == 7 else random_kill(rnd), chances=chances)
        if done.status == "killed":
            continue
        assert done.is_completed, (where, done.thrown)
        completed += 1
        await check(world, where=where)
        if name not in UNORDERED and chances == Chances():
            fresh = await World(children={"kid": KID}).run(text)
            assert done.result == fresh.result, where
    assert completed > 0
    for version in range(1, world.versions + 1):
        if await world.delivered(version):
            await world.replay(version)  # also of those that were killed, as far as they came


def _edit(rnd: random.Random) -> tuple[int, int, int]:
    return rnd.randrange(2), rnd.randrange(2), rnd.randrange(2)
