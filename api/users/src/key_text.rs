//! The text of an API key: `bist_paper_` or `bist_live_`, 12 characters that may be shown, `_`, 43 secret ones.
//!
//! The form only: never says whether a key is good, and keeps none.

use api_kit::principal::Environment;
use secrecy::SecretString;

use crate::error::Result;
use crate::secret;

/// Characters of the part that may be shown: base32, lower case.
const PUBLIC_CHARS: usize = 12;

/// Characters of the secret part: base64url of 256 bits.
const SECRET_CHARS: usize = 43;

/// How keys of an environment begin.
const fn beginning(environment: Environment) -> &'static str {
    match environment {
        Environment::Paper => "bist_paper_",
        Environment::Live => "bist_live_",
    }
}

/// What a credential begins with that says to be a key.
fn claimed(text: &str) -> Option<&'static str> {
    Environment::ALL.iter().map(|&environment| beginning(environment)).find(|start| text.starts_with(start))
}

/// Whether a credential says to be a key.
pub(crate) fn is_key(text: &str) -> bool {
    claimed(text).is_some()
}

/// The part of a key that may be shown and by which it is found; `None` when the text has not the form of one.
pub(crate) fn prefix(text: &str) -> Option<&str> {
    let start = claimed(text)?.len();
    let (prefix, secret) = text.split_at_checked(start + PUBLIC_CHARS)?;
    let secret = secret.strip_prefix('_')?;
    let is_public = prefix.bytes().skip(start).all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'));
    let is_secret = secret.len() == SECRET_CHARS
        && secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    (is_public && is_secret).then_some(prefix)
}

/// A new key: the part that may be shown, and the whole text.
///
/// # Errors
/// The system has no randomness.
pub(crate) fn generate(environment: Environment) -> Result<(String, SecretString)> {
    let prefix = format!("{}{}", beginning(environment), secret::random_public_part()?);
    let text = secret::random_text(&format!("{prefix}_"))?;
    Ok((prefix, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn a_key_is_known_by_its_form() {
        for &environment in Environment::ALL {
            let (shown, text) = generate(environment).unwrap();
            assert_eq!(prefix(text.expose_secret()), Some(shown.as_str()));
            assert_eq!(shown.len(), beginning(environment).len() + PUBLIC_CHARS);
        }
        let good = format!("bist_paper_{}_{}", "a".repeat(12), "_".repeat(43));
        assert!(prefix(&good).is_some());
        for bad in [
            &good[..good.len() - 1],
            &format!("{good}a"),
            &good.replacen("aaaa", "aaa1", 1),
            &good.replacen("aaaa", "AAAA", 1),
            &good.replacen("paper", "demo", 1),
            &good.replacen("____", "___.", 1),
            &good.replacen("aaaa", "aaş", 1),
            "bist_live_",
            "",
        ] {
            assert_eq!(prefix(bad), None, "{bad}");
        }
        assert!(is_key("bist_live_anything") && !is_key("eyJhbGciOi"));
    }
}
