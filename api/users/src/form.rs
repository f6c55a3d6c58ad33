//! The form of what people write: names and identities. Each refusal names its field. Never stores anything.

use crate::error::{Result, UsersError};

/// Whether a character does nothing but steer: control characters, line separators, and the marks that turn the
/// direction of writing or have no width, by which one name can look like another.
fn steers(one: char) -> bool {
    one.is_control()
        || matches!(one, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A text of 1 to `chars_max` characters without its outer blanks, on one line.
///
/// # Errors
/// 400 with `code`, naming `field`.
pub(crate) fn line(code: &'static str, field: &'static str, text: &str, chars_max: usize) -> Result<String> {
    let text = text.trim();
    if text.chars().any(steers) {
        return Err(UsersError::field(code, field, format!("{field} must not hold control characters")));
    }
    if (1..=chars_max).contains(&text.chars().count()) {
        return Ok(text.to_owned());
    }
    Err(UsersError::field(code, field, format!("{field} has 1 to {chars_max} characters")))
}

/// The id of a path as it is kept; what is no UUID is the id of nothing.
///
/// # Errors
/// 404.
pub(crate) fn id(what: &str, text: &str) -> Result<String> {
    uuid::Uuid::try_parse(text).map(|id| id.to_string()).map_err(|_| UsersError::not_found(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_line_that_looks_like_what_it_is() {
        let name = |text: &str| line("INVALID_NAME", "name", text, 100);
        assert_eq!(name("  Ayşe Çelik ").unwrap(), "Ayşe Çelik");
        assert_eq!(name("<b>Ayşe</b>").unwrap(), "<b>Ayşe</b>", "markup is text like any other");
        let long = "ş".repeat(101);
        for bad in ["", "  ", "a\r\nb", "a\0b", "a\u{1b}[31m", "a\u{202e}b", "a\u{200b}b", "a\u{2028}b", &long] {
            assert_eq!(name(bad).unwrap_err().code(), "INVALID_NAME", "{bad:?}");
        }
    }

    #[test]
    fn what_is_no_uuid_is_the_id_of_nothing() {
        assert_eq!(id("key", "0196A0B0-0000-7000-8000-000000000001").unwrap(), "0196a0b0-0000-7000-8000-000000000001");
        for bad in ["", "1", "' OR 1=1 --", "0196a0b0\0"] {
            assert_eq!(id("key", bad).unwrap_err().code(), "NOT_FOUND");
        }
    }
}
