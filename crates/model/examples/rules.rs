//! Measures what it costs to hold an object against the purge index, in rows of a table; `cargo xtask bench rules` runs it.
//!
//! `cargo run --release -p freshen-model --example rules`
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement, run by hand")]

use freshen_model::ids::Seq;
use freshen_model::key::Key;
use freshen_model::pattern::Pattern;
use freshen_model::protocol::index::{PATTERNS_MAX, PurgeIndex};
use freshen_model::rule::{Matcher, Mode, Rule};
use freshen_model::tag::Tags;
use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;

/// URLs, directories, queries and tags, as many of each.
const RULES: u64 = 100_000;
/// So few that what they cost is what it costs to look at an object.
const FEW_RULES: u64 = 100;
/// Objects that are looked at in turn, so that they come from memory as those of viewers do.
const OBJECTS: usize = 100_000;
const ROUNDS: usize = 15;
const SPACE: &str = "shop.example";

fn main() {
    let mut objects: Vec<(Key, Tags)> = (0..OBJECTS).map(object).collect();
    shuffle(&mut objects);
    let empty = PurgeIndex::new(0);
    let baseline = check(&empty, &objects, Seq::ZERO);
    let row = |what: &str, ns: f64| println!("| {what} | {ns:.0} |");
    row("no rule lives", baseline);
    let mut few = PurgeIndex::new(RULES as usize);
    (0..FEW_RULES).for_each(|number| assert!(few.insert(&rule(number), Seq(number + 1))));
    row(
        "100 live rules of URLs, directories, paths without query and tags",
        check(&few, &objects, Seq::ZERO),
    );
    let mut index = PurgeIndex::new(2 * RULES as usize);
    let began = cpu_ns();
    for number in 0..RULES {
        assert!(index.insert(&rule(number), Seq(number + 1)));
    }
    let inserted = (cpu_ns() - began) / RULES as f64;
    row("10⁵ of them", check(&index, &objects, Seq::ZERO));
    row("the same, none of them newer than the object's mark", check(&index, &objects, Seq(RULES)));
    row("the same, one object again and again", check(&index, &objects[..1], Seq::ZERO));
    let patterns: Vec<Rule> = (0..PATTERNS_MAX as u64).map(pattern).collect();
    let began = cpu_ns();
    for (rule, number) in patterns.iter().zip(1..) {
        assert!(index.insert(rule, Seq(RULES + number)));
    }
    let compiled = (cpu_ns() - began) / PATTERNS_MAX as f64;
    let mut alone = PurgeIndex::new(PATTERNS_MAX);
    for (rule, number) in patterns.iter().zip(1..) {
        alone.insert(rule, Seq(RULES + number));
    }
    check(&alone, &objects, Seq::ZERO);
    row("100 patterns, all new to the object", check(&alone, &objects, Seq::ZERO));
    row("100 patterns, one of them new", check(&alone, &objects, Seq(RULES + PATTERNS_MAX as u64 - 1)));
    row("10⁵ rules and 100 patterns, all new to the object", check(&index, &objects, Seq::ZERO));
    row("taking in a rule", inserted);
    row("compiling and taking in a pattern", compiled);
    index.begin_drop(Seq(u64::MAX));
    let (began, mut parts) = (cpu_ns(), vec![]);
    let mut last = began;
    while index.drop_some() {
        let now = cpu_ns();
        parts.push(now - last);
        last = now;
    }
    row("dropping a rule", (cpu_ns() - began) / RULES as f64);
    row("the longest part of dropping 10⁵, during which others wait", parts.into_iter().fold(0.0, f64::max));
}

/// What this thread has used of a core: who else is at work on the machine is not to count.
fn cpu_ns() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Nanoseconds of a core for a look, in the best of some rounds: what disturbs the machine only makes it slower.
fn check(index: &PurgeIndex, objects: &[(Key, Tags)], checked: Seq) -> f64 {
    let round = || {
        let began = cpu_ns();
        for (key, tags) in objects.iter().cycle().take(OBJECTS) {
            black_box(index.marks(black_box(key), tags, checked));
        }
        (cpu_ns() - began) / OBJECTS as f64
    };
    (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min)
}

/// An object that no rule matches, with four tags.
fn object(number: usize) -> (Key, Tags) {
    let path = format!("/assets/{}/products/{number}/pictures/front-{}.jpg", number % 50, number % 7);
    let query = format!("v={}", number % 1_000);
    let tags = [format!("item-{number}"), format!("shelf-{}", number % 500), "picture".into(), "shop".into()];
    (Key::from_parts(SPACE, &path, Some(&query)), Tags::of(tags.iter().map(String::as_str)))
}

fn rule(number: u64) -> Rule {
    let key = |path: String, query| Key::from_parts(SPACE, &path, query);
    let matcher = match number % 4 {
        0 => Matcher::Url { key: key(format!("/assets/{}/purged/{number}.jpg", number % 50), Some("v=1")) },
        // Beside where the objects lie, so that the search goes deep.
        1 => Matcher::Directory {
            key: key(format!("/assets/{}/products/{number}/sounds/", number % 50), None),
        },
        2 => Matcher::Query { key: key(format!("/assets/{}/purged/{number}.jpg", number % 50), None) },
        _ => Matcher::Tag { space: SPACE.into(), tag: format!("product-{number}") },
    };
    Rule::new(matcher, Mode::Expire)
}

/// Some that fail at once, some in the middle and some at the very end.
fn pattern(number: u64) -> Rule {
    let text = match number % 4 {
        0 => format!("/video/{number}/[^/]*[.]ts"),
        1 => format!("/assets/[0-9]+/products/[0-9]+/sounds/{number}/.*"),
        2 => format!(".*/front-{number}[0-9][.](?:png|webp)").replacen(".*", "/.*", 1),
        _ => format!("/.*[.]jpg[?]v={number}[a-z]"),
    };
    Rule::new(Matcher::Regex { space: SPACE.into(), pattern: Pattern::new(&text) }, Mode::Expire)
}

/// A fixed order that is none.
fn shuffle<T>(items: &mut [T]) {
    let mut state = 88_172_645_463_325_252_u64;
    for at in (1..items.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        items.swap(at, (state % (at as u64 + 1)) as usize);
    }
}
