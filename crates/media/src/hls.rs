//! HLS playlists: RFC 8216, and what its second edition adds to what a playlist names.

mod attributes;

use crate::BadPlaylist;
use crate::contents::{Contents, Role};
use crate::reference::{Base, Url};
use attributes::Attributes;
use freshen_model::follow::{First, Follow, Renditions};
use std::collections::HashMap;

/// Variables of one playlist (EXT-X-DEFINE).
const VARIABLES_MAX: usize = 100;
/// The longest line, with its variables put in.
const LINE_BYTES_MAX: usize = 32_768;

/// A stream that a master playlist names.
struct Variant {
    /// Bits per second; those that don't say come last.
    bandwidth: u64,
    /// Groups of renditions that are played with it.
    groups: Vec<String>,
    url: Url,
    /// Whether it is there for seeking only.
    i_frames: bool,
}

/// What lines have told about the address that is to follow.
#[derive(Default)]
struct Pending {
    /// EXT-X-STREAM-INF: its bandwidth and groups.
    variant: Option<(u64, Vec<String>)>,
    /// EXTINF, seconds.
    duration: f64,
    /// EXT-X-GAP: the segment is not there.
    gap: bool,
}

struct Reader<'a> {
    base: &'a Base,
    follow: &'a Follow,
    line: usize,
    variables: HashMap<String, String>,
    pending: Pending,
    /// What the next segment needs, keys and initialisation, and no segment that was taken has needed yet.
    due: Vec<(Role, Url)>,
    segments: u32,
    seconds: f64,
    variants: Vec<Variant>,
    /// Audio, subtitles or other views in playlists of their own, with their groups.
    renditions: Vec<(String, Url)>,
    contents: Contents,
}

/// Reads a playlist, master or media.
pub fn read(text: &str, base: &Base, follow: &Follow, names_max: usize) -> Result<Contents, BadPlaylist> {
    let mut reader = Reader {
        base,
        follow,
        line: 0,
        variables: HashMap::new(),
        pending: Pending::default(),
        due: Vec::new(),
        segments: 0,
        seconds: 0.0,
        variants: Vec::new(),
        renditions: Vec::new(),
        contents: Contents::new(names_max),
    };
    for (line, number) in text.lines().zip(1..) {
        reader.line = number;
        reader.take(line.trim())?;
    }
    if reader.pending.variant.is_some() {
        return Err(reader.bad("the playlist ends before the address of a variant"));
    }
    Ok(reader.finish())
}

impl Reader<'_> {
    fn take(&mut self, line: &str) -> Result<(), BadPlaylist> {
        let line = self.with_variables(line)?;
        let line = &*line;
        let Some(tag) = line.strip_prefix("#EXT") else {
            return if line.is_empty() || line.starts_with('#') { Ok(()) } else { self.address(line) };
        };
        let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
        match name {
            "INF" => {
                let seconds = value.split(',').next().unwrap_or_default().trim().parse::<f64>();
                let seconds = seconds.ok().filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
                self.pending.duration =
                    seconds.ok_or_else(|| self.bad("EXTINF without a duration in seconds"))?;
            }
            "-X-GAP" => self.pending.gap = true,
            "-X-KEY" => {
                let attributes = self.attributes(value)?;
                let url = self.url_of(&attributes)?;
                if attributes.get("METHOD") == Some("NONE") {
                    self.due.retain(|(role, _)| *role != Role::Key);
                } else if let Some(url @ Url::Web(_)) = url {
                    self.due.push((Role::Key, url));
                }
            }
            "-X-MAP" => {
                let url = self.required_url(value, "EXT-X-MAP without URI")?;
                self.due.retain(|(role, _)| *role != Role::Init);
                self.due.push((Role::Init, url));
            }
            "-X-STREAM-INF" => {
                let attributes = self.attributes(value)?;
                let group = |kind| Some(group_name(kind, attributes.get(kind)?));
                let groups = ["AUDIO", "VIDEO", "SUBTITLES"].into_iter().filter_map(group).collect();
                self.pending.variant = Some((bandwidth(&attributes), groups));
            }
            "-X-I-FRAME-STREAM-INF" => {
                let url = self.required_url(value, "EXT-X-I-FRAME-STREAM-INF without URI")?;
                let bandwidth = bandwidth(&self.attributes(value)?);
                self.variants.push(Variant { bandwidth, groups: Vec::new(), url, i_frames: true });
            }
            "-X-MEDIA" => {
                let attributes = self.attributes(value)?;
                let kind = attributes.get("TYPE").ok_or_else(|| self.bad("EXT-X-MEDIA without TYPE"))?;
                if let Some(url) = self.url_of(&attributes)? {
                    let group = group_name(kind, attributes.get("GROUP-ID").unwrap_or_default());
                    self.renditions.push((group, url));
                }
            }
            "-X-SESSION-KEY" => {
                if let Some(url @ Url::Web(_)) = self.url_of(&self.attributes(value)?)? {
                    self.contents.push(Role::Key, url);
                }
            }
            "-X-SESSION-DATA" => {
                if let Some(url) = self.url_of(&self.attributes(value)?)? {
                    self.contents.push(Role::Data, url);
                }
            }
            "-X-DEFINE" => self.define(value)?,
            // Byte ranges: what they are of is fetched whole, once. Parts and hints of them: gone before long. The others
            // name nothing.
            _ => {}
        }
        Ok(())
    }

    /// A line that is an address: of a variant where one was announced, else of a segment.
    fn address(&mut self, line: &str) -> Result<(), BadPlaylist> {
        let url = self.resolve(line)?;
        let Pending { variant, duration, gap } = std::mem::take(&mut self.pending);
        if let Some((bandwidth, groups)) = variant {
            self.variants.push(Variant { bandwidth, groups, url, i_frames: false });
            return Ok(());
        }
        let wanted = match self.follow.first {
            None => true,
            Some(First::Segments(count)) => self.segments < count,
            Some(First::Seconds(seconds)) => self.seconds < f64::from(seconds),
        };
        self.seconds += duration;
        if wanted && !gap {
            self.segments = self.segments.saturating_add(1);
            for (role, url) in self.due.drain(..) {
                self.contents.push(role, url);
            }
            self.contents.push(Role::Segment, url);
        }
        Ok(())
    }

    /// What a master playlist names comes last: its order is known only once all of it is read.
    fn finish(mut self) -> Contents {
        // Stable: of equal ones the first stays first, as its author prefers.
        self.variants.sort_by_key(|variant| (variant.i_frames, variant.bandwidth));
        if self.follow.renditions == Renditions::Lowest {
            // Packagers list the sound as a variant too, for those who want nothing else.
            let sound = |variant: &Variant| self.renditions.iter().any(|(_, url)| *url == variant.url);
            if self.variants.iter().any(|variant| !variant.i_frames && !sound(variant)) {
                self.variants.retain(|variant| !sound(variant));
            }
            self.variants.dedup_by_key(|variant| variant.i_frames);
            let groups: Vec<&String> = self.variants.iter().flat_map(|variant| &variant.groups).collect();
            self.renditions.retain(|(group, _)| groups.contains(&group));
        }
        let mut renditions = Some(self.renditions);
        for variant in self.variants {
            self.contents.push(Role::Playlist, variant.url);
            // A player cannot begin without its audio: it comes with the first variant.
            for (_, url) in renditions.take().into_iter().flatten() {
                self.contents.push(Role::Playlist, url);
            }
        }
        for (_, url) in renditions.into_iter().flatten() {
            self.contents.push(Role::Playlist, url);
        }
        self.contents
    }

    /// EXT-X-DEFINE: a variable of this playlist, or a parameter of its own address.
    fn define(&mut self, value: &str) -> Result<(), BadPlaylist> {
        let attributes = self.attributes(value)?;
        let (name, value) = match (attributes.get("NAME"), attributes.get("QUERYPARAM")) {
            (Some(name), _) => (name, attributes.get("VALUE").unwrap_or_default().to_owned()),
            (None, Some(name)) => {
                let value = self.base.query_parameter(name);
                (name, value.ok_or_else(|| self.bad(&format!("the address has no parameter {name}")))?)
            }
            (None, None) => return Err(self.bad("EXT-X-DEFINE with IMPORT is not understood")),
        };
        if self.variables.len() == VARIABLES_MAX {
            return Err(self.bad("more than 100 variables"));
        }
        self.variables.insert(name.to_owned(), value);
        Ok(())
    }

    fn with_variables<'l>(&self, line: &'l str) -> Result<std::borrow::Cow<'l, str>, BadPlaylist> {
        // Where none is defined, such a text is no reference to one.
        if self.variables.is_empty() || !line.contains("{$") {
            return Ok(line.into());
        }
        let mut out = String::new();
        let mut rest = line;
        while let Some((before, behind)) = rest.split_once("{$") {
            let (name, behind) = behind.split_once('}').ok_or_else(|| self.bad("{$ without }"))?;
            let value = self.variables.get(name);
            let value = value.ok_or_else(|| self.bad(&format!("the variable {name} is not defined")))?;
            out.push_str(before);
            out.push_str(value);
            if out.len() + behind.len() > LINE_BYTES_MAX {
                return Err(self.bad("longer than 32 KiB with its variables"));
            }
            rest = behind;
        }
        out.push_str(rest);
        Ok(out.into())
    }

    fn attributes<'v>(&self, value: &'v str) -> Result<Attributes<'v>, BadPlaylist> {
        Attributes::parse(value).map_err(|what| self.bad(what))
    }

    fn required_url(&self, value: &str, without: &str) -> Result<Url, BadPlaylist> {
        self.url_of(&self.attributes(value)?)?.ok_or_else(|| self.bad(without))
    }

    fn url_of(&self, attributes: &Attributes<'_>) -> Result<Option<Url>, BadPlaylist> {
        attributes.get("URI").map(|uri| self.resolve(uri)).transpose()
    }

    fn resolve(&self, reference: &str) -> Result<Url, BadPlaylist> {
        self.base.resolve(reference).map_err(|why| self.bad(&why.to_string()))
    }

    fn bad(&self, what: &str) -> BadPlaylist {
        BadPlaylist::Line { line: self.line, what: what.to_owned() }
    }
}

fn bandwidth(attributes: &Attributes<'_>) -> u64 {
    attributes.get("BANDWIDTH").and_then(|text| text.parse().ok()).unwrap_or(u64::MAX)
}

/// Groups of different kinds may have the same id.
fn group_name(kind: &str, id: &str) -> String {
    format!("{kind} {id}")
}
