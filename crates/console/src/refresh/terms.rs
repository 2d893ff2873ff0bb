//! When and where a prefetch is done: the part of its form with hours, deadline and regions.

use std::collections::BTreeSet;

use freshen_control::Control;
use freshen_model::task::PrefetchTerms;
use freshen_model::variants::Variants;
use freshen_model::window::{BadWindow, Window};
use maud::{Markup, html};

use crate::fields::Fields;

/// Units of a deadline with their seconds, the largest first.
const UNITS: [(&str, u32); 4] = [("days", 86_400), ("hours", 3_600), ("minutes", 60), ("seconds", 1)];
/// What a deadline is counted in before somebody chooses.
const USUAL_UNIT: &str = "hours";

/// The fields of a form that has these terms.
pub(super) fn filled(fields: Fields, terms: &PrefetchTerms) -> Fields {
    let PrefetchTerms { deadline_s, window, regions, headers } = terms;
    let window = window.map(|window| window.to_string()).unwrap_or_default();
    // As in `02:00-06:00+08:00`.
    let part = |from, to| window.get(from..to).unwrap_or_default();
    let offset = window.get(11..).unwrap_or_default();
    let unit = deadline_s.and_then(|seconds| UNITS.into_iter().find(|(_, unit)| seconds % unit == 0));
    let (unit, count) = match (unit, deadline_s) {
        (Some((unit, of)), Some(seconds)) => (unit, (seconds / of).to_string()),
        _ => ("", String::new()),
    };
    let fields = fields.with("opens", part(0, 5)).with("closes", part(6, 11)).with("offset", offset);
    let fields = fields.with("deadline", &count).with("deadline_unit", unit);
    let fields = fields.with("headers", &headers.lines().collect::<Vec<_>>().join("\n"));
    regions.iter().fold(fields, |fields, region| fields.with("region", region))
}

/// What the form says.
pub(super) fn read(fields: &Fields) -> Result<PrefetchTerms, String> {
    let regions: BTreeSet<String> = fields.each("region").map(str::to_owned).collect();
    Ok(PrefetchTerms {
        deadline_s: deadline(fields)?,
        window: window(fields)?,
        regions,
        headers: headers(fields)?,
    })
}

fn headers(fields: &Fields) -> Result<Variants, String> {
    let lines = fields.text("headers").lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(str::parse)
        .try_fold(Variants::default(), |all, header: Result<Variants, _>| Ok(all.and(header?)))
}

fn window(fields: &Fields) -> Result<Option<Window>, String> {
    match (fields.given("opens"), fields.given("closes")) {
        (None, None) => Ok(None),
        (Some(opens), Some(closes)) => {
            let text = format!("{opens}-{closes}{}", fields.given("offset").unwrap_or("Z"));
            text.parse().map(Some).map_err(|error: BadWindow| error.to_string())
        }
        _ => Err("hours have a beginning and an end: give both times, or none".into()),
    }
}

fn deadline(fields: &Fields) -> Result<Option<u32>, String> {
    let Some(text) = fields.given("deadline") else { return Ok(None) };
    let unit = fields.given("deadline_unit").unwrap_or(USUAL_UNIT);
    let seconds = UNITS.into_iter().find(|(known, _)| *known == unit).map(|(_, seconds)| seconds);
    let all = seconds.zip(text.parse().ok()).and_then(|(unit, count): (u32, u32)| count.checked_mul(unit));
    all.map(Some).ok_or_else(|| format!("{text:?} is no number of {unit} in which to be done"))
}

/// The fields, with the regions there are.
pub(super) fn shown(control: &Control, fields: &Fields) -> Markup {
    let unit = fields.given("deadline_unit").unwrap_or(USUAL_UNIT);
    let chosen: BTreeSet<String> = fields.each("region").map(str::to_owned).collect();
    let there = control.pops().into_iter().filter(|pop| pop.left.is_none()).map(|pop| pop.region);
    // One that is chosen and gone is shown, too, so that it can be taken back.
    let regions: BTreeSet<String> = there.chain(chosen.iter().cloned()).collect();
    html! {
        div .row {
            label .short { "Begin files only from" input type="time" name="opens" value=(fields.text("opens")); }
            label .short { "until" input type="time" name="closes" value=(fields.text("closes")); }
            label .short { "Offset from UTC" input name="offset" value=(fields.text("offset")) maxlength="6" spellcheck="false" placeholder="Z, or +08:00"; }
            label .short { "Done within" input name="deadline" inputmode="numeric" pattern="[0-9]*" maxlength="9" value=(fields.text("deadline")) placeholder="as usual"; }
            label .short {
                "Deadline in"
                select name="deadline_unit" { @for (known, _) in UNITS { option value=(known) selected[known == unit] { (known) } } }
            }
        }
        label {
            "For viewers with these headers, one a line"
            textarea name="headers" rows="2" wrap="off" spellcheck="false" placeholder="Accept-Language: de" { (fields.text("headers")) }
        }
        @if regions.len() > 1 {
            fieldset .inline {
                legend { "Only in these regions" }
                @for region in &regions {
                    label .beside { input type="checkbox" name="region" value=(region) checked[chosen.contains(region)]; (region) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_read_as_they_were_filled_in() {
        for (deadline_s, window) in [
            (None, None),
            (Some(7_200), Some("22:30-05:00Z")),
            (Some(90), Some("02:00-06:00+08:00")),
            (Some(1), Some("00:00-00:01-14:00")),
        ] {
            let window = window.map(|window| window.parse().unwrap());
            let headers =
                [("accept-encoding", "gzip"), ("accept-language", "de"), ("accept-language", "fr, en;q=0.5")];
            let (regions, headers) = (["north".into(), "a b".into()].into(), headers.into_iter().collect());
            let terms = PrefetchTerms { deadline_s, window, regions, headers };
            assert_eq!(read(&filled(Fields::default(), &terms)), Ok(terms));
        }
        let two_hours =
            filled(Fields::default(), &PrefetchTerms { deadline_s: Some(7_200), ..Default::default() });
        assert_eq!((two_hours.text("deadline"), two_hours.text("deadline_unit")), ("2", "hours"));
    }

    #[test]
    fn what_cannot_be_is_refused_in_words() {
        let refused = |filled: &[(&str, &str)]| read(&Fields::of(filled)).unwrap_err();
        assert!(refused(&[("opens", "02:00")]).contains("a beginning and an end"));
        assert!(refused(&[("opens", "02:00"), ("closes", "02:00")]).contains("is no window"));
        assert!(
            refused(&[("opens", "02:00"), ("closes", "03:00"), ("offset", "8")]).contains("is no window")
        );
        assert!(refused(&[("deadline", "soon")]).contains("no number of hours"));
        assert!(
            refused(&[("deadline", "4294967295"), ("deadline_unit", "days")]).contains("no number of days")
        );
        assert!(refused(&[("deadline", "1"), ("deadline_unit", "years")]).contains("no number of years"));
    }
}
