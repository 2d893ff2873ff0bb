//! Request bodies: read whole, within bounds of bytes, time and number.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The longest body, in bytes.
pub const BODY_BYTES_MAX: usize = 4 << 20;
/// How much of a longer one is read and dropped, so that its sender gets to read the refusal, in bytes.
const DROPPED_BYTES_MAX: usize = 32 << 20;
/// How long a body may take.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);
/// A body of that many bytes needs no place.
const SMALL_BYTES_MAX: u64 = 64 << 10;
/// Larger bodies at one time. They are read before anybody knows who sent them.
const LARGE_MAX: usize = 64;

/// The places for large bodies.
pub struct Bodies {
    places: Arc<Semaphore>,
}

/// A body with the place it takes.
pub struct Whole {
    /// All of it, freed of any transfer coding.
    pub bytes: Bytes,
    _place: Option<OwnedSemaphorePermit>,
}

/// Why a body is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Longer than [`BODY_BYTES_MAX`].
    #[error("a body has at most {BODY_BYTES_MAX} bytes")]
    TooLarge,
    /// It took longer than it may.
    #[error("the body was not received within {BODY_TIME_MAX:?}")]
    TooSlow,
    /// The connection broke, or what came is no body.
    #[error("the body broke off")]
    Broken,
}

impl Bodies {
    /// All places free.
    pub fn new() -> Bodies {
        Bodies { places: Arc::new(Semaphore::new(LARGE_MAX)) }
    }

    /// Reads a body to its end.
    pub async fn whole(&self, headers: &HeaderMap, body: Body) -> Result<Whole, BodyError> {
        let read = tokio::time::timeout(BODY_TIME_MAX, self.read(headers, body)).await;
        read.unwrap_or(Err(BodyError::TooSlow))
    }

    async fn read(&self, headers: &HeaderMap, mut body: Body) -> Result<Whole, BodyError> {
        let announced = body.size_hint().exact();
        // Who asks first is spared the sending.
        if announced.is_some_and(|bytes| bytes > BODY_BYTES_MAX as u64)
            && headers.contains_key(header::EXPECT)
        {
            return Err(BodyError::TooLarge);
        }
        let place = match announced {
            Some(0..=SMALL_BYTES_MAX) => None,
            _ => Some(self.places.clone().acquire_owned().await.map_err(|_| BodyError::Broken)?),
        };
        let (mut bytes, mut received) = (BytesMut::new(), 0);
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
            received += data.len();
            if received <= BODY_BYTES_MAX {
                bytes.extend_from_slice(&data);
            } else if received <= DROPPED_BYTES_MAX {
                bytes = BytesMut::new();
            } else {
                break;
            }
        }
        if received > BODY_BYTES_MAX {
            return Err(BodyError::TooLarge);
        }
        Ok(Whole { bytes: bytes.freeze(), _place: place })
    }
}

impl Default for Bodies {
    fn default() -> Bodies {
        Bodies::new()
    }
}
