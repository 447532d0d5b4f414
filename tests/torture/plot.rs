//! A chart of lines as an SVG, drawn without any package.

use std::fmt::Write;

/// A line, a value for each step; NaN where there is none.
pub struct Line {
    pub name: &'static str,
    pub values: Vec<f64>,
}

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 420.0;
const MARGIN: f64 = 60.0;
const COLOURS: [&str; 6] = ["#1b6ca8", "#c8553d", "#588157", "#8a5a9e", "#b08900", "#444444"];

/// The y axis is logarithmic, because a merge takes a hundred times as long as a search.
pub fn chart(title: &str, step: &str, lines: &[Line]) -> String {
    let values = || lines.iter().flat_map(|line| &line.values).copied().filter(|value| *value > 0.0);
    let (least, most) = (values().fold(f64::MAX, f64::min), values().fold(f64::MIN_POSITIVE, f64::max));
    let (low, high) = (least.min(most).log10().floor(), most.log10().ceil());
    let steps = lines.iter().map(|line| line.values.len()).max().unwrap_or(0).max(2);
    let x = |at: usize| MARGIN + (WIDTH - 2.0 * MARGIN) * at as f64 / (steps - 1) as f64;
    let y = |value: f64| HEIGHT - MARGIN - (HEIGHT - 2.0 * MARGIN) * (value.log10() - low) / (high - low).max(1.0);

    let mut svg = String::new();
    let mut put = |text: String| {
        let _ = writeln!(svg, "{text}");
    };
    put(format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">"#
    ));
    put(format!(r#"<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/><text x="{MARGIN}" y="25">{title}</text>"#));
    for power in low as i32..=high as i32 {
        let (value, at) = (10f64.powi(power), y(10f64.powi(power)));
        put(format!(r##"<path d="M{MARGIN} {at:.1}H{}" stroke="#ddd"/>"##, WIDTH - MARGIN));
        put(format!(r#"<text x="{}" y="{at:.1}" text-anchor="end">{value} ms</text>"#, MARGIN - 5.0));
    }
    for at in (0..steps).step_by(steps.div_ceil(15)) {
        put(format!(r#"<text x="{:.1}" y="{}" text-anchor="middle">{}</text>"#, x(at), HEIGHT - MARGIN + 20.0, at + 1));
    }
    put(format!(r#"<text x="{}" y="{}" text-anchor="middle">{step}</text>"#, WIDTH / 2.0, HEIGHT - 15.0));
    for (number, line) in lines.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let known = line.values.iter().enumerate().filter(|(_, value)| **value > 0.0);
        let points: Vec<String> = known.map(|(at, value)| format!("{:.1},{:.1}", x(at), y(*value))).collect();
        put(format!(r#"<polyline fill="none" stroke="{colour}" stroke-width="2" points="{}"/>"#, points.join(" ")));
        let at = MARGIN + 110.0 * number as f64;
        put(format!(r#"<text x="{at}" y="45" fill="{colour}">{}</text>"#, line.name));
    }
    put("</svg>".into());
    svg
}
