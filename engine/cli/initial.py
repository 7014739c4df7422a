"""`pawl init`: what a project needs to have workflows of its own."""

from __future__ import annotations

from pathlib import Path

from engine.assets import types_file
from engine.cli.command import Command, Shell, command
from engine.errors import UsageError
from engine.project import FOLDER, IGNORED

CONFIG = """\
# Settings of this project. Everything here may be left out; docs/config.md says what each key means.
# Stronger: PAWL_* variables (PAWL_LIMITS_AGENTS=50), then flags (--max-agents 50).

# backend = "local"            # local, sample, openai:MODEL
# model = ""                   # default model of the agents
# allow = []                   # host effects that scripts may use: "check", "files", "ask"
# Kinds of subagent of your own (agentType) are Markdown files in .pawl/agents: docs/agents.md.

[limits]
# agents = 1000                # agent calls in the life of a run
# concurrency = 16             # agents at once
# tokens = 200000              # output tokens in the life of a run
# cost_usd = 5.0               # US dollars in the life of a run
# minutes = 60                 # minutes that a process drives a run

[agents]
# timeout_minutes = 30.0       # one attempt at one call
# attempts = 3                 # 1 + retries of errors that may pass

[models]
# lite = "openai:gpt-5-nano"   # names for models; ["a", "b"] asks b when a fails

[secrets]
# environment = ["*_API_KEY", "*_TOKEN", "*_SECRET", "*_PASSWORD"]   # variables whose values are masked
# patterns = []                # regular expressions of your own
"""

EXAMPLE = """\
export const meta = {
  name: 'hello',
  description: 'Two agents side by side, then one that puts their answers together.',
  phases: [{ title: 'Think' }, { title: 'Merge' }],
}

phase('Think')
const [good, bad] = await parallel([
  () => agent('Name one good thing about tests, in one sentence.', { label: 'good' }),
  () => agent('Name one bad thing about tests, in one sentence.', { label: 'bad' }),
])

phase('Merge')
return await agent(`Put these two into one sentence:\\n1. ${good}\\n2. ${bad}`, { label: 'merge' })
"""

TYPES = "pawl.d.ts"

JSCONFIG = """\
{
  "compilerOptions": {
    "checkJs": false,
    "strict": false,
    "strictNullChecks": true,
    "target": "es2023",
    "module": "esnext",
    "moduleDetection": "force",
    "lib": ["es2024", "esnext.collection"],
    "types": [],
    "noEmit": true
  },
  "include": ["pawl.d.ts", "workflows/**/*.js"]
}
"""

WRITTEN_BY_OTHERS = (".gitignore", TYPES)
"""A run writes the one; the other is a copy of ours, which may be newer: neither says that a project was set up."""


def files() -> dict[str, str]:
    """Path below `.pawl` → text of what a new project gets. Editors find the types through `jsconfig.json`."""
    return {
        "config.toml": CONFIG,
        ".gitignore": IGNORED,
        "workflows/hello.js": EXAMPLE,
        "jsconfig.json": JSCONFIG,
        TYPES: types_file().read_text(encoding="utf-8"),
    }


@command("init", example="pawl init")
def init(shell: Shell) -> None:
    """Set up a project here: .pawl with a config, an example workflow and types for editors. Overwrites nothing."""
    folder = (shell.project or Path.cwd()) / FOLDER
    wanted = files()
    there = [name for name in wanted if name not in WRITTEN_BY_OTHERS and (folder / name).exists()]
    if there:
        raise UsageError(
            f"{folder / there[0]} exists: nothing was written",
            code="exists",
            hint="This project is set up; edit the file, or move it away first.",
        )
    written = []
    for name, text in wanted.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():  # a .gitignore that a run has written is as good
            path.write_text(text, encoding="utf-8")
            written.append(str(path))
    if shell.out.is_json:
        shell.out.json({"project": str(folder.parent), "written": written})
        return
    for line in written:
        shell.out.print(f"wrote {line}")
    shell.out.print("Try it: pawl run hello --backend sample")


COMMANDS: dict[str, Command] = {"init": init}
