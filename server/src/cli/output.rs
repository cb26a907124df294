//! What the programs print: sentences and tables for people, one JSON document for programs.
//!
//! Invariant: nothing that people read is printed with `--json`, and nothing else is printed to standard output.

use std::io::{IsTerminal, Write};

use common::text::{Arg, Lang, Texts};
use serde::Serialize;

/// Where and how to print.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// The language and its spaces.
    pub texts: Texts,
    /// One JSON document instead of text.
    pub json: bool,
}

impl Output {
    /// Prints in `lang`; without a terminal with ordinary spaces.
    pub fn new(lang: Lang, json: bool) -> Self {
        let texts = match lang {
            Lang::French => Texts::FRENCH,
            Lang::English => Texts::ENGLISH,
        };
        let texts = if std::io::stdout().is_terminal() { texts } else { texts.plain() };
        Self { texts, json }
    }

    /// Prints a message, unless JSON was asked for.
    ///
    /// # Errors
    /// If standard output is closed.
    pub fn say(&self, key: &str, args: &[(&str, Arg<'_>)]) -> std::io::Result<()> {
        if self.json { Ok(()) } else { self.line(&self.texts.say_with(key, args)) }
    }

    /// Prints a document, if JSON was asked for.
    ///
    /// # Errors
    /// If standard output is closed.
    pub fn document(&self, document: &impl Serialize) -> std::io::Result<()> {
        if self.json { self.line(&serde_json::to_string(document)?) } else { Ok(()) }
    }

    /// Prints a table, unless JSON was asked for: a head and rows, columns as wide as their widest cell.
    ///
    /// # Errors
    /// If standard output is closed.
    pub fn table(&self, head: &[String], rows: &[Vec<String>]) -> std::io::Result<()> {
        if self.json {
            return Ok(());
        }
        let lines = || std::iter::once(head).chain(rows.iter().map(Vec::as_slice));
        let width = |column: usize| lines().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..head.len()).map(|column| width(column).unwrap_or_default()).collect();
        for line in lines() {
            let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            self.line(cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }

    /// Prints names and values, unless JSON was asked for.
    ///
    /// # Errors
    /// If standard output is closed.
    pub fn pairs(&self, pairs: &[(String, String)]) -> std::io::Result<()> {
        let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
        let lines = pairs.iter().filter(|_| !self.json);
        lines.into_iter().try_for_each(|(name, value)| self.line(format!("{name:width$}  {value}").trim_end()))
    }

    /// Prints one line as it is.
    ///
    /// # Errors
    /// If standard output is closed.
    pub fn line(&self, line: &str) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}")?;
        out.flush()
    }

    /// Prints a line of an error to standard error.
    pub fn complain(&self, line: &str) {
        // There is nobody left to tell that standard error is closed.
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }
}
