"""The workflows that are measured. Answers come from the `sample` backend, at once."""

from __future__ import annotations

from engine.workflows import ScriptSource

MOST_ENTRIES = 4096
"""Of one parallel(): a larger fan-out is a parallel() of them."""


def _source(name: str, body: str) -> ScriptSource:
    text = f'export const meta = {{ name: "{name}", description: "Measured by benchmarks" }};\n{body}\n'
    return ScriptSource(text, None, name)


def lanes(calls: int, width: int, *, more: int = 0) -> ScriptSource:
    """`width` lanes, each of sequential calls; `more` calls at the very end, one after the other."""
    body = f"""
const ask = async (lane, calls) => {{
  let last = "";
  for (let i = 0; i < calls; i++) {{
    last = await agent("Look at part " + lane + "." + i + " of the repository", {{ label: "part " + i }});
  }}
  return last;
}};
const widths = Array.from({{ length: {width} }}, (_, lane) => lane);
const calls = (lane) => Math.floor({calls} / {width}) + (lane < {calls % width} ? 1 : 0);
{"await ask(0, calls(0));" if width == 1 else "await parallel(widths.map((lane) => () => ask(lane, calls(lane))));"}
for (let i = 0; i < {more}; i++) await agent("One more: " + i);
"""
    return _source("lanes", body)


def fan(calls: int) -> ScriptSource:
    """All calls at once."""
    body = f"""
const ask = (i) => () => agent("Look at part " + i + " of the repository", {{ label: "part " + i }});
const groups = [];
for (let at = 0; at < {calls}; at += {MOST_ENTRIES}) {{
  const n = Math.min({MOST_ENTRIES}, {calls} - at);
  groups.push(() => parallel(Array.from({{ length: n }}, (_, i) => ask(at + i))));
}}
await parallel(groups);
"""
    return _source("fan", body)


def pipelines(calls: int) -> ScriptSource:
    """Items through two stages, in pipelines of at most 4,096 items side by side."""
    body = f"""
const flows = [];
for (let at = 0; at < {calls} / 2; at += {MOST_ENTRIES}) {{
  const items = Array.from({{ length: Math.min({MOST_ENTRIES}, {calls} / 2 - at) }}, (_, i) => at + i);
  const judge = (text, n) => agent("Judge part " + n + ": " + text);
  flows.push(() => pipeline(items, (n) => agent("Read part " + n), judge));
}}
await parallel(flows);
"""
    return _source("pipelines", body)
