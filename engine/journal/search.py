"""Full-text search in what subagents said and did: an FTS5 table beside the turns, filled in the same commit.

The index keeps the text that people read, once more: prompts, answers, tool calls, results; the first 64 KiB of each.
Without its own copy (a "contentless" table) it would be a quarter as large, but could show no snippets, and would need
the old text of a row to forget it (SQLite 3.43 and newer do without; older ones are still common).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

import orjson

from engine.journal.codec import RUN_SHIFT
from engine.jsontext import widened
from engine.values import FOUND_MARKS, Found, TurnRow

INDEXED_CHARACTERS = 64 << 10
"""Of one turn. More is a file or a log that a tool printed; its beginning is what people search for."""

SNIPPET_WORDS = 16


def text_of(turn: TurnRow) -> str:
    """What people read of a turn: its text, and the tool calls in it."""
    try:
        body = orjson.loads(turn.body)
    except orjson.JSONDecodeError:  # half of a surrogate pair, escaped: it is JSON, and no text that SQLite takes
        body = orjson.loads(widened(json.loads(turn.body)))
    parts = [str(body.get("text") or "")]
    if turn.role == "tool":
        parts.insert(0, str(body.get("name") or ""))
    for call in body.get("calls") or ():
        parts.append(f"{call.get('name')} {orjson.dumps(call.get('args')).decode()}")
    return "\n".join(part for part in parts if part)[:INDEXED_CHARACTERS]


def add(connection: sqlite3.Connection, rows: Iterable[tuple[int, str]]) -> None:
    """Puts texts into the index, by the ids of their turns. Part of the transaction that writes the turns."""
    connection.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", rows)


def forget(connection: sqlite3.Connection, span: tuple[int, int]) -> int:
    """Takes the texts of a run out of what is found; returns how many there were."""
    return connection.execute("DELETE FROM words WHERE rowid BETWEEN ? AND ?", span).rowcount


def purge(connection: sqlite3.Connection) -> None:
    """Takes what was forgotten out of the file: FTS5 only marks it until it writes its parts together."""
    connection.execute("INSERT INTO words (words) VALUES ('optimize')")


def query_of(words: str) -> str | None:
    """FTS5's form of what a person typed: all words must occur, `"a phrase"` as it stands, `begin*` as a beginning.

    Whatever else is typed is text, never an operator. None when nothing is left to look for.
    """
    terms: list[str] = []
    for at, piece in enumerate(words.replace("\0", " ").split('"')):
        if at % 2:  # inside quotes; an unclosed one ends with the text
            terms += [_quoted(piece)] if _has_word(piece) else []
            continue
        for word in piece.split():
            stem = word.rstrip("*")
            if _has_word(stem):
                terms.append(_quoted(stem) + ("*" if stem != word else ""))
    return " ".join(terms) or None


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""').encode("utf-8", "replace").decode() + '"'


def _has_word(text: str) -> bool:
    return any(character.isalnum() for character in text)


def matches(
    connection: sqlite3.Connection, words: str, *, span: tuple[int, int] | None = None, limit: int
) -> list[tuple[int, str]]:
    """Ids of turns with a snippet each, newest first."""
    query = query_of(words)
    if query is None:
        return []
    low, high = span or (0, (1 << 63) - 1)
    return connection.execute(
        f"SELECT rowid, snippet(words, 0, '{FOUND_MARKS[0]}', '{FOUND_MARKS[1]}', '…', {SNIPPET_WORDS})"
        " FROM words WHERE words MATCH ? AND rowid BETWEEN ? AND ? ORDER BY rowid DESC LIMIT ?",
        (query, low, high, limit),
    ).fetchall()


def find(connection: sqlite3.Connection, words: str, *, span: tuple[int, int] | None = None, limit: int) -> list[Found]:
    """The turns behind `matches`. `span`: the ids of one run; None is all."""
    found = []
    for row_id, snippet in matches(connection, words, span=span, limit=limit):
        row = connection.execute(
            "SELECT r.run_id, t.version, t.call, t.attempt, t.seq, t.role, t.at FROM turns t"
            f" JOIN runs r ON r.run = t.id >> {RUN_SHIFT} WHERE t.id = ?",
            (row_id,),
        ).fetchone()
        if row is not None:
            found.append(Found._make((*row, snippet)))
    return found
