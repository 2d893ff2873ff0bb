//! Names and sizes of files.

use super::{Complaint, Repository};

/// Names under which anything could be put, and so will be.
const SAY_NOTHING: [&str; 7] = ["utils", "util", "helpers", "helper", "common", "manager", "misc"];
const SOURCE_LINES_MAX: usize = 700;

pub fn no_name_that_says_nothing(repository: &Repository) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for file in repository.with_suffix(&["rs", "py", "js", "sh", "toml"]) {
        let said = file.path.split('/').find(|part| says_nothing(part.split('.').next().unwrap_or_default()));
        if let Some(name) = said {
            complaints.push(file.complain(1, format!("`{name}` says nothing; name it after what it holds")));
        }
        for (number, line) in file.lines().filter(|_| file.suffix() == "rs") {
            let line = line.trim_start().trim_start_matches("pub(crate) ").trim_start_matches("pub ");
            let module = line.strip_prefix("mod ").map(|rest| rest.trim_end_matches([' ', ';', '{']));
            if let Some(name) = module.filter(|name| says_nothing(name)) {
                let what = format!("module `{name}` says nothing; name it after what it holds");
                complaints.push(file.complain(number, what));
            }
        }
    }
    complaints
}

/// Whether one of the words of `name` is one of those.
fn says_nothing(name: &str) -> bool {
    name.split(['_', '-']).any(|word| SAY_NOTHING.contains(&word))
}

pub fn no_long_file(repository: &Repository) -> Vec<Complaint> {
    let sources = repository.with_suffix(&["rs", "py", "js", "css", "html", "sh"]);
    let counted = sources.map(|file| (file, file.text.lines().count()));
    let long = counted.filter(|(_, lines)| *lines > SOURCE_LINES_MAX);
    long.map(|(file, lines)| {
        let what = format!("{lines} lines are more than {SOURCE_LINES_MAX}; look for the second noun in it");
        file.complain(SOURCE_LINES_MAX + 1, what)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_say_nothing_are_caught() {
        let caught = |path, text| no_name_that_says_nothing(&Repository::of(&[(path, text)])).len();
        for path in ["a/utils.rs", "tests/common/mod.rs", "crates/misc/Cargo.toml", "a/pop_manager.rs"] {
            assert_eq!(caught(path, ""), 1, "{path}");
        }
        assert_eq!(caught("a/lib.rs", "mod key;\n    pub(crate) mod helpers {\n"), 1);
        assert_eq!(caught("a/lib.rs", "mod store;\nuse std::x;\n// mod utils is not here"), 0);
        assert_eq!(caught("a/commons.rs", ""), 0);
        assert_eq!(caught("docs/common.md", ""), 0);
    }

    #[test]
    fn long_files_are_caught() {
        let caught = |lines: usize| no_long_file(&Repository::of(&[("a.rs", &"x\n".repeat(lines))]));
        assert!(caught(SOURCE_LINES_MAX).is_empty());
        assert!(caught(SOURCE_LINES_MAX + 1)[0].to_string().starts_with("a.rs:701: 701 lines"));
    }
}
