//! Notes the compiler and, for a release, the commit, for `/actuator/info` and `bist_build_info`.
//!
//! A debug build does not ask git: it would have to be built anew after every commit to stay true.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=BIST_REVISION");
    println!("cargo::rerun-if-changed=build.rs");
    if let Some(version) = output(Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into())).arg("--version")) {
        println!("cargo::rustc-env=BIST_RUSTC={version}");
    }
    if std::env::var_os("BIST_REVISION").is_none() && std::env::var("PROFILE").is_ok_and(|profile| profile == "release")
    {
        if let Some(head) = output(Command::new("git").args(["rev-parse", "--git-path", "logs/HEAD"])) {
            println!("cargo::rerun-if-changed={head}");
        }
        if let Some(revision) = output(Command::new("git").args(["rev-parse", "--short=12", "HEAD"])) {
            println!("cargo::rustc-env=BIST_REVISION={revision}");
        }
    }
}

/// What a command printed; `None` when it is missing or failed: then the answer is `unknown`.
fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
