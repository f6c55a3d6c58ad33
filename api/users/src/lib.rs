//! User management: who may use the platform, and how each door knows them.
//!
//! Accounts with password and TOTP, sessions of rotating refresh tokens, short access tokens, API keys for programs,
//! preferences and watchlists; all of it in the service's own store. Never decides what an order may do, never sees the
//! market, and keeps no password, token or key in clear.
//!
//! Read in this order: [`config`], [`clock`], [`error`], [`schema`], [`secret`] (random texts and their hashes),
//! [`password`], [`tokens`] (access tokens and their keys), [`mailer`], [`service`] (everything that a request needs),
//! then a file for each subject, and [`routes`].

pub mod access;
pub mod admin;
mod attempts;
mod authenticator;
pub mod bounds;
pub mod caller;
pub mod clock;
pub mod config;
mod confirm;
pub mod email;
pub mod erase;
pub mod error;
pub mod export;
mod form;
mod guard;
mod key_text;
mod key_uses;
pub mod keys;
mod known;
pub mod login;
mod logout;
pub mod mailer;
pub mod metrics;
mod one_time;
pub mod operate;
pub mod own_sessions;
pub mod password;
mod password_change;
mod password_reset;
pub mod preferences;
pub mod profile;
pub mod prune;
mod recovery;
mod refresh;
pub mod register;
pub mod routes;
pub mod schema;
pub mod secret;
pub mod service;
mod sessions;
mod setup;
mod states;
pub mod tckn;
pub mod tokens;
pub mod totp;
mod users;
mod verify;
pub mod watchlists;

pub use config::UsersConfig;
pub use service::Users;
