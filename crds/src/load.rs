//! Resources from YAML: files of a repository, or what `kubectl get -o yaml` printed.
//!
//! Stricter than the API server: a field that the kind does not have is an error here, since a typo in a policy must
//! not be lost. Objects of other groups are allowed beside ours and only counted by name.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::{Agent, ApprovalRequest, ApprovalTier, Delegation, GROUP, Registry, Tool, ToolPolicy, VERSION};
use crate::test_files::{MAX_TESTS, PolicyTests, TestFile};

/// Resources by kind, in the order they were read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resources {
    /// Agents.
    pub agents: Vec<Agent>,
    /// Tools.
    pub tools: Vec<Tool>,
    /// Tool policies.
    pub policies: Vec<ToolPolicy>,
    /// Registries.
    pub registries: Vec<Registry>,
    /// Delegations.
    pub delegations: Vec<Delegation>,
    /// Approval tiers.
    pub tiers: Vec<ApprovalTier>,
    /// Approval requests.
    pub requests: Vec<ApprovalRequest>,
    /// What belongs to other groups, as `kind/name`.
    pub others: Vec<String>,
    /// Files with tests of policies.
    pub tests: Vec<TestFile>,
    /// Where everything above came from, by kind, namespace and name; also to find what is given twice.
    origins: BTreeMap<(String, String, String), String>,
}

/// A document that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {}{problem}", document.map(|number| format!("document {number}: ")).unwrap_or_default())]
pub struct LoadError {
    /// Where the text came from, such as a file's name.
    pub origin: String,
    /// Number of the document in the text, from 1. None: the text as a whole is no YAML.
    pub document: Option<usize>,
    /// What is wrong.
    pub problem: LoadProblem,
}

/// What is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadProblem {
    /// Not YAML.
    #[error("is not YAML: {0}")]
    Syntax(String),
    /// Not a Kubernetes object.
    #[error("is no Kubernetes object: {0} is missing or no text")]
    NotAnObject(&'static str),
    /// A version of our group that does not exist.
    #[error("has apiVersion {GROUP}/..., of which only {VERSION} exists")]
    UnknownVersion,
    /// A kind of our group that does not exist.
    #[error("has a kind that {GROUP} does not have")]
    UnknownKind,
    /// A field is missing or of another type.
    #[error("{kind} {name}: {message}")]
    Shape {
        /// Kind.
        kind: String,
        /// Name.
        name: String,
        /// What is wrong, in the words of the reader.
        message: String,
    },
    /// A field that the kind does not have.
    #[error("{kind} {name}: {field}: is a field that {kind} does not have")]
    UnknownField {
        /// Kind.
        kind: String,
        /// Name.
        name: String,
        /// Where.
        field: String,
    },
    /// Not a document of tests.
    #[error("is no document of tests, as the name of the file says: {0}")]
    NoTests(String),
    /// More tests than one document may hold.
    #[error("tests: are more than {MAX_TESTS}")]
    TooManyTests,
    /// A field that tests do not have.
    #[error("{field}: is a field that tests do not have")]
    UnknownTestField {
        /// Where.
        field: String,
    },
    /// An object that was there before.
    #[error("{kind} {name}: is given twice")]
    Twice {
        /// Kind.
        kind: String,
        /// Name.
        name: String,
    },
}

/// Reads one text of any number of documents.
pub fn load(origin: &str, text: &str) -> Result<Resources, LoadError> {
    let mut resources = Resources::default();
    resources.add(origin, text)?;
    Ok(resources)
}

impl Resources {
    /// Adds the documents of one text. Empty documents are skipped; the items of a list are taken as documents.
    pub fn add(&mut self, origin: &str, text: &str) -> Result<(), LoadError> {
        let fail = |document, problem| LoadError { origin: origin.to_owned(), document, problem };
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(text).map_err(|error| fail(None, LoadProblem::Syntax(error.to_string())))?;
        for (at, document) in documents.iter().enumerate() {
            if !document.is_null() {
                self.add_object(origin, document).map_err(|problem| fail(Some(at.saturating_add(1)), problem))?;
            }
        }
        Ok(())
    }

    /// Adds the documents of a file of tests. Whether its policies exist is looked at by
    /// [`cases`](crate::test_files::cases).
    pub fn add_tests(&mut self, origin: &str, text: &str) -> Result<(), LoadError> {
        let fail = |document, problem| LoadError { origin: origin.to_owned(), document, problem };
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(text).map_err(|error| fail(None, LoadProblem::Syntax(error.to_string())))?;
        let documents = documents
            .iter()
            .enumerate()
            .filter(|(_, document)| !document.is_null())
            .map(|(at, document)| tests(document).map_err(|problem| fail(Some(at.saturating_add(1)), problem)))
            .collect::<Result<_, _>>()?;
        self.tests.push(TestFile { origin: origin.to_owned(), documents });
        Ok(())
    }

    /// The file that an object was read from. Without namespace it counts as in `default`.
    pub fn origin(&self, kind: &str, namespace: &str, name: &str) -> Option<&str> {
        self.origins.get(&(kind.to_owned(), namespace.to_owned(), name.to_owned())).map(String::as_str)
    }

    fn add_object(&mut self, origin: &str, object: &Value) -> Result<(), LoadProblem> {
        let text = |field: &'static str| {
            object.get(field).and_then(Value::as_str).map(str::to_owned).ok_or(LoadProblem::NotAnObject(field))
        };
        let (version, kind) = (text("apiVersion")?, text("kind")?);
        let (group, version) = version.rsplit_once('/').unwrap_or(("", &version));
        if kind.ends_with("List")
            && let Some(Value::Array(items)) = object.get("items")
        {
            return items.iter().try_for_each(|item| self.add_object(origin, item));
        }
        let metadata = |field: &str| object.pointer(&format!("/metadata/{field}")).and_then(Value::as_str);
        let name = metadata("name").ok_or(LoadProblem::NotAnObject("metadata.name"))?.to_owned();
        if group != GROUP {
            self.others.push(format!("{kind}/{name}"));
            return Ok(());
        }
        if version != VERSION {
            return Err(LoadProblem::UnknownVersion);
        }
        let home = metadata("namespace").unwrap_or("default").to_owned();
        match kind.as_str() {
            "Agent" => self.agents.push(read(object, &kind, &name)?),
            "Tool" => self.tools.push(read(object, &kind, &name)?),
            "ToolPolicy" => self.policies.push(read(object, &kind, &name)?),
            "Registry" => self.registries.push(read(object, &kind, &name)?),
            "Delegation" => self.delegations.push(read(object, &kind, &name)?),
            "ApprovalTier" => self.tiers.push(read(object, &kind, &name)?),
            "ApprovalRequest" => self.requests.push(read(object, &kind, &name)?),
            _ => return Err(LoadProblem::UnknownKind),
        }
        match self.origins.insert((kind.clone(), home, name.clone()), origin.to_owned()) {
            None => Ok(()),
            Some(_) => Err(LoadProblem::Twice { kind, name }),
        }
    }
}

fn read<T: DeserializeOwned + Serialize>(object: &Value, kind: &str, name: &str) -> Result<T, LoadProblem> {
    let shape = |error: serde_json::Error| LoadProblem::Shape {
        kind: kind.to_owned(),
        name: name.to_owned(),
        message: error.to_string(),
    };
    let typed: T = T::deserialize(object).map_err(shape)?;
    // A field that is written back nowhere is one that the type does not have.
    let kept = serde_json::to_value(&typed).map_err(shape)?;
    match lost(object, &kept, "") {
        None => Ok(typed),
        Some(field) => Err(LoadProblem::UnknownField { kind: kind.to_owned(), name: name.to_owned(), field }),
    }
}

fn tests(document: &Value) -> Result<PolicyTests, LoadProblem> {
    let shape = |error: serde_json::Error| LoadProblem::NoTests(error.to_string());
    let typed: PolicyTests = serde_json::from_value(document.clone()).map_err(shape)?;
    if typed.tests.len() > MAX_TESTS {
        return Err(LoadProblem::TooManyTests);
    }
    let kept = serde_json::to_value(&typed).map_err(shape)?;
    match lost(document, &kept, "") {
        None => Ok(typed),
        Some(field) => Err(LoadProblem::UnknownTestField { field }),
    }
}

/// Path of the first field with content that `kept` lacks.
fn lost(written: &Value, kept: &Value, at: &str) -> Option<String> {
    match (written, kept) {
        (Value::Object(written), Value::Object(kept)) => written.iter().find_map(|(key, value)| {
            let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
            match kept.get(key) {
                Some(kept) => lost(value, kept, &at),
                None => (!is_empty(value)).then_some(at),
            }
        }),
        (Value::Array(written), Value::Array(kept)) => written
            .iter()
            .zip(kept)
            .enumerate()
            .find_map(|(index, (written, kept))| lost(written, kept, &format!("{at}[{index}]"))),
        _ => None,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
