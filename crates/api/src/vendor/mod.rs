//! The vendor's APIs, as its SDKs speak them: ApsaraVideo VOD (2017-03-21) and CDN (2018-05-10), for purges and prefetches.
//!
//! A request is read in this order: [`Params`] and [`Format`] (what it says, and how to answer), [`Action`] (what it
//! wants), [`signature`](crate::signature) (who wants it), [`Call`] (typed). The answer is a [`Reply`] or a
//! [`VendorError`], put into bytes by [`Envelope`]. `serve` goes through these steps; `refusals` has the vendor's word for
//! each refusal of ours, `rows` its words for a task. Nothing here decides anything about caches.

mod action;
mod call;
mod domains;
mod envelope;
mod error;
mod functions;
#[cfg(test)]
mod matrix;
mod media;
mod params;
mod quotas;
mod refusals;
mod reply;
mod rows;
mod serve;
mod traffic;

pub use action::{Action, Product};
pub use call::{Area, Call, LINES_MAX, Line, ObjectType, Prefetch, Purge, PurgeTags, TaskQuery};
pub use domains::{DomainCall, DomainDetail, DomainQuery, Domains};
pub use envelope::{Envelope, RequestId};
pub use error::{Denial, ErrorKind, VendorError};
pub use functions::{DomainConfigs, Function};
pub use media::{MediaCall, MediaJobQuery, MediaRow};
pub use params::{Format, Params};
pub use reply::{
    CdnQuota, CdnUserQuota, Process, Reply, TaskRow, TaskStatus, TaskType, UrlDetail, UrlProgress, VodQuota,
};

pub use traffic::{TrafficQuery, TrafficReply};

use call::LISTED_SECONDS;
pub(crate) use media::Teller;
pub(crate) use serve::serve;
