"""stdlib_js/pawl.d.ts: what an editor tells a script's author. Needs `tsc`, from `make coding-agents` or on the PATH."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = ROOT / ".coding-agents/node_modules/.bin/tsc"
TSC = str(OURS) if OURS.exists() else shutil.which("tsc")

pytestmark = pytest.mark.skipif(TSC is None, reason="tsc is not installed (make coding-agents)")

RIGHT = """
export const meta = { name: 'x', description: 'y' }
const schema = { type: 'object', required: ['bugs'], properties: { bugs: { type: 'array', items: { enum: [1, 2] } } } }
const found = await agent('p', { schema: {
  type: 'object', required: ['level'], properties: { level: { enum: ['low', 'high'] }, count: { type: 'integer' } },
} })
if (found) {
  /** @type {'low' | 'high'} */ const level = found.level
  /** @type {number | undefined} */ const count = found.count
  log(level, count)
}
const kept = await agent('p', { schema })
log(kept?.bugs.length)
const [first, second] = await parallel([() => agent('a'), () => 3])
/** @type {string | null} */ const text = first
/** @type {number | null} */ const number = second
for (const slot of await parallel([1].map(n => () => agent(`${n}`)), { settle: true })) {
  if (slot.ok) { /** @type {string | null} */ const value = slot.value; log(value) } else log(slot.error.message)
}
/** @type {(number | null)[]} */ const sums = await pipeline([1, 2], async n => `${n}`, (s, n, i) => s.length + n + i)
const full = await agent('q', { full: true })
/** @type {string | null} */ const reason = full.reason
const nodes = await dag([{ id: 'a' }, { id: 'b', dependsOn: ['a'] }], async node => node.id.length)
/** @type {number | null} */ const node = nodes.b
/** @type {'yes' | 'no'} */ const choice = await ask('ok?', { choices: ['yes', 'no'] })
/** @type {string | null} */ const file = await readFile('README.md')
log(budget.remaining(), budget.costUsd.spent(), text, number, sums, reason, node, choice, file)
await sleep(10)
"""

WRONG = {
    "agent(3)": "TS2",
    "agent('x', { effort: 'huge' })": "TS2769",
    "agent('x').then(text => text.length)": "TS18047",  # null is not handled
    "parallel(3)": "TS2345",
    "phase(1)": "TS2345",
    "check(['ls'])": "TS2345",
    "require('fs')": "TS2",
    "process.exit()": "TS2",
}


def complaints(script: Path) -> list[str]:
    """What tsc says with the options of jsconfig.json, but for the top-level return that workflows may have."""
    options = json.loads((ROOT / "jsconfig.json").read_text())["compilerOptions"]
    project = script.with_name("jsconfig.json")
    files = [str(ROOT / "stdlib_js/pawl.d.ts"), str(script)]
    project.write_text(json.dumps({"compilerOptions": {**options, "checkJs": True, "strict": True}, "files": files}))
    done = subprocess.run([str(TSC), "-p", str(project)], capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert not [line for line in lines if line.startswith("error ")], lines  # of the project, not of the script
    return [line for line in lines if ": error " in line and "TS1108" not in line]


def test_a_typical_script_has_the_types_that_it_says(tmp_path: Path) -> None:
    script = tmp_path / "right.js"
    script.write_text(RIGHT)
    assert complaints(script) == []


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_shown(tmp_path: Path, mistake: str) -> None:
    script = tmp_path / "wrong.js"
    script.write_text(f"export const meta = {{ name: 'x', description: 'y' }}\nawait {mistake}\n")
    (only,) = complaints(script)
    assert WRONG[mistake] in only


def test_the_workflows_of_this_repository_are_clean() -> None:
    done = subprocess.run(
        [str(TSC), "-p", str(ROOT / "jsconfig.json"), "--checkJs"], capture_output=True, text=True, check=False
    )
    assert [line for line in done.stdout.splitlines() if ": error " in line and "TS1108" not in line] == []
