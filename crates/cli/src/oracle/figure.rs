//! The picture of a feed: its values, how late each was written, and how the
//! lateness is spread, as one SVG.

use std::ops::Range;

use jiff::{SignedDuration, Timestamp};
use plotters::chart::ChartContext;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::percentiles::Percentiles;

/// What is drawn.
pub(crate) struct Figure {
    pub(crate) title: String,
    pub(crate) subtitle: String,
    /// The time axis reaches from the first of these to the second.
    pub(crate) span: (Timestamp, Timestamp),
    /// Slots farther apart than this are not joined by a line.
    pub(crate) step: SignedDuration,
    /// Ascending.
    pub(crate) published: Vec<Point>,
    pub(crate) missed: Vec<Timestamp>,
}

/// A published slot. Drawing needs no more than a float tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) slot: Timestamp,
    pub(crate) value: f64,
    pub(crate) late_ms: i128,
}

const WIDTH: u32 = 1600;
const HEADER: i32 = 128;
const PANEL: i32 = 430;
const LEFT: u32 = 130;
const RIGHT: u32 = 150;
/// Above the plots of a panel, where its title is.
const TOP: u32 = 64;
const BOTTOM: u32 = 62;
/// Columns that a line is thinned out to: more than the eye, or a screen, resolves.
const COLUMNS: usize = 1300;
/// With fewer points than this each has a dot.
const DOTS: usize = 400;

const FONT: &str = "Helvetica, Arial, sans-serif";
const PAPER: RGBColor = RGBColor(255, 255, 255);
const INK: RGBColor = RGBColor(17, 24, 39);
const MUTED: RGBColor = RGBColor(75, 85, 99);
const GRID: RGBColor = RGBColor(229, 231, 235);
const AXIS: RGBColor = RGBColor(156, 163, 175);
const VALUE: RGBColor = RGBColor(37, 99, 235);
const LATE: RGBColor = RGBColor(13, 148, 136);
const P50: RGBColor = RGBColor(79, 70, 229);
const P99: RGBColor = RGBColor(217, 119, 6);
const MISSED: RGBColor = RGBColor(220, 38, 38);

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<T = ()> = Result<T, DrawingAreaErrorKind<std::io::Error>>;
type Chart<'a, 'b, X> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<X, RangedCoordf64>>;

impl Figure {
    /// The picture as the text of an SVG file.
    pub(crate) fn svg(&self) -> Result<String, String> {
        let mut text = String::new();
        let height = u32::try_from(HEADER + 3 * PANEL).unwrap_or_default();
        {
            let root = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
            self.draw(&root).map_err(|error| error.to_string())?;
        }
        Ok(text)
    }

    fn draw(&self, root: &Area<'_>) -> Drawn {
        root.fill(&PAPER)?;
        root.draw(&Text::new(
            self.title.clone(),
            (48, 36),
            font(40).style(FontStyle::Bold).color(&INK),
        ))?;
        root.draw(&Text::new(
            self.subtitle.clone(),
            (48, 86),
            font(25).color(&MUTED),
        ))?;
        let panel = |number: i32| {
            let top = HEADER + number * PANEL;
            let width = i32::try_from(WIDTH).unwrap_or_default();
            root.clone().shrink((0, top), (width, PANEL))
        };
        let late = Percentiles::of(self.published.iter().map(|point| point.late_ms).collect());
        self.values(&panel(0))?;
        self.lateness(&panel(1), late)?;
        self.histogram(&panel(2), late)
    }

    fn values(&self, area: &Area<'_>) -> Drawn {
        let points = self.series(|point| point.value);
        let range = padded(points.iter().map(|&(_, value)| value));
        let mut chart = self.over_time(area, "Value", range, &tick)?;
        let missed: Vec<_> = self
            .missed
            .iter()
            .map(|time| time.as_millisecond())
            .collect();
        let (across, down) = chart.plotting_area().get_pixel_range();
        for &time in &missed {
            let x = chart.backend_coord(&(time, 0.0)).0 - across.start;
            // A faint line through the panel, a clear mark on its axis.
            let on_axis = |top: i32, alpha: f64, width: u32| {
                let style = MISSED.mix(alpha).stroke_width(width);
                PathElement::new(vec![(x, top), (x, down.end - down.start)], style)
            };
            let plot = chart.plotting_area().strip_coord_spec();
            plot.draw(&on_axis(0, 0.18, 2))?;
            plot.draw(&on_axis(down.end - down.start - 16, 1.0, 4))?;
        }
        self.line(&mut chart, &points, VALUE)?;
        if !missed.is_empty() {
            legend(area, "missed slot", MISSED)?;
        }
        if points.is_empty() {
            empty(area)?;
        }
        Ok(())
    }

    fn lateness(&self, area: &Area<'_>, late: Option<Percentiles>) -> Drawn {
        let points = self.series(|point| float(point.late_ms));
        let mut highest = 1.0_f64;
        let mut lowest = 0.0_f64;
        for &(_, late) in &points {
            highest = highest.max(late);
            lowest = lowest.min(late);
        }
        let range = lowest * 1.08..highest * 1.08;
        let name = "Lateness: ms from the slot until it was written";
        let mut chart = self.over_time(area, name, range, &tick)?;
        // No line: one slot's lateness says nothing of the next one's.
        let (size, opacity) = match points.len() {
            count if count <= DOTS => (4, 0.8),
            count if count <= 10 * DOTS => (3, 0.7),
            _ => (2, 0.6),
        };
        let dots = thin(&points, COLUMNS)
            .into_iter()
            .map(|at| Circle::new(at, size, LATE.mix(opacity).filled()));
        chart.draw_series(dots)?;
        let Some(late) = late else {
            return empty(area);
        };
        // The labels stand beside the lines, but never on each other.
        let ends = [(late.p99_ms, "p99", P99), (late.p50_ms, "p50", P50)];
        let mut above = i32::MIN;
        let (span, origin) = (chart.x_range(), area.get_base_pixel());
        for (value, name, colour) in ends {
            let line = [(span.start, float(value)), (span.end, float(value))];
            chart.draw_series(DashedLineSeries::new(line, 9, 6, colour.stroke_width(2)))?;
            let (x, y) = chart.backend_coord(&(span.end, float(value)));
            let y = (y - origin.1).max(above.saturating_add(24));
            above = y;
            area.draw(&Text::new(
                format!("{name} {value} ms"),
                (x - origin.0 + 10, y),
                font(21)
                    .color(&colour)
                    .pos(Pos::new(HPos::Left, VPos::Center)),
            ))?;
        }
        Ok(())
    }

    fn histogram(&self, area: &Area<'_>, late: Option<Percentiles>) -> Drawn {
        heading(
            area,
            "Lateness: number of slots by ms from the slot until it was written",
        )?;
        let Some(late) = late else {
            return empty(area);
        };
        let values: Vec<_> = self.published.iter().map(|point| point.late_ms).collect();
        let bins = Bins::of(&values, late.p99_ms);
        let tallest = bins.counts.iter().copied().max().unwrap_or(0);
        let top = float(i128::try_from(tallest).unwrap_or_default()) * 1.1;
        let across = float(bins.start)..float(bins.end());
        let mut chart = plot(area).build_cartesian_2d(across, 0.0..top.max(1.1))?;
        let last = bins.counts.len().saturating_sub(1);
        let label = |late: &f64| {
            let end = bins.cut && *late >= float(bins.end());
            if end { "later".to_owned() } else { tick(late) }
        };
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(AXIS)
            .x_labels(12)
            .y_labels(5)
            .x_label_formatter(&label)
            .y_label_formatter(&tick)
            .label_style(font(21).color(&MUTED))
            .axis_desc_style(font(21).color(&MUTED))
            .x_desc("ms")
            .draw()?;
        let base = chart.plotting_area().get_base_pixel();
        let (_, down) = chart.plotting_area().get_pixel_range();
        let shapes = chart.plotting_area().strip_coord_spec();
        for (number, &count) in bins.counts.iter().enumerate() {
            if count == 0 {
                continue;
            }
            let left = bins.start + bins.width * i128::try_from(number).unwrap_or_default();
            let height = float(i128::try_from(count).unwrap_or_default());
            let (x0, y0) = chart.backend_coord(&(float(left), height));
            let (x1, _) = chart.backend_coord(&(float(left + bins.width), 0.0));
            let colour = if bins.cut && number == last {
                P99
            } else {
                LATE
            };
            let corners = [
                (x0 - base.0 + 1, (y0 - base.1).min(down.end - base.1 - 2)),
                ((x1 - base.0 - 1).max(x0 - base.0 + 2), down.end - base.1),
            ];
            shapes.draw(&Rectangle::new(corners, colour.filled()))?;
        }
        if bins.cut {
            let beyond = bins.counts.last().copied().unwrap_or(0);
            let text = format!("{beyond} later than {} ms", bins.end() - bins.width);
            legend(area, &text, P99)?;
        }
        Ok(())
    }

    /// A panel with time across, its grid and its labels.
    fn over_time<'b>(
        &self,
        area: &Area<'b>,
        name: &str,
        range: Range<f64>,
        label: &dyn Fn(&f64) -> String,
    ) -> Drawn<Chart<'b, 'b, Times>> {
        heading(area, name)?;
        let (from, to) = self.span;
        let times = Times(from.as_millisecond()..to.as_millisecond());
        let mut chart = plot(area).build_cartesian_2d(times, range)?;
        chart
            .configure_mesh()
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(AXIS)
            .x_labels(10)
            .y_labels(6)
            .y_label_formatter(label)
            .label_style(font(21).color(&MUTED))
            .axis_desc_style(font(21).color(&MUTED))
            .x_desc("UTC")
            .draw()?;
        Ok(chart)
    }

    fn series(&self, of: impl Fn(&Point) -> f64) -> Vec<(i64, f64)> {
        self.published
            .iter()
            .map(|point| (point.slot.as_millisecond(), of(point)))
            .collect()
    }

    /// A line that is broken where slots are missing.
    fn line(
        &self,
        chart: &mut Chart<'_, '_, Times>,
        points: &[(i64, f64)],
        colour: RGBColor,
    ) -> Drawn {
        let step = i64::try_from(self.step.as_millis()).unwrap_or(i64::MAX);
        for run in points.chunk_by(|one, next| next.0 - one.0 <= step) {
            let thin = thin(run, COLUMNS * run.len() / points.len() + 1);
            chart.draw_series(LineSeries::new(thin, colour.stroke_width(2)))?;
            // A lone point makes no line.
            if points.len() <= DOTS || run.len() == 1 {
                let dots = run.iter().map(|&at| Circle::new(at, 3, colour.filled()));
                chart.draw_series(dots)?;
            }
        }
        Ok(())
    }
}

fn font(size: u32) -> FontDesc<'static> {
    FontDesc::new(FontFamily::Name(FONT), f64::from(size), FontStyle::Normal)
}

fn plot<'a, 'b>(area: &'a Area<'b>) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut builder = ChartBuilder::on(area);
    builder
        .margin_top(TOP)
        .margin_right(RIGHT)
        .x_label_area_size(BOTTOM)
        .y_label_area_size(LEFT);
    builder
}

fn heading(area: &Area<'_>, text: &str) -> Drawn {
    let style = font(27).style(FontStyle::Bold).color(&INK);
    area.draw(&Text::new(text.to_owned(), (48, 22), style))
}

/// What a colour stands for, at the panel's upper right.
fn legend(area: &Area<'_>, text: &str, colour: RGBColor) -> Drawn {
    let right = i32::try_from(WIDTH - RIGHT).unwrap_or_default();
    let style = font(21)
        .color(&colour)
        .pos(Pos::new(HPos::Right, VPos::Center));
    area.draw(&Text::new(format!("\u{25ae} {text}"), (right, 38), style))
}

fn empty(area: &Area<'_>) -> Drawn {
    let middle = (i32::try_from(WIDTH).unwrap_or_default() / 2, PANEL / 2);
    let style = font(25)
        .color(&MUTED)
        .pos(Pos::new(HPos::Center, VPos::Center));
    area.draw(&Text::new("no slot was published", middle, style))
}

#[allow(clippy::cast_precision_loss, reason = "a picture is no more precise")]
pub(crate) fn float(value: i128) -> f64 {
    value as f64
}

/// A tick's number without the noise of binary fractions.
fn tick(value: &f64) -> String {
    let size = value.abs();
    if size >= 1e12 {
        return format!("{value:.3e}");
    }
    let decimals = if size >= 1e6 { 2 } else { 6 };
    let text = format!("{value:.decimals$}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" {
        return "0".to_owned();
    }
    text.to_owned()
}

/// The range of some values with room above and below.
fn padded(values: impl Iterator<Item = f64>) -> Range<f64> {
    let bounds = values.fold(None, |bounds: Option<(f64, f64)>, value| {
        let (low, high) = bounds.unwrap_or((value, value));
        Some((low.min(value), high.max(value)))
    });
    let (low, high) = bounds.unwrap_or((0.0, 1.0));
    let room = if high > low {
        (high - low) * 0.08
    } else {
        (high.abs() * 0.01).max(1.0)
    };
    low - room..high + room
}

/// Of each column its first, lowest, highest and last point: what is drawn
/// looks the same with all of them.
fn thin(points: &[(i64, f64)], columns: usize) -> Vec<(i64, f64)> {
    if points.len() <= columns * 4 {
        return points.to_vec();
    }
    let mut kept = Vec::new();
    for column in points.chunks(points.len().div_ceil(columns)) {
        let by_value = |one: &usize, other: &usize| column[*one].1.total_cmp(&column[*other].1);
        let lowest = (0..column.len()).min_by(by_value).unwrap_or(0);
        let highest = (0..column.len()).max_by(by_value).unwrap_or(0);
        let mut chosen = [0, lowest, highest, column.len() - 1];
        chosen.sort_unstable();
        kept.extend(chosen.map(|index| column[index]));
    }
    kept.dedup();
    kept
}

/// How many values lie between one multiple of the width and the next.
#[derive(Debug, PartialEq)]
struct Bins {
    start: i128,
    width: i128,
    counts: Vec<usize>,
    /// Whether the last bin also has everything beyond it, so that few very
    /// late slots do not squeeze all others into one bar.
    cut: bool,
}

impl Bins {
    fn of(values: &[i128], p99: i128) -> Self {
        let lowest = values.iter().copied().min().unwrap_or(0);
        let highest = values.iter().copied().max().unwrap_or(0);
        let reach = lowest + (p99 - lowest).max(1) * 5 / 4;
        let cut = highest > lowest + (p99 - lowest).max(1) * 2;
        let end = if cut { reach } else { highest };
        let width = [1, 2, 5]
            .into_iter()
            .cycle()
            .zip([1, 1, 1, 10, 10, 10, 100, 100, 100, 1000, 1000, 1000])
            .map(|(digit, power)| digit * power)
            .find(|width| (end - lowest) / width < 60)
            .unwrap_or((end - lowest) / 60 + 1);
        let start = lowest.div_euclid(width) * width;
        let bins = usize::try_from((end - start) / width).unwrap_or(0) + 1 + usize::from(cut);
        let mut counts = vec![0; bins];
        for value in values {
            let bin = usize::try_from((value - start) / width).unwrap_or(0);
            if let Some(count) = counts.get_mut(bin.min(bins - 1)) {
                *count += 1;
            }
        }
        Self {
            start,
            width,
            counts,
            cut,
        }
    }

    fn end(&self) -> i128 {
        self.start + self.width * i128::try_from(self.counts.len()).unwrap_or_default()
    }
}

/// Milliseconds since 1970, with ticks where a person expects them.
struct Times(Range<i64>);

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const STEPS: [i64; 22] = [
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    15 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    5 * DAY,
    10 * DAY,
    30 * DAY,
];

impl Times {
    fn step(&self, ticks: usize) -> i64 {
        let ticks = i64::try_from(ticks.max(1)).unwrap_or(1);
        let wanted = (self.0.end - self.0.start) / ticks;
        STEPS
            .into_iter()
            .find(|step| *step >= wanted)
            .unwrap_or(wanted.max(1))
    }
}

impl Ranged for Times {
    type FormatOption = NoDefaultFormatting;
    type ValueType = i64;

    fn map(&self, value: &i64, limit: (i32, i32)) -> i32 {
        let whole = (self.0.end - self.0.start).max(1);
        let pixels = i64::from(limit.1 - limit.0);
        let offset = i128::from(value - self.0.start) * i128::from(pixels) / i128::from(whole);
        limit.0.saturating_add(i32::try_from(offset).unwrap_or(0))
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<i64> {
        let step = self.step(hint.bold_points());
        let first = self.0.start.div_euclid(step) * step;
        (first..=self.0.end)
            .step_by(usize::try_from(step).unwrap_or(1))
            .filter(|tick| *tick >= self.0.start)
            .collect()
    }

    fn range(&self) -> Range<i64> {
        self.0.clone()
    }
}

impl ValueFormatter<i64> for Times {
    fn format_ext(&self, value: &i64) -> String {
        let whole = self.0.end - self.0.start;
        let format = if whole > 2 * DAY {
            "%b %-d %H:%M"
        } else if whole > 20 * MINUTE {
            "%H:%M"
        } else {
            "%H:%M:%S"
        };
        Timestamp::from_millisecond(*value)
            .map(|time| time.strftime(format).to_string())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_has_no_noise() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (0.1 + 0.2, "0.3"),
            (-12.5, "-12.5"),
            (3140.0, "3140"),
            (97_000.25, "97000.25"),
            (1_234_567.125, "1234567.12"),
            (2.5e12, "2.500e12"),
        ] {
            assert_eq!(tick(&value), text);
        }
    }

    #[test]
    fn a_thinned_line_keeps_its_ends_and_its_extremes() {
        let value = |time: i64| if time == 777 { 9.0 } else { 1.0 };
        let points: Vec<_> = (0..10_000).map(|time| (time, value(time))).collect();
        let thin = thin(&points, 100);
        assert!(thin.len() <= 400, "{}", thin.len());
        assert_eq!(thin.first(), Some(&(0, 1.0)));
        assert_eq!(thin.last(), Some(&(9_999, 1.0)));
        assert!(thin.contains(&(777, 9.0)));
        assert!(thin.is_sorted_by_key(|point| point.0));
        assert_eq!(super::thin(&points[..10], 100), points[..10]);
    }

    #[test]
    fn every_value_is_in_a_bin() {
        for (values, p99, width, bins, cut) in [
            (vec![7], 7, 1, 1, false),
            (vec![40, 41, 99], 99, 1, 60, false),
            (vec![-3, 0, 110], 110, 2, 58, false),
            ((0..100).chain([5000]).collect(), 99, 5, 26, true),
        ] {
            let of = Bins::of(&values, p99);
            assert_eq!((of.width, of.counts.len(), of.cut), (width, bins, cut));
            assert_eq!(of.counts.iter().sum::<usize>(), values.len());
            assert!(of.start <= values[0] && values[0] < of.start + of.width);
        }
    }

    #[test]
    fn ticks_of_time_are_where_a_person_expects_them() {
        let start: Timestamp = "2026-11-21T11:00:07Z".parse().unwrap();
        let start = start.as_millisecond();
        for (length, ticks) in [
            (
                20 * SECOND,
                vec!["11:00:10", "11:00:15", "11:00:20", "11:00:25"],
            ),
            (5 * HOUR, vec!["12:00", "13:00", "14:00", "15:00", "16:00"]),
            (
                3 * DAY,
                vec!["Nov 22 00:00", "Nov 23 00:00", "Nov 24 00:00"],
            ),
        ] {
            let times = Times(start..start + length);
            let texts: Vec<_> = times
                .key_points(5)
                .iter()
                .map(|tick| times.format_ext(tick))
                .collect();
            assert_eq!(texts, ticks);
        }
    }

    #[test]
    fn a_picture_is_drawn_of_anything() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let point = |second, value, late_ms| Point {
            slot: at(second),
            value,
            late_ms,
        };
        for (published, missed) in [
            (vec![], vec![at(2)]),
            (vec![point(0, 0.0, 0)], vec![]),
            (
                vec![point(0, -1e30, -5), point(2, 1e30, 100_000)],
                vec![at(4)],
            ),
        ] {
            let figure = Figure {
                title: "<&>".to_owned(),
                subtitle: String::new(),
                span: (at(0), at(1)),
                step: SignedDuration::from_secs(2),
                published,
                missed,
            };
            let svg = figure.svg().unwrap();
            assert!(svg.contains("&lt;&amp;&gt;"));
            assert!(!svg.contains("NaN") && !svg.contains("inf"));
        }
    }
}
