//! What is written for people: crate docs and Markdown pages.

use super::{Complaint, File, Repository};

const CRATE_DOC_LINES_MIN: usize = 3;

/// Each crate says what it is and the one invariant it keeps, before anything else.
pub fn crates_state_their_invariant(repository: &Repository) -> Vec<Complaint> {
    let manifests = repository.files.iter().filter_map(|file| file.path.strip_suffix("Cargo.toml"));
    let mut complaints = Vec::new();
    // The workspace's own manifest has no sources beside it.
    for folder in manifests.filter(|folder| !folder.is_empty()) {
        let roots = ["src/lib.rs", "src/main.rs"].map(|name| format!("{folder}{name}"));
        let Some(file) = repository.files.iter().find(|file| roots.contains(&file.path)) else { continue };
        let doc = file.text.lines().take_while(|line| line.starts_with("//!"));
        if doc.filter(|line| line.len() > "//! ".len()).count() < CRATE_DOC_LINES_MIN {
            let what =
                "say in at least three lines of `//!` what the crate is and the one invariant it keeps";
            complaints.push(file.complain(1, what));
        }
    }
    complaints
}

/// Every link of a Markdown page to a place in the repository leads to a file or a folder.
pub fn links_lead_somewhere(repository: &Repository) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for page in repository.with_suffix(&["md"]) {
        let mut in_code = false;
        for (number, line) in page.lines() {
            if line.trim_start().starts_with("```") {
                in_code = !in_code;
            }
            for target in links(line).filter(|_| !in_code) {
                if !leads_somewhere(repository, page, target) {
                    let what = format!("the link `{target}` leads nowhere; correct it or add the file");
                    complaints.push(page.complain(number, what));
                }
            }
        }
    }
    complaints
}

/// Targets of `[text](target)` and `[text]: target`, without titles.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let inline = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let defined = line.strip_prefix('[').and_then(|rest| rest.split_once("]: "));
    inline.chain(defined.map(|(_, target)| target.trim().split(' ').next().unwrap_or_default()))
}

fn leads_somewhere(repository: &Repository, page: &File, target: &str) -> bool {
    let is_elsewhere = target.contains("://") || target.starts_with("mailto:") || target.starts_with('#');
    if is_elsewhere {
        return true;
    }
    let mut parts: Vec<&str> = page.path.split('/').collect();
    parts.pop();
    for part in target.split('#').next().unwrap_or_default().split('/') {
        match part {
            "" | "." => {}
            ".." if parts.pop().is_none() => return false,
            ".." => {}
            name => parts.push(name),
        }
    }
    let path = parts.join("/");
    let folder = format!("{path}/");
    path.is_empty() || repository.files.iter().any(|file| file.path == path || file.path.starts_with(&folder))
}

/// Lines added to a file without its last newline show up as changes of the line before.
pub fn text_files_end_with_a_line(repository: &Repository) -> Vec<Complaint> {
    let texts = repository.files.iter().filter(|file| !file.text.is_empty() && !file.text.ends_with('\n'));
    texts.map(|file| file.complain(file.text.lines().count(), "no newline at the end; add one")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_without_its_invariant_is_caught() {
        let complaints = |root: &str, text: &str| {
            let files = [("Cargo.toml", ""), ("crates/a/Cargo.toml", ""), (root, text)];
            crates_state_their_invariant(&Repository::of(&files)).len()
        };
        assert_eq!(complaints("crates/a/src/lib.rs", "//! One.\n//! Two.\n//!\nmod x;\n"), 1);
        assert_eq!(complaints("crates/a/src/main.rs", "fn main() {}\n//! 1.\n//! 2.\n//! 3.\n"), 1);
        assert_eq!(complaints("crates/a/src/lib.rs", "//! One.\n//!\n//! Two.\n//! Three.\n"), 0);
    }

    #[test]
    fn links_that_lead_nowhere_are_caught() {
        let complaints = |page: &str| {
            let files = [("docs/a.md", page), ("docs/b.md", ""), ("crates/pop/src/lib.rs", "")];
            let found = links_lead_somewhere(&Repository::of(&files));
            found.iter().map(Complaint::to_string).collect::<Vec<_>>()
        };
        let fine =
            "[b](b.md), [b](./b.md#part), [pop](../crates/pop/), [x](https://x.y/z), [top](#top)\n[b]: b.md";
        assert_eq!(complaints(fine), [""; 0]);
        assert_eq!(complaints("```\n[c](c.md)\n```"), [""; 0]);
        for wrong in ["[c](c.md)", "[c](../b.md)", "[b](b.md) and [c](../../b.md \"title\")", "[c]: c.md"] {
            let found = complaints(&format!("first\n{wrong}"));
            assert!(found.len() == 1 && found[0].starts_with("docs/a.md:2: the link"), "{wrong}: {found:?}");
        }
    }

    #[test]
    fn a_file_without_its_last_newline_is_caught() {
        let files = [("a.md", "one\ntwo"), ("b.md", "one\n"), ("empty", "")];
        let found = text_files_end_with_a_line(&Repository::of(&files));
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().starts_with("a.md:2:"));
    }
}
