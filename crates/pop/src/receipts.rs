//! Receipts: what this POP signs of purge orders, and what it still owes control of it.
//!
//! Nothing waits for a receipt: an order is confirmed by a heartbeat, and its count and signatures follow. What is owed is
//! in the journal from the moment at which the order is applied until control has acknowledged it.

use crate::Pop;
use crate::clock;
use crate::store::journal::{Moment, Owed, RestoredOwed};
use freshen_fleet::link::Link;
use freshen_fleet::wire::{Receipts as Message, STATEMENTS_MAX};
use freshen_model::count::Count;
use freshen_model::ids::{Epoch, LogId, PopId, Seq};
use freshen_model::order::{Body, Order};
use freshen_model::receipt::{
    Accounted, Confirmed, Digest, OrderName, SigningKey, StartedOver, Statement, digest_of, text_of,
};
use freshen_model::rule::Rule;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Orders that may be owed at one time; of those beyond there are no receipts.
const OWED_MAX: usize = 100_000;
/// Moments that wait to be counted; orders beyond share the last one, which then is the one at which it is counted.
const MOMENTS_MAX: usize = 32;
/// Between news and the message, so that what an order gives soon after each other goes together.
const TELL_PAUSE: Duration = Duration::from_millis(20);
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// What this POP owes, and the key it signs with.
pub struct Receipts {
    key: SigningKey,
    books: Mutex<Books>,
    /// There is something to tell.
    news: Notify,
    /// There is something to count.
    pub(crate) work: Notify,
}

/// Orders that were applied together, to be counted together.
pub(crate) struct Applied {
    /// The cache as it was then; gone where too many waited, or in a restart.
    pub(crate) moment: Option<Moment>,
    /// The POP's epoch.
    pub(crate) epoch: Epoch,
    /// The orders.
    pub(crate) orders: Vec<(Seq, Arc<[Rule]>)>,
    /// Whether the count tells all that was purged.
    pub(crate) exact: bool,
}

#[derive(Default)]
struct Books {
    owed: BTreeMap<Seq, Entry>,
    uncounted: BTreeSet<Seq>,
    /// Those with something to tell.
    to_tell: BTreeSet<Seq>,
    /// Those whose rules have no digest yet.
    undigested: BTreeSet<Seq>,
    waiting: VecDeque<Applied>,
    /// Rules up to here have left the index: what they evicted is deleted.
    dropped: Seq,
    started_over: Option<StartedOver>,
    started_over_told: bool,
    /// Whether control was sent the key.
    introduced: bool,
}

struct Entry {
    owed: Owed,
    /// Until their digest is made.
    rules: Option<Arc<[Rule]>>,
    confirmed_told: bool,
    /// Whether the count was told, and then, whether what was evicted had been deleted.
    accounted_told: Option<bool>,
}

impl Entry {
    /// Whether what was evicted is deleted; `None` while it is not counted.
    fn reclaimed(&self, seq: Seq, dropped: Seq) -> Option<bool> {
        let (count, _) = self.owed.counted?;
        Some(count.evicted_objects == 0 || seq <= dropped)
    }

    fn has_news(&self, seq: Seq, dropped: Seq) -> bool {
        let reclaimed = self.reclaimed(seq, dropped);
        !self.confirmed_told || (reclaimed.is_some() && reclaimed != self.accounted_told)
    }

    fn settled(&self) -> bool {
        self.confirmed_told && self.accounted_told == Some(true)
    }
}

/// The purge orders among these, as they are owed once they are applied up to `watermark`.
pub(crate) fn owed_for(
    log: LogId,
    orders: Vec<Order>,
    watermark: Seq,
) -> (Vec<(Seq, Owed)>, Vec<(Seq, Arc<[Rule]>)>) {
    let applied_ms = clock::wall_ms();
    let purges = orders.into_iter().filter_map(|order| match order.body {
        Body::Purge { task: Some(task), rules, .. } => Some((order.seq, order.id, task, rules)),
        _ => None,
    });
    purges
        .map(|(seq, order, task, rules)| {
            let count = rules.len() as u64;
            let owed =
                Owed { log, order, task, applied_ms, watermark, rules: count, digest: None, counted: None };
            ((seq, owed), (seq, Arc::from(rules)))
        })
        .unzip()
}

impl Receipts {
    /// Takes up what a restart finds; `rules` are the live ones.
    pub(crate) fn new(
        key: SigningKey,
        restored: RestoredOwed,
        rules: &[(Seq, Vec<Rule>)],
        epoch: Epoch,
        dropped: Seq,
    ) -> Receipts {
        let mut books = Books { dropped, started_over: restored.started_over, ..Books::default() };
        let mut again = Applied { moment: None, epoch, orders: Vec::new(), exact: false };
        for (seq, owed) in restored.orders {
            let at = rules.binary_search_by_key(&seq, |(seq, _)| *seq).ok();
            let rules: Option<Arc<[Rule]>> = at.map(|at| Arc::from(rules[at].1.as_slice()));
            if owed.counted.is_none() {
                books.uncounted.insert(seq);
                again.orders.push((seq, rules.clone().unwrap_or_default()));
            }
            books.take_in(seq, owed, rules);
        }
        if !again.orders.is_empty() {
            books.waiting.push_back(again);
        }
        Receipts { key, books: Mutex::new(books), news: Notify::new(), work: Notify::new() }
    }

    /// Whether more may be owed.
    pub(crate) fn has_room(&self, more: usize) -> bool {
        self.books.lock().owed.len() + more <= OWED_MAX
    }

    /// Takes in what was just applied.
    pub(crate) fn applied(&self, owed: Vec<(Seq, Owed)>, applied: Applied) {
        let mut books = self.books.lock();
        for ((seq, owed), (_, rules)) in owed.into_iter().zip(&applied.orders) {
            books.uncounted.insert(seq);
            books.take_in(seq, owed, Some(rules.clone()));
        }
        let last = if books.waiting.len() >= MOMENTS_MAX { books.waiting.back_mut() } else { None };
        match last {
            Some(last) => {
                (last.moment, last.exact) = (None, false);
                last.orders.extend(applied.orders);
            }
            None => books.waiting.push_back(applied),
        }
        drop(books);
        self.work.notify_one();
        self.news.notify_one();
    }

    /// Takes in that everything was given up.
    pub(crate) fn started_over(&self, over: StartedOver) {
        let mut books = self.books.lock();
        let introduced = books.introduced;
        let dropped = over.seq;
        *books = Books { started_over: Some(over), dropped, introduced, ..Books::default() };
        drop(books);
        self.news.notify_one();
    }

    /// What is to be counted next.
    pub(crate) fn to_count(&self) -> Option<Applied> {
        self.books.lock().waiting.pop_front()
    }

    /// The first order that is not counted: its rules must stay.
    pub(crate) fn first_uncounted(&self) -> Option<Seq> {
        self.books.lock().uncounted.first().copied()
    }

    /// What to keep of these counts; each has its digest then.
    pub(crate) fn with_counts(&self, counts: Vec<(Seq, Count)>) -> Vec<(Seq, Owed)> {
        while self.make_digests() {}
        let books = self.books.lock();
        let counted_ms = clock::wall_ms();
        let counted = counts.into_iter().filter_map(|(seq, count)| {
            let owed = books.owed.get(&seq)?.owed.clone();
            Some((seq, Owed { counted: Some((count, counted_ms)), ..owed }))
        });
        counted.collect()
    }

    /// Takes in counts that the journal has.
    pub(crate) fn counted(&self, owed: Vec<(Seq, Owed)>) {
        let mut books = self.books.lock();
        for (seq, owed) in owed {
            // Everything may have been given up meanwhile.
            let Some(entry) = books.owed.get_mut(&seq).filter(|entry| entry.owed.order == owed.order) else {
                continue;
            };
            entry.owed = owed;
            books.uncounted.remove(&seq);
            books.to_tell.insert(seq);
        }
        drop(books);
        self.news.notify_one();
    }

    /// Takes in that the sweep has deleted what rules up to `dropped` evicted.
    pub(crate) fn swept(&self, dropped: Seq) {
        let mut books = self.books.lock();
        books.dropped = books.dropped.max(dropped);
        let dropped = books.dropped;
        let news = books.owed.range(..=dropped).filter(|(seq, entry)| entry.has_news(**seq, dropped));
        let news: Vec<Seq> = news.map(|(seq, _)| *seq).collect();
        books.to_tell.extend(news);
        drop(books);
        self.news.notify_one();
    }

    /// Makes digests of some orders' rules, outside the lock; true while there may be more.
    fn make_digests(&self) -> bool {
        let todo: Vec<(Seq, Arc<[Rule]>)> = {
            let books = self.books.lock();
            let next = books.undigested.iter().take(STATEMENTS_MAX);
            next.filter_map(|seq| Some((*seq, books.owed.get(seq)?.rules.clone()?))).collect()
        };
        let made: Vec<(Seq, Digest)> =
            todo.iter().map(|(seq, rules)| (*seq, digest_of(rules.iter().map(text_of)))).collect();
        let mut books = self.books.lock();
        for (seq, digest) in &made {
            books.undigested.remove(seq);
            if let Some(entry) = books.owed.get_mut(seq) {
                entry.owed.digest = Some(*digest);
                entry.rules = None;
            }
        }
        made.len() == STATEMENTS_MAX
    }

    /// What to tell control next, unsigned.
    fn to_tell(&self, pop: &PopId) -> Option<Vec<Statement>> {
        self.make_digests();
        let books = self.books.lock();
        let mut statements = Vec::new();
        if let Some(over) = books.started_over.as_ref().filter(|_| !books.started_over_told) {
            statements.push(Statement::StartedOver(over.clone()));
        }
        for seq in &books.to_tell {
            let Some(entry) = books.owed.get(seq) else { continue };
            if statements.len() + 2 > STATEMENTS_MAX {
                break;
            }
            let owed = &entry.owed;
            let name = || OrderName {
                pop: pop.clone(),
                log: owed.log,
                task: owed.task,
                order: owed.order,
                seq: *seq,
            };
            if let Some(digest) = owed.digest.filter(|_| !entry.confirmed_told) {
                let (rules, watermark, applied_ms) = (owed.rules, owed.watermark, owed.applied_ms);
                let confirmed = Confirmed { order: name(), rules, digest, watermark, applied_ms };
                statements.push(Statement::Confirmed(confirmed));
            }
            if let (Some((count, counted_ms)), Some(reclaimed)) =
                (owed.counted, entry.reclaimed(*seq, books.dropped))
                && entry.accounted_told != Some(reclaimed)
            {
                let accounted = Accounted { order: name(), count, reclaimed, counted_ms };
                statements.push(Statement::Accounted(accounted));
            }
        }
        (!statements.is_empty() || !books.introduced).then_some(statements)
    }

    /// Takes in that control has these; gives the orders of which nothing more is owed.
    fn told(&self, statements: &[Statement]) -> Vec<Seq> {
        let mut books = self.books.lock();
        books.introduced = true;
        let mut settled = Vec::new();
        for statement in statements {
            let named = match statement {
                Statement::StartedOver(over) => {
                    books.started_over_told = books.started_over.as_ref() == Some(over);
                    None
                }
                Statement::Confirmed(Confirmed { order, .. }) => {
                    books.told(order, |entry| entry.confirmed_told = true)
                }
                Statement::Accounted(Accounted { order, reclaimed, .. }) => {
                    books.told(order, |entry| entry.accounted_told = Some(*reclaimed))
                }
                Statement::Certificate(_) => None,
            };
            settled.extend(named);
        }
        settled
    }
}

impl Books {
    fn take_in(&mut self, seq: Seq, owed: Owed, rules: Option<Arc<[Rule]>>) {
        let rules = rules.filter(|_| owed.digest.is_none());
        if rules.is_some() {
            self.undigested.insert(seq);
        }
        self.to_tell.insert(seq);
        self.owed.insert(seq, Entry { owed, rules, confirmed_told: false, accounted_told: None });
    }

    /// Notes what control has of an order; gives the order once nothing more is owed of it.
    fn told(&mut self, name: &OrderName, note: impl FnOnce(&mut Entry)) -> Option<Seq> {
        let (seq, dropped) = (name.seq, self.dropped);
        let entry = self.owed.get_mut(&seq).filter(|entry| entry.owed.order == name.order)?;
        note(entry);
        let settled = entry.settled();
        if !entry.has_news(seq, dropped) {
            self.to_tell.remove(&seq);
        }
        if settled {
            self.owed.remove(&seq);
        }
        settled.then_some(seq)
    }
}

impl Pop {
    /// Tells control what it is owed until the process stops.
    pub(crate) async fn tell_receipts(self: Arc<Pop>, link: Arc<dyn Link>) {
        let mut retry = RETRY_MIN;
        loop {
            let pop = self.clone();
            let signing = move || {
                let statements = pop.receipts.to_tell(&pop.config.id)?;
                let signed = statements.iter().map(|statement| pop.receipts.key.sign(statement)).collect();
                Some((statements, signed))
            };
            let Ok(signed) = tokio::task::spawn_blocking(signing).await else { return };
            let Some((statements, signed)) = signed else {
                self.receipts.news.notified().await;
                tokio::time::sleep(TELL_PAUSE).await;
                continue;
            };
            let message = Message {
                pop: self.config.id.clone(),
                data: self.follower.read().identity().data,
                key: self.receipts.key.public(),
                statements: signed,
            };
            match link.receipts(&message).await {
                Ok(()) => {
                    retry = RETRY_MIN;
                    let settled = self.receipts.told(&statements);
                    self.forget_owed(settled).await;
                }
                Err(error) => {
                    tracing::debug!(%error, "receipts were not taken");
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(RETRY_MAX);
                }
            }
        }
    }

    async fn forget_owed(&self, settled: Vec<Seq>) {
        if settled.is_empty() {
            return;
        }
        let journal = self.journal.clone();
        match tokio::task::spawn_blocking(move || journal.forget_owed(&settled)).await {
            Ok(Ok(())) => {}
            // It is told again after a restart, which changes nothing at control.
            Ok(Err(error)) => tracing::warn!(%error, "what control acknowledged could not be forgotten"),
            Err(error) => tracing::debug!(%error, "stopping"),
        }
    }
}

/// The key in `file`; made there at the first start, readable by its owner only.
pub(crate) fn key_in(file: &Path) -> io::Result<SigningKey> {
    match std::fs::read_to_string(file) {
        Ok(text) => text.trim().parse().map(|seed: Digest| SigningKey::from_seed(&seed.0)).map_err(|_| {
            let why =
                "not 64 hexadecimal digits; put the file back from a backup, or take it away for a new key";
            io::Error::new(io::ErrorKind::InvalidData, why)
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make_key(file),
        Err(error) => Err(error),
    }
}

fn make_key(file: &Path) -> io::Result<SigningKey> {
    use std::io::Write;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    // Whole or not at all: half a key would keep the POP from starting.
    let new = file.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    let mut made = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    made.write_all(format!("{}\n", Digest(seed)).as_bytes())?;
    made.sync_all()?;
    std::fs::rename(&new, file)?;
    if let Some(folder) = file.parent() {
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(SigningKey::from_seed(&seed))
}

#[cfg(test)]
mod tests;
