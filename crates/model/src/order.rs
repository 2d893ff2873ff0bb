//! Orders: the entries of the fleet log.

use crate::area::Area;
use crate::domain::Settings;
use crate::follow::Follow;
use crate::ids::{LogId, OrderId, PopId, Seq, TaskId};
use crate::pattern::Pattern;
use crate::refill::Refill;
use crate::rule::{Matcher, Rule};
use crate::variants::Variants;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// An entry of the fleet log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Its place.
    pub seq: Seq,
    /// Its random name.
    pub id: OrderId,
    /// What it says.
    pub body: Body,
}

/// Where the log ends: its newest order. A log without one ends at place 0, under a name that is all zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Its place.
    pub seq: Seq,
    /// Its random name.
    pub id: OrderId,
}

impl Order {
    /// The patterns in its rules.
    pub fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        let rules = match &self.body {
            Body::Purge { rules, .. } => &rules[..],
            _ => &[],
        };
        rules.iter().filter_map(|rule| match &rule.matcher {
            Matcher::Regex { pattern, .. } => Some(pattern),
            _ => None,
        })
    }
}

/// What an order says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "lowercase", remote = "Self")]
pub enum Body {
    /// Purge what these rules match.
    Purge {
        /// The task it belongs to.
        task: Option<TaskId>,
        /// The rules.
        rules: Vec<Rule>,
        /// Whether answers under way are broken off, too.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        cut: bool,
    },
    /// Fetch these objects and keep them.
    Prefetch {
        /// The task it belongs to.
        task: TaskId,
        /// The POPs that shall; absent: all.
        area: Option<Area>,
        /// The objects, in the order of submission.
        items: Vec<PrefetchItem>,
        /// Set where what playlists among them name is to be fetched too.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        follow: Option<Follow>,
        /// Set where each POP chooses the objects itself: the hottest of what a purge before it matched.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refill: Option<Refill>,
        /// The only POPs that shall, where they were chosen otherwise than by area; absent: all of the area.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pops: Option<BTreeSet<PopId>>,
        /// As whom the objects are asked for. A POP that does not know this warms what it always did, and its report says so.
        #[serde(default, skip_serializing_if = "Variants::is_empty")]
        headers: Variants,
        /// Whether it waits to be resumed.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        paused: bool,
    },
    /// How a prefetch goes on from here.
    Steer {
        /// Its order.
        prefetch: Seq,
        /// How.
        steer: Steer,
    },
    /// The settings of a domain from here on; absent: the domain is removed.
    Domain {
        /// The domain.
        name: String,
        /// Its settings.
        settings: Option<Box<Settings>>,
    },
    /// A POP is a member from here on.
    Join {
        /// The POP.
        pop: PopId,
        /// Where it serves.
        area: Area,
        /// Its region, a free word.
        region: String,
    },
    /// A POP is a member no more.
    Leave {
        /// The POP.
        pop: PopId,
    },
    /// Nothing; moves the log's end.
    Tick,
    /// From a newer version: taken for a purge of everything, the widest thing it may mean.
    #[serde(skip)]
    Unknown,
}

/// How a prefetch goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Steer {
    /// What is being fetched is finished, and nothing more begun.
    Pause,
    /// As before the pause.
    Resume,
    /// Nothing more is done; what is there stays.
    Cancel,
}

impl Steer {
    /// The word used in the API and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Steer::Pause => "pause",
            Steer::Resume => "resume",
            Steer::Cancel => "cancel",
        }
    }
}

/// One object to prefetch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefetchItem {
    /// The domain.
    pub domain: String,
    /// Path and query, as submitted.
    pub path_and_query: String,
}

/// A prefetch by itself, as a POP keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PrefetchOrder {
    /// The task.
    pub task: TaskId,
    /// Which POPs it is for.
    pub area: Option<Area>,
    /// What to fetch.
    pub items: Vec<PrefetchItem>,
    /// Set where what playlists among them name is to be fetched too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<Follow>,
    /// As in the order; the objects chosen are then in `items`, once they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refill: Option<Refill>,
    /// As in the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pops: Option<BTreeSet<PopId>>,
    /// As in the order.
    #[serde(default, skip_serializing_if = "Variants::is_empty")]
    pub headers: Variants,
    /// Whether it waits to be resumed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

/// The POPs that a prefetch is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Those of this area; absent: of any.
    pub area: Option<Area>,
    /// Of these only those; absent: all.
    pub pops: Option<BTreeSet<PopId>>,
}

impl Scope {
    /// Whether a POP is among them; `area` is its own, absent where that is not known.
    pub fn has(&self, pop: &PopId, area: Option<Area>) -> bool {
        (self.area.is_none() || self.area == area) && self.pops.as_ref().is_none_or(|pops| pops.contains(pop))
    }
}

impl PrefetchOrder {
    /// The POPs that it is for.
    pub fn scope(&self) -> Scope {
        Scope { area: self.area, pops: self.pops.clone() }
    }
}

impl Serialize for Body {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Body::serialize(self, serializer)
    }
}

/// Never fails on an order from a newer version, as its rules do not.
impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(Body::deserialize(value).unwrap_or(Body::Unknown))
    }
}

/// What a POP needs instead of the orders it cannot have: the state they led to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The log it is of.
    pub log: LogId,
    /// The order it is as of.
    pub seq: Seq,
    /// That order's name; all zero where `seq` is.
    pub id: OrderId,
    /// Every domain's settings.
    pub domains: BTreeMap<String, Settings>,
    /// The area of the POP that asked, where it is a member.
    pub member: Option<Area>,
    /// Prefetches that run and for which this POP is not done.
    #[serde(default)]
    pub prefetches: Vec<(Seq, PrefetchOrder)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_survives_the_wire() {
        let order = Order {
            seq: Seq(3),
            id: OrderId([7; 16]),
            body: Body::Join {
                pop: "pop-asia".parse().unwrap(),
                area: Area::Domestic,
                region: "asia".into(),
            },
        };
        let text = serde_json::to_string(&order).unwrap();
        assert_eq!(serde_json::from_str::<Order>(&text).unwrap(), order);
    }

    #[test]
    fn an_unknown_order_does_not_stop_the_log() {
        let text = r#"{"seq":4,"id":"00000000000000000000000000000000","body":{"order":"dance"}}"#;
        assert_eq!(serde_json::from_str::<Order>(text).unwrap().body, Body::Unknown);
    }
}
