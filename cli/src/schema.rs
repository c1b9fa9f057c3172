//! `aegis schema`: the JSON Schemas of the kinds, for editors.

use std::fs;

use aegis_crds::schemas::{ALL, schemas};
use anyhow::{Context as _, Result, bail};

use crate::args::SchemaArgs;
use crate::io::Io;
use crate::output::{Answer, printable};

/// Prints one schema, or writes all of them.
pub(crate) fn run(args: &SchemaArgs, io: &mut Io<'_>) -> Result<Answer> {
    let schemas = schemas()?;
    if let Some(folder) = &args.out {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        for (name, schema) in &schemas {
            let file = folder.join(format!("{name}.json"));
            let text = serde_json::to_string_pretty(schema).context("cannot write a schema")?;
            fs::write(&file, text + "\n").with_context(|| format!("cannot write {}", file.display()))?;
        }
        return Ok(Answer::Yes);
    }
    let wanted = args.kind.as_deref().unwrap_or(ALL);
    let Some((_, schema)) = schemas.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)) else {
        let known: Vec<&str> = schemas.iter().map(|(name, _)| name.as_str()).collect();
        bail!("there is no kind {}; there are: {}", printable(wanted), known.join(", "));
    };
    writeln!(io.out, "{}", serde_json::to_string_pretty(schema).context("cannot write a schema")?)?;
    io.out.flush()?;
    Ok(Answer::Yes)
}
