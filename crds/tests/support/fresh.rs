//! Folders of generated files, compared with what is generated now.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Fails unless `folder` of this crate has these files and no other. With `AEGIS_BLESS=1` writes them first.
pub fn assert_fresh(folder: &str, files: impl IntoIterator<Item = (String, String)>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files: BTreeMap<String, String> = files.into_iter().collect();
    if std::env::var_os("AEGIS_BLESS").is_some() {
        fs::create_dir_all(&path).unwrap();
        for stale in fs::read_dir(&path).unwrap() {
            fs::remove_file(stale.unwrap().path()).unwrap();
        }
        for (name, text) in &files {
            fs::write(path.join(name), text).unwrap();
        }
    }
    let mut kept: BTreeMap<String, String> = fs::read_dir(&path)
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|file| (file.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&file).unwrap()))
        .collect();
    for (name, text) in &files {
        let fresh = kept.remove(name).is_some_and(|kept| kept == *text);
        assert!(fresh, "{folder}/{name} is not what the types say: run AEGIS_BLESS=1 cargo test -p aegis-crds");
    }
    assert!(kept.is_empty(), "nothing generates {:?} of {folder}", kept.into_keys());
}
