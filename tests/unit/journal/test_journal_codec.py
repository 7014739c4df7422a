"""The canonical form and its checksum: what every stored record is proved by."""

from __future__ import annotations

import json
import math
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.journals import LARGE_TEXT, call_row, new_version, settlement_row, version_end

from engine.errors import EngineBug
from engine.journal import codec, schema

COLUMN = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(max_size=64),
)
ROW = st.lists(COLUMN, min_size=len(codec.COLUMNS["calls"]), max_size=len(codec.COLUMNS["calls"])).map(tuple)


def test_the_canonical_form_is_as_documented() -> None:
    columns = (1, 2, "ü", b"\x01\xff", None)
    text = codec.canonical("retired", "run-1", 7, columns)
    assert text == '["retired","run-1",7,1,2,"ü",["01ff"],null]'.encode()
    assert codec.checksum(text) == blake2b(b"pawl1\n" + text, digest_size=16).digest()


def test_a_float_is_its_exact_hexadecimal_text() -> None:
    columns = codec.Encoder(1, "r", 1).settlement(settlement_row(1, cost_usd=0.1))
    assert json.loads(codec.canonical("settlements", "r", 1, columns))[14] == "0x1.999999999999ap-4"


@given(ROW)
def test_columns_come_back_from_the_canonical_form(row: codec.Columns) -> None:
    table, run_id, place, *columns = json.loads(codec.canonical("calls", "run-1", 3, row))
    assert (table, run_id, place) == ("calls", "run-1", 3)
    assert codec.revived("calls", columns) == row


@given(ROW, ROW)
def test_two_rows_share_a_canonical_form_only_when_they_are_equal(one: codec.Columns, two: codec.Columns) -> None:
    def typed(row: codec.Columns) -> list[object]:
        return [(type(column), column) for column in row]

    same = codec.canonical("calls", "r", 1, one) == codec.canonical("calls", "r", 1, two)
    assert same == (typed(one) == typed(two))


@given(ROW)
def test_the_quick_check_agrees_with_the_plain_one(row: codec.Columns) -> None:
    digest = codec.checksum(codec.canonical("calls", "r", 9, row))
    full = ((5 << codec.RUN_SHIFT) + 9, *row, digest)
    assert codec.prover("calls", "r")(full)
    assert not codec.prover("calls", "s")(full)
    assert not codec.prover("calls", "r")((full[0] + 1, *full[1:]))


@pytest.mark.parametrize("cost", [0.0, -0.0, 1e-300, 0.1, 1e22, math.inf])
def test_the_quick_check_knows_the_float(cost: float) -> None:
    encoder = codec.Encoder(1, "r", 1)
    full = encoder.sealed("settlements", 2, encoder.settlement(settlement_row(1, cost_usd=cost)))
    assert codec.prover("settlements", "r")(full)
    text = codec.canonical("settlements", "r", 2, full[1:-1])
    assert codec.revived("settlements", json.loads(text)[3:]) == full[1:-1]


def test_what_is_large_or_no_text_is_stored_by_hash() -> None:
    encoder = codec.Encoder(1, "r", 1)
    assert encoder.text(b"x" * codec.LARGE) == "x" * codec.LARGE
    assert encoder.stored == {}
    digest = encoder.text(b"x" * (codec.LARGE + 1))
    binary = encoder.text(b"\xff\x00")
    assert encoder.stored == {digest: b"x" * (codec.LARGE + 1), binary: b"\xff\x00"}


def test_a_stored_value_is_proved_when_it_is_unpacked() -> None:
    encoder = codec.Encoder(1, "r", 1)
    digest = encoder.text(LARGE_TEXT)
    assert isinstance(digest, bytes)
    packed = codec.pack(LARGE_TEXT)
    assert codec.unpack(digest, len(LARGE_TEXT), packed) == LARGE_TEXT
    for size, data, problem in (
        (len(LARGE_TEXT) - 1, packed, "does not match its hash"),
        (len(LARGE_TEXT), codec.pack(LARGE_TEXT[:-1]), "does not match its hash"),
        (len(LARGE_TEXT), packed[:-9], "does not match its hash"),
        (1 << 40, packed, "is too large (1099511627776 bytes)"),
    ):
        with pytest.raises(ValueError, match=r"match|large") as caught:
            codec.unpack(digest, size, data)
        assert str(caught.value) == problem
    with pytest.raises(ValueError, match="cannot be decompressed"):
        codec.unpack(digest, 5, b"no zlib")


def test_a_row_that_no_column_can_hold_is_our_bug() -> None:
    encoder = codec.Encoder(1, "r", 1)
    with pytest.raises(EngineBug) as caught:
        encoder.sealed("calls", 1, encoder.call(call_row(1, label={"a"})))
    assert caught.value.message == "a row holds set, which is no column"


def test_versions_and_ends_come_back() -> None:
    encoder = codec.Encoder(1, "r", 4)

    def read(columns: codec.Columns, table: str) -> list[object]:
        names = codec.COLUMNS[table]
        return [
            column.encode() if name in codec.TEXTS[table] and isinstance(column, str) else column
            for name, column in zip(names, columns, strict=True)
        ]

    end = version_end(error={"code": "ü"}, degraded=True)
    assert codec.version_end(read(encoder.end(end), "ends")) == end
    new = new_version()
    info = codec.version_info(read(encoder.new_version(new), "versions"), end)
    assert (info.version, info.script, info.permissions, info.end) == (4, new.script, new.permissions, end)


def test_json_that_no_utf_8_can_hold_is_escaped() -> None:
    assert codec.json_text({"b": "ü", "a": 1}) == '{"a":1,"b":"ü"}'.encode()
    assert codec.json_text("\ud83d") == b'"\\ud83d"'


def test_every_column_is_in_the_schema_and_the_other_way_round() -> None:
    import sqlite3

    db = sqlite3.connect(":memory:")
    for file in schema.migrations():
        for statement in schema.statements(file.read_text()):
            db.execute(statement)
    for table, columns in codec.COLUMNS.items():
        assert [row[1] for row in db.execute(f"PRAGMA table_info({table})")] == ["id", *columns, "sum"]
    for table, texts in codec.TEXTS.items():
        types = {row[1]: row[2] for row in db.execute(f"PRAGMA table_info({table})")}
        assert {types[name] for name in texts} == {""}, "a declared type would make SQLite convert values"
    db.close()


def test_migrations_are_numbered_without_a_hole() -> None:
    assert [int(file.name[:4]) for file in schema.migrations()] == list(range(1, schema.newest_format() + 1))


def test_a_statement_may_span_lines_and_carry_comments() -> None:
    script = "-- one; two\nCREATE TABLE a (\n  x -- y;\n);\nSELECT 1;\n"
    assert schema.statements(script) == ["CREATE TABLE a (\n  x\n);", "SELECT 1;"]
    with pytest.raises(ValueError, match="unfinished statement: SELECT 2"):
        schema.statements("SELECT 1;\nSELECT 2")
