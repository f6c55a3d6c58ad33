//! What may only get better: lengths of files and functions, and circles of imports. The state is `tests/ratchet.txt`,
//! which `BIST_RATCHET=write cargo test --test architecture` writes anew; a review sees what it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use super::root;
use super::sources::{Crate, crates};

/// Longest source file without its tests, lines.
const FILE_LINES_MAX: usize = 800;
/// Longest function that is not listed, lines from its signature to its last brace.
const FUNCTION_LINES_MAX: usize = 70;
/// Longer functions of a crate, of each hundred.
const LONG_FUNCTIONS_PERCENT_MAX: usize = 1;

/// What one line of the file says: `kind crate [file name] number`.
type State = BTreeMap<String, usize>;

fn short(file: &Path) -> String {
    file.strip_prefix(root()).unwrap_or(file).display().to_string()
}

fn state(crates: &[Crate]) -> State {
    let mut state = State::new();
    for one in crates {
        let longest = one.lines.values().copied().max().unwrap_or(0);
        let file = state.entry(format!("file {}", one.name)).or_default();
        *file = longest.max(*file);
        for function in one.functions.iter().filter(|function| function.lines > FUNCTION_LINES_MAX) {
            state.insert(format!("function {} {} {}", one.name, short(&function.file), function.name), function.lines);
        }
        for circle in circles(one) {
            state.insert(format!("circle {} {circle}", one.name), 1);
        }
    }
    state
}

/// Circles of imports between neighbours: at each level of the module tree the modules of one parent, each with all that
/// is below it, may not import each other in a circle. A parent and its own modules are one subject.
fn circles(one: &Crate) -> BTreeSet<String> {
    let mut arrows: BTreeMap<Vec<String>, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for from in &one.modules {
        for to in from.names.iter().filter_map(|path| one.module_of(path)) {
            let to = &one.modules[to].path;
            let common = from.path.iter().zip(to).take_while(|(a, b)| a == b).count();
            if let (Some(a), Some(b)) = (from.path.get(common), to.get(common)) {
                arrows.entry(to[..common].to_vec()).or_default().entry(a.clone()).or_default().insert(b.clone());
            }
        }
    }
    let mut found = BTreeSet::new();
    for (parent, arrows) in &arrows {
        for member in arrows.keys() {
            let circle: BTreeSet<&str> = reached(arrows, member)
                .into_iter()
                .filter(|&other| reached(arrows, other).contains(member.as_str()))
                .collect();
            if circle.contains(member.as_str()) {
                let names: Vec<&str> = circle.into_iter().collect();
                found.insert(format!(
                    "{}{{{}}}",
                    parent.iter().map(|name| format!("{name}::")).collect::<String>(),
                    names.join(",")
                ));
            }
        }
    }
    found
}

fn reached<'a>(arrows: &'a BTreeMap<String, BTreeSet<String>>, from: &str) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut waiting: Vec<&str> = arrows.get(from).into_iter().flatten().map(String::as_str).collect();
    while let Some(next) = waiting.pop() {
        if seen.insert(next) {
            waiting.extend(arrows.get(next).into_iter().flatten().map(String::as_str));
        }
    }
    seen
}

fn recorded() -> State {
    let text = std::fs::read_to_string(root().join("tests/ratchet.txt")).expect("tests/ratchet.txt");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (key, number) = line.rsplit_once(' ').expect("a key and a number");
            (key.to_owned(), number.parse().expect("a number"))
        })
        .collect()
}

#[test]
fn files_functions_and_circles_only_get_better() {
    let now = state(&crates());
    if std::env::var_os("BIST_RATCHET").is_some() {
        let mut text =
            "# What may only shrink (tests/architecture/ratchet.rs): the longest file of each crate in lines \
                        without its tests,\n# functions of more than 70 lines, circles of imports.\n"
                .to_owned();
        for (key, number) in &now {
            let _ = writeln!(text, "{key} {number}");
        }
        std::fs::write(root().join("tests/ratchet.txt"), text).expect("tests/ratchet.txt");
    }
    let recorded = recorded();
    for (key, &number) in &now {
        match recorded.get(key) {
            Some(&was) => assert!(number <= was, "{key} grew from {was} to {number}"),
            None => panic!("{key} {number} is new: split it (tests/ratchet.txt may only shrink)"),
        }
    }
    for (key, &was) in &recorded {
        let Some(&number) = now.get(key) else { panic!("{key} is gone: take it out of tests/ratchet.txt") };
        // A file may lose lines without a word; one that lost a quarter is recorded anew.
        assert!(!key.starts_with("function") || number == was, "{key} is {number} now, not {was}: note it");
        assert!(number * 4 >= was * 3, "{key} is {number} now, far below {was}: note it");
    }
}

#[test]
fn no_file_is_too_long_and_few_functions_are() {
    for one in crates() {
        for (file, lines) in &one.lines {
            assert!(*lines <= FILE_LINES_MAX, "{} has {lines} lines without its tests", short(file));
        }
        let long = one.functions.iter().filter(|function| function.lines > FUNCTION_LINES_MAX).count();
        let all = one.functions.len();
        assert!(long * 100 <= all * LONG_FUNCTIONS_PERCENT_MAX, "{}: {long} of {all} functions are too long", one.name);
    }
}

/// The test itself: a circle of two, one through a re-export, and none between a parent and its own module.
#[test]
fn a_circle_is_found_whatever_way_it_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        std::fs::write(file, text).expect("written");
    };
    write("lib.rs", "mod a; mod b; mod c; mod d; pub use c::{Name as Other};");
    write("a.rs", "use crate::b::inner::B; pub struct A;");
    write("b.rs", "pub mod inner;");
    write("b/inner.rs", "pub struct B; fn f() { let _ = crate::a::A; } use super::X;");
    write("c.rs", "pub struct Name; fn f() { println!(\"{:?}\", crate::d::D); }");
    write("d.rs", "use crate::Other; pub struct D; #[cfg(test)] mod tests { use crate::a::A; }");
    let found = circles(&super::sources::read("test", &folder.path().join("lib.rs")));
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), ["{a,b}", "{c,d}"]);
}
