//! Every technique, as every persona, at both levels.

use aegis_capture::techniques::{Place, TABLE, Technique};
use aegis_decision::probe::{Attempt, Outcome};
use anyhow::Result;

use crate::bed::{Bed, Programs};
use crate::persona::{ALL, Persona, as_sidecar};
use crate::report::{Cell, Level, Report};
use crate::sink::{Frames, Sink};

/// Tries everything. With `sidecar` (a shell command) also what needs a real one.
pub fn run(programs: &Programs, sidecar: Option<&str>) -> Result<Report> {
    let mut cells = Vec::new();
    let mut captured = None;
    for level in [Level::Captured, Level::Mediated] {
        let bed = Bed::new()?;
        let sink = Sink::start(&bed)?;
        let _sidecar = match level {
            Level::Captured => {
                captured = Some(bed.capture(programs)?);
                Some(bed.sidecar(programs, sidecar)?)
            }
            Level::Mediated => None,
        };
        for technique in TABLE {
            for persona in ALL {
                sink.take()?;
                let attempts = tried(&bed, programs, technique, persona, sidecar.is_some())?;
                cells.push(cell(technique, level, persona, &attempts, sink.take()?));
            }
        }
    }
    Ok(Report { captured, cells, checks: Vec::new() })
}

fn tried(
    bed: &Bed,
    programs: &Programs,
    technique: &Technique,
    persona: Persona,
    real: bool,
) -> Result<Result<Vec<Attempt>, &'static str>> {
    Ok(match (technique.place, technique.number) {
        (Place::Sidecar, _) if !real => Err("needs a real sidecar: --sidecar, or a pod"),
        (Place::Inside | Place::Sidecar, number) => Ok(persona.attempt(bed, programs, &[number])?.attempts),
        (Place::Suite, 24) if persona == Persona::Neighbour => Ok(as_sidecar(bed, programs, &[4])?.attempts),
        (Place::Suite, 24) => Err("needs another container: see C"),
        (Place::Suite, _) => Err("tried once for all, see the checks"),
        (Place::Admission, _) => Err("closed by admission: the guards' tests"),
        (Place::Tools, _) => Err("needs a hostile tool: the sidecar's tests"),
    })
}

/// Joins what was seen inside with what arrived outside.
fn cell(
    technique: &Technique,
    level: Level,
    persona: Persona,
    attempts: &Result<Vec<Attempt>, &'static str>,
    frames: Frames,
) -> Cell {
    let (inside, detail) = match attempts {
        Err(reason) => (Outcome::NotApplicable, (*reason).to_owned()),
        Ok(attempts) => {
            let of = |outcome| attempts.iter().find(|attempt| attempt.outcome == outcome);
            let telling = of(Outcome::GotOut).or_else(|| of(Outcome::Blocked)).or_else(|| attempts.first());
            let (outcome, attempt) = match telling {
                Some(attempt) => (attempt.outcome, format!("{}: {}", attempt.target, attempt.detail)),
                None => (Outcome::NotApplicable, "not tried".to_owned()),
            };
            (outcome, attempt)
        }
    };
    let outcome = if frames.count > 0 { Outcome::GotOut } else { inside };
    Cell { technique: technique.number, name: technique.name, level, persona, inside, outcome, detail, frames }
}
