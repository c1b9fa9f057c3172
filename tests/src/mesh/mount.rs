//! A ConfigMap as a kubelet mounts it: the files are links into a folder, and a change swaps that folder as one.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio_util::task::AbortOnDropHandle;

use crate::cluster::eventually;

/// Time for the ConfigMap to be made.
const WITHIN: Duration = Duration::from_mins(1);
/// A kubelet takes its time to mount a change: up to a minute and more, here less.
const LAG: Duration = Duration::from_millis(500);
/// Link to the folder in use, as a kubelet names it.
const IN_USE: &str = "..data";

/// Keeps the files in step until it is dropped; they stay then.
#[derive(Debug)]
pub struct Mounted {
    _following: AbortOnDropHandle<()>,
}

impl Mounted {
    /// Waits until there is such a ConfigMap, writes its data as files of `folder`, and follows it.
    ///
    /// # Errors
    /// When there is none in time, or the folder cannot be written.
    pub async fn config_map(maps: Api<ConfigMap>, name: &str, folder: &Path) -> Result<Self> {
        let data = eventually(&format!("ConfigMap {name}"), WITHIN, async || {
            maps.get(name).await?.data.with_context(|| format!("{name} is empty"))
        })
        .await?;
        fs::create_dir_all(folder)?;
        swap(folder, &data)?;
        let following = follow(maps, name.to_owned(), folder.to_owned(), data);
        Ok(Self { _following: AbortOnDropHandle::new(tokio::spawn(following)) })
    }
}

async fn follow(maps: Api<ConfigMap>, name: String, folder: std::path::PathBuf, mut data: BTreeMap<String, String>) {
    let mut changes = watcher::watch_object(maps, &name).default_backoff().boxed();
    while let Some(change) = changes.next().await {
        // A kubelet keeps what it mounted when the ConfigMap is gone; what cannot be watched is watched again.
        let Ok(Some(ConfigMap { data: Some(now), .. })) = change else { continue };
        if now == data {
            continue;
        }
        tokio::time::sleep(LAG).await;
        if let Err(error) = swap(&folder, &now) {
            // The test is over and has taken its folder along.
            eprintln!("{} is not kept in step any more: {error}", folder.display());
            return;
        }
        data = now;
    }
}

/// Replaces all files at once.
fn swap(folder: &Path, data: &BTreeMap<String, String>) -> io::Result<()> {
    let fresh = format!("..{:08x}", rand::random::<u32>());
    fs::create_dir(folder.join(&fresh))?;
    for (name, text) in data {
        fs::write(folder.join(&fresh).join(name), text)?;
    }
    let old = fs::read_link(folder.join(IN_USE)).ok();
    let link = folder.join(format!("{fresh}.link"));
    symlink(&fresh, &link)?;
    fs::rename(&link, folder.join(IN_USE))?;
    for name in data.keys().filter(|name| !folder.join(name).exists()) {
        symlink(Path::new(IN_USE).join(name), folder.join(name))?;
    }
    if let Some(old) = old {
        fs::remove_dir_all(folder.join(old))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_sees_all_of_the_old_or_all_of_the_new() {
        let folder = tempfile::tempdir().unwrap();
        let data = |text: &str| BTreeMap::from(["a", "b"].map(|name| (name.to_owned(), text.to_owned())));
        swap(folder.path(), &data("old")).unwrap();
        let before = folder.path().join(fs::read_link(folder.path().join(IN_USE)).unwrap());
        swap(folder.path(), &data("new")).unwrap();
        for name in ["a", "b"] {
            assert_eq!(fs::read_to_string(folder.path().join(name)).unwrap(), "new");
        }
        assert!(!before.exists(), "the old folder is left behind");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
    }
}
