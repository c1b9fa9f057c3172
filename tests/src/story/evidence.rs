//! The last chapter: the sidecars' records, checked with the command line and nothing else.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

use super::stage::Stage;
use super::teller::Teller;
use crate::mesh::binary;

/// Verifies every record file with `aegis verify`, and explains the last refusal with `aegis why`.
pub async fn verify(stage: &Stage, teller: &Teller) -> Result<()> {
    let aegis = binary("aegis")?;
    let keys = stage.keys().await?;
    for agent in [&stage.buyer, &stage.stock_keeper] {
        for file in segments(&agent.records()?)? {
            teller.command("auditor", &format!("aegis verify {} --keys jwks.json", file.display()));
            let output = Command::new(&aegis).arg("verify").arg(&file).arg("--keys").arg(&keys).output().await?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            teller.output(&text);
            ensure!(output.status.success(), "aegis verify: {text}{}", String::from_utf8_lossy(&output.stderr));
        }
    }
    let refused = stage.buyer.call("GET", "/erp/rest/model/party.party?f=name", None).await?;
    let decision = refused.headers.get("aegis-decision").context("an answer must name its decision")?.to_str()?;
    teller.command("auditor", &format!("aegis why {decision} --records records/"));
    let output = Command::new(&aegis).args(["why", decision, "--records"]).arg(stage.buyer.records()?).output().await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    teller.output(&text);
    ensure!(output.status.success(), "aegis why: {text}{}", String::from_utf8_lossy(&output.stderr));
    ensure!(text.contains("agent_not_active"), "aegis why does not name the reason: {text}");
    Ok(())
}

fn segments(folder: &std::path::Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|path| path.is_file());
    files.sort();
    ensure!(!files.is_empty(), "no record files in {}", folder.display());
    Ok(files)
}
