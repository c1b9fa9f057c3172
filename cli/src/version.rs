//! `aegis version`: what this command is, and which formats it knows.

use std::io::Write as _;

use aegis_crds::api::{GROUP, VERSION};
use aegis_decision::record::{DECISION_RECORD_V1, OUTCOME_RECORD_V1};
use aegis_decision::segment::SEGMENT_V1;
use anyhow::Result;
use serde::Serialize;

use crate::io::Io;
use crate::output::{self, Answer, Format};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    client: &'static str,
    api: String,
    decision_record: &'static str,
    outcome_record: &'static str,
    segment: &'static str,
}

/// Prints the versions.
pub(crate) fn run(format: Format, io: &mut Io<'_>) -> Result<Answer> {
    let versions = Versions {
        client: env!("CARGO_PKG_VERSION"),
        api: format!("{GROUP}/{VERSION}"),
        decision_record: DECISION_RECORD_V1,
        outcome_record: OUTCOME_RECORD_V1,
        segment: SEGMENT_V1,
    };
    if format != Format::Table {
        output::document(format, &versions, io)?;
        return Ok(Answer::Yes);
    }
    let Versions { client, api, decision_record, outcome_record, segment } = versions;
    writeln!(io.out, "aegis {client}")?;
    writeln!(io.out, "  api      {api}")?;
    writeln!(io.out, "  records  {decision_record}, {outcome_record}, in {segment}")?;
    io.out.flush()?;
    Ok(Answer::Yes)
}
