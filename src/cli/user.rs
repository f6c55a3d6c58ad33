//! `bist user` and `bist key`: accounts from the command line, also beside a running platform.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `bist user`
#[derive(Debug, Args)]
pub struct UserArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: UserAction,
}

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub enum UserAction {
    /// Make an account that can be used at once.
    Add {
        /// E-mail address.
        email: String,
        /// Name of its person.
        #[arg(long, value_name = "NAME")]
        name: String,
        /// An administrator besides a trader.
        #[arg(long)]
        admin: bool,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// List the accounts, oldest first.
    List,
    /// Give an account other roles: viewer, trader, ops, admin.
    Roles {
        /// E-mail address.
        email: String,
        /// The roles, all of them.
        #[arg(required = true)]
        roles: Vec<String>,
    },
    /// Disable an account: its sessions end, its keys are refused.
    Disable {
        /// E-mail address.
        email: String,
        /// Why, for the audit log.
        #[arg(long)]
        reason: String,
    },
    /// Enable an account again.
    Enable {
        /// E-mail address.
        email: String,
    },
    /// Give an account another password; its sessions end.
    Password {
        /// E-mail address.
        email: String,
        #[command(flatten)]
        password: PasswordArgs,
    },
}

/// Where a password comes from: never from the command line, which others can read.
#[derive(Debug, Args)]
pub struct PasswordArgs {
    /// File whose first line is the password (- for standard input). Left out, it is asked for.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// `bist key`
#[derive(Debug, Args)]
pub struct KeyArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: KeyAction,
}

/// What to do with API keys.
#[derive(Debug, Subcommand)]
pub enum KeyAction {
    /// Make a key and show it, once.
    Create {
        /// E-mail address of its owner.
        email: String,
        /// What its owner calls it.
        #[arg(long)]
        name: String,
        /// paper or live: the accounts that it may touch.
        #[arg(long, default_value = "paper")]
        environment: String,
        /// What it may do, repeatable: market:read, trading:read, trading:place, trading:modify, trading:cancel,
        /// portfolio:read, orders:read.
        #[arg(long = "scope", value_name = "SCOPE", default_value = "market:read")]
        scopes: Vec<String>,
        /// Address or range that it may be used from, repeatable; left out, from everywhere.
        #[arg(long = "address", value_name = "ADDRESS")]
        addresses: Vec<String>,
        /// When it ends, such as 2027-01-31T18:00:00Z; left out, when it is revoked.
        #[arg(long, value_name = "TIME")]
        expires_at: Option<String>,
    },
    /// List the keys of an account.
    List {
        /// E-mail address of their owner.
        email: String,
    },
    /// Revoke a key; every door refuses it within 5 s.
    Revoke {
        /// E-mail address of its owner.
        email: String,
        /// Its id or its prefix.
        key: String,
    },
}
