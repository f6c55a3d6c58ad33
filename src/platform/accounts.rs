//! Accounts by the settings: their stores, their numbers, what sends their mails. Opens nothing itself.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use api::store::StorageConfig;
use api::users::UsersConfig;
use api::users::mailer::Mailer;
use api::{AccountsConfig, DataFolder};

use crate::settings::{Settings, Storage, Users};

/// A mailer, and what sends for it beside the server.
pub type MailTask = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// The data folder by the settings.
///
/// # Errors
/// None is named, and there is no home folder.
pub fn folder(storage: &Storage) -> Result<PathBuf> {
    let path = storage.path.clone().or_else(|| DataFolder::default_path(|name| std::env::var_os(name)));
    path.context("storage.path is not set and there is no home folder; name a folder, or set storage.ephemeral = true")
}

/// The stores of accounts; `None` when nothing is kept.
///
/// # Errors
/// As [`folder`].
pub fn storage(storage: &Storage) -> Result<Option<StorageConfig>> {
    if storage.ephemeral {
        return Ok(None);
    }
    Ok(Some(StorageConfig {
        postgres_url: storage.postgres_url.as_ref().map(crate::settings::Secret::value),
        redis_url: storage.redis_url.as_ref().map(crate::settings::Secret::value),
        master_keys_file: storage.master_keys_file.clone(),
        ..StorageConfig::in_folder(folder(storage)?)
    }))
}

/// Keys by whose addresses others can reach the accounts of a process that has everything; none when they are elsewhere.
pub fn reached(settings: &Settings) -> Vec<String> {
    if settings.users.url.is_some() {
        return Vec::new();
    }
    beyond_loopback(&[("api.listen", settings.api.listen), ("users.listen", settings.users.listen)])
}

/// The same of the users service alone, which its gateways open to others.
pub fn reached_alone(settings: &Settings) -> Vec<String> {
    let mut reached = beyond_loopback(&[("users.listen", settings.users.listen)]);
    if !settings.api.trusted_proxies.is_empty() {
        reached.push("a gateway (api.trusted_proxies names one)".to_owned());
    }
    reached
}

fn beyond_loopback(listening: &[(&str, SocketAddr)]) -> Vec<String> {
    let open = listening.iter().filter(|(_, address)| !address.ip().is_loopback());
    open.map(|(key, address)| format!("{address} ({key})")).collect()
}

/// How accounts are opened, and what must run beside them. `reached`: by what others than this machine reach them.
///
/// # Errors
/// The mail server's URL or the sender is none; others can reach the server and there is no mail server.
pub fn config(settings: &Settings, reached: &[String]) -> Result<(AccountsConfig, Option<MailTask>)> {
    let Users { page_url, smtp_url, mail_from, hash_threads, hash_queue_max, registrations_per_hour, .. } =
        &settings.users;
    let (mailer, task) = match smtp_url {
        Some(url) => {
            let (mailer, task) = Mailer::smtp(&url.value(), mail_from).map_err(|error| anyhow!(error))?;
            (mailer, Some(Box::pin(task) as MailTask))
        }
        None => (Mailer::to_the_log(), None),
    };
    if let Some(way) = reached.first()
        && !mailer.sends()
        && !settings.auth.development
        && !settings.storage.ephemeral
    {
        bail!(
            "accounts: others can reach {way} and there is no mail server to verify addresses; set users.smtp_url_file, or \
             auth.development = true where that does not matter"
        );
    }
    let page_url = page_url.clone().unwrap_or_else(|| format!("http://{}", settings.api.listen));
    let users = UsersConfig {
        page_url: page_url.trim_end_matches('/').to_owned(),
        development: !mailer.sends(),
        hash_threads: *hash_threads,
        hash_queue_max: *hash_queue_max,
        registrations_per_hour: *registrations_per_hour,
        state_life: Duration::from_secs(2),
        ..UsersConfig::default()
    };
    Ok((AccountsConfig { users, storage: storage(&settings.storage)?, mailer }, task))
}
