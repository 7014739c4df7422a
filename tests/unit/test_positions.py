"""engine/positions.py: offsets, excerpts, and stacks of both engines as they really look."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scripts import META
from support.tiny_library import TEXT

from engine.positions import EXCERPT_WIDTH, Frame, SourceText, Span, own_frames, thrown_at
from sandbox import Limits, Sandbox


def here(line: int) -> tuple[int | None, int]:
    """All lines below 1,000 are of code 1; above, our library's."""
    return (1, line) if line < 1000 else (None, line - 1000)


SOURCE = SourceText("one\ntwo();\n\tthree(\u00e9, x)\n", "w.js")


def test_lines() -> None:
    assert [SOURCE.line(number) for number in range(6)] == ["", "one", "two();", "\tthree(\u00e9, x)", "", ""]
    assert SOURCE.line_count == 4


def test_a_column_counts_characters_not_bytes() -> None:
    at = SOURCE.data.index(b"x)")
    assert SOURCE.span(at, at + 1) == Span(3, 11, 3, 12)


def test_an_excerpt_keeps_tabs_so_that_the_caret_stands_right() -> None:
    assert str(SOURCE.excerpt(Span(3, 2, 3, 7))) == "\tthree(\u00e9, x)\n\t^^^^^"


def test_a_wide_character_takes_two_columns() -> None:
    source = SourceText("f('\u65e5\u672c', x)", "w.js")
    at = source.data.index(b"x")
    assert source.excerpt(source.span(at, at + 1)).caret == " " * 10 + "^"


def test_a_place_of_several_lines_underlines_the_first() -> None:
    assert str(SOURCE.excerpt(Span(2, 1, 3, 4))) == "two();\n^^^^^^"


def test_a_long_line_is_cut_around_the_place() -> None:
    source = SourceText("a" * 500 + "X" + "b" * 500, "w.js")
    excerpt = source.excerpt(Span(1, 501, 1, 502))
    assert len(excerpt.text) == EXCERPT_WIDTH
    assert excerpt.text[excerpt.caret.index("^")] == "X"


def test_control_characters_are_not_shown() -> None:
    assert SourceText("a\x1b[31mb", "w.js").excerpt(Span(1, 1, 1, 2)).text == "a\ufffd[31mb"


@given(st.text(max_size=80), st.integers(0, 200), st.integers(0, 200))
def test_every_place_has_an_excerpt(text: str, start: int, length: int) -> None:
    text = text.encode("utf-8", "replace").decode().replace("\r", "\n")
    source = SourceText(text, "w.js")
    span = source.span(start, start + length)
    assert 1 <= span.line <= span.end_line <= source.line_count
    assert 1 <= span.column <= len(source.line(span.line)) + 1
    assert "^" in source.excerpt(span).caret


FILES = {1: SourceText("\n" * 20, "w.js")}


@pytest.mark.parametrize(
    ("stack", "frames"),
    [
        # QuickJS of 2021
        (
            "    at f (<input>:4)\n    at <anonymous> (<input>:2)\n    at <eval> (<input>:22)\n",
            [Frame("f", "w.js", 4, None), Frame(None, "w.js", 2, None)],
        ),
        # no line where the throwing line is the first of its function: the call's line stands in the next frame
        (
            "    at foo (<input>)\n    at <anonymous> (<input>:2)\n    at <eval> (<input>:4)\n",
            [Frame("foo", "w.js", None, None), Frame(None, "w.js", 2, None)],
        ),
        # a callback of a built-in, and of our library
        (
            "    at f (<input>)\n    at map (native)\n    at <anonymous> (<input>:3)\n",
            [Frame("f", "w.js", None, None), Frame(None, "w.js", 3, None)],
        ),
        ("    at inner (<input>)\n    at parallel (<input>:1007)\n    at <anonymous> (<input>:5)\n",
         [Frame(None, "w.js", 5, None)]),
        # quickjs-ng
        ("    at f (<input>:4:11)\n    at <anonymous> (<input>:2:1)\n",
         [Frame("f", "w.js", 4, None), Frame(None, "w.js", 2, 1)]),
        ("    at <input>:4\n", [Frame(None, "w.js", 4, None)]),
        # lines that the file does not have, and what is no frame
        ("    at f (<input>:900)\n    at g (<input>:3)\n", [Frame("g", "w.js", 3, None)]),
        ("Error: at f (<input>:3)\nat\n    at f (other:3)\n    at f (<input>:-1)\n", []),
        ("", []),
    ],
)  # fmt: skip
def test_S06_frames_are_the_scripts_own(stack: str, frames: list[Frame]) -> None:
    assert own_frames(stack, here, FILES) == frames


def test_S06_a_frame_in_words() -> None:
    assert str(Frame("f", "w.js", 4, None)) == "f() at w.js:4"
    assert str(Frame("f", "w.js", None, None)) == "f() in w.js"
    assert str(Frame(None, "w.js", 4, None)) == "the script at w.js:4"


@given(st.text(alphabet=" at(<input>:)0123456789\nf", max_size=200))
def test_S06_a_forged_stack_gives_no_line_that_the_file_does_not_have(stack: str) -> None:
    for frame in own_frames(stack, here, FILES):
        assert frame.line is None or 1 <= frame.line <= 21


def test_S06_a_forged_name_cannot_reach_the_terminal() -> None:
    frames = own_frames("    at \x1b[2J (<input>:3)\n", here, FILES)
    assert frames == [Frame("\ufffd[2J", "w.js", 3, None)]


def test_a_huge_stack_is_cut() -> None:
    assert len(own_frames("    at f (<input>:3)\n" * 100_000, here, FILES)) == 20


async def thrown(body: str) -> dict[str, object]:
    """What `thrown_at` says of a script that threw in the real sandbox."""
    source = SourceText(META + body, "w.js")
    sandbox = Sandbox.spawn(Limits(), [("tiny.js", TEXT)])
    try:
        await sandbox.compile(1, source.text)
        await sandbox.start(1, b"{}")
        ops: list[list[object]] = []
        while True:
            chunk = await sandbox.next_chunk()
            ops += json.loads(chunk.ops)
            if chunk.idle:
                break
        end = next(op for op in ops if op[0] == "end")
        assert end[1] is False
        frames = own_frames(str(end[3]), sandbox.locate, {1: source})
        return thrown_at(frames, {1: source})
    finally:
        await sandbox.close()


async def test_S06_a_throw_has_its_line_and_excerpt() -> None:
    fields = await thrown("const f = (x) => {\n  return x.y.z\n}\nf({})\n")
    assert (fields["file"], fields["line"], fields["function"]) == ("w.js", 3, "f")
    assert str(fields["excerpt"]).split("\n")[0] == "  return x.y.z"


async def test_S06_a_throw_without_a_line_names_the_function_and_where_it_was_called() -> None:
    fields = await thrown("const a = 1\nfunction first(x) { return x.y.z }\n\nfirst({})\n")
    assert fields["function"] == "first"
    assert fields["line"] in (3, 5)  # 5 is the call: where QuickJS of 2021 knows no better; quickjs-ng knows the line
    line = str(fields["excerpt"]).split("\n")[0]
    assert line == {3: "function first(x) { return x.y.z }", 5: "first({})"}[int(str(fields["line"]))]


async def test_S06_a_throw_after_an_await_has_its_own_line() -> None:
    fields = await thrown("const f = async () => {\n  await 0\n  null.x\n}\nawait f()\n")
    assert (fields["line"], fields["function"]) == (4, "f")
