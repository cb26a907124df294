//! Two catalogs, compared by what their rows mean.
//!
//! Row numbers differ between a catalog that grew and one that was rebuilt, so rows are written as lines of ids, sorted. Left
//! out: which nodes are remembered as complete (a memory of a finding), closure epochs, when sessions last did something,
//! sessions that no frame and no snapshot names, and whether a pack waits to be scrubbed.

use std::cmp::Ordering;

use crate::catalog::children;
use crate::catalog::error::CatalogError;
use crate::catalog::file::Catalog;

/// Each query gives one line per row, sorted by bytes.
const LINES: &[&str] = &[
    "SELECT 'chunk ' || hex(scopes.id) || ' ' || hex(chunks.id) || ' state ' || chunks.state || iif(chunks.state = 0, '',
        ' kind ' || chunks.kind || ' class ' || class || ' pack ' || coalesce(hex(packs.name), 'staging') || ' at ' || offset ||
        ' frame ' || frame_bytes || ' plain ' || plain_bytes || ' session ' || hex(sessions.id) || ' ' || hex(checksum)) ||
        iif(uncommitted.row IS NULL, '', ' uncommitted')
     FROM chunks JOIN scopes ON scopes.row = chunks.scope LEFT JOIN packs ON packs.row = chunks.pack
        LEFT JOIN sessions ON sessions.row = chunks.session LEFT JOIN uncommitted ON uncommitted.row = chunks.row
     ORDER BY scopes.id, chunks.id",
    "SELECT 'pack ' || coalesce(hex(name), 'staging ' || hex(salt)) || ' kind ' || kind || ' state ' ||
        iif(state = 2, 1, state) || ' bytes ' || bytes FROM packs ORDER BY name, salt",
    "SELECT 'session ' || hex(sessions.id) || ' agent ' || hex(agent) || ' scope ' || hex(scopes.id) || ' source ' ||
        hex(source) || ' at ' || opened_at_ns || ' envelope ' || hex(envelope) || iif(state <> 1, '', ' committed ' || kind ||
        ' ' || set_version || ' ' || sent_bytes || ' ' || coalesce(hex(parent), '-'))
     FROM sessions JOIN scopes ON scopes.row = scope
     WHERE state = 1 OR EXISTS (SELECT 1 FROM chunks WHERE chunks.session = sessions.row) ORDER BY sessions.id",
    "SELECT 'snapshot ' || hex(snapshots.session) || ' scope ' || hex(scopes.id) || ' agent ' || hex(agent) || ' source ' || hex(source) ||
        ' ' || sequence || ' ' || snapshots.state || ' root ' || hex(chunks.id) || ' day ' || day || ' at ' || received_at_ns ||
        ' ' || changed_bytes || ' ' || relaid_bytes || ' ' || reseed_bytes || ' ' || node_bytes || ' ' || stored_bytes || ' ' ||
        sent_bytes || ' ' || reachable_bytes || ' ' || first || ' ' || initial_bytes || ' ' ||
        counted_bytes || ' ' || coalesce(allowed_bytes, '-') || ' ' || hex(digest) || ' ' || hex(receipt) || ' ' ||
        verified_at_ns
     FROM snapshots JOIN scopes ON scopes.row = snapshots.scope JOIN chunks ON chunks.row = snapshots.root ORDER BY snapshots.session",
    "SELECT 'day ' || day || ' ' || hex(source) || ' ' || changed_bytes || ' ' || relaid_bytes || ' ' || reseed_bytes || ' ' ||
        initial_bytes || ' ' || node_bytes || ' ' || chunks || ' ' || stored_bytes || ' ' || sent_bytes || ' ' || reachable_bytes ||
        ' ' || files_new || ' ' || files_changed || ' ' || files_deleted || ' ' || complete || ' ' || partial || ' at ' ||
        received_at_ns || ' counted ' || counted_bytes || ' of ' || coalesce(allowed_bytes, '-')
     FROM days ORDER BY day, source",
    "SELECT 'fact ' || kind || ' ' || hex(id) || ' ' || hex(bytes) FROM facts ORDER BY kind, id",
    "SELECT 'baseline ' || hex(source) || ' ' || hex(session) || ' ' || bytes || ' ' || day || ' at ' || received_at_ns
     FROM baselines ORDER BY source",
    "SELECT 'reseed ' || hex(source) || ' at ' || received_at_ns FROM reseeds ORDER BY source",
];

/// The first differences between two catalogs, at most `differences_max`; a line begins with `-` if only the first catalog
/// has it, with `+` if only the second has.
///
/// # Errors
/// [`CatalogError`] of either.
pub fn compare(first: &Catalog, second: &Catalog, differences_max: usize) -> Result<Vec<String>, CatalogError> {
    let mut differences = Vec::new();
    for sql in LINES {
        let (mut one, mut two) = (first.connection.prepare(sql)?, second.connection.prepare(sql)?);
        let one = one.query_map([], |row| row.get::<_, String>(0))?;
        let two = two.query_map([], |row| row.get::<_, String>(0))?;
        merge(one, two, |line| differences.push(line))?;
        if differences.len() >= differences_max {
            break;
        }
    }
    let nodes = (node_lines(first)?.into_iter().map(Ok), node_lines(second)?.into_iter().map(Ok));
    merge(nodes.0, nodes.1, |line| differences.push(line))?;
    let reaches = (reach_lines(first)?.into_iter().map(Ok), reach_lines(second)?.into_iter().map(Ok));
    merge(reaches.0, reaches.1, |line| differences.push(line))?;
    differences.truncate(differences_max);
    Ok(differences)
}

fn merge(
    mut first: impl Iterator<Item = Result<String, rusqlite::Error>>,
    mut second: impl Iterator<Item = Result<String, rusqlite::Error>>,
    mut differs: impl FnMut(String),
) -> Result<(), CatalogError> {
    let (mut one, mut two) = (first.next().transpose()?, second.next().transpose()?);
    loop {
        let order = match (&one, &two) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(two)) => one.cmp(two),
        };
        if order != Ordering::Greater {
            let next = first.next().transpose()?;
            if let Some(line) = std::mem::replace(&mut one, next).filter(|_| order == Ordering::Less) {
                differs(format!("- {line}"));
            }
        }
        if order != Ordering::Less {
            let next = second.next().transpose()?;
            if let Some(line) = std::mem::replace(&mut two, next).filter(|_| order == Ordering::Greater) {
                differs(format!("+ {line}"));
            }
        }
    }
}

/// One line per node: its id and the hash of its children's ids.
fn node_lines(catalog: &Catalog) -> Result<Vec<String>, CatalogError> {
    let mut statement = catalog.connection.prepare("SELECT row, children FROM nodes")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
    let mut lines = Vec::new();
    for row in rows {
        let (row, blob) = row?;
        let mut hasher = blake3::Hasher::new();
        for child in children::decode(&blob)? {
            hasher.update(catalog.chunk_id(child)?.as_bytes());
        }
        lines.push(format!("node {} children {}", catalog.chunk_id(row)?, hasher.finalize()));
    }
    lines.sort_unstable();
    Ok(lines)
}

/// One line per source: the hash of the ids that its newest snapshot reaches.
fn reach_lines(catalog: &Catalog) -> Result<Vec<String>, CatalogError> {
    let mut lines = Vec::new();
    for statistics in catalog.source_statistics()? {
        let Some(reach) = catalog.reach(&statistics.source)? else { continue };
        let mut ids = reach.chunks.iter().map(|row| catalog.chunk_id(row)).collect::<Result<Vec<_>, _>>()?;
        ids.sort_unstable();
        let mut hasher = blake3::Hasher::new();
        ids.iter().for_each(|id| {
            hasher.update(id.as_bytes());
        });
        lines.push(format!("reach {} bytes {} {}", statistics.source, reach.plain_bytes, hasher.finalize()));
    }
    Ok(lines)
}
