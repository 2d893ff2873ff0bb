//! The POPs as control knows them: who may connect, whose heartbeats count, and what they are answered.

use crate::clock::Clock;
use crate::peers::{self, Watched};
use crate::progress::{Moment, Progress};
use crate::receipts::News;
use crate::server_certificates::{self, Handing};
use crate::traffic::Books;
use crate::{secret, telemetry};
use async_trait::async_trait;
use freshen_fleet::Host;
use freshen_fleet::wire::{CertificateName, HandedCertificate, Receipts};
use freshen_ledger::{Ledger, PopRecord, Remembered};
use freshen_model::area::Area;
use freshen_model::ids::{LogId, PopId, Seq};
use freshen_model::order::{End, Order, Snapshot};
use freshen_model::peers::Peers;
use freshen_model::protocol::heartbeat::{Heartbeat, Standing, Usage};
use freshen_model::protocol::roster::{Place, Seat};
use freshen_model::traffic::Traffic;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tracing::{info, warn};

/// A last contact may be lost by a restart up to this age; writing each one would keep an idle disk busy.
const CONTACT_KEPT_EVERY_MS: i64 = 60_000;

/// The lease times of this run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// What new leases are given.
    pub(crate) granted: Duration,
    /// The longest that a POP may hold, an earlier run's included.
    pub(crate) in_force: Duration,
}

/// The POPs that are not gone.
pub(crate) struct Members {
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    progress: Arc<Progress>,
    /// What POPs count of traffic.
    books: Arc<Books>,
    terms: Terms,
    known: Mutex<Known>,
    /// What the others are told of each POP.
    peers: Watched,
    /// Told when receipts of a task came.
    pub(crate) news: News,
    /// The certificates of domains.
    pub(crate) handing: Handing,
}

#[derive(Default)]
struct Known {
    /// By SHA-256 of their tokens: what a stranger could learn from a look-up's timing is a digest, which opens nothing.
    tokens: HashMap<[u8; 32], PopId>,
    members: BTreeMap<PopId, Member>,
}

/// One POP.
#[derive(Clone)]
pub(crate) struct Member {
    /// As registered.
    pub(crate) record: PopRecord,
    /// Who speaks for it.
    pub(crate) seat: Seat,
    /// When an accepted heartbeat last came, wall-clock milliseconds since 1970.
    pub(crate) heard_ms: Option<i64>,
    /// Where other POPs can ask it, as its process says.
    pub(crate) peer_address: Option<String>,
    /// What it takes of its machine, as its process says.
    pub(crate) usage: Option<Usage>,
    /// What the ledger remembers of it.
    kept: Option<Remembered>,
}

impl Member {
    fn restored(record: PopRecord, now: Duration) -> Member {
        let kept = record.remembered.clone();
        let seat = kept.as_ref().map(|kept| Seat::restored(kept.data, kept.boot_number, kept.watermark, now));
        let heard_ms = kept.as_ref().map(|kept| kept.heard_ms);
        Member { record, seat: seat.unwrap_or_default(), heard_ms, peer_address: None, usage: None, kept }
    }

    /// The newest order about its membership.
    fn seq(&self) -> Seq {
        self.record.left.unwrap_or(self.record.joined)
    }

    fn to_remember(&self) -> Option<Remembered> {
        Some(Remembered {
            pop: self.record.id.clone(),
            data: self.seat.data?,
            // A restored seat counts one less than is remembered until the process is heard again.
            boot_number: match &self.kept {
                Some(kept) if Some(kept.data) == self.seat.data => {
                    self.seat.boot_number.max(kept.boot_number)
                }
                _ => self.seat.boot_number,
            },
            watermark: self.seat.remembered,
            heard_ms: self.heard_ms.unwrap_or_default(),
        })
    }

    fn to_keep(&self) -> Option<Remembered> {
        let now = self.to_remember()?;
        let Some(kept) = &self.kept else { return Some(now) };
        let same =
            (kept.data, kept.boot_number, kept.watermark) == (now.data, now.boot_number, now.watermark);
        (!same || now.heard_ms >= kept.heard_ms + CONTACT_KEPT_EVERY_MS).then_some(now)
    }
}

/// What a heartbeat that counts brought.
struct Taken {
    remembered: Seq,
    watermark: Seq,
    /// Set where the ledger has to know this data folder before the POP is answered.
    new_folder: Option<Remembered>,
    /// Where the POP is.
    area: Area,
    /// Whether the ledger has something else to remember, sooner or later.
    unsaved: bool,
    /// Set where the POP has just confirmed its removal.
    confirmed_removal: Option<Seq>,
}

impl Members {
    pub(crate) fn new(
        ledger: Arc<dyn Ledger>,
        clock: Arc<dyn Clock>,
        progress: Arc<Progress>,
        books: Arc<Books>,
        terms: Terms,
        handing: Handing,
        pops: Vec<PopRecord>,
    ) -> Members {
        let peers = Watched::new(ledger.derived_secret("between POPs"), &pops, terms.granted, clock.now());
        let (known, news) = (Mutex::default(), News::default());
        let members = Members { ledger, clock, progress, books, terms, known, peers, news, handing };
        for pop in pops {
            if let Some(remembered) = &pop.remembered {
                members.progress.remembered(&pop.id, remembered.watermark, remembered.heard_ms);
            }
            members.progress.reached(&pop.id, pop.reached(), members.moment());
            let member = Member::restored(pop, members.clock.now());
            members.known.lock().members.insert(member.record.id.clone(), member);
        }
        members.known.lock().index_tokens();
        members
    }

    pub(crate) fn terms(&self) -> Terms {
        self.terms
    }

    pub(crate) fn ledger(&self) -> &dyn Ledger {
        self.ledger.as_ref()
    }

    pub(crate) fn wall_ms(&self) -> i64 {
        self.clock.wall_ms()
    }

    /// Whether this is the data folder that speaks for the POP, or nobody does yet.
    pub(crate) fn may_sign(&self, receipts: &Receipts) -> Result<(), String> {
        let known = self.known.lock();
        let Some(member) = known.members.get(&receipts.pop) else {
            return Err(format!("{} is not a POP of this installation", receipts.pop));
        };
        match member.seat.data {
            Some(data) if data != receipts.data => {
                Err(format!("another data folder, {data}, speaks for {}", receipts.pop))
            }
            _ => Ok(()),
        }
    }

    /// Takes in a POP that was added or removed; calls may come in any order, the newest change stays.
    pub(crate) fn put(&self, record: PopRecord) {
        let now = self.clock.now();
        let mut known = self.known.lock();
        let id = record.id.clone();
        match known.members.get_mut(&id) {
            Some(member) if member.seq() > record.left.unwrap_or(record.joined) => return,
            // The seat stays: a process of before a removal may still hold a lease.
            Some(member) => {
                member.record = record;
                // What it says of itself it has to say again.
                (member.peer_address, member.usage) = (None, None);
            }
            None => {
                self.progress.reached(&id, record.reached(), self.moment());
                let mut member = Member::restored(record, now);
                // It was gone, so no process of before is left for which another folder would have to wait.
                member.seat.heard_at = None;
                known.members.insert(id, member);
            }
        }
        known.index_tokens();
        self.peers.changed();
    }

    /// Takes in that the POP which was removed at `left` is gone.
    pub(crate) fn gone(&self, id: &PopId, left: Seq) {
        let mut known = self.known.lock();
        if known.members.get(id).is_some_and(|member| member.record.left == Some(left)) {
            known.members.remove(id);
            known.index_tokens();
            self.peers.changed();
        }
    }

    /// What a POP's answers came to in the last hour.
    pub(crate) fn lately(&self, pop: &PopId) -> Traffic {
        self.books.lately(pop, self.clock.wall_ms())
    }

    /// Every POP, by id.
    pub(crate) fn all(&self) -> Vec<Member> {
        self.known.lock().members.values().cloned().collect()
    }

    /// The place that every POP has confirmed; `None` without POPs.
    pub(crate) fn confirmed_by_all(&self) -> Option<Seq> {
        self.known.lock().members.values().map(|member| member.seat.settled()).min()
    }

    /// Whether the ledger has still something to remember.
    pub(crate) fn have_to_keep(&self) -> bool {
        self.known.lock().members.values().any(|member| member.to_keep().is_some())
    }

    /// What the ledger has still to remember.
    pub(crate) fn to_keep(&self) -> Vec<Remembered> {
        self.known.lock().members.values().filter_map(Member::to_keep).collect()
    }

    /// Notes that the ledger remembers this.
    pub(crate) fn kept(&self, seats: &[Remembered]) {
        let mut known = self.known.lock();
        for seat in seats {
            if let Some(member) = known.members.get_mut(&seat.pop) {
                member.kept = Some(seat.clone());
            }
        }
    }

    fn moment(&self) -> Moment {
        Moment { steady: self.clock.now(), wall_ms: self.clock.wall_ms() }
    }

    /// Judges a heartbeat by its POP's seat.
    fn take(&self, beat: &Heartbeat, place: Place, now: Moment) -> Result<Taken, Standing> {
        let log = self.ledger.log_id();
        let mut known = self.known.lock();
        let Some(member) = known.members.get_mut(&beat.pop) else {
            return Err(Standing::Refused { why: format!("{} is not a POP of this installation", beat.pop) });
        };
        let before = member.seat.boot;
        if let Some(standing) = member.seat.take(beat, log, place, self.terms.in_force, now.steady) {
            return Err(standing);
        }
        let remembered = member.seat.remember();
        let was = (before, std::mem::replace(&mut member.peer_address, peers::usable(&beat.peer_address)));
        let news = was != (member.seat.boot, member.peer_address.clone());
        member.heard_ms = Some(now.wall_ms);
        member.usage = beat.usage;
        let new = member.kept.as_ref().map(|kept| kept.data) != member.seat.data;
        let removed = member.record.left.filter(|left| member.seat.watermark >= *left);
        let taken = Taken {
            remembered,
            watermark: member.seat.watermark,
            new_folder: new.then(|| member.to_remember()).flatten(),
            area: member.record.area,
            unsaved: member.to_keep().is_some(),
            confirmed_removal: removed,
        };
        self.peers.heard(&beat.pop, news, now.steady, known.members.values());
        Ok(taken)
    }

    /// What the log has at a POP's watermark. Most POPs stand at its end, whose order is known and never pruned.
    async fn place_of(&self, watermark: Seq) -> Result<Place, String> {
        let end = *self.ledger.end().borrow();
        if watermark == end.seq { Ok(Place::Order(end.id)) } else { self.place(watermark).await }
    }

    /// A removed POP that applied its removal uses no cache any more; nothing is left to be asked of it.
    async fn confirm_removal(&self, pop: &PopId, left: Seq) {
        match self.ledger.pop_gone(pop).await {
            Ok(()) => {
                info!(%pop, %left, "confirmed its removal");
                self.gone(pop, left);
                self.progress.doubt_pops();
            }
            Err(error) => {
                warn!(%pop, %error, "its removal could not be noted, its next heartbeat tries again")
            }
        }
    }
}

impl Known {
    fn index_tokens(&mut self) {
        let tokens =
            self.members.values().map(|member| (member.record.token_digest, member.record.id.clone()));
        self.tokens = tokens.collect();
    }
}

#[async_trait]
impl Host for Members {
    async fn admit(&self, token: &str) -> Result<Option<PopId>, String> {
        Ok(self.known.lock().tokens.get(&secret::digest(token)).cloned())
    }

    fn log(&self) -> LogId {
        self.ledger.log_id()
    }

    fn end(&self) -> watch::Receiver<End> {
        self.ledger.end()
    }

    async fn orders_after(&self, after: Seq, bytes_max: usize) -> Result<Option<Vec<Order>>, String> {
        let read = self.ledger.orders_after(after, bytes_max).await.map_err(|error| error.to_string())?;
        Ok(read.contiguous.then_some(read.orders))
    }

    async fn place(&self, seq: Seq) -> Result<Place, String> {
        self.ledger.place(seq).await.map_err(|error| error.to_string())
    }

    async fn snapshot(&self, pop: &PopId) -> Result<Snapshot, String> {
        self.ledger.snapshot(pop).await.map_err(|error| error.to_string())
    }

    fn peers_changed(&self) -> watch::Receiver<u64> {
        self.peers.watch()
    }

    fn peers(&self, pop: &PopId) -> Option<Peers> {
        let now = self.clock.now();
        let known = self.known.lock();
        // One that is gone has no others.
        let Some(member) = known.members.get(pop) else { return Some(Peers::default()) };
        self.peers.of(member, known.members.values(), now)
    }

    fn certificates(&self) -> watch::Receiver<Arc<Vec<CertificateName>>> {
        self.handing.watch()
    }

    async fn certificate(&self, pop: &PopId, domain: &str) -> Result<Option<HandedCertificate>, String> {
        // One that is removed shows nothing any more.
        let stays = self.known.lock().members.get(pop).is_some_and(|member| member.record.left.is_none());
        if stays { server_certificates::hand(self.ledger(), domain).await } else { Ok(None) }
    }

    async fn heartbeat(&self, beat: &Heartbeat) -> Result<Standing, String> {
        let place = self.place_of(beat.watermark).await?;
        let now = self.moment();
        let taken = match self.take(beat, place, now) {
            Ok(taken) => taken,
            Err(standing) => {
                let label = label(&standing);
                metrics::counter!(telemetry::HEARTBEATS_REFUSED, "standing" => label).increment(1);
                warn!(pop = %beat.pop, watermark = %beat.watermark, standing = label, "heartbeat does not count");
                return Ok(standing);
            }
        };
        metrics::counter!(telemetry::HEARTBEATS).increment(1);
        if let Some(seat) = taken.new_folder {
            // Before the answer: a restart must not take a rolled-back folder for a new one.
            let seats = vec![seat];
            self.ledger.remember(seats.clone()).await.map_err(|error| error.to_string())?;
            self.kept(&seats);
        }
        let noted = self.progress.heard(&beat.pop, taken.watermark, &beat.prefetches, now);
        let to_book = self.books.heard((&beat.pop, taken.area), beat.boot, &beat.traffic, now.wall_ms);
        if taken.unsaved || to_book {
            self.progress.wake();
        }
        if let Some(left) = taken.confirmed_removal {
            self.confirm_removal(&beat.pop, left).await;
        }
        // Read after the heartbeat came: at the moment the POP sent it, the log ended no later than here.
        let end = *self.ledger.end().borrow();
        let lease_ms = u64::try_from(self.terms.granted.as_millis()).unwrap_or(u64::MAX);
        Ok(Standing::Confirmed { end, lease_ms, remembered: taken.remembered, noted })
    }

    async fn receipts(&self, receipts: &Receipts) -> Result<Result<(), String>, String> {
        self.keep_receipts(receipts).await.map_err(|error| error.to_string())
    }
}

fn label(standing: &Standing) -> &'static str {
    match standing {
        Standing::Confirmed { .. } => "confirmed",
        Standing::ForeignLog => "foreign_log",
        Standing::Gap => "gap",
        Standing::Refused { .. } => "refused",
    }
}
