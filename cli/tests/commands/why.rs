//! `aegis why` on a sidecar's folder.

use std::fs;

use aegis_cli::Exit;
use aegis_decision::disguise::disguises;

use crate::aegis;
use crate::records::{connections, disguised, kept};

#[test]
fn a_refusal_is_explained_and_nothing_in_it_moves_the_terminal() {
    let kept = kept();
    let records = kept.file.parent().unwrap().to_str().unwrap();
    let ran = aegis(&["why", "d-1", "--records", records], "");
    assert_eq!(ran.exit, Exit::Done);
    assert!(!ran.whole().contains('\u{1b}'));
    insta::assert_snapshot!("refused", kept.without_folder(&ran.whole()));
}

#[test]
fn no_character_of_a_record_hides_or_turns_what_is_told() {
    let kept = disguised();
    for format in ["table", "json", "yaml"] {
        let ran = aegis(&["why", "d-1", "--records", kept.path().to_str().unwrap(), "-o", format], "");
        assert_eq!(ran.exit, Exit::Done, "{}", ran.err);
        assert!(ran.out.contains("200b"), "{}", ran.out);
        assert!(!ran.out.chars().any(|c| c != '\n' && disguises(c)), "{format}: {}", ran.out);
    }
}

#[test]
fn an_allowed_call_is_explained_with_its_outcome() {
    let kept = kept();
    let ran = aegis(&["why", "d-2", "--records", kept.file.to_str().unwrap()], "");
    insta::assert_snapshot!("allowed", kept.without_folder(&ran.whole()));
}

#[test]
fn a_connection_is_explained_with_its_end() {
    let kept = connections();
    for (id, name) in [("c-1", "connection"), ("c-2", "connection_refused")] {
        let ran = aegis(&["why", id, "--records", kept.path().to_str().unwrap()], "");
        assert_eq!(ran.exit, Exit::Done);
        let folder = format!("{}/", kept.path().display());
        insta::assert_snapshot!(name, ran.whole().replace(&folder, ""));
    }
    let ran = aegis(&["why", "c-1", "--records", kept.path().to_str().unwrap(), "-o", "json"], "");
    let found: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (&found["connection"]["host"], &found["connectionEnd"]["sentBytes"]),
        (&"api.example".into(), &7.into())
    );
}

#[test]
fn programs_get_the_records() {
    let kept = kept();
    let ran = aegis(&["why", "d-2", "--records", kept.file.to_str().unwrap(), "-o", "json"], "");
    let found: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(found["decision"]["id"], "d-2");
    assert_eq!(found["outcome"]["status"], 201);
    let refused = aegis(&["why", "d-1", "--records", kept.file.to_str().unwrap(), "-o", "json"], "");
    let found: serde_json::Value = serde_json::from_str(&refused.out).unwrap();
    assert!(found.get("outcome").is_none());
}

#[test]
fn where_there_is_none_the_searched_files_are_named() {
    let kept = kept();
    fs::write(kept.file.with_file_name("other.jsonl"), "{\"type\":\"decision\",\"id\":\"d-9\"}\n\u{fffd}\n").unwrap();
    let records = kept.file.parent().unwrap().to_str().unwrap();
    for id in ["d-9", "d-2-outcome", ""] {
        let ran = aegis(&["why", id, "--records", records], "");
        assert_eq!((ran.exit, ran.out.as_str()), (Exit::No, ""), "{id}");
        if id == "d-9" {
            insta::assert_snapshot!("not_found", kept.without_folder(&ran.whole()));
        }
    }
    let ran = aegis(&["why", "d-1", "--records", "no-such-folder"], "");
    assert_eq!(ran.exit, Exit::Failed);
    assert!(ran.err.starts_with("error: cannot read no-such-folder"), "{}", ran.err);
}
