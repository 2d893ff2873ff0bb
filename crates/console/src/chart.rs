//! Charts as SVG, drawn here. Colours come from the style sheet.

use maud::{Markup, html};

use crate::moment;

const WIDTH: usize = 640;
const HEIGHT: usize = 120;
/// Bars of one chart.
pub(crate) const BARS_MAX: usize = 80;
/// Room for so many bars at least, where each is one of several: few are not to be as wide as the chart.
pub(crate) const BARS_MIN: usize = 24;

/// One bar: its height, what is told of it, and whether it is one to look at.
pub(crate) struct Bar {
    /// Absent: there is none at that place.
    pub(crate) value: Option<f64>,
    pub(crate) told: String,
    pub(crate) ill: bool,
}

/// A row of bars from the left to the right.
pub(crate) struct Chart<'a> {
    pub(crate) title: &'a str,
    pub(crate) bars: Vec<Bar>,
    /// The value that is as high as the chart; absent: a round one above all.
    pub(crate) full: Option<f64>,
    /// For how many bars there is room, at least for all; the last stands at the right.
    pub(crate) room: usize,
    /// What stands below its beginning and its end.
    pub(crate) ends: [String; 2],
}

impl Chart<'_> {
    /// The chart with its scale, in that unit.
    pub(crate) fn drawn(&self, unit: impl Fn(f64) -> String) -> Markup {
        let values = || self.bars.iter().filter_map(|bar| bar.value);
        let highest = values().fold(0.0, f64::max);
        let top = self.full.unwrap_or_else(|| round_above(highest));
        let room = self.bars.len().max(self.room).max(1);
        let (step, free) = (WIDTH as f64 / room as f64, room - self.bars.len());
        let count = moment::counted(values().count() as u64, "value");
        let label = format!("{}: {count}, the highest {}", self.title, unit(highest));
        let [first, last] = &self.ends;
        html! {
            figure .chart {
                figcaption { (self.title) }
                @if values().next().is_none() || top <= 0.0 {
                    p .faint { "Nothing yet." }
                } @else {
                    div .plot {
                        div .scale aria-hidden="true" { span { (unit(top)) } span { (unit(top / 2.0)) } span { (unit(0.0)) } }
                        svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(label) {
                            @for y in [0, HEIGHT / 2, HEIGHT] { line .grid x1="0" x2=(WIDTH) y1=(y) y2=(y) {} }
                            @for (place, bar) in self.bars.iter().enumerate() {
                                @if let Some(value) = bar.value {
                                    // What is there is seen, however small.
                                    @let height = (value / top * HEIGHT as f64).clamp(1.5, HEIGHT as f64);
                                    rect .ill[bar.ill] x=(format!("{:.2}", (free + place) as f64 * step)) y=(format!("{:.2}", HEIGHT as f64 - height))
                                        width=(format!("{:.2}", step * 0.78)) height=(format!("{height:.2}")) { title { (bar.told) } }
                                }
                            }
                        }
                    }
                    div .ends { span { (first) } span { (last) } }
                }
            }
        }
    }
}

/// The next of 1, 2, 4, 6, 8 and their like with zeros, so that half of it is told in few digits, too.
fn round_above(value: f64) -> f64 {
    if value <= 0.0 {
        return 0.0;
    }
    let unit = 10_f64.powf(value.log10().floor());
    let round = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0].into_iter().find(|round| value <= round * unit * 1.000_001);
    round.unwrap_or(10.0) * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(values: &[Option<f64>], full: Option<f64>) -> String {
        let bar =
            |value: &Option<f64>| Bar { value: *value, told: format!("{value:?}"), ill: *value > Some(3.0) };
        let (bars, ends) = (values.iter().map(bar).collect(), ["then".to_owned(), "now".to_owned()]);
        Chart { title: "Numbers", bars, full, room: 8, ends }
            .drawn(|value| format!("{value:.0} s"))
            .into_string()
    }

    #[test]
    fn a_bar_is_as_high_as_its_value() {
        let chart = drawn(&[Some(2.0), Some(4.0), None, Some(0.0)], None);
        assert!(chart.contains("aria-label=\"Numbers: 3 values, the highest 4 s\""), "{chart}");
        for there in [
            "height=\"60.00\"",
            "class=\"ill\"",
            "height=\"120.00\"",
            "height=\"1.50\"",
            "x=\"320.00\"",
            "then",
            "now",
        ] {
            assert!(chart.contains(there), "{there} is not in {chart}");
        }
        assert_eq!(chart.matches("<rect").count(), 3);
        assert!(drawn(&[Some(2.0)], Some(8.0)).contains("height=\"30.00\""));
        assert!(drawn(&[None], Some(100.0)).contains("Nothing yet."));
        assert!(drawn(&[], None).contains("Nothing yet."));
    }

    #[test]
    fn scales_end_at_round_values() {
        let round = [0.0, 0.3, 1.0, 3.0, 7.0, 10.0, 11.0, 99.0, 1_234.0].map(round_above);
        let told: Vec<String> = round.iter().map(|value| format!("{value:.1}")).collect();
        assert_eq!(told, ["0.0", "0.4", "1.0", "4.0", "8.0", "10.0", "20.0", "100.0", "2000.0"]);
    }
}
