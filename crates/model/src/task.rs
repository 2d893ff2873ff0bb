//! Tasks: what a user submitted and watches.

use crate::ids::{PopId, Seq, TaskId};
use crate::quota::QuotaKind;
use crate::refill::Bound;
use crate::rule::Mode;
use crate::variants::Variants;
use crate::window::Window;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TaskKind {
    /// Purges URLs.
    Url,
    /// Purges directories.
    Directory,
    /// Purges URLs, whatever their query.
    Query,
    /// Purges what patterns match.
    Regex,
    /// Purges what the origin gave a tag.
    Tag,
    /// Purges all of a host.
    Host,
    /// Prefetches URLs.
    Prefetch,
}

impl TaskKind {
    /// All kinds.
    pub const ALL: [TaskKind; 7] = [
        TaskKind::Url,
        TaskKind::Directory,
        TaskKind::Query,
        TaskKind::Regex,
        TaskKind::Tag,
        TaskKind::Host,
        TaskKind::Prefetch,
    ];

    /// The quota it counts against.
    pub fn quota(self) -> QuotaKind {
        match self {
            TaskKind::Url => QuotaKind::Url,
            // A host is its topmost directory.
            TaskKind::Directory | TaskKind::Host => QuotaKind::Directory,
            TaskKind::Query => QuotaKind::Query,
            TaskKind::Regex => QuotaKind::Regex,
            TaskKind::Tag => QuotaKind::Tag,
            TaskKind::Prefetch => QuotaKind::Prefetch,
        }
    }

    /// Whether it purges.
    pub fn is_purge(self) -> bool {
        self != TaskKind::Prefetch
    }

    /// The word used in the API and the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            TaskKind::Url => "url",
            TaskKind::Directory => "directory",
            TaskKind::Query => "query",
            TaskKind::Regex => "regex",
            TaskKind::Tag => "tag",
            TaskKind::Host => "host",
            TaskKind::Prefetch => "prefetch",
        }
    }

    /// What a purge of this kind does to a copy, forced or not; URL purges always evict.
    pub fn mode(self, force: bool) -> Mode {
        if force || self == TaskKind::Url { Mode::Evict } else { Mode::Expire }
    }

    /// Reads what [`TaskKind::as_str`] wrote.
    pub fn from_word(word: &str) -> Option<TaskKind> {
        TaskKind::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// On what terms a prefetch is done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PrefetchTerms {
    /// Seconds after its beginning by which every POP is to be warm, 1 to [`DEADLINE_S_MAX`]; absent: as control is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_s: Option<u32>,
    /// The hours in which something may be begun; absent: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Only the POPs of these regions, at most [`REGIONS_MAX`]; none: of all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub regions: BTreeSet<String>,
    /// As whom its files are asked for; none: as viewers who accept gzip, and as those who don't.
    #[serde(default, skip_serializing_if = "Variants::is_empty")]
    pub headers: Variants,
}

impl PrefetchTerms {
    /// What keeps a prefetch from beginning anything that is submitted at that time, wall-clock milliseconds since 1970.
    pub fn holds_at(&self, at_ms: i64) -> Holds {
        let outside_window = self.window.is_some_and(|window| !window.is_open(at_ms));
        Holds { paused: false, outside_window }
    }
}

/// What keeps a prefetch from beginning anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Holds {
    /// Somebody paused it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Its window is closed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outside_window: bool,
}

impl Holds {
    /// Whether anything does.
    pub fn any(self) -> bool {
        self.paused || self.outside_window
    }
}

/// Regions that one prefetch may name.
pub const REGIONS_MAX: usize = 100;

/// The latest that a deadline may be, seconds.
pub const DEADLINE_S_MAX: u32 = 31 * 86_400;

/// How far a task is: pending → running → complete or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Durable; its order is not in the log yet.
    Pending,
    /// In the log; some POP in scope is not done.
    Running,
    /// Every POP in scope is done (a purge: confirmed or fenced).
    Complete,
    /// Some POP could not do it; the steps say which and why.
    Failed,
}

impl Status {
    /// Whether nothing more will happen.
    pub fn ended(self) -> bool {
        matches!(self, Status::Complete | Status::Failed)
    }

    /// The word used in the API and the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Running => "running",
            Status::Complete => "complete",
            Status::Failed => "failed",
        }
    }

    /// Reads what [`Status::as_str`] wrote.
    pub fn from_word(word: &str) -> Option<Status> {
        match word {
            "pending" => Some(Status::Pending),
            "running" => Some(Status::Running),
            "complete" => Some(Status::Complete),
            "failed" => Some(Status::Failed),
            _ => None,
        }
    }
}

/// What one POP in scope has done for a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// The POP.
    pub pop: PopId,
    /// How far it is.
    #[serde(flatten)]
    pub state: StepState,
}

/// How far one POP is with one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum StepState {
    /// Has not confirmed yet.
    Waiting,
    /// A purge: durably applied there.
    Confirmed {
        /// Wall-clock milliseconds since 1970, for people.
        at_ms: i64,
        /// Set where it was fenced first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fenced_at_ms: Option<i64>,
    },
    /// A purge: its own clock keeps it from using what the order forbids; it confirms when it returns.
    Fenced {
        /// Wall-clock milliseconds since 1970, for people.
        at_ms: i64,
        /// When control last heard from it; absent: never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_contact_ms: Option<i64>,
    },
    /// A prefetch under way.
    Fetching {
        /// How far it is.
        progress: Progress,
    },
    /// A prefetch: everything was read back and would answer HIT.
    Warm {
        /// What it came to.
        progress: Progress,
        /// Wall-clock milliseconds since 1970, for people.
        at_ms: i64,
    },
    /// A prefetch that this POP could not do.
    Failed {
        /// How far it came.
        progress: Progress,
        /// Which lines, and why; at most [`FAILURES_MAX`].
        failures: Vec<Failure>,
        /// Wall-clock milliseconds since 1970, for people.
        at_ms: i64,
    },
    /// A prefetch that this POP had not finished by the task's deadline.
    Overdue {
        /// How far it was.
        progress: Progress,
        /// Wall-clock milliseconds since 1970, for people.
        at_ms: i64,
        /// When control last heard from it; absent: never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_contact_ms: Option<i64>,
    },
    /// A prefetch that was cancelled before this POP had finished; what is there stays.
    Cancelled {
        /// How far it was.
        progress: Progress,
        /// Wall-clock milliseconds since 1970, for people.
        at_ms: i64,
    },
    /// The POP was removed while the task ran, and had nothing left to do for it.
    Removed {
        /// Wall-clock milliseconds since 1970, for people.
        at_ms: i64,
    },
}

impl StepState {
    /// How far a prefetch is there, where this POP has begun with it.
    pub fn progress(&self) -> Option<&Progress> {
        match self {
            StepState::Fetching { progress }
            | StepState::Warm { progress, .. }
            | StepState::Failed { progress, .. }
            | StepState::Overdue { progress, .. }
            | StepState::Cancelled { progress, .. } => Some(progress),
            _ => None,
        }
    }

    /// Whether this POP has nothing left to do.
    pub fn ended(&self) -> bool {
        !matches!(self, StepState::Waiting | StepState::Fetching { .. })
    }
}

/// The most failures that a step keeps; the count of all is in its progress.
pub const FAILURES_MAX: usize = 1_000;

/// How far a POP is with a prefetch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// Files to warm: lines, and what followed playlists name; grows as those are read.
    pub files: u64,
    /// Files warm.
    pub files_warm: u64,
    /// Files that failed, and those that were left out since a limit was reached.
    pub files_failed: u64,
    /// Body bytes present, all variants.
    pub bytes: u64,
    /// Body bytes known to be needed so far; grows as heads arrive.
    pub bytes_expected: u64,
    /// What playlists name outside of the account's domains, and is not fetched.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub outside: u64,
    /// Bytes of bodies that this POP had from the origin for it, for itself and for POPs that asked it; those of answers
    /// that broke off included. What was here before, what another POP gave, and what a viewer had asked for costs nothing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub origin_bytes: u64,
    /// Requests that this POP sent to the origin for it, likewise.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub origin_requests: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Progress {
    /// Parts of a whole, 0 to 1: the mean of files and bytes, and 1 only when all files are warm.
    pub fn share(&self) -> f64 {
        if self.files == 0 || self.files_warm >= self.files {
            return 1.0;
        }
        let of = |part: u64, whole: u64| if whole == 0 { 0.0 } else { (part as f64 / whole as f64).min(1.0) };
        let files = of(self.files_warm, self.files);
        let bytes = of(self.bytes, self.bytes_expected);
        ((files + bytes) / 2.0).min(0.999)
    }
}

/// Why one line of a prefetch is not warm at a POP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// The line's place in the submission, from 1.
    pub line: u32,
    /// What failed where it is not the line itself, but something that it led to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Why, in the vendor's words where it has some.
    pub reason: String,
}

/// A task as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Task {
    /// Its number; decimal digits as text, since some clients read numbers as floats.
    #[serde(with = "digits")]
    #[schemars(with = "String")]
    pub id: TaskId,
    /// What it does.
    #[serde(rename = "type")]
    pub kind: TaskKind,
    /// Expire or evict; absent for prefetches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// How far it is.
    pub status: Status,
    /// 0 to 100; 100 only when complete.
    pub percent: u8,
    /// The place of its order in the log.
    pub seq: Seq,
    /// How many lines were submitted.
    pub lines: u64,
    /// When it was accepted, wall-clock milliseconds since 1970.
    pub submitted_ms: i64,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<i64>,
    /// When it begins, where it was to wait; wall-clock milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before_ms: Option<i64>,
    /// Whether it breaks off answers under way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// On what terms a prefetch is done.
    #[serde(flatten)]
    pub terms: PrefetchTerms,
    /// What keeps it, while it runs, from beginning anything.
    #[serde(flatten)]
    pub holds: Holds,
    /// Why it failed, where that was before any POP had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The prefetch that was submitted with it, to follow it.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "digits::option")]
    #[schemars(with = "Option<String>")]
    pub then: Option<TaskId>,
    /// The purge that it follows.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "digits::option")]
    #[schemars(with = "Option<String>")]
    pub after: Option<TaskId>,
    /// Set of a prefetch that refills: each POP chose the objects, the hottest of what the purge before it matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refill: Option<Bound>,
    /// Every POP in scope.
    pub pops: Vec<Step>,
}

impl Task {
    /// The share of the work that is done, 0 to 100; 100 is kept for complete tasks.
    pub fn percent_of(status: Status, steps: &[Step]) -> u8 {
        if status == Status::Complete {
            return 100;
        }
        let share = |step: &Step| match (&step.state, step.state.progress()) {
            (StepState::Waiting, _) => 0.0,
            (StepState::Warm { .. }, _) | (_, None) => 1.0,
            (_, Some(progress)) => progress.share(),
        };
        let whole = steps.len().max(1) as f64;
        (steps.iter().map(share).sum::<f64>() / whole * 100.0).min(99.0) as u8
    }
}

/// What a prefetch has cost the origin so far, all POPs together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OriginCost {
    /// Bytes of bodies that came from the origin.
    pub origin_bytes: u64,
    /// Requests to the origin.
    pub origin_requests: u64,
    /// Bytes of what was to be fetched, all variants, once: what the POP has that is farthest.
    pub object_bytes: u64,
    /// The first by the third: 1 where each byte was fetched once for the fleet; less where it was there, or on its way,
    /// already. Absent: nothing is there yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin_share: Option<f64>,
}

impl Task {
    /// What it has cost the origin; `None` for purges.
    pub fn origin_cost(&self) -> Option<OriginCost> {
        let all = || self.pops.iter().filter_map(|step| step.state.progress());
        let sum = |of: fn(&Progress) -> u64| all().map(of).fold(0, u64::saturating_add);
        let origin_bytes = sum(|progress| progress.origin_bytes);
        let object_bytes = all().map(|progress| progress.bytes).max().unwrap_or(0);
        (self.kind == TaskKind::Prefetch).then(|| OriginCost {
            origin_bytes,
            origin_requests: sum(|progress| progress.origin_requests),
            object_bytes,
            origin_share: (object_bytes > 0).then(|| origin_bytes as f64 / object_bytes as f64),
        })
    }
}

pub(crate) mod digits {
    use super::TaskId;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(id: &TaskId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TaskId, D::Error> {
        String::deserialize(deserializer)?.parse().map(TaskId).map_err(serde::de::Error::custom)
    }

    pub mod option {
        use super::TaskId;
        use serde::{Deserialize, Deserializer, Serializer};

        pub fn serialize<S: Serializer>(id: &Option<TaskId>, serializer: S) -> Result<S::Ok, S::Error> {
            match id {
                Some(id) => serializer.collect_str(id),
                None => serializer.serialize_none(),
            }
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TaskId>, D::Error> {
            let text = Option::<String>::deserialize(deserializer)?;
            text.map(|text| text.parse().map(TaskId)).transpose().map_err(serde::de::Error::custom)
        }
    }
}
