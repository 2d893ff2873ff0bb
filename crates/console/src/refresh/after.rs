//! What follows a purge: the part of its form with the prefetch or the refill behind it.

use freshen_control::{Control, Then};
use freshen_ledger::Error;
use freshen_model::ids::TaskId;
use freshen_model::refill::Bound;
use maud::{Markup, html};

use crate::fields::Fields;
use crate::person::Person;

const CHOICES: [(&str, &str); 3] =
    [("", "nothing"), ("prefetch", "prefetch the URLs"), ("refill", "refill the hottest")];
/// Units in which bytes are written, the largest first.
const UNITS: [(&str, u64); 6] = [
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("kB", 1_000),
    ("KiB", 1 << 10),
];

/// The fields of a form whose purge is followed as that one was.
pub(super) async fn filled(
    control: &Control,
    person: &Person,
    fields: Fields,
    then: Option<TaskId>,
) -> Result<Fields, Error> {
    let Some(then) = then else { return Ok(fields) };
    let Some(behind) = control.operation(person.confines(), then).await? else { return Ok(fields) };
    Ok(match behind.task.refill {
        Some(bound) => fields.with("then", "refill").with("refill", &written(&bound)),
        None => fields.with("then", "prefetch"),
    })
}

fn written(bound: &Bound) -> String {
    let bytes = bound.bytes.map(|bytes| {
        let unit = UNITS.into_iter().find(|(_, unit)| bytes % unit == 0);
        // What no unit divides is more by less than a kilobyte.
        let (name, unit) = unit.unwrap_or(("kB", 1_000));
        format!("{}{name}", bytes.div_ceil(unit))
    });
    let parts: Vec<String> =
        bound.objects.map(|objects| objects.to_string()).into_iter().chain(bytes).collect();
    parts.join(", ")
}

/// What the form says.
pub(super) fn read(fields: &Fields) -> Result<Option<Then>, String> {
    match fields.text("then") {
        "" => Ok(None),
        "prefetch" => Ok(Some(Then::Prefetch)),
        "refill" => bound(fields.text("refill")).map(|bound| Some(Then::Refill(bound))),
        other => Err(format!("{other:?} cannot follow a purge")),
    }
}

/// `500`, `200MB`, or both with a comma between.
fn bound(text: &str) -> Result<Bound, String> {
    text.split(',').try_fold(Bound { objects: None, bytes: None }, |all, part| {
        let part: Bound = part.trim().parse()?;
        Ok(Bound { objects: all.objects.or(part.objects), bytes: all.bytes.or(part.bytes) })
    })
}

/// The fields.
pub(super) fn shown(fields: &Fields) -> Markup {
    let chosen = fields.text("then");
    html! {
        label {
            "Afterwards"
            select name="then" { @for (value, name) in CHOICES { option value=(value) selected[value == chosen] { (name) } } }
        }
        label .of-refill {
            "At each POP at most"
            input name="refill" value=(fields.text("refill")) placeholder="500, or 200MB" spellcheck="false" maxlength="40";
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_written_as_it_is_read() {
        for text in ["500", "200MB", "2GiB", "500, 3kB"] {
            assert_eq!(written(&bound(text).unwrap()), text);
        }
        assert_eq!(written(&Bound { objects: None, bytes: Some(1_234_567) }), "1235kB");
        for text in ["", "0", "500,", "much"] {
            assert!(bound(text).is_err(), "{text}");
        }
    }
}
