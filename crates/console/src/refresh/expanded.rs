//! What a prefetch would fetch: its lines with the files that their playlists lead to.

use freshen_model::expand::{ExpandedLine, PrefetchDryRun};
use maud::{Markup, html};

use super::form;
use crate::layout::{self, Notice};
use crate::moment;

/// Lines that are shown, and files of all of them together.
const LINES_SHOWN: usize = 200;
const FILES_SHOWN: usize = 1_000;

/// The whole preview; `lines` with their places in the box.
pub(super) fn shown(run: &PrefetchDryRun, lines: &[String], places: &[usize]) -> Markup {
    let sum = |of: fn(&ExpandedLine) -> u64| run.lines.iter().map(of).fold(0, u64::saturating_add);
    let (files, sized) = (sum(|line| line.files), sum(|line| line.sized));
    let at_least = if run.lines.iter().any(|line| line.cut_short) { "at least " } else { "" };
    let number = |name: &str, count: u64| {
        html! { @if count > 0 { div .ill { dt { (name) } dd { (moment::number(count)) } } } }
    };
    html! {
        section .panel {
            h2 { "What it would fetch" }
            @match (&run.pop, &run.error) {
                (Some(pop), _) => { p .faint { (pop) " looked, and fetched nothing but playlists. What is there already is not fetched again." } }
                (None, why) => { (layout::notice(Notice::Refused, &format!("no POP could look: {}", why.as_deref().unwrap_or("it is not known why")))) }
            }
            dl .numbers {
                @if run.pop.is_some() {
                    div { dt { "Files" } dd { (at_least) (moment::number(files)) } }
                    div { dt { "Bytes" } dd { @if sized < files { "at least " } @else { (at_least) } (moment::bytes(sum(|line| line.bytes))) } }
                    @if sized < files { div { dt { "Files of unknown size" } dd { (moment::number(files - sized)) } } }
                    (number("Left out, over a limit", sum(|line| line.over)))
                    (number("Playlists not read", sum(|line| line.unread_count)))
                    @let outside = sum(|line| line.outside);
                    @if outside > 0 { div { dt { "Outside of your domains" } dd { (moment::number(outside)) } } }
                }
                div .ill[lines.len() as u64 > run.quota.remaining()] { dt { "Lines, of those left today" } dd { (moment::number(lines.len() as u64)) " of " (moment::number(run.quota.remaining())) } }
            }
            (form::warnings(&run.warnings))
            @if !run.lines.is_empty() { (by_line(run, lines, places)) (files_of(run, places)) }
        }
    }
}

fn by_line(run: &PrefetchDryRun, lines: &[String], places: &[usize]) -> Markup {
    html! {
        div .scroll { table {
            thead { tr { th .num { "Line" } th { "URL" } th .num { "Files" } th .num { "Bytes" } th .num { "Left out" } th .num { "Outside" } } }
            tbody {
                @for ((found, line), place) in run.lines.iter().zip(lines).zip(places).take(LINES_SHOWN) {
                    tr .ill[found.unread_count > 0] {
                        td .num { (place) }
                        th .wraps .mono scope="row" { (line) }
                        td .num { @if found.cut_short { "at least " } (moment::number(found.files)) }
                        td .num { @if found.sized == 0 { "not known" } @else { @if found.sized < found.files { "at least " } (moment::bytes(found.bytes)) } }
                        td .num { (moment::number(found.over)) }
                        td .num { (moment::number(found.outside)) }
                    }
                }
            }
        } }
        @if run.lines.len() > LINES_SHOWN { p .faint { "and " (moment::number((run.lines.len() - LINES_SHOWN) as u64)) " more lines" } }
    }
}

/// What lines lead to beyond themselves.
fn files_of(run: &PrefetchDryRun, places: &[usize]) -> Markup {
    let mut room = FILES_SHOWN;
    let mut parts = Vec::new();
    let wide = |line: &ExpandedLine| line.files > 1 || line.unread_count > 0 || line.outside > 0;
    for (line, place) in run.lines.iter().zip(places).filter(|(line, _)| wide(line)) {
        let listed = line.listed.len().min(room);
        if listed == 0 {
            break;
        }
        room -= listed;
        parts.push(of_line(line, *place, listed, parts.is_empty()));
    }
    html! { @for part in &parts { (part) } }
}

fn of_line(line: &ExpandedLine, place: usize, listed: usize, open: bool) -> Markup {
    let more = line.files.saturating_sub(listed as u64);
    html! {
        details open[open] {
            summary { "Line " (place) ": " (moment::counted(line.files, "file")) ", in the order in which they would be fetched" }
            // Whoever has no mouse scrolls by keys.
            div .scroll .tall tabindex="0" role="region" aria-label={ "Files of line " (place) } { table {
                thead { tr { th { "File" } th .num { "Bytes" } } }
                tbody {
                    @for file in line.listed.iter().take(listed) {
                        tr { td .wraps .mono { (file.url) } td .num { (file.bytes.map_or_else(|| "not known".to_owned(), moment::bytes)) } }
                    }
                    @for unread in &line.unread { tr .ill { td .wraps { span .mono { (unread.url) } ": " (unread.reason) } td .num { "not read" } } }
                    @for url in &line.outside_urls { tr { td .wraps .mono .faint { (url) } td .num .faint { "outside" } } }
                }
            } }
            @if more > 0 { p .faint { "and " (moment::counted(more, "file")) " more, which are fetched and not listed" } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use freshen_model::expand::{ExpandedFile, Unread};
    use freshen_model::quota::{Quota, QuotaKind};

    fn line(listed: usize) -> ExpandedLine {
        let file = |n| ExpandedFile { url: format!("a.example/{n}.ts"), bytes: (n > 0).then_some(1_000) };
        let files = listed as u64;
        let (sized, bytes) = (files - 1, 1_000 * (files - 1));
        ExpandedLine {
            files,
            sized,
            bytes,
            listed: (0..listed).map(file).collect(),
            ..ExpandedLine::default()
        }
    }

    fn run(lines: Vec<ExpandedLine>) -> String {
        let quota = Quota { kind: QuotaKind::Prefetch, limit: 10, used: 9 };
        let run = PrefetchDryRun {
            pop: Some("pop-asia".parse().unwrap()),
            error: None,
            quota,
            queued: 0,
            queue_limit: 1,
            warnings: Vec::new(),
            lines,
        };
        let (urls, places): (Vec<String>, Vec<usize>) =
            (0..run.lines.len()).map(|n| (format!("http://a.example/{n}.m3u8"), n + 5)).unzip();
        shown(&run, &urls, &places).into_string()
    }

    #[test]
    fn what_lines_lead_to_is_listed_with_what_is_left_out() {
        let unread = vec![Unread { url: "a.example/bad.m3u8".into(), reason: "status 404".into() }];
        let bad = ExpandedLine { unread, unread_count: 1, over: 7, cut_short: true, ..line(3) };
        let page = run(vec![line(2), bad]);
        for told in [
            "at least 5",
            "at least 3.0 kB",
            "Files of unknown size</dt><dd>2<",
            "Left out, over a limit</dt><dd>7<",
            "2 of 1",
            "Line 6: 3 files",
            "a.example/2.ts",
            "a.example/bad.m3u8</span>: status 404",
        ] {
            assert!(page.contains(told), "{told} is not in {page}");
        }
    }

    #[test]
    fn a_page_stays_small_however_much_there_is() {
        let page = run(vec![line(FILES_SHOWN + 500); LINES_SHOWN + 1]);
        assert_eq!(page.matches("<details").count(), 1);
        assert!(page.contains("and 500 files more") && page.contains("and 1 more lines"));
        assert!(page.len() < 300_000, "{}", page.len());
    }

    #[test]
    fn a_fleet_that_cannot_look_is_said() {
        let quota = Quota { kind: QuotaKind::Prefetch, limit: 10, used: 0 };
        let (pop, error) = (None, Some("no POP is connected".to_owned()));
        let (queued, queue_limit, warnings) = (0, 1, Vec::new());
        let run = PrefetchDryRun { pop, error, lines: Vec::new(), quota, queued, queue_limit, warnings };
        let page = shown(&run, &["http://a.example/x".into()], &[1]).into_string();
        assert!(page.contains("No POP could look: no POP is connected."), "{page}");
    }
}
