//! The walls of the house: which crate may know which, and that the documents name files that exist.

use std::collections::BTreeSet;
use std::path::Path;

use cargo_metadata::{DependencyKind, MetadataCommand};

#[path = "architecture/hot_modules.rs"]
mod hot_modules;
#[path = "architecture/ratchet.rs"]
mod ratchet;
#[path = "architecture/reliability.rs"]
mod reliability;
#[path = "architecture/sources.rs"]
mod sources;

/// Every crate of the house; those of `api/` come one by one.
const CRATES: [&str; 14] = [
    "api",
    "api-broker",
    "api-clients",
    "api-gateway",
    "api-kit",
    "api-market-data",
    "api-orders",
    "api-store",
    "api-users",
    "benches",
    "bist",
    "book",
    "distributor",
    "feed-handler",
];

/// Allowed arrows (docs/ARCHITECTURE.md). A gateway sees clients and never a store; a service never sees another
/// service; nobody sees the gateways but the crate that assembles.
fn allowed(from: &str) -> &'static [&'static str] {
    match from {
        "feed-handler" | "distributor" | "api-kit" => &["book"],
        "api-clients" | "api-store" => &["api-kit"],
        "api-market-data" | "api-users" | "api-orders" | "api-broker" => {
            &["api-kit", "api-clients", "api-store", "book"]
        }
        "api-gateway" => &["api-kit", "api-clients"],
        "api" => &[
            "api-kit",
            "api-clients",
            "api-store",
            "api-market-data",
            "api-users",
            "api-orders",
            "api-broker",
            "api-gateway",
            "book",
        ],
        "benches" => &["book", "feed-handler", "distributor"],
        "bist" => &["book", "feed-handler", "distributor", "api", "benches"],
        _ => &[],
    }
}

#[test]
fn no_crate_depends_against_the_arrows() {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo metadata");
    let ours: BTreeSet<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    let unknown: Vec<_> = ours.iter().filter(|name| !CRATES.contains(name)).collect();
    assert!(unknown.is_empty(), "{unknown:?} have no place in docs/ARCHITECTURE.md");
    for package in &metadata.packages {
        for dependency in package.dependencies.iter().filter(|dependency| ours.contains(dependency.name.as_str())) {
            // Tests of a crate obey the same arrows: what a test needs from elsewhere belongs into the root's tests.
            assert!(
                allowed(&package.name).contains(&dependency.name.as_str()),
                "{} must not depend on {} ({:?})",
                package.name,
                dependency.name,
                dependency.kind,
            );
        }
    }
}

#[test]
fn the_fast_path_knows_no_async_runtime() {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo metadata");
    for package in
        metadata.packages.iter().filter(|package| ["book", "feed-handler", "distributor"].contains(&&**package.name))
    {
        let normal = package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
        for dependency in normal {
            assert!(
                !["tokio", "async-std", "smol", "futures"].contains(&dependency.name.as_str()),
                "{} must not know an async runtime ({})",
                package.name,
                dependency.name,
            );
        }
    }
}

#[test]
fn the_book_opens_no_socket_reads_no_clock_and_starts_no_thread() {
    let words = ["std::net", "std::fs", "Instant", "SystemTime", "thread::spawn", "thread::sleep", "std::env"];
    for file in files(&root().join("book/src"), "rs") {
        let text = std::fs::read_to_string(&file).expect("source file");
        for word in words {
            assert!(!text.contains(word), "{} uses {word}", file.display());
        }
    }
}

#[test]
fn the_top_level_is_the_contracts() {
    let known = [
        "Cargo.toml",
        "Cargo.lock",
        "src",
        "tests",
        "book",
        "feed-handler",
        "distributor",
        "api",
        "benches",
        "deploy",
        "docs",
        "README.md",
        "CHANGELOG.md",
        "LICENSE",
        "rustfmt.toml",
        "clippy.toml",
        "target",
        "data",
        "bist.toml",
    ];
    for entry in std::fs::read_dir(root()).expect("the root folder") {
        let name = entry.expect("an entry").file_name().into_string().expect("a plain name");
        assert!(name.starts_with('.') || known.contains(&name.as_str()), "{name} does not belong at the top level");
    }
}

/// Every `path/like/this.rs` in backticks in the documents exists.
#[test]
fn documents_name_files_that_exist() {
    let mut documents = files(&root().join("docs"), "md");
    documents.push(root().join("README.md"));
    for document in documents {
        let text = std::fs::read_to_string(&document).expect("a document");
        for quoted in text.split('`').skip(1).step_by(2) {
            let first = quoted.split('/').next().unwrap_or("");
            let ours =
                ["book", "feed-handler", "distributor", "api", "benches", "deploy", "docs", "src", "tests", ".ci"];
            let plain = quoted.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            if quoted.contains('/') && ours.contains(&first) && plain {
                assert!(root().join(quoted).exists(), "{} names `{quoted}`, which is not there", document.display());
            }
        }
    }
}

/// The table of faults names tests: each is there.
#[test]
fn the_table_of_faults_names_tests_that_exist() {
    let table = std::fs::read_to_string(root().join("docs/truth.md")).expect("docs/truth.md");
    let tests = table.split('`').skip(1).step_by(2).filter_map(|quoted| quoted.split_once("::"));
    let tests: Vec<_> = tests.filter(|(file, _)| file.contains('/')).collect();
    assert!(tests.len() > 50, "{} tests", tests.len());
    for (file, name) in tests {
        let text = std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(text.contains(name), "{file} has no test {name}");
    }
}

#[test]
fn source_files_begin_with_what_they_are_for() {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo metadata");
    let crates = metadata.packages.iter().filter_map(|package| package.manifest_path.parent());
    let sources = crates.map(|folder| folder.join("src").into_std_path_buf());
    let apart = ["benches/peers/src", "tests/fuzz/src", "tests/fuzz/targets", "tests/architecture"];
    for folder in sources.chain(apart.map(|folder| root().join(folder))) {
        for file in files(&folder, "rs") {
            let text = std::fs::read_to_string(&file).expect("source file");
            assert!(text.starts_with("//! "), "{} does not say what it is for", file.display());
        }
    }
}

/// Cargo builds a target that is listed; the run takes the same list; the page says what each asserts.
#[test]
fn every_fuzz_target_is_listed_described_and_has_seeds() {
    let folder = root().join("tests/fuzz");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect(name);
    let (manifest, page) = (read("Cargo.toml"), read("README.md"));
    for file in files(&folder.join("targets"), "rs") {
        let name = file.file_stem().and_then(|name| name.to_str()).expect("a plain name");
        assert!(manifest.contains(&format!("[[bin]]\nname = \"{name}\"")), "{name} is not in tests/fuzz/Cargo.toml");
        assert!(page.contains(&format!("`{name}`")), "{name} is not in tests/fuzz/README.md");
        let seeds = std::fs::read_dir(folder.join("corpus").join(name)).map_or(0, Iterator::count);
        assert!(seeds > 0 || name == "canary", "{name} has no seed in tests/fuzz/corpus");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, ending: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return found };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|have| have == ending) {
            found.push(path);
        }
    }
    found
}
