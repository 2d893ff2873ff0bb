//! Media jobs: purges and prefetches of all addresses at which some media play.

use crate::ids::TaskId;
use crate::media::{Format, Stream, StreamType};
use crate::task::TaskKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Media of one job.
pub const MEDIA_MAX: usize = 20;
/// Segments of each playlist that a job may ask for.
pub const SEGMENTS_MAX: u32 = 20;
/// Bytes of what a job carries for its submitter.
pub const NOTE_BYTES_MAX: usize = 4_096;
/// Jobs of one account that are remembered.
pub const JOBS_KEPT_MAX: u64 = 10_000;
/// Parts of one account's jobs that wait to be submitted.
pub const PARTS_WAITING_MAX: u64 = 1_000;

/// What is wanted of some media.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MediaRequest {
    /// A purge of URLs, or a prefetch.
    #[serde(rename = "type")]
    pub kind: TaskKind,
    /// Streams packed so; none: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub formats: Vec<Format>,
    /// Streams of these definitions; none: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub definitions: Vec<String>,
    /// Streams of these types; none: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stream_types: Vec<StreamType>,
    /// All streams that fit; else of each definition and format the newest.
    #[serde(default)]
    pub multiple: bool,
    /// So many segments of each playlist, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segments: Option<u32>,
    /// Where the end of each part is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<String>,
    /// What the submitter wants to find with the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl MediaRequest {
    /// Those of a medium's streams that are wanted; `streams` has the newest first, and so has the answer.
    pub fn select<'a>(&self, streams: &'a [Stream]) -> Vec<&'a Stream> {
        let mut selected: Vec<&Stream> = Vec::new();
        for stream in streams {
            let of = |stream: &Stream| (stream.format, stream.definition.clone());
            let fits = fits(&self.formats, &stream.format)
                && fits(&self.definitions, &stream.definition)
                && fits(&self.stream_types, &stream.kind);
            let newer = || selected.iter().any(|chosen| of(chosen) == of(stream));
            if fits && (self.multiple || !newer()) {
                selected.push(stream);
            }
        }
        selected
    }
}

fn fits<T: PartialEq>(wanted: &[T], found: &T) -> bool {
    wanted.is_empty() || wanted.contains(found)
}

/// A media job: one task for each of its media.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MediaJob {
    /// Its name, 32 hexadecimal digits.
    pub id: String,
    /// What was wanted.
    pub request: MediaRequest,
    /// When it was accepted, wall-clock milliseconds since 1970.
    pub created_ms: i64,
    /// Its media, in the order that they were named.
    pub parts: Vec<MediaPart>,
}

/// One medium of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MediaPart {
    /// The medium.
    pub media: String,
    /// The addresses that were selected when the job was accepted.
    pub urls: Vec<String>,
    /// What became of it.
    #[serde(flatten)]
    pub state: PartState,
    /// When that last changed, wall-clock milliseconds since 1970.
    pub changed_ms: i64,
}

/// What became of one medium of a job. How far its task is, the task says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum PartState {
    /// It is submitted soon.
    Waiting,
    /// This task has all its addresses.
    Submitted {
        /// The task; decimal digits as text.
        #[serde(with = "crate::task::digits")]
        #[schemars(with = "String")]
        task: TaskId,
    },
    /// Nothing was submitted for it.
    Failed {
        /// Why, in a word.
        why: PartFailure,
        /// Why, in more words.
        reason: String,
    },
}

impl PartState {
    /// Whether nothing more will happen to it here.
    pub fn ended(&self) -> bool {
        *self != PartState::Waiting
    }
}

/// Why nothing was submitted for a medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PartFailure {
    /// None of its streams fits what was wanted.
    NoStream,
    /// The account's quota of the day does not suffice.
    OverQuota,
    /// More lines a minute than the account may purge.
    TooFast,
    /// Too many of the account's prefetches wait.
    QueueFull,
    /// No POP is there.
    NoPops,
    /// Its playlists could not be read, so that their segments are not known.
    Unread,
    /// Its addresses cannot be submitted: a domain is the account's no more, or a URL cannot be.
    Unfit,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(format: Format, definition: &str, url: &str) -> Stream {
        Stream {
            media: "m".into(),
            url: url.into(),
            format,
            definition: definition.into(),
            kind: if format == Format::Mp3 { StreamType::Audio } else { StreamType::Video },
            duration_s: None,
        }
    }

    #[test]
    fn of_each_definition_and_format_the_newest_unless_all_are_wanted() {
        let streams = [
            stream(Format::Mp4, "HD", "newest"),
            stream(Format::Mp4, "HD", "older"),
            stream(Format::M3u8, "HD", "list"),
            stream(Format::Mp4, "LD", "low"),
            stream(Format::Mp3, "SQ", "sound"),
        ];
        let all = MediaRequest {
            kind: TaskKind::Prefetch,
            formats: Vec::new(),
            definitions: Vec::new(),
            stream_types: Vec::new(),
            multiple: false,
            segments: None,
            callback: None,
            note: None,
        };
        let selected = |request: &MediaRequest| -> Vec<String> {
            request.select(&streams).iter().map(|stream| stream.url.clone()).collect()
        };
        assert_eq!(selected(&all), ["newest", "list", "low", "sound"]);
        let every = MediaRequest { multiple: true, ..all.clone() };
        assert_eq!(selected(&every), ["newest", "older", "list", "low", "sound"]);
        let high = MediaRequest { definitions: vec!["HD".into()], ..all.clone() };
        assert_eq!(selected(&high), ["newest", "list"]);
        let lists = MediaRequest { formats: vec![Format::M3u8, Format::Mp3], ..all.clone() };
        assert_eq!(selected(&lists), ["list", "sound"]);
        let sound = MediaRequest { stream_types: vec![StreamType::Audio], ..all.clone() };
        assert_eq!(selected(&sound), ["sound"]);
        let none = MediaRequest { formats: vec![Format::Ts], ..all };
        assert_eq!(selected(&none), [""; 0]);
    }
}
