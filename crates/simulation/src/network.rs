//! The network: delays, loses, doubles and reorders messages, and parts POPs from control or origin.

use crate::plan::Plan;
use crate::world::Chance;
use std::time::Duration;

/// What is cut, by the POP's machine.
#[derive(Clone, Debug, Default)]
pub struct Network {
    control: Vec<bool>,
    origin: Vec<bool>,
    peer: Vec<bool>,
}

/// The far end of a POP's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Far {
    /// Control.
    Control,
    /// The origin.
    Origin,
    /// Another POP.
    Peer,
}

impl Network {
    /// Everybody reaches everybody.
    pub fn new(machines: usize) -> Network {
        Network { control: vec![false; machines], origin: vec![false; machines], peer: vec![false; machines] }
    }

    /// Cuts or mends the line between a machine and `far`.
    pub fn cut(&mut self, machine: usize, far: Far, cut: bool) {
        self.lines(far)[machine] = cut;
    }

    /// Mends everything.
    pub fn mend(&mut self) {
        self.control.fill(false);
        self.origin.fill(false);
        self.peer.fill(false);
    }

    /// Whether that machine and other POPs reach each other.
    pub fn reaches_peers(&self, machine: usize) -> bool {
        !self.peer[machine]
    }

    /// The delays after which a message that is sent now arrives: none, one or two.
    pub fn delays(&mut self, chance: &mut Chance, plan: &Plan, machine: usize, far: Far) -> Vec<Duration> {
        if self.lines(far)[machine] || chance.percent(plan.loss_percent) {
            return Vec::new();
        }
        let mut delays = vec![chance.latency(plan)];
        if far == Far::Control && chance.percent(plan.double_percent) {
            delays.push(chance.latency(plan));
        }
        delays
    }

    fn lines(&mut self, far: Far) -> &mut Vec<bool> {
        match far {
            Far::Control => &mut self.control,
            Far::Origin => &mut self.origin,
            Far::Peer => &mut self.peer,
        }
    }
}
