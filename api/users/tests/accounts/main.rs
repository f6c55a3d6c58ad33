//! Accounts over HTTP, without a network: one suite over SQLite always, and over PostgreSQL when `BIST_TEST_POSTGRES_URL` is
//! set (`eval "$(tests/servers.sh start)"` in the root folder). Tests that begin with an id close that row of the
//! reliability plan as far as accounts go. Principals stand in the requests as the doors would have put them there.

mod access;
mod administration;
mod authenticator;
mod common;
mod erasure;
mod injection;
mod keys;
mod mass_assignment;
mod operate;
mod profile;
mod strange_text;
mod watchlists;
