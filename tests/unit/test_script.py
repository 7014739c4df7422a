"""engine/script.py and engine/checks.py: bytes to text, reports, what a calling script may see of an error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scripts import META, inspected, report

from engine.errors import ScriptError
from engine.script import decode, parser_failure, without_text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"a\r\nb\rc\nd", "a\nb\nc\nd"),
        (b"\xef\xbb\xbfa", "a"),
        ("é\u2028ü".encode(), "é\u2028ü"),
        (b"a\xef\xbb\xbfb", "a\ufeffb"),
    ],
)
def test_decode(data: bytes, text: str) -> None:
    assert decode(data, "w.js") == text


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        (b"\xff\xfea\0b\0", "encoding", "w.js: the script is UTF-16, not UTF-8"),
        (b"\xfe\xff\0a\0b", "encoding", "w.js: the script is UTF-16, not UTF-8"),
        (b"\xff\xfe\0\0a\0\0\0", "encoding", "w.js: the script is UTF-32, not UTF-8"),
        ("return 1;".encode("utf-16-le"), "encoding", "w.js: this is UTF-16, not a script in UTF-8"),
        (b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0", "encoding", "w.js: this is binary, not a script in UTF-8"),
        (b"let a = 1\n  \0 b", "encoding", "w.js:2:3: a NUL character stands here (byte 13)"),
        (b"// \xe9\n", "encoding", "w.js:1:4: byte 0xe9 is not UTF-8 (byte 4)"),
        (b"a\r\n\xed\xa0\x80", "encoding", "w.js:2:1: byte 0xed is not UTF-8 (byte 4)"),  # a surrogate, as CESU has it
        (b"", "syntax", "w.js: the script is empty"),
        (b"\xef\xbb\xbf \r\n\t", "syntax", "w.js: the script is empty"),
    ],
)
def test_S14_what_is_no_text_is_refused_with_its_place(data: bytes, code: str, message: str) -> None:
    with pytest.raises(ScriptError) as caught:
        decode(data, "w.js")
    assert (caught.value.message, caught.value.code, caught.value.exit_code) == (message, code, 2)
    assert caught.value.hint


def test_S14_the_limit_is_a_setting() -> None:
    assert decode(b"x" * 20, "w.js", max_bytes=20) == "x" * 20
    with pytest.raises(ScriptError, match=r"w\.js: the script has 21 bytes; allowed are 20"):
        decode(b"x" * 21, "w.js", max_bytes=20)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_text_or_a_clear_error(data: bytes) -> None:
    error, text = None, ""
    try:
        text = decode(data, "w.js")
    except ScriptError as refused:
        error = refused
    assert error is None or (error.code in ("encoding", "syntax") and error.message.startswith("w.js:"))
    assert "\r" not in text and "\0" not in text
    text.encode()


async def test_the_report_lists_all_problems_in_the_order_of_the_text() -> None:
    text = "export const meta = { name: '', description: 'd', limit: 1 };\nimport a from 'b';\nrequire('x');\n"
    found = await report(text)
    assert [(one.line, one.column, one.severity, one.code) for one in found.diagnostics] == [
        (1, 29, "error", "meta_required"),
        (1, 51, "warning", "meta_unknown_key"),
        (2, 1, "error", "import"),
        (3, 1, "error", "require"),
    ]
    assert not found.is_ok


async def test_the_report_as_json() -> None:
    found = (await report("export const meta = { name: 'n', description: 'd', modle: 'x' };\nreturn 1")).to_json()
    assert found == {
        "file": "w.js",
        "ok": True,
        "errors": 0,
        "warnings": 1,
        "more": 0,
        "name": "n",
        "problems": [
            {
                "severity": "warning",
                "code": "meta_unknown_key",
                "message": "meta has no member `modle`; it is ignored. Did you mean `model`?",
                "line": 1,
                "column": 52,
                "end_line": 1,
                "end_column": 57,
                "excerpt": "export const meta = { name: 'n', description: 'd', modle: 'x' };",
                "caret": " " * 51 + "^^^^^",
                "hint": "Known members: name, description, whenToUse, phases, model, args, limits, permissions, dialect.",
                "rule": "S04",
            }
        ],
    }


async def test_the_report_for_people() -> None:
    assert (await report(META + "const a = 'x\nreturn a")).render() == (
        "w.js:2:11: error: The string that starts with this ' does not end on its line. The engine says: unexpected "
        "end of string. [S01]\n"
        "    const a = 'x\n"
        "              ^\n"
        "    Close it with ', or write text of several lines between backticks.\n"
        "w.js: 1 error"
    )
    assert (await report(META + "return 1")).render() == "w.js: ok"


async def test_at_most_200_problems_are_listed_and_the_rest_counted() -> None:
    found = await report(META + "require('x');\n" * 250)
    assert (len(found.diagnostics), found.more) == (200, 50)
    assert found.render().endswith("w.js: and 50 more\nw.js: 200 errors")


async def test_S44_what_a_calling_script_sees_quotes_nothing_of_the_file() -> None:
    with pytest.raises(ScriptError) as caught:
        (await inspected(META + "the secret is hunter2")).script()
    seen = without_text(caught.value, "other")
    assert seen.message == "the workflow 'other' has a syntax error (line 2, column 1)"
    assert seen.code == "syntax"
    assert "hunter2" not in repr(seen.to_json())
    assert "secret" not in repr(seen.to_json())


def test_a_text_that_the_parser_cannot_take() -> None:
    error = parser_failure("w.js", "it takes the parser more than 4 s of CPU time")
    assert error.message == "w.js: the script cannot be parsed: it takes the parser more than 4 s of CPU time"
    assert error.exit_code == 2
