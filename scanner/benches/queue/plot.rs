//! How cost grows with the number of connections, drawn on two logarithmic axes.

use crate::measure::Measured;
use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 440.0;
/// Where the drawing begins and ends: to its right stand the lines' names.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 520.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 388.0;
/// Between two names.
const LINE_HEIGHT: f64 = 17.0;

/// Light and dark by turns of the reader's own: what is drawn has no background.
const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#3d444d}.head{font-weight:600;font-size:15px}\
    .grid{stroke:#8b949e;stroke-opacity:.3}.line{fill:none;stroke-width:2;stroke-linejoin:round}\
    @media(prefers-color-scheme:dark){text{fill:#c9d1d9}}";

struct Line {
    name: String,
    colour: &'static str,
    points: Vec<(f64, f64)>,
}

/// A logarithmic axis.
struct Axis {
    /// Powers of ten.
    from: f64,
    to: f64,
    begins: f64,
    ends: f64,
}

impl Axis {
    /// From the power of ten below all of them to the one above.
    fn over(values: impl Iterator<Item = f64>, begins: f64, ends: f64) -> Self {
        let powers: Vec<_> = values.filter(|it| *it > 0.0).map(f64::log10).collect();
        let from = powers.iter().copied().fold(f64::INFINITY, f64::min).floor();
        let to = powers.iter().copied().fold(f64::NEG_INFINITY, f64::max).ceil();
        Self { from, to: to.max(from + 1.0), begins, ends }
    }

    fn at(&self, value: f64) -> f64 {
        self.begins + (value.log10() - self.from) / (self.to - self.from) * (self.ends - self.begins)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        (self.from as i32..=self.to as i32).map(|power| 10f64.powi(power))
    }
}

pub(crate) fn svg(all: &[Measured]) -> String {
    let lines = lines(all);
    let points = || lines.iter().flat_map(|line| line.points.iter());
    let x = Axis::over(points().map(|it| it.0), LEFT, RIGHT);
    let y = Axis::over(points().map(|it| it.1), BOTTOM, TOP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n\
         <title>What handing over scans costs, by the number of connections</title>\n<style>{STYLE}</style>\n\
         <text class=\"head\" x=\"{LEFT}\" y=\"24\">Milliseconds, by connections due at once</text>\n"
    );
    grid(&mut svg, &x, &y);
    for line in &lines {
        let points: Vec<_> =
            line.points.iter().map(|(a, b)| format!("{:.1},{:.1}", x.at(*a), y.at(*b))).collect();
        let (colour, points) = (line.colour, points.join(" "));
        put(&mut svg, &format!("<polyline class=\"line\" stroke=\"{colour}\" points=\"{points}\"/>"));
        for (a, b) in &line.points {
            let (a, b) = (x.at(*a), y.at(*b));
            put(&mut svg, &format!("<circle cx=\"{a:.1}\" cy=\"{b:.1}\" r=\"3.5\" fill=\"{colour}\"/>"));
        }
    }
    names(&mut svg, &lines, &y);
    svg + "</svg>\n"
}

fn lines(all: &[Measured]) -> Vec<Line> {
    let line = |name: &str, colour, of: &dyn Fn(&Measured) -> Option<f64>| {
        let points = all.iter().filter_map(|it| Some((it.connections as f64, of(it)?))).collect();
        Line { name: name.to_owned(), colour, points }
    };
    vec![
        line("a tick, all due", "#d1495b", &|it| Some(it.ring.p50_ms)),
        line("a tick, nothing due", "#e08e45", &|it| Some(it.idle.p50_ms)),
        line("a scan, 1 worker", "#2f6fde", &|it| it.drains.first().map(|it| 1000.0 / it.ours.per_second)),
        line("bare SKIP LOCKED", "#3a9d5d", &|it| {
            it.drains.first().map(|it| 1000.0 / it.bare_postgres.per_second)
        }),
        line("opening a scan", "#8e5bd0", &|it| Some(1000.0 / it.fire.per_second)),
        line("bare BRPOP", "#8b949e", &|it| it.drains.first().map(|it| 1000.0 / it.bare_redis.per_second)),
    ]
}

fn grid(svg: &mut String, x: &Axis, y: &Axis) {
    for tick in x.ticks() {
        let at = x.at(tick);
        put(svg, &format!("<path class=\"grid\" d=\"M{at:.1} {TOP}V{BOTTOM}\"/>"));
        put(
            svg,
            &format!(
                "<text x=\"{at:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>",
                BOTTOM + 22.0,
                thousands(tick)
            ),
        );
    }
    for tick in y.ticks() {
        let at = y.at(tick);
        put(svg, &format!("<path class=\"grid\" d=\"M{LEFT} {at:.1}H{RIGHT}\"/>"));
        put(
            svg,
            &format!(
                "<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                at + 4.5,
                thousands(tick)
            ),
        );
    }
}

/// Each beside the end of its line, unless another one stands there.
fn names(svg: &mut String, lines: &[Line], y: &Axis) {
    let mut named: Vec<_> =
        lines.iter().filter_map(|line| Some((y.at(line.points.last()?.1), line))).collect();
    named.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let mut free = f64::NEG_INFINITY;
    for (at, line) in named {
        let at = at.max(free);
        free = at + LINE_HEIGHT;
        let Some((_, value)) = line.points.last() else { continue };
        put(
            svg,
            &format!("<circle cx=\"{:.0}\" cy=\"{at:.1}\" r=\"4\" fill=\"{}\"/>", RIGHT + 16.0, line.colour),
        );
        put(
            svg,
            &format!(
                "<text x=\"{:.0}\" y=\"{:.1}\">{}: {}</text>",
                RIGHT + 26.0,
                at + 4.5,
                line.name,
                short(*value)
            ),
        );
    }
}

fn put(svg: &mut String, element: &str) {
    // Writing to a string never fails.
    let _ = writeln!(svg, "{element}");
}

fn thousands(value: f64) -> String {
    match value {
        1_000_000.0.. => format!("{:.0}M", value / 1_000_000.0),
        1_000.0.. => format!("{:.0}k", value / 1_000.0),
        _ => value.to_string(),
    }
}

/// To two digits.
fn short(value: f64) -> String {
    match value {
        10.0.. => format!("{value:.0}"),
        1.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
