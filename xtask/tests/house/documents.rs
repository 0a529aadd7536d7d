//! Pages name what exists: links lead somewhere, and paths in back quotes are there.

use std::path::{Path, PathBuf};

use crate::repository::{files, manifest, no_complaints, read, root, short};

/// Folders whose paths a page may name in back quotes.
const FOLDERS: [&str; 9] = ["crates/", "docs/", "compat/", "bench/", "fuzz/", "xtask/", "tests/", "src/", ".ci/"];

fn pages() -> Vec<PathBuf> {
    files(&[".md"])
}

/// Targets of `[text](target)` that are files of the repository, without their anchors.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter_map(|target| {
        let path = target.split('#').next().unwrap_or_default();
        (!path.is_empty() && !target.contains("://") && !target.starts_with("mailto:")).then_some(path)
    })
}

/// What stands in back quotes and looks like a path of the repository; patterns and placeholders do not.
fn quoted_paths(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2).filter(|quoted| {
        FOLDERS.iter().any(|folder| quoted.starts_with(folder)) && !quoted.contains(['*', '<', ' ', '{', '\n', ':'])
    })
}

fn exists(page: &Path, path: &str) -> bool {
    page.parent().expect("a page lies in a folder").join(path).exists() || root().join(path).exists()
}

#[test]
fn links_lead_somewhere() {
    let mut complaints = Vec::new();
    for page in pages() {
        let text = read(&page);
        for target in links(&text) {
            let from = page.parent().expect("a page lies in a folder");
            if !from.join(target).exists() {
                complaints.push(format!("{}: {target}", short(&page)));
            }
        }
    }
    no_complaints("a link leads to a file", &complaints);
}

#[test]
fn quoted_paths_are_there() {
    let mut complaints = Vec::new();
    for page in pages() {
        for path in quoted_paths(&read(&page)) {
            if !exists(&page, path) {
                complaints.push(format!("{}: {path}", short(&page)));
            }
        }
    }
    no_complaints("a path in back quotes exists, seen from the root or from the page", &complaints);
}

#[test]
fn the_architecture_names_every_crate() {
    let text = read(&root().join("docs/ARCHITECTURE.md"));
    let folder = std::fs::read_dir(root().join("crates")).expect("the repository has crates");
    for name in folder.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()) {
        assert!(text.contains(&format!("`{name}`")), "docs/ARCHITECTURE.md does not name `{name}`");
    }
}

/// README's first command names no program: cargo must know which of the workspace's is meant.
#[test]
fn cargo_run_runs_the_broker() {
    let manifests =
        files(&["Cargo.toml"]).into_iter().map(|path| manifest(path.parent().expect("it lies in a folder")));
    let defaults: Vec<_> = manifests
        .filter_map(|manifest| Some(manifest.get("package")?.get("default-run")?.as_str()?.to_owned()))
        .collect();
    assert_eq!(defaults, ["ailurus"]);
    assert!(read(&root().join("README.md")).contains("\ncargo run --release -- start --mode dev\n"));
}
