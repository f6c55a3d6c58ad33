-- What every service's database holds, whatever the service: outbox, audit chain, idempotency, data keys.

CREATE TABLE outbox (
    position INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    payload TEXT NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT;

-- Positions come from here and not from a sequence: they have no holes, and become visible in their own order.
CREATE TABLE outbox_head (id INTEGER PRIMARY KEY CHECK (id = 1), position INTEGER NOT NULL) STRICT;
INSERT INTO outbox_head VALUES (1, 0);

CREATE TABLE outbox_readers (name TEXT PRIMARY KEY, position INTEGER NOT NULL) STRICT;

CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    details TEXT NOT NULL,
    previous_hash BLOB NOT NULL,
    hash BLOB NOT NULL
) STRICT;

-- The end of the chain: without it nobody would miss the last rows.
CREATE TABLE audit_head (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, hash BLOB NOT NULL) STRICT;
INSERT INTO audit_head VALUES (1, 0, zeroblob(32));

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

CREATE TRIGGER audit_head_only_grows BEFORE UPDATE ON audit_head WHEN NEW.seq <> OLD.seq + 1
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

CREATE TRIGGER audit_head_is_not_deleted BEFORE DELETE ON audit_head
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;

CREATE TABLE idempotency (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    body_hash BLOB NOT NULL,
    started_ms INTEGER NOT NULL,
    finished_ms INTEGER,
    status INTEGER,
    answer BLOB,
    PRIMARY KEY (scope, key)
) STRICT;

CREATE INDEX idempotency_finished ON idempotency (finished_ms) WHERE finished_ms IS NOT NULL;

CREATE TABLE data_keys (
    owner TEXT PRIMARY KEY,
    master_key_id TEXT NOT NULL,
    wrapped BLOB,
    created_ms INTEGER NOT NULL,
    shredded_ms INTEGER
) STRICT;
