//! A dry run of a prefetch, at this POP: playlists are read from the cache or from the origin, and nothing is stored.
//!
//! What it finds is what a prefetch of the same moment would fetch: it walks as that does, with the same limits.

use crate::Pop;
use crate::look_up::{Found, NoLookUp, Trace};
use crate::origin::{self, upstream_headers};
use crate::policy::fields;
use crate::prefetcher::following;
use freshen_fleet::wire::Answered;
use freshen_media::{Base, DEPTH_MAX, Expansion, PLAYLIST_BYTES_MAX, Place, Role, Step, Url, kind_of};
use freshen_model::expand::{
    ExpandQuestion, ExpandedFile, ExpandedLine, LISTED_BYTES_MAX, LISTED_MAX, SIZES_MAX, TOLD_MAX, Unread,
};
use freshen_model::follow::Follow;
use freshen_model::order::PrefetchItem;
use futures_util::StreamExt;
use http::{Method, header};
use http_body_util::{BodyExt, Limited};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long one dry run may take: to read playlists, then to ask for sizes.
const READING_MAX: Duration = Duration::from_secs(7);
const SIZING_MAX: Duration = Duration::from_secs(4);
/// Questions to an origin for the size of a file at one time.
const SIZES_AT_ONCE: usize = 8;
/// By so many bytes a playlist is known that is not called one.
const HEAD_BYTES: usize = 8 << 10;
/// Characters of an address that are told.
const URL_CHARS_MAX: usize = 2_100;

impl Pop {
    /// What these lines lead to. One at a time, beside the traffic.
    pub async fn expand(self: &Arc<Pop>, question: ExpandQuestion) -> Result<Answered, String> {
        let until = Instant::now() + READING_MAX;
        let turn = match question.sizes {
            true => self.previewing.try_acquire().ok(),
            // No person who tries again, but a job with several media.
            false => {
                tokio::time::timeout_at(until, self.previewing.acquire()).await.ok().and_then(Result::ok)
            }
        };
        if turn.is_none() {
            return Err("another dry run is under way there, try again in a few seconds".into());
        }
        let mut lines = Vec::new();
        let mut room = (LISTED_MAX, LISTED_BYTES_MAX);
        for item in &question.items {
            let mut line = Walk { pop: self, found: ExpandedLine::default(), places: Vec::new(), room };
            line.add(&[place_of(item)]);
            if let Some(follow) = &question.follow {
                line.follow(item, follow, until).await;
            }
            room = line.room;
            lines.push((line.found, line.places));
        }
        let until = Instant::now() + SIZING_MAX;
        let places = (0..).zip(&lines).flat_map(|(line, (_, places)): (usize, &(_, Vec<Place>))| {
            (0..).zip(places).map(move |(file, place): (usize, _)| (line, file, Place::clone(place)))
        });
        let sizes_max = if question.sizes { SIZES_MAX } else { 0 };
        let places: Vec<(usize, usize, Place)> = places.take(sizes_max).collect();
        let sized = futures_util::stream::iter(places).map(|(line, file, place)| {
            let pop = self.clone();
            async move {
                let size = tokio::time::timeout_at(until, pop.size_of(&place)).await;
                (line, file, size.ok().flatten())
            }
        });
        let sized: Vec<_> = sized.buffer_unordered(SIZES_AT_ONCE).collect().await;
        for (line, file, bytes) in sized {
            lines[line].0.listed[file].bytes = bytes;
        }
        let lines = lines.into_iter().map(|(mut found, _)| {
            let sizes = found.listed.iter().filter_map(|file| file.bytes);
            (found.sized, found.bytes) = sizes.fold((0, 0), |(count, sum), bytes| (count + 1, sum + bytes));
            found
        });
        Ok(Answered::Expanded { lines: lines.collect() })
    }

    /// The size of a file's body, from the cache or as the origin tells it.
    async fn size_of(&self, place: &Place) -> Option<u64> {
        let viewer = fields::asking(false);
        let looked = self.look_up(&place.host, &place.path_and_query, &viewer, Trace::None).await;
        let looked = looked.ok()?;
        if let Found::Fresh(copy) = &looked.found {
            return copy.body.size();
        }
        let headers = upstream_headers(&viewer, self.config.id.as_str());
        let asked = (Method::HEAD, looked.key.path_and_query());
        let answer =
            self.origin.send(&looked.domain, asked, headers, origin::empty(), None, Instant::now()).await;
        let answer = answer.ok().filter(|answer| answer.status().is_success())?;
        answer.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    /// The bytes of a playlist; `None` where it is something else. Not stored.
    async fn peek_playlist(&self, place: &Place, depth: u8) -> Result<Option<Vec<u8>>, String> {
        let viewer = fields::asking(false);
        let looked = self.look_up(&place.host, &place.path_and_query, &viewer, Trace::None).await;
        let looked = looked.map_err(|no| match no {
            NoLookUp::UnknownHost => "this POP does not know the domain".to_owned(),
            NoLookUp::BadPath(why) => why.to_string(),
        })?;
        if let Found::Fresh(copy) = &looked.found
            && copy.body.is_whole()
        {
            return self.playlist_of(place, copy, depth).await.map_err(|not_warm| not_warm.reason);
        }
        let headers = upstream_headers(&viewer, self.config.id.as_str());
        let asked = (Method::GET, looked.key.path_and_query());
        let answer =
            self.origin.send(&looked.domain, asked, headers, origin::empty(), None, Instant::now()).await;
        let answer = answer.map_err(|error| error.to_string())?;
        if !answer.status().is_success() {
            return Err(format!("Origin Return StatusCode {}", answer.status().as_u16()));
        }
        let must_be = depth > 0 || following::is_called_playlist(place, answer.headers());
        if let Some(coding) = answer.headers().get(header::CONTENT_ENCODING)
            && coding != "identity"
        {
            return if must_be { Err("in a content coding that was not asked for".into()) } else { Ok(None) };
        }
        let mut body = Limited::new(answer.into_body(), PLAYLIST_BYTES_MAX);
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
                Err(error) if must_be => return Err(error.to_string()),
                // Too long for a playlist, and not called one.
                Err(_) => return Ok(None),
            }
            if !must_be && bytes.len() >= HEAD_BYTES && kind_of(&bytes).is_none() {
                return Ok(None);
            }
        }
        Ok((must_be || kind_of(&bytes).is_some()).then_some(bytes))
    }
}

/// The walk from one line to all it leads to.
struct Walk<'a> {
    pop: &'a Arc<Pop>,
    found: ExpandedLine,
    /// Those of what is listed.
    places: Vec<Place>,
    /// How many more may be listed, and bytes of them.
    room: (usize, usize),
}

impl Walk<'_> {
    fn add(&mut self, places: &[Place]) {
        self.found.files = self.found.files.saturating_add(places.len() as u64);
        for place in places {
            let url = shown(place);
            if self.room.0 == 0 || self.room.1 < url.len() {
                // Nothing behind it either, so that what is listed comes first.
                self.room.0 = 0;
                return;
            }
            self.room = (self.room.0 - 1, self.room.1 - url.len());
            self.found.listed.push(ExpandedFile { url, bytes: None });
            self.places.push(place.clone());
        }
    }

    async fn follow(&mut self, item: &PrefetchItem, follow: &Follow, until: Instant) {
        let root = match Base::of(&item.domain, &item.path_and_query) {
            Ok(root) => root,
            Err(error) => return self.unread(&place_of(item), error.to_string()),
        };
        let mut expansion = Box::new(Expansion::new(follow.clone(), root.place()));
        let mut playlists = vec![root.place().clone()];
        for depth in 0..DEPTH_MAX {
            let mut deeper = Vec::new();
            for playlist in playlists {
                let peeked = tokio::time::timeout_at(until, self.pop.peek_playlist(&playlist, depth)).await;
                let bytes = match peeked {
                    Ok(Ok(Some(bytes))) => bytes,
                    Ok(Ok(None)) => continue,
                    Ok(Err(reason)) => {
                        self.unread(&playlist, reason);
                        continue;
                    }
                    Err(_) => {
                        self.found.cut_short = true;
                        return;
                    }
                };
                let Some((taken, step)) = following::take(expansion, playlist.clone(), depth, bytes).await
                else {
                    return;
                };
                expansion = taken;
                match step {
                    Ok(step) => deeper.extend(self.step(step)),
                    Err(bad) => self.unread(&playlist, format!("this playlist cannot be followed: {bad}")),
                }
            }
            playlists = deeper;
        }
    }

    /// Counts what a playlist names; gives the playlists among it.
    fn step(&mut self, step: Step) -> Vec<Place> {
        let Step { files, outside, over } = step;
        self.found.over = self.found.over.saturating_add(over);
        self.found.outside = self.found.outside.saturating_add(outside.len() as u64);
        let room = TOLD_MAX.saturating_sub(self.found.outside_urls.len());
        let urls = outside.iter().take(room).map(|url| match url {
            Url::Web(place) => shown(place),
            Url::Other(text) => text.chars().take(URL_CHARS_MAX).collect(),
        });
        self.found.outside_urls.extend(urls);
        let places: Vec<Place> = files.iter().map(|(_, place)| place.clone()).collect();
        self.add(&places);
        let playlists = files.into_iter().filter(|(role, _)| *role == Role::Playlist);
        playlists.map(|(_, place)| place).collect()
    }

    fn unread(&mut self, place: &Place, reason: String) {
        self.found.unread_count += 1;
        if self.found.unread.len() < TOLD_MAX {
            self.found.unread.push(Unread { url: shown(place), reason });
        }
    }
}

fn place_of(item: &PrefetchItem) -> Place {
    Place { host: item.domain.clone(), path_and_query: item.path_and_query.clone() }
}

fn shown(place: &Place) -> String {
    format!("{}{}", place.host, place.path_and_query).chars().take(URL_CHARS_MAX).collect()
}
