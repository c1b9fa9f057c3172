//! A cluster that somebody else runs, reached by its administrator's kubeconfig. Its other users are the administrator in
//! their name: impersonation shows the API server the same user, group and rights as a login would.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use kube::config::Kubeconfig;

use super::options::Options;
use super::ready::{Ready, User};
use super::server::Cluster;

impl Cluster {
    /// Takes a running cluster; `dir` gets a kubeconfig for each user. Nothing of it is ended when this is dropped, and
    /// nothing can be commanded: it has no bed.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read, or names no current context with a user.
    pub async fn attach(kubeconfig: &Path, dir: &Path) -> Result<Self> {
        // An error means that the process has a provider already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let binary = crate::tools::testbed().await?;
        let read =
            Kubeconfig::read_from(kubeconfig).with_context(|| format!("cannot read {}", kubeconfig.display()))?;
        let kubeconfigs = dir.join("kubeconfigs");
        fs::create_dir_all(&kubeconfigs)?;
        let mut users = vec![User { name: "admin".to_owned(), uid: String::new(), groups: Vec::new() }];
        let people = Options::default().users.into_iter();
        users.extend(people.map(|(name, groups)| User { name, uid: String::new(), groups }));
        for user in &users {
            let config = if user.name == "admin" { read.clone() } else { in_the_name_of(read.clone(), user)? };
            fs::write(kubeconfigs.join(format!("{}.yaml", user.name)), serde_json::to_string(&config)?)?;
        }
        let server = read.clusters.iter().find_map(|one| one.cluster.as_ref()?.server.clone()).unwrap_or_default();
        let ready = Ready {
            server,
            ca_file: dir.join("none"),
            dir: dir.to_owned(),
            kubeconfigs,
            audit_log: dir.join("none"),
            logs: dir.to_owned(),
            users,
            pids: BTreeMap::new(),
            node: None,
            ext: None,
        };
        Ok(Self { ready, binary, bed: None, line: Mutex::new(None), complaints: Arc::default(), listener: None })
    }
}

fn in_the_name_of(mut config: Kubeconfig, user: &User) -> Result<Kubeconfig> {
    let current = config.current_context.clone().context("the kubeconfig has no current context")?;
    let context = config.contexts.iter().find(|one| one.name == current).and_then(|one| one.context.clone());
    let login = context.and_then(|context| context.user).context("the current context names no user")?;
    let found = config.auth_infos.iter_mut().find(|one| one.name == login);
    let info = found.and_then(|one| one.auth_info.as_mut()).context("the current context's user has no entry")?;
    info.impersonate = Some(user.name.clone());
    info.impersonate_groups = Some(user.groups.clone());
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_user_is_the_administrator_in_their_name() {
        let config = "
apiVersion: v1
kind: Config
current-context: one
contexts: [{name: one, context: {cluster: c, user: root}}, {name: two, context: {cluster: c, user: other}}]
clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]
users: [{name: other, user: {token: b}}, {name: root, user: {token: a}}]
";
        let config = Kubeconfig::from_yaml(config).unwrap();
        let user = User { name: "zoe".to_owned(), uid: String::new(), groups: vec!["buyers".to_owned()] };
        let named = serde_json::to_value(in_the_name_of(config, &user).unwrap()).unwrap();
        assert_eq!(named["users"][1]["user"]["as"], "zoe");
        assert_eq!(named["users"][1]["user"]["as-groups"], serde_json::json!(["buyers"]));
        assert_eq!(named["users"][1]["user"]["token"], "a", "the login stays");
        assert!(named["users"][0]["user"]["as"].is_null());
    }
}
