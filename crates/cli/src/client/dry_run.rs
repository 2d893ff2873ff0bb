//! What `freshen purge --dry-run` and `freshen prefetch --dry-run` show.

use super::counts::{bytes, objects};
use super::moment::span_text;
use crate::say::say;
use freshen_api::v1::wire::DryRunView;
use freshen_model::expand::PrefetchDryRun;
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

/// Prints what the lines of a prefetch lead to.
pub fn print_prefetch(run: &PrefetchDryRun, lines: &[String]) {
    say("dry run: nothing is submitted");
    if let Some(error) = &run.error {
        say(&format!("no POP could look: {error}"));
    }
    for (found, line) in run.lines.iter().zip(lines) {
        say(line);
        for file in &found.listed {
            let size = file.bytes.map_or_else(|| "size unknown".to_owned(), bytes);
            say(&format!("  {size:>14}  {}", file.url));
        }
        let unlisted = found.files.saturating_sub(found.listed.len() as u64);
        if unlisted > 0 {
            say(&format!("  … and {unlisted} more, which are fetched and not listed"));
        }
        for url in &found.outside_urls {
            say(&format!("  {:>14}  {url}", "not fetched"));
        }
        for unread in &found.unread {
            say(&format!("  {:>14}  {}: {}", "not read", unread.url, unread.reason));
        }
        let least = if found.cut_short { "at least " } else { "" };
        let known = match found.files == found.sized {
            true => bytes(found.bytes),
            false => format!("{} in the {} whose size is known", bytes(found.bytes), found.sized),
        };
        say(&format!("  {least}{} files, {known}", found.files));
    }
    let (quota, lines) = (&run.quota, run.lines.len());
    say(&format!("{lines} lines of {} that are left today", quota.remaining()));
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
        parts.push(format!(
            "{whole} {}, {}",
            if whole == 1 { "fetch" } else { "fetches" },
            bytes(cost.bytes)
        ));
    }
    if cost.conditional > 0 {
        let changed = bytes(cost.bytes_if_changed);
        let (requests, all) =
            if cost.conditional == 1 { ("request", "it has") } else { ("requests", "all have") };
        parts.push(format!("{} conditional {requests} ({changed} if {all} changed)", cost.conditional));
    }
    if parts.is_empty() { "nothing".into() } else { parts.join(", ") }
}
