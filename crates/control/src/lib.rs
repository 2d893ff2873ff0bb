//! Control: takes what users submit, keeps the fleet's log moving, and says how far each task is.
//!
//! **Invariant:** control decides that a task is done from two things only: what POPs confirmed, and its own steady
//! clock. It never reads a POP's clock, never counts a POP as done because it fell silent, never shows a task as ended
//! before the ledger has that durably, and never serves a viewer.

mod callbacks;
pub mod changes;
pub mod check;
pub mod clock;
pub mod config;
mod control;
mod deferred;
pub mod dry_run;
pub mod fleet_view;
mod keeper;
mod lines;
pub mod manage;
pub mod media;
pub mod media_jobs;
mod members;
mod outbound;
mod pace;
mod peers;
pub mod people;
mod progress;
pub mod receipts;
mod resolver;
mod secret;
pub mod server_certificates;
mod steering;
pub mod submit;
pub mod tasks;
mod telemetry;
pub mod traffic;
mod trial;

pub use changes::{Change, Feed, TaskWatch, Told, TooManyStreams};
pub use check::CheckError;
pub use clock::{Clock, ManualClock, SteadyClock};
pub use config::{BadConfig, Config};
pub use control::{Control, NotReady, StartError};
pub use dry_run::DryRun;
pub use fleet_view::PopView;
pub use lines::{BadLine, LineFault};
pub use manage::{ManageError, NewBearer, NewKey, NewPop, NewToken};
pub use media_jobs::{MediaJobError, MediaSubmitted, MediaTeller};
pub use people::{Session, SignInError};
pub use receipts::NoCertificate;
pub use resolver::ResolverError;
pub use server_certificates::NewServerCertificate;
pub use submit::{Accepted, SubmitError, SubmitRequest, Terms, Then};
pub use tasks::{LineView, Operation};

pub use freshen_ledger::{
    Account, DOMAINS_OF_ACCOUNT_MAX, Deed, DomainRecord, Found, Once, ServerCertificate, StreamPlace,
    Submitted, TaskFilter, TaskPage, TaskPlace, User,
};
