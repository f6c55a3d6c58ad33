-- What every service's schema holds, whatever the service: outbox, audit chain, idempotency, data keys.

CREATE TABLE outbox (
    position BIGINT PRIMARY KEY,
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    payload TEXT NOT NULL,
    at_ms BIGINT NOT NULL
);

-- Positions come from here and not from a sequence: they have no holes, and become visible in their own order.
CREATE TABLE outbox_head (id BIGINT PRIMARY KEY CHECK (id = 1), position BIGINT NOT NULL);
INSERT INTO outbox_head VALUES (1, 0);

CREATE TABLE outbox_readers (name TEXT PRIMARY KEY, position BIGINT NOT NULL);

CREATE TABLE audit (
    seq BIGINT PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    details TEXT NOT NULL,
    previous_hash BYTEA NOT NULL,
    hash BYTEA NOT NULL
);

-- The end of the chain: without it nobody would miss the last rows.
CREATE TABLE audit_head (id BIGINT PRIMARY KEY CHECK (id = 1), seq BIGINT NOT NULL, hash BYTEA NOT NULL);
INSERT INTO audit_head VALUES (1, 0, decode(repeat('00', 32), 'hex'));

CREATE FUNCTION audit_refuses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only';
END $$;

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION audit_refuses();
CREATE TRIGGER audit_is_not_emptied BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuses();
CREATE TRIGGER audit_head_only_grows BEFORE UPDATE ON audit_head
    FOR EACH ROW WHEN (NEW.seq <> OLD.seq + 1) EXECUTE FUNCTION audit_refuses();
CREATE TRIGGER audit_head_is_not_deleted BEFORE DELETE ON audit_head
    FOR EACH ROW EXECUTE FUNCTION audit_refuses();
CREATE TRIGGER audit_head_is_not_emptied BEFORE TRUNCATE ON audit_head
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuses();

CREATE TABLE idempotency (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    body_hash BYTEA NOT NULL,
    started_ms BIGINT NOT NULL,
    finished_ms BIGINT,
    status BIGINT,
    answer BYTEA,
    PRIMARY KEY (scope, key)
);

CREATE INDEX idempotency_finished ON idempotency (finished_ms) WHERE finished_ms IS NOT NULL;

CREATE TABLE data_keys (
    owner TEXT PRIMARY KEY,
    master_key_id TEXT NOT NULL,
    wrapped BYTEA,
    created_ms BIGINT NOT NULL,
    shredded_ms BIGINT
);
