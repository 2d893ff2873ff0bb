//! The agent: follows the log, applies what comes, and keeps control and the lease up to date with heartbeats.

use crate::Pop;
use crate::clock;
use crate::prefetcher::Spent;
use crate::receipts::{self, Applied};
use crate::store::journal::{NewlyOwed, Owed};
use freshen_fleet::link::{Event, Link, LinkError};
use freshen_fleet::wire::{Answered, Position, Question, Reply};
use freshen_model::ids::{LogId, Seq};
use freshen_model::order::{Order, Snapshot};
use freshen_model::pattern::Pattern;
use freshen_model::protocol::follower::{Consequence, Plan};
use freshen_model::protocol::heartbeat::{Standing, Usage};
use freshen_model::receipt::StartedOver;
use freshen_model::rule::Rule;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Heartbeats at least this often; a fifth of the shortest lease allowed.
const HEARTBEAT_EVERY_MAX: Duration = Duration::from_secs(2);
/// While a prefetch runs, so that its progress is seen to move.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);
/// Everything counted is told again this often, should control have lost it when it started again.
const RETELL_EVERY: Duration = Duration::from_secs(300);
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// Why following has to begin anew.
enum Broken {
    /// The line; it is opened again from the same place.
    Line(LinkError),
    /// The journal: nothing can be applied any more. The process must end and be started again.
    Journal(String),
    /// What came does not fit: start from a snapshot.
    Misfit(String),
}

impl Pop {
    /// Follows the log until the process stops; ends only when the journal fails.
    pub async fn follow(self: Arc<Pop>, link: Arc<dyn Link>) -> String {
        let mut retry = RETRY_MIN;
        loop {
            let began = std::time::Instant::now();
            match self.follow_once(&link).await {
                Broken::Line(error @ LinkError::Stranger { .. }) => {
                    tracing::error!(%error, "the line to control is not taken");
                }
                Broken::Line(error) => tracing::info!(%error, "the line to control broke"),
                Broken::Misfit(why) => {
                    tracing::warn!(%why, "starting over from a snapshot");
                    self.starting_over.store(true, Ordering::SeqCst);
                }
                Broken::Journal(why) => return why,
            }
            if began.elapsed() > RETRY_MAX {
                retry = RETRY_MIN;
            }
            tokio::time::sleep(retry).await;
            retry = (retry * 2).min(RETRY_MAX);
        }
    }

    async fn follow_once(self: &Arc<Pop>, link: &Arc<dyn Link>) -> Broken {
        let position = {
            let follower = self.follower.read();
            let saved = follower.saved();
            Position {
                pop: self.config.id.clone(),
                log: saved.log.filter(|_| !self.starting_over.load(Ordering::SeqCst)),
                watermark: saved.watermark,
                watermark_id: saved.watermark_id,
                takes_peers: true,
                expands: true,
                takes_certificates: self.certificates.is_some(),
            }
        };
        let mut events = match link.follow(&position).await {
            Ok(events) => events,
            Err(error) => return Broken::Line(error),
        };
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                // A heartbeat's answer asked for it.
                () = self.start_over.notified() => return Broken::Misfit("control does not know what was applied here".into()),
            };
            let handled = match event {
                None => Err(Broken::Line(LinkError::Malformed("the line ended".into()))),
                Some(Event::Lost(error)) => Err(Broken::Line(error)),
                Some(Event::Snapshot(snapshot)) => self.take_up(snapshot).await,
                Some(Event::Orders(log, orders)) => self.apply(log, orders).await,
                Some(Event::Peers(peers)) => {
                    self.neighbours.replace(peers);
                    Ok(())
                }
                Some(Event::Certificates(names)) => {
                    if let Some(certificates) = &self.certificates {
                        certificates.handed().name(names);
                    }
                    Ok(())
                }
                Some(Event::Ask(number, question)) => {
                    self.clone().answer_question(link.clone(), number, question);
                    Ok(())
                }
            };
            if let Err(broken) = handled {
                return broken;
            }
        }
    }

    /// Orders: planned, made durable, published, confirmed. In that order.
    async fn apply(self: &Arc<Pop>, log: LogId, orders: Vec<Order>) -> Result<(), Broken> {
        let began = std::time::Instant::now();
        let count = orders.len() as u64;
        compile_patterns(&orders).await;
        let journal = self.journal_writing.lock().await;
        let plan =
            self.follower.read().plan(log, &orders).map_err(|error| Broken::Misfit(error.to_string()))?;
        let (mut owed, mut rules) = receipts::owed_for(log, orders, plan.saved.watermark);
        if !self.receipts.has_room(owed.len()) {
            tracing::warn!(
                orders = owed.len(),
                "control takes no receipts; of these orders there will be none"
            );
            (owed, rules) = Default::default();
        }
        self.publish(plan, owed, rules).await?;
        drop(journal);
        self.metrics.orders.increment(count);
        self.metrics.apply_seconds.record(began.elapsed().as_secs_f64());
        Ok(())
    }

    /// A snapshot: everything held is void, durably, before anything new is stored.
    async fn take_up(self: &Arc<Pop>, snapshot: Snapshot) -> Result<(), Broken> {
        let journal = self.journal_writing.lock().await;
        let first = self.follower.read().saved().log.is_none();
        let plan = self.follower.read().plan_snapshot(&snapshot);
        self.publish(plan, Vec::new(), Vec::new()).await?;
        drop(journal);
        self.starting_over.store(false, Ordering::SeqCst);
        self.confirm.notify_one();
        if !first {
            self.metrics.starts_over.increment(1);
            tracing::warn!(seq = %snapshot.seq, "everything cached before is void");
        }
        self.tidy_up();
        Ok(())
    }

    async fn publish(
        self: &Arc<Pop>,
        plan: Plan,
        owed: Vec<(Seq, Owed)>,
        rules: Vec<(Seq, Arc<[Rule]>)>,
    ) -> Result<(), Broken> {
        let journal = self.journal.clone();
        let started_over = plan.starts_over.then(|| StartedOver {
            pop: self.config.id.clone(),
            log: plan.saved.log.unwrap_or_default(),
            seq: plan.saved.watermark,
            order: plan.saved.watermark_id,
            at_ms: clock::wall_ms(),
        });
        let new = NewlyOwed { orders: owed, started_over };
        let (plan, new, written) = tokio::task::spawn_blocking(move || {
            let written = journal.apply(&plan, &new);
            // Before anybody acts on the order: what is replaced because of it was still there at this moment.
            let moment = written.map(|()| (!new.orders.is_empty()).then(|| journal.moment()));
            (plan, new, moment)
        })
        .await
        .map_err(|error| Broken::Journal(error.to_string()))?;
        let moment = written.map_err(|error| Broken::Journal(error.to_string()))?;
        if plan.starts_over {
            self.prefetcher.forget_all();
        }
        for (seq, order) in &plan.prefetches {
            self.prefetcher.enlist(*seq, order, Spent::default());
        }
        // Before anybody can be told that these orders are applied.
        self.break_off(&plan).await;
        let widened = self.follower.write().commit(&plan);
        self.applied.send_replace(plan.saved.watermark);
        if widened > 0 {
            tracing::warn!(widened, "rules were taken for something wider than they say");
            self.metrics.rules_widened.increment(widened as u64);
        }
        self.confirm.notify_one();
        if let Some(over) = new.started_over {
            self.receipts.started_over(over);
        }
        if moment.is_some() {
            let (epoch, exact) = (plan.saved.epoch, widened == 0);
            self.receipts.applied(new.orders, Applied { moment, epoch, orders: rules, exact });
        }
        for (seq, steer) in plan.steers {
            self.prefetcher.steer(seq, steer);
        }
        for (seq, order) in plan.prefetches {
            self.clone().start_prefetch(seq, order);
        }
        Ok(())
    }

    /// Ends answers under way where orders say so.
    async fn break_off(&self, plan: &Plan) {
        let mut connections = 0;
        if plan.starts_over {
            connections += self.cuts.start_over(plan.saved.epoch).await;
        }
        let cutting = plan.rules.iter().filter(|(seq, _)| plan.cuts.contains(seq));
        let cutting: Vec<_> = cutting.map(|(seq, rules)| (*seq, rules.as_slice())).collect();
        if !cutting.is_empty() {
            connections += self.cuts.break_off(&cutting).await;
        }
        if connections > 0 {
            tracing::info!(connections, "answers under way were broken off");
            self.metrics.cut.increment(connections);
        }
    }

    /// Sends heartbeats until the process stops: at once when something was applied, else steadily.
    pub async fn beat(self: Arc<Pop>, link: Arc<dyn Link>) {
        // What control was told of traffic, and since when.
        let (mut told, mut since) = (HashMap::new(), std::time::Instant::now());
        loop {
            if self.follower.read().saved().log.is_none() || self.starting_over.load(Ordering::SeqCst) {
                // There is nothing to confirm before the snapshot is taken up, which wakes this.
                self.confirm.notified().await;
                continue;
            }
            self.keep_costs().await;
            let mut beat = self.follower.write().heartbeat(clock::now(), self.prefetcher.reports());
            beat.peer_address = self.config.announced();
            if since.elapsed() > RETELL_EVERY {
                (told, since) = (HashMap::new(), std::time::Instant::now());
            }
            beat.traffic = self.metrics.traffic.to_tell(&told);
            beat.usage = Some(self.usage());
            let sent = (beat.watermark, self.prefetcher.revision());
            match link.heartbeat(&beat).await {
                Ok(answer) => {
                    if matches!(answer.standing, Standing::Confirmed { .. }) {
                        told.extend(beat.traffic.into_iter().map(|news| (news.domain, news.total)));
                    }
                    let consequence = self.follower.write().answered(&answer);
                    self.heed(consequence).await;
                }
                Err(error) => {
                    tracing::debug!(%error, "a heartbeat was not answered");
                    // Control may have started again, with less.
                    told.clear();
                }
            }
            let leased = self.follower.read().view(clock::now()).leased;
            self.leased.send_if_modified(|before| std::mem::replace(before, leased) != leased);
            let now = (self.follower.read().saved().watermark, self.prefetcher.revision());
            if now != sent && leased {
                continue;
            }
            tokio::select! {
                () = self.confirm.notified() => {}
                () = tokio::time::sleep(self.heartbeat_every()) => {}
            }
        }
    }

    fn usage(&self) -> Usage {
        Usage {
            disk_bytes: self.store.disk_bytes(),
            disk_bytes_max: self.store.budget(),
            memory_bytes: self.store.memory_bytes(),
            memory_bytes_max: self.config.memory_bytes_max,
        }
    }

    fn heartbeat_every(&self) -> Duration {
        if self.prefetcher.busy() {
            return PROGRESS_EVERY;
        }
        (self.follower.read().lease_term() / 5).min(HEARTBEAT_EVERY_MAX)
    }

    async fn heed(self: &Arc<Pop>, consequence: Consequence) {
        match consequence {
            Consequence::Noted(noted) if !noted.is_empty() => {
                let journal = self.journal.clone();
                let forgotten = noted.clone();
                let done = tokio::task::spawn_blocking(move || journal.forget_prefetches(&forgotten)).await;
                if matches!(done, Ok(Ok(()))) {
                    self.prefetcher.forget(&noted);
                }
            }
            Consequence::Noted(_) | Consequence::Stray => {}
            Consequence::StartOver => {
                self.starting_over.store(true, Ordering::SeqCst);
                self.start_over.notify_one();
            }
            Consequence::Refused(why) => tracing::error!(%why, "control refuses this process"),
        }
    }

    fn answer_question(self: Arc<Pop>, link: Arc<dyn Link>, number: u64, question: Question) {
        tokio::spawn(async move {
            let answer = match question {
                Question::Check(question) => Ok(Answered::Check(self.check(&question).await)),
                Question::Preview(question) => self.preview(question).await,
                Question::Expand(question) => self.expand(question).await,
                Question::Try(question) => Ok(Answered::Tried(self.try_origin(*question).await)),
            };
            let reply = Reply { number, answer };
            if let Err(error) = link.reply(&reply).await {
                tracing::debug!(%error, "a question could not be answered");
            }
        });
    }
}

/// Compiles patterns beforehand, so that nobody waits for it while rules are published. One that cannot be compiled is taken
/// for its cache space then.
async fn compile_patterns(orders: &[Order]) {
    let patterns: Vec<Pattern> = orders.iter().flat_map(Order::patterns).cloned().collect();
    if !patterns.is_empty() {
        let compiled = tokio::task::spawn_blocking(move || {
            patterns.iter().filter(|pattern| pattern.compile().is_err()).count()
        });
        if let Ok(bad @ 1..) = compiled.await {
            tracing::warn!(bad, "patterns that this POP cannot read evict their cache spaces");
        }
    }
}
