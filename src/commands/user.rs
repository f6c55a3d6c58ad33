//! `bist user` and `bist key`: accounts changed in their store, also beside a running platform, which sees it within two
//! seconds. No password and no key stands on a command line or in a log.

use std::io::{BufRead, IsTerminal};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use api::store::{Store, StoreError};
use api::users::clock::Clock;
use api::users::error::UsersError;
use api::users::keys::NewKey;
use api::users::mailer::Mailer;
use api::users::{Users, UsersConfig, operate};
use secrecy::SecretString;

use super::migrate::{on_a_runtime, stores};
use super::stdout;
use crate::cli::{KeyAction, KeyArgs, PasswordArgs, UserAction, UserArgs};
use crate::settings::Settings;

/// Does it.
///
/// # Errors
/// What user management refuses, or a store that does not answer.
pub fn run(arguments: &UserArgs, settings: &Settings) -> Result<ExitCode> {
    // Before anything is opened: a person may think for long.
    let password = match &arguments.action {
        UserAction::Add { password, .. } | UserAction::Password { password, .. } => Some(read_password(password)?),
        _ => None,
    };
    with_users(settings, async |users| act(users, &arguments.action, password).await)
}

/// Does it.
///
/// # Errors
/// What user management refuses, or a store that does not answer.
pub fn keys(arguments: &KeyArgs, settings: &Settings) -> Result<ExitCode> {
    with_users(settings, async |users| act_on_keys(users, &arguments.action).await)
}

/// Opens the accounts, beside a running platform if there is one, for one piece of work.
fn with_users(settings: &Settings, work: impl AsyncFnOnce(&Users) -> Result<String, UsersError>) -> Result<ExitCode> {
    if let Some(url) = &settings.users.url {
        bail!("users.url = {url}: accounts are kept there; run this command with the configuration of that process");
    }
    let config = stores(settings)?;
    on_a_runtime(async {
        let (service, set) = (api::users::schema::SERVICE, api::users::schema::MIGRATIONS);
        let store = match Store::open(&config, service, &set).await {
            Err(StoreError::Locked { .. }) => Store::open_beside(&config, service, &set).await,
            other => other,
        }
        .context("accounts")?;
        let users = Users::open(UsersConfig::default(), Arc::new(store), Mailer::to_the_log(), Clock::system()).await?;
        let text = work(&users).await?;
        stdout::print(text)?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn act(users: &Users, action: &UserAction, password: Option<SecretString>) -> Result<String, UsersError> {
    let password = password.unwrap_or_default();
    Ok(match action {
        UserAction::Add { email, name, admin, .. } => {
            let account =
                operate::Account { email: email.clone(), full_name: name.clone(), password, is_admin: *admin };
            let id = operate::add(users, account).await?;
            format!("{email} has an account now ({id}); log in at the page\n")
        }
        UserAction::List => list(users).await?,
        UserAction::Roles { email, roles } => {
            let user = operate::set_roles(users, email, roles).await?;
            format!("{email} is {} now\n", user.roles.join(", "))
        }
        UserAction::Disable { email, reason } => {
            operate::disable(users, email, reason).await?;
            format!("{email} is disabled; its sessions have ended\n")
        }
        UserAction::Enable { email } => {
            operate::enable(users, email).await?;
            format!("{email} is enabled\n")
        }
        UserAction::Password { email, .. } => {
            let ended = operate::set_password(users, email, password).await?;
            format!("{email} has another password; {ended} sessions have ended\n")
        }
    })
}

/// All accounts as a table, page by page.
async fn list(users: &Users) -> Result<String, UsersError> {
    let mut text = format!("{:<36}  {:<10}  {:<20}  {}\n", "id", "status", "roles", "e-mail");
    let mut after = String::new();
    loop {
        let page = operate::list(users, &after).await?;
        for user in page.items {
            text += &format!("{:<36}  {:<10}  {:<20}  {}\n", user.id, user.status, user.roles.join(","), user.email);
        }
        match page.next_cursor {
            Some(next) => after = next,
            None if text.lines().count() == 1 => {
                return Ok(
                    "there is no account yet: `bist user add E-MAIL --name NAME --admin` makes the first\n".to_owned()
                );
            }
            None => return Ok(text),
        }
    }
}

async fn act_on_keys(users: &Users, action: &KeyAction) -> Result<String, UsersError> {
    Ok(match action {
        KeyAction::Create { email, name, environment, scopes, addresses, expires_at } => {
            let new = NewKey {
                name: name.clone(),
                environment: environment.clone(),
                scopes: scopes.clone(),
                addresses: Some(addresses.clone()),
                expires_at: expires_at.clone(),
            };
            let made = operate::make_key(users, email, &new).await?;
            // The key alone on standard output, so that a script can keep it.
            eprintln!("the key is shown once; keep it in a file that only you can read");
            format!("{}\n", made.key)
        }
        KeyAction::List { email } => {
            let mut text = String::new();
            for key in operate::keys(users, email).await? {
                let expires = key.expires_at.as_deref().unwrap_or("never");
                let scopes = key.scopes.join(",");
                text += &format!("{}  {}  ends {expires}  {scopes}  {}\n", key.id, key.prefix, key.name);
            }
            text
        }
        KeyAction::Revoke { email, key } => {
            operate::revoke_key(users, email, key).await?;
            format!("{key} is revoked\n")
        }
    })
}

/// The password from a file, from standard input, or typed twice without showing it.
fn read_password(arguments: &PasswordArgs) -> Result<SecretString> {
    let text = match &arguments.password_file {
        Some(file) if file == Path::new("-") => first_line(std::io::stdin().lock()).context("standard input")?,
        Some(file) => {
            let opened = std::fs::File::open(file).with_context(|| format!("--password-file {}", file.display()))?;
            first_line(std::io::BufReader::new(opened)).with_context(|| format!("{}", file.display()))?
        }
        None if !std::io::stdin().is_terminal() => {
            bail!(
                "there is no terminal to ask for the password: name a file with --password-file FILE (- for standard input)"
            )
        }
        None => {
            let password = rpassword::prompt_password("Password (10 to 128 characters): ")?;
            ensure!(password == rpassword::prompt_password("Again: ")?, "the two differ; nothing was changed");
            password
        }
    };
    Ok(text.into())
}

fn first_line(mut from: impl BufRead) -> Result<String> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
