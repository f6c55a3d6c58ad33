//! Layers of the configuration, later ones win: defaults, files (`--config`, repeatable), environment
//! (`BIST__SECTION__KEY`), flags.
//!
//! Unknown keys are refused. Never guesses a value, and never takes one without noting where it came from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ::book::market::OrderKey;
use anyhow::{Context, Result, anyhow, ensure};
use config::{Config, Environment, File, FileFormat, Source, Value, ValueKind};

use super::secret::{HIDDEN, SECRET_KEYS, Secret};
use super::{Book, OPTIONAL, Settings, SourceKind};

/// Settings and where each value came from.
pub struct Loaded {
    /// The values in force.
    pub settings: Settings,
    /// `section.key` → the value as TOML and its source.
    pub origins: BTreeMap<String, (String, String)>,
}

/// Reads all layers. `flags` are `section.key` → value.
///
/// # Errors
/// A file that cannot be read, an unknown key, a value that does not fit; the message names the key and its source.
pub fn load(files: &[PathBuf], flags: &[(&str, String)]) -> Result<Loaded> {
    let environment = Environment::with_prefix("BIST")
        .prefix_separator("__")
        .separator("__")
        .list_separator(",")
        .with_list_parse_key("threads.cores")
        .with_list_parse_key("api.cors_origins")
        .with_list_parse_key("api.trusted_proxies")
        .try_parsing(true);
    let named = |file: &PathBuf| {
        let name = format!("file {}", file.display());
        let text = std::fs::read_to_string(file).with_context(|| format!("reading {name}"))?;
        Ok((name, text))
    };
    load_from(&files.iter().map(named).collect::<Result<Vec<_>>>()?, &environment, flags)
}

/// The same from the texts of files, each with a name for messages.
///
/// # Errors
/// An unknown key, a value that does not fit; the message names the key and its source.
pub fn load_from(files: &[(String, String)], environment: &Environment, flags: &[(&str, String)]) -> Result<Loaded> {
    let mut origins = BTreeMap::new();
    let mut builder = Config::builder();
    let source = source_named(files, environment, flags);
    let defaults = Settings { book: Book::of(source), ..Settings::default() };
    let defaults = toml::to_string(&defaults).context("writing the defaults")?;
    let defaults = File::from_str(&defaults, FileFormat::Toml);
    note(&defaults, "default", &mut origins)?;
    for (key, (_, origin)) in &mut origins {
        if key.starts_with("book.") {
            *origin = format!("default of source {}", source.name());
        }
    }
    builder = builder.add_source(defaults);
    for (name, text) in files {
        let source = File::from_str(text, FileFormat::Toml);
        note(&source, name, &mut origins).with_context(|| format!("reading {name}"))?;
        check(&source, name)?;
        builder = builder.add_source(source);
    }
    note(environment, "environment", &mut origins).context("reading BIST__… from the environment")?;
    check(environment, "the environment (BIST__SECTION__KEY)")?;
    builder = builder.add_source(environment.clone());
    for (key, value) in flags {
        origins.insert((*key).to_owned(), (flag_text(value), "flag".to_owned()));
        builder = builder.set_override(*key, value.as_str())?;
    }
    let config = builder.build()?;
    let mut settings: Settings = config.try_deserialize().map_err(|error| anyhow!("configuration: {error}"))?;
    read_secrets(&mut settings).context("configuration")?;
    settings.book.limits(OrderKey::Id).check().map_err(|wrong| anyhow!("configuration: book.{wrong}"))?;
    super::check::check(&settings).context("configuration")?;
    Ok(Loaded { settings, origins })
}

/// The source that the layers name, for the defaults that depend on it. One that cannot be read is refused later, by its
/// layer.
fn source_named(files: &[(String, String)], environment: &Environment, flags: &[(&str, String)]) -> SourceKind {
    let mut named = Config::builder();
    for (_, text) in files {
        named = named.add_source(File::from_str(text, FileFormat::Toml));
    }
    let named = named.add_source(environment.clone());
    let flag = flags.iter().rev().find(|(key, _)| *key == "feed.source").map(|(_, value)| value.clone());
    let named = flag.or_else(|| named.build().ok()?.get_string("feed.source").ok());
    named.and_then(|name| SourceKind::from_name(&name)).unwrap_or_default()
}

/// Fills in the secrets that stand in files of their own.
fn read_secrets(settings: &mut Settings) -> Result<()> {
    let (storage, users) = (&mut settings.storage, &mut settings.users);
    let pairs = [
        ("storage.postgres_url", &storage.postgres_url_file, &mut storage.postgres_url),
        ("storage.redis_url", &storage.redis_url_file, &mut storage.redis_url),
        ("users.smtp_url", &users.smtp_url_file, &mut users.smtp_url),
    ];
    for (key, file, secret) in pairs {
        let Some(file) = file else { continue };
        ensure!(secret.is_none(), "{key} and {key}_file are both set: keep one");
        let text = std::fs::read_to_string(file).with_context(|| format!("{key}_file: {}", file.display()))?;
        let text = text.trim();
        ensure!(!text.is_empty() && !text.contains('\n'), "{key}_file: {} must hold one line", file.display());
        *secret = Some(Secret::from(text.to_owned()));
    }
    Ok(())
}

/// Each layer must make sense by itself, so that the message can name it.
fn check(source: &(impl Source + Clone + Send + Sync + 'static), name: &str) -> Result<()> {
    let config = Config::builder().add_source(source.clone()).build().with_context(|| format!("reading {name}"))?;
    config
        .try_deserialize::<Settings>()
        .map(|_| ())
        .map_err(|error| anyhow!("{name}: {error}\n  `bist config --print` lists every key with its value and source"))
}

fn note(source: &impl Source, name: &str, origins: &mut BTreeMap<String, (String, String)>) -> Result<()> {
    let table = source.collect()?;
    for (key, value) in table {
        flatten(&key, &value, name, origins);
    }
    Ok(())
}

fn flatten(key: &str, value: &Value, name: &str, origins: &mut BTreeMap<String, (String, String)>) {
    match &value.kind {
        ValueKind::Table(table) => {
            for (inner, value) in table {
                flatten(&format!("{key}.{inner}"), value, name, origins);
            }
        }
        _ => {
            let shown = if SECRET_KEYS.contains(&key) { HIDDEN.into() } else { value.clone() };
            origins.insert(key.to_owned(), (toml_text(&shown), name.to_owned()));
        }
    }
}

impl Loaded {
    /// The values in force as TOML, each with its source behind it: read again they are the same.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = "# values in force; later layers win: default < file < environment < flag\n".to_owned();
        let mut section = "";
        for (key, (value, origin)) in &self.origins {
            let (of, name) = key.split_once('.').unwrap_or(("", key));
            if of != section {
                text += &format!("\n[{of}]\n");
                section = of;
            }
            text += &format!("{:<44} # {origin}\n", format!("{name} = {value}"));
        }
        let unset: Vec<&str> = OPTIONAL.into_iter().filter(|key| !self.origins.contains_key(*key)).collect();
        if !unset.is_empty() {
            text += &format!("\n# not set: {}\n", unset.join(", "));
        }
        text
    }
}

/// The same of a flag, whose kind only its key knows: a number or a truth value if it reads as one.
fn flag_text(value: &str) -> String {
    let is_number = value.parse::<i64>().is_ok_and(|number| number.to_string() == value);
    if is_number || matches!(value, "true" | "false") { value.to_owned() } else { toml_text(&value.into()) }
}

/// A value as it stands in a TOML file.
fn toml_text(value: &Value) -> String {
    match &value.kind {
        ValueKind::Array(items) => format!("[{}]", items.iter().map(toml_text).collect::<Vec<_>>().join(", ")),
        ValueKind::String(text) => toml::Value::String(text.clone()).to_string(),
        ValueKind::Float(number) => toml::Value::Float(*number).to_string(),
        _ => value.to_string(),
    }
}

/// Whether a configuration file exists where nobody named one: `bist.toml` in the working folder.
pub fn default_files() -> Vec<PathBuf> {
    let file = Path::new("bist.toml");
    if file.is_file() { vec![file.to_owned()] } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        let map = pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        Environment::with_prefix("BIST")
            .prefix_separator("__")
            .separator("__")
            .list_separator(",")
            .with_list_parse_key("threads.cores")
            .with_list_parse_key("api.cors_origins")
            .with_list_parse_key("api.trusted_proxies")
            .try_parsing(true)
            .source(Some(map))
    }

    fn file(text: &str) -> (String, String) {
        ("file test.toml".to_owned(), text.to_owned())
    }

    #[test]
    fn later_layers_win_and_say_so() {
        let file = file("[sim]\nrate = 5000\nseed = 3\n");
        let environment = environment(&[
            ("BIST__SIM__SEED", "4"),
            ("BIST__THREADS__CORES", "2,3"),
            ("BIST__API__CORS_ORIGINS", "https://a,https://b"),
            ("BIST__API__TRUSTED_PROXIES", "10.0.0.1,::1"),
        ]);
        let flags = [("sim.symbols", "7".to_owned())];
        let loaded = load_from(&[file], &environment, &flags).unwrap();
        let sim = &loaded.settings.sim;
        assert_eq!((sim.rate, sim.seed, sim.symbols), (5_000, 4, 7));
        assert_eq!(loaded.settings.threads.cores, [2, 3]);
        assert_eq!(loaded.settings.api.cors_origins, ["https://a", "https://b"]);
        assert_eq!(loaded.settings.api.trusted_proxies.len(), 2);
        assert_eq!(loaded.origins["sim.seed"], ("4".into(), "environment".into()));
        assert_eq!(loaded.origins["sim.symbols"].1, "flag");
        assert!(loaded.origins["sim.rate"].1.starts_with("file "));
        assert_eq!(loaded.origins["sim.halts"], ("true".into(), "default".into()));
    }

    #[test]
    fn the_bounds_of_the_books_are_those_of_the_settings() {
        let changed = "[book]\nbooks_max = 2\norders_max = 3\nlevels_max = 4\nladder_slots = 5\nqueues = false\n";
        let loaded = load_from(&[file(changed)], &environment(&[]), &[]).unwrap();
        let limits = loaded.settings.book.limits(OrderKey::Id);
        assert_eq!((limits.books_max, limits.orders_max, limits.levels_max, limits.ladder_slots), (2, 3, 4, 5));
        assert_eq!((limits.queues, limits.key), (false, OrderKey::Id));
        assert!(Book::default().queues);
        let off = environment(&[("BIST__BOOK__QUEUES", "false")]);
        assert!(!load_from(&[], &off, &[]).unwrap().settings.book.queues);
    }

    #[test]
    fn the_bounds_of_the_books_follow_the_source_that_any_layer_names_and_say_so() {
        let of = |files: &[(String, String)], pairs: &[(&str, &str)], flags: &[(&str, String)]| {
            let loaded = load_from(files, &environment(pairs), flags).unwrap();
            let (books_max, origin) = loaded.origins["book.books_max"].clone();
            assert_eq!(books_max, loaded.settings.book.books_max.to_string());
            (loaded.settings.book.clone(), origin)
        };
        let (small, origin) = of(&[], &[], &[]);
        assert_eq!((&small, origin.as_str()), (&Book::default(), "default of source sim"));
        let line = [file("[feed]\nsource = \"itch\"\nlisten = \"127.0.0.1:9000\"\n")];
        let (large, origin) = of(&line, &[], &[]);
        assert_eq!(origin, "default of source itch");
        assert!(large.books_max > 11_000 && large.orders_max > 5 * small.orders_max, "a whole NASDAQ day");
        assert_eq!(of(&[], &[("BIST__FEED__SOURCE", "replay")], &[]).0, large);
        let flags = [("feed.source", "replay".to_owned())];
        assert_eq!(of(&[], &[], &flags).1, "default of source replay");
        let named = of(&[], &[("BIST__BOOK__BOOKS_MAX", "7")], &flags);
        assert_eq!((named.0.books_max, named.0.orders_max, named.1.as_str()), (7, large.orders_max, "environment"));
        assert_eq!(of(&line, &[], &[("feed.source", "sim".to_owned())]).0, small, "the last layer wins");
    }

    #[test]
    fn a_bound_that_no_market_can_have_is_refused_by_name() {
        let bad = [("books_max = 0", "books_max"), ("orders_max = 600000000", "orders_max")];
        for (bound, named) in bad.into_iter().chain([("ladder_slots = 500000000", "levels_max")]) {
            let file = file(&format!("[book]\n{bound}\n"));
            let error = load_from(&[file], &environment(&[]), &[]).err().unwrap();
            assert!(error.to_string().contains(named), "{bound}: {error}");
        }
    }

    #[test]
    fn what_is_printed_is_read_as_the_same() {
        let nasty = "[replay]\nspeed = \"09\"\nfile = \"[a]\\u0001\\\"\\\\.gz\"\n[feed]\nreferences = \"true\"\n[threads]\ncores = [2, 3]\n";
        let flags = [("replay.format", "dbn".to_owned()), ("sim.symbols", "7".to_owned())];
        let loaded = load_from(&[file(nasty)], &environment(&[("BIST__SIM__HALTS", "false")]), &flags).unwrap();
        let printed = loaded.to_toml();
        let again = load_from(&[file(&printed)], &environment(&[]), &[]).unwrap();
        assert_eq!(again.settings, loaded.settings, "{printed}");
        assert_eq!((again.settings.replay.speed.as_str(), again.settings.sim.symbols), ("09", 7));
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let file = file("[sim]\nrat = 5000\n");
        let error = load_from(&[file], &environment(&[]), &[]).err().unwrap().to_string();
        assert!(error.contains("rat"), "{error}");
        let error = load_from(&[], &environment(&[("BIST__SIMM__RATE", "1")]), &[]).err().unwrap().to_string();
        assert!(error.contains("simm") && error.contains("environment"), "{error}");
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_refused_by_name() {
        let file = file("[api]\nlisten = \"nowhere\"\n");
        let error = load_from(&[file], &environment(&[]), &[]).err().unwrap().to_string();
        assert!(error.contains("api.listen"), "{error}");
    }

    #[test]
    fn a_secret_comes_from_a_file_or_the_environment_and_is_never_shown() {
        let marked = "postgres://bist:mark-of-a-secret@db/bist";
        let given = environment(&[("BIST__STORAGE__POSTGRES_URL", marked)]);
        let loaded = load_from(&[], &given, &[]).unwrap();
        assert!(loaded.settings.storage.postgres_url == Some(Secret::from(marked.to_owned())));
        let shown = format!("{}{:?}", loaded.to_toml(), loaded.settings);
        assert!(shown.contains(HIDDEN) && !shown.contains("mark-of-a-secret"), "{shown}");

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("url");
        std::fs::write(&path, format!("{marked}\n")).unwrap();
        let named = format!("[storage]\npostgres_url_file = {:?}\n", path.display().to_string());
        let loaded = load_from(&[file(&named)], &environment(&[]), &[]).unwrap();
        assert!(loaded.settings.storage.postgres_url == Some(Secret::from(marked.to_owned())));
        let error = format!("{:#}", load_from(&[file(&named)], &given, &[]).err().unwrap());
        assert!(error.contains("storage.postgres_url") && !error.contains("mark-of"), "{error}");
        std::fs::remove_file(path).unwrap();
        let error = format!("{:#}", load_from(&[file(&named)], &environment(&[]), &[]).err().unwrap());
        assert!(error.contains("storage.postgres_url_file"), "{error}");
    }

    #[test]
    fn every_key_is_documented() {
        let page = include_str!("../../docs/configuration.md");
        let loaded = load_from(&[], &environment(&[]), &[]).unwrap();
        for key in loaded.origins.keys().map(String::as_str).chain(OPTIONAL) {
            assert!(page.contains(&format!("`{key}`")), "docs/configuration.md does not name `{key}`");
        }
    }
}
