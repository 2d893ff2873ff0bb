//! The repository's own rules, those that a compiler does not know.

mod documents;
mod layers;
mod names;
mod words;

use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

/// A check looks at the whole repository and returns what it complains about.
type Check = fn(&Repository) -> Vec<Complaint>;

const CHECKS: [Check; 10] = [
    layers::dependencies_point_one_way,
    names::no_name_that_says_nothing,
    names::no_long_file,
    words::nothing_unfinished,
    words::no_sleep_in_tests,
    words::no_machine_path,
    words::vendor_spelling_stays_in_api,
    documents::crates_state_their_invariant,
    documents::links_lead_somewhere,
    documents::text_files_end_with_a_line,
];

/// Runs every check on the files git knows or would add; complains about all of them before it fails.
pub fn run(root: &Path) -> anyhow::Result<()> {
    let repository = Repository::read(root)?;
    let complaints: Vec<Complaint> = CHECKS.iter().flat_map(|check| check(&repository)).collect();
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    anyhow::ensure!(complaints.is_empty(), "tidy: {} complaints", complaints.len());
    eprintln!("tidy: {} files, no complaint", repository.files.len());
    Ok(())
}

/// The files of the repository.
struct Repository {
    files: Vec<File>,
}

struct File {
    /// From the root, with `/`.
    path: String,
    /// Empty for what is not UTF-8: pictures and the like have no lines to check.
    text: String,
}

/// `file:line: what is wrong, and what to do`.
#[derive(Debug, PartialEq, Eq)]
struct Complaint {
    path: String,
    line: usize,
    what: String,
}

impl Repository {
    fn read(root: &Path) -> anyhow::Result<Self> {
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()
            .context("tidy asks git for the repository's files")?;
        anyhow::ensure!(listed.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listed.stderr));
        let paths = String::from_utf8(listed.stdout).context("file names are UTF-8")?;
        let mut files = Vec::new();
        for path in paths.split_terminator('\0') {
            // Deleted, but still in the index: not a file any more.
            let Ok(bytes) = std::fs::read(root.join(path)) else { continue };
            files.push(File { path: path.to_owned(), text: String::from_utf8(bytes).unwrap_or_default() });
        }
        Ok(Self { files })
    }

    fn with_suffix<'a>(&'a self, suffixes: &'a [&str]) -> impl Iterator<Item = &'a File> {
        self.files.iter().filter(|file| suffixes.contains(&file.suffix()))
    }

    #[cfg(test)]
    fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File { path: path.to_string(), text: text.to_string() };
        Self { files: files.iter().map(file).collect() }
    }
}

impl File {
    fn suffix(&self) -> &str {
        self.path.rsplit_once('.').map_or("", |(_, suffix)| suffix)
    }

    /// Lines with their numbers, from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }

    fn complain(&self, line: usize, what: impl Into<String>) -> Complaint {
        Complaint { path: self.path.clone(), line, what: what.into() }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}
