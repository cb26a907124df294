//! The tables of a catalog.
//!
//! Row numbers of chunks are dense from 1 and fit 32 bits, so that a set of chunks is a bitmap. Byte counts and times are
//! 64-bit; ids are blobs. A chunk that nothing stored yet but that a node names is a row in state absent. An
//! expired snapshot keeps its row, without a root: history of use and the chain of receipts go on.

use crate::catalog::{damage, facts, scrubs};

/// Version of the schema, kept in `user_version`.
pub const VERSION: i64 = 2;

/// Makes an empty catalog: the lists of each area.
pub const CREATE: &[&str] = &[BASE, damage::TABLES, facts::TABLES, scrubs::TABLES];

/// Chunks, nodes, packs, sessions, snapshots and what is counted.
const BASE: &str = "
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO meta VALUES ('closure_epoch', 1), ('received_at_ns', 0), ('upkeep_runs', 0);

CREATE TABLE scopes (
    row INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE
);

CREATE TABLE sessions (
    row INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    agent BLOB NOT NULL,
    scope INTEGER NOT NULL,
    source BLOB NOT NULL,
    kind INTEGER NOT NULL,
    set_version INTEGER NOT NULL,
    parent BLOB,
    opened_at_ns INTEGER NOT NULL,
    touched_at_ns INTEGER NOT NULL,
    state INTEGER NOT NULL,
    sent_bytes INTEGER NOT NULL,
    envelope BLOB NOT NULL
);
CREATE INDEX sessions_open ON sessions (touched_at_ns) WHERE state = 0;

CREATE TABLE packs (
    row INTEGER PRIMARY KEY,
    name BLOB UNIQUE,
    kind INTEGER NOT NULL,
    state INTEGER NOT NULL,
    salt BLOB NOT NULL,
    bytes INTEGER NOT NULL,
    session INTEGER NOT NULL,
    emptied_at_ns INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX packs_not_published ON packs (state) WHERE state <> 1;

CREATE TABLE chunks (
    row INTEGER PRIMARY KEY,
    scope INTEGER NOT NULL,
    id BLOB NOT NULL,
    state INTEGER NOT NULL,
    kind INTEGER NOT NULL DEFAULT 0,
    class INTEGER NOT NULL DEFAULT 1,
    pack INTEGER,
    offset INTEGER NOT NULL DEFAULT 0,
    frame_bytes INTEGER NOT NULL DEFAULT 0,
    plain_bytes INTEGER NOT NULL DEFAULT 0,
    session INTEGER NOT NULL DEFAULT 0,
    charged INTEGER NOT NULL DEFAULT 0,
    checksum BLOB
);
CREATE UNIQUE INDEX chunks_id ON chunks (scope, id);
CREATE INDEX chunks_pack ON chunks (pack);

CREATE TABLE nodes (
    row INTEGER PRIMARY KEY,
    children BLOB NOT NULL,
    complete INTEGER NOT NULL
);

CREATE TABLE uncommitted (
    row INTEGER PRIMARY KEY
);

CREATE TABLE reached (
    session BLOB PRIMARY KEY,
    day TEXT NOT NULL,
    received_at_ns INTEGER NOT NULL UNIQUE,
    changed_bytes INTEGER NOT NULL,
    relaid_bytes INTEGER NOT NULL,
    reseed_bytes INTEGER NOT NULL,
    initial_bytes INTEGER NOT NULL,
    node_bytes INTEGER NOT NULL,
    first_reached INTEGER NOT NULL,
    exact INTEGER NOT NULL,
    lowest INTEGER NOT NULL,
    highest INTEGER NOT NULL,
    chunks BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE snapshots (
    row INTEGER PRIMARY KEY,
    session BLOB NOT NULL UNIQUE,
    scope INTEGER NOT NULL,
    agent BLOB NOT NULL,
    source BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    state INTEGER NOT NULL,
    root INTEGER NOT NULL,
    day TEXT NOT NULL,
    received_at_ns INTEGER NOT NULL UNIQUE,
    changed_bytes INTEGER NOT NULL,
    relaid_bytes INTEGER NOT NULL,
    reseed_bytes INTEGER NOT NULL,
    node_bytes INTEGER NOT NULL,
    stored_bytes INTEGER NOT NULL,
    sent_bytes INTEGER NOT NULL,
    reachable_bytes INTEGER NOT NULL,
    first INTEGER NOT NULL,
    initial_bytes INTEGER NOT NULL,
    counted_bytes INTEGER NOT NULL,
    allowed_bytes INTEGER,
    claimed_bytes INTEGER NOT NULL,
    digest BLOB NOT NULL,
    receipt BLOB NOT NULL,
    verified_at_ns INTEGER NOT NULL DEFAULT 0,
    expired_at_ns INTEGER NOT NULL DEFAULT 0,
    UNIQUE (source, sequence)
);

CREATE TABLE days (
    day TEXT NOT NULL,
    source BLOB NOT NULL,
    received_at_ns INTEGER NOT NULL,
    changed_bytes INTEGER NOT NULL,
    relaid_bytes INTEGER NOT NULL,
    reseed_bytes INTEGER NOT NULL,
    initial_bytes INTEGER NOT NULL,
    node_bytes INTEGER NOT NULL,
    chunks INTEGER NOT NULL,
    stored_bytes INTEGER NOT NULL,
    sent_bytes INTEGER NOT NULL,
    reachable_bytes INTEGER NOT NULL,
    files_new INTEGER NOT NULL,
    files_changed INTEGER NOT NULL,
    files_deleted INTEGER NOT NULL,
    complete INTEGER NOT NULL,
    partial INTEGER NOT NULL,
    counted_bytes INTEGER NOT NULL,
    allowed_bytes INTEGER,
    PRIMARY KEY (day, source)
) WITHOUT ROWID;
CREATE INDEX days_of_source ON days (source, day);

CREATE TABLE baselines (
    source BLOB PRIMARY KEY,
    session BLOB NOT NULL,
    bytes INTEGER NOT NULL,
    day TEXT NOT NULL,
    received_at_ns INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE reseeds (
    source BLOB PRIMARY KEY,
    received_at_ns INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE trash_epochs (
    epoch INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ns INTEGER NOT NULL,
    newest_session INTEGER NOT NULL
);
CREATE TABLE trash (
    part INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    rows BLOB NOT NULL,
    PRIMARY KEY (part, epoch)
) WITHOUT ROWID;

CREATE TABLE closures (
    source BLOB PRIMARY KEY,
    reachable_bytes INTEGER NOT NULL,
    chunks BLOB NOT NULL
);
";
