//! Traffic, and what it costs: POPs' counts come with their heartbeats, are booked in spans of five minutes, and told by
//! domain.
//!
//! A POP tells what its process counted since it started, so that a report that is lost or comes twice changes nothing. What
//! it counted after its last report is lost with its process.

mod recent;

use crate::control::Control;
use freshen_ledger::{Error, Ledger, TrafficEntry};
use freshen_model::area::Area;
use freshen_model::ids::{BootId, PopId};
use freshen_model::traffic::{Amount, Booked, Counted, Price, REPORTED_MAX, SPAN_S, Span, Traffic, span_of};
use parking_lot::Mutex;
use recent::Recent;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// Pairs of a POP and a domain that are remembered; about 300 bytes each. Traffic of further ones is not counted.
const KNOWN_MAX: usize = 1_000_000;
/// The longest name of a domain, in bytes.
const NAME_BYTES_MAX: usize = 253;
/// Spans that are told at once.
pub const POINTS_MAX: i64 = 10_000;

/// What is booked, and what is still to be.
#[derive(Default)]
pub(crate) struct Books(Mutex<State>);

#[derive(Default)]
struct State {
    /// What of POPs' counts was taken, by POP and domain.
    taken: HashMap<(PopId, String), (BootId, Traffic)>,
    /// What is to be added to the ledger.
    entries: BTreeMap<(String, i64, Area), Traffic>,
    /// Whose counts changed.
    changed: BTreeSet<(PopId, String)>,
    /// What each POP counted lately; for people, and not kept.
    recent: HashMap<PopId, Recent>,
}

impl Books {
    /// As an earlier run left them.
    pub(crate) fn restored(booked: Vec<Booked>) -> Books {
        let taken =
            booked.into_iter().map(|Booked { pop, domain, boot, total }| ((pop, domain), (boot, total)));
        Books(Mutex::new(State { taken: taken.collect(), ..State::default() }))
    }

    /// Takes what a POP's process counted; says whether there is something to book now and was nothing before.
    pub(crate) fn heard(
        &self,
        (pop, area): (&PopId, Area),
        boot: BootId,
        counted: &[Counted],
        wall_ms: i64,
    ) -> bool {
        let at_s = span_of(wall_ms.div_euclid(1_000), SPAN_S);
        let mut state = self.0.lock();
        let idle = state.entries.is_empty();
        let mut all = Traffic::default();
        for Counted { domain, total } in counted.iter().take(REPORTED_MAX) {
            let who = (pop.clone(), domain.clone());
            let before = state.taken.get(&who).filter(|(before, _)| *before == boot).map(|(_, total)| *total);
            let more = total.since(&before.unwrap_or_default());
            let too_many = before.is_none() && state.taken.len() >= KNOWN_MAX;
            if more.is_none() || too_many || domain.len() > NAME_BYTES_MAX {
                continue;
            }
            all = all.plus(&more);
            let entry = state.entries.entry((domain.clone(), at_s, area)).or_default();
            *entry = entry.plus(&more);
            state.taken.insert(who.clone(), (boot, *total));
            state.changed.insert(who);
        }
        if !all.is_none() {
            state.recent.entry(pop.clone()).or_default().add(wall_ms, &all);
        }
        idle && !state.entries.is_empty()
    }

    /// What a POP counted in the last hour, all domains together.
    pub(crate) fn lately(&self, pop: &PopId, wall_ms: i64) -> Traffic {
        self.0.lock().recent.get(pop).map(|recent| recent.total(wall_ms)).unwrap_or_default()
    }

    /// Whether there is something to book.
    pub(crate) fn have_to_book(&self) -> bool {
        !self.0.lock().entries.is_empty()
    }

    /// What is to be booked; it has to come back where that fails.
    pub(crate) fn take(&self) -> (Vec<TrafficEntry>, Vec<Booked>) {
        let mut state = self.0.lock();
        let entries = std::mem::take(&mut state.entries);
        let changed = std::mem::take(&mut state.changed);
        let booked = changed.into_iter().filter_map(|who| {
            let (boot, total) = *state.taken.get(&who)?;
            Some(Booked { pop: who.0, domain: who.1, boot, total })
        });
        let booked = booked.collect();
        let entries = entries.into_iter().map(|((domain, at_s, area), traffic)| TrafficEntry {
            domain,
            span: Span { at_s, area, traffic },
        });
        (entries.collect(), booked)
    }

    /// Takes back what could not be booked.
    pub(crate) fn give_back(&self, entries: Vec<TrafficEntry>, booked: Vec<Booked>) {
        let mut state = self.0.lock();
        for TrafficEntry { domain, span: Span { at_s, area, traffic } } in entries {
            let entry = state.entries.entry((domain, at_s, area)).or_default();
            *entry = entry.plus(&traffic);
        }
        state.changed.extend(booked.into_iter().map(|booked| (booked.pop, booked.domain)));
    }
}

/// How often what POPs counted is booked.
const BOOK_EVERY: Duration = Duration::from_secs(10);
/// How often what is too old is looked for, and how often in a row where there is much of it.
const FORGET_EVERY: Duration = Duration::from_secs(3_600);
const FORGET_ROUNDS: usize = 100;

/// The keeper's part in the books: when they are written, and what of them is forgotten.
pub(crate) struct Booking {
    books: Arc<Books>,
    retention_days: u32,
    /// When they may be written next.
    rest_until: Duration,
    forget_at: Duration,
}

impl Booking {
    pub(crate) fn new(books: Arc<Books>, retention_days: u32, start: Duration) -> Booking {
        Booking { books, retention_days, rest_until: start, forget_at: start + FORGET_EVERY }
    }

    /// When there is something to do.
    pub(crate) fn due(&self) -> Duration {
        if self.books.have_to_book() { self.forget_at.min(self.rest_until) } else { self.forget_at }
    }

    /// Does what is due, by control's steady clock and its wall clock; all of it at the last time.
    pub(crate) async fn round(
        &mut self,
        ledger: &dyn Ledger,
        (now, wall_ms): (Duration, i64),
        last: bool,
    ) -> Result<(), Error> {
        if self.books.have_to_book() && (last || now >= self.rest_until) {
            self.rest_until = now + BOOK_EVERY;
            let (entries, booked) = self.books.take();
            if let Err(error) = ledger.add_traffic(entries.clone(), booked.clone()).await {
                self.books.give_back(entries, booked);
                return Err(error);
            }
        }
        if now >= self.forget_at {
            self.forget_at = now + FORGET_EVERY;
            let before_s = wall_ms.div_euclid(1_000) - i64::from(self.retention_days) * 86_400;
            for _ in 0..FORGET_ROUNDS {
                if !ledger.forget_traffic(before_s).await? {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// What origins cost, as the configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prices {
    /// For 1,000,000,000 bytes from origins.
    pub origin_gb: Option<Amount>,
    /// For 10,000 requests to origins.
    pub origin_10k_requests: Option<Amount>,
    /// Of which currency; for people.
    pub currency: String,
}

impl Prices {
    /// What so many bytes and requests cost.
    pub fn of(&self, origin_bytes: u64, origin_requests: u64) -> Price {
        let origin_cost = self.amount(origin_bytes, origin_requests);
        let currency = origin_cost.map(|_| self.currency.clone()).filter(|currency| !currency.is_empty());
        Price { origin_cost, currency }
    }

    fn amount(&self, origin_bytes: u64, origin_requests: u64) -> Option<Amount> {
        let bytes = self.origin_gb.map(|price| price.times(origin_bytes, 1_000_000_000));
        let requests = self.origin_10k_requests.map(|price| price.times(origin_requests, 10_000));
        match (bytes, requests) {
            (None, None) => None,
            (bytes, requests) => Some(bytes.unwrap_or_default().plus(requests.unwrap_or_default())),
        }
    }
}

/// Domains' traffic in one span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficPoint {
    /// When the span began, in unix seconds.
    pub at_s: i64,
    /// At POPs of area domestic.
    pub domestic: Traffic,
    /// At the others.
    pub overseas: Traffic,
}

impl TrafficPoint {
    /// Everywhere.
    pub fn all(&self) -> Traffic {
        self.domestic.plus(&self.overseas)
    }
}

impl Control {
    /// The traffic of these domains together, in spans of `span_s` from the one that `from_s` is in to before `until_s`, all
    /// in unix seconds: one for each span, [`POINTS_MAX`] at most, also where there was none.
    pub async fn traffic(
        &self,
        domains: &[String],
        (from_s, until_s): (i64, i64),
        span_s: i64,
    ) -> Result<Vec<TrafficPoint>, Error> {
        let span_s = span_s.max(SPAN_S);
        let from_s = span_of(from_s, span_s);
        let until_s = until_s.min(from_s.saturating_add(POINTS_MAX * span_s));
        let spans = self.ledger.traffic(domains.to_vec(), (from_s, until_s), span_s).await?;
        let mut points: BTreeMap<i64, TrafficPoint> = BTreeMap::new();
        let mut at_s = from_s;
        while at_s < until_s {
            points.insert(at_s, TrafficPoint { at_s, ..TrafficPoint::default() });
            at_s += span_s;
        }
        for Span { at_s, area, traffic } in spans {
            let Some(point) = points.get_mut(&at_s) else { continue };
            match area {
                Area::Domestic => point.domestic = traffic,
                Area::Overseas => point.overseas = traffic,
            }
        }
        Ok(points.into_values().collect())
    }

    /// What origins cost.
    pub fn prices(&self) -> &Prices {
        &self.prices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pop() -> PopId {
        "pop-1".parse().unwrap()
    }

    fn counted(requests: u64) -> Vec<Counted> {
        let total = Traffic { requests, ..Traffic::default() };
        vec![Counted { domain: "a.example".into(), total }]
    }

    fn heard(books: &Books, boot: u8, requests: u64, wall_ms: i64) -> bool {
        books.heard((&pop(), Area::Domestic), BootId([boot; 16]), &counted(requests), wall_ms)
    }

    fn requests(entries: &[TrafficEntry]) -> Vec<(i64, u64)> {
        entries.iter().map(|entry| (entry.span.at_s, entry.span.traffic.requests)).collect()
    }

    #[test]
    fn nothing_is_counted_twice_whoever_starts_again() {
        let books = Books::default();
        assert!(heard(&books, 1, 5, 300_000), "there is something to book");
        assert!(!heard(&books, 1, 5, 301_000), "told twice");
        assert!(!heard(&books, 1, 7, 600_000));
        let (entries, booked) = books.take();
        assert_eq!(requests(&entries), [(300, 5), (600, 2)]);
        assert_eq!(books.lately(&pop(), 600_000).requests, 7);
        assert_eq!(books.lately(&"pop-2".parse().unwrap(), 600_000), Traffic::default());
        assert!(!books.have_to_book());
        // What cannot be booked comes again, once.
        books.give_back(entries, booked.clone());
        heard(&books, 1, 8, 600_000);
        assert_eq!(requests(&books.take().0), [(300, 5), (600, 3)]);
        // Control starts again with what was booked before: the rest comes with the next report.
        let books = Books::restored(booked);
        heard(&books, 1, 9, 900_000);
        assert_eq!(requests(&books.take().0), [(900, 2)]);
        // The POP starts again, and counts from nothing.
        heard(&books, 2, 4, 900_000);
        let (entries, booked) = books.take();
        assert_eq!(requests(&entries), [(900, 4)]);
        assert_eq!((booked[0].boot, booked[0].total.requests), (BootId([2; 16]), 4));
    }

    #[test]
    fn costs_are_of_bytes_and_requests_where_prices_are_known() {
        let price = |text: &str| Some(text.parse().unwrap());
        let prices = Prices { origin_gb: price("0.02"), ..Prices::default() };
        assert_eq!(prices.amount(5_000_000_000, 70_000), price("0.1"));
        let prices = Prices { origin_10k_requests: price("0.01"), ..prices };
        assert_eq!(prices.amount(5_000_000_000, 70_000), price("0.17"));
        assert_eq!(Prices::default().of(1, 1), Price::default());
    }
}
