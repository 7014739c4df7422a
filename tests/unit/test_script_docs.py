"""docs/checks.md names every code that a problem can have, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from support.scripts import META, report

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "checks.md").read_text(encoding="utf-8")


def test_every_code_is_documented() -> None:
    sources = [*sorted((ROOT / "sandbox" / "lint").glob("*.py")), ROOT / "engine" / "meta.py"]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    used = set(re.findall(r'"([a-z_]+)",\s*"S\d\d"', text)) - {"error", "warning"}
    used |= set(re.findall(r'"S\d\d",\s*"(meta_[a-z_]+)"', text))
    used |= set(re.findall(r'"([a-z_]{2,})", ""\)', text))  # of no rule
    used |= {"import", "require", "bad_option"}  # passed on by a helper
    documented = set(re.findall(r"^\| `([a-z_]+)` \|", PAGE, re.MULTILINE))
    assert used - {"not_portable"} == documented
    assert "warning `not_portable`" in PAGE


async def test_the_example_is_what_is_said() -> None:
    text = META.replace("\n", "\n\n\n") + "const answer = agent('What is new?')\nreturn `News: ${answer}`\n"
    shown = PAGE.split("```")[1].split("\n", 2)[2].replace("review.js", "w.js")
    assert (await report(text, mistakes=True)).render() + "\n" == shown
