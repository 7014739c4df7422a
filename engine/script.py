"""Source bytes → a checked `Script`, or an error with its place. Pure: the parsing and compiling happen elsewhere.

Two children look at a text: the sandbox's own compiles it, which is the truth about whether it is a script; the parser
reads `meta` and knows columns. Here the two answers are put together (S01-S07, S14).
"""

from __future__ import annotations

from dataclasses import dataclass

from engine import meta as meta_module
from engine.checks import CheckReport, Diagnostic
from engine.errors import ScriptError
from engine.meta import Meta, MetaLimits, MetaProblem, Phase
from engine.options import UNSET
from engine.positions import SourceText, Span
from engine.values import Json
from sandbox.parsing import Found, Parsed

__all__ = [
    "CompileFailure",
    "Meta",
    "MetaLimits",
    "Phase",
    "Script",
    "check_args",
    "check_report",
    "checked",
    "decode",
    "parser_failure",
    "too_long",
    "without_text",
]

MAX_SOURCE_BYTES = 1 << 20
_BOMS = {b"\xff\xfe\0\0": "UTF-32", b"\0\0\xfe\xff": "UTF-32", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_EXPLAINED = ("unsupported_syntax", "typescript", "unopened", "unclosed", "missing", "syntax")
"""Codes of what the parser found at a place that the engine refused, best explanation first."""

_SEEN_LATE = ("unopened", "unclosed", "missing")
"""Of these, those that the engine may notice only at the end of the text."""


@dataclass(frozen=True, slots=True)
class CompileFailure:
    """What the engine said when it refused to compile. `line` is the file's own, from 1, or None."""

    message: str
    line: int | None


@dataclass(frozen=True, slots=True)
class Script:
    """A script that may run."""

    source: SourceText
    meta: Meta
    warnings: tuple[Diagnostic, ...] = ()

    @property
    def text(self) -> str:
        return self.source.text

    @property
    def file(self) -> str:
        return self.source.file


def decode(data: bytes, file: str, *, max_bytes: int = MAX_SOURCE_BYTES) -> str:
    """The text of a script: UTF-8, without a byte order mark, with `\\n` as its only line end.

    A carriage return means the same as a line feed wherever JavaScript allows one, so that nothing is lost, and the
    engine, the parser and an editor then count the same lines.

    Raises:
        ScriptError: `too_long`, `encoding` (binary, UTF-16, a byte that is not UTF-8, NUL), `syntax` (empty).
    """
    if len(data) > max_bytes:
        raise too_long(file, len(data), max_bytes)
    for mark, name in _BOMS.items():
        if data.startswith(mark):
            raise _encoding(file, f"the script is {name}, not UTF-8", "Save it as UTF-8.")
    at = data.find(b"\0")
    if at >= 0:
        if data[:200].count(b"\0") > 3:
            kind = "UTF-16" if data[1:2] == b"\0" or data[:1] == b"\0" else "binary"
            raise _encoding(file, f"this is {kind}, not a script in UTF-8", "Name a JavaScript file saved as UTF-8.")
        raise _encoding_at(file, data, at, "a NUL character stands here", "Remove it, or write \\0 in a string.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        what = f"byte 0x{data[error.start]:02x} is not UTF-8"
        raise _encoding_at(file, data, error.start, what, "Save the file as UTF-8.") from None
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise ScriptError(
            f"{file}: the script is empty",
            code="syntax",
            hint="A script starts with: export const meta = { name: '…', description: '…' };",
            file=file,
            line=1,
            column=1,
        )
    return text


def too_long(file: str, size_bytes: int, allowed_bytes: int) -> ScriptError:
    """The error for a text that is over the limit (S14)."""
    return ScriptError(
        f"{file}: the script has {size_bytes:,} bytes; allowed are {allowed_bytes:,}",
        code="too_long",
        hint="Move data into files or args, or raise the setting sandbox.source_bytes.",
        file=file,
        size_bytes=size_bytes,
        allowed_bytes=allowed_bytes,
    )


def without_text(error: ScriptError, shown: str) -> ScriptError:
    """The same refusal as a calling script may see it: where, but nothing that the file says (S44)."""
    line, column = error.fields.get("line"), error.fields.get("column")
    where = f" (line {line}, column {column})" if line else ""
    words = {
        "syntax": "has a syntax error",
        "meta": "has no valid meta",
        "forbidden": "uses import, export or require",
        "encoding": "is not UTF-8 text",
        "too_long": "is too long",
        "args": "does not accept these args",
    }
    what = words.get(error.code, "cannot be run")
    return ScriptError(
        f"the workflow {shown!r} {what}{where}",
        code=error.code,
        hint="`pawl check` on that file says more.",
        **({"line": line, "column": column} if line else {}),
    )


def checked(source: SourceText, parsed: Parsed, failure: CompileFailure | None) -> Script:
    """The script, when both children have nothing against it.

    Raises:
        ScriptError: the first error of the text (`syntax`, `meta`, `forbidden`), with its place and excerpt.
    """
    meta, diagnostics = _diagnose(source, parsed, failure)
    errors = [found for found in diagnostics if found.severity == "error"]
    if errors:
        # A meta that cannot be read often only follows from what the engine stumbled over.
        first = min(errors, key=lambda found: (found.code.startswith("meta"), found.line, found.column))
        raise first.to_error(source.file)
    assert meta is not None, "a script without meta has an error"
    return Script(source, meta, tuple(diagnostics))


def check_report(source: SourceText, parsed: Parsed, failure: CompileFailure | None) -> CheckReport:
    """Every problem of the text, in its order."""
    meta, diagnostics = _diagnose(source, parsed, failure)
    return CheckReport(source.file, tuple(diagnostics), meta.raw if meta else None, parsed.more)


def parser_failure(file: str, message: str) -> ScriptError:
    """The error for a text that the parser child could not take; `message` is its `ParserDied.message`."""
    return ScriptError(
        f"{file}: the script cannot be parsed: {message}",
        code="syntax",
        hint="Make the script smaller or less deeply nested; move data into files or args.",
        file=file,
    )


def check_args(meta: Meta, args: Json) -> None:
    """Holds `args` against `meta.args`. No args at all (`UNSET`) do where an empty object would.

    Raises:
        ScriptError: `args`, with the path of the first bad value in `fields["path"]`.
    """
    if meta.args_schema is None:
        return
    from engine.schemas import validator_for

    problem = validator_for(meta.args_schema).problem({} if args is UNSET else args)
    if problem is None:
        return
    given = "no args were given; " if args is UNSET else ""
    raise ScriptError(
        f"args do not fit the workflow {meta.name!r}: {given}{problem}",
        code="args",
        hint="Pass them with --args JSON; `meta.args` in the script is the JSON Schema that they must fit.",
        path=problem.removeprefix("at ").partition(": ")[0],
        workflow=meta.name,
    )


def _diagnose(
    source: SourceText, parsed: Parsed, failure: CompileFailure | None
) -> tuple[Meta | None, list[Diagnostic]]:
    diagnostics = [_from_found(source, found) for found in parsed.findings]
    if failure is not None and not _is_explained(source, diagnostics, failure):
        if parsed.broken:  # a tree that is broken may hide the meta that is there
            diagnostics = [found for found in diagnostics if found.code != "meta_missing"]
        diagnostics.append(_refused(source, parsed, failure))
    meta = None
    if parsed.meta is not None:
        meta, problems = meta_module.read(parsed.meta)
        problems += _schema_problems(meta)
        diagnostics += [_from_meta(source, parsed, problem) for problem in problems]
    diagnostics.sort(key=lambda found: (found.line, found.column))
    return meta, diagnostics


def _is_explained(source: SourceText, diagnostics: list[Diagnostic], failure: CompileFailure) -> bool:
    """Whether an error that the parser child is sure of stands where the engine stumbled: `import`, a bad meta."""
    return any(
        found.severity == "error"
        and found.code in ("import", "export", "meta_missing")
        and (failure.line is None or found.line <= failure.line <= found.end_line)
        and "import" not in failure.message
        and not (found.code == "meta_missing" and found.line == 1 and not _starts_with_export(source))
        for found in diagnostics
    )


def _starts_with_export(source: SourceText) -> bool:
    return source.text.lstrip().startswith("export")


def _refused(source: SourceText, parsed: Parsed, failure: CompileFailure) -> Diagnostic:
    """The engine's refusal, with the column and the reason that the parser has for the same line."""
    found = _explanation(source, parsed, failure)
    if found is not None:
        message, start, end = f"{found.message} The engine says: {failure.message}.", found.start, found.end
        if found.code == "syntax":  # the parser knows no better than where, and the engine may name the token
            message = f"Syntax error: {failure.message}."
            token = _token(failure).encode()
            line_end = source.data.find(b"\n", start)
            at = source.data.find(token, start, line_end if line_end >= 0 else len(source.data)) if token else -1
            start, end = (at, at + len(token)) if at >= 0 else (start, end)
        return Diagnostic.at(
            source, start, end,
            severity="error", code=found.code, message=message, hint=found.hint, rule=found.rule,
        )  # fmt: skip
    line = min(failure.line or 1, source.line_count)
    text = source.line(line)
    word = _token(failure)
    at = text.find(word) if word else -1
    if at < 0:
        at, word = len(text) - len(text.lstrip()), text.strip()
    if failure.line is not None and failure.line > source.line_count:  # it ended inside our wrapper
        at, word = len(text), ""
    excerpt = source.excerpt(Span(line, at + 1, line, at + len(word) + 1))
    message, end = f"Syntax error: {failure.message}.", at + max(1, len(word)) + 1
    return Diagnostic("error", "syntax", message, line, at + 1, line, end, *excerpt, "", "S01")


def _token(failure: CompileFailure) -> str:
    """The token that the engine's message ends with, as in `unexpected token in expression: '*'`."""
    return failure.message.rpartition(": '")[2].removesuffix("'") if failure.message.endswith("'") else ""


def _explanation(source: SourceText, parsed: Parsed, failure: CompileFailure) -> Found | None:
    """What the parser found on the line that the engine names; anywhere, when the engine ran past the end."""
    if failure.line is None:
        return min(parsed.broken, key=_rank, default=None)
    past_end = failure.line >= source.line_count or "unexpected end" in failure.message
    candidates = [
        found
        for found in parsed.broken
        if source.span(found.start, found.start).line == failure.line or (past_end and found.code in _SEEN_LATE)
    ]
    return min(candidates, key=_rank, default=None)


def _rank(found: Found) -> int:
    return _EXPLAINED.index(found.code) if found.code in _EXPLAINED else len(_EXPLAINED)


def _from_found(source: SourceText, found: Found) -> Diagnostic:
    return Diagnostic.at(
        source, found.start, found.end,
        severity="error" if found.severity == "error" else "warning",
        code=found.code, message=found.message, hint=found.hint, rule=found.rule,
    )  # fmt: skip


def _from_meta(source: SourceText, parsed: Parsed, problem: MetaProblem) -> Diagnostic:
    place = (parsed.keys if problem.is_key else parsed.places).get(problem.path)
    if place is None:
        place = parsed.places.get((), (0, 0))
    start, end = place
    if not problem.path:  # the whole literal may be long; its first bracket is enough
        end = min(end, start + 1)
    return Diagnostic.at(
        source, start, end,
        severity=problem.severity, code=problem.code, message=problem.message, hint=problem.hint, rule=problem.rule,
    )  # fmt: skip


def _schema_problems(meta: Meta) -> list[MetaProblem]:
    if meta.args_schema is None:
        return []
    from engine.schemas import BadSchema, check_schema

    try:
        check_schema(meta.args_schema)
    except BadSchema as error:
        if "the root must be an object" in error.message:  # true of an agent's answer; args may be anything
            return []
        pointer = str(error.fields.get("pointer", ""))
        message = f"meta.args cannot be used: {error.message}."
        return [
            MetaProblem("error", "S05", "meta_args", _path_of(meta.args_schema, pointer), False, message, error.hint)
        ]
    return []


def _path_of(schema: Json, pointer: str) -> tuple[str | int, ...]:
    """The path in `meta` of what a JSON pointer into `meta.args` names, as deep as it can be followed."""
    path: list[str | int] = ["args"]
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        key: str | int = int(name) if isinstance(schema, list) and name.isdigit() else name
        try:
            schema = schema[key]
        except (KeyError, IndexError, TypeError):
            break
        path.append(key)
    return tuple(path)


def _encoding(file: str, what: str, hint: str) -> ScriptError:
    return ScriptError(f"{file}: {what}", code="encoding", hint=hint, file=file)


def _encoding_at(file: str, data: bytes, at: int, what: str, hint: str) -> ScriptError:
    before = data[:at].decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    line = before.count("\n") + 1
    column = len(before) - (before.rfind("\n") + 1) + 1
    return ScriptError(
        f"{file}:{line}:{column}: {what} (byte {at + 1})",
        code="encoding", hint=hint, file=file, line=line, column=column,
    )  # fmt: skip
