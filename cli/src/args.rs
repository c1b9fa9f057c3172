//! The arguments of every command, and the words of its help.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use aegis_decision::control::Head;
use aegis_decision::digest::Digest;
use aegis_decision::trial::Percent;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use jiff::{SignedDuration, Timestamp};

use crate::flips::FlipKind;
use crate::output::Format;

/// Widest help text in columns.
const HELP_WIDTH: usize = 100;

const EXIT_CODES: &str = "Exit codes:
  0  The command did what it was asked for.
  1  The answer is no: a file does not verify, a policy test fails, a decision is refused or was not
     confirmed, a record is not there.
  2  The command could not answer: wrong arguments, unreadable input, no cluster.";

/// Judge calls, test policies, decide approvals and prove records of Aegis, the policy mesh for AI agents.
///
/// The commands check, approvals, approve and deny act on a cluster with the rights of the current kubeconfig. All others read
/// files only.
#[derive(Debug, Parser)]
#[command(name = "aegis", after_long_help = EXIT_CODES, max_term_width = HELP_WIDTH, disable_help_subcommand = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Judge calls by resources from files, exactly as a sidecar would.
    Eval(EvalArgs),
    /// Work on policies.
    Policy {
        /// What to do with them.
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// Look at calls that wait, or waited, for a person.
    Approvals {
        /// Where they are.
        #[command(flatten)]
        cluster: ClusterArgs,
        /// What to look at.
        #[command(subcommand)]
        command: ApprovalsCommand,
    },
    /// Approve one held call, after showing what it would do.
    Approve(DecideArgs),
    /// Deny one held call, after showing what it would do.
    Deny(DecideArgs),
    /// Check the installation, and what level of enforcement really holds for every pod.
    Check(CheckArgs),
    /// Count how often what is tried out agrees with what is in force, and proposals with what people did.
    Agreement(AgreementArgs),
    /// Judge recorded calls again by resources from files, and count the verdicts that differ.
    Replay(ReplayArgs),
    /// Print the JSON Schema of a kind, for editors.
    Schema(SchemaArgs),
    /// Explain one decision from the records of a sidecar.
    Why(WhyArgs),
    /// Verify record files offline.
    Verify(VerifyArgs),
    /// Print a completion script for a shell.
    ///
    /// For bash, for example: source <(aegis completion bash)
    Completion {
        /// The shell to complete in.
        shell: clap_complete::Shell,
    },
    /// Print the versions of this command and of the formats that it knows.
    Version {
        /// How to print them.
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
}

/// Arguments of `aegis eval`.
#[derive(Debug, Args)]
#[command(after_long_help = "A line is either a request as an agent sends it, or an operation with its arguments:

  {\"agent\":\"shop/buyer\",\"tool\":\"erp\",\"http\":{\"method\":\"GET\",\"path\":\"/orders/7\"}}
  {\"agent\":\"shop/buyer\",\"tool\":\"erp\",\"operation\":\"orders.confirm\",\"arguments\":{\"id\":\"7\"},
   \"facts\":{\"order\":{\"total\":\"900.00\"}},\"delegation\":\"office\",\"at\":\"2026-01-02T03:04:05Z\"}

The exit code tells whether all lines could be judged, not what the verdicts are. A line that cannot be \
read, or is longer than 4 MiB, is reported with its number, the others are judged, and the exit code is 2. One line is \
kept at a time, so a file may be of any length.")]
pub struct EvalArgs {
    /// The folder, or the one file, with the resources as YAML.
    ///
    /// Agents count as they stand there: one that is not Active, or whose review does not fit, is refused every call,
    /// and a call needs a delegation that is in force.
    #[arg(long, value_name = "PATH")]
    pub resources: PathBuf,
    /// The file with the calls, one JSON object a line, or - for the standard input.
    #[arg(long, value_name = "FILE")]
    pub calls: PathBuf,
    /// The time at which lines without a time of their own are judged. Without it they are judged now.
    #[arg(long, value_name = "RFC3339")]
    pub at: Option<Timestamp>,
    /// The namespace of resources that name none.
    #[arg(short, long, default_value = "default")]
    pub namespace: String,
    /// Add the arguments to each line as they were judged: after what Sanitize rules changed.
    #[arg(long)]
    pub arguments: bool,
}

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Run the tests of policies, in spec.tests and in files *_test.yaml, and say what they cover.
    Test(PolicyTestArgs),
    /// Find what is wrong with resources, or was hardly meant.
    Lint(PolicyLintArgs),
    /// Judge the same calls by two sets of resources, and count the verdicts that differ.
    Diff(PolicyDiffArgs),
    /// Explain the verdict on one call: which rules were considered, and why each holds or not.
    Explain(PolicyExplainArgs),
}

/// Arguments of `aegis policy test`.
#[derive(Debug, Args)]
#[command(
    after_long_help = "A test is judged as this agent: the one that it names; else the one that its delegation is lent to; else \
the first agent of the files that the policy selects; else one made up for the test, which may use every \
class of operation. Whoever it is counts as Active and reviewed.

A test that names no delegation is judged under one that grants every operation of every tool; a named one \
counts as it stands at the time of --at. All policies that select the agent take part, as in a sidecar.

A rule is covered when tests made it true and made it false, and so is each of its checks; a rule without checks \
only has to be true. The exit code is 1 when a test fails or the coverage is below --min-coverage, and 2 when the \
resources cannot be read."
)]
pub struct PolicyTestArgs {
    /// Where the policies are.
    #[command(flatten)]
    pub folder: Folder,
    /// The time at which tests without a time of their own are judged. Without it they are judged now.
    #[arg(long, value_name = "RFC3339")]
    pub at: Option<Timestamp>,
    /// List every rule and check that was never true, or never false.
    #[arg(long)]
    pub coverage: bool,
    /// Fail when less than this share of all outcomes of rules and checks was reached.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub min_coverage: Option<u8>,
    /// Write the results to this file too, as XML of junit.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Run the tests again whenever a file of the folder changes, until interrupted.
    #[arg(long)]
    pub watch: bool,
    /// With --watch, end after this many runs.
    #[arg(long, value_name = "RUNS", requires = "watch", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_runs: Option<u32>,
    /// How to print the results.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// Arguments of `aegis policy lint`.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Each finding has a stable id; docs/policy-as-code.md has a row for each. What is said of a rule is \
proven for every call; what cannot be proven is not said.

A finding that is meant is suppressed by the annotation aegis.dev/lint-allow of the resource, with a line \
ID: REASON, or ID PART: REASON for one rule, operation or registry.

The exit code is 1 when a finding that is not suppressed is as bad as --deny says, and 2 when the files cannot be read."
)]
pub struct PolicyLintArgs {
    /// Where the resources are.
    #[command(flatten)]
    pub folder: Folder,
    /// The least severity that fails.
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t)]
    pub deny: Level,
    /// The time at which tests without a time of their own are run. Without it they are run now.
    #[arg(long, value_name = "RFC3339")]
    pub at: Option<Timestamp>,
    /// Write the findings to this file too, as SARIF 2.1.0.
    #[arg(long, value_name = "FILE")]
    pub sarif: Option<PathBuf>,
    /// How to print the findings.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// Arguments of `aegis policy diff`.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Calls are lines as of aegis eval. A flip is named by the verdict before and after, such as allow->deny, and \
counted by the rules that decided.

The exit code is 1 when a limit is not kept, else 2 when a line could not be judged by both sides, else 0: without \
limits, flips do not fail."
)]
pub struct PolicyDiffArgs {
    /// The resources as they are.
    pub old: PathBuf,
    /// The resources as they shall be.
    pub new: PathBuf,
    /// The file with the calls, one JSON object a line, or - for the standard input.
    #[arg(long, value_name = "FILE")]
    pub calls: PathBuf,
    /// What may differ.
    #[command(flatten)]
    pub limits: FlipLimits,
    /// The time at which lines without a time of their own are judged. Without it they are judged now.
    #[arg(long, value_name = "RFC3339")]
    pub at: Option<Timestamp>,
    /// The namespace of resources that name none.
    #[arg(short, long, default_value = "default")]
    pub namespace: String,
    /// How to print the result.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// Limits on verdicts that differ.
#[derive(Debug, Args)]
pub struct FlipLimits {
    /// Fail when more verdicts differ.
    #[arg(long, value_name = "FLIPS")]
    pub max_flips: Option<u64>,
    /// Fail on flips of this kind, such as allow->deny or any->allow. May be given several times.
    #[arg(long, value_name = "FROM->TO")]
    pub fail_on: Vec<FlipKind>,
}

/// Arguments of `aegis policy explain`.
#[derive(Debug, Args)]
pub struct PolicyExplainArgs {
    /// The folder, or the one file, with the resources as YAML.
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub resources: PathBuf,
    /// The call, as a line of aegis eval; @FILE reads it from a file, - from the standard input.
    #[arg(long, value_name = "JSON")]
    pub call: String,
    /// The time at which a call without a time of its own is judged. Without it it is judged now.
    #[arg(long, value_name = "RFC3339")]
    pub at: Option<Timestamp>,
    /// The namespace of resources that name none.
    #[arg(short, long, default_value = "default")]
    pub namespace: String,
    /// How to print the explanation.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// Arguments of `aegis agreement`.
#[derive(Debug, Args)]
#[command(
    after_long_help = "What is tried out is an Audit policy, a policy outside its rollout, or the policies of an agent of mode Audit. A \
call agrees where the verdict would be the same; what an approval let through agrees with being held.

What people did is a file of one JSON object a line, with values by the paths of the operation's arguments:

  {\"tool\":\"erp\",\"operation\":\"orders.create\",\"values\":{\"supplier\":\"17\",\"amount\":\"50.00\"},
   \"at\":\"2026-01-02T03:04:05Z\"}

A line is paired with the earliest proposal of that operation before it whose record holds the same values in clear. \
Records hold those that the Tool names in record.clear.

The exit code is 1 when a share is below the one asked for, else 2 when a line could not be read, else 0."
)]
pub struct AgreementArgs {
    /// A record file, or a folder of record files.
    #[arg(long, value_name = "PATH")]
    pub records: PathBuf,
    /// What people did, one JSON object a line, or - for the standard input.
    #[arg(long, value_name = "FILE")]
    pub done: Option<PathBuf>,
    /// The longest time between a proposal and what a person did about it.
    #[arg(long, value_name = "DURATION", default_value = "72h", requires = "done")]
    pub within: SignedDuration,
    /// Fail when the share of any trial, or of proposals, is lower, or when there is nothing to compare.
    #[arg(long, value_name = "PERCENT")]
    pub at_least: Option<Percent>,
    /// How to print the result.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// Arguments of `aegis replay`.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Records hold the values of fields that the Tool keeps in clear, and digests of everything else. A call is \
judged again only where its verdict does not depend on what the record hides; every other is reported with its id \
and counted, never guessed. docs/policy-as-code.md says what can be told.

The exit code is 1 when a limit is not kept, else 2 when a file could not be read to its end, else 0."
)]
pub struct ReplayArgs {
    /// A record file, or a folder of record files.
    #[arg(long, value_name = "PATH")]
    pub records: PathBuf,
    /// The folder, or the one file, with the resources as YAML.
    #[arg(long, value_name = "PATH")]
    pub resources: PathBuf,
    /// What may differ.
    #[command(flatten)]
    pub limits: FlipLimits,
    /// Fail when more records cannot be judged.
    #[arg(long, value_name = "RECORDS")]
    pub max_unjudged: Option<u64>,
    /// The namespace of resources that name none.
    #[arg(short, long, default_value = "default")]
    pub namespace: String,
    /// How to print the result.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// Arguments of `aegis schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Kind, such as Agent or Tool, or policytests for files *_test.yaml. Without it, one schema for all kinds.
    pub kind: Option<String>,
    /// Write the schemas of all kinds into this folder instead.
    #[arg(long, value_name = "DIR", conflicts_with = "kind")]
    pub out: Option<PathBuf>,
}

/// A severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Level {
    /// What does not work.
    #[default]
    Error,
    /// And what was hardly meant.
    Warning,
    /// And what is worth a look.
    Info,
}

/// A folder of resources, given by itself or as an option.
#[derive(Debug, Args)]
pub struct Folder {
    /// The folder, or the one file, with the resources as YAML. Without it, the current folder.
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The same as DIR.
    #[arg(long, value_name = "PATH", conflicts_with = "dir")]
    resources: Option<PathBuf>,
}

impl Folder {
    /// Where to look.
    pub fn path(&self) -> &Path {
        self.dir.as_deref().or(self.resources.as_deref()).unwrap_or(Path::new("."))
    }
}

/// Where the approvals are.
#[derive(Debug, Default, Args)]
pub struct ClusterArgs {
    /// The namespace to look in. Without it, the namespace of the context.
    #[arg(short, long, global = true)]
    pub namespace: Option<String>,
    /// The context of the kubeconfig to use. Without it, the current one.
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// The kubeconfig to use. Without it, $KUBECONFIG or ~/.kube/config.
    #[arg(long, value_name = "FILE", global = true)]
    pub kubeconfig: Option<PathBuf>,
}

/// What to look at.
#[derive(Debug, Subcommand)]
pub enum ApprovalsCommand {
    /// List the requests, those that wait first.
    List {
        /// List only those that wait for a decision.
        #[arg(long)]
        pending: bool,
        /// List those of all namespaces.
        #[arg(short = 'A', long)]
        all_namespaces: bool,
        /// How to print them.
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Show one request: who asks, on whose behalf, what would be sent, and where it stands.
    Show {
        /// The name of the request.
        name: String,
        /// How to print it.
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
}

/// Arguments of `aegis approve` and `aegis deny`.
#[derive(Debug, Args)]
#[command(
    after_long_help = "The request is shown first. The decision names the digest of what was shown, so it cannot count for \
anything else. The API server decides whether you may: you need the verb approve on the approval tiers that \
the request names, and may be neither the requester nor the delegator of the task. A decision is final."
)]
pub struct DecideArgs {
    /// The name of the request.
    pub name: String,
    /// Why, in words. Kept with the decision.
    #[arg(long)]
    pub reason: Option<String>,
    /// Decide without asking for confirmation. Needed where there is no terminal.
    #[arg(short, long)]
    pub yes: bool,
    /// How to print the stored request. With json or yaml, what is shown first goes to the standard error.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
    /// Where it is.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Arguments of `aegis check`.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Each check has an id; docs/operate.md has a paragraph of that name. The exit code is 1 when a check failed.

For every pod: the level that its agent asks for, the level that a probe in that pod proved, the version of \
its sidecar, and, where the caller may get pods/proxy, the age of its token and the bundle that it judges with."
)]
pub struct CheckArgs {
    /// Check the installation only, not the pods of agents.
    #[arg(long)]
    pub pre: bool,
    /// Ask for a new probe of the pods first. Needs the right to patch agents.
    #[arg(long, conflicts_with = "pre")]
    pub probe: bool,
    /// Look at the agents of all namespaces.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// The namespace that Aegis is installed in.
    #[arg(long, value_name = "NAMESPACE", default_value = "aegis-system")]
    pub system_namespace: String,
    /// How to print the results.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
    /// Where to look.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Arguments of `aegis why`.
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// The id of the decision, as in the header Aegis-Decision of every answer.
    pub decision: String,
    /// A record file, or a folder of record files.
    #[arg(long, value_name = "PATH")]
    pub records: PathBuf,
    /// How to print the explanation. With json or yaml, the records themselves.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// Arguments of `aegis verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The record files.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The keys of the control service, as a JWKS file.
    ///
    /// The proof is worth as much as the way by which they came: take them from the control service or a trusted copy,
    /// not from where the records were kept.
    #[arg(long, value_name = "JWKS")]
    pub keys: PathBuf,
    /// The newest head that the control service knows of the one FILE. Without it, a cut at the end cannot be found.
    #[arg(long, value_name = "EPOCH:SEQUENCE:ROOT", value_parser = head)]
    pub head: Option<Head>,
    /// How to print the results.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Format,
}

/// The command as it is called by the program of that path: `kubectl aegis` where kubectl found it as its plugin.
pub fn command_for(program: Option<&OsString>) -> clap::Command {
    let command = Arguments::command();
    if is_kubectl_plugin(program) { command.bin_name("kubectl aegis") } else { command.bin_name("aegis") }
}

fn is_kubectl_plugin(program: Option<&OsString>) -> bool {
    program.is_some_and(|path| Path::new(path).file_stem() == Some(OsStr::new("kubectl-aegis")))
}

fn head(text: &str) -> Result<Head, String> {
    let mut parts = text.splitn(3, ':');
    let (Some(epoch), Some(sequence), Some(root)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("write EPOCH:SEQUENCE:ROOT, such as 20260102T030405Z-1a2b3c4d:120:sha256:...".to_owned());
    };
    let sequence = sequence.parse().map_err(|_| "the sequence is not a number".to_owned())?;
    let root: Digest = root.parse().map_err(|error| format!("the root is no digest: {error}"))?;
    Ok(Head { epoch: epoch.to_owned(), sequence, root })
}
