//! Several commands in order, from lines: what a Job of an agent does, without a shell.
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Parser as _;
use serde_json::json;

use crate::{Cli, emit};

/// Where the lines are: standard input, unless told.
#[derive(clap::Args)]
pub struct Args {
    /// A file of lines
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Name of the environment variable that holds the lines
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    env: Option<String>,
    /// Run the rest after a command that failed; the exit code still is 1
    #[arg(long)]
    keep_going: bool,
}

/// Runs each line as a command of this program. Quotes are as in a shell; `$(NAME)` is the environment variable; `#` starts a comment.
pub async fn run(args: Args) -> anyhow::Result<bool> {
    let text = match (&args.file, &args.env) {
        (Some(path), _) => std::fs::read_to_string(path).with_context(|| path.display().to_string())?,
        (None, Some(name)) => std::env::var(name).with_context(|| name.clone())?,
        (None, None) => std::io::read_to_string(std::io::stdin())?,
    };
    let mut all_good = true;
    for line in text.lines() {
        let words = words(line)?;
        if words.is_empty() {
            continue;
        }
        let cli = Cli::try_parse_from(std::iter::once("aegis-testkit".to_owned()).chain(words))
            .map_err(|error| anyhow::anyhow!("{line}: {error}"))?;
        let good = match Box::pin(crate::run(cli.command)).await {
            Ok(good) => good,
            Err(error) => {
                emit::line(&json!({"line": line, "error": format!("{error:#}")}));
                false
            }
        };
        all_good &= good;
        if !good && !args.keep_going {
            break;
        }
    }
    Ok(all_good)
}

/// The words of a line. Variables are put in after splitting, so that a value never becomes several words.
fn words(line: &str) -> anyhow::Result<Vec<String>> {
    let words = shlex::split(line).with_context(|| format!("{line}: a quote is not closed"))?;
    words.iter().map(|word| expand(word, |name| std::env::var(name).ok())).collect()
}

fn expand(word: &str, value: impl Fn(&str) -> Option<String>) -> anyhow::Result<String> {
    let (mut out, mut rest) = (String::new(), word);
    while let Some((before, after)) = rest.split_once("$(") {
        let Some((name, behind)) = after.split_once(')') else { bail!("{word}: `$(` is not closed") };
        out.push_str(before);
        out.push_str(&value(name).with_context(|| format!("{word}: {name} is not set"))?);
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(name: &str) -> Option<String> {
        (name == "URL").then(|| "http://a b".to_owned())
    }

    #[test]
    fn puts_variables_in_and_keeps_the_rest() {
        assert_eq!(expand("$(URL)/x$(URL)", fixed).unwrap(), "http://a b/xhttp://a b");
        assert_eq!(expand("100$", fixed).unwrap(), "100$");
    }

    #[test]
    fn names_what_is_missing() {
        assert!(expand("$(NONE)", fixed).unwrap_err().to_string().contains("NONE is not set"));
        assert!(expand("$(URL", fixed).is_err());
        assert!(words("get 'open").is_err());
    }

    #[test]
    fn splits_as_a_shell_does() {
        assert_eq!(
            words("get http://x --body '{\"a\": 1}' # why").unwrap(),
            ["get", "http://x", "--body", "{\"a\": 1}"]
        );
        assert!(words("  # nothing").unwrap().is_empty());
    }
}
