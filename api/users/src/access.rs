//! Who may ask what: a row for each route of this service. A route without a row is closed, and fails the build's tests.

use api_kit::access::{Access, Row};
use api_kit::principal::Role;

/// The rows, by method and path below `/api/v1`.
pub const ACCESS: &[Row] = &[
    // auth
    Row::new("POST", "/api/v1/auth/register", Access::Open),
    Row::new("POST", "/api/v1/auth/verify", Access::Open),
    Row::new("POST", "/api/v1/auth/login", Access::Open),
    Row::new("POST", "/api/v1/auth/refresh", Access::Open),
    Row::new("POST", "/api/v1/auth/logout", Access::Anyone),
    Row::new("POST", "/api/v1/auth/logout-all", Access::Person),
    Row::new("POST", "/api/v1/auth/password/change", Access::Person),
    Row::new("POST", "/api/v1/auth/password/forgot", Access::Open),
    Row::new("POST", "/api/v1/auth/password/reset", Access::Open),
    Row::new("POST", "/api/v1/auth/totp/setup", Access::Person),
    Row::new("POST", "/api/v1/auth/totp/enable", Access::Person),
    Row::new("POST", "/api/v1/auth/totp/disable", Access::Person),
    Row::new("GET", "/api/v1/auth/jwks.json", Access::Open),
    Row::new("POST", "/api/v1/auth/setup", Access::Open),
    Row::new("GET", "/api/v1/auth/options", Access::Open),
    Row::new("GET", "/api/v1/auth/introspect", Access::Known),
    // one's own
    Row::new("GET", "/api/v1/users/me", Access::Known),
    Row::new("PATCH", "/api/v1/users/me", Access::Person),
    Row::new("DELETE", "/api/v1/users/me", Access::Person),
    Row::new("GET", "/api/v1/users/me/export", Access::Person),
    Row::new("GET", "/api/v1/users/me/sessions", Access::Person),
    Row::new("DELETE", "/api/v1/users/me/sessions/{id}", Access::Person),
    Row::new("GET", "/api/v1/users/me/keys", Access::Person),
    Row::new("POST", "/api/v1/users/me/keys", Access::Person),
    Row::new("DELETE", "/api/v1/users/me/keys/{id}", Access::Person),
    Row::new("GET", "/api/v1/users/me/preferences", Access::Person),
    Row::new("PUT", "/api/v1/users/me/preferences", Access::Person),
    Row::new("GET", "/api/v1/watchlists", Access::Person),
    Row::new("POST", "/api/v1/watchlists", Access::Person),
    Row::new("PUT", "/api/v1/watchlists/{id}", Access::Person),
    Row::new("DELETE", "/api/v1/watchlists/{id}", Access::Person),
    // administrators
    Row::new("GET", "/api/v1/users", Access::Role(Role::Admin)),
    Row::new("GET", "/api/v1/users/{id}", Access::Role(Role::Admin)),
    Row::new("PUT", "/api/v1/users/{id}/roles", Access::Role(Role::Admin)),
    Row::new("POST", "/api/v1/users/{id}/disable", Access::Role(Role::Admin)),
    Row::new("POST", "/api/v1/users/{id}/enable", Access::Role(Role::Admin)),
    Row::new("PUT", "/api/v1/users/{id}/live", Access::Role(Role::Admin)),
    Row::new("PUT", "/api/v1/users/{id}/kyc", Access::Role(Role::Admin)),
];
