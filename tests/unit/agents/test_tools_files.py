"""read_file, list_files, grep, edit_file, write_file: results and the words of failures."""

from __future__ import annotations

import asyncio
import os
import stat

import pytest
from support.toolboxes import opened

from engine.agents.tools import grep as grep_module
from engine.settings import ToolSettings

SMALL = ToolSettings(output_characters=1000)


async def test_reading_numbers_lines(tmp_path):
    (tmp_path / "a.txt").write_text("one\r\n\ntwo\nlast", newline="")
    async with opened(tmp_path) as box:
        result = await box.run("read_file", {"path": "a.txt"})
        assert (result.text, result.ok) == ("1\tone\n2\t\n3\ttwo\n4\tlast", True)
        result = await box.run("read_file", {"path": str(tmp_path / "a.txt"), "offset": 3, "limit": 1})
        assert result.text == "3\ttwo\n[lines 3 to 3 of 4; go on with offset 4]"
        result = await box.run("read_file", {"path": "a.txt", "offset": 9})
        assert (result.text, result.ok) == ("a.txt has 4 lines; line 9 is past its end.", False)


async def test_reading_a_long_file_stops_where_the_result_is_full(tmp_path):
    (tmp_path / "a.txt").write_text("".join(f"line {n}\n" for n in range(1, 1001)))
    async with opened(tmp_path, settings=SMALL) as box:
        text = (await box.run("read_file", {"path": "a.txt"})).text
        last = text.splitlines()[-1]
        assert last.startswith("[lines 1 to ") and len(text) <= 1000
        offset = int(last.removesuffix("]").split()[-1])
        assert (await box.run("read_file", {"path": "a.txt", "offset": offset})).text.startswith(
            f"{offset}\tline {offset}\n"
        )


async def test_a_huge_line_is_cut(tmp_path):
    (tmp_path / "a.txt").write_text("x" * 5000 + "\nend\n")
    async with opened(tmp_path) as box:
        text = (await box.run("read_file", {"path": "a.txt"})).text
        assert text == f"1\t{'x' * 2000} [… 3,000 characters cut …]\n2\tend"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("bin", "bin is a binary file (3 bytes)."),
        ("latin", "latin is not UTF-8 text (byte 1 of 2)."),
        ("folder", "folder is a folder. list_files shows what is in it."),
        ("pipe", "pipe is not a regular file (a pipe, socket or device)."),
        ("none", "none does not exist. list_files shows what is there."),
        ("a.txt/b", "a.txt/b: not a directory."),
        (".git/config", ".git/config: .git and .pawl are not there for file tools."),
        ("a\0b", "'a\\x00b' is not a path: it holds a NUL or half a character."),
        ("output:1", "There is no output:1: this task has 0 kept outputs."),
    ],
)
async def test_what_cannot_be_read_says_why(tmp_path, path, message):
    (tmp_path / "bin").write_bytes(b"a\0b")
    (tmp_path / "latin").write_bytes(b"a\xe9")
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.txt").write_text("")
    os.mkfifo(tmp_path / "pipe")
    async with opened(tmp_path) as box:
        result = await box.run("read_file", {"path": path})
        assert (result.text, result.ok) == (message, False)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({}, "expected the field 'path' (a string), found none"),
        ({"path": 5}, "field 'path': expected a string, found 5"),
        ({"path": ""}, "field 'path': expected a string that is not empty, found ''"),
        ({"path": "a", "ofset": 1}, "there is no field 'ofset'; did you mean 'offset'?"),
        ({"path": "a", "offset": 0}, "field 'offset': expected 1 or more, found 0"),
        ({"path": "a", "offset": True}, "field 'offset': expected a whole number, found True"),
        ("{broken", "expected arguments as an object, found '{broken'"),
        (None, "expected arguments as an object, found None"),
    ],
)
async def test_wrong_arguments_say_field_expected_and_found(tmp_path, args, message):
    async with opened(tmp_path) as box:
        result = await box.run("read_file", args)
        assert (result.text, result.ok) == (f"read_file: {message}. Call it again with that corrected.", False)


async def test_an_unknown_tool_and_one_that_was_left_out(tmp_path):
    async with opened(tmp_path, allowed=("read_file", "run_command(git:*)")) as box:
        assert [spec.name for spec in box.specs()] == ["read_file", "run_command"]
        result = await box.run("write_file", {"path": "a", "content": "b"})
        assert (result.text, result.ok) == (
            "There is no tool 'write_file'. Your tools are: read_file, run_command.",
            False,
        )
        result = await box.run("run_command", {"command": "rm x"})
        assert result.text == "run_command(rm x) is not among your tools, which have run_command(git:*)."


async def test_listing(tmp_path):
    for name in ("src/a.py", "src/deep/b.py", "node_modules/c.py", "top.md", ".hidden", ".git/x", "odd[1]{a,b}/d.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    async with opened(tmp_path) as box:

        async def listed(**args):
            return (await box.run("list_files", args)).text

        assert await listed() == ".hidden\nnode_modules/\nodd[1]{a,b}/\nsrc/\ntop.md\n[5 entries]"
        assert await listed(path="src") == "a.py\ndeep/\n[2 entries]"
        assert await listed(pattern="**/*.py") == "odd[1]{a,b}/d.py\nsrc/a.py\nsrc/deep/b.py\n[3 files]"
        assert await listed(path="odd[1]{a,b}", pattern="*.py") == "odd[1]{a,b}/d.py\n[1 files]"
        assert await listed(path="node_modules", pattern="*") == "node_modules/c.py\n[1 files]"
        assert await listed(pattern="*.rs") == "[no files match '*.rs' in .]"
        assert await listed(pattern="../*") == (
            "pattern '../*': expected one relative to path, without `..`. Set path instead."
        )
        assert await listed(path="top.md") == "top.md: not a directory."


async def test_grep(tmp_path):
    for name, text in {
        "a.py": "import os\nprint(1)\n", "src/b.py": "import sys\r\n", "c.txt": "IMPORT\n", ".venv/d.py": "import x\n",
        "bin": "\0import\n", ".github/e.yml": "import: yes\n",
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, newline="")
    async with opened(tmp_path) as box:

        async def found(**args):
            return (await box.run("grep", args)).text

        assert await found(pattern="^import") == "a.py:1:import os\n.github/e.yml:1:import: yes\nsrc/b.py:1:import sys"
        assert await found(pattern="import", glob="*.py") == "a.py:1:import os\nsrc/b.py:1:import sys"
        assert await found(pattern="import", ignore_case=True, path="c.txt") == "c.txt:1:IMPORT"
        assert await found(pattern="import", files_only=True, glob="src/**") == "src/b.py"
        assert await found(pattern="import", limit=1) == (
            "a.py:1:import os\n[more than 1: use a narrower pattern, path or glob]"
        )
        assert await found(pattern="nowhere", path="src") == "[no match in 1 files]"
        assert await found(pattern="(") == (
            "pattern: expected a Python regular expression, found '(': "
            "missing ), unterminated subpattern at position 0."
        )
        assert await found(pattern="x", path="none") == "none does not exist. list_files shows what is there."


async def test_grep_shows_nothing_of_files_that_may_not_be_read(tmp_path):
    (tmp_path / ".env").write_text("KEY=1\n")
    (tmp_path / "a").write_text("KEY=2\n")
    async with opened(tmp_path, deny=["read_file(.env)"]) as box:
        assert (await box.run("grep", {"pattern": "KEY"})).text == "a:1:KEY=2\n[1 files not searched: permission rules]"
        assert (await box.run("grep", {"pattern": "KEY", "path": ".env"})).text == (
            "[no match in 0 files]\n[1 files not searched: permission rules]"
        )


async def test_an_expression_that_never_ends_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(grep_module, "TIME_S", 0.5)
    (tmp_path / "a").write_text("a" * 40 + "b\n")
    async with opened(tmp_path) as box:
        result = await box.run("grep", {"pattern": "^(a+)+$"})
        assert (result.text, result.ok) == (
            "The search took longer than 0.5 s. Use a simpler pattern, a narrower path or glob.",
            False,
        )


async def test_editing(tmp_path):
    (tmp_path / "a.sh").write_text("one\ntwo\none\n")
    (tmp_path / "a.sh").chmod(0o750)
    async with opened(tmp_path) as box:

        async def edited(old, new, **more):
            return (await box.run("edit_file", {"path": "a.sh", "old_string": old, "new_string": new, **more})).text

        assert await edited("two\n", "2\n") == "Edited a.sh: 1 place, at line 2."
        assert await edited("one", "1") == (
            "old_string is in a.sh 2 times, at lines 1, 3. "
            "Give more lines around the one that is meant, or set replace_all."
        )
        assert await edited("one", "1", replace_all=True) == "Edited a.sh: 2 places, at line 1, 3."
        assert (tmp_path / "a.sh").read_text() == "1\n2\n1\n"
        assert stat.S_IMODE((tmp_path / "a.sh").stat().st_mode) == 0o750
        assert await edited("1", "1") == "old_string and new_string are the same: nothing would change."
        assert await edited("1\t1\n", "x") == (
            "old_string is not in a.sh. Leave out the line numbers and the tab behind them: they are not in the file."
        )


async def test_an_edit_that_misses_shows_the_nearest(tmp_path):
    (tmp_path / "a.py").write_text("def f():\n    return 1\n")
    async with opened(tmp_path) as box:

        async def missed(old):
            return (await box.run("edit_file", {"path": "a.py", "old_string": old, "new_string": "x"})).text

        assert await missed("def f():\n  return 1") == (
            "old_string is not in a.py. Lines with other white space are at line 1:\ndef f():\n    return 1"
        )
        assert await missed("    return 2") == "old_string is not in a.py. The nearest is line 2:\n    return 1"
        assert await missed("zzzzzzzz") == "old_string is not in a.py. Read the file again."


async def test_windows_line_ends_stay(tmp_path):
    (tmp_path / "a").write_bytes(b"one\r\ntwo\r\n")
    async with opened(tmp_path) as box:
        await box.run("edit_file", {"path": "a", "old_string": "one\ntwo", "new_string": "1\n2\n3"})
    assert (tmp_path / "a").read_bytes() == b"1\r\n2\r\n3\r\n"


async def test_writing(tmp_path):
    async with opened(tmp_path) as box:
        result = await box.run("write_file", {"path": "new/deep/a.txt", "content": "one\ntwo"})
        assert (result.text, result.ok) == ("Made new/deep/a.txt: 2 lines, 7 bytes.", True)
        result = await box.run("write_file", {"path": "new/deep/a.txt", "content": ""})
        assert result.text == "Replaced new/deep/a.txt: 0 lines, 0 bytes."
        result = await box.run("write_file", {"path": "new", "content": ""})
        assert (result.text, result.ok) == ("new is a folder. list_files shows what is in it.", False)
        result = await box.run("write_file", {"path": "a", "content": "\ud800"})
        assert result.text == "a: the content holds half a character (a lone surrogate)."
    assert os.listdir(tmp_path / "new/deep") == ["a.txt"]


async def test_edits_at_once_lose_none(tmp_path):
    """Each is whole, or says that another was quicker."""
    (tmp_path / "a").write_text("".join(f"<{n}>\n" for n in range(20)))
    async with opened(tmp_path) as box:

        async def edit(n):
            args = {"path": "a", "old_string": f"<{n}>", "new_string": f"[{n}]"}
            while not (result := await box.run("edit_file", args)).ok:
                assert result.text == "a changed while it was edited. Read it again."

        await asyncio.gather(*map(edit, range(20)))
    assert (tmp_path / "a").read_text() == "".join(f"[{n}]\n" for n in range(20))


async def test_a_rule_looks_at_where_a_path_leads(tmp_path):
    (tmp_path / ".env").write_text("KEY=1\n")
    (tmp_path / "innocent.txt").symlink_to(".env")
    async with opened(tmp_path, deny=["read_file(.env)", "write_file(.env)"]) as box:
        for path in ("innocent.txt", "./x/../.env", ".//.env", str(tmp_path / ".env")):
            result = await box.run("read_file", {"path": path})
            assert not result.ok and "KEY" not in result.text, path
        assert not (await box.run("write_file", {"path": "innocent.txt", "content": "x"})).ok
    assert (tmp_path / ".env").read_text() == "KEY=1\n"


async def test_what_is_cut_can_be_read_and_holds_no_secret(tmp_path):
    environ = {**os.environ, "MY_API_KEY": "very-secret-value"}
    async with opened(tmp_path, settings=SMALL, environ=environ) as box:
        command = "seq 999; echo customer-123456; printf 'very-secret'; echo '-value'"
        text = (await box.run("run_command", {"command": command})).text
        assert len(text) < 1200
        assert 'characters cut; read_file with path "output:1" and offset' in text
        text = (await box.run("read_file", {"path": "output:1", "offset": 999})).text
        assert text == "999\t999\n1000\t[secret:pattern]\n1001\t[secret:MY_API_KEY]"
        assert (await box.run("read_file", {"path": "output:2"})).text == (
            "There is no output:2: this task has 1 kept outputs."
        )
    kept = tmp_path.parent / f"{tmp_path.name}-outputs" / "1.txt"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
