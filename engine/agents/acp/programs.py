"""The coding agents that are known by name: how to start each, and how to make it ask before it acts.

The protocol leaves to the agent what it asks about. Each of these is therefore told in its own words, when it starts
and when a session opens, what a call may not do and what it must ask about; what comes of that is in
`docs/coding-agents-acp.md`. An agent of `[programs]` is a stranger: it is held to what it asks, and a call that names
tools is refused.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from engine.agents.acp.submit_tool import SERVER, TOOL
from engine.agents.environment import for_subagents
from engine.agents.headless.claude import Claude
from engine.agents.headless.codex import Codex
from engine.agents.headless.fences import EDITING, Fence
from engine.agents.headless.opencode import Opencode
from engine.agents.headless.plain import is_template
from engine.errors import UsageError
from engine.settings import Settings
from engine.values import Json

PROGRAMS = ("opencode", "claude", "codex", "gemini")
"""Built in."""

_OURS = re.compile(r"\$(\w+)")


@dataclass(frozen=True, slots=True)
class Terms:
    """What one call asks of the agent's process and session, before its first prompt."""

    fence: Fence
    model: str | None = None
    system: str = ""


@dataclass(frozen=True, slots=True)
class Opening:
    """The terms in an agent's own words.

    Attributes:
        environment: more variables for the process.
        meta: `_meta` of the request that opens a session.
        mode: the mode that the session must be in, or None for the one that it starts in.
        needs_mode: without it the agent might not ask: a call fails then.
        has_system: the agent is given the definition's text; else it stands before the prompt.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    meta: Mapping[str, Json] = field(default_factory=dict)
    mode: str | None = None
    needs_mode: bool = True
    has_system: bool = False


@dataclass(frozen=True, slots=True)
class AcpProgram:
    """One coding agent.

    Attributes:
        command: the words that start it as an agent on its pipes.
        install: how to get it, or an empty string.
        secrets: environment variables that it needs although they are secrets, with `*`.
        dropped: variables that it must not inherit.
        login: what to do when its service does not know who asks.
        check: why it cannot be held to a fence, or None.
        opening: the terms in its words.
        tells_of_calls: it tells that it begins to write the arguments of a tool, so that silence means something.
        saves_late: it is a wrapper around the program that holds the session, and does not wait for that when it ends.
        marks_model: what its model says has an id; text without one is the program's own.
    """

    name: str
    command: tuple[str, ...]
    install: str = ""
    secrets: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    login: str = ""
    check: Callable[[Fence], str | None] = field(default=lambda _: None)
    opening: Callable[[Terms], Opening] = field(default=lambda _: Opening())
    tells_of_calls: bool = False
    marks_model: bool = False
    saves_late: bool = False


def find_program(name: str, settings: Settings, environ: Mapping[str, str]) -> AcpProgram:
    """Raises `UsageError` (`unknown_program`)."""
    own = settings.programs.get(name)
    if own is not None and own.command and (name not in PROGRAMS or not is_template(own)):
        found = _built_in(name, environ)
        if found is None:
            return AcpProgram(name, own.command, check=_stranger)
        return replace(found, command=own.command, install="")
    found = _built_in(name, environ)
    if found is None:
        raise UsageError(
            f"backend `acp:{name}`: no such program: expected one of {', '.join((*PROGRAMS, *settings.programs))}",
            code="unknown_program",
            hint=f"Describe it in the config: [programs.{name}]",
        )
    return found


def missing(program: str, settings: Settings, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Why a program cannot run here, and what to type; None when it can. Raises `UsageError` (`unknown_program`)."""
    from importlib.util import find_spec

    found = find_program(program, settings, environ)
    if shutil.which(found.command[0], path=environ.get("PATH")) is None:
        install = found.install or f"install {found.command[0]}, or correct [programs.{program}] in the config"
        return f"there is no program {found.command[0]!r} on the PATH", install
    if find_spec("acp") is None:
        return "its protocol's package is not installed", 'pip install "pawl-engine[acp]"'
    return None


def environment(program: AcpProgram, settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Ours without secrets, but for the program's own, and what `[programs]` adds."""
    keep = [key for key in environ if any(fnmatchcase(key, pattern) for pattern in program.secrets)]
    kept = for_subagents(environ, settings.secrets.environment, keep)
    for key in program.dropped:
        kept.pop(key, None)
    own = settings.programs.get(program.name)
    for key, value in (own.environment if own is not None else {}).items():
        kept[key] = _OURS.sub(lambda found: environ.get(found[1], ""), value)
    return kept


def _stranger(fence: Fence) -> str | None:
    if fence.named is not None:
        return "an agent of [programs] need not ask before it uses a tool"
    return None


def _built_in(name: str, environ: Mapping[str, str]) -> AcpProgram | None:
    if name == "claude":
        claude = Claude()
        return AcpProgram(
            name,
            ("claude-agent-acp",),
            "npm install -g @agentclientprotocol/claude-agent-acp",
            claude.secrets,
            claude.dropped,
            claude.login,
            claude.check,
            _claude,
            tells_of_calls=True,
            saves_late=True,
        )
    if name == "codex":
        codex = Codex.by(environ)
        return AcpProgram(
            name,
            ("codex-acp",),
            "npm install -g @agentclientprotocol/codex-acp",
            codex.secrets,
            codex.dropped,
            codex.login,
            codex.check,
            _codex,
            marks_model=True,
        )
    if name == "opencode":
        opencode = Opencode()
        return AcpProgram(
            name,
            ("opencode", "acp"),
            opencode.install,
            opencode.secrets,
            opencode.dropped,
            opencode.login,
            opencode.check,
            _opencode,
            tells_of_calls=True,
        )
    if name == "gemini":
        return AcpProgram(
            name,
            ("gemini", "--acp"),
            "npm install -g @google/gemini-cli",
            ("GEMINI_*", "GOOGLE_*"),
            login="Log in by starting gemini once — or set GEMINI_API_KEY.",
            check=_gemini_check,
            opening=_gemini,
        )
    return None


# ── Claude Code ────────────────────────────────────────────────────────────────────────────────────────────────────

_CLAUDE_TOOLS = {
    "read_file": ("Read",),
    "list_files": ("Glob",),
    "glob": ("Glob",),
    "grep": ("Grep",),
    "edit_file": ("Edit", "NotebookEdit"),
    "write_file": ("Write",),
    "run_command": ("Bash",),
    "fetch_url": ("WebFetch", "WebSearch"),
}
_CLAUDE_NEVER = ("Workflow", "CronCreate", "ScheduleWakeup", "EnterWorktree", "ExitWorktree", "AskUserQuestion")
"""Subagents start no workflows, outlive no call, leave no folder and ask nobody."""


def _claude(terms: Terms) -> Opening:
    """It asks about what changes anything; what is denied, and what it reads without asking, is taken away from it."""
    fence = terms.fence
    forbidden = [*_CLAUDE_NEVER]
    for tool in sorted(fence.denied):
        forbidden += _CLAUDE_TOOLS.get(tool, ())
    forbidden += [f"{name}{rule}" for tool, rule in _denied_parts(fence) for name in _CLAUDE_TOOLS.get(tool, ())]
    options: dict[str, Json] = {"disallowedTools": list(dict.fromkeys(forbidden))}
    if fence.named is not None:
        names = [name for tool in _CLAUDE_TOOLS if fence.may(tool) for name in _CLAUDE_TOOLS[tool]]
        options["tools"] = list(dict.fromkeys(names))
    meta: dict[str, Json] = {"claudeCode": {"options": options}}
    if terms.system:
        meta["systemPrompt"] = {"append": terms.system}
    variables = {"DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_MAX_RETRIES": "2"}
    if terms.model:
        # The first makes it list a model that it does not know; to choose it later would be a message to the model.
        variables |= {"ANTHROPIC_CUSTOM_MODEL_OPTION": terms.model, "ANTHROPIC_MODEL": terms.model}
    return Opening(variables, meta, "default", has_system=True)


def _denied_parts(fence: Fence) -> list[tuple[str, str]]:
    return [(tool, f"({pattern})") for verb, tool, pattern in fence.patterns if verb == "deny"]


# ── Codex ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _codex(terms: Terms) -> Opening:
    """Its sandbox lets commands work in the folder, and what it asks for is to leave the sandbox.

    Its own default, `agent`, lets another model decide about that; here a rule or a person does.
    """
    fence = terms.fence
    is_held = not fence.may("run_command") or bool(fence.denied & set(EDITING))
    mode = "read-only" if is_held else "workspace-write"
    config: dict[str, Json] = {}
    if terms.model:
        config["model"] = terms.model
    if terms.system:
        config["developer_instructions"] = terms.system
    if not fence.may("fetch_url") or "fetch_url" in fence.unasked:
        config["web_search"] = "disabled"
    return Opening({"INITIAL_AGENT_MODE": mode, "CODEX_CONFIG": json.dumps(config)}, {}, mode, has_system=True)


# ── opencode ───────────────────────────────────────────────────────────────────────────────────────────────────────

_OPENCODE_WORDS = {
    "read_file": ("read",),
    "list_files": ("list", "glob"),
    "glob": ("glob",),
    "grep": ("grep",),
    "edit_file": ("edit",),
    "write_file": ("edit",),
    "run_command": ("bash",),
    "fetch_url": ("webfetch", "websearch"),
}
"""Its words for our tools. It has one for editing and writing."""


def _opencode(terms: Terms) -> Opening:
    """By default it asks about nothing: here about everything, for asking costs milliseconds."""
    fence = terms.fence
    words: dict[str, Json] = {} if fence.named is None else {"*": "deny", f"{SERVER}_{TOOL}": "allow"}
    may = {word for tool, names in _OPENCODE_WORDS.items() if fence.may(tool) for word in names}
    for names in _OPENCODE_WORDS.values():
        words.update({name: "ask" if name in may else "deny" for name in names})
    words["external_directory"] = "ask"
    words["question"] = "deny"
    words["task"] = "deny"  # what its own subagents ask is not passed on, and they wait for ever
    return Opening({"OPENCODE_PERMISSION": json.dumps(words), "OPENCODE_DISABLE_AUTOUPDATE": "1"})


# ── Gemini ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _gemini_check(fence: Fence) -> str | None:
    return "it reads without asking: leave `tools` out" if fence.named is not None else None


def _gemini(_: Terms) -> Opening:
    return Opening(mode="default", needs_mode=False)  # by the protocol's own words; no version was asked
