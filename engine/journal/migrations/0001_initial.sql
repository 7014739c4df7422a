-- The journal, format 1. See docs/decisions/0003-journal.md for why it looks like this.
--
-- Rows of a run carry `id` = run number * 2^32 + place in the run's log. One count runs over all these tables, so the rows
-- of a run lie side by side without a second index, and a lost row is a hole in the count that `pawl verify` finds.
--
-- Columns marked (text) hold plain UTF-8 TEXT up to 64 KiB; above that a BLOB: the SHA-256 of a row in `stored`. They have
-- no type, so that SQLite converts nothing: the text 1.0 stays a text.
-- `sum` is BLAKE2b-128 over the row's canonical form (engine/journal/codec.py).

CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE runs (
  run        INTEGER PRIMARY KEY AUTOINCREMENT,   -- never used twice, so that a late owner of a deleted run writes nothing
  run_id     TEXT NOT NULL UNIQUE,
  name       TEXT NOT NULL,
  project    TEXT NOT NULL,
  created_at INTEGER NOT NULL,                    -- all times: milliseconds since 1970, UTC
  sum        BLOB NOT NULL
);

-- What changes about a run: its lease and its totals, written by every commit of its owner.
CREATE TABLE states (
  run           INTEGER PRIMARY KEY,
  fence         INTEGER NOT NULL,                 -- grows by one with each owner; a commit that finds another one fails
  version       INTEGER NOT NULL,                 -- the newest
  status        TEXT NOT NULL,                    -- running, waiting, or how the newest version ended
  host          TEXT,                             -- the owner; null when nobody drives the run
  boot          TEXT,
  pid           INTEGER,
  beat_at       INTEGER NOT NULL,
  degraded      INTEGER NOT NULL,
  active_ms     INTEGER NOT NULL,                 -- time driven, over all versions, up to beat_at
  input_tokens  INTEGER NOT NULL,                 -- paid over all versions
  output_tokens INTEGER NOT NULL,
  cost_usd      REAL NOT NULL,
  agents        INTEGER NOT NULL,                 -- agent calls dispatched over all versions
  last          INTEGER NOT NULL,                 -- place of the newest row in the run's log
  sum           BLOB NOT NULL
);

CREATE TABLE versions (
  id          INTEGER PRIMARY KEY,
  version     INTEGER NOT NULL,
  script          NOT NULL,                       -- (text)
  script_path TEXT,
  meta            NOT NULL,                       -- (text)
  args,                                           -- (text) null: none were given
  settings        NOT NULL,                       -- (text)
  engine          NOT NULL,                       -- (text)
  permissions TEXT NOT NULL,
  started_at  INTEGER NOT NULL,
  sum         BLOB NOT NULL
);

CREATE TABLE ends (
  id            INTEGER PRIMARY KEY,
  version       INTEGER NOT NULL,
  status        TEXT NOT NULL,
  result,                                         -- (text)
  error,                                          -- (text)
  degraded      INTEGER NOT NULL,
  counts        TEXT NOT NULL,
  input_tokens  INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cost_usd      REAL NOT NULL,
  active_ms     INTEGER NOT NULL,
  ended_at      INTEGER NOT NULL,
  sum           BLOB NOT NULL
);

CREATE TABLE calls (
  id         INTEGER PRIMARY KEY,
  version    INTEGER NOT NULL,
  call       INTEGER NOT NULL,
  number     INTEGER NOT NULL,
  kind       TEXT NOT NULL,
  lane       TEXT NOT NULL,
  key        BLOB NOT NULL,
  history    BLOB NOT NULL,
  occurrence INTEGER NOT NULL,
  label      TEXT,
  phase      TEXT,
  content        NOT NULL,                        -- (text) empty: the first row of the same call has it
  made_at    INTEGER NOT NULL,
  sum        BLOB NOT NULL
);

CREATE TABLE attempts (
  id         INTEGER PRIMARY KEY,
  version    INTEGER NOT NULL,
  call       INTEGER NOT NULL,
  attempt    INTEGER NOT NULL,
  backend    TEXT NOT NULL,
  model      TEXT,
  started_at INTEGER NOT NULL,
  sum        BLOB NOT NULL
);

CREATE TABLE settlements (
  id            INTEGER PRIMARY KEY,
  version       INTEGER NOT NULL,
  call          INTEGER NOT NULL,
  place         INTEGER NOT NULL,                 -- in the run's single order of delivery; 0: never delivered
  outcome       TEXT NOT NULL,
  value             NOT NULL,                     -- (text)
  reason        TEXT,
  error             NOT NULL,                     -- (text)
  backend       TEXT,
  model         TEXT,
  input_tokens  INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cost_usd      REAL NOT NULL,
  settled_at    INTEGER NOT NULL,
  meta              NOT NULL,                     -- (text)
  sum           BLOB NOT NULL
);

CREATE TABLE events (
  id      INTEGER PRIMARY KEY,
  version INTEGER NOT NULL,
  seq     INTEGER NOT NULL,
  kind    TEXT NOT NULL,
  at      INTEGER NOT NULL,
  body        NOT NULL,                           -- (text)
  sum     BLOB NOT NULL
);

CREATE TABLE deliveries (
  id       INTEGER PRIMARY KEY,
  version  INTEGER NOT NULL,
  position INTEGER NOT NULL,
  calls        NOT NULL,                          -- (text) JSON array of call numbers
  sum      BLOB NOT NULL
);

CREATE TABLE loads (
  id      INTEGER PRIMARY KEY,
  version INTEGER NOT NULL,
  ref     TEXT NOT NULL,
  name    TEXT NOT NULL,
  path    TEXT NOT NULL,
  script      NOT NULL,                           -- (text)
  error       NOT NULL,                           -- (text)
  sum     BLOB NOT NULL
);

CREATE TABLE retired (
  id      INTEGER PRIMARY KEY,
  version INTEGER NOT NULL,
  call    INTEGER NOT NULL,
  sum     BLOB NOT NULL
);

-- Messages to whoever drives a run, written by any process.
CREATE TABLE controls (
  control_id INTEGER PRIMARY KEY AUTOINCREMENT,
  run        INTEGER NOT NULL,
  kind       TEXT NOT NULL,
  call       INTEGER,
  value      TEXT NOT NULL,                       -- JSON
  created_at INTEGER NOT NULL,
  outcome    TEXT,                                -- null: not acted on yet
  sum        BLOB NOT NULL
);
CREATE INDEX controls_pending ON controls (run) WHERE outcome IS NULL;

-- Large values, each once. The hash is over the plain bytes and is their checksum.
CREATE TABLE stored (
  hash BLOB PRIMARY KEY,
  size INTEGER NOT NULL,
  data BLOB NOT NULL                              -- zlib
) WITHOUT ROWID;
