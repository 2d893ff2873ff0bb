//! What POPs are told of each other: who is there, where he can be asked, and the key that each pair signs with.

use crate::members::Member;
use freshen_ledger::PopRecord;
use freshen_model::ids::{BootId, PopId};
use freshen_model::peers::{ADDRESS_BYTES_MAX, FAN_OUT, PEERS_MAX, PairKey, Party, Peer, Peers};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::watch;

/// Heartbeats come at least this often, by a fifth of the lease; after three that are missing a POP is taken for away.
const HEARTBEAT_MAX: Duration = Duration::from_secs(2);
/// After control's start: how long POPs keep what an earlier run told them, until those of before have been heard again.
const SETTLE_MAX: Duration = Duration::from_secs(3);

/// What has been said, and what has to be said anew.
pub(crate) struct Watched {
    /// What the keys of pairs are made from.
    master: [u8; 32],
    silence_max: Duration,
    revision: watch::Sender<u64>,
    state: Mutex<State>,
    settled_at: Duration,
}

struct State {
    /// POPs of an earlier run that have not been heard in this one.
    awaited: BTreeSet<PopId>,
    /// Those heard lately, when last looked at.
    alive: BTreeSet<PopId>,
    looked_at: Duration,
}

impl Watched {
    pub(crate) fn new(master: [u8; 32], pops: &[PopRecord], lease: Duration, now: Duration) -> Watched {
        let before = pops.iter().filter(|pop| pop.left.is_none() && pop.remembered.is_some());
        let awaited = before.map(|pop| pop.id.clone()).collect();
        Watched {
            master,
            silence_max: (lease / 5).min(HEARTBEAT_MAX) * 3,
            revision: watch::Sender::new(0),
            state: Mutex::new(State { awaited, alive: BTreeSet::new(), looked_at: now }),
            settled_at: now + SETTLE_MAX,
        }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// Something changed that POPs are told.
    pub(crate) fn changed(&self) {
        self.revision.send_modify(|revision| *revision += 1);
    }

    /// A heartbeat of `pop` counted, and said something new or not. Now and then a reason to look who is silent.
    pub(crate) fn heard<'a>(
        &self,
        pop: &PopId,
        news: bool,
        now: Duration,
        members: impl Iterator<Item = &'a Member>,
    ) {
        let mut state = self.state.lock();
        let last_awaited = state.awaited.remove(pop) && state.awaited.is_empty();
        let back = !state.alive.contains(pop);
        if !(news || back || last_awaited) && now < state.looked_at + self.silence_max / 3 {
            return;
        }
        let settles = state.looked_at < self.settled_at && now >= self.settled_at;
        state.looked_at = now;
        let alive =
            members.filter(|member| self.is_alive(member, now)).map(|member| member.record.id.clone());
        let before = std::mem::replace(&mut state.alive, alive.collect());
        if news || last_awaited || settles || before != state.alive {
            drop(state);
            self.changed();
        }
    }

    /// The others, for `pop`; `None` while its process or those of an earlier run have not been heard.
    pub(crate) fn of<'a>(
        &self,
        pop: &Member,
        members: impl Iterator<Item = &'a Member>,
        now: Duration,
    ) -> Option<Peers> {
        if now < self.settled_at && !self.state.lock().awaited.is_empty() {
            return None;
        }
        let region = pop.record.region.clone();
        let Some(own) = party(pop) else {
            // A POP that was removed asks nobody, and is asked by nobody.
            return pop.record.left.map(|_| Peers { region, ..Peers::default() });
        };
        let asked = pop.peer_address.is_some();
        let mut peers = Vec::new();
        for member in members.filter(|member| member.record.id != pop.record.id) {
            let Some(party) = party(member).filter(|_| asked || member.peer_address.is_some()) else {
                continue;
            };
            if peers.len() == PEERS_MAX {
                tracing::warn!(pop = %pop.record.id, PEERS_MAX, "is not told of all other POPs");
                break;
            }
            peers.push(Peer {
                pop: member.record.id.clone(),
                region: member.record.region.clone(),
                area: Some(member.record.area),
                address: member.peer_address.clone(),
                alive: self.is_alive(member, now),
                key: PairKey::of(&self.master, own, party),
            });
        }
        Some(Peers { region, asked, fan_out: FAN_OUT, peers })
    }

    fn is_alive(&self, member: &Member, now: Duration) -> bool {
        let heard = member.seat.heard_at.filter(|_| party(member).is_some());
        heard.is_some_and(|heard| now.saturating_sub(heard) <= self.silence_max)
    }
}

/// The POP as one side of a pair; `None` where it is removed, or its process was not heard in this run.
fn party(member: &Member) -> Option<Party<'_>> {
    let known = member.seat.boot != BootId::default() && member.record.left.is_none();
    known.then_some(Party { pop: &member.record.id, joined: member.record.joined, boot: member.seat.boot })
}

/// An address as a POP may announce it; anything else is no address.
pub(crate) fn usable(address: &Option<String>) -> Option<String> {
    let address = address.as_ref().filter(|address| address.len() <= ADDRESS_BYTES_MAX)?;
    let (host, port) = address.rsplit_once(':')?;
    let fits = host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b));
    (fits && !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)).then(|| address.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_are_passed_on() {
        let usable = |text: &str| usable(&Some(text.to_owned())).is_some();
        for address in ["10.0.0.1:8090", "pop-1.example:1", "[::1]:8090"] {
            assert!(usable(address), "{address}");
        }
        for other in ["", "10.0.0.1", ":80", "a:0", "a:99999", "a/b:80", "user@a:80", "a b:80"] {
            assert!(!usable(other), "{other}");
        }
        assert!(!usable(&format!("{}:80", "a".repeat(ADDRESS_BYTES_MAX))));
    }
}
