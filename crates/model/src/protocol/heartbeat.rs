//! Heartbeats: how watermarks reach control, and how leases are renewed.

use crate::ids::{BootId, DataId, LogId, OrderId, PopId, Seq};
use crate::order::End;
use crate::task::{Failure, Progress};
use crate::traffic::Counted;
use serde::{Deserialize, Serialize};

/// What a POP says about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The POP.
    pub pop: PopId,
    /// Its data folder.
    pub data: DataId,
    /// This run of its process.
    pub boot: BootId,
    /// How many times the data folder was started; a restart has a higher one.
    pub boot_number: u64,
    /// The heartbeat's number within the boot.
    pub number: u64,
    /// The log it follows; absent: none yet.
    pub log: Option<LogId>,
    /// Its watermark.
    pub watermark: Seq,
    /// The id of the order at the watermark; all zero at watermark 0.
    pub watermark_id: OrderId,
    /// Where other POPs can ask this one, `host:port`; absent: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_address: Option<String>,
    /// Prefetches under way or not yet acknowledged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefetches: Vec<PrefetchReport>,
    /// What was counted of domains whose traffic was not told of yet, since this run's start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traffic: Vec<Counted>,
    /// What it takes of its machine; for people, nothing is decided by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// What a POP's cache takes of its machine, and what it may take, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// On disk.
    pub disk_bytes: u64,
    /// What it may have there: as configured, or less where the disk is smaller or others fill it.
    pub disk_bytes_max: u64,
    /// In memory.
    pub memory_bytes: u64,
    /// What it may have there.
    pub memory_bytes_max: u64,
}

/// How far a POP is with one prefetch order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PrefetchReport {
    /// The order.
    pub seq: Seq,
    /// How far.
    pub progress: Progress,
    /// Set once nothing more will happen.
    pub ended: bool,
    /// How many variants of each file it warms, where its order names some. Who does not know of that says nothing, and has
    /// warmed others.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub variants: u32,
    /// What failed; told when ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Control's answer to a heartbeat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The heartbeat's boot.
    pub boot: BootId,
    /// The heartbeat's number.
    pub number: u64,
    /// What control makes of it.
    #[serde(flatten)]
    pub standing: Standing,
}

/// What control makes of a heartbeat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "standing", rename_all = "snake_case")]
pub enum Standing {
    /// It counts; the log ended here when control answered.
    Confirmed {
        /// The log's end. Its name tells orders that took the same places in a log that is lost.
        end: End,
        /// How long a lease lasts, milliseconds.
        lease_ms: u64,
        /// The highest watermark that this data folder confirmed before; a lower one is a rollback.
        remembered: Seq,
        /// Prefetches for which nothing more is wanted of the POP: control has noted its end, or that it is overdue.
        noted: Vec<Seq>,
    },
    /// Control's log does not have that order there: another log, or one that went back. All the POP holds is void.
    ForeignLog,
    /// Control keeps no orders that far back: the POP must start from a snapshot.
    Gap,
    /// Another process runs as this POP.
    Refused {
        /// Why, for the POP's own log.
        why: String,
    },
}
