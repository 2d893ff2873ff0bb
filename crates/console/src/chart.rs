//! Charts as SVG, drawn here. Colours come from the style sheet.

use maud::{Markup, html};

const WIDTH: usize = 640;
const HEIGHT: usize = 120;
/// Bars of one chart.
pub(crate) const BARS_MAX: usize = 80;

/// One bar: its height, what is told of it, and whether it is one to look at.
pub(crate) struct Bar {
    pub(crate) value: f64,
    pub(crate) told: String,
    pub(crate) ill: bool,
}

/// A row of bars from the left to the right, with its highest value written beside it.
pub(crate) fn bars(title: &str, bars: &[Bar], unit: impl Fn(f64) -> String) -> Markup {
    let top = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    let step = WIDTH as f64 / bars.len().max(24) as f64;
    let label = format!("{title}: {} values, the highest {}", bars.len(), unit(top));
    html! {
        figure .chart {
            figcaption { (title) }
            @if bars.is_empty() || top <= 0.0 {
                p .faint { "Nothing yet." }
            } @else {
                div .plot {
                    div .scale aria-hidden="true" { span { (unit(top)) } span { (unit(top / 2.0)) } span { (unit(0.0)) } }
                    svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(label) {
                        @for y in [0, HEIGHT / 2, HEIGHT] { line .grid x1="0" x2=(WIDTH) y1=(y) y2=(y) {} }
                        @for (place, bar) in bars.iter().enumerate() {
                            // What is there is seen, however small.
                            @let height = (bar.value / top * HEIGHT as f64).max(1.5);
                            rect .ill[bar.ill] x=(format!("{:.2}", place as f64 * step)) y=(format!("{:.2}", HEIGHT as f64 - height))
                                width=(format!("{:.2}", step * 0.78)) height=(format!("{height:.2}")) { title { (bar.told) } }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_bar_is_as_high_as_the_chart() {
        let bar = |value: f64| Bar { value, told: format!("it is {value}"), ill: value > 3.0 };
        let drawn =
            bars("Numbers", &[bar(2.0), bar(4.0), bar(0.0)], |value| format!("{value:.0} s")).into_string();
        assert!(drawn.contains("aria-label=\"Numbers: 3 values, the highest 4 s\""), "{drawn}");
        assert!(
            drawn.contains("height=\"60.00\"")
                && drawn.contains("class=\"ill\"")
                && drawn.contains("height=\"120.00\"")
        );
        assert!(bars("Numbers", &[], |_| String::new()).into_string().contains("Nothing yet."));
    }
}
