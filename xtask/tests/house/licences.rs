//! What the dependencies ask of those who give the binary on, held against `deny.toml` (which `cargo deny` reads too).

use std::collections::BTreeSet;
use std::process::Command;

use crate::repository::{no_complaints, read, root};

fn allowed() -> BTreeSet<String> {
    let table: toml::Table = read(&root().join("deny.toml")).parse().expect("deny.toml is TOML");
    let list = table["licenses"]["allow"].as_array().expect("licenses.allow is a list");
    list.iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
}

/// One licence of each alternative must be allowed: `A OR B` (old: `A/B`) asks for one, `A AND B` for both, and `AND` binds
/// closer. `A WITH B` is the name of one licence.
fn acceptable(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let verdict = any_of(&mut words, allowed);
    assert!(words.next().is_none(), "{expression}: a bracket too many");
    verdict
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut verdict = all_of(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        verdict |= all_of(words, allowed);
    }
    verdict
}

fn all_of(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    let mut verdict = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        verdict &= one(words, allowed);
    }
    verdict
}

fn one(words: &mut Words<'_>, allowed: &BTreeSet<String>) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let verdict = any_of(words, allowed);
        assert_eq!(words.next(), Some(")"), "a bracket is not closed");
        return verdict;
    }
    let mut name = vec![];
    while let Some(word) = words.next_if(|word| !["OR", "AND", "(", ")"].contains(word)) {
        name.push(word);
    }
    allowed.contains(&name.join(" "))
}

#[test]
fn expressions_of_licences_are_understood() {
    let allowed = ["A", "B", "C WITH D"].map(str::to_owned).into();
    for yes in ["A", "A OR X", "X/B", "A AND B", "X OR A AND B", "A OR B AND X", "(A OR X) AND B", "(X OR (C WITH D))"]
    {
        assert!(acceptable(yes, &allowed), "{yes}");
    }
    for no in ["X", "", "C", "A AND X", "(A OR B) AND X", "X AND A OR B AND X", "A AND (X OR Y)", "none"] {
        assert!(!acceptable(no, &allowed), "{no}");
    }
}

#[test]
fn licences_of_dependencies_may_be_given_on() {
    let cargo = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--offline",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&cargo.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    assert!(packages.len() > 50, "only {} packages", packages.len());
    let allowed = allowed();
    let complaints: Vec<String> = packages
        .iter()
        .filter(|package| !acceptable(package["license"].as_str().unwrap_or("none"), &allowed))
        .map(|package| format!("{} {}: {}", package["name"], package["version"], package["license"]))
        .collect();
    no_complaints("the licence of a dependency is in deny.toml", &complaints);
}

#[test]
fn dependencies_come_from_the_registry() {
    let lock: toml::Table = read(&root().join("Cargo.lock")).parse().expect("Cargo.lock is TOML");
    let packages = lock["package"].as_array().expect("a list of packages");
    let complaints: Vec<String> = packages
        .iter()
        .filter_map(|package| package.get("source")?.as_str())
        .filter(|source| *source != "registry+https://github.com/rust-lang/crates.io-index")
        .map(str::to_owned)
        .collect();
    no_complaints("no git and no private sources", &complaints);
}
