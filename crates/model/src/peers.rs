//! The other POPs as control tells each POP: who may ask, who may be asked, and with which key.

use crate::area::Area;
use crate::domain::Home;
use crate::ids::{BootId, PopId, Seq};
use crate::key::Key;
use crate::order::Scope;
use crate::protocol::fill::Level;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::fmt;

/// POPs in one list; control leaves out what is more.
pub const PEERS_MAX: usize = 1_024;
/// Bytes of a peer listener's address.
pub const ADDRESS_BYTES_MAX: usize = 280;

/// The other POPs, for one of them. Replaced as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peers {
    /// The region of the POP that is told.
    pub region: String,
    /// Whether the others are told of it as one that can be asked.
    pub asked: bool,
    /// How many POPs, at most, a prefetch lets ask one POP for the same object; zero counts as one.
    #[serde(default = "fan_out")]
    pub fan_out: u16,
    /// The others, by name, at most [`PEERS_MAX`].
    pub peers: Vec<Peer>,
}

/// POPs that ask one POP for an object that is prefetched, where nothing else is said.
pub const FAN_OUT: u16 = 8;
/// The level of a POP that nobody asks.
const NOBODY_ASKS: Level = Level::MAX;

fn fan_out() -> u16 {
    FAN_OUT
}

/// Another POP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its name.
    pub pop: PopId,
    /// Its region.
    pub region: String,
    /// Its area; absent: not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area: Option<Area>,
    /// Where it can be asked, `host:port`; absent: it only asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Whether control heard of it lately. It need not be right, only useful.
    pub alive: bool,
    /// What requests between the two are signed with.
    pub key: PairKey,
}

impl Peers {
    /// The home POP of a key for the POP `me`; `None` where that is itself, or nobody, and the origin is to be asked.
    ///
    /// Rendezvous hashing (Thaler and Ravishankar 1998): of the POPs of the tier, the one that draws the highest number
    /// for the key. Where one comes or goes, only its own keys move. `avoided` are those that lately could not be reached.
    pub fn home(
        &self,
        me: &PopId,
        tier: &Home,
        key: &Key,
        avoided: impl Fn(&PopId) -> bool,
    ) -> Option<&Peer> {
        let shielded = |peer: &&Peer| match tier {
            Home::Pop(shield) => peer.pop == *shield,
            _ => true,
        };
        let draw = Draw::of(key, tier);
        let best = self.askable(tier, avoided).filter(shielded).max_by_key(|peer| draw.of_pop(&peer.pop))?;
        (Some(draw.of_pop(&best.pop)) > self.own(me, &draw)).then_some(best)
    }

    /// Whom the POP `me` asks for what is prefetched; `None` where the origin is to be asked.
    ///
    /// Nobody is asked whom the prefetch is not for, but the shield. Those who drew higher are before it. The first of them all is the home; he and every other is asked by the next
    /// [`Peers::fan_out`] in that order, so that no POP serves the whole of a large fleet. Who is asked by nobody hangs
    /// himself on any of them.
    pub fn above(
        &self,
        me: &PopId,
        tier: &Home,
        key: &Key,
        scope: &Scope,
        avoided: impl Fn(&PopId) -> bool,
    ) -> Option<&Peer> {
        let draw = Draw::of(key, tier);
        let own = self.own(me, &draw);
        let within = |peer: &&Peer| scope.has(&peer.pop, peer.area) || draw.shield == Some(&peer.pop);
        let askable = self.askable(tier, avoided).filter(within);
        let drawn = askable.map(|peer| (draw.of_pop(&peer.pop), peer));
        let mut before: Vec<_> = drawn.filter(|(drawn, _)| Some(*drawn) > own).collect();
        before.sort_unstable_by_key(|(drawn, _)| std::cmp::Reverse(*drawn));
        let last = before.len().checked_sub(1)?;
        let place = match own {
            Some(_) => last / usize::from(self.fan_out.max(1)),
            None => (draw.lot.drawn_by(me) % before.len() as u64) as usize,
        };
        Some(before[place].1)
    }

    /// How far the POP `me` is from the origin for this key: how many of the tier drew higher, reachable or not.
    pub fn level(&self, me: &PopId, tier: &Home, key: &Key) -> Level {
        let draw = Draw::of(key, tier);
        let own = self.own(me, &draw);
        if own.is_none() {
            return NOBODY_ASKS;
        }
        let before = self.tier(tier).filter(|peer| Some(draw.of_pop(&peer.pop)) > own).count();
        Level::try_from(before).unwrap_or(NOBODY_ASKS)
    }

    fn tier(&self, tier: &Home) -> impl Iterator<Item = &Peer> {
        let (off, region) = (*tier == Home::Off, (*tier == Home::Region).then_some(&self.region));
        self.peers.iter().filter(move |peer| !off && region.is_none_or(|region| peer.region == *region))
    }

    fn askable(&self, tier: &Home, avoided: impl Fn(&PopId) -> bool) -> impl Iterator<Item = &Peer> {
        self.tier(tier).filter(move |peer| peer.alive && peer.address.is_some() && !avoided(&peer.pop))
    }

    /// What `me` draws; nothing, which is less than anybody's, where nobody asks it.
    fn own<'a>(&self, me: &'a PopId, draw: &Draw<'_>) -> Option<Drawn<'a>> {
        (self.asked || draw.shield == Some(me)).then(|| draw.of_pop(me))
    }

    /// The POP of that name.
    pub fn get(&self, pop: &PopId) -> Option<&Peer> {
        self.peers.binary_search_by(|peer| peer.pop.cmp(pop)).ok().map(|place| &self.peers[place])
    }
}

/// What a POP draws: whether it is the shield, its number, its name.
type Drawn<'a> = (bool, u64, &'a PopId);

/// What POPs draw for a key: the shield before all others, then by their numbers.
struct Draw<'a> {
    lot: Lot,
    shield: Option<&'a PopId>,
}

impl<'a> Draw<'a> {
    fn of(key: &Key, tier: &'a Home) -> Draw<'a> {
        let shield = match tier {
            Home::Pop(shield) => Some(shield),
            _ => None,
        };
        Draw { lot: Lot::of(key.as_str()), shield }
    }

    fn of_pop<'b>(&self, pop: &'b PopId) -> Drawn<'b> {
        (self.shield == Some(pop), self.lot.drawn_by(pop), pop)
    }
}

/// What a key draws numbers with; the same on every machine and in every version.
struct Lot(u64);

impl Lot {
    fn of(text: &str) -> Lot {
        let digest: [u8; 32] = Sha256::digest(text).into();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        Lot(u64::from_be_bytes(first))
    }

    fn drawn_by(&self, pop: &PopId) -> u64 {
        // The finaliser of SplitMix64 over both: every bit of either moves every bit of the outcome.
        let mut mixed = self.0 ^ Lot::of(pop.as_str()).0.rotate_left(32);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// One side of a pair of POPs, as its key is made from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Party<'a> {
    /// Its name.
    pub pop: &'a PopId,
    /// The order by which it joined.
    pub joined: Seq,
    /// The run of its process.
    pub boot: BootId,
}

/// What two POPs sign with. It stays out of `Debug`.
///
/// Each pair has its own, and another one whenever one of the two starts anew or joins again: so a POP that is not named
/// any more can ask nobody, in nobody's name, and nothing that was recorded of an earlier run is worth anything.
#[derive(Clone, PartialEq, Eq)]
pub struct PairKey([u8; 32]);

impl PairKey {
    /// The key of a pair, whichever of the two comes first. `master` is control's secret for this purpose.
    pub fn of(master: &[u8; 32], one: Party<'_>, other: Party<'_>) -> PairKey {
        let (first, second) = if one.pop <= other.pop { (one, other) } else { (other, one) };
        let mut mac = keyed(master);
        for party in [first, second] {
            // A POP's name has no NUL, and the rest is of fixed length: no two pairs are written alike.
            mac.update(party.pop.as_str().as_bytes());
            mac.update(&[0]);
            mac.update(&party.joined.0.to_be_bytes());
            mac.update(&party.boot.0);
        }
        PairKey(mac.finalize().into_bytes().into())
    }

    /// The signature of a text: HMAC-SHA256 (RFC 2104).
    pub fn sign(&self, text: &[u8]) -> [u8; 32] {
        keyed(&self.0).chain_update(text).finalize().into_bytes().into()
    }

    /// Whether that is the text's signature; takes as long whatever is wrong with it.
    pub fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        keyed(&self.0).chain_update(text).verify_slice(signature).is_ok()
    }
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    // HMAC takes keys of every length.
    Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| unreachable!())
}

impl fmt::Debug for PairKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl Serialize for PairKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for PairKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PairKey, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let mut bytes = [0; 32];
        // The error must not show the text.
        hex::decode_to_slice(&*text, &mut bytes)
            .map_err(|_| serde::de::Error::custom("a key is 64 hexadecimal digits"))?;
        Ok(PairKey(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(name: &str) -> PopId {
        name.parse().unwrap()
    }

    fn peers(me: &str, all: &[&str]) -> Peers {
        let mut names: Vec<_> = all.iter().filter(|name| **name != me).collect();
        names.sort();
        let peer = |name: &&&str| Peer {
            pop: id(name),
            region: if name.starts_with('e') { "east" } else { "west" }.into(),
            area: Some(if name.starts_with('e') { Area::Overseas } else { Area::Domestic }),
            address: Some("127.0.0.1:1".into()),
            alive: true,
            key: PairKey([0; 32]),
        };
        let region = if me.starts_with('e') { "east" } else { "west" }.into();
        Peers { region, asked: true, fan_out: FAN_OUT, peers: names.iter().map(peer).collect() }
    }

    fn key(path: &str) -> Key {
        Key::from_parts("a.example", path, None)
    }

    fn home_of(me: &str, all: &[&str], tier: &Home, path: &str) -> String {
        let peers = peers(me, all);
        peers.home(&id(me), tier, &key(path), |_| false).map_or(me.to_owned(), |peer| peer.pop.to_string())
    }

    const ALL: [&str; 5] = ["e1", "e2", "w1", "w2", "w3"];

    proptest! {
        #[test]
        fn all_agree_on_a_home_and_only_the_keys_of_one_that_goes_move(path in "/[a-z]{1,12}", gone in 0..5usize) {
            let home = home_of("e1", &ALL, &Home::Fleet, &path);
            for me in ALL {
                prop_assert_eq!(&home_of(me, &ALL, &Home::Fleet, &path), &home);
            }
            let left: Vec<_> = ALL.into_iter().filter(|name| *name != ALL[gone]).collect();
            let after = home_of(left[0], &left, &Home::Fleet, &path);
            prop_assert!(after == home || home == ALL[gone]);
            let east = home_of("e1", &ALL, &Home::Region, &path);
            prop_assert!(east.starts_with('e'));
            prop_assert_eq!(home_of("e2", &ALL, &Home::Region, &path), east);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// Whoever is there, listens, and is reached: from each POP the way leads to lower levels only, to the origin in as
        /// many steps as a tree of that width has, and nobody is asked by more than that.
        #[test]
        fn p7_a_prefetch_goes_down_a_tree_without_loops(
            count in 1..60usize,
            fan_out in 0..10u16,
            away in proptest::collection::btree_set(0..60usize, 0..10),
            shield in proptest::option::of(0..60usize),
            path in "/[a-z]{1,12}",
        ) {
            let names: Vec<_> = (0..count).map(|number| format!("w{number}")).collect();
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            let tier = shield.map_or(Home::Fleet, |number| Home::Pop(id(&format!("w{number}"))));
            let is_away = |pop: &PopId| away.iter().any(|number| pop.as_str() == format!("w{number}"));
            let mut asked_by = std::collections::BTreeMap::new();
            let mut roots = 0;
            let mut above = std::collections::BTreeMap::new();
            for me in &names {
                let me = id(me);
                let list = Peers { fan_out, ..peers(me.as_str(), &names) };
                let upper = list.above(&me, &tier, &key(&path), &Scope::default(), is_away).map(|peer| peer.pop.clone());
                above.insert(me.clone(), (list.level(&me, &tier, &key(&path)), upper.clone()));
                if is_away(&me) {
                    continue;
                }
                match upper {
                    Some(upper) => *asked_by.entry(upper).or_insert(0) += 1,
                    None => roots += 1,
                }
            }
            let here = above.keys().filter(|pop| !is_away(pop)).count();
            prop_assert!(roots == 1 || here == 0);
            let width = usize::from(fan_out.max(1));
            prop_assert!(asked_by.values().all(|askers| *askers <= width));
            for (level, upper) in above.values() {
                let (mut level, mut upper, mut steps) = (*level, upper.clone(), 0);
                while let Some(next) = upper {
                    let (lower, further) = &above[&next];
                    prop_assert!(*lower < level && !is_away(&next));
                    (level, upper, steps) = (*lower, further.clone(), steps + 1);
                }
                let deepest = if width == 1 { count } else { 1 + count.ilog(width) as usize };
                prop_assert!(steps <= deepest, "{steps} steps of {count} by {width}");
            }
        }
    }

    #[test]
    fn p7_a_prefetch_for_some_pops_asks_nobody_else_but_the_shield() {
        let overseas = Scope { area: Some(Area::Overseas), pops: None };
        let east = Scope { area: None, pops: Some([id("e1"), id("e2")].into()) };
        for scope in [overseas, east] {
            asks_nobody_else(&scope);
        }
        let both = Scope { area: Some(Area::Overseas), pops: Some([id("w1")].into()) };
        assert!(!both.has(&id("w1"), Some(Area::Domestic)) && !both.has(&id("e1"), Some(Area::Overseas)));
        assert!(both.has(&id("w1"), Some(Area::Overseas)) && !both.has(&id("w1"), None));
    }

    fn asks_nobody_else(scope: &Scope) {
        let asked = |me: &str, tier: &Home| -> Vec<_> {
            let paths = (0..100).map(|number| key(&format!("/{number}")));
            let list = peers(me, &ALL);
            let above = |key| list.above(&id(me), tier, &key, scope, |_| false).cloned();
            paths.map(|key| above(key).map(|peer| peer.pop.to_string())).collect()
        };
        let of_two = asked("e1", &Home::Fleet);
        let e2 = of_two.iter().filter(|asked| asked.as_deref() == Some("e2")).count();
        assert!((30..70).contains(&e2) && of_two.iter().flatten().count() == e2, "{of_two:?}");
        let shield = asked("e1", &Home::Pop(id("w1")));
        assert!(shield.iter().all(|asked| matches!(asked.as_deref(), Some("w1" | "e2"))), "{shield:?}");
        assert!(shield.contains(&Some("w1".into())));
    }

    #[test]
    fn those_whom_nobody_asks_are_spread_over_those_who_are_asked() {
        let names: Vec<_> = (0..50).map(|number| format!("w{number}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let mut list = peers("w0", &names);
        list.asked = false;
        let mut asked = std::collections::BTreeSet::new();
        for number in 0..100 {
            let me = id(&format!("leaf{number}"));
            assert_eq!(list.level(&me, &Home::Fleet, &key("/")), Level::MAX);
            asked.insert(
                list.above(&me, &Home::Fleet, &key("/"), &Scope::default(), |_| false).unwrap().pop.clone(),
            );
        }
        assert!(asked.len() > 30, "{}", asked.len());
        assert!(list.above(&id("leaf"), &Home::Off, &key("/"), &Scope::default(), |_| false).is_none());
    }

    #[test]
    fn keys_are_spread_over_all() {
        let mut homes = std::collections::BTreeMap::new();
        for number in 0..1_000 {
            *homes.entry(home_of("e1", &ALL, &Home::Fleet, &format!("/{number}"))).or_insert(0) += 1;
        }
        assert!(homes.len() == 5 && homes.values().all(|count| (120..280).contains(count)), "{homes:?}");
    }

    #[test]
    fn nobody_is_asked_who_is_off_dead_avoided_or_without_an_address() {
        let (me, tier) = (id("e1"), Home::Pop(id("w1")));
        let mut list = peers("e1", &ALL);
        let asked = |list: &Peers, tier: &Home, avoided: bool| {
            list.home(&me, tier, &key("/"), |_| avoided).map(|peer| peer.pop.clone())
        };
        assert_eq!(asked(&list, &tier, false), Some(id("w1")));
        assert_eq!(asked(&list, &tier, true), None);
        assert_eq!(asked(&list, &Home::Off, false), None);
        assert_eq!(asked(&list, &Home::Pop(id("e1")), false), None, "the shield itself asks the origin");
        assert_eq!(asked(&list, &Home::Pop(id("other")), false), None);
        list.peers[1].alive = false;
        assert_eq!(asked(&list, &tier, false), None);
        list.peers[1].alive = true;
        list.peers[1].address = None;
        assert_eq!(asked(&list, &tier, false), None);
        list.asked = false;
        for number in 0..100 {
            let home = list.home(&me, &Home::Fleet, &key(&format!("/{number}")), |_| false);
            assert!(home.is_some(), "who cannot be asked is nobody's home");
        }
    }

    #[test]
    fn each_pair_and_each_run_has_its_own_key() {
        let (a, b, c) = (id("a"), id("b"), id("c"));
        let party = |pop, joined, boot| Party { pop, joined: Seq(joined), boot: BootId([boot; 16]) };
        let of = |one, other| PairKey::of(&[7; 32], one, other);
        let key = of(party(&a, 1, 1), party(&b, 2, 1));
        assert_eq!(of(party(&b, 2, 1), party(&a, 1, 1)), key, "both make the same");
        for other in [
            of(party(&a, 1, 2), party(&b, 2, 1)),
            of(party(&a, 1, 1), party(&b, 3, 1)),
            of(party(&a, 1, 1), party(&c, 2, 1)),
            PairKey::of(&[8; 32], party(&a, 1, 1), party(&b, 2, 1)),
        ] {
            assert_ne!(other, key);
            assert!(!other.verifies(b"text", &key.sign(b"text")));
        }
        assert!(key.verifies(b"text", &key.sign(b"text")));
        assert!(!key.verifies(b"tex", &key.sign(b"text")) && !key.verifies(b"text", &[]));
        assert_eq!(format!("{key:?}"), "(secret)");
        let text = serde_json::to_string(&key).unwrap();
        assert_eq!(serde_json::from_str::<PairKey>(&text).unwrap(), key);
        assert!(!serde_json::from_str::<PairKey>("\"hush\"").unwrap_err().to_string().contains("hush"));
    }
}
