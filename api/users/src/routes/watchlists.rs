//! The paths of watch lists. Decides nothing.

use std::sync::Arc;

use api_kit::envelope::{Failure, Success};
use axum::extract::State;
use axum::middleware::map_response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{Answer, Created, Deleted, Listed, OfBody, OfKnown, OfPerson, created, ok, unkept, whole};
use super::asking::Id;
use super::body::Body;
use super::from::Person;
use crate::service::Users;
use crate::watchlists::{ChangedWatchlist, NewWatchlist, Watchlist};

type Service = State<Arc<Users>>;

/// The paths, below `/api/v1`, answered by `users`.
#[must_use]
pub fn documented(users: Arc<Users>) -> OpenApiRouter {
    paths().with_state(users)
}

/// The paths, below `/api/v1`.
pub(super) fn paths() -> OpenApiRouter<Arc<Users>> {
    OpenApiRouter::default()
        .routes(routes!(list_watchlists, create_watchlist))
        .routes(routes!(change_watchlist, delete_watchlist))
        .layer(map_response(unkept))
}

/// One's watch lists, oldest first
#[utoipa::path(get, path = "/watchlists", tag = "watchlists",
    responses(OfKnown, OfPerson, (status = 200, description = "All of them, at most 50.", body = Success<Listed<Watchlist>>)))]
async fn list_watchlists(State(users): Service, person: Person) -> Answer<Listed<Watchlist>> {
    whole(users.watchlists(&person.user_id).await?)
}

/// Makes a watch list
#[utoipa::path(post, path = "/watchlists", tag = "watchlists", request_body = NewWatchlist,
    responses(OfKnown, OfPerson, OfBody,
        (status = 201, description = "The list.", body = Success<Watchlist>),
        (status = 400, description = "`INVALID_BODY`, `INVALID_NAME`, `INVALID_SYMBOL`: `details.field` names the field.", body = Failure),
        (status = 409, description = "`NAME_TAKEN`; `TOO_MANY_WATCHLISTS`: a user has at most 50.", body = Failure)))]
async fn create_watchlist(State(users): Service, person: Person, Body(new): Body<NewWatchlist>) -> Created<Watchlist> {
    created(users.create_watchlist(&person.user_id, new).await?)
}

/// Puts a watch list in place of its older version
#[utoipa::path(put, path = "/watchlists/{id}", tag = "watchlists", request_body = ChangedWatchlist,
    params(("id" = String, Path, description = "The list's id.", max_length = 36, example = "0196a0b0-0000-7000-8000-000000000001")),
    responses(OfKnown, OfPerson, OfBody,
        (status = 200, description = "The list as it is now.", body = Success<Watchlist>),
        (status = 400, description = "`INVALID_BODY`, `INVALID_NAME`, `INVALID_SYMBOL`: `details.field` names the field.", body = Failure),
        (status = 404, description = "`NOT_FOUND`: there is no such list of yours.", body = Failure),
        (status = 409, description = "`NAME_TAKEN`; `VERSION_CONFLICT`: `details.version` is the stored one.", body = Failure)))]
async fn change_watchlist(
    State(users): Service,
    person: Person,
    Id(id): Id,
    Body(new): Body<ChangedWatchlist>,
) -> Answer<Watchlist> {
    ok(users.change_watchlist(&person.user_id, &id, new).await?)
}

/// Deletes a watch list
#[utoipa::path(delete, path = "/watchlists/{id}", tag = "watchlists",
    params(("id" = String, Path, description = "The list's id.", max_length = 36, example = "0196a0b0-0000-7000-8000-000000000001")),
    responses(OfKnown, OfPerson,
        (status = 200, description = "It is gone.", body = Success<Deleted>),
        (status = 404, description = "`NOT_FOUND`: there is no such list of yours.", body = Failure)))]
async fn delete_watchlist(State(users): Service, person: Person, Id(id): Id) -> Answer<Deleted> {
    users.delete_watchlist(&person.user_id, &id).await?;
    ok(Deleted { deleted: true })
}
