//! `aegis approve` and `aegis deny`: show the effect, ask, store the decision about exactly what was shown.

use std::io::{BufRead as _, Read as _, Write as _};

use aegis_crds::api::ApprovalRequest;
use aegis_crds::api::approval::ApprovalVerdict;
use anyhow::{Context as _, Result, bail};
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::refusal::{self, Refusal};
use super::{is_open, phase, phase_name, show};
use crate::args::DecideArgs;
use crate::cluster::{self, Cluster};
use crate::io::Io;
use crate::output::{self, Answer, Format, printable};

/// Field manager of what this command writes.
const MANAGER: &str = "aegis-cli";
/// Longest answer to a question, in bytes.
const MAX_ANSWER: u64 = 64;

/// Runs `aegis approve`.
pub(crate) async fn approve(args: &DecideArgs, io: &mut Io<'_>) -> Result<Answer> {
    decide(args, ApprovalVerdict::Approved, io).await
}

/// Runs `aegis deny`.
pub(crate) async fn deny(args: &DecideArgs, io: &mut Io<'_>) -> Result<Answer> {
    decide(args, ApprovalVerdict::Denied, io).await
}

async fn decide(args: &DecideArgs, verdict: ApprovalVerdict, io: &mut Io<'_>) -> Result<Answer> {
    let Cluster { client, namespace } = cluster::connect(&args.cluster).await?;
    let api: Api<ApprovalRequest> = Api::namespaced(client, &namespace);
    let request = show::get(&api, &args.name, &namespace).await?;
    present(&request, args.output, io)?;
    if !is_open(&request) {
        let phase = phase_name(phase(&request));
        let decided = if request.spec.decision.is_some() { "It was decided already" } else { "It is closed" };
        writeln!(io.err, "Nothing was stored. {decided}; its phase is {phase}, and a decision is final.")?;
        return Ok(Answer::No);
    }
    if !args.yes && !confirmed(verdict, io)? {
        writeln!(io.err, "Nothing was stored.")?;
        return Ok(Answer::No);
    }
    let patch = Patch::Merge(patch(&request, verdict, args.reason.as_deref()));
    match api
        .patch(&args.name, &PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }, &patch)
        .await
    {
        Ok(stored) => {
            print_stored(&stored, verdict, args.output, io)?;
            Ok(Answer::Yes)
        }
        Err(error) => {
            let refusal = refusal::in_words(error);
            let next = next_step(&request, &refusal, &namespace);
            if !refusal.is_verdict() {
                return Err(anyhow::Error::new(refusal).context(format!("nothing is known to be stored; {next}")));
            }
            writeln!(io.err, "{}\nNothing was stored. {next}", printable(&refusal.to_string()))?;
            Ok(Answer::No)
        }
    }
}

/// Shows what is decided about; beside the answer where that goes to a program.
fn present(request: &ApprovalRequest, format: Format, io: &mut Io<'_>) -> Result<()> {
    let out = if format == Format::Table { &mut io.out } else { &mut io.err };
    writeln!(out, "{}", show::text(request))?;
    Ok(out.flush()?)
}

fn confirmed(verdict: ApprovalVerdict, io: &mut Io<'_>) -> Result<bool> {
    if !io.interactive {
        bail!("there is no terminal to ask on; look at what is shown above, then repeat with --yes");
    }
    let question = match verdict {
        ApprovalVerdict::Approved => "Approve this call? It is sent once. The decision is final.",
        ApprovalVerdict::Denied => "Deny this call? The decision is final.",
    };
    write!(io.err, "{question} [y/N] ")?;
    io.err.flush()?;
    let mut answer = String::new();
    io.input.by_ref().take(MAX_ANSWER).read_line(&mut answer).context("cannot read the answer")?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// The decision about the digest of the request that was shown. Its uid goes with it: where another request has taken
/// the name since, the server refuses it.
fn patch(request: &ApprovalRequest, verdict: ApprovalVerdict, reason: Option<&str>) -> Value {
    let mut decision = json!({"verdict": verdict, "effectDigest": request.spec.action.effect_digest});
    if let (Some(decision), Some(reason)) = (decision.as_object_mut(), reason) {
        decision.insert("reason".to_owned(), reason.into());
    }
    json!({"metadata": {"uid": request.uid()}, "spec": {"decision": decision}})
}

fn print_stored(stored: &ApprovalRequest, verdict: ApprovalVerdict, format: Format, io: &mut Io<'_>) -> Result<()> {
    if format != Format::Table {
        return output::document(format, stored, io);
    }
    writeln!(io.out, "Stored:\n{}", show::standing(stored))?;
    let next = match verdict {
        ApprovalVerdict::Approved => {
            format!("When the agent repeats the call within {}, it is sent, once.", stored.spec.release_ttl)
        }
        ApprovalVerdict::Denied => "The agent is told so when it repeats the call.".to_owned(),
    };
    writeln!(io.out, "{}", printable(&next))?;
    Ok(io.out.flush()?)
}

/// What to do after a refusal, by its status and never by its text.
fn next_step(request: &ApprovalRequest, refusal: &Refusal, namespace: &str) -> String {
    let name = request.name_any();
    match refusal.code {
        Some(403) => {
            let tiers: Vec<_> = request
                .spec
                .requirements
                .iter()
                .map(|requirement| {
                    format!("kubectl auth can-i approve approvaltiers/{} -n {namespace}", requirement.tier)
                })
                .collect();
            format!(
                "Neither the requester nor the delegator decides, and whoever does needs the verb on the tiers; ask: {}",
                tiers.join("; ")
            )
        }
        Some(409 | 422) => format!("It may have changed since; see aegis approvals show {name} -n {namespace}"),
        Some(_) | None => format!("see aegis approvals show {name} -n {namespace}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn asked(answer: &str, interactive: bool) -> (Result<bool>, String) {
        let mut said = Vec::new();
        let mut io = Io {
            input: Box::new(Cursor::new(answer.as_bytes())),
            out: Box::new(std::io::sink()),
            err: Box::new(&mut said),
            interactive,
            watched: false,
            now: jiff::Timestamp::UNIX_EPOCH,
        };
        let confirmed = confirmed(ApprovalVerdict::Approved, &mut io);
        drop(io);
        (confirmed, String::from_utf8(said).unwrap())
    }

    #[test]
    fn only_a_clear_yes_confirms() {
        for (answer, wanted) in
            [("y\n", true), (" YES \n", true), ("n\n", false), ("\n", false), ("", false), ("yep\n", false)]
        {
            let (confirmed, said) = asked(answer, true);
            assert_eq!(confirmed.unwrap(), wanted, "{answer:?}");
            assert!(said.contains("[y/N]"), "{said}");
        }
    }

    #[test]
    fn without_a_terminal_nobody_is_asked() {
        let (confirmed, said) = asked("y\n", false);
        assert!(confirmed.unwrap_err().to_string().contains("--yes"));
        assert!(said.is_empty(), "{said}");
    }
}
