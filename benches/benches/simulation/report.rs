//! What one simulated day cost, and the table of all runs with the gates that they are held against.

/// Bytes of one day.
#[derive(Debug, Clone, Copy, Default)]
pub struct Day {
    /// Bytes that really are new or different.
    pub true_bytes: u64,
    /// Plain bytes of the data chunks laid for them.
    pub changed_bytes: u64,
    pub relaid_bytes: u64,
    /// Nodes that were not there before, children included.
    pub node_bytes: u64,
    /// Chunks that the newest tree reaches.
    pub reached_bytes: u64,
    /// All files of the newest tree.
    pub size: u64,
}

/// The days of one run added up.
pub struct Run {
    pub name: &'static str,
    gated: bool,
    days: u64,
    sum: Day,
    last: Day,
    worst_reach: f64,
    layers: usize,
}

/// Bytes of the chunks reached by the newest tree ÷ its size.
const REACHED_MAX: f64 = 2.0;
/// Changed bytes ÷ bytes that really changed.
const CHANGED_MAX: f64 = 1.1;
/// Node bytes ÷ changed bytes.
const NODES_MAX: f64 = 0.2;

impl Run {
    /// A run whose figures are gates, or only shown beside those.
    pub fn new(name: &'static str, gated: bool) -> Self {
        Self { name, gated, days: 0, sum: Day::default(), last: Day::default(), worst_reach: 0.0, layers: 0 }
    }

    pub fn add(&mut self, day: Day, layers: usize) {
        self.days += 1;
        self.sum.true_bytes += day.true_bytes;
        self.sum.changed_bytes += day.changed_bytes;
        self.sum.relaid_bytes += day.relaid_bytes;
        self.sum.node_bytes += day.node_bytes;
        self.worst_reach = self.worst_reach.max(ratio(day.reached_bytes, day.size));
        self.layers = self.layers.max(layers);
        self.last = day;
    }

    fn ratios(&self) -> [(f64, f64); 3] {
        [
            (self.worst_reach, REACHED_MAX),
            (ratio(self.sum.changed_bytes, self.sum.true_bytes), CHANGED_MAX),
            (ratio(self.sum.node_bytes, self.sum.changed_bytes), NODES_MAX),
        ]
    }

    /// True if every gate holds.
    pub fn passes(&self) -> bool {
        !self.gated || self.ratios().iter().all(|(ratio, most)| ratio <= most)
    }

    pub fn print_head() {
        println!(
            "{:<46} {:>4} {:>8} {:>9} {:>9} {:>9} {:>6} {:>8} {:>8} {:>8}",
            "run (MB)", "days", "size", "changed", "relaid", "nodes", "layers", "reached", "changed", "nodes"
        );
        println!("{:>97} {:>8} {:>8} {:>8}", "", "÷ size", "÷ true", "÷ chg.");
        println!("{:<97} {REACHED_MAX:>8.3} {CHANGED_MAX:>8.3} {NODES_MAX:>8.3}", "gate: at most, on every day");
    }

    pub fn print(&self) {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        let [reached, changed, nodes] = self.ratios().map(|(ratio, _)| ratio);
        let verdict = if !self.gated {
            "(not a gate)"
        } else if self.passes() {
            "passes"
        } else {
            "FAILS"
        };
        println!(
            "{:<46} {:>4} {:>8.0} {:>9.1} {:>9.1} {:>9.1} {:>6} {reached:>8.3} {changed:>8.3} {nodes:>8.3} {verdict}",
            self.name,
            self.days,
            mb(self.last.size),
            mb(self.sum.changed_bytes),
            mb(self.sum.relaid_bytes),
            mb(self.sum.node_bytes),
            self.layers,
        );
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}
