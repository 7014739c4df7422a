"""Settings from files and variables: what is taken, what is refused, and with which words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine import config
from engine.config import load_settings
from engine.errors import UsageError
from engine.settings import McpServerSettings, PriceSettings, ProgramSettings, Settings

KEYS = config.keys()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / ".pawl").mkdir()
    return tmp_path


def write(project: Path, text: str) -> Path:
    path = project / ".pawl" / "config.toml"
    path.write_text(text)
    return path


def refusal(project: Path, environ: dict[str, str] | None = None) -> UsageError:
    with pytest.raises(UsageError) as caught:
        load_settings(project, environ or {})
    assert caught.value.code == "bad_config"
    assert caught.value.exit_code == 2
    return caught.value


def test_without_anything_the_defaults_hold_and_pydantic_stays_out(project: Path) -> None:
    assert load_settings(project, {}) == Settings()
    code = (
        "import sys, pathlib; from engine.config import load_settings; "
        f"load_settings(pathlib.Path({str(project)!r}), {{}}); print('pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_file_sets_values_in_tables(project: Path) -> None:
    write(project, 'backend = "sample"\nallow = ["check"]\n[limits]\nagents = 5\nminutes = 3\n')
    settings = load_settings(project, {})
    assert (settings.backend, settings.allow) == ("sample", ("check",))
    assert (settings.limits.agents, settings.limits.minutes, settings.limits.concurrency) == (5, 3.0, 16)


def test_the_project_beats_the_user_and_variables_beat_both(project: Path, tmp_path: Path) -> None:
    user = tmp_path / "home" / "pawl"
    user.mkdir(parents=True)
    (user / "config.toml").write_text('model = "users"\n[limits]\nagents = 1\ntokens = 2\nconcurrency = 3\n')
    write(project, "[limits]\ntokens = 20\nconcurrency = 30\n")
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "home"), "PAWL_LIMITS_CONCURRENCY": "300"}
    settings = load_settings(project, environ)
    assert settings.model == "users"
    assert (settings.limits.agents, settings.limits.tokens, settings.limits.concurrency) == (1, 20, 300)


def test_every_problem_of_a_file_is_named_at_once(project: Path) -> None:
    path = write(
        project,
        'bakend = "local"\nallow = "check"\neffort = "hi"\n'
        '[limits]\nagents = "5"\nconcurrency = true\nminutes = nan\ncost_usd = -1\n[sandbox]\nmemory = 3\n',
    )
    error = refusal(project)
    assert error.message == "\n".join(
        f"{path}: {problem}"
        for problem in (
            "unknown key bakend; did you mean backend?",
            "unknown key sandbox.memory; did you mean sandbox.memory_bytes?",
            "allow: expected a list of strings, found 'check'",
            "limits.agents: expected a whole number, found '5'",
            "limits.concurrency: expected a whole number, found True",
            "effort: expected one of low, medium, high, xhigh, max, found 'hi'",
            "limits.cost_usd: expected 0 or more, found -1",
            "limits.minutes: expected a finite number, found nan",
        )
    )
    assert error.hint == "docs/config.md lists every key."


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("limits = 5", "limits: expected a table, found 5"),
        ("model = 3", "model: expected a string, found 3"),
        ("[agents]\nattempts = 1.5", "agents.attempts: expected a whole number, found 1.5"),
        ("[limits]\nconcurrency = 0", "limits.concurrency: expected 1 to 1024, found 0"),
        ("[sandbox]\nresult_bytes = 0", "sandbox.result_bytes: expected a number above 0, found 0"),
        ("models = 5", "models: expected a table, found 5"),
        ("[models]\nlite = 5", "models.lite: expected a string or a list of strings, found 5"),
        ("[models]\nlite = [5]", "models.lite: expected a string or a list of strings, found 5"),
        ("[models]\nlite = []", "models.lite: expected at least one, found an empty list"),
        ('[prices]\n"gpt-5" = 3', 'prices."gpt-5": expected a table, found 3'),
        ('[prices."gpt-5"]\ninput = "1"\noutput = 2', "prices.\"gpt-5\".input: expected a number, found '1'"),
        ('[prices."gpt-5"]\ninput = 1', 'prices."gpt-5".output: expected a number, found nothing'),
        ('[prices."a\\"b"]\ninput = -1\noutput = 0', 'prices."a\\"b".input: expected 0 or more, found -1'),
        ("[prices.x]\ninput = inf\noutput = 0", "prices.x.input: expected a finite number, found inf"),
        (
            '[prices."gpt-5"]\ninput = 1\noutput = 2\nouput = 3',
            'unknown key prices."gpt-5".ouput; did you mean prices."gpt-5".output?',
        ),
        ("[mcp.x]", "mcp.x: expected either command or url, found neither"),
        ('[mcp.x]\ncommand = ["x"]\nurl = "http://x"', "mcp.x: expected either command or url, found both"),
        ('[mcp.x]\ncommand = "npx server"', "mcp.x.command: expected a list of strings, found 'npx server'"),
        (
            '[mcp.x]\ncommand = ["x"]\nenvironment = { TOKEN = 5 }',
            "mcp.x.environment.TOKEN: expected a string, found 5",
        ),
        ("[programs.x]", "programs.x.command: expected a list of strings, found nothing"),
        ("[programs.x]\ncommand = []", "programs.x.command: expected at least one, found an empty list"),
        (
            '[programs.x]\ncommand = ["x"]\noutput = "json"',
            "programs.x.output: expected one of text, claude, codex, opencode, found 'json'",
        ),
        ('[tools]\nconfine = "on"', "tools.confine: expected one of auto, require, off, found 'on'"),
        ("xyzzy = 1", "unknown key xyzzy; known: " + ", ".join(dict.fromkeys(k.split(".")[0] for k in KEYS))),
    ],
)
def test_a_value_that_does_not_fit_is_refused(project: Path, text: str, problem: str) -> None:
    path = write(project, text)
    assert refusal(project).message == f"{path}: {problem}"


def test_tables_with_names_of_the_user(project: Path) -> None:
    write(
        project,
        '[models]\nlite = "openai:gpt-5-nano"\nmax = ["a", "b"]\n'
        '[prices."gpt-5"]\ninput = 1\noutput = 2.5\n'
        '[mcp."my server"]\ncommand = ["serve"]\nenvironment = { TOKEN = "$TOKEN" }\n'
        '[programs.mine]\ncommand = ["mine", "{prompt}"]\n',
    )
    settings = load_settings(project, {})
    assert settings.models == {"lite": ("openai:gpt-5-nano",), "max": ("a", "b")}
    assert settings.prices == {"gpt-5": PriceSettings(input=1.0, output=2.5)}
    assert settings.mcp == {"my server": McpServerSettings(command=("serve",), environment={"TOKEN": "$TOKEN"})}
    assert settings.programs == {"mine": ProgramSettings(command=("mine", "{prompt}"))}


def test_an_entry_of_the_project_replaces_the_users_whole(project: Path, tmp_path: Path) -> None:
    user = tmp_path / "home" / "pawl"
    user.mkdir(parents=True)
    (user / "config.toml").write_text('[mcp.a]\nurl = "http://a"\n[mcp.b]\nurl = "http://b"\n[models]\nlite = "x"\n')
    write(project, '[mcp.b]\ncommand = ["b"]\n[models]\nlite = ["y"]\nmax = "z"\n')
    settings = load_settings(project, {"XDG_CONFIG_HOME": str(tmp_path / "home")})
    assert settings.mcp == {"a": McpServerSettings(url="http://a"), "b": McpServerSettings(command=("b",))}
    assert settings.models == {"lite": ("y",), "max": ("z",)}


def test_text_that_is_not_toml_is_refused_with_its_place(project: Path) -> None:
    path = write(project, "backend =\n")
    assert refusal(project).message == f"{path}: not TOML: Invalid value (at line 1, column 10)"


def test_binary_is_refused(project: Path) -> None:
    (project / ".pawl" / "config.toml").write_bytes(b"\xff\xfe\x00")
    assert "config.toml: not TOML: 'utf-8' codec can't decode byte 0xff" in refusal(project).message


def test_a_file_that_cannot_be_read_is_refused(project: Path) -> None:
    (project / ".pawl" / "config.toml").mkdir()
    assert (
        refusal(project).message == f"{project / '.pawl' / 'config.toml'}: cannot read the config file: Is a directory"
    )


def test_variables_are_typed(project: Path) -> None:
    environ = {"PAWL_LIMITS_AGENTS": "12", "PAWL_ALLOW": "check, ask", "PAWL_LIMITS_MINUTES": "none", "PAWL_OTHER": "1"}
    settings = load_settings(project, environ)
    assert (settings.limits.agents, settings.allow, settings.limits.minutes) == (12, ("check", "ask"), None)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("FALSE", False)])
def test_a_variable_can_switch(project: Path, text: str, value: bool) -> None:
    assert load_settings(project, {"PAWL_LOG_CALLS": text}).log_calls is value


@pytest.mark.parametrize(
    ("name", "value", "message", "hint"),
    [
        (
            "PAWL_LIMITS_AGENT",
            "12",
            "the environment: PAWL_LIMITS_AGENT is no variable of Pawl",
            "Did you mean PAWL_LIMITS_AGENTS?",
        ),
        (
            "PAWL_LIMITS_AGENTS",
            "many",
            "PAWL_LIMITS_AGENTS: expected a whole number, found 'many'",
            "Mend or unset PAWL_LIMITS_AGENTS.",
        ),
        (
            "PAWL_LIMITS_CONCURRENCY",
            "5000",
            "the environment: limits.concurrency: expected 1 to 1024, found 5000",
            "docs/config.md lists every key.",
        ),
        (
            "PAWL_LOG_CALLS",
            "1",
            "the environment: log_calls: expected true or false, found '1'",
            "docs/config.md lists every key.",
        ),
        (
            "PAWL_PRICES",
            "{}",
            "the environment: PAWL_PRICES cannot be set: prices is a table",
            "Write it in .pawl/config.toml, below [prices].",
        ),
        (
            "PAWL_EFFORT",
            "huge",
            "the environment: effort: expected one of low, medium, high, xhigh, max, found 'huge'",
            "docs/config.md lists every key.",
        ),
    ],
)
def test_a_bad_variable_is_refused(project: Path, name: str, value: str, message: str, hint: str) -> None:
    error = refusal(project, {name: value})
    assert (error.message, error.hint) == (message, hint)


def test_bounds_and_choices_name_real_keys() -> None:
    assert set(config.BOUNDS) | set(config.CHOICES) <= set(KEYS)


def test_variables_of_all_keys_differ() -> None:
    names = [config.variable(key) for key in KEYS]
    assert len(names) == len(set(names))


def test_the_documentation_names_every_key() -> None:
    text = (Path(__file__).parents[2] / "docs" / "config.md").read_text()
    assert [key for key in KEYS if f"`{key}`" not in text] == []
