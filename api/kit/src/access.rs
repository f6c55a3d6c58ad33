//! Who may ask what: one row for each method and path, and the question whether a principal fits it.
//!
//! A path without a row is closed. Never knows a service: each brings its rows.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use serde_json::json;

use crate::auth::Refusal;
use crate::error::ApiError;
use crate::principal::{Principal, Role, Scope};

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody, and no credential is looked at: log-in, registration, public keys.
    Open,
    /// Everybody, always; a credential that is sent must be good.
    Anyone,
    /// Everybody, unless `auth.required`; then whoever is known. A key needs the scope. A credential that is sent must be
    /// good.
    Public(Scope),
    /// Whoever is known: a person or a key of any scope.
    Known,
    /// A person who logged in; never a key.
    Person,
    /// A person with this role; never a key.
    Role(Role),
    /// A person, or a key with this scope.
    Scope(Scope),
}

impl Access {
    /// Whether a credential is looked at.
    #[must_use]
    pub const fn reads_credential(self) -> bool {
        !matches!(self, Self::Open)
    }

    /// Whether `principal` may pass; `required` is `auth.required`.
    ///
    /// # Errors
    /// 401 for nobody, 403 for somebody else.
    pub fn admits(self, principal: &Principal, required: bool) -> Result<(), ApiError> {
        match (self, principal) {
            (Self::Open | Self::Anyone, _) => Ok(()),
            (Self::Public(_), Principal::Anonymous) if !required => Ok(()),
            (_, Principal::Anonymous) => Err(Refusal::Unknown.error()),
            (Self::Known | Self::Person | Self::Public(_) | Self::Scope(_), Principal::User { .. }) => Ok(()),
            (Self::Role(role), Principal::User { roles, .. }) if roles.contains(&role) => Ok(()),
            (Self::Role(role), Principal::User { .. }) => Err(ApiError {
                details: json!({ "role": role.name() }),
                ..forbidden("FORBIDDEN", format!("this needs the role {}", role.name()))
            }),
            (Self::Known, Principal::Key { .. }) => Ok(()),
            (Self::Person | Self::Role(_), Principal::Key { .. }) => {
                Err(forbidden("KEY_NOT_ALLOWED", "an API key cannot do this: log in".to_owned()))
            }
            (Self::Public(scope) | Self::Scope(scope), Principal::Key { scopes, .. }) if scopes.contains(&scope) => {
                Ok(())
            }
            (Self::Public(scope) | Self::Scope(scope), Principal::Key { .. }) => Err(ApiError {
                details: json!({ "scope": scope.name() }),
                ..forbidden("SCOPE_MISSING", format!("the API key misses the scope {}", scope.name()))
            }),
        }
    }
}

fn forbidden(code: &'static str, message: String) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, code, message)
}

/// Who may ask one method of one path.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// `GET` stands for `HEAD`, too.
    pub method: &'static str,
    /// As the router writes it, such as `/api/v1/users/{id}`.
    pub path: &'static str,
    /// Who.
    pub access: Access,
}

impl Row {
    /// A row.
    #[must_use]
    pub const fn new(method: &'static str, path: &'static str, access: Access) -> Self {
        Self { method, path, access }
    }
}

/// The rows of all services of a process.
#[derive(Clone, Debug, Default)]
pub struct AccessTable {
    rows: BTreeMap<(&'static str, &'static str), Access>,
}

impl AccessTable {
    /// A table of `rows`; of two for one route the stricter reading is nobody's: the later one holds.
    #[must_use]
    pub fn new(rows: impl IntoIterator<Item = Row>) -> Self {
        Self { rows: rows.into_iter().map(|row| ((row.method, row.path), row.access)).collect() }
    }

    /// The row of a route.
    #[must_use]
    pub fn get(&self, method: &str, path: &str) -> Option<Access> {
        let method = if method == "HEAD" { "GET" } else { method };
        self.rows.get(&(method, path)).copied()
    }

    /// All rows, by method and path.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, &'static str, Access)> {
        self.rows.iter().map(|((method, path), access)| (*method, *path, *access))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::principal::Environment;
    use std::collections::BTreeSet;

    fn person(role: Role) -> Principal {
        Principal::User { user_id: "u".into(), session_id: "s".into(), roles: BTreeSet::from([role]) }
    }

    fn key(scope: Scope) -> Principal {
        let scopes = BTreeSet::from([scope]);
        Principal::Key { user_id: "u".into(), key_id: "k".into(), environment: Environment::Paper, scopes }
    }

    #[test]
    fn every_kind_of_caller_meets_every_kind_of_door() {
        let callers = [
            Principal::Anonymous,
            person(Role::Trader),
            person(Role::Admin),
            key(Scope::MarketRead),
            key(Scope::OrdersRead),
        ];
        let answers = |access: Access, required| {
            callers.clone().map(|caller| access.admits(&caller, required).err().map_or("", |error| error.code))
        };
        let (nobody, key, scope) = ("UNAUTHENTICATED", "KEY_NOT_ALLOWED", "SCOPE_MISSING");
        assert_eq!((answers(Access::Open, true), answers(Access::Anyone, true)), ([""; 5], [""; 5]));
        assert_eq!(answers(Access::Public(Scope::MarketRead), false), ["", "", "", "", scope]);
        assert_eq!(answers(Access::Public(Scope::MarketRead), true), [nobody, "", "", "", scope]);
        assert_eq!(answers(Access::Known, false), [nobody, "", "", "", ""]);
        assert_eq!(answers(Access::Person, false), [nobody, "", "", key, key]);
        assert_eq!(answers(Access::Role(Role::Admin), false), [nobody, "FORBIDDEN", "", key, key]);
        assert_eq!(answers(Access::Scope(Scope::OrdersRead), false), [nobody, "", "", scope, ""]);
    }

    #[test]
    fn a_route_without_a_row_has_none() {
        let table = AccessTable::new([Row::new("GET", "/a/{id}", Access::Known)]);
        assert_eq!(table.get("HEAD", "/a/{id}"), Some(Access::Known));
        assert_eq!((table.get("POST", "/a/{id}"), table.get("GET", "/a/b")), (None, None));
    }
}
