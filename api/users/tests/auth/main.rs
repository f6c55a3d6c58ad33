//! The paths of `auth/`, over SQLite always and over PostgreSQL when `BIST_TEST_POSTGRES_URL` is set
//! (`eval "$(tests/servers.sh start)"` in the root folder). Tests that begin with an id close that row of the reliability
//! plan as far as accounts go.

mod common;
mod door;
mod login;
mod logout;
mod mails;
mod passwords;
mod paths;
mod prune;
mod refresh;
mod register;
mod setup;
mod totp;
