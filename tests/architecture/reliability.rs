//! The 83 rows of the reliability plan: each has a test whose name begins with its id (`f6_…`) and that covers the whole
//! row, or stands below with the part of the work that brings it. A test of a part of a row names the part behind the id
//! (`d1_store_…`) and closes nothing. The list only shrinks.

use std::collections::BTreeSet;

use super::{files, root};

/// Rows of each kind: feed, rings, stores, process, orders, web, access, deployment.
const ROWS: [(char, usize); 8] = [('f', 14), ('r', 7), ('d', 9), ('p', 9), ('o', 9), ('w', 12), ('a', 14), ('e', 9)];

/// Rows without a test yet, by the part of the work that closes them.
const OWED: [(&str, &[&str]); 8] = [
    ("feed recovery", &["f1", "f2", "f3", "f4", "f5", "f9"]),
    ("accounts", &["a2", "a3", "a5", "a8", "a9", "a10", "a12", "a14", "d1", "d2", "d3", "d8", "d9", "p6"]),
    ("orders and trading", &["o1", "o2", "o3", "o4", "o5", "o7", "o8", "o9", "p1"]),
    ("gateways", &["w6", "w7", "w8", "w10", "w11", "p3"]),
    ("operations", &["e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8", "e9", "d6", "p9"]),
    ("attack", &["f12", "r1", "r2", "r3", "r6", "w1", "w2", "w3", "w4", "w5", "w9", "w12", "p5", "p8", "a6"]),
    ("journal", &["r4", "r5", "r7", "d4", "d5", "d7", "p2", "p4"]),
    ("AlgoLab", &["o6", "f11"]),
];

/// Rows that several parts show together, each by at least one test.
const WHOLE: [(&str, &[&str]); 4] = [
    ("a1", &["tokens", "users"]), // every bad token by its bytes; refresh as access and the reverse, at the paths
    ("a4", &["users"]),
    ("a7", &["users"]),
    ("a13", &["users"]),
];

/// Second words of the names of tests that cover a part of their row.
const PARTS: [&str; 8] = ["store", "folder", "marks", "users", "kit", "doors", "tokens", "public"];

/// The row and the part of it that a test's name or title shows: `d1`, `store` of `d1_store_is_away`.
fn part_of(name: &str) -> Option<(&str, &str)> {
    let (row, rest) = name.split_once('_')?;
    let word = rest.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
    PARTS.contains(&word).then_some((row, word))
}

/// The row that a test's name or title closes: `f6` of `f6_the_second_copy_is_dropped`; none of `f9_marks_a_book`.
fn row_of(name: &str) -> Option<&str> {
    if part_of(name).is_some() {
        return None;
    }
    let (row, _) = name.split_once('_')?;
    let (kind, number) = row.split_at_checked(1)?;
    let most = ROWS.iter().find(|(letter, _)| kind.starts_with(*letter))?.1;
    number.parse().is_ok_and(|number: usize| (1..=most).contains(&number)).then_some(row)
}

/// Names of tests in one file: functions of Rust, Python and shells, titles of JavaScript.
fn tests_in(text: &str) -> impl Iterator<Item = &str> {
    const STARTS: [&str; 8] = ["fn ", "def test_", "def ", "function ", "test(\"", "test('", "it(\"", "it('"];
    text.lines().flat_map(|line| {
        let line = line.trim_start().trim_start_matches("async ").trim_start_matches("pub ");
        let shell = line.split_once("()").map(|(name, _)| name);
        STARTS.iter().filter_map(move |start| line.strip_prefix(*start)).chain(shell)
    })
}

#[test]
fn every_row_of_the_reliability_plan_has_a_test_or_is_owed() {
    let (mut tested, mut parts) = (BTreeSet::new(), BTreeSet::new());
    let ours = ["src", "tests", "book", "feed-handler", "distributor", "api", "benches", "deploy", ".ci"];
    for file in ours
        .iter()
        .flat_map(|folder| ["rs", "py", "mjs", "sh"].map(|ending| (folder, ending)))
        .flat_map(|(folder, ending)| files(&root().join(folder), ending))
    {
        if file.components().any(|part| part.as_os_str() == "target" || part.as_os_str() == "node_modules") {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        tested.extend(tests_in(&text).filter_map(row_of).map(str::to_owned));
        parts.extend(tests_in(&text).filter_map(part_of).map(|(row, part)| (row.to_owned(), part.to_owned())));
    }
    for (row, wanted) in WHOLE {
        for part in wanted {
            assert!(parts.contains(&(row.to_owned(), (*part).to_owned())), "no test {row}_{part}_…");
        }
        tested.insert(row.to_owned());
    }
    let owed: Vec<&str> = OWED.iter().flat_map(|(_, rows)| rows.iter().copied()).collect();
    assert_eq!(ROWS.iter().map(|(_, most)| most).sum::<usize>(), 83);
    for (kind, most) in ROWS {
        for row in (1..=most).map(|number| format!("{kind}{number}")) {
            let listed = owed.iter().filter(|&&one| one == row).count();
            let wrong = match (tested.contains(&row), listed) {
                (true, 0) | (false, 1) => continue,
                (true, _) => "has a test: take it out of OWED",
                (false, 0) => "has neither a test nor a place in OWED",
                (false, _) => "is owed twice",
            };
            panic!("row {row} {wrong}");
        }
    }
    assert!(owed.iter().all(|row| row_of(&format!("{row}_")).is_some()), "no such row in {owed:?}");
}

#[test]
fn a_row_is_found_by_the_name_of_its_test() {
    let text = "    fn f6_a() {\nasync def d3_b():\ndef test_w2_c(x):\ntest(\"a9_d\", () => {\ne8_e() {\nfn f15_x() {\nfn sum_f() {\nfn d1_store_g() {\nfn d2_stores_h() {\nfn f7_marks() {";
    assert_eq!(
        tests_in(text).filter_map(row_of).collect::<BTreeSet<_>>(),
        BTreeSet::from(["f6", "d3", "w2", "a9", "e8", "d2"])
    );
}
