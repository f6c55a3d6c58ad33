//! What the users service says of a credential to whoever holds it: the shape between two processes, and a part of the
//! service's REST paths. Checks nothing.

use std::str::FromStr;

use api_kit::auth::Identity;
use api_kit::principal::{Environment, Principal, Role, Scope};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where the service answers.
pub const INTROSPECT_PATH: &str = "/api/v1/auth/introspect";

const USER: &str = "user";
const KEY: &str = "key";

/// Who stands behind the credential of the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Introspection {
    /// `user` for an access token, `key` for an API key.
    #[schema(example = "user")]
    pub kind: String,
    /// The user, or the owner of the key.
    #[schema(example = "0196a0b0-0000-7000-8000-000000000001")]
    pub user_id: String,
    /// The session of an access token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "0196a0b0-0000-7000-8000-000000000002")]
    pub session_id: Option<String>,
    /// The roles of a user: `viewer`, `trader`, `ops`, `admin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["trader"]))]
    pub roles: Option<Vec<String>>,
    /// The key's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "0196a0b0-0000-7000-8000-000000000003")]
    pub key_id: Option<String>,
    /// Accounts that a key may touch: `paper` or `live`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "paper")]
    pub environment: Option<String>,
    /// What a key may do, such as `market:read`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["market:read"]))]
    pub scopes: Option<Vec<String>>,
    /// When the credential ends, RFC 3339 UTC; left out for a key without an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "2030-01-01T00:00:00Z")]
    pub expires_at: Option<String>,
}

impl Introspection {
    /// What is said of `principal`, whose credential ends at `expires_ms` (Unix milliseconds); `None` of nobody.
    #[must_use]
    pub fn of(principal: &Principal, expires_ms: Option<i64>) -> Option<Self> {
        let nothing = |kind: &str, user_id: &str| Self {
            kind: kind.to_owned(),
            user_id: user_id.to_owned(),
            session_id: None,
            roles: None,
            key_id: None,
            environment: None,
            scopes: None,
            expires_at: expires_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()).map(|end| end.to_string()),
        };
        match principal {
            Principal::Anonymous => None,
            Principal::User { user_id, session_id, roles } => Some(Self {
                session_id: Some(session_id.to_string()),
                roles: Some(roles.iter().map(|role| role.name().to_owned()).collect()),
                ..nothing(USER, user_id)
            }),
            Principal::Key { user_id, key_id, environment, scopes } => Some(Self {
                key_id: Some(key_id.to_string()),
                environment: Some(environment.name().to_owned()),
                scopes: Some(scopes.iter().map(|scope| scope.name().to_owned()).collect()),
                ..nothing(KEY, user_id)
            }),
        }
    }

    /// Whom it speaks of; `None` when something is missing or not known here. A role or scope that a newer service has is
    /// left out: it opens nothing here.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        let user_id = self.user_id.as_str().into();
        let principal = match self.kind.as_str() {
            USER => Principal::User {
                user_id,
                session_id: self.session_id.as_deref()?.into(),
                roles: self.roles.as_ref()?.iter().filter_map(|name| Role::from_name(name)).collect(),
            },
            KEY => Principal::Key {
                user_id,
                key_id: self.key_id.as_deref()?.into(),
                environment: Environment::from_name(self.environment.as_deref()?)?,
                scopes: self.scopes.as_ref()?.iter().filter_map(|name| Scope::from_name(name)).collect(),
            },
            _ => return None,
        };
        let expires_ms = match &self.expires_at {
            Some(text) => Some(Timestamp::from_str(text).ok()?.as_millisecond()),
            None => None,
        };
        Some(Identity { principal, expires_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn user() -> Principal {
        Principal::User {
            user_id: "u".into(),
            session_id: "s".into(),
            roles: BTreeSet::from([Role::Trader, Role::Ops]),
        }
    }

    fn key() -> Principal {
        Principal::Key {
            user_id: "u".into(),
            key_id: "k".into(),
            environment: Environment::Paper,
            scopes: BTreeSet::from([Scope::MarketRead]),
        }
    }

    #[test]
    fn what_is_said_is_what_is_understood() {
        for (principal, expires_ms) in [(user(), Some(1_796_000_000_123)), (key(), None)] {
            let said = serde_json::to_string(&Introspection::of(&principal, expires_ms)).unwrap();
            let understood: Introspection = serde_json::from_str(&said).unwrap();
            assert_eq!(understood.identity(), Some(Identity { principal, expires_ms }), "{said}");
        }
        assert_eq!(Introspection::of(&Principal::Anonymous, None), None);
    }

    #[test]
    fn what_is_not_understood_opens_nothing() {
        let said = Introspection::of(&key(), Some(0)).unwrap();
        let with = |change: fn(&mut Introspection)| {
            let mut changed = said.clone();
            change(&mut changed);
            changed.identity()
        };
        assert_eq!(with(|said| said.kind = "robot".to_owned()), None);
        assert_eq!(with(|said| said.environment = Some("moon".to_owned())), None);
        assert_eq!(with(|said| said.key_id = None), None);
        assert_eq!(with(|said| said.expires_at = Some("soon".to_owned())), None);
        let newer = with(|said| said.scopes = Some(vec!["market:read".to_owned(), "world:rule".to_owned()]));
        assert_eq!(newer.map(|identity| identity.principal), Some(key()));
    }
}
