//! The ledger's file: private, durable in its folder, and open in one process at a time.

use crate::{Error, Refusal};
use freshen_model::secret::SealingKey;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a connection waits for another program that reads or copies the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// As many prepared statements as there are different ones.
const STATEMENTS_MAX: usize = 64;

/// What is read of a key file: digits and some white space.
const SECRETS_KEY_BYTES_MAX: u64 = 256;

/// The right to use the file; ends when dropped, or with the process.
pub(super) struct Lock {
    _file: File,
}

/// Makes the file and its folder where they are missing, and locks it.
pub(super) fn prepare(path: &Path) -> Result<Lock, Error> {
    let failed = |error: io::Error| Error::Engine(format!("{}: {error}", path.display()));
    let folder = folder_of(path);
    make_folder(folder).map_err(failed)?;
    let lock = lock(path)?;
    // SQLite gives its -wal and -shm files the mode of the database; a restored copy may have brought wider ones.
    private(path).map_err(failed)?;
    for suffix in ["-wal", "-shm"] {
        let beside = beside(path, suffix);
        if beside.exists() {
            std::fs::set_permissions(&beside, Permissions::from_mode(0o600)).map_err(failed)?;
        }
    }
    sync_folder(folder).map_err(failed)?;
    Ok(lock)
}

/// The key for the ledger's secrets: in `secrets.key` beside it, made where it is missing, readable by its owner only.
pub(super) fn secrets_key(ledger: &Path) -> Result<SealingKey, Error> {
    let folder = folder_of(ledger);
    let path = folder.join("secrets.key");
    let failed = |error: io::Error| Error::Engine(format!("{}: {error}", path.display()));
    make_folder(folder).map_err(failed)?;
    let mut file = private(&path).map_err(failed)?;
    let mut text = String::new();
    (&file).take(SECRETS_KEY_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    // Empty where it is new, or where its making was cut off: nothing was sealed with it.
    if !text.is_empty() {
        let unfit = || Refusal::Unfit(format!("{} is no key: write 64 hexadecimal digits", path.display()));
        return Ok(SealingKey::from_hex(&text).ok_or_else(unfit)?);
    }
    let key = SealingKey::new(super::random()?);
    file.write_all(format!("{}\n", key.to_hex()).as_bytes()).map_err(failed)?;
    file.sync_all().and_then(|()| sync_folder(folder)).map_err(failed)?;
    Ok(key)
}

fn lock(path: &Path) -> Result<Lock, Error> {
    let beside = beside(path, ".lock");
    let failed = |error: io::Error| Error::Engine(format!("{}: {error}", beside.display()));
    let file = private(&beside).map_err(failed)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Lock { _file: file }),
        Err(Errno::WOULDBLOCK) => {
            let path = path.display();
            Err(Refusal::Unfit(format!("the ledger {path} is in use by another control process")).into())
        }
        Err(error) => Err(failed(error.into())),
    }
}

/// Opens the connection that writes.
pub(super) fn writer(path: &Path) -> Result<Connection, Error> {
    open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

/// Opens a connection that reads.
pub(super) fn reader(path: &Path) -> Result<Connection, Error> {
    open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn open(path: &Path, access: OpenFlags) -> Result<Connection, Error> {
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(connection)
}

/// Makes every later commit of the connection durable; only for a file known to be a ledger, which it changes.
pub(super) fn make_durable(connection: &Connection) -> Result<(), Error> {
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(Error::Engine(format!(
            "no write-ahead log on this file system, but journal mode {mode}"
        )));
    }
    // FULL: a commit has returned only when its part of the write-ahead log is on disk; `fullfsync` is macOS's word for it.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.query_row("PRAGMA journal_size_limit = 67108864", [], |_| Ok(()))?;
    Ok(())
}

/// Opens or makes a file that only its owner may read.
fn private(path: &Path) -> io::Result<File> {
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder_of(folder);
    make_folder(parent)?;
    DirBuilder::new().mode(0o700).create(folder)?;
    sync_folder(parent)
}

/// A new file survives a power cut only once its folder is synced too.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
