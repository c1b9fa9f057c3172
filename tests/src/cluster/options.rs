//! How a cluster is started.

use std::path::PathBuf;
use std::time::Duration;

/// The people every cluster knows unless told otherwise. They belong to no group of their own, so all they may do is what a test's RBAC gives them.
pub const PEOPLE: [&str; 11] = [
    "ana",
    "bob",
    "carol",
    "dave",
    "erin",
    "mallory",
    // The roles of examples/procurement.
    "security-reviewer",
    "purchasing-lead",
    "office-manager",
    "finance-approver",
    "incident-responder",
];

/// How a cluster is started; the default is a bed in a temporary folder with [`PEOPLE`].
#[derive(Clone, Debug)]
pub struct Options {
    /// Who can log in beside `admin` (who is in `system:masters`): name and groups.
    pub users: Vec<(String, Vec<String>)>,
    /// Where to keep the files; without it a temporary folder is used and removed at the end.
    pub dir: Option<PathBuf>,
    /// Further flags of components, each as `component=--flag=value`.
    pub flags: Vec<String>,
    /// Whether there is a node that runs pods; needs root on Linux.
    pub node: bool,
    /// Further addresses of the outside world of that node.
    pub ext_addresses: Vec<String>,
    /// How long the server may take until it can be used, the build of its binary not counted. Three seconds on an idle machine.
    pub within: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            users: PEOPLE.map(|name| (name.to_owned(), Vec::new())).to_vec(),
            dir: None,
            flags: Vec::new(),
            node: false,
            ext_addresses: Vec::new(),
            within: Duration::from_mins(2),
        }
    }
}

impl Options {
    /// Adds a user; `groups` may be empty.
    #[must_use]
    pub fn user(mut self, name: &str, groups: &[&str]) -> Self {
        self.users.push((name.to_owned(), groups.iter().map(|&group| group.to_owned()).collect()));
        self
    }

    /// Keeps the files in an empty (or missing) folder and leaves them there.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Starts a component with one more flag.
    #[must_use]
    pub fn flag(mut self, component: &str, flag: &str) -> Self {
        self.flags.push(format!("{component}={flag}"));
        self
    }

    /// With a node that runs pods.
    #[must_use]
    pub fn node(mut self) -> Self {
        self.node = true;
        self
    }

    /// With one more address of the outside world.
    #[must_use]
    pub fn ext_address(mut self, address: &str) -> Self {
        self.ext_addresses.push(address.to_owned());
        self
    }

    /// The arguments of `aegis-testbed up`.
    pub(super) fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![format!("--within={}s", self.within.as_secs().max(1))];
        arguments.extend(self.users.iter().map(|(name, groups)| format!("--user={name}:{}", groups.join(","))));
        arguments.extend(self.flags.iter().map(|flag| format!("--flag={flag}")));
        arguments.extend(self.node.then(|| "--node".to_owned()));
        arguments.extend(self.ext_addresses.iter().map(|address| format!("--ext-address={address}")));
        arguments.extend(self.dir.iter().map(|dir| format!("--dir={}", dir.display())));
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_becomes_an_argument() {
        let options = Options { users: Vec::new(), ..Options::default() }
            .user("zoe", &["buyers", "team:eu"])
            .flag("etcd", "--log-level=info")
            .dir("/beds/one");
        assert_eq!(
            options.arguments(),
            ["--within=120s", "--user=zoe:buyers,team:eu", "--flag=etcd=--log-level=info", "--dir=/beds/one"]
        );
    }
}
