//! Recovery codes: ten for a second factor, each in place of one code, each once. Only hashes with the user's id are kept;
//! 80 random bits need nothing slower.

use api_store::{StoreError, Tx, execute_on_both};
use data_encoding::BASE32_NOPAD;
use secrecy::{ExposeSecret, SecretString};

use crate::error::Result;
use crate::secret;

/// How many there are.
pub(crate) const CODES: usize = 10;

/// Ten new ones, each four groups of four characters of base32 in lower case.
pub(crate) fn texts() -> Result<Vec<SecretString>> {
    (0..CODES).map(|_| text()).collect()
}

fn text() -> Result<SecretString> {
    let plain = BASE32_NOPAD.encode(&secret::random_bytes::<10>()?).to_ascii_lowercase();
    let groups: Vec<&str> = (0..4).filter_map(|at| plain.get(at * 4..at * 4 + 4)).collect();
    Ok(groups.join("-").into())
}

/// Dashes, blanks and capitals are a person's own.
fn code_hash(user_id: &str, code: &SecretString) -> Vec<u8> {
    let plain = code.expose_secret().chars().filter(char::is_ascii_alphanumeric);
    secret::hash(&format!("{user_id} {}", plain.collect::<String>().to_ascii_lowercase()))
}

/// Keeps `codes` in place of earlier ones.
pub(crate) async fn replace(tx: &mut Tx, user_id: &str, codes: &[SecretString]) -> std::result::Result<(), StoreError> {
    delete(&mut *tx, user_id).await?;
    for code in codes {
        execute_on_both!(&mut *tx, c => sqlx::query("INSERT INTO recovery_codes (user_id, code_hash) VALUES ($1, $2)")
            .bind(user_id).bind(code_hash(user_id, code)).execute(c))?;
    }
    Ok(())
}

/// Whether it is one of them that was never used; then it is used.
pub(crate) async fn take(
    tx: &mut Tx,
    user_id: &str,
    code: &SecretString,
    now_ms: i64,
) -> std::result::Result<bool, StoreError> {
    execute_on_both!(tx, c => sqlx::query(
        "UPDATE recovery_codes SET used_ms = $3 WHERE user_id = $1 AND code_hash = $2 AND used_ms IS NULL"
    ).bind(user_id).bind(code_hash(user_id, code)).bind(now_ms).execute(c))
    .map(|rows| rows > 0)
}

/// Forgets them all.
pub(crate) async fn delete(tx: &mut Tx, user_id: &str) -> std::result::Result<(), StoreError> {
    execute_on_both!(tx, c => sqlx::query("DELETE FROM recovery_codes WHERE user_id = $1").bind(user_id).execute(c))
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_can_be_read_aloud_and_typed_loosely() {
        let code = text().unwrap();
        assert_eq!(code.expose_secret().len(), 19);
        let typed: SecretString = code.expose_secret().to_uppercase().replace('-', " ").into();
        assert_eq!(code_hash("u1", &code), code_hash("u1", &typed));
        assert_ne!(code_hash("u1", &code), code_hash("u2", &code));
    }
}
