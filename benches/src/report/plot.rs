//! Lines on logarithmic axes as SVG. Knows positions and ticks, not what they mean.

use std::fmt::Write as _;

use super::escape::escape;

/// One line.
pub struct Line {
    /// Name in the legend; empty: none.
    pub label: String,
    /// Number of its colour.
    pub colour: usize,
    /// Dashed instead of solid.
    pub dashed: bool,
    /// x and y (ns), both at least 1.
    pub points: Vec<(f64, f64)>,
}

/// Some lines in one frame. Both axes are logarithmic; y is ns.
pub struct Plot {
    /// Above it.
    pub title: String,
    /// Below it.
    pub x_name: String,
    /// Places and texts of x.
    pub x_ticks: Vec<(f64, String)>,
    /// Lines.
    pub lines: Vec<Line>,
}

/// A drawing: its class in the style sheet, and its size in units of text at 11.
struct Frame {
    class: &'static str,
    width: f64,
    height: f64,
    left: f64,
    bottom: f64,
}

const FRAMES: [Frame; 2] = [
    Frame { class: "wide", width: 860.0, height: 340.0, left: 64.0, bottom: 42.0 },
    Frame { class: "narrow", width: 350.0, height: 300.0, left: 50.0, bottom: 42.0 },
];
const TOP: f64 = 10.0;
const RIGHT: f64 = 26.0;
/// Width of a character of a tick's text, and the space between two texts.
const CHARACTER: f64 = 6.4;
const TICK_SPACE: f64 = 6.0;

/// Ticks for percentiles at 1/(1-percentile) up to one of `count` values.
#[must_use]
pub fn nines_ticks(count: u64) -> Vec<(f64, String)> {
    let all = ["0", "90", "99", "99.9", "99.99", "99.999", "99.9999", "99.99999"];
    let ticks = all.iter().enumerate().map(|(nines, text)| (10f64.powi(nines as i32), format!("{text} %")));
    ticks.take_while(|(at, _)| *at <= (count as f64).max(10.0)).collect()
}

impl Plot {
    /// Appends a figure with both sizes; nothing when there is no point.
    pub fn draw(&self, out: &mut String) {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let (Some(low), Some(high)) = (
            points().map(|point| point.1).min_by(f64::total_cmp),
            points().map(|point| point.1).max_by(f64::total_cmp),
        ) else {
            return;
        };
        // OK because writing to a string cannot fail, here and below.
        let _ = write!(out, "<figure><figcaption>{}</figcaption>\n<p class=\"legend\">", escape(&self.title));
        for line in self.lines.iter().filter(|line| !line.label.is_empty()) {
            let _ = write!(out, "<span><i class=\"c{}\"></i>{}</span>", line.colour, escape(&line.label));
        }
        out.push_str("</p>\n");
        for frame in &FRAMES {
            self.draw_in(frame, (low, high), out);
        }
        out.push_str("</figure>\n");
    }

    fn draw_in(&self, frame: &Frame, (low, high): (f64, f64), out: &mut String) {
        let xs = || self.lines.iter().flat_map(|line| &line.points).map(|point| point.0);
        let ends = || xs().chain(self.x_ticks.iter().map(|tick| tick.0));
        let (x_low, x_high) = (ends().fold(f64::INFINITY, f64::min), ends().fold(1.0, f64::max));
        let (right, floor) = (frame.width - RIGHT, frame.height - frame.bottom);
        let x = scale((x_low, x_high), (frame.left, right));
        let (bottom, top) = decades(low, high);
        let y = scale((bottom, top), (floor, TOP));
        let _ = write!(
            out,
            "<svg class=\"{}\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n<g class=\"grid\">",
            frame.class,
            frame.width,
            frame.height,
            escape(&self.title),
        );
        for (ns, major) in steps(bottom, top) {
            let at = y(ns);
            let _ = write!(out, "<line x1=\"{}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>", frame.left);
            if major {
                let _ = write!(
                    out,
                    "<text x=\"{}\" y=\"{:.1}\" class=\"end\">{}</text>",
                    frame.left - 6.0,
                    at + 4.0,
                    of_ns(ns)
                );
            }
        }
        let mut taken = f64::NEG_INFINITY;
        for (place, text) in &self.x_ticks {
            let at = x(*place);
            let _ = write!(out, "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{floor}\"/>");
            // A tick whose text would run into the one before keeps its line only.
            let half = text.chars().count() as f64 * CHARACTER / 2.0;
            if at - half - taken >= TICK_SPACE {
                taken = at + half;
                let _ =
                    write!(out, "<text x=\"{at:.1}\" y=\"{:.1}\" class=\"mid\">{}</text>", floor + 17.0, escape(text));
            }
        }
        let middle = f64::midpoint(frame.left, right);
        let _ = write!(
            out,
            "<text x=\"{middle:.1}\" y=\"{:.1}\" class=\"mid name\">{}</text></g>\n<g class=\"lines\">",
            frame.height - 6.0,
            escape(&self.x_name),
        );
        for line in self.lines.iter().filter(|line| !line.points.is_empty()) {
            let path: Vec<String> =
                line.points.iter().map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1))).collect();
            let dashed = if line.dashed { " dashed" } else { "" };
            let _ = write!(out, "<polyline class=\"c{}{dashed}\" points=\"{}\"/>", line.colour, path.join(" "));
        }
        out.push_str("</g></svg>\n");
    }
}

/// From a logarithmic range to a linear one.
fn scale(from: (f64, f64), to: (f64, f64)) -> impl Fn(f64) -> f64 {
    let (low, high) = (from.0.max(1e-9).log10(), from.1.max(1e-9).log10());
    let span = if high - low > 1e-9 { high - low } else { 1.0 };
    move |value| to.0 + (value.max(1e-9).log10() - low) / span * (to.1 - to.0)
}

/// 1, 2 or 5 times a power of ten around a range.
fn decades(low: f64, high: f64) -> (f64, f64) {
    let below = steps(1e0, 1e12).map(|step| step.0).take_while(|step| *step <= low).last().unwrap_or(1.0);
    let above = steps(1e0, 1e12).map(|step| step.0).find(|step| *step >= high && *step > below).unwrap_or(1e12);
    (below, above)
}

/// 1, 2, 5, 10, 20, … within a range, and whether a text stands beside it: all of them in a short range, powers of ten
/// in a long one.
fn steps(low: f64, high: f64) -> impl Iterator<Item = (f64, bool)> {
    let short = high / low <= 200.0;
    let all = (0..=12).flat_map(|power| [1.0, 2.0, 5.0].map(move |step| (step * 10f64.powi(power), step < 1.5)));
    all.filter(move |(at, _)| *at >= low * 0.999 && *at <= high * 1.001).map(move |(at, tens)| (at, tens || short))
}

/// `200 ns`, `5 µs`, `1 ms`, `10 s`.
fn of_ns(ns: f64) -> String {
    match ns {
        ..1e3 => format!("{ns:.0} ns"),
        ..1e6 => format!("{:.0} µs", ns / 1e3),
        ..1e9 => format!("{:.0} ms", ns / 1e6),
        _ => format!("{:.0} s", ns / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers_outside_the_values() {
        assert_eq!(decades(130.0, 4_100.0), (100.0, 5_000.0));
        assert_eq!(decades(100.0, 100.0), (100.0, 200.0));
        assert_eq!([20.0, 5e3, 1e6, 1e10].map(of_ns), ["20 ns", "5 µs", "1 ms", "10 s"]);
    }

    #[test]
    fn ticks_of_percentiles_end_with_the_count() {
        let texts: Vec<String> = nines_ticks(5_000).into_iter().map(|tick| tick.1).collect();
        assert_eq!(texts, ["0 %", "90 %", "99 %", "99.9 %"]);
    }

    #[test]
    fn equal_ends_do_not_divide_by_zero() {
        assert!(scale((5.0, 5.0), (0.0, 10.0))(5.0).is_finite());
    }
}
