//! The plan of a seed: how large the fleet is, how fast things go, and which faults come when.

use crate::network::Far;
use crate::world::Chance;
use std::time::Duration;

/// How a run goes.
#[derive(Clone, Debug)]
pub struct Plan {
    /// POPs that are members from the beginning.
    pub pops: usize,
    /// The lease time.
    pub lease: Duration,
    /// How long traffic and faults last; after that everything is mended and has to come to rest.
    pub lasts: Duration,
    /// Between a POP's sweeps.
    pub sweep_every: Duration,
    /// How long a sweep waits for fills.
    pub sweep_patience: Duration,
    /// Between viewers' requests to one POP, at most.
    pub viewer_every_max: Duration,
    /// Between purges, at most.
    pub purge_every_max: Duration,
    /// Between faults, at most.
    pub fault_every_max: Duration,
    /// Messages lost.
    pub loss_percent: u32,
    /// Messages doubled.
    pub double_percent: u32,
    /// The usual delay of a message, at most.
    pub latency_max: Duration,
    /// What a sync takes, at most.
    pub sync_max: Duration,
    /// How often a thread that has its turn has to wait for long.
    pub sluggish_percent: u32,
    /// How long an origin's answer may take.
    pub origin_max: Duration,
    /// How long orders are kept for POPs that do not confirm.
    pub retention: Duration,
    /// How many fills ask another POP first.
    pub home_percent: u32,
    /// Places in a POP's index.
    pub index_places_max: usize,
    /// Which faults there are.
    pub faults: Vec<Kind>,
}

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A POP and control do not reach each other.
    CutControl,
    /// A POP does not reach the origin.
    CutOrigin,
    /// A POP does not reach other POPs, nor they it.
    CutPeers,
    /// A POP's process dies.
    Kill,
    /// A POP's machine loses its power.
    PowerCut,
    /// A POP's process does nothing for a while; its clocks run on.
    Pause,
    /// A POP's machine does nothing for a while, and its boot clock stands still.
    Freeze,
    /// Somebody sets a POP's wall clock.
    SetWall,
    /// A POP's data folder is put back to a copy of before.
    RollBack,
    /// A POP comes back with an empty folder.
    NewFolder,
    /// A second process runs as the same POP.
    Twin,
    /// Control's process dies.
    KillControl,
    /// Control's process does nothing for a while.
    PauseControl,
    /// Control's ledger is put back to a copy of before.
    RestoreControl,
    /// A POP is removed, and comes back later.
    Leave,
    /// A domain's settings change.
    ChangeSettings,
    /// The same while a POP is cut off.
    ChangeUnseen,
    /// A POP is removed and comes back, and then another process is heard in its name.
    TakeOver,
}

const KINDS: [Kind; 19] = [
    Kind::CutControl,
    Kind::CutOrigin,
    Kind::CutPeers,
    Kind::Kill,
    Kind::PowerCut,
    Kind::Pause,
    Kind::Freeze,
    Kind::SetWall,
    Kind::RollBack,
    Kind::NewFolder,
    Kind::Twin,
    Kind::KillControl,
    Kind::PauseControl,
    // Twice: much goes wrong there.
    Kind::RestoreControl,
    Kind::RestoreControl,
    Kind::Leave,
    Kind::ChangeSettings,
    Kind::ChangeUnseen,
    Kind::TakeOver,
];

/// A fault that happens.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The line from that machine is cut, or mended.
    Line(usize, Far, bool),
    /// The process on that machine dies, with or without the machine's power.
    Kill(usize, bool),
    /// A process starts on that machine.
    Start(usize),
    /// The process on that machine stands still for so long, with or without its boot clock.
    Pause(usize, Duration, bool),
    /// The wall clock of that machine is so many milliseconds ahead.
    SetWall(usize, i64),
    /// A copy of the folder on that machine is made.
    CopyFolder(usize),
    /// The folder on that machine is put back to the copy; its process is dead.
    RollBack(usize),
    /// The folder on that machine is lost; its process is dead.
    NewFolder(usize),
    /// Control's process dies.
    KillControl,
    /// Control's process starts.
    StartControl,
    /// Control stands still.
    PauseControl(Duration),
    /// A copy of the ledger is made.
    CopyLedger,
    /// The ledger is put back to the copy; control is dead.
    RestoreLedger,
    /// The POP of that machine is removed.
    Leave(usize),
    /// The POP of that machine joins.
    Join(usize),
    /// Some domain's settings change.
    ChangeSettings,
}

impl Plan {
    /// The plan that a seed stands for.
    pub fn of(chance: &mut Chance) -> Plan {
        let ms = Duration::from_millis;
        let mut among = |choices: &[u64]| choices[chance.below(choices.len() as u64) as usize];
        let lease = ms(among(&[2_000, 4_000, 10_000]));
        let mut plan = Plan {
            pops: among(&[1, 2, 3, 3, 4]) as usize,
            lease,
            lasts: ms(among(&[20_000, 30_000, 80_000])),
            sweep_every: ms(among(&[300, 1_000, 5_000])),
            sweep_patience: ms(among(&[100, 2_000, 20_000])),
            viewer_every_max: ms(among(&[200, 500, 1_500])),
            purge_every_max: ms(among(&[500, 2_000, 6_000])),
            fault_every_max: ms(among(&[1_500, 5_000, 15_000])),
            loss_percent: among(&[0, 1, 5, 20]) as u32,
            double_percent: among(&[0, 5, 20]) as u32,
            latency_max: ms(among(&[2, 30, 300])),
            sync_max: ms(among(&[2, 50, 1_000])),
            sluggish_percent: among(&[0, 2, 10]) as u32,
            origin_max: ms(among(&[20, 300, 4_000])),
            retention: lease + ms(among(&[1_000, 30_000, 1_000_000])),
            home_percent: among(&[0, 40, 90]) as u32,
            index_places_max: among(&[4, 1_000, 1_000, 1_000]) as usize,
            faults: Vec::new(),
        };
        let kinds = 1 + chance.below(5);
        plan.faults = (0..kinds).map(|_| KINDS[chance.below(KINDS.len() as u64) as usize]).collect();
        // One of the two ways of a wall clock at a time: where it was set back just before, nobody could see in it that the
        // boot clock stood still.
        if plan.faults.contains(&Kind::Freeze) {
            plan.faults.retain(|kind| *kind != Kind::SetWall);
        }
        plan
    }

    /// The next fault, as what happens after which time.
    pub fn fault(&self, chance: &mut Chance, machines: usize, twin: usize) -> Vec<(Duration, Fault)> {
        let kind = self.faults[chance.below(self.faults.len() as u64) as usize];
        let machine = chance.below(machines as u64) as usize;
        let now = Duration::ZERO;
        // Some faults are over before a lease is, some outlast it.
        let longest = if chance.percent(50) { self.lease / 2 } else { self.lease * 3 };
        let long = chance.up_to(longest) + Duration::from_millis(1);
        let killed = |power, between: Option<Fault>| {
            let mut faults = vec![(now, Fault::Kill(machine, power))];
            faults.extend(between.map(|fault| (now, fault)));
            faults.push((long, Fault::Start(machine)));
            faults
        };
        match kind {
            Kind::CutControl | Kind::CutOrigin | Kind::CutPeers => {
                let far = match kind {
                    Kind::CutControl => Far::Control,
                    Kind::CutOrigin => Far::Origin,
                    _ => Far::Peer,
                };
                vec![(now, Fault::Line(machine, far, true)), (long, Fault::Line(machine, far, false))]
            }
            Kind::Kill => killed(false, None),
            Kind::PowerCut => killed(true, None),
            Kind::Pause => vec![(now, Fault::Pause(machine, long, false))],
            // What the protocol cannot notice is not promised: less than a second.
            Kind::Freeze => vec![(now, Fault::Pause(machine, long + Duration::from_millis(1_200), true))],
            Kind::SetWall => {
                let ms = chance.below(60_000) as i64 - 30_000;
                vec![(now, Fault::SetWall(machine, ms))]
            }
            Kind::RollBack => {
                let mut faults = vec![(now, Fault::CopyFolder(machine))];
                let back = chance.up_to(self.lease * 2);
                for (after, fault) in killed(true, Some(Fault::RollBack(machine))) {
                    faults.push((back + after, fault));
                }
                faults
            }
            Kind::NewFolder => killed(true, Some(Fault::NewFolder(machine))),
            Kind::Twin => vec![
                (now, Fault::Kill(twin, true)),
                (now, Fault::NewFolder(twin)),
                (now, Fault::Start(twin)),
                (long * 2, Fault::Kill(twin, true)),
            ],
            Kind::KillControl => vec![(now, Fault::KillControl), (long, Fault::StartControl)],
            Kind::PauseControl => vec![(now, Fault::PauseControl(long))],
            Kind::RestoreControl => {
                let back = chance.up_to(self.lease * 2);
                vec![
                    (now, Fault::CopyLedger),
                    (back, Fault::KillControl),
                    (back, Fault::RestoreLedger),
                    (back + long / 4, Fault::StartControl),
                ]
            }
            Kind::Leave => vec![(now, Fault::Leave(machine)), (long, Fault::Join(machine))],
            Kind::ChangeSettings => vec![(now, Fault::ChangeSettings)],
            Kind::ChangeUnseen => vec![
                (now, Fault::Line(machine, Far::Control, true)),
                (long / 8, Fault::ChangeSettings),
                (long + self.lease * 2, Fault::Line(machine, Far::Control, false)),
            ],
            Kind::TakeOver => {
                let soon = chance.up_to(self.lease / 8);
                vec![
                    (now, Fault::Leave(0)),
                    (soon, Fault::Kill(twin, true)),
                    (soon, Fault::NewFolder(twin)),
                    (soon, Fault::Start(twin)),
                    (soon * 2, Fault::Join(0)),
                    (soon * 3, Fault::Line(0, Far::Control, true)),
                    (soon * 3 + long, Fault::Line(0, Far::Control, false)),
                    (soon * 3 + long, Fault::Kill(twin, true)),
                ]
            }
        }
    }
}
