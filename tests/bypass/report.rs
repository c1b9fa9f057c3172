//! The result, as a table for people and as JSON.

use std::process::ExitCode;

use aegis_capture::techniques::TABLE;
use aegis_decision::probe::Outcome;
use anyhow::Result;
use serde::Serialize;

use crate::persona::{ALL, Persona};
use crate::sink::Frames;

/// What stands between the agent and the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Level {
    /// The ruleset.
    Captured,
    /// Nothing: the agent is only told to use the sidecar.
    Mediated,
}

/// One technique, as one persona, at one level.
#[derive(Debug, Serialize)]
pub struct Cell {
    pub technique: u8,
    pub name: &'static str,
    pub level: Level,
    pub persona: Persona,
    /// As decided inside the pod.
    pub inside: Outcome,
    /// As decided by the frames outside.
    pub outcome: Outcome,
    pub detail: String,
    pub frames: Frames,
}

/// A claim that is no technique of its own.
#[derive(Debug, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub passed: bool,
    pub detail: String,
    /// What arrived at the sink, where that is the claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<Frames>,
}

/// Everything.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What aegis-capture said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub captured: Option<serde_json::Value>,
    pub cells: Vec<Cell>,
    pub checks: Vec<Check>,
}

impl Report {
    /// Prints it. Fails if something got out that Captured must stop, or a check failed.
    pub fn print(&self, json: bool) -> Result<ExitCode> {
        if json {
            println!("{}", serde_json::to_string(self)?);
        } else {
            self.table();
        }
        let held = self.broken().next().is_none() && self.checks.iter().all(|check| check.passed);
        Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// What must not be: an escape in Captured by a persona that admission lets run. B is refused by admission, and so
    /// is a container with the sidecar's user (BYP-24).
    fn broken(&self) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(|cell| {
            cell.level == Level::Captured
                && cell.outcome == Outcome::GotOut
                && cell.persona != Persona::DefaultRoot
                && cell.technique != 24
        })
    }

    fn table(&self) {
        let levels: Vec<Level> = [Level::Captured, Level::Mediated]
            .into_iter()
            .filter(|level| self.cells.iter().any(|cell| cell.level == *level))
            .collect();
        let personas: Vec<Persona> =
            ALL.into_iter().filter(|persona| self.cells.iter().any(|cell| cell.persona == *persona)).collect();
        print!("{:<48}", "");
        for level in &levels {
            for persona in &personas {
                print!("{:<22}", format!("{level:?} {}", persona.label()));
            }
        }
        println!();
        for technique in TABLE {
            print!("{:<48}", format!("BYP-{} {}", technique.number, technique.name));
            for level in &levels {
                for persona in &personas {
                    let cell = self.cells.iter().find(|cell| {
                        cell.technique == technique.number && cell.level == *level && cell.persona == *persona
                    });
                    print!("{:<22}", cell.map_or_else(|| "-".to_owned(), short));
                }
            }
            println!();
        }
        println!("\nNot tried here, and what got out:");
        let mut told = std::collections::BTreeSet::new();
        for cell in self.cells.iter().filter(|cell| cell.outcome != Outcome::Blocked) {
            let line = match cell.outcome {
                Outcome::NotApplicable => format!("BYP-{} not tried: {}", cell.technique, cell.detail),
                _ => format!(
                    "BYP-{} {:?} {}: {}{}",
                    cell.technique,
                    cell.level,
                    cell.persona.label(),
                    arrived(&cell.frames),
                    cell.detail
                ),
            };
            if told.insert(line.clone()) {
                println!("  {line}");
            }
        }
        println!();
        for check in &self.checks {
            println!("{} {}: {}", if check.passed { "ok    " } else { "FAILED" }, check.name, check.detail);
        }
        for cell in self.broken() {
            println!("FAILED BYP-{} got out of Captured as {}", cell.technique, cell.persona.label());
        }
    }
}

/// What arrived of one technique. In a pod that is not known: frames are counted over all of a persona's, see the checks.
fn arrived(frames: &Frames) -> String {
    if frames.count == 0 { String::new() } else { format!("{} frames {:?}; ", frames.count, frames.told) }
}

fn short(cell: &Cell) -> String {
    match cell.outcome {
        Outcome::Blocked => "blocked".to_owned(),
        Outcome::NotApplicable => "not tried".to_owned(),
        Outcome::GotOut if cell.frames.count == 0 => "OUT".to_owned(),
        Outcome::GotOut => format!("OUT ({} frames)", cell.frames.count),
    }
}
