//! Modules whose code runs between a packet and a client may not lock, format, print, sleep or read the clock: clippy
//! refuses what clippy.toml lists where a module denies it, and this test holds the list of modules that must.

use std::process::Command;

use super::root;

/// Inner attribute of each hot module. The workspace allows the same lints: elsewhere, and in tests, they are no fault.
const DENIED: &str = "#![cfg_attr(not(test), deny(clippy::disallowed_types, clippy::disallowed_methods, \
                      clippy::disallowed_macros))]";

/// Files that carry it, for themselves and all modules below.
const HOT_MODULES: [&str; 23] = [
    "book/src/market.rs",
    "book/src/ring.rs",
    "book/src/slot.rs",
    "book/src/worker.rs",
    "feed-handler/src/decode.rs",
    "feed-handler/src/feed/event_writer.rs",
    "feed-handler/src/feed/intake.rs",
    "feed-handler/src/feed/partition.rs",
    "feed-handler/src/feed/turn.rs",
    "feed-handler/src/recovery.rs",
    "feed-handler/src/wire.rs",
    "distributor/src/book_frames.rs",
    "distributor/src/egress.rs",
    "distributor/src/encode.rs",
    "distributor/src/market.rs",
    "distributor/src/topics.rs",
    "distributor/src/websocket/clients.rs",
    "distributor/src/websocket/frame.rs",
    "distributor/src/websocket/order_interest.rs",
    "distributor/src/websocket/publish.rs",
    "distributor/src/websocket/snapshots.rs",
    "distributor/src/websocket/wanted_orders.rs",
    "src/platform/run_loops.rs",
];

#[test]
fn hot_modules_deny_what_waits_formats_or_prints() {
    for file in HOT_MODULES {
        let text = std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(text.lines().any(|line| line == DENIED), "{file} does not say {DENIED}");
    }
}

/// A planted fault of each kind, in a crate of its own under our clippy.toml: each must be refused.
#[test]
fn a_planted_fault_is_refused() {
    let faults = [
        "pub fn f() -> std::sync::Mutex<u8> { std::sync::Mutex::new(0) }",
        "pub fn f(lock: &std::sync::RwLock<u8>) -> bool { lock.is_poisoned() }",
        "pub fn f() { println!(\"x\"); }",
        "pub fn f() -> String { format!(\"{}\", 1) }",
        "pub fn f() { std::thread::sleep(std::time::Duration::ZERO); }",
        "pub fn f() -> std::time::Instant { std::time::Instant::now() }",
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    std::fs::create_dir(folder.path().join("src")).expect("made");
    write("Cargo.toml", "[package]\nname = \"planted\"\nedition = \"2024\"\n[workspace]\n");
    std::fs::copy(root().join("clippy.toml"), folder.path().join("clippy.toml")).expect("copied");
    let modules: String = (0..faults.len()).map(|n| format!("pub mod m{n};\n")).collect();
    write("src/lib.rs", &format!("#![allow(clippy::all)]\n{modules}"));
    for (n, fault) in faults.iter().enumerate() {
        write(&format!("src/m{n}.rs"), &format!("{DENIED}\n{fault}\n"));
    }
    let output = Command::new(env!("CARGO"))
        .args(["clippy", "--offline", "--quiet"])
        .current_dir(folder.path())
        .env("CARGO_TARGET_DIR", folder.path().join("target"))
        .output()
        .expect("cargo starts");
    let shown = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "nothing was refused: {shown}");
    for (n, fault) in faults.iter().enumerate() {
        assert!(shown.contains(&format!("src/m{n}.rs")), "not refused: {fault}\n{shown}");
    }
}
