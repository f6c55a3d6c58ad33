//! The configuration file.

use ::config::Environment;

/// The program's own file: it has no library to be reached by.
#[allow(dead_code, missing_docs, unused_imports)] // only what reads and writes is used
#[path = "../../../src/settings/mod.rs"]
mod program;

/// A file of any text.
///
/// It is refused with words that name it, or it sets values within their bounds; and what `bist config --print` shows of
/// them is a file that sets the same.
pub fn settings(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let read = |text: &str| {
        let files = [("file fuzz.toml".to_owned(), text.to_owned())];
        program::layers::load_from(&files, &Environment::default().source(Some(Default::default())), &[])
    };
    let loaded = match read(text) {
        Ok(loaded) => loaded,
        Err(error) => {
            let message = format!("{error:#}");
            // What is wrong with the values of all layers together is named by its key.
            let by_key = message.starts_with("configuration: book.")
                || message.starts_with("configuration: ") && message.contains(" = ");
            assert!(message.contains("fuzz.toml") || by_key, "{message}");
            return;
        }
    };
    assert_eq!(loaded.settings.book.limits(book::market::OrderKey::Id).check(), Ok(()));
    let printed = loaded.to_toml();
    match read(&printed) {
        Ok(again) => assert_eq!(again.settings, loaded.settings, "{printed}"),
        Err(error) => panic!("{error:#}\n{printed}"),
    }
}
