//! The client of the users service: a request under its paths goes in as it came, its answer comes out as it is.
//!
//! The service has doors of its own, so that one port in front of it can neither open nor close more than it does. Never
//! reads a body or a credential.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;

mod introspection;
mod known;
mod remote;

pub use introspection::{INTROSPECT_PATH, Introspection};
pub use remote::RemoteUsers;

/// Paths below `/api/v1` that belong to the service.
pub const PATHS: [&str; 3] = ["/api/v1/auth", "/api/v1/users", "/api/v1/watchlists"];

/// An answer on its way.
pub type Pending<'a> = Pin<Box<dyn Future<Output = Response> + Send + 'a>>;

/// The users service, in this process or in another.
pub trait UsersClient: Send + Sync {
    /// Answers a request whose path is one of [`PATHS`] or below it. Always answers: with 503 while the service is away.
    fn call(&self, request: Request) -> Pending<'_>;
}

/// Every path of the service, passed to `client`.
pub fn forwarded(client: Arc<dyn UsersClient>) -> Router {
    let below = |routes: Router<Arc<dyn UsersClient>>, path: &str| {
        routes.route(path, any(forward)).route(&format!("{path}/{{*path}}"), any(forward))
    };
    PATHS.into_iter().fold(Router::new(), below).with_state(client)
}

async fn forward(State(client): State<Arc<dyn UsersClient>>, request: Request) -> Response {
    client.call(request).await
}
