//! Random texts that open something, and what is kept of them: a SHA-256. They have 256 bits, so that nothing slower is
//! needed. Never keeps a text.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use secrecy::{ExposeSecret, SecretString};

use crate::error::{Result, UsersError};

/// `prefix` and 43 characters of base64url (256 random bits).
///
/// # Errors
/// The system has no randomness.
pub fn random_text(prefix: &str) -> Result<SecretString> {
    Ok(format!("{prefix}{}", BASE64URL_NOPAD.encode(&random_bytes::<32>()?)).into())
}

/// 12 characters of base32 in lower case (60 random bits), the public part of an API key.
///
/// # Errors
/// The system has no randomness.
pub fn random_public_part() -> Result<String> {
    let mut text = BASE32_NOPAD.encode(&random_bytes::<8>()?).to_ascii_lowercase();
    text.truncate(12);
    Ok(text)
}

/// `N` random bytes.
///
/// # Errors
/// The system has no randomness.
pub fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    let failed = |_| UsersError::Store(api_store::StoreError::Fault("the system has no randomness".to_owned()));
    SystemRandom::new().fill(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// What is kept of a random text.
#[must_use]
pub fn hash(text: &str) -> Vec<u8> {
    digest(&SHA256, text.as_bytes()).as_ref().to_vec()
}

/// What is kept of a secret random text.
#[must_use]
pub fn hash_of(text: &SecretString) -> Vec<u8> {
    hash(text.expose_secret())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_texts_have_their_form_and_differ() {
        let one = random_text("bist_rt_").unwrap();
        assert_eq!(one.expose_secret().len(), 8 + 43);
        assert_ne!(hash_of(&one), hash_of(&random_text("bist_rt_").unwrap()));
        let part = random_public_part().unwrap();
        assert!(part.len() == 12 && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
    }
}
