//! Ed25519 keys that sign access tokens: made here, kept sealed in the database, published as JWK (RFC 8037).
//!
//! Each signs for `signing_key_life`; the next one is there before, so that every process knows it when it is used. A
//! private key never leaves this module in clear but into the vault.

use api_store::{Place, StoreError, Tx, Vault, execute_on_both, on_both};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use jsonwebtoken::{DecodingKey, EncodingKey};
use secrecy::{ExposeSecret, SecretSlice};

use super::fault;
use crate::error::Result;

/// Owner of the sealed private keys in the vault.
const OWNER: &str = "service";

/// Name, public key, sealed private key, when it was made, until when it signs.
type KeyRow = (String, Vec<u8>, Vec<u8>, i64, i64);

/// One key.
#[derive(Clone)]
pub struct SigningKey {
    /// Its public name: the beginning of the SHA-256 of the public key.
    pub kid: String,
    /// When it was made, Unix milliseconds.
    pub created_ms: i64,
    /// When the next one takes over, Unix milliseconds.
    pub signs_until_ms: i64,
    public: Vec<u8>,
    private: SecretSlice<u8>,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// A new key.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate(created_ms: i64, signs_until_ms: i64) -> Result<Self> {
        let pair = Ed25519KeyPair::generate().map_err(|_| fault("no signing key can be made".into()))?;
        let private = pair.to_pkcs8().map_err(|_| fault("no signing key can be made".into()))?;
        let public = pair.public_key().as_ref().to_vec();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &public);
        let kid = HEXLOWER.encode(&digest.as_ref()[..8]);
        Ok(Self { kid, created_ms, signs_until_ms, public, private: private.as_ref().to_vec().into() })
    }

    pub(super) fn encoding(&self) -> EncodingKey {
        EncodingKey::from_ed_der(self.private.expose_secret())
    }

    pub(super) fn decoding(&self) -> Result<DecodingKey> {
        DecodingKey::from_ed_components(&BASE64URL_NOPAD.encode(&self.public))
            .map_err(|_| fault("a signing key is damaged".into()))
    }

    /// The public key as JWK.
    #[must_use]
    pub fn jwk(&self) -> serde_json::Value {
        serde_json::json!({
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
            "kid": self.kid, "x": BASE64URL_NOPAD.encode(&self.public),
        })
    }
}

/// The keys that sign or verify at `now_ms`. Makes one when there is none that signs for another `margin_ms`, and forgets
/// those whose tokens have ended (`verify_ms` after the last was signed).
///
/// # Errors
/// Those of the store.
pub async fn current(
    tx: &mut Tx,
    vault: &Vault,
    now_ms: i64,
    (life_ms, margin_ms, verify_ms): (i64, i64, i64),
) -> Result<Vec<SigningKey>> {
    execute_on_both!(tx, c => sqlx::query("DELETE FROM signing_keys WHERE signs_until_ms < $1")
        .bind(now_ms - verify_ms - margin_ms).execute(c))?;
    let mut keys = stored(tx, vault).await?;
    if !keys.iter().any(|key| key.signs_until_ms - margin_ms > now_ms) {
        let key = SigningKey::generate(now_ms, now_ms + life_ms)?;
        store(tx, vault, &key).await?;
        keys.push(key);
    }
    Ok(keys)
}

async fn stored(tx: &mut Tx, vault: &Vault) -> Result<Vec<SigningKey>> {
    let rows: Vec<KeyRow> = on_both!(tx, c => sqlx::query_as(
        "SELECT kid, public_key, private_sealed, created_ms, signs_until_ms FROM signing_keys ORDER BY created_ms"
    ).fetch_all(c))?;
    let mut keys = Vec::with_capacity(rows.len());
    for (kid, public, sealed, created_ms, signs_until_ms) in rows {
        let private = vault.open_sealed(tx, OWNER, place(&kid), &sealed).await?;
        keys.push(SigningKey { kid, created_ms, signs_until_ms, public, private });
    }
    Ok(keys)
}

async fn store(tx: &mut Tx, vault: &Vault, key: &SigningKey) -> std::result::Result<(), StoreError> {
    let sealed = vault.seal(tx, OWNER, place(&key.kid), key.private.expose_secret(), key.created_ms).await?;
    execute_on_both!(tx, c => sqlx::query(
        "INSERT INTO signing_keys (kid, public_key, private_sealed, created_ms, signs_until_ms) VALUES ($1, $2, $3, $4, $5)"
    ).bind(key.kid.clone()).bind(key.public.clone()).bind(sealed).bind(key.created_ms).bind(key.signs_until_ms).execute(c))
    .map(drop)
}

fn place(kid: &str) -> Place<'_> {
    Place { table: "signing_keys", row: kid, column: "private_sealed" }
}
