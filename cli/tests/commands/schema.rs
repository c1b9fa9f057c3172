//! `aegis schema`: what editors are given.

use std::fs;
use std::path::PathBuf;

use aegis_cli::Exit;

use crate::aegis;

#[test]
fn every_published_schema_is_printed() {
    let published = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/schemas");
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(aegis(&["schema", "--out", folder.path().to_str().unwrap()], "").exit, Exit::Done);
    let mut names = 0;
    for entry in fs::read_dir(&published).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join(path.file_name().unwrap())).unwrap(), text);
        let ran = aegis(&["schema", path.file_stem().unwrap().to_str().unwrap()], "");
        assert_eq!((ran.exit, ran.out), (Exit::Done, text));
        names += 1;
    }
    assert_eq!(names, fs::read_dir(folder.path()).unwrap().count());
    assert_eq!(aegis(&["schema"], "").out, aegis(&["schema", "all"], "").out);
}

#[test]
fn a_kind_that_does_not_exist_is_told_with_those_that_do() {
    let ran = aegis(&["schema", "Policy"], "");
    assert_eq!((ran.exit, ran.out.as_str()), (Exit::Failed, ""));
    assert!(ran.err.contains("there is no kind Policy; there are: Agent,"), "{}", ran.err);
}
