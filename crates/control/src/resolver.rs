//! The resolver: whom the operator named to ask for media that are not in a library.
//!
//! It is asked by a signed call and believed for a while. That it knows nothing of a medium and that it could not be asked
//! are two things: only the first makes a medium unknown.

use crate::clock::Clock;
use crate::config::MediaResolver as Config;
use crate::outbound::Outbound;
use crate::secret::{self, NoRandom};
use freshen_model::callback::{self, CallbackSecret};
use freshen_model::media::{STREAMS_OF_MEDIA_MAX, Stream};
use http::StatusCode;
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Media that are remembered, known and unknown ones.
const REMEMBERED_MAX: usize = 1_000;
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 2 << 20;

/// Who asks, and what he remembers.
pub(crate) struct Resolver {
    url: String,
    secret: CallbackSecret,
    time_max: Duration,
    ttl: Duration,
    outbound: Arc<Outbound>,
    clock: Arc<dyn Clock>,
    /// By account and medium: until when, and the streams; of an unknown one there are none.
    remembered: Cache<(String, String), (Duration, Arc<Vec<Stream>>)>,
}

/// What is asked.
#[derive(Serialize)]
struct Question<'a> {
    account: &'a str,
    media: &'a [String],
}

/// What is answered; media of which nothing is said are unknown.
#[derive(Deserialize)]
struct Answer {
    /// Those of a medium the newest first.
    streams: Vec<Stream>,
}

/// Why a resolver told nothing.
#[derive(Debug, thiserror::Error)]
pub enum ResolverError {
    /// It was not reached, or did not answer in time.
    #[error("the resolver of media: {0}")]
    NoAnswer(String),
    /// It answered something else than 200.
    #[error("the resolver of media answered {0}")]
    Status(u16),
    /// Its answer cannot be.
    #[error("the answer of the resolver of media: {0}")]
    Unfit(String),
    /// The operating system gave no random bytes.
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
}

impl Resolver {
    pub(crate) fn new(config: &Config, outbound: Arc<Outbound>, clock: Arc<dyn Clock>) -> Resolver {
        Resolver {
            url: config.url.clone(),
            secret: CallbackSecret::of_text(config.secret.plain().unwrap_or_default()),
            time_max: Duration::from_millis(config.time_ms_max),
            ttl: Duration::from_secs(config.ttl_s),
            outbound,
            clock,
            remembered: Cache::new(REMEMBERED_MAX),
        }
    }

    /// The streams of these media, those of each the newest first; media that the resolver does not know are left out.
    pub(crate) async fn streams(
        &self,
        account: &str,
        media: Vec<String>,
    ) -> Result<Vec<(String, Vec<Stream>)>, ResolverError> {
        let now = self.clock.now();
        let (mut known, mut to_ask) = (Vec::new(), Vec::new());
        for id in media {
            match self.remembered.get(&(account.to_owned(), id.clone())) {
                Some((until, streams)) if now < until => known.push((id, streams)),
                _ => to_ask.push(id),
            }
        }
        if !to_ask.is_empty() {
            let mut streams = self.ask(account, &to_ask).await?;
            for id in to_ask {
                let of_id: Vec<Stream> = streams.extract_if(.., |stream| stream.media == id).collect();
                let of_id = Arc::new(of_id);
                let key = (account.to_owned(), id.clone());
                self.remembered.insert(key, (self.clock.now() + self.ttl, of_id.clone()));
                known.push((id, of_id));
            }
        }
        let known = known.into_iter().filter(|(_, streams)| !streams.is_empty());
        Ok(known.map(|(id, streams)| (id, streams.to_vec())).collect())
    }

    async fn ask(&self, account: &str, media: &[String]) -> Result<Vec<Stream>, ResolverError> {
        let unfit = |why: String| ResolverError::Unfit(why);
        let body =
            serde_json::to_string(&Question { account, media }).map_err(|error| unfit(error.to_string()))?;
        let id = format!("media-{}", &secret::token()?[..32]);
        let at_s = self.clock.wall_ms().div_euclid(1_000);
        let headers = crate::callbacks::signed(&self.secret, &id, at_s, &body);
        let answer = self.outbound.post(&self.url, headers, body, self.time_max, ANSWER_BYTES_MAX).await;
        let answer = answer.map_err(|error| ResolverError::NoAnswer(error.to_string()))?;
        if answer.status != StatusCode::OK {
            return Err(ResolverError::Status(answer.status.as_u16()));
        }
        let Answer { streams } =
            serde_json::from_slice(&answer.body).map_err(|error| unfit(error.to_string()))?;
        for (stream, entry) in streams.iter().zip(1..) {
            stream.check().map_err(|why| unfit(format!("entry {entry}: {why}")))?;
            if !media.contains(&stream.media) {
                return Err(unfit(format!("entry {entry}: {} was not asked for", stream.media)));
            }
        }
        for id in media {
            let count = streams.iter().filter(|stream| stream.media == *id).count() as u64;
            if count > STREAMS_OF_MEDIA_MAX {
                return Err(unfit(format!("{count} streams of {id}, at most {STREAMS_OF_MEDIA_MAX} fit")));
            }
        }
        Ok(streams)
    }
}

/// Says what is wrong with an address and a secret.
pub(crate) fn look_over(config: &Config) -> Result<(), (&'static str, String)> {
    callback::check_url(&config.url).map_err(|why| ("media_resolver.url", why.to_string()))?;
    match config.secret.plain().map(str::len) {
        Some(16..) => Ok(()),
        _ => Err(("media_resolver.secret", "write 16 or more characters".to_owned())),
    }
}
