//! The writer: one thread owns the one connection that writes, and commits what waits together.
//!
//! **Invariant:** nobody is answered, and the log's end does not move, before the commit that holds the call's work is
//! on disk. That goes for refusals too, since one may rest on work of the same batch.

use super::checkpoints::Checkpoints;
use super::file::Lock;
use super::orders;
use crate::Error;
use freshen_model::order::End;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};

/// Calls that may wait; more callers wait for a place.
const QUEUE_MAX: usize = 1_024;
/// Calls in one commit.
const BATCH_MAX: usize = 256;
/// Work in one commit, so that many large calls do not hold up a small one for long.
const BATCH_TIME_MAX: Duration = Duration::from_millis(20);

/// The way to the thread that writes.
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Box<dyn Call>>>,
    thread: Option<JoinHandle<()>>,
    commits: Arc<AtomicU64>,
}

impl Writer {
    /// Starts the thread; it moves `end` once orders are durable, and gives the lock of its file back last of all. A ledger
    /// in memory has neither checkpoints nor a lock.
    pub(super) fn start(
        connection: Connection,
        end: watch::Sender<End>,
        file: Option<(Checkpoints, Lock)>,
    ) -> Result<Writer, Error> {
        let (queue, calls) = mpsc::channel(QUEUE_MAX);
        let commits = Arc::new(AtomicU64::new(0));
        let counter = commits.clone();
        let thread = std::thread::Builder::new().name("ledger-writer".into()).spawn(move || {
            let (checkpoints, lock) = file.unzip();
            Batches { connection, calls, end, commits: counter, checkpoints }.run();
            drop(lock);
        });
        let thread = thread.map_err(|error| Error::Engine(format!("cannot start the writer: {error}")))?;
        Ok(Writer { queue: Some(queue), thread: Some(thread), commits })
    }

    /// Runs `work` in a savepoint of the next commit and waits until that commit is durable.
    ///
    /// Where `work` fails, what it changed is undone, and nothing else of the batch. A caller that stops waiting does not
    /// stop the work.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let stopped = || Error::Engine("the writer has stopped".into());
        let (reply, answer) = oneshot::channel();
        let call = Box::new(Work { work: Some(work), result: None, reply });
        self.queue.as_ref().ok_or_else(stopped)?.send(call).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }

    /// How many commits there were.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }
}

impl Drop for Writer {
    /// Waits until what was queued is written and the file is free again.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the ledger's writer panicked");
        }
    }
}

/// A queued call: first run, then, once it is known what became of the commit, answered.
trait Call: Send {
    /// Does the work; where it failed, its changes must be undone.
    fn run(&mut self, connection: &Connection) -> Result<(), &Error>;
    /// Answers with the work's result, or with `failure` where the commit failed.
    fn answer(self: Box<Self>, failure: Option<&str>);
}

struct Work<F, T> {
    work: Option<F>,
    result: Option<Result<T, Error>>,
    reply: oneshot::Sender<Result<T, Error>>,
}

impl<F, T> Call for Work<F, T>
where
    F: FnOnce(&Connection) -> Result<T, Error> + Send,
    T: Send,
{
    fn run(&mut self, connection: &Connection) -> Result<(), &Error> {
        self.result = self.work.take().map(|work| work(connection));
        match &self.result {
            Some(Err(error)) => Err(error),
            _ => Ok(()),
        }
    }

    fn answer(self: Box<Self>, failure: Option<&str>) {
        let result = match (failure, self.result) {
            (None, Some(result)) => result,
            (failure, _) => Err(Error::Engine(failure.unwrap_or("the call was not run").to_owned())),
        };
        // Nobody may be waiting any more; the work counts all the same.
        let _ = self.reply.send(result);
    }
}

/// What the thread owns.
struct Batches {
    /// Ends before the connection, whose closing leaves no log behind.
    checkpoints: Option<Checkpoints>,
    connection: Connection,
    calls: mpsc::Receiver<Box<dyn Call>>,
    end: watch::Sender<End>,
    commits: Arc<AtomicU64>,
}

impl Batches {
    fn run(mut self) {
        while let Some(first) = self.calls.blocking_recv() {
            let mut batch = vec![first];
            match self.commit(&mut batch) {
                Ok(end) => {
                    self.commits.fetch_add(1, Ordering::Relaxed);
                    self.end.send_if_modified(|known| std::mem::replace(known, end) != end);
                    batch.into_iter().for_each(|call| call.answer(None));
                    if let Some(checkpoints) = &mut self.checkpoints {
                        checkpoints.committed(&self.connection);
                    }
                }
                Err(error) => {
                    tracing::error!(calls = batch.len(), %error, "the ledger could not commit");
                    let text = format!("nothing was written: {error}");
                    batch.into_iter().for_each(|call| call.answer(Some(&text)));
                }
            }
        }
    }

    /// Runs the batch's first call and those that wait behind it in one transaction; gives the log's end after it.
    fn commit(&mut self, batch: &mut Vec<Box<dyn Call>>) -> Result<End, Error> {
        let mut transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let started = Instant::now();
        while let Some(call) = batch.last_mut() {
            run_in_savepoint(&mut transaction, call.as_mut())?;
            if batch.len() == BATCH_MAX || started.elapsed() > BATCH_TIME_MAX {
                break;
            }
            match self.calls.try_recv() {
                Ok(call) => batch.push(call),
                Err(_) => break,
            }
        }
        let end = orders::end(&transaction)?;
        transaction.commit()?;
        Ok(end)
    }
}

/// Fails only where the whole transaction is lost: SQLite gives it up by itself on a full disk and other hard errors.
fn run_in_savepoint(transaction: &mut Transaction<'_>, call: &mut dyn Call) -> Result<(), Error> {
    let mut savepoint = transaction.savepoint()?;
    if let Err(error) = call.run(&savepoint) {
        if savepoint.is_autocommit() {
            return Err(Error::Engine(error.to_string()));
        }
        savepoint.rollback()?;
    }
    Ok(savepoint.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Refusal;
    use crate::sqlite::schema;
    use freshen_model::ids::Seq;
    use freshen_model::order::Body;

    /// A writer on a ledger in memory, made ready by `prepare`, and the log's end.
    fn writer(prepare: &str) -> (Writer, watch::Receiver<End>) {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection).unwrap();
        connection.execute_batch(prepare).unwrap();
        let (end, ends) = watch::channel(End::default());
        (Writer::start(connection, end, None).unwrap(), ends)
    }

    fn tick(connection: &Connection) -> Result<Seq, Error> {
        orders::append(connection, &Body::Tick)
    }

    /// A call that holds up its batch until `open` is sent to, so that those queued behind it join it.
    fn gate() -> (std::sync::mpsc::Sender<()>, impl FnOnce(&Connection) -> Result<Seq, Error> + Send + 'static)
    {
        let (open, opened) = std::sync::mpsc::channel();
        let held = move |connection: &Connection| {
            opened.recv().unwrap();
            tick(connection)
        };
        (open, held)
    }

    #[tokio::test]
    async fn a_refused_call_undoes_only_its_own_work() {
        let (writer, end) = writer("");
        let (open, held) = gate();
        let refused = |connection: &Connection| {
            tick(connection)?;
            Err::<(), _>(Refusal::Unfit("no".into()).into())
        };
        let (first, second, third, _) =
            tokio::join!(writer.call(held), writer.call(refused), writer.call(tick), async {
                open.send(()).unwrap()
            });
        assert_eq!((first.unwrap(), third.unwrap()), (Seq(1), Seq(2)));
        assert!(matches!(second, Err(Error::Refused(Refusal::Unfit(_)))));
        assert_eq!((end.borrow().seq, writer.commits()), (Seq(2), 1));
    }

    #[tokio::test]
    async fn a_caller_that_stops_waiting_is_done_all_the_same() {
        let (writer, end) = writer("");
        let (open, held) = gate();
        tokio::select! {
            biased;
            _ = writer.call(held) => panic!("the gate is shut"),
            () = std::future::ready(()) => {}
        }
        open.send(()).unwrap();
        assert_eq!(writer.call(tick).await.unwrap(), Seq(2));
        assert_eq!(end.borrow().seq, Seq(2));
    }

    #[tokio::test]
    async fn p4_a_failed_commit_is_told_to_everyone_and_moves_nothing() {
        let (writer, end) = writer("PRAGMA foreign_keys = ON");
        let (open, held) = gate();
        // A foreign key that is looked at only in the commit, and then not found.
        let spoiled = |connection: &Connection| {
            connection.execute_batch(
                "PRAGMA defer_foreign_keys = ON; INSERT INTO keys VALUES ('id', 'secret', 'nobody', '{}', 0, NULL, NULL, 0)",
            )?;
            Ok(())
        };
        let refused = |_: &Connection| Err::<(), _>(Refusal::Unfit("no".into()).into());
        let (first, second, third, _) =
            tokio::join!(writer.call(held), writer.call(spoiled), writer.call(refused), async {
                open.send(()).unwrap()
            });
        assert!(matches!(first, Err(Error::Engine(_))));
        assert!(matches!(second, Err(Error::Engine(_))));
        assert!(matches!(third, Err(Error::Engine(_))), "a refusal may rest on what was not written");
        assert!(!end.has_changed().unwrap());
        assert_eq!(writer.call(tick).await.unwrap(), Seq(1), "the writer goes on");
        assert_eq!((end.borrow().seq, writer.commits()), (Seq(1), 1));
    }

    #[tokio::test]
    async fn a_full_disk_is_an_error_and_ends_when_there_is_room() {
        let (writer, end) = writer("PRAGMA max_page_count = 60");
        let large = |connection: &Connection| {
            let region = "x".repeat(1_000_000);
            orders::append(
                connection,
                &Body::Join { pop: "p".parse().unwrap(), area: freshen_model::area::Area::Domestic, region },
            )
        };
        let error = writer.call(large).await.unwrap_err();
        assert!(error.to_string().contains("full"), "{error}");
        assert_eq!(end.borrow().seq, Seq::ZERO);
        assert_eq!(writer.call(tick).await.unwrap(), Seq(1));
        let room = |connection: &Connection| Ok(connection.pragma_update(None, "max_page_count", 10_000)?);
        writer.call(room).await.unwrap();
        assert_eq!(writer.call(large).await.unwrap(), Seq(2));
    }
}
