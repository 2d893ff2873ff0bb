//! Words that must not stand in certain places. (Written in two halves here, where they would find themselves.)

use super::{Complaint, File, Repository};

const UNFINISHED: [&str; 5] = [
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("#[ig", "nore"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
];
const SLEEPS: [&str; 2] = [concat!("sle", "ep("), concat!("sle", "ep_until(")];
const SLEEP_ALLOWED: &str = "// tidy: allow-sleep, ";
const MACHINE_PATHS: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
const VENDOR: [&str; 18] = [
    "ObjectPath",
    "ObjectType",
    "RefreshTaskId",
    "PreloadTaskId",
    "RefreshVodObjectCaches",
    "PreloadVodObjectCaches",
    "DescribeVodRefreshTasks",
    "DescribeVodRefreshQuota",
    "RefreshObjectCaches",
    "PushObjectCache",
    "DescribeRefreshTasks",
    "DescribeRefreshQuota",
    "UrlRemain",
    "DirRemain",
    "PreloadRemain",
    "UrlQuota",
    "DirQuota",
    "PreloadQuota",
];

pub fn nothing_unfinished(repository: &Repository) -> Vec<Complaint> {
    let files = repository.with_suffix(&["rs", "py", "js", "sh", "md", "toml", "html", "css"]);
    let is_mark = |line: &str| UNFINISHED.iter().find(|mark| contains_word(line, mark)).copied();
    let what = |mark: &str| format!("`{mark}` marks something unfinished; finish it or take it out");
    files.flat_map(|file| find(file, is_mark, what)).collect()
}

/// A test that sleeps is slow when it passes and wrong when the machine is slow.
pub fn no_sleep_in_tests(repository: &Repository) -> Vec<Complaint> {
    let tests = repository.with_suffix(&["rs", "py"]).filter(|file| is_test(file));
    let has_reason =
        |line: &str| line.split_once(SLEEP_ALLOWED).is_some_and(|(_, reason)| !reason.trim().is_empty());
    let is_sleep = |line: &str| {
        SLEEPS.iter().find(|sleep| contains_word(line, sleep)).filter(|_| !has_reason(line)).copied()
    };
    let what =
        |_: &str| format!("a test sleeps; await the event, or end the line with `{SLEEP_ALLOWED}<why>`");
    tests.flat_map(|file| find(file, is_sleep, what)).collect()
}

pub fn no_machine_path(repository: &Repository) -> Vec<Complaint> {
    let what = |path: &str| format!("`{path}` is a path of one machine; make it relative or a setting");
    repository.files.iter().flat_map(|file| find(file, absolute_path, what)).collect()
}

/// The vendor's words end where the vendor's API ends.
pub fn vendor_spelling_stays_in_api(repository: &Repository) -> Vec<Complaint> {
    let outside = |file: &&File| {
        file.path.starts_with("crates/") && !file.path.starts_with("crates/api/") && !is_test(file)
    };
    let is_vendor = |line: &str| VENDOR.iter().find(|word| line.contains(**word)).copied();
    let what =
        |word: &str| format!("`{word}` is the vendor's spelling; outside crates/api use the design's word");
    repository.with_suffix(&["rs"]).filter(outside).flat_map(|file| find(file, is_vendor, what)).collect()
}

/// Whether the file holds tests only.
fn is_test(file: &File) -> bool {
    file.path.split('/').any(|part| matches!(part, "tests" | "tests.rs"))
}

/// One complaint for each line in which `search` finds something.
fn find<'a>(
    file: &'a File,
    search: impl Fn(&'a str) -> Option<&'static str>,
    what: impl Fn(&str) -> String,
) -> Vec<Complaint> {
    file.lines().filter_map(|(number, line)| Some(file.complain(number, what(search(line)?)))).collect()
}

/// Whether `word` stands in the line, not as the end of another word, nor as the beginning of one.
fn contains_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (line[..at].chars().next_back(), line[at + word.len()..].chars().next());
        let begins = !before.is_some_and(is_part);
        let ends = !word.ends_with(is_part) || !after.is_some_and(is_part);
        begins && ends
    })
}

/// The first of the paths that stands at a path's beginning; in `a/b/` and `https://host/b/`, `/b/` does not.
fn absolute_path(line: &str) -> Option<&'static str> {
    let continues = |c: char| c.is_alphanumeric() || "._-~/}>*".contains(c);
    MACHINE_PATHS.into_iter().find(|path| {
        line.match_indices(path).any(|(at, _)| !line[..at].chars().next_back().is_some_and(continues))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caught(check: fn(&Repository) -> Vec<Complaint>, path: &str, line: &str) -> bool {
        let complaints = check(&Repository::of(&[(path, &format!("first\n{line}\n"))]));
        assert!(complaints.iter().all(|complaint| complaint.line == 2));
        complaints.len() == 1
    }

    #[test]
    fn unfinished_work_is_caught() {
        for mark in UNFINISHED {
            assert!(caught(nothing_unfinished, "a.rs", &format!("    {mark} later")), "{mark}");
        }
        assert!(!caught(nothing_unfinished, "a.rs", "a todo list, and nothing to ignore"));
        assert!(!caught(nothing_unfinished, "a.rs", &format!("{}X", UNFINISHED[4])));
    }

    #[test]
    fn sleeping_tests_are_caught() {
        let sleep = format!("tokio::time::{}1)", SLEEPS[0]);
        assert!(caught(no_sleep_in_tests, "crates/pop/tests/hit.rs", &sleep));
        assert!(caught(no_sleep_in_tests, "crates/pop/src/fill/tests.rs", &format!("    {}1)", SLEEPS[0])));
        assert!(caught(no_sleep_in_tests, "crates/a/tests/a.rs", &format!("{sleep} {SLEEP_ALLOWED}")));
        let reason = format!("{sleep} {SLEEP_ALLOWED}the lease itself is the test");
        assert!(!caught(no_sleep_in_tests, "crates/pop/tests/hit.rs", &reason));
        assert!(!caught(no_sleep_in_tests, "crates/pop/src/lease.rs", &sleep));
    }

    #[test]
    fn paths_of_one_machine_are_caught() {
        for path in MACHINE_PATHS {
            assert!(caught(no_machine_path, "docs/a.md", &format!("see {path}x")), "{path}");
            assert!(caught(no_machine_path, "a.toml", &format!("dir = \"{path}\"")), "{path}");
            assert!(!caught(no_machine_path, "a.md", &format!("https://example.com{path}x")), "{path}");
        }
    }

    #[test]
    fn vendor_spelling_outside_the_api_is_caught() {
        for word in VENDOR {
            let line = format!("struct {word};");
            assert!(caught(vendor_spelling_stays_in_api, "crates/control/src/submit.rs", &line), "{word}");
            assert!(!caught(vendor_spelling_stays_in_api, "crates/api/src/vod.rs", &line), "{word}");
            assert!(!caught(vendor_spelling_stays_in_api, "crates/cli/tests/demo.rs", &line), "{word}");
        }
    }
}
