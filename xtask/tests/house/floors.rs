//! `layers.toml` against every manifest.

use std::collections::{BTreeMap, BTreeSet};

use crate::repository::{manifest, no_complaints, read, root};

const PREFIX: &str = "ailurus-";

/// What `layers.toml` says.
struct Layers {
    floors: BTreeMap<String, i64>,
    only: BTreeMap<String, BTreeSet<String>>,
}

fn layers() -> Layers {
    let table: toml::Table = read(&root().join("layers.toml")).parse().expect("layers.toml is TOML");
    let floors = table["floors"].as_table().expect("[floors] is a table");
    let only = table["only"].as_table().expect("[only] is a table");
    let names = |list: &toml::Value| -> BTreeSet<String> {
        list.as_array().expect("a list").iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
    };
    Layers {
        floors: floors.iter().map(|(name, floor)| (name.clone(), floor.as_integer().expect("a number"))).collect(),
        only: only.iter().map(|(name, list)| (name.clone(), names(list))).collect(),
    }
}

/// The folders below `crates`.
fn crates() -> BTreeSet<String> {
    let folder = std::fs::read_dir(root().join("crates")).expect("the repository has crates");
    let names = folder.map(|entry| entry.expect("an entry").path()).filter(|path| path.join("Cargo.toml").exists());
    names.map(|path| path.file_name().expect("a name").to_string_lossy().into_owned()).collect()
}

const PRODUCT: [&str; 2] = ["dependencies", "build-dependencies"];
const ALL: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// Lists of these kinds in a manifest, for all platforms, as pairs of alias and what stands behind it.
fn lists<'a>(table: &'a toml::Table, kinds: &[&str]) -> Vec<(&'a String, &'a toml::Value)> {
    let mut found = Vec::new();
    for kind in kinds {
        found.extend(table.get(*kind).and_then(toml::Value::as_table).into_iter().flatten());
    }
    for target in table.get("target").and_then(toml::Value::as_table).into_iter().flat_map(|targets| targets.values()) {
        found.extend(lists(target.as_table().expect("a target is a table"), kinds));
    }
    found
}

/// What a manifest names, for the product, for tests and for build scripts, on any platform.
fn dependencies(table: &toml::Table, workspace: &toml::Table) -> BTreeSet<String> {
    lists(table, &ALL).into_iter().map(|(alias, what)| package_name(alias, what, workspace)).collect()
}

/// A renamed dependency counts as what it is, also if the workspace renamed it.
fn package_name(alias: &str, what: &toml::Value, workspace: &toml::Table) -> String {
    let inherited = what.get("workspace").and_then(|_| workspace.get(alias));
    inherited.unwrap_or(what).get("package").and_then(toml::Value::as_str).unwrap_or(alias).to_owned()
}

/// The dependencies that the workspace declares for its crates.
fn workspace_dependencies() -> toml::Table {
    manifest(&root())["workspace"]["dependencies"].as_table().expect("a table").clone()
}

/// What the manifest of `crates/name` names.
fn dependencies_of(name: &str) -> BTreeSet<String> {
    dependencies(&manifest(&root().join("crates").join(name)), &workspace_dependencies())
}

#[test]
fn a_renamed_dependency_counts_as_what_it_is() {
    let manifest: toml::Table = r#"
        [dependencies]
        plain = "1"
        one = { package = "compio", version = "1" }
        two.workspace = true
        three.workspace = true
        [target.'cfg(unix)'.dev-dependencies]
        four = { workspace = true, features = [] }
    "#
    .parse()
    .expect("TOML");
    let workspace = r#"two = { package = "tokio", version = "1" }
        three = "1"
        four = { package = "axum", version = "1" }"#;
    let found = dependencies(&manifest, &workspace.parse().expect("TOML"));
    assert_eq!(found, ["axum", "compio", "plain", "three", "tokio"].map(str::to_owned).into());
}

/// In a product with the simulated machine, what needs the real one would still build.
#[test]
fn the_simulated_machine_is_for_tests_only() {
    let mut complaints = Vec::new();
    let mut for_tests = 0;
    let asks = |what: &toml::Value| {
        let features = what.get("features").and_then(toml::Value::as_array);
        features.is_some_and(|features| features.iter().any(|feature| feature.as_str() == Some("sim")))
    };
    let whole = workspace_dependencies();
    complaints.extend(whole.iter().filter(|(_, what)| asks(what)).map(|(alias, _)| format!("workspace: {alias}")));
    for name in crates() {
        let table = manifest(&root().join("crates").join(&name));
        for_tests += lists(&table, &["dev-dependencies"]).into_iter().filter(|(_, what)| asks(what)).count();
        let product = lists(&table, &PRODUCT).into_iter().filter(|(_, what)| asks(what));
        complaints.extend(product.map(|(alias, _)| format!("{name}: {alias}")));
        for (feature, turns_on) in table.get("features").and_then(toml::Value::as_table).into_iter().flatten() {
            let turns_on = turns_on.as_array().expect("a feature is a list");
            if turns_on.iter().any(|on| on.as_str().is_some_and(|on| on.ends_with("/sim"))) {
                complaints.push(format!("{name}: its feature {feature}"));
            }
        }
    }
    assert!(for_tests > 2, "only {for_tests} crates are tested on the simulated machine: the test reads wrongly");
    no_complaints("the feature sim stands in dev-dependencies only", &complaints);
}

#[test]
fn every_crate_is_on_a_floor_and_every_floor_has_its_crates() {
    let on_floors: BTreeSet<String> = layers().floors.into_keys().collect();
    assert_eq!(crates(), on_floors, "left: crates/*, right: layers.toml");
}

#[test]
fn folders_and_packages_have_the_same_name() {
    for name in crates() {
        let package =
            manifest(&root().join("crates").join(&name))["package"]["name"].as_str().expect("a name").to_owned();
        let expected = if name == "ailurus" { name } else { format!("{PREFIX}{name}") };
        assert_eq!(package, expected);
    }
}

#[test]
fn imports_point_down() {
    let floors = layers().floors;
    let mut complaints = Vec::new();
    let mut arrows = 0;
    for importer in crates() {
        for package in dependencies_of(&importer) {
            let Some(imported) = package.strip_prefix(PREFIX).or((package == "ailurus").then_some("ailurus")) else {
                continue;
            };
            arrows += 1;
            // A crate's own tests may ask it for its features.
            if imported != importer && floors[imported] >= floors[&importer] {
                complaints.push(format!(
                    "{importer} (floor {}) imports {imported} (floor {})",
                    floors[&importer], floors[imported]
                ));
            }
        }
    }
    assert!(arrows > 30, "only {arrows} imports between crates were seen: the test reads the manifests wrongly");
    no_complaints("a crate may import only crates on a lower floor", &complaints);
}

#[test]
fn only_these_name_them() {
    let only = layers().only;
    let mut complaints = Vec::new();
    let mut seen = BTreeSet::new();
    for importer in crates() {
        for package in dependencies_of(&importer) {
            // `compio` stands for `compio-driver` as well.
            let Some((name, allowed)) =
                only.iter().find(|(name, _)| package == **name || package.starts_with(&format!("{name}-")))
            else {
                continue;
            };
            seen.insert(name.clone());
            if !allowed.contains(&importer) {
                complaints.push(format!("{importer} names {package}, which only {allowed:?} may"));
            }
        }
    }
    no_complaints("[only] of layers.toml", &complaints);
    // What nobody may name is not seen.
    let used = only.into_iter().filter(|(_, allowed)| !allowed.is_empty()).map(|(name, _)| name).collect();
    assert_eq!(seen, used, "left: outside crates that are used, right: [only] of layers.toml");
}

#[test]
fn every_crate_stands_under_the_lints_of_the_workspace() {
    let lints = manifest(&root())["workspace"]["lints"]["rust"].clone();
    assert_eq!(lints["unsafe_code"].as_str(), Some("deny"));
    for folder in crates().iter().map(|name| format!("crates/{name}")).chain(["xtask".to_owned()]) {
        let table = manifest(&root().join(&folder));
        let own = table.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
        assert_eq!(own, Some(true), "{folder}/Cargo.toml says `[lints] workspace = true`");
    }
}
