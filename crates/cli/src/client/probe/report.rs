//! What a probe has to tell: for people as a table, for programs as one JSON object.

use super::edge::Edge;
use super::figures::{Spread, Verdict};
use crate::say::say;
use freshen_model::ids::PopId;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What one round came to. Times count from the moment the purge was sent.
pub struct Round {
    /// When control had answered that the purge is accepted.
    pub accepted: Duration,
    /// When control had answered that it is complete; `None`: not in time.
    pub complete: Option<Duration>,
    /// For each POP, a verdict for each object.
    pub pops: Vec<Vec<Verdict>>,
}

/// All rounds.
#[derive(Serialize)]
pub struct Report {
    url: String,
    rounds: u32,
    accepted: Option<Spread>,
    complete: Option<Spread>,
    pops: BTreeMap<PopId, OfPop>,
    /// Until the last POP of a round gave the last new object.
    last: Option<Spread>,
    /// Answers asked for once the purge was known to be complete.
    asked_after_complete: u64,
    /// Those of them that were old.
    pub false_completes: u64,
    /// Old answers after new ones of the same POP.
    returned: u64,
    /// Rounds in which the purge was not complete in time.
    incomplete_rounds: u32,
    /// POPs of the fleet without an address.
    not_probed: Vec<PopId>,
    #[serde(skip)]
    times: Times,
}

/// One POP.
#[derive(Default, Serialize)]
struct OfPop {
    /// Until it gave the new object.
    new: Option<Spread>,
    /// Rounds in which it was the last.
    last_in: u32,
    /// Objects that it did not give anew in time.
    missing: u64,
    false_completes: u64,
    #[serde(skip)]
    times: Vec<Duration>,
}

#[derive(Default)]
struct Times {
    accepted: Vec<Duration>,
    complete: Vec<Duration>,
    last: Vec<Duration>,
}

impl Report {
    /// Of no rounds yet.
    pub fn new(edges: &[Arc<Edge>], url: String, not_probed: Vec<PopId>) -> Report {
        Report {
            url,
            rounds: 0,
            accepted: None,
            complete: None,
            pops: edges.iter().map(|edge| (edge.pop.clone(), OfPop::default())).collect(),
            last: None,
            asked_after_complete: 0,
            false_completes: 0,
            returned: 0,
            incomplete_rounds: 0,
            not_probed,
            times: Times::default(),
        }
    }

    /// Takes in a round of these POPs.
    pub fn add(&mut self, edges: &[Arc<Edge>], round: &Round) {
        self.rounds += 1;
        self.times.accepted.push(round.accepted);
        self.times.complete.extend(round.complete);
        self.incomplete_rounds += u32::from(round.complete.is_none());
        let mut last: Option<(Duration, &PopId)> = None;
        let mut whole = true;
        for (edge, verdicts) in edges.iter().zip(&round.pops) {
            let of_pop = self.pops.entry(edge.pop.clone()).or_default();
            for verdict in verdicts {
                self.asked_after_complete += verdict.after_complete;
                self.false_completes += verdict.false_completes;
                of_pop.false_completes += verdict.false_completes;
                self.returned += verdict.returned;
                match verdict.new_at {
                    Some(new_at) => {
                        of_pop.times.push(new_at);
                        last = last.max(Some((new_at, &edge.pop)));
                    }
                    None => (of_pop.missing, whole) = (of_pop.missing + 1, false),
                }
            }
        }
        if let Some((time, pop)) = last.filter(|_| whole) {
            self.times.last.push(time);
            self.pops.entry(pop.clone()).or_default().last_in += 1;
        }
    }

    /// Makes percentiles of the times.
    pub fn sum_up(&mut self) {
        let times = std::mem::take(&mut self.times);
        self.accepted = Spread::of(times.accepted);
        self.complete = Spread::of(times.complete);
        self.last = Spread::of(times.last);
        for pop in self.pops.values_mut() {
            pop.new = Spread::of(std::mem::take(&mut pop.times));
        }
    }

    /// Whether all that was reported was true, and every POP gave the new object in time.
    pub fn is_good(&self) -> bool {
        let untrue = self.false_completes + self.returned;
        untrue == 0 && self.incomplete_rounds == 0 && self.pops.values().all(|pop| pop.missing == 0)
    }

    /// For people.
    pub fn print(&self) {
        say(&format!("{} rounds, {} POPs, {}", self.rounds, self.pops.len(), self.url));
        say(&format!("{:<24}{:>9}{:>9}{:>9}{:>9}{:>9}  ms", "", "p25", "median", "p90", "p99", "max"));
        let row = |what: &str, spread: &Option<Spread>| match spread {
            Some(of) => say(&format!(
                "{what:<24}{:>9.1}{:>9.1}{:>9.1}{:>9.1}{:>9.1}",
                of.p25_ms, of.median_ms, of.p90_ms, of.p99_ms, of.max_ms
            )),
            None => say(&format!("{what:<24}{:>9}", "never")),
        };
        row("accepted", &self.accepted);
        for (pop, of_pop) in &self.pops {
            row(&format!("new at {pop}"), &of_pop.new);
        }
        row("new at the last POP", &self.last);
        row("reported complete", &self.complete);
        if let Some((pop, of_pop)) = self.pops.iter().max_by_key(|(_, of_pop)| of_pop.last_in) {
            say(&format!("most often the last: {pop}, in {} of {} rounds", of_pop.last_in, self.rounds));
        }
        let asked = self.asked_after_complete;
        say(&format!(
            "false completes: {} of {asked} answers asked for after «complete»",
            self.false_completes
        ));
        for (pop, of_pop) in self.pops.iter().filter(|(_, of_pop)| of_pop.false_completes > 0) {
            say(&format!("  {pop} gave the old object {} times after «complete»", of_pop.false_completes));
        }
        if self.returned > 0 {
            say(&format!("old objects after new ones: {}", self.returned));
        }
        for (pop, of_pop) in self.pops.iter().filter(|(_, of_pop)| of_pop.missing > 0) {
            say(&format!("{pop} did not give the new object in time, {} times", of_pop.missing));
        }
        if self.incomplete_rounds > 0 {
            say(&format!("not complete in time: {} of {} rounds", self.incomplete_rounds, self.rounds));
        }
    }
}
