//! Plots as SVG files: the ROC curve, the precision-recall curve, and how scores are spread among frauds and the rest.
//!
//! Written by hand: three plots need no library. Every number in them has a fixed number of digits, so that the same
//! figures give the same bytes.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;

use super::metrics::{Curve, Measured, Rank, ratio};
use super::report::Evaluation;

/// Size of a plot, and the margins around its axes: left, top, right, bottom.
const SIZE: (f64, f64) = (680.0, 480.0);
const MARGIN: (f64, f64, f64, f64) = (72.0, 76.0, 28.0, 62.0);
const INK: &str = "#1f2937";
const FAINT: &str = "#6b7280";
const BLUE: &str = "#2563eb";
const RED: &str = "#dc2626";
const GREY: &str = "#94a3b8";
const GRID: &str = "#e5e7eb";
/// Points of the score that one bar covers.
const BAR_POINTS: u8 = 5;

/// Writes `roc.svg`, `precision-recall.svg` and `scores.svg` into a folder, which is made if it is not there.
pub(crate) fn draw(evaluation: &Evaluation, rank: Rank, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    let measured = &evaluation.measured;
    let curve = Curve::of(measured.iter().map(|order| (rank.of(order), order.is_fraud)));
    let plots = [
        ("roc.svg", roc(&curve)),
        ("precision-recall.svg", precision_recall(&curve)),
        ("scores.svg", scores(measured)),
    ];
    for (name, plot) in plots {
        let path = folder.join(name);
        std::fs::write(&path, plot).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

fn roc(curve: &Curve) -> String {
    let area = curve.auc().map_or_else(|| "no area".to_owned(), |auc| format!("area {auc:.3}"));
    let mut plot = Plot::begin("Receiver operating characteristic", &format!("{area}, {}", counted(curve)), 1.0);
    plot.axes("legitimate orders flagged, %", "frauds found");
    plot.line(&[(0.0, 0.0), (1.0, 1.0)], GREY, "stroke-dasharray=\"5 5\" stroke-width=\"1.5\"");
    let points = curve.roc();
    plot.area(&points);
    plot.line(&points, BLUE, "stroke-width=\"2.5\" stroke-linejoin=\"round\"");
    plot.end()
}

fn precision_recall(curve: &Curve) -> String {
    let average = curve.average_precision().map_or_else(|| "none".to_owned(), |average| format!("{average:.3}"));
    let subtitle = format!("average precision {average}, {}", counted(curve));
    let mut plot = Plot::begin("Precision and recall", &subtitle, 1.0);
    plot.axes("frauds found (recall), %", "flagged orders that are fraud (precision)");
    let share = ratio(curve.fraud(), curve.orders());
    plot.line(&[(0.0, share), (1.0, share)], GREY, "stroke-dasharray=\"5 5\" stroke-width=\"1.5\"");
    // Average precision is the area below these steps: each cut holds for the recall that it adds.
    let mut steps = Vec::new();
    let mut reached = 0.0;
    for (recall, precision) in curve.precision_recall() {
        steps.extend([(reached, precision), (recall, precision)]);
        reached = recall;
    }
    plot.area(&steps);
    plot.line(&steps, BLUE, "stroke-width=\"2.5\" stroke-linejoin=\"round\"");
    plot.end()
}

fn scores(measured: &[Measured]) -> String {
    const BARS: usize = 100 / BAR_POINTS as usize;
    let mut counts = [[0u64; 2]; BARS];
    for order in measured {
        counts[usize::from(order.score / BAR_POINTS).min(BARS - 1)][usize::from(order.is_fraud)] += 1;
    }
    let total = |kind: usize| counts.iter().map(|bar| bar[kind]).sum::<u64>();
    let totals = [total(0), total(1)];
    let highest = counts.iter().flat_map(|bar| [0, 1].map(|kind| ratio(bar[kind], totals[kind]))).fold(0.0, f64::max);
    // Heights whose fifths are round numbers.
    let scale = [0.1, 0.25, 0.5].into_iter().find(|scale| highest <= *scale).unwrap_or(1.0);
    let mut plot = Plot::begin("Risk scores", "share of each kind by score", scale);
    plot.axes("risk score, 0 to 100", "share of the orders of a kind");
    let width = 1.0 / BARS as f64;
    for (index, bar) in counts.iter().enumerate() {
        for (kind, colour) in [(0, GREY), (1, RED)] {
            let left = (index as f64 + 0.08 + 0.43 * kind as f64) * width;
            plot.bar(left, 0.4 * width, ratio(bar[kind], totals[kind]), colour);
        }
    }
    plot.legend(&[(GREY, format!("legitimate ({})", totals[0])), (RED, format!("fraud ({})", totals[1]))]);
    plot.end()
}

fn counted(curve: &Curve) -> String {
    format!("{} frauds among {} orders", curve.fraud(), curve.orders())
}

/// An SVG document in the making. Coordinates of data run from 0 to 1, and from 0 to `highest` upwards.
struct Plot {
    svg: String,
    highest: f64,
}

impl Plot {
    fn begin(title: &str, subtitle: &str, highest: f64) -> Self {
        let (width, height) = SIZE;
        let left = MARGIN.0;
        let svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             font-family=\"system-ui, 'Segoe UI', Helvetica, Arial, sans-serif\" font-size=\"13\">\n\
             <title>{title}</title>\n<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
             <text x=\"{left}\" y=\"32\" font-size=\"18\" font-weight=\"600\" fill=\"{INK}\">{title}</text>\n\
             <text x=\"{left}\" y=\"54\" fill=\"{FAINT}\">{subtitle}</text>\n"
        );
        Self { svg, highest }
    }

    fn x(share: f64) -> f64 {
        MARGIN.0 + share * (SIZE.0 - MARGIN.0 - MARGIN.2)
    }

    fn y(&self, value: f64) -> f64 {
        SIZE.1 - MARGIN.3 - value / self.highest * (SIZE.1 - MARGIN.1 - MARGIN.3)
    }

    fn tag(&mut self, tag: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.svg.write_fmt(tag);
        self.svg.push('\n');
    }

    fn text(&mut self, place: &str, anchor: &str, colour: &str, text: &str) {
        self.tag(format_args!("<text {place} text-anchor=\"{anchor}\" fill=\"{colour}\">{text}</text>"));
    }

    /// A grid of fifths with its labels, and what the axes are.
    fn axes(&mut self, across: &str, upwards: &str) {
        let (left, right, bottom, top) = (Self::x(0.0), Self::x(1.0), self.y(0.0), self.y(self.highest));
        for fifth in 0..=5u8 {
            let share = f64::from(fifth) / 5.0;
            let (x, y) = (Self::x(share), self.y(share * self.highest));
            let colour = if fifth == 0 { FAINT } else { GRID };
            self.tag(format_args!("<path d=\"M{left:.1} {y:.1}H{right:.1}\" stroke=\"{colour}\"/>"));
            self.tag(format_args!("<path d=\"M{x:.1} {top:.1}V{bottom:.1}\" stroke=\"{colour}\"/>"));
            let below = format!("x=\"{x:.1}\" y=\"{:.1}\"", bottom + 20.0);
            self.text(&below, "middle", FAINT, &format!("{:.0}", share * 100.0));
            let beside = format!("x=\"{:.1}\" y=\"{:.1}\"", left - 10.0, y + 4.5);
            self.text(&beside, "end", FAINT, &format!("{:.0} %", share * self.highest * 100.0));
        }
        let below = format!("x=\"{:.1}\" y=\"{:.1}\"", (left + right) / 2.0, SIZE.1 - 16.0);
        self.text(&below, "middle", INK, across);
        let upright = format!("transform=\"translate(18 {:.1}) rotate(-90)\"", (top + bottom) / 2.0);
        self.text(&upright, "middle", INK, upwards);
    }

    fn path(&self, points: &[(f64, f64)]) -> String {
        let corner = |(x, y): &(f64, f64)| format!("{:.1},{:.1}", Self::x(*x), self.y(*y));
        let mut corners: Vec<String> = points.iter().map(corner).collect();
        corners.dedup(); // points closer than a tenth of a pixel are one
        corners.join(" ")
    }

    fn line(&mut self, points: &[(f64, f64)], colour: &str, style: &str) {
        let path = self.path(points);
        self.tag(format_args!("<polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" {style}/>"));
    }

    /// The area below a curve, closed by the two lower corners.
    fn area(&mut self, points: &[(f64, f64)]) {
        let path = self.path(&[points, &[(1.0, 0.0), (0.0, 0.0)]].concat());
        self.tag(format_args!("<polygon points=\"{path}\" fill=\"{BLUE}\" fill-opacity=\"0.10\"/>"));
    }

    fn bar(&mut self, left: f64, width: f64, value: f64, colour: &str) {
        let (x, y, bottom) = (Self::x(left), self.y(value), self.y(0.0));
        let (wide, high) = (Self::x(left + width) - x, bottom - y);
        if value > 0.0 {
            self.tag(format_args!(
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{high:.1}\" fill=\"{colour}\"/>"
            ));
        }
    }

    fn legend(&mut self, entries: &[(&str, String)]) {
        for (index, (colour, text)) in entries.iter().rev().enumerate() {
            let (x, y) = (SIZE.0 - MARGIN.2 - 150.0 * (index + 1) as f64, 54.0);
            let (left, top) = (x + 20.0, y - 10.5);
            self.tag(format_args!(
                "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"12\" height=\"12\" rx=\"2\" fill=\"{colour}\"/>"
            ));
            self.text(&format!("x=\"{left:.1}\" y=\"{y:.1}\""), "start", INK, text);
        }
    }

    fn end(mut self) -> String {
        self.svg.push_str("</svg>\n");
        self.svg
    }
}
