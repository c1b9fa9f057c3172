//! The segment of records, from the first attestation to the drain, and what is told of it meanwhile.

use std::path::Path;
use std::sync::Arc;

use aegis_decision::control::Head;
use aegis_decision::jws::SigningKey;
use aegis_runtime::ready;
use aegis_runtime::shutdown::Drain;
use aegis_runtime::tasks::TaskResult;
use tokio::sync::watch;

use crate::identity::Attested;
use crate::record::{self, OpenError, WriterError};
use crate::worker::Shared;
use crate::{heads, trials};

/// Why records cannot be kept.
#[derive(Debug, thiserror::Error)]
enum RecordsError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Writer(#[from] WriterError),
    #[error("the record writer died")]
    Died,
}

/// Begins the segment with the first attestation, passes renewed ones on, and ends it when all is quiet.
pub(super) async fn keep(
    folder: &Path,
    key: SigningKey,
    mut attested: watch::Receiver<Option<Attested>>,
    shared: Arc<Shared>,
    ready: ready::Handle,
    quiet: Drain,
    newest: watch::Sender<Option<Head>>,
) -> TaskResult {
    let first = tokio::select! {
        first = attested.wait_for(Option::is_some) => first.ok().and_then(|first| first.clone()),
        () = quiet.begun() => None,
    };
    let Some(first) = first else { return Ok(()) };
    let begun = record::begin(folder, key, &first.jws, &first.keys, shared.metrics.clone());
    let record::Begun { recorder, head, mut ended } = begun.map_err(RecordsError::Open)?;
    if shared.recorder.set(recorder.clone()).is_ok() {
        ready.release();
    }
    let written = Drain::new();
    let trials = {
        let (shared, head, written) = (&shared, head.clone(), &written);
        async move {
            if let Some(control) = &shared.control {
                trials::send_all(&shared.trials, &head, control, &shared.state, written).await;
            }
            Ok(())
        }
    };
    let told = {
        let mut head = head.clone();
        async move {
            while head.changed().await.is_ok() {
                newest.send_replace(head.borrow_and_update().clone());
            }
            Ok(())
        }
    };
    let writing = async {
        loop {
            tokio::select! {
                result = &mut ended => {
                    result.map_err(|_| RecordsError::Died)??;
                    return Err(RecordsError::Died);
                }
                () = quiet.begun() => break,
                Ok(()) = attested.changed() => {
                    let newest = attested.borrow_and_update().clone();
                    if let Some(newest) = newest {
                        recorder.attest(newest.jws, newest.keys);
                    }
                }
            }
        }
        recorder.close();
        ended.await.map_err(|_| RecordsError::Died)??;
        written.begin();
        Ok(())
    };
    let heads = async {
        if let Some(control) = &shared.control {
            heads::send_all(head, Arc::clone(control), Arc::clone(&shared.state), written.clone()).await;
        }
        Ok(())
    };
    futures::future::try_join4(writing, heads, told, trials).await?;
    Ok(())
}
