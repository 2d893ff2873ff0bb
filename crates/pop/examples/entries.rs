//! Makes very many entries of one: copies the record of an object to as many other keys, in the folder of a POP that does
//! not run. `cargo xtask bench purge` measures with it a purge that matches more than could be fetched meanwhile.
//!
//! `cargo run --release -p freshen-pop --example entries -- DATA_FOLDER SPACE PATH COUNT`
//!
//! They are for purging and counting only: all share one body, and one place in the queue for eviction.
#![allow(clippy::print_stdout, reason = "an example, run by hand")]

use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, space, path, count] = arguments.as_slice() else {
        return Err("DATA_FOLDER SPACE PATH COUNT".into());
    };
    let count: u64 = count.parse()?;
    let db = Database::builder(Path::new(folder).join("index")).open()?;
    let objects = db.keyspace("objects", KeyspaceCreateOptions::default)?;
    let record =
        objects.get(format!("{space}\0{path}"))?.ok_or_else(|| format!("no entry {space} {path}"))?;
    // In order, as tables at once, so that the POP has nothing to merge.
    let mut tables = objects.start_ingestion()?;
    for number in 0..count {
        tables.write(format!("{space}\0{path}-{number:010}"), record.clone())?;
    }
    tables.finish()?;
    db.persist(PersistMode::SyncAll)?;
    println!("{count} entries like {space} {path}");
    Ok(())
}
