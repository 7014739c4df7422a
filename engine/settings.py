"""All settings, each with its unit and the reason for its default.

Plain dataclasses, so that a run without a config file starts without pydantic; `engine/config.py` validates what comes
from outside (config.toml, PAWL_* variables) against these same classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """Limits of the child that runs a script."""

    memory_bytes: int = 256 << 20
    """JavaScript heap. 10,000 pending calls take some 35 MB; a script that needs more holds data it should not."""
    stack_bytes: int = 1 << 20
    """JavaScript stack: 1,700 calls deep, far below the thread's 8 MiB, which native recursion shares."""
    cpu_turn_s: float = 2.0
    """CPU seconds between two moments in which the script waits. An honest turn takes milliseconds."""
    frame_bytes: int = 64 << 20
    """One message between script and host, either way."""
    pending_calls: int = 100_000
    """Calls that the script has made and not got back."""
    source_bytes: int = 1 << 20
    """Text of a script (S14)."""
    result_bytes: int = 16 << 20
    """The run's result as JSON (S15)."""


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """Caps of a run in all its versions; None is no cap."""

    agents: int | None = 1000
    """S46: what other runtimes of the dialect use."""
    concurrency: int = 16
    """S47."""
    tokens: int | None = None
    cost_usd: float | None = None
    minutes: float | None = None
    entries: int = 4096
    """S33: entries in one parallel() or pipeline()."""


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """One agent call."""

    timeout_minutes: float = 30.0
    """One attempt; a coding agent's task may well take a quarter of an hour."""
    attempts: int = 3
    """1 + two retries of transient errors (S26)."""
    backoff_s: float = 1.0
    """Before the first retry; doubles, with jitter."""
    schema_rounds: int = 5
    """S21: answers that may fail the schema before the call throws."""
    turns: int = 100
    """Answers of a model, with the tools that it called, in one attempt of a provider agent: a loop that never ends."""
    stall_s: float = 120.0
    """Silence in the middle of an answer that ends an attempt. No time runs before the first token or in a tool."""
    start_s: float = 60.0
    """Each step of a coding agent's start over ACP: a first start in a new home took 25 s."""
    longest_wait_minutes: float = 15.0
    """A provider that asks for more patience than this ends the call as null, unless `wait_for_resets`."""
    wait_for_resets: bool = False
    """Whether the reset of a usage limit is waited for, however many hours away it is."""
    worktree_dirty: bool = False
    """Whether `isolation: 'worktree'` takes the uncommitted changes of the project along."""
    judge_model: str | None = None
    """Who judges goals (S70) and candidates (S71): a model, a reference or a name of `[models]`; None is the worker's
    own backend and model. A small model of another family is cheap, and has other blind spots than the worker."""
    goal_rounds: int = 12
    """S70: verdicts that may be "not met" before the call throws."""
    check_minutes: float = 10.0
    """One run of the option `check`: what the script's `check()` has."""
    candidates_quorum: float = 0.5
    """S71: the share of the proposals that is enough once `candidates_wait_s` has passed: with half of them there is
    something to choose from."""
    candidates_wait_s: float = 30.0
    """From the first proposal on. After as long again whatever is there is enough: one hung request must not hold up a
    step that could go on."""


@dataclass(frozen=True, slots=True)
class ToolSettings:
    """The tools of provider agents."""

    output_characters: int = 30_000
    """Of one result; the rest is kept, and the result says how to read it. Some 8,000 tokens."""
    command_timeout_s: float = 600.0
    """`run_command` without a time of its own: longer than most test suites."""
    confine: str = "auto"
    """File-system limits of commands: `auto` where the system has them, `require` or none runs, `off`."""


@dataclass(frozen=True, slots=True)
class PermissionSettings:
    """What subagents may do: rules `TOOL` or `TOOL(PATTERN)`; deny beats ask beats allow. See docs/permissions.md."""

    allow: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PriceSettings:
    """US dollars for a million tokens: overrides what the price list says of a model."""

    input: float
    output: float


@dataclass(frozen=True, slots=True)
class McpServerSettings:
    """An MCP server whose tools provider agents get: a command (stdio) or an address (streamable HTTP)."""

    command: tuple[str, ...] = ()
    url: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    """Variables for the command; `$NAME` in a value is taken from ours."""
    headers: dict[str, str] = field(default_factory=dict)
    """Of HTTP requests; `$NAME` in a value is taken from our environment."""


@dataclass(frozen=True, slots=True)
class ProgramSettings:
    """A coding agent that `acp:NAME` or `cli:NAME` starts, in place of the one that is built in."""

    command: tuple[str, ...]
    """Words of the command. `cli:`: a word may hold {prompt}, {model}, {schema}, {cwd}."""
    environment: dict[str, str] = field(default_factory=dict)
    """More variables; `$NAME` in a value is taken from ours. A program gets no other secrets."""
    output: str = "text"
    """What a `cli:` program prints: `text`, or the streams of `claude`, `codex`, `opencode`."""


@dataclass(frozen=True, slots=True)
class ConfirmSettings:
    """Above these, a person confirms before a run starts (unless --yes)."""

    agents: int = 200
    tokens: int = 5_000_000
    """Input and output together."""
    cost_usd: float = 10.0


@dataclass(frozen=True, slots=True)
class EstimateSettings:
    """What `pawl simulate` takes an agent call for while the journal holds none to go by."""

    input_tokens: int = 4000
    """A prompt, the files it names, and what the subagent reads."""
    output_tokens: int = 1000
    """The same that an admission reserves before anything is known (S48)."""
    usd_per_million_input: float = 3.0
    usd_per_million_output: float = 15.0


@dataclass(frozen=True, slots=True)
class SecretSettings:
    """What is masked before it is recorded and before the script sees it (I9)."""

    environment: tuple[str, ...] = ("*_API_KEY", "*_TOKEN", "*_SECRET", "*_PASSWORD", "AWS_SECRET_ACCESS_KEY")
    """Names of environment variables (with `*`) whose values are secrets."""
    patterns: tuple[str, ...] = ()
    """Regular expressions of the user."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that config.toml may hold."""

    backend: str | None = None
    """Default backend; None is `local`."""
    model: str | None = None
    effort: str | None = None
    allow: tuple[str, ...] = ()
    """Host effects that scripts of this project may use: of check, ask, files."""
    log: str | None = None
    """A file that gets a JSON line for each run's start, end, changes of status and warnings: for operators."""
    log_calls: bool = False
    """Whether the log has a line for each start and end of a call, too: ten times the lines."""
    sandbox: SandboxSettings = field(default_factory=SandboxSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    agents: AgentSettings = field(default_factory=AgentSettings)
    tools: ToolSettings = field(default_factory=ToolSettings)
    permissions: PermissionSettings = field(default_factory=PermissionSettings)
    models: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Names for models, `lite`, `standard` and `max` among them: each a list, the next one when one fails."""
    prices: dict[str, PriceSettings] = field(default_factory=dict)
    """By model, as it answers or as it is asked for."""
    mcp: dict[str, McpServerSettings] = field(default_factory=dict)
    programs: dict[str, ProgramSettings] = field(default_factory=dict)
    confirm: ConfirmSettings = field(default_factory=ConfirmSettings)
    estimate: EstimateSettings = field(default_factory=EstimateSettings)
    secrets: SecretSettings = field(default_factory=SecretSettings)
