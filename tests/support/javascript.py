"""Evaluates JavaScript expressions for tests: with the library's built-ins in QuickJS, and in node to compare with.

Each engine lives in a child process that answers one line for each line: QuickJS must not be loaded into a process that
has something to lose, and Hypothesis asks too often for a process each time.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import TracebackType

import pytest

LIBRARY = Path(__file__).parents[2] / "stdlib_js"

# A value as text that shows what JSON hides: undefined, holes, -0, kinds of objects, prototypes.
RENDER = r"""
globalThis.__render = (() => {
  const tag = (v) => Object.prototype.toString.call(v).slice(8, -1);
  const render = (v, above) => {
    if (typeof v === "string") return JSON.stringify(v);
    if (typeof v === "bigint") return v + "n";
    if (Object.is(v, -0)) return "-0";
    if (typeof v === "function") return "function " + v.name + "/" + v.length;
    if (typeof v === "symbol" || typeof v !== "object" || v === null) return String(v);
    const at = above.indexOf(v);
    if (at >= 0) return "^" + at;
    const inner = [...above, v];
    const r = (x) => render(x, inner);
    const kind = tag(v);
    if (Array.isArray(v)) {
      const parts = [];
      for (let i = 0; i < v.length; i++) parts.push(i in v ? r(v[i]) : "hole");
      return "[" + parts.join(",") + "]";
    }
    if (kind === "Map") return "Map{" + [...v].map(([k, x]) => r(k) + "=>" + r(x)).join(",") + "}";
    if (kind === "Set") return "Set{" + [...v].map(r).join(",") + "}";
    if (kind === "Date") return "Date(" + +v + ")";
    if (kind === "RegExp") return "RegExp(" + v + "," + v.lastIndex + ")";
    if (kind === "Error") return v.name + "(" + r(v.message) + ("cause" in v ? ",cause=" + r(v.cause) : "") + ")";
    if (ArrayBuffer.isView(v) && kind !== "DataView") return kind + "(" + Array.from(v, String).join(",") + ")";
    if (kind === "ArrayBuffer") return "ArrayBuffer(" + new Uint8Array(v).join(",") + ")";
    if (["Number", "String", "Boolean", "BigInt"].includes(kind)) return kind + "(" + r(v.valueOf()) + ")";
    const body = Object.keys(v).map((k) => JSON.stringify(k) + ":" + r(v[k])).join(",");
    return (Object.getPrototypeOf(v) === null ? "null-proto" : "") + "{" + body + "}";
  };
  return (run) => {
    try {
      return "= " + render(run(), []);
    } catch (error) {
      return "! " + error.name + ": " + error.message;
    }
  };
})();
"""

QUICKJS_WORKER = r"""
import json, sys
import quickjs

boot = json.load(open(sys.argv[1]))
def fresh():
    context = quickjs.Context()
    context.set_max_stack_size(1 << 20)
    for text in boot:
        context.eval(text)
    return context

shared = fresh()
for line in sys.stdin:
    order = json.loads(line)
    context = fresh() if order["fresh"] else shared
    if order["wait"]:
        context.eval("globalThis.__answer = undefined; (async () => (" + order["code"] + "))().then("
            "(v) => { __answer = __render(() => v) }, (e) => { __answer = __render(() => { throw e }) })")
        while context.execute_pending_job():
            pass
        answer = context.eval("JSON.stringify(__answer)")
    else:
        answer = context.eval("JSON.stringify(__render(() => (" + order["code"] + "\n)))")
    print(answer, flush=True)
"""

NODE_WORKER = r"""
const lines = require("readline").createInterface({ input: process.stdin });
(0, eval)(JSON.parse(process.argv[1]));
lines.on("line", (line) => {
  const order = JSON.parse(line);
  console.log(JSON.stringify((0, eval)("__render(() => (" + order.code + "\n))")));
});
"""


def builtin_files() -> list[str]:
    """The text of the library up to the built-ins, in the order of evaluation."""
    return [path.read_text("utf-8") for path in sorted(LIBRARY.glob("[01]*.js"))]


class JavaScript:
    """One engine. `evaluate` gives `= VALUE` or `! Name: message`."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    @classmethod
    def quickjs(cls, folder: Path) -> JavaScript:
        """QuickJS with the library's built-ins; `folder` takes the text of the boot."""
        boot = folder / "boot.json"
        boot.write_text(json.dumps([*builtin_files(), "delete globalThis.__pawl", RENDER]))
        return cls([sys.executable, "-c", QUICKJS_WORKER, str(boot)])

    @classmethod
    def node(cls) -> JavaScript:
        """Node as it is, to compare with; skips the test where there is none."""
        node = shutil.which("node")
        if node is None:
            pytest.skip("node is not installed: nothing to compare with")
        return cls([node, "-e", NODE_WORKER, json.dumps(RENDER)])

    def evaluate(self, code: str, *, fresh: bool = False, wait: bool = False) -> str:
        """The value of an expression. `fresh`: in a new context; `wait`: of its promise, after all jobs have run."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"code": code, "fresh": fresh, "wait": wait}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the engine died of: {code}"
        return str(json.loads(line))

    def __enter__(self) -> JavaScript:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):  # what it had not read any more
            self._process.stdin.close()
        self._process.stdout.close()
