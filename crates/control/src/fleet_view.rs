//! The fleet as people see it.

use crate::control::Control;
use crate::members::Member;
use freshen_model::area::Area;
use freshen_model::ids::{PopId, Seq};
use freshen_model::protocol::heartbeat::Usage;
use freshen_model::protocol::roster::fence_after;
use freshen_model::traffic::Traffic;
use serde::Serialize;

/// A POP as control knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PopView {
    /// Its name.
    pub id: PopId,
    /// Where it serves.
    pub area: Area,
    /// Its region.
    pub region: String,
    /// The highest watermark its process confirmed; what is remembered, where it was not heard since control started.
    pub watermark: Seq,
    /// The log's end.
    pub end: Seq,
    /// Orders it has not confirmed.
    pub lag: u64,
    /// Whether it follows the log now.
    pub connected: bool,
    /// Whether it does so by TLS.
    pub tls: bool,
    /// When its last heartbeat came that counted, wall-clock milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_contact_ms: Option<i64>,
    /// Whether it may hold a lease. Control keeps no grants: this is false only once a lease from its last answered
    /// heartbeat must have run out by the POP's own clock.
    pub may_hold_lease: bool,
    /// Its join order.
    pub joined: Seq,
    /// Its leave order, where it is removed and has not confirmed that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<Seq>,
    /// What it takes of its machine, as it last said; absent: its process has not said since control started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What it counted in the last hour, all domains together; since control started, where that is shorter.
    pub lately: Traffic,
}

impl Control {
    /// Every POP that is not gone, by id.
    pub fn pops(&self) -> Vec<PopView> {
        self.members.all().into_iter().map(|member| self.view_of(member)).collect()
    }

    fn view_of(&self, member: Member) -> PopView {
        let end = self.log_end();
        let watermark = member.seat.known_watermark();
        let fence = fence_after(self.members.terms().in_force);
        let silent = member.seat.heard_at.map(|heard| self.clock.now().saturating_sub(heard));
        let lately = self.members.lately(&member.record.id);
        PopView {
            connected: self.hub().connected(&member.record.id),
            tls: self.hub().private(&member.record.id),
            id: member.record.id,
            area: member.record.area,
            region: member.record.region,
            watermark,
            end,
            lag: end.0.saturating_sub(watermark.0),
            last_contact_ms: member.heard_ms,
            may_hold_lease: silent.is_some_and(|silent| silent < fence),
            joined: member.record.joined,
            left: member.record.left,
            usage: member.usage,
            lately,
        }
    }
}
