//! What purges matched, in words.

use freshen_model::count::{Count, Counted, Counts};

/// What all POPs matched, on one line.
pub fn line(counts: &Counts) -> String {
    let counting = counts.pops.iter().filter(|pop| pop.counted == Counted::Counting).count();
    let done = counts.pops.iter().filter(|pop| matches!(pop.counted, Counted::Done { .. })).count();
    let everything = counts.pops.iter().filter(|pop| pop.counted == Counted::Everything).count();
    let mut said = Vec::new();
    if done > 0 {
        said.push(format!("matched {} on {}", amount(&counts.total, done == counts.pops.len()), pops(done)));
    }
    if everything > 0 {
        said.push(format!("everything on {}, which started over", pops(everything)));
    }
    if counting > 0 {
        said.push(format!("counting… on {}", pops(counting)));
    }
    if said.is_empty() {
        return "what it matched is not known".into();
    }
    said.join("; ")
}

/// What one POP matched.
pub fn of_pop(counted: &Counted) -> Option<String> {
    match counted {
        Counted::Counting => Some("counting…".into()),
        Counted::Done { count, reclaimed_objects, reclaimed_bytes } => {
            let mut text = format!("matched {}", amount(count, count.exact));
            if *reclaimed_objects > 0 {
                text.push_str(&format!(", {} deleted", bytes(*reclaimed_bytes)));
            } else if count.evicted_objects > 0 {
                text.push_str(", to be deleted");
            }
            Some(text)
        }
        Counted::Everything => Some("started over: everything it held is void".into()),
        Counted::Unknown => None,
    }
}

/// The warning where nothing matched.
pub fn warning(counts: &Counts) -> Option<String> {
    counts.nothing_matched.then(|| {
        "warning: it matched nothing on any POP; is it spelt as it is cached? `freshen check URL` tells what is"
            .into()
    })
}

/// Where a part of the whole is not known, «at least» stands with the POPs that are named beside it.
fn amount(count: &Count, whole: bool) -> String {
    let at_least = if whole && !count.exact { "at least " } else { "" };
    format!("{at_least}{}, {}", objects(count.objects), bytes(count.bytes))
}

fn pops(count: usize) -> String {
    if count == 1 { "1 POP".into() } else { format!("{count} POPs") }
}

/// `12,345 objects`.
pub fn objects(count: u64) -> String {
    if count == 1 { "1 object".into() } else { format!("{} objects", grouped(count)) }
}

/// `12,345`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1.2 GB`.
pub fn bytes(number: u64) -> String {
    let units = [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match units.iter().find(|(size, _)| number >= *size) {
        Some((size, unit)) => format!("{:.1} {unit}", number as f64 / *size as f64),
        None if number == 1 => "1 byte".into(),
        None => format!("{number} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use freshen_model::count::PopCount;

    fn count(objects: u64, exact: bool) -> Count {
        Count { objects, copies: objects, bytes: objects * 100_000, exact, ..Count::default() }
    }

    fn counts(pops: &[Counted]) -> Counts {
        let pop = |at: usize| format!("pop-{at}").parse().unwrap();
        Counts::of(pops.iter().enumerate().map(|(at, c)| PopCount { pop: pop(at), counted: *c }).collect())
    }

    #[test]
    fn a_line_says_what_is_known_and_what_is_not() {
        let done = Counted::done(count(12_345, true), true);
        assert_eq!(line(&counts(&[done, done])), "matched 24,690 objects, 2.5 GB on 2 POPs");
        let least = Counted::done(count(1, false), true);
        assert_eq!(line(&counts(&[least])), "matched at least 1 object, 100.0 kB on 1 POP");
        assert_eq!(
            line(&counts(&[done, Counted::Counting, Counted::Unknown])),
            "matched 12,345 objects, 1.2 GB on 1 POP; counting… on 1 POP"
        );
        assert_eq!(line(&counts(&[Counted::Everything])), "everything on 1 POP, which started over");
        assert_eq!(line(&counts(&[Counted::Unknown])), "what it matched is not known");
    }

    #[test]
    fn a_slip_is_warned_of_only_when_it_is_sure() {
        let none = Counted::done(count(0, true), true);
        assert!(warning(&counts(&[none, none])).is_some());
        for other in [Counted::done(count(0, false), true), Counted::Unknown, Counted::Counting] {
            assert_eq!(warning(&counts(&[none, other])), None);
        }
    }
}
