//! Messages to slots: one decoder per protocol. Knows neither packets nor files.

#![cfg_attr(not(test), deny(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros))]

pub mod bistech;
mod frequent_messages;
pub mod itch50;
mod price_units;
pub mod protocol;
mod record;
pub mod sink;
