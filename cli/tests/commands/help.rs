//! The help of every command, and what wrong arguments are told.

use aegis_cli::Exit;
use aegis_cli::args::command_for;

use crate::aegis;

/// The long help of a command and of all below it.
fn helps(command: &mut clap::Command, name: &str, all: &mut Vec<(String, String)>) {
    all.push((name.to_owned(), command.clone().term_width(100).render_long_help().to_string()));
    let names: Vec<String> = command.get_subcommands().map(|one| one.get_name().to_owned()).collect();
    for below in names {
        helps(command.find_subcommand_mut(&below).unwrap(), &format!("{name}-{below}"), all);
    }
}

fn all_helps() -> Vec<(String, String)> {
    let mut command = command_for(None);
    command.build();
    let mut all = Vec::new();
    helps(&mut command, "aegis", &mut all);
    all
}

#[test]
fn every_command_has_its_help() {
    let all = all_helps();
    assert!(all.len() > 10, "{}", all.len());
    for (name, help) in all {
        insta::assert_snapshot!(name, help);
    }
}

#[test]
fn kubectl_users_see_the_name_that_they_type() {
    let mut command = command_for(Some(&"/usr/local/bin/kubectl-aegis".into()));
    assert!(command.render_usage().to_string().starts_with("Usage: kubectl aegis"), "{}", command.render_usage());
    let refused = command.try_get_matches_from(["/usr/local/bin/kubectl-aegis", "why"]).unwrap_err();
    assert!(refused.to_string().contains("Usage: kubectl aegis why"), "{refused}");
}

#[test]
fn wrong_arguments_are_told_on_the_standard_error_with_code_2() {
    for wrong in [&["nothing"][..], &["verify", "file"], &["why", "id"], &["eval", "--at", "soon"], &[]] {
        let ran = aegis(wrong, "");
        assert_eq!(ran.exit, Exit::Failed, "{wrong:?}");
        assert!(ran.out.is_empty() && !ran.err.is_empty(), "{wrong:?}: {}", ran.out);
    }
    let ran = aegis(&["verify", "f", "--keys", "k", "--head", "epoch:many:sha256:00"], "");
    assert!(ran.err.contains("the sequence is not a number"), "{}", ran.err);
}

#[test]
fn help_and_version_are_answers() {
    let ran = aegis(&["verify", "--help"], "");
    assert_eq!((ran.exit, ran.err.as_str()), (Exit::Done, ""));
    assert!(ran.out.contains("Verify record files offline"), "{}", ran.out);
    let ran = aegis(&["version"], "");
    assert_eq!(ran.exit, Exit::Done);
    assert!(ran.out.starts_with(&format!("aegis {}\n", env!("CARGO_PKG_VERSION"))), "{}", ran.out);
    let ran = aegis(&["version", "-o", "json"], "");
    let versions: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(versions["api"], "aegis.dev/v1alpha1");
}

#[test]
fn every_shell_gets_a_completion_that_knows_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ran = aegis(&["completion", shell], "");
        assert_eq!(ran.exit, Exit::Done, "{shell}");
        for command in ["approvals", "verify", "policy"] {
            assert!(ran.out.contains(command), "{shell} does not complete {command}");
        }
    }
}
