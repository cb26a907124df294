//! All rounds together: medians, spread, and the ratio to ours, as a table and as JSON.

use std::collections::BTreeMap;

use crate::stage::Step;

/// What every tool took for every step, in the order in which both came up.
#[derive(Default)]
pub struct Report {
    steps: Vec<String>,
    tools: Vec<String>,
    runs: BTreeMap<(usize, usize), Vec<Step>>,
}

/// One cell: medians over the rounds.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    /// Rounds.
    pub rounds: usize,
    /// Wall time in seconds: median, least and most.
    pub wall_s: f64,
    /// Least wall time.
    pub least_s: f64,
    /// Most wall time.
    pub most_s: f64,
    /// CPU seconds.
    pub cpu_s: f64,
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// Bytes that the repository grew by.
    pub stored_bytes: u64,
}

impl Report {
    /// Adds a run.
    pub fn add(&mut self, step: Step) {
        let place = |names: &mut Vec<String>, name: &str| {
            names.iter().position(|known| known == name).unwrap_or_else(|| {
                names.push(name.to_owned());
                names.len() - 1
            })
        };
        let at = (place(&mut self.steps, &step.step), place(&mut self.tools, &step.tool));
        self.runs.entry(at).or_default().push(step);
    }

    /// Steps, in order.
    pub fn steps(&self) -> &[String] {
        &self.steps
    }

    /// Tools, in order.
    pub fn tools(&self) -> &[String] {
        &self.tools
    }

    /// What a tool took for a step.
    pub fn cell(&self, step: usize, tool: usize) -> Option<Cell> {
        let runs = self.runs.get(&(step, tool))?;
        let walls: Vec<f64> = runs.iter().map(|run| run.measured.wall_s).collect();
        Some(Cell {
            rounds: runs.len(),
            wall_s: median(walls.clone()),
            least_s: walls.iter().copied().fold(f64::INFINITY, f64::min),
            most_s: walls.iter().copied().fold(0.0, f64::max),
            cpu_s: median(runs.iter().map(|run| run.measured.cpu_s).collect()),
            memory_bytes: runs.iter().map(|run| run.measured.memory_bytes).max().unwrap_or_default(),
            stored_bytes: median_of(runs.iter().map(|run| run.stored_bytes).collect(), u64::cmp),
        })
    }

    /// Median of ours ÷ theirs, round by round, with its spread.
    fn ratio(&self, step: usize, tool: usize) -> Option<(f64, f64, f64)> {
        let ours = self.runs.get(&(step, self.tools.iter().position(|tool| tool == "dobaas")?))?;
        let theirs = self.runs.get(&(step, tool))?;
        let pairs: Vec<f64> = ours
            .iter()
            .zip(theirs)
            .map(|(ours, theirs)| ours.measured.wall_s / theirs.measured.wall_s.max(0.01))
            .collect();
        let (least, most) = pairs
            .iter()
            .fold((f64::INFINITY, 0.0), |(least, most): (f64, f64), pair| (least.min(*pair), most.max(*pair)));
        Some((median(pairs), least, most))
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut out = String::new();
        for (step, name) in self.steps.iter().enumerate() {
            out.push_str(&format!(
                "\n{name}\n  {:<16} {:>8} {:>17} {:>8} {:>9} {:>11}   ours ÷ theirs\n",
                "", "wall s", "(least to most)", "CPU s", "memory MB", "stored MB"
            ));
            for (tool, named) in self.tools.iter().enumerate() {
                let Some(cell) = self.cell(step, tool) else { continue };
                let ratio = self
                    .ratio(step, tool)
                    .map_or_else(String::new, |(median, least, most)| format!("{median:.2} ({least:.2} to {most:.2})"));
                out.push_str(&format!(
                    "  {named:<16} {:>8.2} {:>17} {:>8.2} {:>9.0} {:>11.2}   {ratio}\n",
                    cell.wall_s,
                    format!("({:.2} to {:.2})", cell.least_s, cell.most_s),
                    cell.cpu_s,
                    cell.memory_bytes as f64 / 1e6,
                    cell.stored_bytes as f64 / 1e6,
                ));
            }
        }
        out
    }

    /// For programs: one document.
    pub fn json(&self) -> String {
        let mut lines = Vec::new();
        for (step, name) in self.steps.iter().enumerate() {
            for (tool, named) in self.tools.iter().enumerate() {
                let Some(cell) = self.cell(step, tool) else { continue };
                lines.push(format!(
                    "  {{\"step\": \"{name}\", \"tool\": \"{named}\", \"rounds\": {}, \"wall_s\": {:.3}, \"wall_s_min\": {:.3}, \
                     \"wall_s_max\": {:.3}, \"cpu_s\": {:.3}, \"memory_bytes\": {}, \"stored_bytes\": {}}}",
                    cell.rounds, cell.wall_s, cell.least_s, cell.most_s, cell.cpu_s, cell.memory_bytes, cell.stored_bytes
                ));
            }
        }
        format!("[\n{}\n]\n", lines.join(",\n"))
    }
}

fn median(values: Vec<f64>) -> f64 {
    median_of(values, f64::total_cmp)
}

fn median_of<T: Copy + Default>(mut values: Vec<T>, order: impl FnMut(&T, &T) -> std::cmp::Ordering) -> T {
    values.sort_by(order);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
