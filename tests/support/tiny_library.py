"""A library of a few lines with the four entry points, so that tests of the sandbox stand on nothing else.

`call(kind)` makes a request `[id, kind]` and waits; the host settles it with `[id, value]`. The end of the script is
`["end", true, value]` or `["end", false, "Name: message", stack]`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from sandbox import Limits, Sandbox

TEXT = """\
globalThis.__pawl = (() => {
  "use strict";
  const { parse, stringify } = JSON, waiting = new Map(), { get, set, delete: forget } = Map.prototype;
  const { apply } = Reflect, then = Promise.prototype.then, quote = (v) => stringify(v) ?? "null";
  let first = null, last = null, made = 0;
  const put = (text) => {
    const link = { __proto__: null, text, next: null };
    if (last === null) first = link;
    else last.next = link;
    last = link;
  };
  globalThis.call = (kind) => new Promise((resolve) => {
    const id = ++made;
    apply(set, waiting, [id, resolve]);
    put("[" + id + "," + quote(kind) + "]");
  });
  return {
    start(main, text) {
      const end = (e) => put('["end",false,' + quote(e instanceof Error ? e.name + ": " + e.message : typeof e) + "]");
      apply(then, apply(apply(main, undefined, [parse(text)]), undefined, []), [
        (v) => { try { put('["end",true,' + quote(v) + "]") } catch (e) { end(e) } },
        (e) => {
          const name = e instanceof Error ? e.name + ": " + e.message : typeof e;
          put('["end",false,' + quote(name) + "," + quote(e instanceof Error ? e.stack : "") + "]");
        },
      ]);
    },
    settle(text, fn) {
      const item = parse(text), resolve = apply(get, waiting, [item[0]]);
      apply(forget, waiting, [item[0]]);
      resolve(fn === undefined ? item[1] : fn()());
    },
    drain() {
      let text = "[";
      for (let n = 0; n < 256 && first !== null; n++, first = first.next) text += (n ? "," : "") + first.text;
      if (first === null) last = null;
      return text + "]";
    },
    made: () => made,
  };
})();
"""

LIBRARY = (("tiny.js", TEXT),)
LIMITS = Limits(memory_bytes=64 << 20, cpu_turn_s=0.5, frame_bytes=8 << 20)


@asynccontextmanager
async def sandbox_of(source: str, limits: Limits = LIMITS, **how: Any) -> AsyncIterator[Sandbox]:
    """A sandbox with `source` compiled as code 1."""
    sandbox = Sandbox.spawn(limits, LIBRARY, **how)
    try:
        await sandbox.compile(1, source)
        yield sandbox
    finally:
        await sandbox.close()


async def ops_of_turn(sandbox: Sandbox) -> list[Any]:
    """The operations of one whole turn."""
    ops: list[Any] = []
    while True:
        chunk = await sandbox.next_chunk()
        ops += json.loads(chunk.ops)
        if chunk.idle:
            return ops


async def end_of(source: str, limits: Limits = LIMITS, **how: Any) -> list[Any]:
    """Runs `source` and answers each call at once with null, until its end: `["end", …]`."""
    async with sandbox_of(source, limits, **how) as sandbox:
        await sandbox.start(1, b"{}")
        for _ in range(10_000):
            ops = await ops_of_turn(sandbox)
            if ops and ops[-1][0] == "end":
                return list(ops[-1])
            assert ops, "the script waits for nothing"
            await sandbox.deliver([(b"[%d,null]" % op[0], 0) for op in ops], stop_on_request=False)
        raise AssertionError("the script made calls without end")


async def until(is_so: Callable[[], bool], *, within_s: float = 10.0) -> None:
    """Waits for something outside this process, such as an entry of /proc, with a deadline."""
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, "not within the deadline"
        await asyncio.sleep(0.01)
