//! A report as one HTML file that needs nothing else: no script, no font, no server.
//!
//! Every plot is drawn twice, wide and narrow, and the style sheet shows the one that fits: text of a scaled drawing
//! would be too small on a phone.

use std::fmt::Write as _;

use super::escape::escape;
use super::table::{DISCLAIMER, Unit, disturbances, number, runs, verdict};
use super::{Better, LatencySeries, PERCENTILES, Report, Row, UNDISTURBED, grouped};
use crate::report::plot::{self, Line, Plot};

/// Colours of lines; the style sheet has one for each.
const COLOURS: usize = 8;
/// Halvings of the distance to 100 % that a percentile line is drawn with, four points each.
const TICKS_PER_HALF_DISTANCE: u32 = 4;

/// The page.
#[must_use]
pub fn page(report: &Report) -> String {
    let mut out = String::with_capacity(64 * 1_024);
    let title = format!("bist bench {}", report.name);
    // OK because writing to a string cannot fail, here and below.
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{title}</title>\n<style>{STYLE}</style></head>\n\
         <body><main>\n<header><p class=\"kind\">{title}</p><h1>{}</h1>\n<p class=\"input\">{}</p></header>\n",
        escape(&report.question),
        escape(&report.input),
    );
    figures(&mut out, &report.rows);
    latencies(&mut out, &report.latencies);
    lists(&mut out, report);
    environment(&mut out, report);
    out.push_str("</main></body></html>\n");
    out
}

fn figures(out: &mut String, rows: &[Row]) {
    if rows.is_empty() {
        return;
    }
    out.push_str(
        "<section><h2>Figures</h2>\n<p class=\"note\">The bar ends at the median of the runs, the thin line spans \
                  all runs, the mark is the target.</p>\n",
    );
    for unit in units(rows) {
        let of_unit = rows.iter().filter(|row| row.unit == unit);
        let of_unit: Vec<Row> = of_unit.flat_map(|row| [Some(row.clone()), row.undisturbed()]).flatten().collect();
        let ends = of_unit.iter().flat_map(|row| [row.max().unwrap_or(0.0), row.target.unwrap_or(0.0)]);
        let scale = ends.fold(0.0, f64::max) * 1.05;
        let _ = writeln!(out, "<div class=\"bars\"><h3>{}</h3>", escape(unit));
        of_unit.iter().for_each(|row| bar(out, row, scale));
        out.push_str("</div>\n");
    }
    out.push_str("</section>\n");
}

/// Units in the order in which they first occur.
fn units(rows: &[Row]) -> Vec<&'static str> {
    let mut units = Vec::new();
    for row in rows {
        if !units.contains(&row.unit) {
            units.push(row.unit);
        }
    }
    units
}

fn bar(out: &mut String, row: &Row, scale: f64) {
    let percent = |value: f64| if scale > 0.0 { value / scale * 100.0 } else { 0.0 };
    let (median, min, max) = (row.median().unwrap_or(0.0), row.min().unwrap_or(0.0), row.max().unwrap_or(0.0));
    let _ = write!(
        out,
        "<div class=\"row\"><div class=\"name\">{}</div><div class=\"track\"><div class=\"bar\" style=\"width:{:.2}%\">\
         </div><div class=\"span\" style=\"left:{:.2}%;width:{:.2}%\"></div>",
        escape(&row.name),
        percent(median),
        percent(min),
        percent(max - min).max(0.2),
    );
    if let Some(target) = row.target {
        let _ = write!(out, "<div class=\"target\" style=\"left:{:.2}%\"></div>", percent(target));
    }
    let _ = write!(
        out,
        "</div><div class=\"value\"><b>{}</b> <span class=\"quiet\">[{} – {}] n={}</span>",
        number(median),
        number(min),
        number(max),
        runs(row),
    );
    if let Some(target) = row.target {
        let sign = if row.better == Better::Lower { "≤" } else { "≥" };
        let verdict = verdict(row);
        let _ = write!(out, " <span class=\"{verdict}\">{sign} {} {verdict}</span>", number(target));
    }
    out.push_str("</div></div>\n");
}

fn latencies(out: &mut String, all: &[LatencySeries]) {
    if all.is_empty() {
        return;
    }
    // A round trip has no plan: each one waits for the one before.
    let planned = all.iter().any(|series| series.rate_per_s.is_some());
    let curves = if planned {
        "Solid: from the planned send time, so that a stall counts against everything that was due meanwhile. Dashed: \
         from the real send time, which hides stalls. "
    } else {
        ""
    };
    let _ = writeln!(out, "<section><h2>Latency</h2>\n<p class=\"note\">{curves}{}</p>", escape(DISCLAIMER));
    let names = names(all);
    for name in &names {
        let of_name: Vec<&LatencySeries> = all.iter().filter(|series| series.name == *name).collect();
        by_percentile(out, name, &of_name);
    }
    for name in &names {
        let mut of_name: Vec<&LatencySeries> =
            all.iter().filter(|series| series.name == *name && series.rate_per_s.is_some()).collect();
        of_name.sort_by_key(|series| series.rate_per_s);
        if of_name.len() >= 2 {
            by_rate(out, name, &of_name);
        }
    }
    percentile_table(out, all);
    out.push_str("</section>\n");
}

/// Names of series in the order in which they first occur, `end to end` before the stages it is made of.
fn names(all: &[LatencySeries]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for series in all {
        if !names.contains(&series.name.as_str()) {
            names.push(&series.name);
        }
    }
    names.sort_by_key(|name| *name != "end to end");
    names
}

fn by_percentile(out: &mut String, name: &str, all: &[&LatencySeries]) {
    let mut lines = Vec::new();
    for (n, series) in all.iter().enumerate().filter(|(_, series)| !series.corrected.is_empty()) {
        let label = series.rate_per_s.map_or_else(|| name.to_owned(), |rate| format!("{}/s", grouped(rate)));
        let line = |histogram: &hdrhistogram::Histogram<u64>, dashed| Line {
            label: if dashed { String::new() } else { label.clone() },
            colour: n % COLOURS,
            dashed,
            points: nines(histogram),
        };
        lines.push(line(&series.corrected, false));
        lines.extend(series.uncorrected.as_ref().filter(|one| !one.is_empty()).map(|one| line(one, true)));
    }
    let most = all.iter().map(|series| series.corrected.len()).max().unwrap_or(1);
    let plot = Plot {
        title: format!("{name}: latency by percentile"),
        x_name: "percentile".into(),
        x_ticks: plot::nines_ticks(most),
        lines,
    };
    plot.draw(out);
}

/// Points of a percentile line: 1/(1-quantile) and ns. The last one, of 100 %, stands where one value more would.
fn nines(histogram: &hdrhistogram::Histogram<u64>) -> Vec<(f64, f64)> {
    let far = histogram.len() as f64;
    let steps = histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE);
    steps
        .map(|step| {
            let distance = 1.0 - step.quantile_iterated_to();
            (if distance > 0.0 { (1.0 / distance).min(far) } else { far }, step.value_iterated_to().max(1) as f64)
        })
        .collect()
}

fn by_rate(out: &mut String, name: &str, all: &[&LatencySeries]) {
    let curves = [("50 %", Some(0.5)), ("99 %", Some(0.99)), ("99.9 %", Some(0.999)), ("max", None)];
    let lines = curves.iter().enumerate().map(|(n, (label, quantile))| Line {
        label: (*label).to_owned(),
        colour: n,
        dashed: false,
        points: all
            .iter()
            .filter(|series| !series.corrected.is_empty())
            .map(|series| {
                let of = &series.corrected;
                let ns = quantile.map_or_else(|| of.max(), |quantile| of.value_at_quantile(quantile));
                (series.rate_per_s.unwrap_or(1).max(1) as f64, ns.max(1) as f64)
            })
            .collect(),
    });
    let rates = all.iter().filter_map(|series| series.rate_per_s);
    let plot = Plot {
        title: format!("{name}: latency by rate"),
        x_name: "messages per second".into(),
        x_ticks: rates.map(|rate| (rate.max(1) as f64, short(rate))).collect(),
        lines: lines.collect(),
    };
    plot.draw(out);
}

/// `20000` as `20 k`, for ticks.
fn short(rate: u64) -> String {
    match rate {
        1_000_000.. if rate.is_multiple_of(100_000) => format!("{} M", number_trimmed(rate as f64 / 1e6)),
        1_000.. if rate.is_multiple_of(100) => format!("{} k", number_trimmed(rate as f64 / 1e3)),
        _ => grouped(rate),
    }
}

fn number_trimmed(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

fn percentile_table(out: &mut String, all: &[LatencySeries]) {
    let unit = Unit::of(all);
    let _ = write!(
        out,
        "<div class=\"scroll\"><table><thead><tr><th>{}</th><th>rate/s</th><th>achieved/s</th>",
        unit.name()
    );
    PERCENTILES.iter().for_each(|percentile| {
        let _ = write!(out, "<th>{percentile} %</th>");
    });
    out.push_str("<th>max</th></tr></thead><tbody>\n");
    for series in all {
        let rate = series.rate_per_s.map_or_else(|| "–".into(), grouped);
        let achieved = series.achieved_per_s.map_or_else(|| "–".into(), |rate| grouped(rate.round() as u64));
        let undisturbed = series.undisturbed();
        let all = [
            (escape(&series.name), Some(&series.corrected)),
            ("<span class=\"quiet\">real send time</span>".to_owned(), series.uncorrected.as_ref()),
            (format!("<span class=\"quiet\">{}</span>", UNDISTURBED.trim()), undisturbed.as_ref()),
        ];
        for (name, histogram) in all.into_iter().filter_map(|(name, one)| Some((name, one?))) {
            let _ = write!(out, "<tr><th>{name}</th><td>{rate}</td><td>{achieved}</td>");
            for percentile in PERCENTILES {
                let _ = write!(out, "<td>{}</td>", unit.show(histogram.value_at_percentile(percentile)));
            }
            let _ = writeln!(out, "<td>{}</td></tr>", unit.show(histogram.max()));
        }
    }
    out.push_str("</tbody></table></div>\n");
}

fn lists(out: &mut String, report: &Report) {
    let disturbed = disturbances(&report.latencies);
    let all = [
        ("Checked before any figure", &report.checked),
        ("Not measured", &report.excluded),
        ("Disturbed runs", &disturbed),
    ];
    out.push_str("<section class=\"lists\">\n");
    for (name, lines) in all.iter().filter(|(_, lines)| !lines.is_empty()) {
        let _ = write!(out, "<div><h2>{name}</h2><ul>");
        for line in *lines {
            let _ = write!(out, "<li>{}</li>", escape(line));
        }
        out.push_str("</ul></div>\n");
    }
    out.push_str("</section>\n");
}

fn environment(out: &mut String, report: &Report) {
    out.push_str("<section><h2>Machine and build</h2>\n<dl>");
    for (name, value) in report.environment.facts() {
        let _ = write!(out, "<div><dt>{}</dt><dd>{}</dd></div>", escape(name), escape(value));
    }
    let _ = writeln!(out, "</dl>\n<pre>{}</pre></section>", escape(&report.command));
}

const STYLE: &str = include_str!("report.css");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;
    use crate::measure::{Build, Core, Pin};
    use crate::report::histogram;

    fn report() -> Report {
        let series = |rate, ns: u64| {
            let mut one = histogram();
            (1..=1_000).for_each(|n| one.record(ns + n * n).unwrap());
            LatencySeries {
                rate_per_s: Some(rate),
                uncorrected: Some(one.clone()),
                ..LatencySeries::of_runs("end to end", vec![one])
            }
        };
        Report {
            name: "x".into(),
            question: "Is <b> & \"c\" shown?".into(),
            input: "none".into(),
            command: "bist bench x".into(),
            environment: Environment::read(&Build::default(), &Pin::choose(Core::Unpinned).unwrap()),
            checked: vec!["all".into()],
            excluded: Vec::new(),
            rows: vec![Row::new("a", "ns", Better::Lower, vec![2.0, 3.0, 9.0]).with_target(2.0)],
            latencies: vec![series(1_000, 40_000), series(20_000, 90_000)],
        }
    }

    #[test]
    fn the_page_needs_nothing_else_and_is_balanced() {
        let page = page(&report());
        for outside in ["<script", "<link", "src=", "@import", "url(", "https://"] {
            assert!(!page.contains(outside), "{outside}");
        }
        for tag in ["svg", "section", "div", "g", "table", "tr", "ul", "dl", "text", "p"] {
            let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
        }
        assert!(page.contains("Is &lt;b&gt; &amp; &quot;c&quot; shown?"));
        assert!(page.contains("latency by rate") && page.contains("missed") && page.contains("not STAC"));
        assert!(!page.contains("NaN") && !page.contains("inf"));
        assert!(!page.contains("isturbed"), "nobody looked");
    }

    #[test]
    fn disturbed_runs_are_named_and_both_figures_are_shown() {
        let mut report = report();
        let taken = crate::disturbance::Disturbance { host_ns: 40_000_000, others_ns: 0 };
        let disturbed = vec![taken, Default::default(), Default::default()];
        report.rows[0].disturbed.clone_from(&disturbed);
        report.latencies[0].runs = vec![report.latencies[0].corrected.clone(); 3];
        report.latencies[0].disturbed = disturbed;
        let page = page(&report);
        assert!(page.contains("n=3, 1 disturbed") && page.contains("n=2</span>"));
        assert!(page.contains("<h2>Disturbed runs</h2>") && page.contains("run 1 of 3: the host took 40 ms"));
    }

    #[test]
    fn an_empty_series_is_drawn_as_nothing() {
        let empty = Report { latencies: vec![LatencySeries::of_runs("x", Vec::new())], rows: Vec::new(), ..report() };
        let page = page(&empty);
        assert!(!page.contains("NaN") && !page.contains("inf"));
    }

    #[test]
    fn rates_are_short_on_ticks() {
        assert_eq!([999, 1_000, 2_500, 1_500_000, 1_234].map(short), ["999", "1 k", "2.5 k", "1.5 M", "1,234"]);
    }
}
