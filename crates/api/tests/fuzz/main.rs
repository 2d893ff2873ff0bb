//! Requests that nobody would send, against the parser and the signature: the recorded requests of the vendor's SDKs and
//! some of each action, changed at random. One seed is one run.
//!
//! `cargo xtask fuzz --seconds N` runs it for longer; `cargo +nightly fuzz run request` in `crates/api`, with `cargo-fuzz`
//! installed, is led by coverage.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a panic is how a test fails; a long run says how far it is"
)]

mod request;

use freshen_api::vendor::Action;
use serde_json::Value;
use std::time::{Duration, Instant};

/// Requests that are tried where no time is given.
const REQUESTS: u64 = 20_000;

/// Pieces that mean something to the parser.
const PIECES: [&str; 32] = [
    "&",
    "=",
    "%",
    "%00",
    "%0A",
    "%0d%0a",
    "%ff",
    "+",
    "?",
    "#",
    "/",
    "//",
    "\r\n",
    "\r\n\r\n",
    " ",
    ":",
    ";",
    ",",
    "\"",
    "[",
    "{",
    "}",
    "Signature=",
    "SignatureNonce=",
    "Authorization: ACS3-HMAC-SHA256 ",
    "SignedHeaders=",
    "x-acs-",
    "9999999999999999999",
    "-1",
    "é",
    "\0",
    "<",
];

#[test]
fn no_request_panics_or_comes_in_without_the_secret() {
    let seconds = std::env::var("FRESHEN_FUZZ_S").ok().map(|text| text.parse().expect("seconds"));
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let seeds = seeds();
    for seed in &seeds {
        request::check(seed);
    }
    // A run of its own for each time that is asked for; always the same where none is.
    let mut chance = Chance(if until.is_some() { u64::from(std::process::id()) << 32 | 1 } else { 1 });
    println!("seed {:#x}", chance.0);
    let mut number = 0;
    while until.map_or(number < REQUESTS, |until| Instant::now() < until) {
        let request = changed(&seeds, &mut chance);
        let outcome = std::panic::catch_unwind(|| request::check(&request));
        if let Err(panic) = outcome {
            println!("request {number}: {}", request.escape_ascii());
            std::panic::resume_unwind(panic);
        }
        number += 1;
    }
    println!("{number} requests");
}

/// The recorded requests, and one of each action.
fn seeds() -> Vec<Vec<u8>> {
    let recorded = include_str!("../fixtures/signature-vectors.jsonl").lines().map(|line| {
        let vector: Value = serde_json::from_str(line).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut request = format!("{} {} HTTP/1.1\r\n", text(&vector["method"]), text(&vector["target"]));
        for field in vector["headers"].as_array().unwrap() {
            request.push_str(&format!("{}: {}\r\n", text(&field[0]), text(&field[1])));
        }
        (request + "\r\n" + &text(&vector["body"])).into_bytes()
    });
    let params = "ObjectPath=a.example/1%0Ab.example/2&ObjectType=File&Force=True&TaskId=1,2&PageSize=20&PageNumber=1\
        &StartTime=2027-01-15T07:00:00Z&EndTime=2027-01-15T08:00:00Z&Interval=300&DomainName=a.example&DomainNames=a.example,b.example\
        &Sources=%5B%7B%22content%22:%22192.0.2.1%22,%22port%22:80%7D%5D&CacheTag=a,b&WithHeader=%7B%22Accept-Encoding%22:%5B%22gzip%22%5D%7D\
        &Functions=%5B%7B%22functionName%22:%22path_based_ttl_set%22,%22functionArgs%22:%5B%7B%22argName%22:%22path%22,%22argValue%22:%22/%22%7D,%7B%22argName%22:%22ttl%22,%22argValue%22:%221%22%7D%5D%7D%5D";
    let of_actions = Action::ALL.iter().map(|action| {
        let (name, version) = (action.name(), action.product().version());
        format!("GET /?Action={name}&Version={version}&{params} HTTP/1.1\r\nhost: a\r\n\r\n").into_bytes()
    });
    recorded.chain(of_actions).collect()
}

/// One of the seeds with one to eight changes.
fn changed(seeds: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut request = seeds[chance.below(seeds.len())].clone();
    for _ in 0..=chance.below(8) {
        let at = chance.below(request.len() + 1);
        match chance.below(6) {
            0 => request.insert(at, chance.next() as u8),
            1 if at < request.len() => request[at] ^= 1 << chance.below(8),
            2 => {
                let piece = PIECES[chance.below(PIECES.len())].bytes();
                request.splice(at..at, piece);
            }
            3 => {
                let end = (at + chance.below(40)).min(request.len());
                request.drain(at..end);
            }
            4 => {
                let end = (at + chance.below(200)).min(request.len());
                let again = request[at..end].to_vec();
                request.splice(at..at, again);
            }
            _ => {
                let other = &seeds[chance.below(seeds.len())];
                let from = chance.below(other.len());
                let end = (from + chance.below(200)).min(other.len());
                request.splice(at..at, other[from..end].iter().copied());
            }
        }
    }
    request
}

/// Chance that comes again: xorshift64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}
