//! Sights: the states worth reaching, counted, since a run that reaches none of them proves nothing.

macro_rules! sights {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A state worth reaching.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Sight {
            $($(#[$doc])* $name,)*
        }

        /// All of them.
        pub const SIGHTS: &[Sight] = &[$(Sight::$name,)*];
    };
}

sights! {
    /// A viewer got a copy without anybody being asked.
    Hit,
    /// A copy was used without a lease, since the origin had lately said that it is good.
    UsedWithoutLease,
    /// A copy was used without a lease, since its domain wants that.
    ServedWithoutLease,
    /// Nothing was there.
    Absent,
    /// An evicted copy was found.
    Gone,
    /// An expired copy was found.
    Purged,
    /// A copy was doubted for want of a lease.
    NoLease,
    /// Rules were dropped between look-up and judgement.
    Reread,
    /// A request joined a fill.
    Joined,
    /// A request may not join the fill that runs.
    JoinRefused,
    /// A fill came too late to be stored.
    TooEarly,
    /// A copy was stored.
    Stored,
    /// A 304 kept a copy.
    Kept,
    /// A 304 came for a copy that is not there any more.
    KeptNothing,
    /// The origin failed.
    OriginFailed,
    /// A copy came from disk into memory.
    Promoted,
    /// A sweep deleted a copy.
    SweptAway,
    /// A sweep marked a copy.
    SweptMarked,
    /// Rules left the index.
    Dropped,
    /// A prefetch began behind its order.
    Prefetched,
    /// A fill took what a home POP gave.
    FilledFromHome,
    /// A POP that was asked by another asked a third.
    HomeAskedFurther,
    /// A home POP was behind, and waited.
    HomeWaited,
    /// A home POP gave nothing that counts.
    HomeGaveNothing,
    /// A POP's process was killed.
    Killed,
    /// A POP lost its power.
    PowerCut,
    /// A power cut took batches that were written and not synced.
    LostBatches,
    /// A power cut tore a batch.
    TornBatch,
    /// A power cut took orders that were being applied.
    LostApply,
    /// A POP's process was paused.
    Paused,
    /// A machine's boot clock stood still.
    Froze,
    /// A machine's wall clock was set.
    WallJumped,
    /// A POP's disk went back to a backup.
    RolledBack,
    /// A POP's disk was found to have gone back, and is not used until it has caught up.
    RollbackNoticed,
    /// A POP got an empty disk.
    NewFolder,
    /// A second process ran as a POP.
    Twin,
    /// A heartbeat was refused, since another process speaks for the POP.
    Refused,
    /// A heartbeat named an order that control's log does not have.
    ForeignLog,
    /// A heartbeat, or a POP that wants to follow, was behind what the log still has.
    Gap,
    /// A POP took up a snapshot where it held something before.
    StartedOver,
    /// An answer to a heartbeat came too late to say anything.
    Stray,
    /// A heartbeat came behind a later one.
    Overtaken,
    /// Control's process died.
    ControlDied,
    /// Control died with a task durable that nobody watched yet.
    ControlDiedUnwatching,
    /// Control's ledger went back to a backup.
    Restored,
    /// Orders were lost with it.
    OrdersLost,
    /// Orders were pruned.
    Pruned,
    /// A POP was removed.
    Left,
    /// A POP joined or came back.
    JoinedFleet,
    /// A removed POP confirmed that.
    GoneFromFleet,
    /// A task was complete by confirmations alone.
    CompleteConfirmed,
    /// A task was complete with a POP fenced.
    CompleteFenced,
    /// A task of a domain that serves without a lease was submitted.
    Unfenced,
    /// A task was submitted that can fence only POPs which know that serving without a lease has ended.
    Guarded,
    /// Settings changed such that a cache space is evicted.
    Refetched,
    /// A rule did not fit into the index.
    Widened,
}

/// How often each was seen.
#[derive(Clone, Debug)]
pub struct Sights([u64; SIGHTS.len()]);

impl Default for Sights {
    fn default() -> Sights {
        Sights([0; SIGHTS.len()])
    }
}

impl Sights {
    /// Counts one.
    pub fn saw(&mut self, sight: Sight) {
        self.0[sight as usize] += 1;
    }

    /// How often one was seen.
    pub fn of(&self, sight: Sight) -> u64 {
        self.0[sight as usize]
    }

    /// Adds those of another run.
    pub fn add(&mut self, other: &Sights) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    /// Those never seen.
    pub fn missing(&self) -> Vec<Sight> {
        SIGHTS.iter().copied().filter(|sight| self.of(*sight) == 0).collect()
    }
}
