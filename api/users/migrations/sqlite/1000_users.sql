-- Accounts. Times are milliseconds of Unix time; ids are UUID texts; lists and free data are JSON texts.
-- What is *_sealed is encrypted under the key of its user (`data_keys`), hashes are SHA-256 but for passwords (argon2id).

CREATE TABLE users (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    full_name TEXT NOT NULL,
    phone_sealed BLOB,
    tckn_sealed BLOB,
    kyc_level INTEGER NOT NULL DEFAULT 0,
    roles TEXT NOT NULL,
    live_allowed INTEGER NOT NULL DEFAULT 0,
    status TEXT NOT NULL CHECK (status IN ('unverified', 'active', 'disabled')),
    totp_sealed BLOB,
    totp_enabled INTEGER NOT NULL DEFAULT 0,
    totp_last_step INTEGER NOT NULL DEFAULT 0,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE recovery_codes (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    code_hash BLOB NOT NULL,
    used_ms INTEGER,
    PRIMARY KEY (user_id, code_hash)
) STRICT;

-- One log-in: a family of refresh tokens, of which one at a time is good.
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_ms INTEGER NOT NULL,
    last_used_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    revoked_ms INTEGER,
    revoked_reason TEXT,
    address TEXT NOT NULL,
    user_agent TEXT NOT NULL
) STRICT;
CREATE INDEX sessions_of_user ON sessions (user_id, created_ms);

CREATE TABLE refresh_tokens (
    token_hash BLOB PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    created_ms INTEGER NOT NULL,
    used_ms INTEGER
) STRICT;
CREATE INDEX refresh_tokens_of_session ON refresh_tokens (session_id);

-- Links that work once: `verify`, `reset`, `setup` (without a user).
CREATE TABLE one_time_tokens (
    token_hash BLOB PRIMARY KEY,
    purpose TEXT NOT NULL CHECK (purpose IN ('verify', 'reset', 'setup')),
    user_id TEXT REFERENCES users (id) ON DELETE CASCADE,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX one_time_tokens_of_user ON one_time_tokens (user_id, purpose);

-- Where an account was logged in to: guesses from elsewhere do not lock these out.
CREATE TABLE known_addresses (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    address_hash BLOB NOT NULL,
    last_ms INTEGER NOT NULL,
    PRIMARY KEY (user_id, address_hash)
) STRICT;

CREATE TABLE signing_keys (
    kid TEXT PRIMARY KEY,
    public_key BLOB NOT NULL,
    private_sealed BLOB NOT NULL,
    created_ms INTEGER NOT NULL,
    signs_until_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    environment TEXT NOT NULL CHECK (environment IN ('paper', 'live')),
    prefix TEXT NOT NULL UNIQUE,
    key_hash BLOB NOT NULL,
    scopes TEXT NOT NULL,
    addresses TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER,
    last_used_ms INTEGER,
    revoked_ms INTEGER
) STRICT;
CREATE INDEX api_keys_of_user ON api_keys (user_id, created_ms);

CREATE TABLE preferences (
    user_id TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    language TEXT,
    theme TEXT,
    data TEXT NOT NULL,
    version INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE watchlists (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    symbols TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    UNIQUE (user_id, name)
) STRICT;
