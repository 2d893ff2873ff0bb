//! The media library: which addresses play a medium.

use crate::control::Control;
use crate::manage::ManageError;
use freshen_ledger::{Error, Found, StreamPlace};
use freshen_model::media::{STREAMS_MAX, Stream};
use std::collections::HashSet;

impl Control {
    /// Adds streams to an account's library, all or none; each must be within a domain of the account.
    pub async fn add_streams(&self, account: &str, streams: Vec<Stream>) -> Result<(), ManageError> {
        let unfit = |reason| ManageError::Unfit { field: "streams", reason };
        if !(1..=STREAMS_MAX).contains(&streams.len()) {
            return Err(unfit(format!("{} of them, write 1 to {STREAMS_MAX}", streams.len())));
        }
        let domains = self.ledger.domains(Some(account)).await?;
        let domains: HashSet<&str> = domains.iter().map(|domain| domain.name.as_str()).collect();
        for (stream, entry) in streams.iter().zip(1..) {
            let location = stream.check().map_err(|why| unfit(format!("entry {entry}: {why}")))?;
            if !domains.contains(location.host.as_str()) {
                let why = format!("{} is not a domain of this account", location.host);
                return Err(unfit(format!("entry {entry}, {}: {why}", stream.url)));
            }
        }
        Ok(self.ledger.add_streams(account, streams).await?)
    }

    /// An account's streams by medium, those of one the newest first; of one medium where that is given,
    /// and behind a place that this gave.
    pub async fn streams(
        &self,
        account: &str,
        media: Option<&str>,
        place: Option<StreamPlace>,
        limit: u64,
    ) -> Result<Found<Stream, StreamPlace>, Error> {
        self.ledger.streams(account, media, place, limit).await
    }

    /// Removes a medium from an account's library, with all its streams.
    pub async fn remove_media(&self, account: &str, media: &str) -> Result<(), Error> {
        self.ledger.remove_media(account, media).await
    }
}
