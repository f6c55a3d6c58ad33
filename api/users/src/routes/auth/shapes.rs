//! Bodies and answers of `auth/`. What is secret in a body is never printed; texts have their bounds here for readers, and
//! are checked by the subjects.

use api_kit::error::ApiError;
use axum::http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::login::{Credentials, Issued};
use crate::register::{Registered, Registration};
use crate::totp::{Factor, Setup};

/// A new account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RegisterBody {
    /// E-mail address of plain characters; capitals and outer blanks do not count.
    #[schema(min_length = 3, max_length = 254, example = "ayse@example.com")]
    email: String,
    /// 10 to 128 characters, without the name of the address.
    #[schema(value_type = String, min_length = 10, max_length = 128, example = "kırmızı bisiklet 7")]
    password: SecretString,
    /// The person's name, without control characters.
    #[schema(min_length = 1, max_length = 100, example = "Ayşe Kaya")]
    full_name: String,
}

impl From<RegisterBody> for Registration {
    fn from(body: RegisterBody) -> Self {
        Self { email: body.email, password: body.password, full_name: body.full_name }
    }
}

/// The first administrator.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetupBody {
    /// From the link that the program has printed.
    #[schema(value_type = String, min_length = 1, max_length = 128, example = "bist_ot_…")]
    token: SecretString,
    /// E-mail address of plain characters; capitals and outer blanks do not count.
    #[schema(min_length = 3, max_length = 254, example = "ayse@example.com")]
    email: String,
    /// 10 to 128 characters, without the name of the address.
    #[schema(value_type = String, min_length = 10, max_length = 128, example = "kırmızı bisiklet 7")]
    password: SecretString,
    /// The person's name, without control characters.
    #[schema(min_length = 1, max_length = 100, example = "Ayşe Kaya")]
    full_name: String,
}

impl SetupBody {
    pub(super) fn parts(self) -> (SecretString, Registration) {
        (self.token, Registration { email: self.email, password: self.password, full_name: self.full_name })
    }
}

/// An account that was registered.
#[derive(Serialize, ToSchema)]
pub(super) struct RegisteredAnswer {
    /// Its id.
    #[schema(example = "0196a0b0-0000-7000-8000-000000000001")]
    id: String,
    /// Its address, as it is kept.
    #[schema(example = "ayse@example.com")]
    email: String,
    /// Whether it can be used at once; otherwise a link was sent to the address.
    #[schema(example = true)]
    verified: bool,
}

impl From<Registered> for RegisteredAnswer {
    fn from(registered: Registered) -> Self {
        let Registered { id, email, verified } = registered;
        Self { id, email, verified }
    }
}

/// A link's token, and the password of the registration.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VerifyBody {
    /// From the link.
    #[schema(value_type = String, min_length = 1, max_length = 128, example = "bist_ot_…")]
    pub token: SecretString,
    /// The password that was chosen at the registration.
    #[schema(value_type = String, max_length = 128, example = "kırmızı bisiklet 7")]
    pub password: SecretString,
}

/// An address that is verified.
#[derive(Serialize, ToSchema)]
pub(super) struct VerifiedAnswer {
    /// Always true.
    #[schema(example = true)]
    pub verified: bool,
}

/// A log-in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginBody {
    /// The account's address.
    #[schema(max_length = 254, example = "ayse@example.com")]
    email: String,
    /// Its password.
    #[schema(value_type = String, max_length = 128, example = "kırmızı bisiklet 7")]
    password: SecretString,
    /// Six digits of the second factor, when there is one.
    #[schema(value_type = Option<String>, min_length = 6, max_length = 6, example = "123456")]
    totp: Option<SecretString>,
    /// One of the recovery codes, in place of `totp`.
    #[schema(value_type = Option<String>, max_length = 32, example = "abcd-efgh-ijkl-mnop")]
    recovery_code: Option<SecretString>,
}

impl LoginBody {
    /// # Errors
    /// 400 when both proofs are given.
    pub(super) fn credentials(self) -> Result<Credentials, ApiError> {
        let factor = factor("totp", self.totp, self.recovery_code)?;
        Ok(Credentials { email: self.email, password: self.password, factor })
    }
}

fn factor(name: &str, code: Option<SecretString>, recovery: Option<SecretString>) -> Result<Option<Factor>, ApiError> {
    match (code, recovery) {
        (Some(_), Some(_)) => {
            let message = format!("send {name} or recovery_code, not both");
            Err(ApiError::new(StatusCode::BAD_REQUEST, "INVALID_BODY", message))
        }
        (Some(code), None) => Ok(Some(Factor::Code(code))),
        (None, code) => Ok(code.map(Factor::Recovery)),
    }
}

/// Tokens of a session.
#[derive(Serialize, ToSchema)]
pub(super) struct TokensAnswer {
    /// For `Authorization: Bearer`, until it ends (EdDSA JWT).
    #[schema(example = "eyJ0eXAiOiJKV1QiLCJhbGciOiJFZERTQSIsImtpZCI6Ii4uLiJ9…")]
    access_token: String,
    /// For `auth/refresh`, once, within 30 days.
    #[schema(example = "bist_rt_…")]
    refresh_token: String,
    /// Life of the access token, seconds.
    #[schema(minimum = 1, maximum = 900, example = 900)]
    expires_in: i64,
    /// Always `Bearer`.
    #[schema(example = "Bearer")]
    token_type: &'static str,
}

impl From<Issued> for TokensAnswer {
    fn from(issued: Issued) -> Self {
        Self {
            access_token: issued.access_token.expose_secret().to_owned(),
            refresh_token: issued.refresh_token.expose_secret().to_owned(),
            expires_in: issued.expires_in_s,
            token_type: "Bearer",
        }
    }
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RefreshBody {
    /// The newest one of the session.
    #[schema(value_type = String, min_length = 1, max_length = 128, example = "bist_rt_…")]
    pub refresh_token: SecretString,
}

/// Sessions that ended.
#[derive(Serialize, ToSchema)]
pub(super) struct RevokedAnswer {
    /// How many.
    #[schema(example = 1)]
    pub revoked: u64,
}

/// A new password by the current one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeBody {
    /// The current one.
    #[schema(value_type = String, max_length = 128, example = "kırmızı bisiklet 7")]
    pub current_password: SecretString,
    /// 10 to 128 characters, without the name of the address.
    #[schema(value_type = String, min_length = 10, max_length = 128, example = "yeşil bisiklet 8")]
    pub new_password: SecretString,
}

/// A password that was changed.
#[derive(Serialize, ToSchema)]
pub(super) struct ChangedAnswer {
    /// Always true.
    #[schema(example = true)]
    pub changed: bool,
}

/// An address whose password was forgotten.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ForgotBody {
    /// The account's address.
    #[schema(min_length = 3, max_length = 254, example = "ayse@example.com")]
    pub email: String,
}

/// A link is on its way, if the address has an account.
#[derive(Serialize, ToSchema)]
pub(super) struct SentAnswer {
    /// Always true.
    #[schema(example = true)]
    pub sent: bool,
}

/// A new password by a link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResetBody {
    /// From the link.
    #[schema(value_type = String, min_length = 1, max_length = 128, example = "bist_ot_…")]
    pub token: SecretString,
    /// 10 to 128 characters, without the name of the address.
    #[schema(value_type = String, min_length = 10, max_length = 128, example = "yeşil bisiklet 8")]
    pub new_password: SecretString,
}

/// A password that confirms.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordBody {
    /// The current one.
    #[schema(value_type = String, max_length = 128, example = "kırmızı bisiklet 7")]
    pub password: SecretString,
}

/// What an app needs to show codes; shown once.
#[derive(Serialize, ToSchema)]
pub(super) struct TotpSetupAnswer {
    /// Base32 of 20 bytes.
    #[schema(example = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")]
    secret: String,
    /// The same, for a QR code.
    #[schema(example = "otpauth://totp/BIST:ayse%40example.com?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=BIST")]
    otpauth_url: String,
}

impl From<Setup> for TotpSetupAnswer {
    fn from(setup: Setup) -> Self {
        Self {
            secret: setup.secret.expose_secret().to_owned(),
            otpauth_url: setup.otpauth_url.expose_secret().to_owned(),
        }
    }
}

/// The first code of an app.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CodeBody {
    /// Six digits.
    #[schema(value_type = String, min_length = 6, max_length = 6, example = "123456")]
    pub code: SecretString,
}

/// The second factor is on.
#[derive(Serialize, ToSchema)]
pub(super) struct TotpEnabledAnswer {
    /// Always true.
    #[schema(example = true)]
    pub enabled: bool,
    /// Ten codes, each good once in place of one of the app; shown once.
    #[schema(min_items = 10, max_items = 10, example = json!(["abcd-efgh-ijkl-mnop"]))]
    pub recovery_codes: Vec<String>,
}

/// What switches the second factor off.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TotpDisableBody {
    /// The current password.
    #[schema(value_type = String, max_length = 128, example = "kırmızı bisiklet 7")]
    password: SecretString,
    /// Six digits of the app.
    #[schema(value_type = Option<String>, min_length = 6, max_length = 6, example = "123456")]
    code: Option<SecretString>,
    /// One of the recovery codes, in place of `code`.
    #[schema(value_type = Option<String>, max_length = 32, example = "abcd-efgh-ijkl-mnop")]
    recovery_code: Option<SecretString>,
}

impl TotpDisableBody {
    /// # Errors
    /// 400 when both proofs are given, 401 when none is.
    pub(super) fn parts(self) -> Result<(SecretString, Factor), ApiError> {
        let factor = factor("code", self.code, self.recovery_code)?;
        Ok((self.password, factor.ok_or_else(crate::totp::required)?))
    }
}

/// The second factor is off.
#[derive(Serialize, ToSchema)]
pub(super) struct TotpDisabledAnswer {
    /// Always false.
    #[schema(example = false)]
    pub enabled: bool,
}

/// What a page must know before anybody is logged in.
#[derive(Serialize, ToSchema)]
pub(super) struct OptionsAnswer {
    /// Whether accounts can be used at once and links stand in the log.
    #[schema(example = true)]
    pub development: bool,
    /// Whether mails are sent.
    #[schema(example = false)]
    pub mailer: bool,
    /// Whether no account exists yet.
    #[schema(example = false)]
    pub setup_needed: bool,
    /// Shortest password, characters.
    #[schema(example = 10)]
    pub password_length_min: usize,
}
