//! The users service of this process: open from the start, or from the moment its database answers.
//!
//! While it is not open its paths answer 503, and no credential is good. Market data never waits for it. Holds no logic of
//! the service.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use api_clients::users::{Pending, UsersClient};
use api_kit::auth::{Authenticator, Refusal, Verdict};
use api_kit::common::Common;
use api_kit::error::ApiError;
use api_kit::health;
use api_kit::principal::Peer;
use api_kit::{MetricSource, Sample};
use api_store::{StorageConfig, Store, StoreError};
use api_users::clock::Clock;
use api_users::mailer::Mailer;
use api_users::{Users, UsersConfig};
use arc_swap::ArcSwapOption;
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use tower::ServiceExt;

/// Between two tries to open a database that does not answer.
const OPEN_AGAIN: Duration = Duration::from_secs(2);

/// How the service is opened.
pub struct AccountsConfig {
    /// Its numbers.
    pub users: UsersConfig,
    /// Its stores; `None` = nothing is kept, and there are no accounts.
    pub storage: Option<StorageConfig>,
    /// What sends its mails.
    pub mailer: Mailer,
}

/// The service, as soon as it is open.
pub struct Accounts {
    open: ArcSwapOption<Open>,
    /// Nothing is kept, by configuration.
    off: bool,
}

struct Open {
    users: Arc<Users>,
    routes: Router,
}

impl Accounts {
    /// Not open yet; `off` = never.
    #[must_use]
    pub(crate) fn new(off: bool) -> Arc<Self> {
        Arc::new(Self { open: ArcSwapOption::empty(), off })
    }

    /// The service, when it is open.
    #[must_use]
    pub fn users(&self) -> Option<Arc<Users>> {
        self.open.load().as_ref().map(|open| Arc::clone(&open.users))
    }

    /// Opens the service. With a database that does not answer it goes on trying in the background.
    ///
    /// # Errors
    /// What no waiting helps against: a locked folder, a schema that is older or newer, a damaged file.
    pub(crate) async fn open(self: &Arc<Self>, config: AccountsConfig, common: Arc<Common>) -> Result<(), StoreError> {
        let AccountsConfig { users, storage: Some(storage), mailer } = config else { return Ok(()) };
        match self.try_open(&users, &storage, &mailer, &common).await {
            Err(StoreError::Unavailable { what, .. }) => {
                tracing::error!(
                    what,
                    "accounts are away: everything else starts without them, and they come when they can"
                );
                tokio::spawn(Arc::clone(self).open_later(users, storage, mailer, common));
                Ok(())
            }
            other => other,
        }
    }

    async fn open_later(
        self: Arc<Self>,
        users: UsersConfig,
        storage: StorageConfig,
        mailer: Mailer,
        common: Arc<Common>,
    ) {
        loop {
            tokio::time::sleep(OPEN_AGAIN).await;
            match self.try_open(&users, &storage, &mailer, &common).await {
                Ok(()) => return tracing::info!("accounts are open"),
                Err(StoreError::Unavailable { .. }) => {}
                Err(error) => return tracing::error!(%error, "accounts stay away: mend this, then start again"),
            }
        }
    }

    async fn try_open(
        &self,
        config: &UsersConfig,
        storage: &StorageConfig,
        mailer: &Mailer,
        common: &Common,
    ) -> Result<(), StoreError> {
        let store = Arc::new(Store::open(storage, api_users::schema::SERVICE, &api_users::schema::MIGRATIONS).await?);
        let opened = Users::open(config.clone(), Arc::clone(&store), mailer.clone(), Clock::system()).await;
        let users = opened.map_err(|error| match error {
            api_users::error::UsersError::Store(error) => error,
            answer => StoreError::Fault(answer.to_string()),
        })?;
        let (routes, _) = common.behind_doors(api_users::routes::documented(&users));
        tokio::spawn(store.watch());
        tokio::spawn(Arc::clone(&users).rotate_keys());
        tokio::spawn(Arc::clone(&users).write_key_uses());
        tokio::spawn(Arc::clone(&users).keep_pruned());
        self.open.store(Some(Arc::new(Open { users, routes })));
        Ok(())
    }

    /// How the service is.
    pub(crate) fn verdict(&self) -> health::Verdict {
        match (self.users(), self.off) {
            (Some(users), _) => users.store().verdict(),
            (None, true) => health::Verdict::Up("no accounts: storage.ephemeral keeps nothing".to_owned()),
            (None, false) => {
                health::Verdict::Degraded("the database of accounts does not answer: nobody can log in".to_owned())
            }
        }
    }

    fn away(&self) -> ApiError {
        if self.off {
            let message = "this platform keeps no accounts (storage.ephemeral); set storage.path to have them";
            return ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "ACCOUNTS_OFF", message);
        }
        ApiError {
            retry_after_s: Some(OPEN_AGAIN.as_secs()),
            ..ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "STORE_UNAVAILABLE",
                "accounts are not available now; try again",
            )
        }
    }
}

/// The request without what the router in front noted in it: its part of the path is no parameter of the service.
fn as_it_came(request: Request) -> Request {
    let (mut parts, body) = request.into_parts();
    let peer = parts.extensions.get::<Peer>().copied();
    parts.extensions.clear();
    if let Some(peer) = peer {
        parts.extensions.insert(peer);
    }
    Request::from_parts(parts, body)
}

impl UsersClient for Accounts {
    fn call(&self, request: Request) -> Pending<'_> {
        Box::pin(async move {
            let Some(open) = self.open.load_full() else { return self.away().into_response() };
            open.routes.clone().oneshot(as_it_came(request)).await.into_response()
        })
    }
}

impl Authenticator for Accounts {
    fn authenticate<'a>(&'a self, credential: &'a str, peer: IpAddr) -> Verdict<'a> {
        Box::pin(async move {
            match self.users() {
                Some(users) => users.authenticate(credential, peer).await,
                None if self.off => Err(Refusal::Unknown),
                None => Err(Refusal::Unavailable),
            }
        })
    }
}

impl MetricSource for Accounts {
    fn collect(&self, samples: &mut Vec<Sample>) {
        let open = self.users();
        let is_open = f64::from(u8::from(open.is_some()));
        samples.push(Sample::gauge("bist_users_open", "1 while accounts can be used.", &[], is_open));
        if let Some(users) = open {
            users.metrics().collect(samples);
            users.store().collect(samples);
        }
    }
}
