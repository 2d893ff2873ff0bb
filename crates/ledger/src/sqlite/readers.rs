//! The readers: a few connections that read, each call in one transaction, never on the threads of the async runtime.

use super::file;
use crate::Error;
use parking_lot::Mutex;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Reads at a time; more wait.
const READERS_MAX: usize = 4;

/// Connections that read.
pub(super) struct Readers {
    permits: Arc<Semaphore>,
    idle: Arc<Idle>,
}

struct Idle {
    path: PathBuf,
    connections: Mutex<Vec<Connection>>,
}

impl Readers {
    /// Readers of the file at `path`; connections are opened as they are needed.
    pub(super) fn new(path: &Path) -> Readers {
        let idle = Idle { path: path.to_owned(), connections: Mutex::default() };
        Readers { permits: Arc::new(Semaphore::new(READERS_MAX)), idle: Arc::new(idle) }
    }

    /// Runs `work` on the state as of one moment.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let failed = |error: &dyn std::fmt::Display| Error::Engine(format!("a reader failed: {error}"));
        let permit = self.permits.clone().acquire_owned().await.map_err(|error| failed(&error))?;
        let idle = self.idle.clone();
        let read = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            idle.read(work)
        });
        read.await.map_err(|error| failed(&error))?
    }
}

impl Idle {
    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        let idle = self.connections.lock().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => file::reader(&self.path)?,
        };
        let transaction = connection.transaction()?;
        let result = work(&transaction);
        transaction.finish()?;
        self.connections.lock().push(connection);
        result
    }
}
