-- Format 2: what subagents said and did, searchable, and the worktrees that they worked in.

CREATE TABLE turns (
  id      INTEGER PRIMARY KEY,
  version INTEGER NOT NULL,
  call    INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  seq     INTEGER NOT NULL,                       -- place in the conversation of the call, over its attempts
  role    TEXT NOT NULL,                          -- user, assistant, tool, session
  at      INTEGER NOT NULL,
  body        NOT NULL,                           -- (text)
  sum     BLOB NOT NULL
);

-- For an attempt that goes on from what its call said before: without it, each one would read the turns of the whole run.
CREATE INDEX turns_of_call ON turns (call);

CREATE TABLE worktrees (
  id      INTEGER PRIMARY KEY,
  version INTEGER NOT NULL,
  call    INTEGER NOT NULL,
  state   TEXT NOT NULL,                          -- made, removed, kept, merged, conflict
  path    TEXT NOT NULL,
  branch  TEXT NOT NULL,
  base    TEXT NOT NULL,
  at      INTEGER NOT NULL,
  body        NOT NULL,                           -- (text)
  sum     BLOB NOT NULL
);

-- The words of turns, by the id of their row. Made from the turns; holds nothing that they do not (engine/journal/search.py).
CREATE VIRTUAL TABLE words USING fts5 (text, tokenize = 'unicode61');
