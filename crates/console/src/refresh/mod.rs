//! The page «Refresh and Prefetch», with its three tabs.

mod after;
mod expanded;
pub(crate) mod form;
pub(crate) mod prefetch;
pub(crate) mod purge;
mod terms;

use freshen_control::SubmitRequest;
use maud::{Markup, html};

use crate::layout::{self, Place};
use crate::person::Person;

/// A tab of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tab {
    Purge,
    Prefetch,
    Records,
}

const TABS: [(Tab, &str, &str); 3] = [
    (Tab::Purge, "/ui/refresh/purge", "Purge cache"),
    (Tab::Prefetch, "/ui/refresh/prefetch", "Prefetch cache"),
    (Tab::Records, "/ui/refresh/records", "Operation record"),
];

/// A page of one tab.
pub(crate) fn page(person: &Person, tab: Tab, body: &Markup) -> Markup {
    let body = html! {
        nav .tabs aria-label="Refresh and Prefetch" {
            @for (at, path, name) in TABS {
                a href=(path) aria-current=[(at == tab).then_some("page")] { (name) }
            }
        }
        (body)
    };
    layout::page(person, Place::Refresh, "Refresh and Prefetch", &body)
}

/// A submission as the audit trail tells it.
fn told(account: &str, request: &SubmitRequest) -> String {
    let first = request.lines.first().map_or("", String::as_str);
    let more = match request.lines.len() {
        0 | 1 => String::new(),
        lines => format!(" and {} more", lines - 1),
    };
    format!("{} of {account}: {first}{more}", request.kind.as_str())
}
