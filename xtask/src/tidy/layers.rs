//! Which crate may depend on which.

use super::{Complaint, File, Repository};

/// From the bottom to the top. A crate depends on crates of lower layers only, never on one beside it:
/// control and pop meet in fleet, and nowhere else.
const LAYERS: [&[&str]; 5] = [
    &["model"],
    &["ledger", "fleet", "media", "simulation"],
    &["control", "pop"],
    &["api", "console"],
    &["cli"],
];

pub fn dependencies_point_one_way(repository: &Repository) -> Vec<Complaint> {
    let manifests = repository.files.iter().filter_map(|file| Some((file, crate_of(&file.path)?)));
    manifests.flat_map(|(file, name)| check_manifest(file, name)).collect()
}

/// `model` for `crates/model/Cargo.toml`.
fn crate_of(path: &str) -> Option<&str> {
    path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml").filter(|name| !name.contains('/'))
}

fn check_manifest(file: &File, name: &str) -> Vec<Complaint> {
    let Some(layer) = layer_of(name) else {
        let what = format!("`{name}` has no layer; give it one in xtask/src/tidy/layers.rs");
        return vec![file.complain(1, what)];
    };
    let manifest: toml::Table = match file.text.parse() {
        Ok(manifest) => manifest,
        Err(error) => return vec![file.complain(1, format!("not TOML: {error}"))],
    };
    let mut dependencies = Vec::new();
    collect_dependencies(&manifest, &mut dependencies);
    let wrong = dependencies.into_iter().filter(|on| layer_of(on).is_none_or(|below| below >= layer));
    wrong
        .map(|on| {
            let line = file.lines().find(|(_, line)| line.contains(&format!("freshen-{on}")));
            let what =
                format!("`{name}` must not depend on `{on}`; move what both need to a layer below both");
            file.complain(line.map_or(1, |(number, _)| number), what)
        })
        .collect()
}

fn layer_of(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&name))
}

/// Workspace crates in all tables of dependencies: for building, testing, build scripts and single targets.
fn collect_dependencies(table: &toml::Table, found: &mut Vec<String>) {
    for (key, value) in table {
        let Some(inner) = value.as_table() else { continue };
        if key.ends_with("dependencies") {
            for (alias, value) in inner {
                let package = value.get("package").and_then(|name| name.as_str()).unwrap_or(alias);
                found.extend(package.strip_prefix("freshen-").map(str::to_owned));
            }
        } else {
            collect_dependencies(inner, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, manifest: &str) -> Vec<String> {
        let repository = Repository::of(&[(path, manifest)]);
        dependencies_point_one_way(&repository).iter().map(Complaint::to_string).collect()
    }

    #[test]
    fn downwards_is_fine() {
        let manifest = "[dependencies]\nfreshen-fleet.workspace = true\nbytes = \"1\"\n";
        assert!(complaints("crates/pop/Cargo.toml", manifest).is_empty());
        assert!(complaints("xtask/Cargo.toml", "not even TOML").is_empty());
    }

    #[test]
    fn sideways_and_upwards_are_caught_in_every_table() {
        for table in ["dependencies", "dev-dependencies", "target.'cfg(unix)'.build-dependencies"] {
            let manifest = format!("[{table}]\nfreshen-control.workspace = true\n");
            for name in ["pop", "fleet", "control"] {
                let found = complaints(&format!("crates/{name}/Cargo.toml"), &manifest);
                let start = format!("crates/{name}/Cargo.toml:2: `{name}` must not depend on `control`");
                assert!(found.len() == 1 && found[0].starts_with(&start), "{found:?}");
            }
        }
        let renamed = "[dependencies]\nc = { package = \"freshen-control\" }\n";
        assert_eq!(complaints("crates/pop/Cargo.toml", renamed).len(), 1);
    }

    #[test]
    fn a_new_crate_needs_a_layer() {
        assert!(complaints("crates/new/Cargo.toml", "")[0].contains("has no layer"));
        assert_eq!(complaints("crates/api/Cargo.toml", "[dependencies]\nfreshen-new = \"1\"\n").len(), 1);
    }
}
