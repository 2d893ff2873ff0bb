//! Which origins fail, and when they are asked again.
//!
//! An origin that failed is asked after all others for a pause. When that is over one request asks it first; only if that
//! fails, too, does the pause grow. Nothing is asked but what a request asks for anyhow.

use freshen_model::domain::{Origin, Settings};
use metrics::{counter, gauge};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The pause after the first failure, and the longest.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Failing origins that are remembered; what fails beyond is asked as if it were well.
const FAILING_MAX: usize = 1_024;
/// Origins with a metric of their own; the rest share one.
const LABELS_MAX: usize = 100;

/// How an origin is. Times are those of a clock that never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Health {
    /// It answers.
    #[default]
    Well,
    /// It failed, and is asked last until then.
    Paused { pause: Duration, until: Duration },
    /// One request asks it first; should that one vanish, another does from then on.
    Probed { pause: Duration, until: Duration },
}

impl Health {
    /// It gave no answer, or one that says it is out of order.
    fn failed(self, now: Duration) -> Health {
        let pause = match self {
            Health::Well => PAUSE_MIN,
            // Others that were under way when it failed tell nothing new.
            Health::Paused { until, .. } if now < until => return self,
            Health::Paused { pause, .. } | Health::Probed { pause, .. } => (pause * 2).min(PAUSE_MAX),
        };
        Health::Paused { pause, until: now + pause }
    }

    /// Its health for the next request, where this one may ask it in its turn.
    fn asked(self, now: Duration) -> Option<Health> {
        match self {
            Health::Well => Some(self),
            Health::Paused { until, .. } | Health::Probed { until, .. } if now < until => None,
            Health::Paused { pause, .. } | Health::Probed { pause, .. } => {
                Some(Health::Probed { pause, until: now + PAUSE_MAX })
            }
        }
    }
}

/// The health of all origins.
#[derive(Default)]
pub struct Healths {
    /// Those that are not well, by address.
    failing: Mutex<HashMap<String, Health>>,
    /// How many these are, to be asked without the lock.
    count: AtomicUsize,
    labels: Mutex<HashSet<String>>,
}

impl Healths {
    /// The origins of a domain in the order in which a request asks them: those that are paused last.
    pub fn order<'a>(&self, settings: &'a Settings, now: Duration) -> Vec<&'a Origin> {
        let mut first: Vec<&Origin> = settings.origins().collect();
        if first.len() == 1 || self.count.load(Ordering::Relaxed) == 0 {
            return first;
        }
        let mut failing = self.failing.lock();
        let (mut led, mut last) = (false, Vec::new());
        first.retain(|origin| {
            let health = failing.get_mut(&origin.to_string());
            // A probe is for the one that leads, who is asked for certain.
            let asked = match health {
                None => true,
                Some(health) => match health.asked(now).filter(|_| !led) {
                    Some(probed) => {
                        *health = probed;
                        true
                    }
                    None => {
                        last.push(*origin);
                        false
                    }
                },
            };
            led |= asked;
            asked
        });
        first.append(&mut last);
        first
    }

    /// Notes that an origin failed.
    pub fn failed(&self, origin: &Origin, now: Duration) {
        let address = origin.to_string();
        let label = self.label(&address);
        counter!("freshen_pop_origin_failures_total", "origin" => label.clone()).increment(1);
        let mut failing = self.failing.lock();
        let known = failing.len();
        match failing.get_mut(&address) {
            Some(health) => *health = health.failed(now),
            None if known == FAILING_MAX => {}
            None => {
                failing.insert(address, Health::Well.failed(now));
                self.count.store(known + 1, Ordering::Relaxed);
                gauge!("freshen_pop_origins_failing", "origin" => label).increment(1);
            }
        }
    }

    /// Notes that an origin answered.
    pub fn answered(&self, origin: &Origin) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let address = origin.to_string();
        let mut failing = self.failing.lock();
        if failing.remove(&address).is_some() {
            self.count.store(failing.len(), Ordering::Relaxed);
            let label = self.label(&address);
            gauge!("freshen_pop_origins_failing", "origin" => label).decrement(1);
        }
    }

    /// What an origin is called in metrics, the same for as long as the process runs.
    fn label(&self, address: &str) -> String {
        let mut labels = self.labels.lock();
        if labels.len() < LABELS_MAX && !labels.contains(address) {
            labels.insert(address.to_owned());
        }
        if labels.contains(address) { address.to_owned() } else { "others".to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_pause_grows_with_each_probe_that_fails_and_ends_with_an_answer() {
        let mut health = Health::Well;
        let mut now = s(100);
        for pause in [1, 2, 4, 8, 16, 30, 30] {
            health = health.failed(now);
            assert_eq!(health, Health::Paused { pause: s(pause), until: now + s(pause) });
            assert_eq!(health.failed(now), health, "others under way tell nothing new");
            assert_eq!(health.asked(now + s(pause) - Duration::from_nanos(1)), None);
            now += s(pause);
            health = health.asked(now).unwrap();
            assert_eq!(health.asked(now), None, "one request probes it");
            assert!(health.asked(now + PAUSE_MAX).is_some(), "a probe that vanished is made again");
        }
    }

    #[test]
    fn a_failing_origin_is_asked_last_until_one_request_finds_it_well() {
        let settings = Settings {
            backups: vec!["http://b".parse().unwrap(), "http://c".parse().unwrap()],
            ..Settings::of_origin("http://a".parse().unwrap())
        };
        let healths = Healths::default();
        let order = |now| {
            let order = healths.order(&settings, now);
            order.iter().map(|origin| origin.address.trim_end_matches(":80")).collect::<String>()
        };
        assert_eq!(order(s(10)), "abc");
        healths.failed(&settings.origin, s(10));
        assert_eq!(order(s(10)), "bca");
        healths.failed(&settings.backups[0], s(10));
        assert_eq!(order(s(10)), "cab");
        assert_eq!(order(s(11)), "acb", "one probe at a time");
        assert_eq!(order(s(11)), "bca", "and the other's by the next");
        assert_eq!(order(s(11)), "cab");
        healths.answered(&settings.origin);
        assert_eq!(order(s(11)), "acb");
        healths.answered(&settings.backups[0]);
        assert_eq!(order(s(11)), "abc");
    }

    #[test]
    fn where_all_fail_the_order_is_as_it_was_given() {
        let settings = Settings {
            backups: vec!["http://b".parse().unwrap()],
            ..Settings::of_origin("http://a".parse().unwrap())
        };
        let healths = Healths::default();
        settings.origins().for_each(|origin| healths.failed(origin, s(1)));
        assert_eq!(healths.order(&settings, s(1)), settings.origins().collect::<Vec<_>>());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let healths = Healths::default();
        for n in 0..=FAILING_MAX {
            healths.failed(&format!("http://o{n}").parse().unwrap(), s(1));
        }
        assert_eq!((healths.failing.lock().len(), healths.labels.lock().len()), (FAILING_MAX, LABELS_MAX));
    }
}
