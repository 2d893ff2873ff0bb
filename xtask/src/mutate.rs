//! Breaks promises on purpose: each mutation is one small change that a test must catch.
//!
//! A test that passes whatever the code does proves nothing. So every mutation is made in a copy of the tree, the tests
//! that guard its promise are run there, and one of them has to fail.

mod prefetches;
mod simulated;
mod table;

use crate::tools;
use anyhow::{Context as _, bail, ensure};
use prefetches::PREFETCHES;
use simulated::SIMULATED;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use table::{MUTATIONS, Mutation};

/// Runs the mutations whose name contains one of the filters, or all.
pub fn run(root: &Path, filters: &[String]) -> anyhow::Result<()> {
    let wanted = |mutation: &&Mutation| {
        filters.is_empty() || filters.iter().any(|filter| mutation.name.contains(filter.as_str()))
    };
    let chosen: Vec<&Mutation> = MUTATIONS.iter().chain(PREFETCHES).chain(SIMULATED).filter(wanted).collect();
    ensure!(!chosen.is_empty(), "no mutation has a name like that");
    let place = root.join("target/mutants");
    fs::create_dir_all(&place)?;
    let lock = fs::File::create(place.join("lock"))?;
    lock.try_lock().context("another run mutates this checkout's copy")?;
    let tree = place.join("tree");
    copy_tree(root, &tree)?;
    let mut survived = Vec::new();
    for (at, mutation) in chosen.iter().enumerate() {
        eprintln!("{} of {}: {}: {}", at + 1, chosen.len(), mutation.promise, mutation.name);
        match caught(root, &tree, mutation) {
            Ok(true) => {}
            Ok(false) => survived.push(mutation.name),
            // One that fits no more is as good as one that nobody catches.
            Err(error) => {
                eprintln!("error: {error:#}");
                survived.push(mutation.name);
            }
        }
    }
    if !survived.is_empty() {
        bail!("no test caught: {}", survived.join("; "));
    }
    eprintln!("{} mutations, each caught by its tests", chosen.len());
    Ok(())
}

/// Makes the change, runs the tests, takes the change back.
fn caught(root: &Path, tree: &Path, mutation: &Mutation) -> anyhow::Result<bool> {
    let path = tree.join(mutation.file);
    let original = fs::read_to_string(&path).with_context(|| mutation.file.to_owned())?;
    let places = original.matches(mutation.find).count();
    ensure!(places == 1, "its text stands {places} times in {}, and has to stand there once", mutation.file);
    fs::write(&path, original.replace(mutation.find, mutation.replace))?;
    let outcome = test(root, tree, mutation);
    fs::write(&path, original)?;
    outcome
}

/// Whether the tests fail; that they can be built at all is checked first, since what does not compile proves nothing.
fn test(root: &Path, tree: &Path, mutation: &Mutation) -> anyhow::Result<bool> {
    let cargo = || {
        let mut cargo = tools::cargo(tree);
        cargo.env("CARGO_TARGET_DIR", root.join("target/mutants/target")).env("RUST_BACKTRACE", "0");
        cargo.args(["test", "--quiet", "--package", mutation.package]);
        cargo
    };
    tools::run(cargo().arg("--no-run")).context("the mutation does not compile")?;
    let tested = cargo().args(["--", mutation.tests]).output()?;
    let said = String::from_utf8_lossy(&tested.stdout);
    ensure!(
        said.lines().any(|line| line.starts_with("running ") && line != "running 0 tests"),
        "no test is called {}",
        mutation.tests
    );
    let failed = !tested.status.success() && said.contains("FAILED");
    eprintln!("    {}", if failed { "caught" } else { "NOT CAUGHT" });
    Ok(failed)
}

/// Copies what git tracks, so that a mutation never touches the checkout; what an earlier copy left behind goes.
fn copy_tree(root: &Path, tree: &Path) -> anyhow::Result<()> {
    if tree.exists() {
        fs::remove_dir_all(tree).with_context(|| tree.display().to_string())?;
    }
    let listed = Command::new("git").current_dir(root).args(["ls-files", "-z"]).output()?;
    ensure!(listed.status.success(), "git does not list the files");
    let names = String::from_utf8(listed.stdout)?;
    for name in names.split('\0').filter(|name| !name.is_empty()) {
        let (from, to): (PathBuf, PathBuf) = (root.join(name), tree.join(name));
        let Ok(bytes) = fs::read(&from) else { continue };
        fs::create_dir_all(to.parent().context("a file without a folder")?)?;
        fs::write(to, bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So that it is noticed at once where a change of the code leaves one behind.
    #[test]
    fn the_text_of_each_stands_once_in_its_file() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for mutation in MUTATIONS.iter().chain(PREFETCHES).chain(SIMULATED) {
            let text = fs::read_to_string(root.join(mutation.file)).unwrap();
            assert_eq!(text.matches(mutation.find).count(), 1, "{}: {}", mutation.file, mutation.name);
        }
    }
}
