//! `freshen probe`: how long a purge takes, as viewers of each POP see it, and whether «complete» is ever untrue.
//!
//! The public method by which purges of content delivery networks are compared, for one's own fleet: prime an object at
//! every POP, purge it, and ask every POP until it gives the new one.

mod edge;
mod figures;
mod report;

use super::bar;
use super::connection::{ClientError, Connection, Control, print_json};
use super::outcome::Outcome;
use super::submit::wait;
use edge::{Before, Edge, Telling};
use figures::{Seen, Verdict};
use freshen_api::v1::wire::{PurgeRequest, TaskView};
use freshen_model::ids::PopId;
use freshen_model::task::{Status, TaskKind};
use http::{Method, Uri};
use indicatif::ProgressBar;
use report::{Report, Round};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// Where an origin that helps with probes has an object that is another one each time; the demo's has.
pub const PROBE_PATH: &str = "/freshen-probe";

/// Times that a POP is asked until it has the object in its cache.
const PRIMING_MAX: usize = 20;
/// From one round's start to the next one's: a fast fleet would have its account ask control too often.
const ROUND_EVERY: Duration = Duration::from_millis(250);
/// Between two questions to a POP that still has the old object.
const PAUSE: Duration = Duration::from_millis(1);
/// Between two to a POP that does not answer.
const SILENT_PAUSE: Duration = Duration::from_millis(100);

/// Probes purges.
#[derive(clap::Args)]
pub struct Probe {
    /// The object: best one that the origin makes anew for each request, with a long freshness.
    #[arg(required_unless_present = "domain")]
    url: Option<String>,
    /// Probe http://DOMAIN/freshen-probe instead (the demo's origin has that).
    #[arg(long, conflicts_with = "url")]
    domain: Option<String>,
    /// The object is the same each time: tell old from new by X-Cache and Age. Nobody else should ask for it meanwhile.
    #[arg(long)]
    any: bool,
    /// How often: each round primes, purges and asks.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// Objects purged by one submission: the URL with ?probe=1 to N.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    batch: u32,
    /// Where viewers reach a POP, NAME=HOST:PORT; else as the client's configuration file says. For each POP.
    #[arg(long = "pop", value_name = "NAME=ADDRESS", value_parser = address)]
    pops: Vec<(PopId, String)>,
    /// Seconds after which a POP that has not given the new object has failed the round.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    patience: u64,
    #[command(flatten)]
    connection: Connection,
}

impl Probe {
    /// Probes; fails where completion was untrue, or a POP never gave the new object.
    pub async fn run(self) -> Result<Outcome, ClientError> {
        let control = self.connection.open()?;
        let url = match (&self.url, &self.domain) {
            (Some(url), _) => url.clone(),
            (None, domain) => format!("http://{}{PROBE_PATH}", domain.as_deref().unwrap_or_default()),
        };
        let urls = objects(&url, self.batch)?;
        let (edges, not_probed) = self.edges(&control).await?;
        for pop in &not_probed {
            eprintln!("{pop} is not probed: say where viewers reach it, --pop {pop}=HOST:PORT");
        }
        if !self.any {
            is_made_anew(&control, &edges[0], &urls[0]).await?;
        }
        let bar = bar::of(&self.connection, u64::from(self.rounds), "of {len} rounds");
        let mut report = Report::new(&edges, url, not_probed);
        let mut pace = tokio::time::interval(ROUND_EVERY);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for _ in 0..self.rounds {
            pace.tick().await;
            let round = self.round(&control, &edges, &urls).await;
            report.add(&edges, &round.inspect_err(|_| bar.finish_and_clear())?);
            bar.set_message(format!("{} false completes", report.false_completes));
            bar.inc(1);
        }
        bar.finish_and_clear();
        report.sum_up();
        if self.connection.json {
            print_json(&report)?;
        } else {
            report.print();
        }
        Ok(if report.is_good() { Outcome::Done } else { Outcome::Failed })
    }

    /// The fleet's POPs with an address, and those without.
    async fn edges(&self, control: &Control) -> Result<(Vec<Arc<Edge>>, Vec<PopId>), ClientError> {
        let fleet = control.pops().await?;
        let mut given = self.connection.viewers()?;
        given.extend(self.pops.iter().cloned());
        let members: BTreeSet<&PopId> =
            fleet.pops.iter().filter(|pop| pop.left.is_none()).map(|pop| &pop.id).collect();
        if let Some((stranger, _)) = self.pops.iter().find(|(pop, _)| !members.contains(pop)) {
            return Err(ClientError::Usage(format!(
                "{stranger} is no POP of this fleet; `freshen pop list` has them"
            )));
        }
        let (mut edges, mut without) = (Vec::new(), Vec::new());
        for pop in members {
            match given.get(pop) {
                Some(address) => edges.push(Arc::new(Edge::new(pop.clone(), address.clone()))),
                None => without.push(pop.clone()),
            }
        }
        if edges.is_empty() {
            let why = "no POP's address is known; say where viewers reach each one, --pop NAME=HOST:PORT";
            return Err(ClientError::Usage(why.into()));
        }
        Ok((edges, without))
    }

    /// Primes, purges, and asks until every POP has the new object and was asked once more after completion.
    async fn round(
        &self,
        control: &Control,
        edges: &[Arc<Edge>],
        urls: &[Uri],
    ) -> Result<Round, ClientError> {
        let telling = if self.any { Telling::Cache } else { Telling::Content };
        let mut objects = Vec::new();
        for url in urls {
            objects.push((url.clone(), Arc::new(prime(edges, url, telling).await?)));
        }
        let (known, completed) = watch::channel(false);
        let patience = Duration::from_secs(self.patience);
        let began = Instant::now();
        let mut watching = tokio::task::JoinSet::new();
        for (place, edge) in edges.iter().enumerate() {
            for (url, before) in &objects {
                let asking = Asking {
                    edge: edge.clone(),
                    url: url.clone(),
                    before: before.clone(),
                    began,
                    patience,
                    completed: completed.clone(),
                };
                watching.spawn(async move { (place, asking.run().await) });
            }
        }
        let lines = urls.iter().map(Uri::to_string).collect();
        let request = PurgeRequest::of(TaskKind::Url, lines);
        let task: TaskView = control.call(Method::POST, "/v1/purge", Some(&request)).await?;
        let accepted = began.elapsed();
        let task = wait(control, task, patience, &ProgressBar::hidden()).await?;
        let completed_at = (task.status == Status::Complete).then(|| began.elapsed());
        // Whoever watches ends once it has asked after this.
        let _ = known.send(true);
        let mut seen: Vec<Vec<Verdict>> = edges.iter().map(|_| Vec::new()).collect();
        while let Some(watched) = watching.join_next().await {
            let (place, answers) = watched.map_err(|error| ClientError::Failed(error.to_string()))?;
            seen[place].push(Verdict::of(&answers, completed_at));
        }
        Ok(Round { accepted, complete: completed_at, pops: seen })
    }
}

/// Purges once, to see that the origin makes the object anew; else old could not be told from new.
async fn is_made_anew(control: &Control, edge: &Arc<Edge>, url: &Uri) -> Result<(), ClientError> {
    let before = prime(std::slice::from_ref(edge), url, Telling::Content).await?;
    let request = PurgeRequest::of(TaskKind::Url, vec![url.to_string()]);
    let task = control.call(Method::POST, "/v1/purge", Some(&request)).await?;
    wait(control, task, Duration::from_secs(30), &ProgressBar::hidden()).await?;
    let answer = edge.ask(url).await?;
    if !before.has(&answer, None) {
        return Ok(());
    }
    Err(ClientError::Failed(format!(
        "{} gives the same object again after a purge of {url} ({}): the origin has to make it anew for each request, else \
         use --any",
        edge.pop, answer.x_cache
    )))
}

/// Asks each POP until it has the object in its cache.
async fn prime(edges: &[Arc<Edge>], url: &Uri, telling: Telling) -> Result<Before, ClientError> {
    let mut before = Before::new(telling);
    for edge in edges {
        let mut tries = 0;
        loop {
            let answer = edge.ask(url).await?;
            before.note(&answer);
            if answer.x_cache == "HIT" {
                break;
            }
            tries += 1;
            if tries == PRIMING_MAX {
                return Err(ClientError::Failed(format!(
                    "{} does not keep {url}: it answers {} each time; probe an object that caches may keep",
                    edge.pop, answer.x_cache
                )));
            }
        }
    }
    Ok(before)
}

/// Asks one POP for one object, again and again.
struct Asking {
    edge: Arc<Edge>,
    url: Uri,
    before: Arc<Before>,
    began: Instant,
    patience: Duration,
    /// True once the purge is known to be complete, or was not in time.
    completed: watch::Receiver<bool>,
}

impl Asking {
    async fn run(mut self) -> Vec<Seen> {
        let mut seen: Vec<Seen> = Vec::new();
        let mut new_at = None;
        while self.began.elapsed() < self.patience {
            // Read before the request is sent: only then was it sent after completion.
            let known = *self.completed.borrow();
            let sent = self.began.elapsed();
            let Ok(answer) = self.edge.ask(&self.url).await else {
                // A POP that is paused or away gives nothing old.
                tokio::time::sleep(SILENT_PAUSE).await;
                continue;
            };
            let old = self.before.has(&answer, new_at);
            seen.push(Seen { sent, came: self.began.elapsed(), old });
            if !old {
                new_at.get_or_insert_with(Instant::now);
            }
            if new_at.is_some() && known {
                break;
            }
            if new_at.is_some() {
                // Nothing more to see before completion; then once more.
                let left = self.patience.saturating_sub(self.began.elapsed());
                let _ = tokio::time::timeout(left, self.completed.changed()).await;
            } else {
                tokio::time::sleep(PAUSE.max(self.began.elapsed() / 200)).await;
            }
        }
        seen
    }
}

/// The objects of a submission: the URL, or several that differ in their query.
fn objects(url: &str, batch: u32) -> Result<Vec<Uri>, ClientError> {
    let malformed = || ClientError::Usage(format!("{url:?} is not http://domain/path"));
    let parse = |text: &str| {
        text.parse::<Uri>().ok().filter(|uri| uri.scheme_str().is_some() && uri.host().is_some())
    };
    let one = parse(url).ok_or_else(malformed)?;
    if batch == 1 {
        return Ok(vec![one]);
    }
    let between = if url.contains('?') { '&' } else { '?' };
    (1..=batch).map(|number| parse(&format!("{url}{between}probe={number}")).ok_or_else(malformed)).collect()
}

/// `NAME=HOST:PORT`.
fn address(text: &str) -> Result<(PopId, String), String> {
    let malformed = || format!("{text:?} is not NAME=HOST:PORT");
    let (pop, address) = text.split_once('=').ok_or_else(malformed)?;
    let authority: http::uri::Authority = address.parse().map_err(|_| malformed())?;
    authority.port_u16().ok_or_else(malformed)?;
    Ok((pop.parse().map_err(|_| malformed())?, address.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_a_query_for_each_object() {
        let all = |url, batch| objects(url, batch).unwrap().iter().map(Uri::to_string).collect::<Vec<_>>();
        assert_eq!(all("http://a.example/p", 1), ["http://a.example/p"]);
        assert_eq!(
            all("http://a.example/p?x=1", 2),
            ["http://a.example/p?x=1&probe=1", "http://a.example/p?x=1&probe=2"]
        );
        for malformed in ["", "/p", "a.example", "http://"] {
            assert!(objects(malformed, 2).is_err(), "{malformed}");
        }
    }

    #[test]
    fn a_pop_s_address_has_a_port() {
        assert_eq!(
            address("pop-1=127.0.0.1:8081").unwrap(),
            ("pop-1".parse().unwrap(), "127.0.0.1:8081".to_owned())
        );
        for malformed in ["pop-1", "pop-1=127.0.0.1", "=127.0.0.1:80", "Pop=h:1", "pop-1=h:port"] {
            assert!(address(malformed).is_err(), "{malformed}");
        }
    }
}
