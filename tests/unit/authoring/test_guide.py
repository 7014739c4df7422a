"""The authoring guide says what the contract says, and stays short."""

from __future__ import annotations

import re
from pathlib import Path

from engine.authoring.guide import HERE, MOST_AGENT_TYPES, brief, guide
from engine.script import MAX_SOURCE_BYTES

ROOT = Path(__file__).resolve().parents[3]

MOST_TOKENS = 6000
CHARACTERS_PER_TOKEN = 3.5
"""Of English with code; the guide has some 3,500 tokens today."""

OF_NO_USE_TO_A_WRITER = {
    "S06": "how errors are shown",
    "S12": "portability is not asked for",
    "S13": "what is absent",
    "S14": "the size of a script",
    "S16": "how scripts of another runtime are read",
    "S32": "told by the check",
    "S36": "how joins cancel",
    "S47": "a setting",
    "S48": "how admission works",
}
"""Rules that the guide leaves out, and why."""

ANTI_PATTERNS = {
    "barrier_without_need",
    "unbounded_loop",
    "unhandled_null",
    "result_not_returned",
    "agent_for_code",
    "prompt_without_input",
    "identical_prompts",
    "silent_cap",
}


def ids(text: str) -> set[str]:
    return set(re.findall(r"\bS\d\d\b", text))


def contract() -> set[str]:
    rows = (ROOT / "docs" / "scripts.md").read_text(encoding="utf-8")
    return set(re.findall(r"^\| (S\d\d) \|", rows, flags=re.MULTILINE))


def test_every_rule_is_in_the_guide_or_left_out_for_a_reason() -> None:
    told = ids(guide())
    assert told - contract() == set(), "the guide names rules that the contract does not have"
    quality = {"S70", "S71", "S72"}  # told by the types' comments, as they come
    assert contract() - told - quality == set(OF_NO_USE_TO_A_WRITER)


def test_every_anti_pattern_is_named() -> None:
    assert {code for code in ANTI_PATTERNS if f"`{code}`" in guide()} == ANTI_PATTERNS


def test_every_global_of_the_types_is_in_it() -> None:
    types = (ROOT / "stdlib_js" / "pawl.d.ts").read_text(encoding="utf-8").partition("built-ins beyond ECMAScript")[0]
    names = set(re.findall(r"^declare (?:function|const) (\w+)", types, flags=re.MULTILINE))
    missing = {name for name in names if not re.search(rf"^- `{name}[(`]", guide(), flags=re.MULTILINE)}
    assert missing == set()


def test_functions_are_shown_with_the_names_of_their_parameters() -> None:
    text = guide()
    for signature in (
        "agent(prompt, opts?)",
        "parallel(thunks, opts?)",
        "pipeline(items, ...stagesAndOptions)",
        "glob(pattern)",
    ):
        assert f"- `{signature}`: " in text
    assert "  - `retry?: { attempts?: number; backoffSeconds?: number }` Attempts" in text


def test_it_fits_into_its_budget_with_many_kinds_of_agent(tmp_path: Path) -> None:
    folder = tmp_path / ".pawl" / "agents"
    folder.mkdir(parents=True)
    for number in range(40):
        text = f"---\nname: kind-{number:02}\ndescription: {'long ' * 200}\n---\nDo it.\n"
        (folder / f"kind-{number:02}.md").write_text(text, encoding="utf-8")
    made = guide(tmp_path)
    assert len(made) / CHARACTERS_PER_TOKEN < MOST_TOKENS
    assert made.count("- `kind-") + 2 == MOST_AGENT_TYPES  # explore and general sort before them
    assert f"- and {43 - MOST_AGENT_TYPES} more" in made


def test_a_project_brings_its_kinds_of_agent(tmp_path: Path) -> None:
    folder = tmp_path / ".claude" / "agents"
    folder.mkdir(parents=True)
    (folder / "archivist.md").write_text("---\nname: archivist\ndescription: Knows old\n---\nLook.\n", encoding="utf-8")
    assert "- `archivist`: Knows old" in guide(tmp_path)
    assert "- `explore`: Finds things out" in guide()


def test_the_brief_one_fits_into_the_context_of_the_embedded_model() -> None:
    assert len(brief()) / CHARACTERS_PER_TOKEN < 1000
    assert (HERE / "new.js").stat().st_size < MAX_SOURCE_BYTES
