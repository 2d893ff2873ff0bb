//! Scenarios: calls and what is expected of them, as data in `tests/scenarios`, whoever makes the calls.
//!
//! `$uuid`, `$time`, `$text` and `$number` stand for any such value, `$id name` and `$job name` for the id of a task or of
//! a job that is from then on `{name}`. `{today}` and `{tomorrow}` are the midnights around now;
//! `{certificate}` with its `{key}` is for a.example, as `{expired}` was, `{foreign}` is not, and `{stray}` is a key of none of them. Everything else is exact: no field may be missing or more, none of another type.

use crate::stage::{Pop, Stage, counted};
use freshen_model::ids::TaskId;
use freshen_model::task::TaskKind;
use rcgen::{CertificateParams, KeyPair};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What a caller makes of an answer.
#[derive(Debug, Deserialize)]
pub struct Outcome {
    pub status: Option<u16>,
    #[serde(default)]
    pub body: Value,
    #[serde(default)]
    pub code: Option<String>,
    #[serde(default)]
    pub message: Option<String>,
}

/// Who makes the calls.
pub trait Caller {
    async fn call(
        &mut self,
        stage: &Stage,
        version: &str,
        action: &str,
        params: &Map<String, Value>,
    ) -> Outcome;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    #[serde(rename = "about")]
    _about: String,
    version: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Step {
    Answered {
        call: String,
        with: Map<String, Value>,
        answer: Value,
    },
    Refused {
        call: String,
        with: Map<String, Value>,
        refused: Refusal,
    },
    End {
        end: String,
    },
    /// The POP has counted so much of a domain, in the order of the fields of the model's `Traffic`.
    Count {
        count: String,
        counts: [u64; 9],
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refusal {
    status: u16,
    code: String,
    says: String,
}

/// Goes through a scenario; `pop` confirms what is to end, and finds the second line of each prefetch failing.
pub async fn play(text: &str, stage: &Stage, pop: &mut Pop, caller: &mut impl Caller) {
    let Scenario { version, steps, .. } = serde_json::from_str(text).unwrap();
    let midnight = stage.control.wall_ms().div_euclid(86_400_000) * 86_400;
    let day = |days: i64| freshen_api::timestamp::format(midnight + days * 86_400).to_string();
    let mut known = BTreeMap::from([("today".to_owned(), day(0)), ("tomorrow".to_owned(), day(1))]);
    known.extend(certificates().map(|(name, pem)| (name.to_owned(), pem)));
    for (number, step) in (1..).zip(steps) {
        match step {
            Step::Answered { call, with, answer } => {
                let outcome = caller.call(stage, &version, &call, &filled(&with, &known)).await;
                assert_eq!(outcome.status, Some(200), "step {number}, {call}: {outcome:?}");
                let place = format!("step {number}, {call}");
                is_as(&place, &outcome.body, &answer, &mut known);
            }
            Step::Refused { call, with, refused } => {
                let outcome = caller.call(stage, &version, &call, &filled(&with, &known)).await;
                assert_eq!(
                    outcome.code.as_deref(),
                    Some(refused.code.as_str()),
                    "step {number}: {outcome:?}"
                );
                assert_eq!(outcome.status, Some(refused.status), "step {number}: {outcome:?}");
                let message = outcome.message.as_deref().unwrap_or_default();
                assert!(message.contains(&refused.says), "step {number}: {outcome:?}");
            }
            Step::Count { count, counts } => {
                pop.counts(vec![counted(&count, counts)]).await;
                stage.booked(&count, counts[0]).await;
            }
            Step::End { end } => finish(&known[&end], stage, pop).await,
        }
    }
}

fn certificates() -> [(&'static str, String); 5] {
    let (key, stray) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let made = |name: &str, until: i32| {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        params.self_signed(&key).unwrap().pem()
    };
    [
        ("certificate", made("a.example", 2100)),
        ("expired", made("a.example", 2021)),
        ("foreign", made("b.example", 2100)),
        ("key", key.serialize_pem()),
        ("stray", stray.serialize_pem()),
    ]
}

async fn finish(id: &str, stage: &Stage, pop: &mut Pop) {
    let task = stage.control.task(None, TaskId(id.parse().unwrap())).await.unwrap().expect("a task");
    match task.kind {
        TaskKind::Prefetch => pop.prefetched(task.seq, task.lines, &[(2, "Origin Timeout")]).await,
        _ => pop.confirm(task.seq).await,
    }
    stage.ended(id).await;
}

fn filled(params: &Map<String, Value>, known: &BTreeMap<String, String>) -> Map<String, Value> {
    let fill =
        |value: &Value| value.as_str().map_or_else(|| value.clone(), |text| with_ids(text, known).into());
    params.iter().map(|(name, value)| (name.clone(), fill(value))).collect()
}

fn with_ids(text: &str, known: &BTreeMap<String, String>) -> String {
    known.iter().fold(text.to_owned(), |text, (name, id)| text.replace(&format!("{{{name}}}"), id))
}

fn is_as(place: &str, found: &Value, expected: &Value, known: &mut BTreeMap<String, String>) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            let names = |object: &Map<String, Value>| object.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(found), names(expected), "{place}: fields");
            for (name, value) in found {
                is_as(&format!("{place}.{name}"), value, &expected[name], known);
            }
        }
        (Value::Array(found), Value::Array(expected)) => {
            assert_eq!(found.len(), expected.len(), "{place}: {found:?}");
            for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
                is_as(&format!("{place}[{at}]"), found, expected, known);
            }
        }
        (Value::String(found), Value::String(expected)) => match expected.split_once(' ') {
            Some(("$id", name)) => {
                assert!(
                    !found.is_empty() && found.bytes().all(|byte| byte.is_ascii_digit()),
                    "{place}: {found}"
                );
                known.insert(name.to_owned(), found.clone());
            }
            // The same task for each of several addresses.
            Some(("$ids", name)) => {
                let (first, others) = found.split_once(',').unwrap_or((found, ""));
                assert!(others.split(',').all(|id| id == first), "{place}: {found}");
                assert!(first.bytes().all(|byte| byte.is_ascii_digit()), "{place}: {found}");
                known.insert(name.to_owned(), first.to_owned());
            }
            Some(("$job", name)) => {
                assert!(is_job(found), "{place}: {found}");
                known.insert(name.to_owned(), found.clone());
            }
            _ => match expected.as_str() {
                "$text" => {}
                "$uuid" => assert!(is_uuid(found), "{place}: {found}"),
                "$time" => assert!(freshen_api::timestamp::parse(found).is_ok(), "{place}: {found}"),
                text => assert_eq!(found, &with_ids(text, known), "{place}"),
            },
        },
        (Value::Number(found), Value::String(kind)) if kind == "$number" => {
            assert!(found.is_u64(), "{place}: {found}");
        }
        _ => assert_eq!(found, expected, "{place}"),
    }
}

fn is_job(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    let is_upper_hex = |c: char| c.is_ascii_digit() || ('A'..='F').contains(&c);
    lengths == [8, 4, 4, 4, 12] && text.chars().all(|c| c == '-' || is_upper_hex(c))
}
