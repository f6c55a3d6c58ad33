//! A user's own profile: name, phone and citizen's number. The last two are sealed in the vault and shown masked; whole
//! they stand in the user's own export alone. Never changes roles, status or address.

use api_store::{Lent, Place, StoreError, Tx, execute_on_both};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::clock::rfc3339;
use crate::error::{Result, UsersError};
use crate::service::Users;
use crate::users::{self, Status, UserRow};
use crate::{email, guard, tckn};

/// A user as it sees itself.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Profile {
    /// Its id.
    #[schema(example = "0196a0b0-0000-7000-8000-000000000001")]
    pub id: String,
    /// Its e-mail address.
    #[schema(example = "ayse@example.com")]
    pub email: String,
    /// Whether the address is verified.
    #[schema(example = true)]
    pub email_verified: bool,
    /// Its name.
    #[schema(example = "Ayşe Çelik")]
    pub full_name: String,
    /// Its phone, masked.
    #[schema(example = "+90********67")]
    pub phone: Option<String>,
    /// Its citizen's number, masked.
    #[schema(example = "*********46")]
    pub tckn: Option<String>,
    /// 0 = nothing is known, 1 = phone and citizen's number are given, 2 = an administrator has compared them.
    #[schema(minimum = 0, maximum = 2, example = 1)]
    pub kyc_level: i64,
    /// What it may do: `viewer`, `trader`, `ops`, `admin`.
    #[schema(example = json!(["trader"]))]
    pub roles: Vec<String>,
    /// Whether an administrator has allowed it to trade live.
    #[schema(example = false)]
    pub live_allowed: bool,
    /// Whether a log-in needs a second factor.
    #[schema(example = false)]
    pub totp_enabled: bool,
    /// When it was registered, RFC 3339.
    #[schema(example = "2026-11-23T07:00:00Z")]
    pub created_at: String,
}

/// What is to change; what is left out stays.
#[derive(Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "full_name": "Ayşe Çelik", "phone": "+905321234567" }))]
pub struct ProfileChange {
    /// Name.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 100, example = "Ayşe Çelik")]
    pub full_name: Option<String>,
    /// Phone in Turkey, E.164; null removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, pattern = "^\\+90[1-9][0-9]{9}$", example = "+905321234567")]
    pub phone: Option<Option<String>>,
    /// Citizen's number with its check digits; null removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>, pattern = "^[1-9][0-9]{10}$", example = "10000000146")]
    pub tckn: Option<Option<String>>,
}

/// Tells `null` from a field that is not there.
fn present<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Option<Option<String>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// Turkey's code and ten digits.
fn is_phone(text: &str) -> bool {
    text.strip_prefix("+90").is_some_and(|rest| {
        rest.len() == 10 && rest.bytes().all(|byte| byte.is_ascii_digit()) && !rest.starts_with('0')
    })
}

impl ProfileChange {
    fn check(&self) -> Result<Option<String>> {
        let given = |field: &Option<Option<String>>| field.clone().flatten();
        if given(&self.phone).is_some_and(|phone| !is_phone(&phone)) {
            let message = "a phone is +90 and ten digits, without blanks";
            return Err(UsersError::field("INVALID_PHONE", "phone", message));
        }
        if given(&self.tckn).is_some_and(|number| !tckn::is_valid(&number)) {
            return Err(UsersError::field(
                "INVALID_TCKN",
                "tckn",
                "this is not a citizen's number: look at its digits",
            ));
        }
        self.full_name.as_deref().map(email::checked_name).transpose()
    }
}

/// What is sealed of a user, in clear.
pub(crate) struct Personal {
    pub phone: Option<SecretString>,
    pub tckn: Option<SecretString>,
}

const fn place<'p>(user_id: &'p str, column: &'p str) -> Place<'p> {
    Place { table: "users", row: user_id, column }
}

/// The first `shown` and the last two characters; both kinds of number are ASCII.
fn masked(number: &SecretString, shown: usize) -> String {
    let (text, last) = (number.expose_secret(), number.expose_secret().len().saturating_sub(2));
    text.char_indices().map(|(at, one)| if at < shown || at >= last { one } else { '*' }).collect()
}

impl Users {
    /// A user as it sees itself.
    ///
    /// # Errors
    /// 404 when it is gone.
    pub async fn profile(&self, user_id: &str) -> Result<Profile> {
        let work = |mut tx: Lent| async move {
            let tx = &mut *tx;
            let user = users::by_id(tx, user_id).await?.ok_or_else(|| UsersError::not_found("user"))?;
            let personal = self.personal(tx, &user).await?;
            Ok(profile(&user, &personal))
        };
        self.store.database.read(work).await
    }

    /// Changes a user's own profile. What an administrator has compared falls back when it changes.
    ///
    /// # Errors
    /// 400 `INVALID_NAME`, `INVALID_PHONE`, `INVALID_TCKN`.
    pub async fn change_profile(&self, user_id: &str, change: &ProfileChange) -> Result<Profile> {
        let full_name = &change.check()?;
        let work = |mut tx: Lent| async move {
            let tx = &mut *tx;
            let user = guard::own_locked(tx, user_id).await?;
            self.store_change(tx, user, change, full_name.as_deref()).await
        };
        self.store.database.write(work).await
    }

    async fn store_change(
        &self,
        tx: &mut Tx,
        mut user: UserRow,
        change: &ProfileChange,
        full_name: Option<&str>,
    ) -> Result<Profile> {
        let mut personal = self.personal(tx, &user).await?;
        let mut changed = Vec::new();
        if let Some(name) = full_name.filter(|name| *name != user.full_name) {
            user.full_name = name.to_owned();
            changed.push("full_name");
        }
        if differs(&change.phone, &personal.phone) {
            personal.phone = change.phone.clone().flatten().map(SecretString::from);
            user.phone_sealed = self.sealed(tx, &user.id, "phone_sealed", &personal.phone).await?;
            changed.push("phone");
        }
        if differs(&change.tckn, &personal.tckn) {
            personal.tckn = change.tckn.clone().flatten().map(SecretString::from);
            user.tckn_sealed = self.sealed(tx, &user.id, "tckn_sealed", &personal.tckn).await?;
            changed.push("tckn");
        }
        if !changed.is_empty() {
            user.kyc_level = i64::from(personal.phone.is_some() && personal.tckn.is_some());
            update(tx, &user, self.clock.now_ms()).await?;
            let details = json!({ "changed": changed, "kyc_level": user.kyc_level });
            self.audit(tx, (&user.id, "user.profile", &user.id), &details).await?;
        }
        Ok(profile(&user, &personal))
    }

    /// What is sealed of a user.
    ///
    /// # Errors
    /// A sealed value is damaged.
    pub(crate) async fn personal(&self, tx: &mut Tx, user: &UserRow) -> Result<Personal> {
        let phone = self.opened(tx, &user.id, "phone_sealed", user.phone_sealed.as_deref()).await?;
        let tckn = self.opened(tx, &user.id, "tckn_sealed", user.tckn_sealed.as_deref()).await?;
        Ok(Personal { phone, tckn })
    }

    async fn opened(&self, tx: &mut Tx, id: &str, column: &str, sealed: Option<&[u8]>) -> Result<Option<SecretString>> {
        let Some(sealed) = sealed else { return Ok(None) };
        let bytes = self.store.vault.open_sealed(tx, id, place(id, column), sealed).await?;
        let text = std::str::from_utf8(bytes.expose_secret())
            .map_err(|_| StoreError::Fault(format!("a sealed value of users.{column} is no text")))?;
        Ok(Some(text.to_owned().into()))
    }

    async fn sealed(
        &self,
        tx: &mut Tx,
        id: &str,
        column: &str,
        value: &Option<SecretString>,
    ) -> Result<Option<Vec<u8>>> {
        let Some(value) = value else { return Ok(None) };
        let (value, now_ms) = (value.expose_secret().as_bytes(), self.clock.now_ms());
        Ok(Some(self.store.vault.seal(tx, id, place(id, column), value, now_ms).await?))
    }
}

fn differs(asked: &Option<Option<String>>, stored: &Option<SecretString>) -> bool {
    asked.as_ref().is_some_and(|asked| asked.as_deref() != stored.as_ref().map(|stored| stored.expose_secret()))
}

pub(crate) fn profile(user: &UserRow, personal: &Personal) -> Profile {
    Profile {
        id: user.id.clone(),
        email: user.email.clone(),
        email_verified: user.status() != Status::Unverified,
        full_name: user.full_name.clone(),
        phone: personal.phone.as_ref().map(|phone| masked(phone, 3)),
        tckn: personal.tckn.as_ref().map(|number| masked(number, 0)),
        kyc_level: user.kyc_level,
        roles: user.roles().iter().map(|role| role.name().to_owned()).collect(),
        live_allowed: user.live_allowed != 0,
        totp_enabled: user.totp_enabled != 0,
        created_at: rfc3339(user.created_ms),
    }
}

async fn update(tx: &mut Tx, user: &UserRow, now_ms: i64) -> std::result::Result<(), StoreError> {
    execute_on_both!(tx, c => sqlx::query(
        "UPDATE users SET full_name = $2, phone_sealed = $3, tckn_sealed = $4, kyc_level = $5, updated_ms = $6 WHERE id = $1"
    ).bind(user.id.as_str()).bind(user.full_name.as_str()).bind(user.phone_sealed.as_deref())
     .bind(user.tckn_sealed.as_deref()).bind(user.kyc_level).bind(now_ms).execute(c))
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_is_turkish_and_has_ten_digits() {
        assert!(is_phone("+905321234567"));
        for bad in [
            "",
            "+90",
            "+9053212345678",
            "+90532123456",
            "05321234567",
            "+900321234567",
            "+90 5321234567",
            "+90५321234567",
        ] {
            assert!(!is_phone(bad), "{bad}");
        }
    }

    #[test]
    fn masks_show_two_digits() {
        assert_eq!(masked(&"+905321234567".to_owned().into(), 3), "+90********67");
        assert_eq!(masked(&"10000000146".to_owned().into(), 0), "*********46");
        assert_eq!(masked(&String::new().into(), 3), "");
    }

    #[test]
    fn null_is_not_the_same_as_nothing() {
        let change: ProfileChange = serde_json::from_str(r#"{"phone":null}"#).unwrap();
        assert!(change.phone == Some(None) && change.tckn.is_none());
    }
}
