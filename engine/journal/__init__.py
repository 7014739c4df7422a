"""Where everything durable lives: one SQLite file for many runs, and a stand-in without a disk.

`sqlite.SqliteJournal` and `memory.MemoryJournal` implement `engine.ports.Journal`; `tests/contract/test_journal.py`
holds both to it. Nothing is imported here, so that a run pays only for the journal it uses.
"""
