//! What the dependencies ask of those who give the binary on, held against `deny.toml` (which `cargo deny` reads too).

use std::collections::BTreeSet;
use std::process::Command;

use crate::repository::{no_complaints, read, root};

fn allowed() -> BTreeSet<String> {
    let table: toml::Table = read(&root().join("deny.toml")).parse().expect("deny.toml is TOML");
    let list = table["licenses"]["allow"].as_array().expect("licenses.allow is a list");
    list.iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
}

/// One licence of each alternative must be allowed: `A OR B` asks for one, `A AND B` for both, and `AND` binds closer.
fn acceptable(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let plain = expression.replace(['(', ')'], " ").replace('/', " OR ");
    // With brackets gone, `(A OR B) AND C` reads as `A OR (B AND C)`: such an expression has to be spelled out below.
    assert!(!(expression.contains('(') && expression.contains(" AND ")) || KNOWN.contains(&expression), "{expression}");
    plain.split(" OR ").any(|all| all.split(" AND ").all(|one| allowed.contains(one.trim())))
}

/// Bracketed conjunctions that were read by a person.
const KNOWN: [&str; 2] = ["(MIT OR Apache-2.0) AND Unicode-3.0", "(Apache-2.0 OR MIT) AND BSD-3-Clause"];

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
