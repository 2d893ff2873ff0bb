//! The media library: which addresses play a medium.

use crate::location::{BadUrl, Location, Scheme};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest id of a medium, in bytes.
pub const MEDIA_ID_BYTES_MAX: usize = 64;
/// The longest definition, in bytes.
pub const DEFINITION_BYTES_MAX: usize = 16;
/// Streams of one request.
pub const STREAMS_MAX: usize = 1_000;
/// Streams of one medium.
pub const STREAMS_OF_MEDIA_MAX: u64 = 100;
/// Streams of one account.
pub const STREAMS_OF_ACCOUNT_MAX: u64 = 1_000_000;

/// One address at which a medium plays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// The id of the medium: letters, digits, `-` and `_`, at most [`MEDIA_ID_BYTES_MAX`].
    pub media: String,
    /// The address, in a domain of the account. A medium has each address once.
    pub url: String,
    /// What it is packed in.
    pub format: Format,
    /// The definition, the vendor's word or another: `LD`, `SD`, `HD`, `4K`, `AUTO` …; upper-case letters, digits and `-`.
    pub definition: String,
    /// Picture or sound alone.
    #[serde(default, rename = "type")]
    pub kind: StreamType,
    /// How long it plays, in seconds, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<f64>,
}

/// What a stream is packed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "they are the names of formats")]
pub enum Format {
    Mp4,
    M3u8,
    Mpd,
    Mp3,
    Flv,
    Webm,
    Ts,
}

/// Picture or sound alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StreamType {
    /// With a picture.
    #[default]
    Video,
    /// Sound alone.
    Audio,
}

/// Why a stream cannot be; the text says what may be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadStream {
    /// The id.
    #[error("media {0:?}: an id has 1 to 64 letters, digits, - and _")]
    Media(String),
    /// The definition.
    #[error("definition {0:?}: it has 1 to 16 upper-case letters, digits and -")]
    Definition(String),
    /// The duration.
    #[error("duration_s: seconds, 0 or more")]
    Duration,
    /// The address.
    #[error("url: {0}")]
    Url(#[from] BadUrl),
}

impl Stream {
    /// Where it is; or what is wrong with it.
    pub fn check(&self) -> Result<Location, BadStream> {
        if !is_media_id(&self.media) {
            return Err(BadStream::Media(self.media.chars().take(MEDIA_ID_BYTES_MAX).collect()));
        }
        let of_definition = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=DEFINITION_BYTES_MAX).contains(&self.definition.len())
            || !self.definition.bytes().all(of_definition)
        {
            return Err(BadStream::Definition(self.definition.chars().take(DEFINITION_BYTES_MAX).collect()));
        }
        if self.duration_s.is_some_and(|seconds| !(seconds.is_finite() && seconds >= 0.0)) {
            return Err(BadStream::Duration);
        }
        Ok(Location::parse(&self.url, Scheme::Required)?)
    }
}

/// Whether it can be the id of a medium.
pub fn is_media_id(id: &str) -> bool {
    let of_id = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=MEDIA_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(of_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_stream_is_said() {
        let good = Stream {
            media: "ca3a8f6e-4957".into(),
            url: "http://a.example/v.m3u8".into(),
            format: Format::M3u8,
            definition: "HD".into(),
            kind: StreamType::Video,
            duration_s: Some(12.5),
        };
        assert_eq!(good.check().unwrap().host, "a.example");
        let bad = |change: fn(&mut Stream)| {
            let mut stream = good.clone();
            change(&mut stream);
            stream.check().unwrap_err()
        };
        assert_eq!(bad(|stream| stream.media = "a b".into()), BadStream::Media("a b".into()));
        assert_eq!(bad(|stream| stream.media.clear()), BadStream::Media(String::new()));
        assert_eq!(bad(|stream| stream.definition = "hd".into()), BadStream::Definition("hd".into()));
        assert_eq!(bad(|stream| stream.duration_s = Some(-1.0)), BadStream::Duration);
        assert_eq!(bad(|stream| stream.url = "a.example/v".into()), BadStream::Url(BadUrl::NoScheme));
    }
}
