//! What `freshen purge --dry-run` shows.

use super::counts::{bytes, objects};
use super::moment::span_text;
use crate::say::say;
use freshen_api::v1::wire::DryRunView;
use freshen_model::preview::{Cost, Preview, PreviewRow};

/// Prints what a purge would do.
pub fn print(view: &DryRunView) {
    say("dry run: nothing is submitted");
    for row in &view.pops {
        say(&format!("  {:<16} {}", row.pop.as_str(), of_pop(row)));
    }
    if view.pops.len() > 1 {
        say(&format!("  {:<16} {}", "all", amount(&view.all)));
    }
    if view.all.copies > 0 {
        say(&format!("by itself: {}", by_itself(&view.all)));
        say(&format!("origin, at most: {}", cost(&view.all.cost)));
        say(&format!("origin, soon: {}", cost(&view.all.cost_soon)));
        for hot in &view.all.hottest {
            say(&format!("  about {:>7} × lately  {:>10}  {}", hot.uses, bytes(hot.bytes), hot.url));
        }
    }
}

/// What in a dry run is worth a warning.
pub fn warnings(view: &DryRunView, above: f64) -> Vec<String> {
    let mut warnings = view.warnings.clone();
    let failed = view.pops.iter().filter_map(|row| Some((row, row.error.as_ref()?)));
    warnings.extend(failed.map(|(row, why)| format!("{} could not be asked: {why}", row.pop)));
    if view.all.copies == 0 && view.all.whole {
        warnings.push("nothing matches anywhere".into());
    }
    for row in &view.pops {
        let Some(found) = row.found.as_ref().filter(|found| found.share() > above) else { continue };
        let share = found.share() * 100.0;
        warnings.push(format!(
            "{} loses {share:.0} % of its cache, more than {:.0} %",
            row.pop,
            above * 100.0
        ));
    }
    warnings
}

fn of_pop(row: &PreviewRow) -> String {
    match &row.found {
        Some(found) => amount(found),
        None => "could not be asked".into(),
    }
}

fn amount(found: &Preview) -> String {
    let least = if found.whole { "" } else { "at least " };
    let share = found.share() * 100.0;
    format!("{least}{}, {} ({share:.1} % of the cache)", objects(found.objects), bytes(found.bytes))
}

fn by_itself(found: &Preview) -> String {
    let stale = match found.stale {
        0 => String::new(),
        stale => format!("{stale} of {} copies are stale already; ", found.copies),
    };
    match (found.first_expires_s, found.last_expires_s) {
        (Some(first), Some(last)) if first == last => format!("{stale}expires in {}", span_text(last)),
        (Some(first), Some(last)) => {
            format!("{stale}the first expires in {}, the last in {}", span_text(first), span_text(last))
        }
        _ => format!("all {} copies are stale already", found.copies),
    }
}

fn cost(cost: &Cost) -> String {
    let whole = cost.requests - cost.conditional.min(cost.requests);
    let mut parts = Vec::new();
    if whole > 0 {
        parts.push(format!("{whole} fetches, {}", bytes(cost.bytes)));
    }
    if cost.conditional > 0 {
        let changed = bytes(cost.bytes_if_changed);
        parts.push(format!("{} conditional requests ({changed} if all have changed)", cost.conditional));
    }
    if parts.is_empty() { "nothing".into() } else { parts.join(", ") }
}
