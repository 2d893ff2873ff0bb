//! What most cases begin with: an account, a domain, a POP, and submissions to them.

use freshen_ledger::{Ledger, Line, Refusal, Submission};
use freshen_model::area::Area;
use freshen_model::domain::Settings;
use freshen_model::ids::{PopId, Seq};
use freshen_model::key::Key;
use freshen_model::order::{Order, PrefetchItem};
use freshen_model::rule::{Matcher, Mode, Rule};
use freshen_model::task::TaskKind;
use std::collections::BTreeMap;

/// A quota day.
pub const DAY: i64 = 20_000;

/// Account `acme` with `a.example`, and one domestic POP `asia`: orders 1 and 2.
pub async fn site(ledger: &dyn Ledger) {
    ledger.add_account("acme", false).await.unwrap();
    ledger.add_domain("acme", "a.example", &settings("origin.example")).await.unwrap();
    ledger.add_pop(&pop("asia"), Area::Domestic, "asia", [1; 32]).await.unwrap();
}

pub fn pop(id: &str) -> PopId {
    id.parse().unwrap()
}

pub fn settings(origin: &str) -> Settings {
    Settings::of_origin(format!("http://{origin}").parse().unwrap())
}

pub fn sharing(primary: &str) -> Settings {
    Settings { share_cache: Some(primary.to_owned()), ..settings("elsewhere.example") }
}

/// A URL purge of `host/path` lines by `acme`, with the settings as they are now.
pub async fn purge(ledger: &dyn Ledger, lines: &[&str]) -> Submission {
    let split =
        |line: &&str| line.split_once('/').map(|(host, path)| (host.to_owned(), format!("/{path}"))).unwrap();
    let lines: Vec<(String, String)> = lines.iter().map(split).collect();
    let mut read = BTreeMap::new();
    for (domain, _) in &lines {
        let seq = ledger.domain(domain).await.unwrap().map_or(Seq::ZERO, |domain| domain.seq);
        read.insert(domain.clone(), seq);
    }
    let rule = |(domain, path): &(String, String)| {
        Rule::new(Matcher::Url { key: Key::from_parts(domain, path, None) }, Mode::Evict)
    };
    Submission {
        account: "acme".into(),
        kind: TaskKind::Url,
        mode: Some(Mode::Evict),
        area: None,
        rules: lines.iter().map(rule).collect(),
        lines: lines
            .into_iter()
            .map(|(domain, path)| Line { url: format!("http://{domain}{path}"), domain })
            .collect(),
        items: Vec::new(),
        follow: None,
        read,
        at_ms: 1_000,
        day: DAY,
        not_before_ms: None,
        cut: false,
        terms: Default::default(),
        once: None,
        notify: None,
        part: None,
        refill: None,
        then: None,
        holds: Default::default(),
    }
}

/// The same lines as a prefetch.
pub async fn prefetch(ledger: &dyn Ledger, lines: &[&str], area: Option<Area>) -> Submission {
    let purge = purge(ledger, lines).await;
    let item = |line: &&str| {
        let (domain, path) = line.split_once('/').unwrap();
        PrefetchItem { domain: domain.to_owned(), path_and_query: format!("/{path}") }
    };
    let items = lines.iter().map(item).collect();
    Submission { kind: TaskKind::Prefetch, mode: None, area, rules: Vec::new(), items, ..purge }
}

/// Every order the log keeps.
pub async fn orders(ledger: &dyn Ledger) -> Vec<Order> {
    ledger.orders_after(Seq::ZERO, usize::MAX).await.unwrap().orders
}

/// Why a call was refused.
#[track_caller]
pub fn refusal<T: std::fmt::Debug>(result: Result<T, freshen_ledger::Error>) -> Refusal {
    match result {
        Err(freshen_ledger::Error::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}
