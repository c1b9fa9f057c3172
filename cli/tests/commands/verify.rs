//! `aegis verify` on a whole file, a cut one, a changed one, and with other keys.

use std::fs;

use aegis_cli::Exit;
use aegis_decision::jws::{KeySet, Purpose, SigningKey};

use crate::records::{Kept, kept, lines};
use crate::{Ran, aegis};

fn verify(kept: &Kept, more: &[&str]) -> Ran {
    let (file, keys) = (kept.file.to_str().unwrap(), kept.keys.to_str().unwrap());
    aegis(&[&["verify", file, "--keys", keys], more].concat(), "")
}

#[test]
fn without_head_the_end_is_not_proven() {
    let kept = kept();
    let ran = verify(&kept, &[]);
    assert_eq!(ran.exit, Exit::Done);
    insta::assert_snapshot!("whole", kept.without_folder(&ran.whole()));
}

#[test]
fn with_its_head_the_end_is_proven_and_a_cut_is_found() {
    let kept = kept();
    let head = kept.head();
    let ran = verify(&kept, &["--head", &head]);
    assert_eq!(ran.exit, Exit::Done);
    assert!(ran.out.contains("proven to record 3"), "{}", ran.out);
    assert!(ran.out.contains(&head), "the head is printed in the form that --head takes: {}", ran.out);

    // Header, first record, first batch: whole in itself.
    fs::write(&kept.file, lines(&kept.file)[..3].concat()).unwrap();
    assert_eq!(verify(&kept, &[]).exit, Exit::Done);
    let cut = verify(&kept, &["--head", &head]);
    assert_eq!(cut.exit, Exit::No);
    insta::assert_snapshot!("cut", kept.without_folder(&cut.whole()));
}

#[test]
fn a_changed_record_is_found() {
    let kept = kept();
    let text = fs::read_to_string(&kept.file).unwrap();
    fs::write(&kept.file, text.replacen("office-supplies", "office-suppliez", 1)).unwrap();
    let changed = verify(&kept, &[]);
    assert_eq!(changed.exit, Exit::No);
    insta::assert_snapshot!("changed", kept.without_folder(&changed.whole()));

    let json = verify(&kept, &["-o", "json"]);
    assert_eq!(json.exit, Exit::No);
    let report: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(report[0]["verified"], false);
    assert!(report[0]["findings"][0]["message"].is_string(), "{}", json.out);
}

#[test]
fn what_follows_the_last_batch_is_told_as_torn() {
    let kept = kept();
    let mut bytes = fs::read(&kept.file).unwrap();
    bytes.extend_from_slice(b"{\"type\":\"deci");
    fs::write(&kept.file, bytes).unwrap();
    let torn = verify(&kept, &[]);
    assert_eq!(torn.exit, Exit::Done);
    assert!(torn.out.contains("13 bytes from line 7 on were never sealed"), "{}", torn.out);
}

#[test]
fn keys_that_do_not_attest_or_are_none_are_told_apart() {
    let kept = kept();
    let mut others = KeySet::new();
    others.insert(Purpose::Attestations, SigningKey::from_seed(Purpose::Attestations, &[9; 32]).public()).unwrap();
    fs::write(&kept.keys, serde_json::to_vec(&others).unwrap()).unwrap();
    let foreign = verify(&kept, &[]);
    assert_eq!(foreign.exit, Exit::No);
    assert!(foreign.out.contains("NOT verified"), "{}", foreign.out);

    for (keys, told) in [("{\"keys\":[]}", "holds no key that attests"), ("[]", "is no key set of Aegis")] {
        fs::write(&kept.keys, keys).unwrap();
        let ran = verify(&kept, &[]);
        assert_eq!((ran.exit, ran.out.as_str()), (Exit::Failed, ""));
        assert!(ran.err.contains(told), "{}", ran.err);
    }
}

#[test]
fn every_file_is_answered_for() {
    let kept = kept();
    let (file, keys) = (kept.file.to_str().unwrap(), kept.keys.to_str().unwrap());
    let both = aegis(&["verify", "no-such-file", file, "--keys", keys, "-o", "json"], "");
    assert_eq!(both.exit, Exit::Failed);
    let report: serde_json::Value = serde_json::from_str(&both.out).unwrap();
    assert!(report[0]["error"].is_string() && report[1]["verified"] == true, "{}", both.out);
    assert_eq!(report[1]["report"]["end"], "notProven");

    let heads = aegis(&["verify", file, file, "--keys", keys, "--head", &kept.head()], "");
    assert_eq!(heads.exit, Exit::Failed);
    assert!(heads.err.contains("give the one FILE"), "{}", heads.err);
}
