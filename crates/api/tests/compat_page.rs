//! The page of vendor compatibility says what the code does.

use freshen_api::vendor::Action;

const PAGE: &str = include_str!("../../../docs/reference/api-compat.md");

#[test]
fn every_action_has_its_section_and_every_section_its_action() {
    let sections: Vec<&str> = PAGE.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    for action in Action::ALL {
        assert!(sections.contains(&action.name()), "{} has no section", action.name());
    }
    let about_actions =
        sections.iter().filter(|title| !title.contains(' ')).filter(|title| !PROSE.contains(title));
    for title in about_actions {
        assert!(Action::ALL.iter().any(|action| action.name() == *title), "{title} is no action");
    }
}

/// Sections that are about no action.
const PROSE: [&str; 2] = ["Protocol", "Errors"];
