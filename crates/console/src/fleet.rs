//! The fleet: every POP, what domains' traffic came to, and how fast purges were.

use axum::extract::{Query, State};
use freshen_control::{Operation, PopView, TaskFilter};
use freshen_model::protocol::heartbeat::Usage;
use freshen_model::rights::Right;
use freshen_model::task::{Status, TaskKind};
use freshen_model::traffic::Traffic;
use maud::{Markup, html};
use serde::Deserialize;

use crate::Console;
use crate::chart::{self, Bar, Chart};
use crate::layout::{self, Notice, Place};
use crate::moment;
use crate::person::Person;
use crate::records;
use crate::refused::Refused;

/// Operations that are looked at for the charts.
const OPERATIONS: u64 = 200;
/// Domains whose traffic is added up; of more one is chosen.
const DOMAINS_MAX: u64 = 1_000;

/// A time to look back: its word, its name, how long it is and how long a bar, in seconds.
type Span = (&'static str, &'static str, i64, i64);

const SPANS: [Span; 5] = [
    ("hour", "the last hour", 3_600, 300),
    ("hours", "the last 6 hours", 21_600, 300),
    ("day", "the last day", 86_400, 1_200),
    ("week", "the last week", 604_800, 10_800),
    ("month", "the last 30 days", 2_592_000, 43_200),
];

#[derive(Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    span: String,
    /// One domain; empty: all that the person sees.
    #[serde(default)]
    domain: String,
}

pub(crate) async fn page(
    State(console): State<Console>,
    Query(wanted): Query<Wanted>,
    person: Person,
) -> Result<Markup, Refused> {
    let span = SPANS.into_iter().find(|(word, ..)| *word == wanted.span).unwrap_or(SPANS[0]);
    let domain = wanted.domain.trim();
    let traffic = match charts(&console, &person, span, domain).await {
        Ok(charts) => charts,
        Err(Refused::NotFound(_)) => {
            layout::notice(Notice::Refused, &format!("there is no domain {domain:?}"))
        }
        Err(why) => why.word()?,
    };
    let body = html! {
        (pops(&console, &person))
        form .row method="get" action="/ui/fleet" hx-get="/ui/fleet" hx-trigger="change, submit" hx-target="#charts" hx-select="#charts" hx-swap="outerHTML" hx-push-url="true" {
            label {
                "Traffic of"
                select name="span" { @for (word, name, ..) in SPANS { option value=(word) selected[word == span.0] { (name) } } }
            }
            label { "Domain" input name="domain" value=(domain) spellcheck="false" placeholder="all"; }
            button type="submit" { "Show" }
        }
        @let again = form_urlencoded::Serializer::new(String::new()).append_pair("span", span.0).append_pair("domain", domain).finish();
        div #charts hx-get={ "/ui/fleet?" (again) } hx-trigger="every 60s" hx-select="#charts" hx-swap="outerHTML" {
            (traffic)
        }
    };
    Ok(layout::page(&person, Place::Fleet, "Fleet", &body))
}

/// The part that is asked for again while somebody looks.
pub(crate) async fn part(State(console): State<Console>, person: Person) -> Markup {
    pops(&console, &person)
}

fn pops(console: &Console, person: &Person) -> Markup {
    let (pops, at_ms) = (console.control().pops(), console.control().wall_ms());
    // What a POP serves is of all accounts.
    let all = person.may(Right::Admin);
    html! {
        // Without a script the page is as of when it was opened.
        div #fleet hx-get="/ui/fleet/pops" hx-trigger="every 5s" hx-swap="outerHTML" {
            dl .numbers {
                (number("POPs connected", pops.iter().filter(|pop| pop.connected).count(), pops.len()))
                (number("POPs caught up", pops.iter().filter(|pop| pop.lag == 0).count(), pops.len()))
                (number("May hold a lease", pops.iter().filter(|pop| pop.may_hold_lease).count(), pops.len()))
                div { dt { "Log end" } dd { (moment::number(console.control().log_end().0)) } }
            }
            @if pops.is_empty() { p { "No POP is registered. Add one with " code { "freshen pop add" } "." } } @else {
                div .scroll tabindex="0" role="region" aria-label="POPs" { table {
                    thead { tr {
                        th { "POP" } th { "State" } th .num { "Watermark" } th { "Last contact" }
                        @if all { th .num { "Last hour" } th .num { "From origins" } }
                        th { "Disk" } th { "Memory" }
                    } }
                    tbody { @for pop in &pops { (row(pop, at_ms, all)) } }
                } }
            }
        }
    }
}

fn number(name: &str, count: usize, of: usize) -> Markup {
    html! { div .ill[count < of] { dt { (name) } dd { (count) " of " (of) } } }
}

fn row(pop: &PopView, at_ms: i64, all: bool) -> Markup {
    let (word, class) = match pop {
        PopView { left: Some(_), .. } => ("removed, not confirmed yet", "warn"),
        PopView { connected: false, .. } => ("not connected", "ill"),
        PopView { lag: 1.., .. } => ("behind", "warn"),
        _ => ("well", "good"),
    };
    let lately = &pop.lately;
    html! {
        tr .ill[class == "ill"] {
            th scope="row" { (pop.id) (under(&format!("{}, {}", pop.region, pop.area.as_str()))) }
            td { span .state .(class) { (word) } }
            td .num { (moment::number(pop.watermark.0)) (under(&format!("{} behind", moment::number(pop.lag)))) }
            // Control keeps no grants: it knows only when none can be left.
            td { (moment::ago(pop.last_contact_ms, at_ms)) (under(if pop.may_hold_lease { "may hold a lease" } else { "no lease" })) }
            @if all {
                td .num { (moment::counted(lately.requests, "request")) (under(&hit_share(lately).map(|share| format!("{} hits", percent(share))).unwrap_or_default())) }
                td .num { (moment::bytes(lately.origin_bytes)) (under(&moment::counted(lately.origin_requests, "request"))) }
            }
            @match &pop.usage {
                Some(Usage { disk_bytes, disk_bytes_max, memory_bytes, memory_bytes_max }) => {
                    td { (used("disk", *disk_bytes, *disk_bytes_max)) }
                    td { (used("memory", *memory_bytes, *memory_bytes_max)) }
                }
                None => { td .faint colspan="2" { "not known" } }
            }
        }
    }
}

/// What is told below, smaller.
fn under(text: &str) -> Markup {
    html! { " " span .under { (text) } }
}

/// How much of something is in use, as words and as a bar.
fn used(of: &str, bytes: u64, bytes_max: u64) -> Markup {
    html! {
        (moment::bytes(bytes)) " of " (moment::bytes(bytes_max))
        progress .used max=(bytes_max.max(1)) value=(bytes.min(bytes_max)) aria-label={ (of) " in use" } {}
    }
}

fn hit_share(traffic: &Traffic) -> Option<f64> {
    (traffic.requests > 0).then(|| traffic.hits as f64 / traffic.requests as f64 * 100.0)
}

/// What is drawn: nothing where there was nothing.
fn some(count: u64) -> Option<f64> {
    (count > 0).then_some(count as f64)
}

fn percent(share: f64) -> String {
    format!("{share:.0} %")
}

/// What domains' traffic came to, span by span, and how long operations took.
async fn charts(
    console: &Console,
    person: &Person,
    (_, _, length_s, span_s): Span,
    domain: &str,
) -> Result<Markup, Refused> {
    let control = console.control();
    let (domains, more) = match domain {
        "" => {
            let found = control.domains_behind(person.confines(), None, None, DOMAINS_MAX).await?;
            (found.rows.into_iter().map(|domain| domain.name).collect(), found.next.is_some())
        }
        name => (vec![control.own_domain(person.confines(), name).await?.name], false),
    };
    let now_s = control.wall_ms().div_euclid(1_000);
    let points = control.traffic(&domains, (now_s - length_s, now_s + 1), span_s).await?;
    let all: Vec<(String, Traffic)> =
        points.iter().map(|point| (moment::minute(point.at_s * 1_000), point.all())).collect();
    let ends = || [all.first(), all.last()].map(|end| end.map(|(at, _)| at.clone()).unwrap_or_default());
    let chart = |title, of: fn(&Traffic) -> Option<f64>, full, unit: fn(f64) -> String| {
        let bar = |(at, traffic): &(String, Traffic)| {
            let value = of(traffic);
            Bar { value, told: format!("{at}: {}", value.map(unit).unwrap_or_default()), ill: false }
        };
        Chart { title, bars: all.iter().map(bar).collect(), full, room: 0, ends: ends() }.drawn(unit)
    };
    Ok(html! {
        @if more { (layout::notice(Notice::Warning, &format!("of more than {DOMAINS_MAX} domains only the first are added up, choose one"))) }
        div .charts {
            (chart("Requests", |traffic| some(traffic.requests), None, |count| moment::number(count.round() as u64)))
            (chart("Hit ratio", hit_share, Some(100.0), percent))
            (chart("Bytes to viewers", |traffic| some(traffic.bytes), None, |bytes| moment::bytes(bytes as u64)))
            (chart("Bytes from origins", |traffic| some(traffic.origin_bytes), None, |bytes| moment::bytes(bytes as u64)))
            (operations(console, person).await?)
        }
    })
}

/// How long the newest purges and prefetches took.
async fn operations(console: &Console, person: &Person) -> Result<Markup, Refused> {
    let filter = TaskFilter {
        account: person.confines().map(str::to_owned),
        statuses: vec![Status::Complete, Status::Failed],
        limit: OPERATIONS,
        ..TaskFilter::default()
    };
    let ended = console.control().operations_behind(&filter, None).await?.rows;
    let ended: Vec<&Operation> = ended.iter().map(|(operation, _)| operation).collect();
    Ok(html! {
        (took("Purges, to their end", &ended, |kind| kind.is_purge()))
        (took("Prefetches, to their end", &ended, |kind| kind == TaskKind::Prefetch))
    })
}

/// How long the newest operations of these kinds took, the oldest of them first.
fn took(title: &str, ended: &[&Operation], wanted: impl Fn(TaskKind) -> bool) -> Markup {
    let wanted = ended.iter().map(|operation| &operation.task).filter(|task| wanted(task.kind));
    let mut tasks: Vec<_> = wanted.take(chart::BARS_MAX).collect();
    tasks.reverse();
    let newest = tasks.last().map(|task| moment::minute(task.submitted_ms)).unwrap_or_default();
    let bars = tasks.into_iter().filter_map(|task| {
        let took = task.ended_ms? - task.not_before_ms.unwrap_or(task.submitted_ms).max(task.submitted_ms);
        let (kind, status) = (records::kind(task.kind), task.status.as_str());
        let told = format!("{kind} {}: {status}, {}", task.id, moment::span(took));
        Some(Bar { value: Some(took.max(0) as f64), told, ill: task.status == Status::Failed })
    });
    let (room, ends) = (chart::BARS_MIN, [String::new(), newest]);
    Chart { title, bars: bars.collect(), full: None, room, ends }.drawn(|ms| moment::span(ms as i64))
}
