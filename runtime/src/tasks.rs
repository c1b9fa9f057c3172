//! All spawned work in one set: a task that ends unexpectedly ends the process, by name.

use std::collections::HashMap;

use tokio::task::{Id, JoinSet};

use crate::shutdown::Drain;

/// What a task gives back: nothing, or why it could not go on.
pub type TaskResult = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// A task that ended when it should not have.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// It ended before the drain began.
    #[error("task {0} ended unexpectedly")]
    Ended(&'static str),
    /// It could not go on.
    #[error("task {name} failed")]
    Failed {
        /// Which.
        name: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It panicked.
    #[error("task {0} panicked")]
    Panicked(&'static str),
}

/// The tasks of a process.
#[derive(Debug, Default)]
pub struct Tasks {
    set: JoinSet<TaskResult>,
    names: HashMap<Id, (&'static str, Kind)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Finishes what is under way when the drain begins.
    Draining,
    /// Serves the others until they have finished.
    Background,
}

impl Tasks {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a task that runs until the drain begins and then finishes by itself.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = TaskResult> + Send + 'static) {
        self.add(name, Kind::Draining, task);
    }

    /// Adds a task that never ends by itself; it is dropped when all draining tasks have finished.
    pub fn spawn_background(&mut self, name: &'static str, task: impl Future<Output = TaskResult> + Send + 'static) {
        self.add(name, Kind::Background, task);
    }

    fn add(&mut self, name: &'static str, kind: Kind, task: impl Future<Output = TaskResult> + Send + 'static) {
        let id = self.set.spawn(task).id();
        self.names.insert(id, (name, kind));
    }

    /// Runs until every draining task has finished after the drain began, or until one ends that should not.
    pub async fn run(mut self, drain: Drain) -> Result<(), TaskError> {
        while self.names.values().any(|(_, kind)| *kind == Kind::Draining) {
            let Some(ended) = self.set.join_next_with_id().await else {
                break;
            };
            let id = ended.as_ref().map_or_else(tokio::task::JoinError::id, |(id, _)| *id);
            let (name, kind) = self.names.remove(&id).unwrap_or(("unnamed", Kind::Draining));
            match ended {
                Ok((_, Ok(()))) if drain.has_begun() && kind == Kind::Draining => {
                    tracing::debug!(name, "task drained");
                }
                Ok((_, Ok(()))) => return Err(TaskError::Ended(name)),
                Ok((_, Err(source))) => return Err(TaskError::Failed { name, source }),
                Err(_) => return Err(TaskError::Panicked(name)),
            }
        }
        // Dropping the set aborts the background tasks.
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_early_end_is_an_error_with_the_name() {
        let mut tasks = Tasks::new();
        tasks.spawn("watch", async { Ok(()) });
        let error = tasks.run(Drain::new()).await.unwrap_err();
        assert_eq!(error.to_string(), "task watch ended unexpectedly");
    }

    #[tokio::test]
    async fn a_failure_is_an_error_even_while_draining() {
        let drain = Drain::new();
        drain.begin();
        let mut tasks = Tasks::new();
        tasks.spawn("writer", async { Err("disk is full".into()) });
        assert!(matches!(tasks.run(drain).await, Err(TaskError::Failed { name: "writer", .. })));
    }

    #[tokio::test]
    async fn a_panic_is_an_error() {
        let mut tasks = Tasks::new();
        tasks.spawn_background("admin", async { panic!("on purpose") });
        tasks.spawn("feed", std::future::pending());
        assert!(matches!(tasks.run(Drain::new()).await, Err(TaskError::Panicked("admin"))));
    }

    #[tokio::test]
    async fn background_tasks_live_until_the_others_have_drained() {
        let drain = Drain::new();
        let mut tasks = Tasks::new();
        tasks.spawn_background("admin", std::future::pending());
        let told = drain.clone();
        tasks.spawn("feed", async move {
            told.begun().await;
            Ok(())
        });
        drain.begin();
        tasks.run(drain).await.unwrap();
    }
}
