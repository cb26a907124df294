//! Do 400 days of backups stay small? Every rule of the page-exact increment and of re-laying, on real nodes, with data chunks that
//! are only sizes; exits with an error if a gate fails.
//!
//! `cargo bench -p benches --bench simulation` runs 400 days; without `--bench` (as `cargo test --benches` does) 20 short ones. Other arguments
//! choose runs by a part of their names.
#![allow(missing_docs, clippy::print_stdout, clippy::cast_possible_truncation, reason = "a program that simulates")]

mod churn;
mod growth;
mod image;
mod paged;
mod report;
mod store;

use churn::Churn;
use growth::Growth;
use image::{Image, Spread};
use report::Run;

#[expect(clippy::disallowed_methods, reason = "a bench reads its own arguments")]
fn main() -> anyhow::Result<()> {
    let (options, wanted): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|text| text.starts_with("--"));
    let full = options.iter().any(|option| option == "--bench");
    let (days, pages, symbols) = if full { (400, 256 << 10, 4 << 20) } else { (20, 32 << 10, 1 << 20) };
    let directories = 5_000;
    let image = Image { pages, days, spread: Spread::Uniform, single: false };
    let hot = Image { spread: Spread::Hot, ..image };
    let growth = Growth { symbols, days, inserted_symbols: symbols / 2_000, appended_symbols: symbols * 3 / 2_000 };
    let clustered = Churn { directories, days, clustered: true };
    let scattered = Churn { clustered: false, ..clustered };
    let runs: [(Run, &dyn Fn(Run) -> Run); 7] = [
        (Run::new("image, 0.2 % of pages a day, uniform", true), &|run| image.simulate(run)),
        (Run::new("image, 90 % of them in one tenth", true), &|run| hot.simulate(run)),
        (Run::new("large file, 0.05 % inserted, 0.15 % appended", true), &|run| growth.simulate(run)),
        (Run::new("small files, 0.2 % a day, in some directories", true), &|run| clustered.simulate(run)),
        (Run::new("small files, 0.2 % a day, anywhere", false), &|run| scattered.simulate(run)),
        (Run::new("image, uniform, one extents tree, no layers", false), &|run| {
            Image { single: true, ..image }.simulate(run)
        }),
        (Run::new("image, hot, one extents tree, no layers", false), &|run| {
            Image { single: true, ..hot }.simulate(run)
        }),
    ];
    Run::print_head();
    let mut all_pass = true;
    for (run, simulate) in runs {
        if wanted.is_empty() || wanted.iter().any(|part| run.name.contains(part.as_str())) {
            let run = simulate(run);
            run.print();
            all_pass &= run.passes();
        }
    }
    anyhow::ensure!(all_pass, "a gate fails");
    Ok(())
}
