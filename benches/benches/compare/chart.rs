//! The wall times as bars, each step on its own scale: an SVG for the README.

use crate::report::Report;

const WIDTH: usize = 760;
const LABEL: usize = 150;
const BAR: usize = 14;
const GAP: usize = 30;

/// Draws the report.
pub fn draw(report: &Report) -> String {
    let (mut body, mut y) = (String::new(), 10);
    for (step, name) in report.steps().iter().enumerate() {
        let cells: Vec<_> = report
            .tools()
            .iter()
            .enumerate()
            .filter_map(|(tool, named)| Some((named, report.cell(step, tool)?)))
            .collect();
        let most = cells.iter().map(|(_, cell)| cell.wall_s).fold(0.01, f64::max);
        y += 14;
        body.push_str(&format!("<text x=\"0\" y=\"{y}\" class=\"t\">{name}</text>\n"));
        y += 6;
        for (named, cell) in cells {
            let bar = (cell.wall_s / most * (WIDTH - LABEL - 210) as f64).max(1.0);
            let class = if named == "dobaas" { "o" } else { "p" };
            let base = y + BAR - 3;
            body.push_str(&format!(
                "<text x=\"{}\" y=\"{base}\" text-anchor=\"end\">{named}</text>\
                 <rect x=\"{LABEL}\" y=\"{y}\" width=\"{bar:.1}\" height=\"{}\" class=\"{class}\"/>\
                 <text x=\"{:.1}\" y=\"{base}\">{:.2} s, {:.1} MB</text>\n",
                LABEL - 8,
                BAR - 2,
                LABEL as f64 + bar + 6.0,
                cell.wall_s,
                cell.stored_bytes as f64 / 1e6,
            ));
            y += BAR;
        }
        y += GAP - BAR;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <style>.t{{font-weight:bold}}.o{{fill:#0b6e4f}}.p{{fill:#9aa5b1}}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{body}</svg>\n"
    )
}
