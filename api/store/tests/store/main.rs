//! One suite over SQLite always, and over PostgreSQL and Redis when `BIST_TEST_POSTGRES_URL` and `BIST_TEST_REDIS_URL`
//! are set (`eval "$(tests/servers.sh start)"` in the root folder). Tests that begin with an id and `store` cover what
//! storage does for that row of the reliability plan.

mod audit;
mod cache;
mod common;
mod crash;
mod database;
mod disk;
mod folder;
mod idempotency;
mod migrations;
mod operate;
mod outbox;
mod secrets;
mod servers;
