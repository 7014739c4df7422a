"""`pawl show --transcript` and `pawl search`, of a run whose agents spoke to a scripted service on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.agents_service import ModelService
from support.pawl import Pawl
from support.scripted_model import Asked, Call

BODY = """
return await agent('Where does the walrus sleep?', {label: 'ask'}) + await agent('And the seal?')
"""


def answer(asked: Asked) -> Any:
    if "seal" in asked.text:
        return "On the beach.\x1b[31m"
    return Call("read_file", {"path": "tusk.txt"}) if asked.turn == 0 else "On the ice."


@pytest.fixture(scope="module")
def pawl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pawl]:
    folder = tmp_path_factory.mktemp("searching") / "project"
    folder.mkdir()
    (folder / "tusk.txt").write_text("It sleeps on the ice.\n")
    with ModelService(answer) as service:
        made = Pawl(folder, service.environ())
        done = made("run", made.script(BODY), "--run-id", "r", "--backend", "openai:fake-1", "--json", "--quiet")
        assert (done.code, done.json["result"]) == (0, "On the ice.On the beach.\x1b[31m"), done
        yield made


def test_a_transcript_for_people(pawl: Pawl) -> None:
    done = pawl("show", "r", "--call", "1", "--transcript")
    assert done.code == 0
    lines = [line for line in done.out.splitlines() if line]
    assert lines[0] == "call 1 · agent · ok · ask"
    assert lines[1].startswith("── attempt 1 ─")
    said = [line for line in lines if line.startswith("  ")]
    for line in ("  Where does the walrus sleep?", '  → read_file {"path": "tusk.txt"}', "  On the ice."):
        assert line in said
    assert any("It sleeps on the ice." in line for line in said)
    assert [line.split(" ")[0] for line in lines[2:] if not line.startswith("  ")] == [
        "user", "assistant", "read_file", "assistant",
    ]  # fmt: skip


def test_a_transcript_is_safe_on_a_terminal_and_whole_in_json(pawl: Pawl) -> None:
    done = pawl("show", "r", "--call", "2", "--transcript")
    assert r"  On the beach.\x1b[31m" in done.out.splitlines()
    assert "\x1b" not in done.out
    told = pawl("show", "r", "--call", "2", "--transcript", "--json").json
    assert (told["run_id"], told["version"], told["call"], told["label"]) == ("r", 1, 2, None)
    assert [(turn["attempt"], turn["seq"], turn["role"]) for turn in told["transcript"]] == [
        (1, 1, "user"), (1, 2, "assistant"),
    ]  # fmt: skip
    assert told["transcript"][1]["text"] == "On the beach.\x1b[31m"
    assert "native" not in told["transcript"][1]


def test_a_transcript_needs_a_call(pawl: Pawl) -> None:
    done = pawl("show", "r", "--transcript")
    assert done.code == 2
    assert done.err.splitlines()[0] == "Error: --transcript needs --call N"


def test_a_search_says_where(pawl: Pawl) -> None:
    done = pawl("search", "walrus", "sleep")
    assert done.code == 0
    assert done.out.splitlines() == [
        "r@1 call 1  user: Where does the ⟦walrus⟧ ⟦sleep⟧?",
        "-- the whole conversation: pawl show r@1 --call 1 --transcript",
    ]
    (hit,) = pawl("search", '"on the beach"', "--run", "r", "--json").json["hits"]
    assert {name: value for name, value in hit.items() if name != "at"} == {
        "run_id": "r", "version": 1, "call": 2, "record": 2, "attempt": 1, "seq": 2, "role": "assistant",
        "snippet": "⟦On the beach⟧.\x1b[31m",
    }  # fmt: skip
    assert r"⟦On the beach⟧.\x1b[31m" in pawl("search", '"on the beach"').out


def test_a_search_is_newest_first_and_counted(pawl: Pawl) -> None:
    told = pawl("search", "ice", "--json").json
    assert [(hit["call"], hit["seq"], hit["role"]) for hit in told["hits"]] == [
        (1, 4, "assistant"), (1, 3, "tool"),
    ]  # fmt: skip
    told = pawl("search", "ice", "--limit", "1", "--json").json
    assert ([hit["seq"] for hit in told["hits"]], told["limit"]) == ([4], 1)


@pytest.mark.parametrize("words", ["narwhal", '"', "* OR (", "walrus NOT sleep AND", "\N{SEAL}"])
def test_nothing_found_is_no_error(pawl: Pawl, words: str) -> None:
    done = pawl("search", words)
    assert (done.code, done.out, done.err) == (0, "Nothing found.\n", "")
    assert pawl("search", words, "--json").json == {"hits": [], "limit": 50}


def test_a_search_in_a_run_that_is_not_there(pawl: Pawl) -> None:
    done = pawl("search", "walrus", "--run", "q", "--json")
    assert done.code == 2
    assert json.loads(done.out or done.err)["error"]["code"] == "unknown_run"


def test_a_search_where_nothing_was_run_yet(tmp_path: Path) -> None:
    done = Pawl(tmp_path / "empty")("search", "walrus")
    assert (done.code, done.out) == (0, "Nothing found.\n")


def test_what_was_exported_and_deleted_is_found_again_where_it_was_imported(pawl: Pawl, tmp_path: Path) -> None:
    file = str(tmp_path / "r.pawl")
    assert pawl("export", "r", "-o", file).code == 0
    other = Pawl(tmp_path / "other")
    assert other("import", file).code == 0
    assert [hit["seq"] for hit in other("search", "ice", "--json").json["hits"]] == [4, 3]
    assert other("verify").code == 0
    assert other("delete", "r").code == 0
    assert other("search", "ice").out == "Nothing found.\n"
