//! The pages as HTML.

use freshen_control::PopView;
use maud::{DOCTYPE, Markup, html};

use crate::status::Status;

pub(crate) fn status(status: &Status) -> Markup {
    let connected = status.pops.iter().filter(|pop| pop.connected).count();
    let caught_up = status.pops.iter().filter(|pop| pop.lag == 0).count();
    let body = html! {
        dl .numbers {
            (number("POPs connected", &format!("{connected} of {}", status.pops.len())))
            (number("POPs caught up", &format!("{caught_up} of {}", status.pops.len())))
            (number("log end", &status.log_end.to_string()))
            @if let Some(tasks) = status.tasks {
                (number("tasks running", &tasks.running.to_string()))
                (number("complete, last day", &tasks.complete.to_string()))
                (number("failed, last day", &tasks.failed.to_string()))
            } @else {
                (number("tasks", "not known, the ledger did not answer"))
            }
        }
        (pops(status))
    };
    page("Freshen", true, &body)
}

pub(crate) fn no_page() -> Markup {
    page("No such page", false, &html! { p { "There is no such page. " a href="/ui/" { "Status" } } })
}

fn number(name: &str, value: &str) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

fn pops(status: &Status) -> Markup {
    if status.pops.is_empty() {
        return html! { p { "No POP is registered." } };
    }
    html! {
        table {
            thead {
                tr {
                    th { "POP" } th { "area" } th { "region" }
                    th .count { "watermark" } th .count { "lag" }
                    th { "last contact" } th { "connected" } th { "lease" }
                }
            }
            tbody { @for pop in &status.pops { (row(pop, status.at_ms)) } }
        }
    }
}

fn row(pop: &PopView, at_ms: i64) -> Markup {
    let well = pop.connected && pop.lag == 0;
    html! {
        tr .ill[!well] {
            td { (pop.id) @if pop.left.is_some() { " (removed)" } }
            td { (pop.area.as_str()) }
            td { (pop.region) }
            td .count { (pop.watermark) }
            td .count { (pop.lag) }
            td { (ago(pop.last_contact_ms, at_ms)) }
            td { @if pop.connected { "yes" } @else { "no" } }
            // Control keeps no grants: it knows only when none can be left.
            td { @if pop.may_hold_lease { "may hold one" } @else { "none" } }
        }
    }
}

/// How long ago, in the largest unit that fits.
fn ago(then_ms: Option<i64>, at_ms: i64) -> String {
    let Some(then_ms) = then_ms else { return "never".into() };
    match (at_ms - then_ms).max(0) / 1_000 {
        0 => "now".into(),
        seconds @ 1..120 => format!("{seconds} s ago"),
        seconds @ 120..7_200 => format!("{} min ago", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h ago", seconds / 3_600),
        seconds => format!("{} days ago", seconds / 86_400),
    }
}

fn page(title: &str, refreshes: bool, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                @if refreshes { meta http-equiv="refresh" content="5"; }
                title { (title) }
                link rel="stylesheet" href="/ui/freshen.css";
            }
            body { main { h1 { (title) } (body) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_the_largest_unit_that_fits() {
        let ago = |seconds: i64| ago(Some(0), seconds * 1_000);
        let told: Vec<String> = [-5, 0, 119, 120, 7_200, 172_800].map(ago).into();
        assert_eq!(told, ["now", "now", "119 s ago", "2 min ago", "2 h ago", "2 days ago"]);
        assert_eq!(super::ago(None, 0), "never");
    }
}
