//! Where flows on a node run: on the bed's own node, unless `CLUSTER` names another cluster.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};

/// Name of the kind cluster that flows make, and leave for the next run.
pub const KIND: &str = "aegis-test";

/// A cluster for flows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The bed's node.
    Bed,
    /// A cluster of kind, made when it is not there.
    Kind,
    /// A cluster that somebody runs, by its kubeconfig.
    Kubeconfig {
        /// Its administrator's.
        file: PathBuf,
        /// Where its nodes find the images; they are not put there by a test.
        registry: String,
    },
}

impl Place {
    /// As the environment says: `CLUSTER=kind`; or `CLUSTER=kubeconfig` with `KUBECONFIG` and `AEGIS_TEST_REGISTRY`. A
    /// `KUBECONFIG` alone changes nothing: nobody's cluster is tested on by accident.
    ///
    /// # Errors
    /// When it says something else.
    pub fn get() -> Result<Self> {
        Self::of(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        match variable("CLUSTER").as_deref() {
            None => Ok(Self::Bed),
            Some("kind") => Ok(Self::Kind),
            Some("kubeconfig") => {
                let file = PathBuf::from(variable("KUBECONFIG").unwrap_or_default());
                ensure!(file.is_file(), "CLUSTER=kubeconfig needs KUBECONFIG, which must name one file");
                let registry = variable("AEGIS_TEST_REGISTRY").unwrap_or_else(|| BED_REGISTRY.to_owned());
                Ok(Self::Kubeconfig { file, registry })
            }
            Some(other) => bail!("CLUSTER={other}: it may be kind, kubeconfig, or not set"),
        }
    }

    /// What stands before the names of images there.
    pub fn registry(&self) -> &str {
        match self {
            Self::Bed | Self::Kind => BED_REGISTRY,
            Self::Kubeconfig { registry, .. } => registry,
        }
    }
}

/// What stands before the names in the archives.
const BED_REGISTRY: &str = "aegis.test";

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Place> {
        let variables: Vec<(String, String)> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Place::of(|name| variables.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone()))
    }

    #[test]
    fn a_kubeconfig_alone_names_no_cluster_to_test_on() {
        assert_eq!(of(&[("KUBECONFIG", "/some/file")]).unwrap(), Place::Bed);
        assert_eq!(of(&[("CLUSTER", "kind"), ("KUBECONFIG", "/some/file")]).unwrap(), Place::Kind);
        let file = tempfile::NamedTempFile::new().unwrap();
        let named = of(&[
            ("CLUSTER", "kubeconfig"),
            ("KUBECONFIG", file.path().to_str().unwrap()),
            ("AEGIS_TEST_REGISTRY", "registry.example.com/team"),
        ]);
        assert_eq!(named.unwrap().registry(), "registry.example.com/team");
        assert!(of(&[("CLUSTER", "kubeconfig")]).is_err());
        assert!(of(&[("CLUSTER", "minikube")]).is_err());
    }
}
