//! The users service as a process of its own: accounts by the settings, one port. No feed, no books, no hot threads.

use anyhow::{Result, bail};
use secrecy::ExposeSecret;

use super::{accounts, slow_path};
use crate::settings::Settings;

/// The running service.
pub struct UsersAlone {
    server: api::UsersAlone,
    /// Where accounts are kept, in words.
    data: String,
}

impl UsersAlone {
    /// Opens the store and the port.
    ///
    /// # Errors
    /// The port is taken, the data folder cannot be used, a setting speaks against it: each names what to change.
    pub fn start(settings: &Settings) -> Result<Self> {
        if settings.storage.ephemeral {
            bail!("storage.ephemeral = true keeps no accounts, and --target users has nothing else; set storage.path");
        }
        if let Some(url) = &settings.users.url {
            bail!(
                "users.url = {url}: accounts are there, and --target users is the service itself; leave users.url out"
            );
        }
        let (accounts, mail_task) = accounts::config(settings, &accounts::reached_alone(settings))?;
        let data = accounts::folder(&settings.storage)?.display().to_string();
        let listen = api::Listen { address: settings.users.listen, key: "users.listen" };
        let parts = api::UsersParts { listen, build: slow_path::build_info(), accounts };
        let server = api::UsersAlone::start(slow_path::shared_config(settings), parts)?;
        if let Some(task) = mail_task {
            server.spawn(task);
        }
        Ok(Self { server, data })
    }

    /// Where everything is, for the person who started it.
    pub fn banner(&self) -> String {
        let (address, data) = (self.server.local_addr(), &self.data);
        let setup = self.setup_line();
        let version = env!("CARGO_PKG_VERSION");
        format!(
            "\nbist {version} users\n  accounts    http://{address}/swagger-ui\n  metrics     http://{address}/actuator/prometheus\n  \
             data        {data}\n  {setup}stop        Ctrl-C\n"
        )
    }

    /// As for the whole platform: on loopback, while there is no account.
    fn setup_line(&self) -> String {
        let on_loopback = self.server.local_addr().ip().is_loopback();
        let link = on_loopback.then(|| self.server.setup_link()).flatten();
        link.map_or_else(String::new, |link| {
            format!("set up      {} makes the first administrator\n  ", link.expose_secret())
        })
    }

    /// The same as one line of the log.
    pub fn log_start(&self) {
        let version = env!("CARGO_PKG_VERSION");
        tracing::info!(version, role = "users", users = %self.server.local_addr(), data = self.data, "started");
    }

    /// Stops within a second.
    pub fn stop(self) {
        self.server.stop();
        tracing::info!(role = "users", "stopped");
    }
}
