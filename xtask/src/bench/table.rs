//! Tables from rounds, and their place in `docs/benchmarks.md`.

use super::Case;
use super::load::Run;
use super::sides::Side;
use anyhow::Context as _;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const END: &str = "<!-- to here -->";

/// The part of `docs/benchmarks.md` that one benchmark writes.
pub struct Part {
    /// The benchmark's word: `edge`, `purge`.
    pub bench: &'static str,
    /// Its sections' headings, in their order.
    pub titles: Vec<&'static str>,
}

impl Part {
    fn begin(&self) -> String {
        format!("<!-- cargo xtask bench {} writes from here -->", self.bench)
    }
}

/// One side's turn in a round.
#[derive(Clone, Copy)]
pub struct Round {
    pub cpu_us: u64,
    pub run: Run,
}

impl Round {
    pub fn cpu_us_a_request(&self) -> f64 {
        self.cpu_us as f64 / self.run.requests as f64
    }

    pub fn requests_a_second(&self) -> f64 {
        self.run.requests as f64 / self.run.seconds
    }

    fn busy_percent(&self) -> f64 {
        self.cpu_us as f64 / self.run.seconds / 1e4
    }
}

/// All turns of one side, beside those of the first.
pub struct Turns<'a> {
    /// A turn for each side, in their order.
    pub rounds: &'a [Vec<Round>],
    /// Which side.
    pub place: usize,
}

impl Turns<'_> {
    pub fn median(&self, value: fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().map(|round| value(&round[self.place])))
    }

    /// The median of the first side's values divided by this one's, round by round; nothing for the first itself.
    pub fn ratio(&self, value: fn(&Round) -> f64) -> String {
        match self.place {
            0 => String::new(),
            place => {
                let ratios = self.rounds.iter().map(|round| value(&round[0]) / value(&round[place]));
                format!("{:.2}×", median(ratios))
            }
        }
    }
}

/// What a case has to tell.
pub struct Section {
    /// Its heading.
    pub title: &'static str,
    pub text: String,
}

/// A case's heading.
pub fn title(case: Case) -> &'static str {
    match case {
        Case::Hit1k => "Hit, 1 KiB",
        Case::Hit64k => "Hit, 64 KiB",
        Case::Hit1mMemory => "Hit, 1 MiB, from memory",
        Case::Hit1mDisk => "Hit, 1 MiB, from disk in the page cache",
        Case::Tls1k => "Hit, 1 KiB, TLS 1.3",
        Case::Tls64k => "Hit, 64 KiB, TLS 1.3",
        Case::H21k => "Hit, 1 KiB, HTTP/2",
        Case::Miss1m => "Miss, 1 MiB",
        Case::Rules => "Hit, 1 KiB, with purge rules",
        Case::Store => "Objects on disk",
    }
}

/// The table of a hit case. `rounds` have a turn for each side, in their order; the first side is what the others are
/// compared with.
pub fn of_hits(sides: &[Side<'_>], rounds: &[Vec<Round>]) -> String {
    let first = &sides[0].name;
    let mut text = format!(
        "| | CPU µs a request | {first} takes | requests/s | {first} gives | p50 µs | p99 µs | core busy |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|\n"
    );
    for (place, side) in sides.iter().enumerate() {
        let turns = Turns { rounds, place };
        let _ = writeln!(
            text,
            "| {} | {:.2} | {} | {:.0} | {} | {:.0} | {:.0} | {:.0} % |",
            side.name,
            turns.median(Round::cpu_us_a_request),
            turns.ratio(Round::cpu_us_a_request),
            turns.median(Round::requests_a_second),
            turns.ratio(Round::requests_a_second),
            turns.median(|round| round.run.p50_us as f64),
            turns.median(|round| round.run.p99_us as f64),
            turns.median(Round::busy_percent),
        );
    }
    text
}

/// The middle one, or the mean of the two in the middle.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    match (values.get(low), values.get(high)) {
        (Some(low), Some(high)) => (low + high) / 2.0,
        _ => f64::NAN,
    }
}

/// Puts each section into the document, in the place of the one with its title; other sections stay.
pub fn write(document: &Path, part: &Part, sections: &[Section], measured: &str) -> anyhow::Result<()> {
    let text = fs::read_to_string(document)?;
    let text = replaced(&text, part, sections, measured)?;
    fs::write(document, text).with_context(|| document.display().to_string())
}

fn replaced(text: &str, part: &Part, sections: &[Section], measured: &str) -> anyhow::Result<String> {
    let marks = "docs/benchmarks.md has lost its marks";
    let begin = part.begin();
    let (before, rest) = text.split_once(&begin).context(marks)?;
    let (between, after) = rest.split_once(END).context(marks)?;
    let mut out = format!("{before}{begin}\n\n");
    for title in &part.titles {
        let heading = format!("### {title}\n");
        let old =
            between.split_once(&heading).map(|(_, rest)| rest.split("### ").next().unwrap_or(rest).trim());
        let new = sections.iter().find(|section| section.title == *title);
        let new = new.map(|section| format!("{}\n{measured}", section.text));
        if let Some(section) = new.as_deref().or(old) {
            let _ = write!(out, "{heading}\n{section}\n\n");
        }
    }
    Ok(format!("{out}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_values() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
        assert!(median([].into_iter()).is_nan());
    }

    #[test]
    fn a_section_takes_the_place_of_its_own_only() {
        let section = |title, text: &str| Section { title, text: text.to_owned() };
        let (hit, store) = (title(Case::Hit1k), title(Case::Store));
        let part = Part { bench: "edge", titles: vec![hit, store] };
        let begin = part.begin();
        let other = "<!-- cargo xtask bench other writes from here -->\n<!-- to here -->";
        let empty = format!("{other}\nbefore\n{begin}\n{END}\nafter\n{other}\n");
        let both = [section(store, "old store\n"), section(hit, "old hit\n")];
        let first = replaced(&empty, &part, &both, "so").unwrap();
        let second = replaced(&first, &part, &[section(hit, "new hit\n")], "then").unwrap();
        let expected = "### Hit, 1 KiB\n\nnew hit\n\nthen\n\n### Objects on disk\n\nold store\n\nso\n";
        assert_eq!(second, format!("{other}\nbefore\n{begin}\n\n{expected}\n{END}\nafter\n{other}\n"));
        assert!(replaced("no marks", &part, &[], "").is_err());
    }
}
