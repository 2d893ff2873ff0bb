//! POPs for this crate's tests.

use crate::{Config, Pop};
use freshen_model::area::Area;
use freshen_model::domain::Settings;
use freshen_model::ids::{LogId, OrderId, Seq};
use freshen_model::order::Snapshot;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The log of these POPs, which begins with their joining at 1.
pub const LOG: LogId = LogId([1; 16]);

/// A POP that has joined, and knows these domains.
pub fn member(folder: &Path, domains: BTreeMap<String, Settings>) -> Arc<Pop> {
    let nowhere = String::new;
    let id = "pop-1".parse().unwrap();
    let config = Config::new(id, folder.into(), "h:1".into(), "h:2".into(), "h:3".into(), nowhere());
    let pop = Pop::open(config).unwrap();
    let snapshot = Snapshot {
        log: LOG,
        seq: Seq(1),
        id: OrderId([1; 16]),
        domains,
        member: Some(Area::Domestic),
        prefetches: Vec::new(),
    };
    let plan = pop.follower.read().plan_snapshot(&snapshot);
    pop.follower.write().commit(&plan);
    pop
}
