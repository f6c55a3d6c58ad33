//! E-mail addresses and names of people, as they are taken. Asks nobody whether an address exists.

use crate::error::{Result, UsersError};
use crate::form;

/// Longest address in bytes (RFC 5321, section 4.5.3.1.3, without the angle brackets).
pub const EMAIL_BYTES_MAX: usize = 254;

/// Longest name in characters.
pub const NAME_MAX: usize = 100;

/// `text` as an address of an account: trimmed, in lower case. `None` when it is none, or has other characters than
/// visible ASCII: addresses that look alike must not be two accounts.
#[must_use]
pub fn cleaned(text: &str) -> Option<String> {
    let email = text.trim().to_lowercase();
    let is_plain = email.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"(),:;<>[\\]".contains(&byte));
    let is_one = email.bytes().filter(|&byte| byte == b'@').count() == 1;
    let fits = is_plain && is_one && email.len() <= EMAIL_BYTES_MAX;
    (fits && email.parse::<lettre::Address>().is_ok()).then_some(email)
}

/// The same, with the refusal for a caller.
///
/// # Errors
/// 400 `INVALID_EMAIL`.
pub fn checked(text: &str) -> Result<String> {
    let refusal = || {
        let message = "this is not an e-mail address of at most 254 plain characters, such as ayse@example.com";
        UsersError::field("INVALID_EMAIL", "email", message)
    };
    cleaned(text).ok_or_else(refusal)
}

/// A person's name, trimmed.
///
/// # Errors
/// 400 `INVALID_NAME`.
pub fn checked_name(text: &str) -> Result<String> {
    form::line("INVALID_NAME", "full_name", text, NAME_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_in_one_form() {
        assert_eq!(cleaned("  Ayse.K@Example.COM "), Some("ayse.k@example.com".to_owned()));
        assert_eq!(cleaned("ayse+bist@example.com"), Some("ayse+bist@example.com".to_owned()));
        let long = format!("{}@example.com", "a".repeat(250));
        for bad in ["", "ayse", "@example.com", "ayse@", "a@b@c.com", "a b@c.com", "a\0@c.com", "a\r\n@c.com", &long] {
            assert_eq!(cleaned(bad), None, "{bad:?}");
        }
        // Not two accounts that look like one.
        for odd in ["аyse@example.com", "\"ayse\"@example.com", "ayse:k@example.com", "Ayse <ayse@example.com>"] {
            assert_eq!(cleaned(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn a_name_has_characters_that_can_be_seen() {
        assert_eq!(checked_name(" Ayşe Kaya ").unwrap(), "Ayşe Kaya");
        for bad in ["", "   ", "a\nb", "a\0b", &"a".repeat(101)] {
            assert_eq!(checked_name(bad).unwrap_err().code(), "INVALID_NAME");
        }
    }
}
