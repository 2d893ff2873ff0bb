//! One file as it is sent: its version, media type and coding, and the validators that follow from them.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::SystemTime;

use http::HeaderValue;
use http::header::GetAll;
use tokio::fs::File;

/// An opened file, and how it is going to be sent.
#[derive(Debug)]
pub struct Representation {
    pub file: File,
    pub version: FileVersion,
    pub modified: SystemTime,
    pub media_type: MediaType,
    pub coding: Coding,
    /// Strong: with quotes, another one for each coding.
    pub etag: String,
}

/// What changes with any edit of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileVersion {
    modified_ns: i128,
    pub size: u64,
    inode: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    Identity,
    Gzip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaType {
    pub name: &'static str,
    /// Whether compressing is worth it.
    pub is_text: bool,
}

impl Representation {
    /// Opens `path` for a client that accepts what its `Accept-Encoding` lines say.
    pub async fn open(path: &Path, accept_encoding: GetAll<'_, HeaderValue>) -> std::io::Result<Self> {
        let file = File::open(path).await?;
        // Of the open file, not of the path: a rename in between must not give one file the other's ETag.
        let metadata = file.metadata().await?;
        let version = FileVersion::of(&metadata);
        let media_type = MediaType::of(path);
        let coding =
            if media_type.is_text && accepts_gzip(accept_encoding) { Coding::Gzip } else { Coding::Identity };
        let etag = version.etag(coding);
        Ok(Self { file, version, modified: metadata.modified()?, media_type, coding, etag })
    }
}

impl FileVersion {
    pub fn of(metadata: &std::fs::Metadata) -> Self {
        Self {
            modified_ns: i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
            size: metadata.size(),
            inode: metadata.ino(),
        }
    }

    fn etag(&self, coding: Coding) -> String {
        let suffix = match coding {
            Coding::Identity => "",
            Coding::Gzip => "-gzip",
        };
        format!("\"{:x}-{:x}-{:x}{suffix}\"", self.modified_ns, self.size, self.inode)
    }
}

impl MediaType {
    /// By the suffix of the name; bytes of no known kind when it has none of these.
    fn of(path: &Path) -> Self {
        let suffix = path.extension().and_then(|s| s.to_str()).unwrap_or_default().to_ascii_lowercase();
        let text = |name| Self { name, is_text: true };
        let binary = |name| Self { name, is_text: false };
        match suffix.as_str() {
            "html" | "htm" => text("text/html; charset=utf-8"),
            "css" => text("text/css; charset=utf-8"),
            "js" | "mjs" => text("text/javascript; charset=utf-8"),
            "txt" | "log" => text("text/plain; charset=utf-8"),
            "md" => text("text/markdown; charset=utf-8"),
            "csv" => text("text/csv; charset=utf-8"),
            "vtt" => text("text/vtt; charset=utf-8"),
            "json" | "map" => text("application/json"),
            "webmanifest" => text("application/manifest+json"),
            "xml" => text("application/xml"),
            "svg" => text("image/svg+xml"),
            "wasm" => text("application/wasm"),
            "m3u8" => text("application/vnd.apple.mpegurl"),
            "mpd" => text("application/dash+xml"),
            "ts" => binary("video/mp2t"),
            "m4s" => binary("video/iso.segment"),
            "mp4" => binary("video/mp4"),
            "webm" => binary("video/webm"),
            "mp3" => binary("audio/mpeg"),
            "png" => binary("image/png"),
            "jpg" | "jpeg" => binary("image/jpeg"),
            "gif" => binary("image/gif"),
            "webp" => binary("image/webp"),
            "avif" => binary("image/avif"),
            "ico" => binary("image/x-icon"),
            "woff2" => binary("font/woff2"),
            "pdf" => binary("application/pdf"),
            "zip" => binary("application/zip"),
            "gz" | "tgz" => binary("application/gzip"),
            _ => binary("application/octet-stream"),
        }
    }
}

/// Whether gzip is acceptable and no less welcome than the plain body (RFC 9110, 12.5.3).
fn accepts_gzip(lines: GetAll<'_, HeaderValue>) -> bool {
    let (mut gzip, mut any, mut identity) = (None, None, None);
    for item in lines.iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')) {
        let mut parts = item.split(';').map(str::trim);
        let coding = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts
            .find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q=")))
            .map_or(1.0, |q| q.parse::<f32>().unwrap_or(0.0));
        match coding.as_str() {
            "gzip" | "x-gzip" => gzip = Some(weight),
            "*" => any = Some(weight),
            "identity" => identity = Some(weight),
            _ => {}
        }
    }
    let gzip = gzip.or(any).unwrap_or(0.0);
    gzip > 0.0 && gzip >= identity.unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;
    use http::header::ACCEPT_ENCODING;

    #[test]
    fn gzip_is_sent_only_to_who_accepts_it() {
        let accepts = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(ACCEPT_ENCODING, HeaderValue::from_static(line));
            }
            accepts_gzip(headers.get_all(ACCEPT_ENCODING))
        };
        for yes in
            ["gzip", "br, GZIP;q=0.5", "*", "x-gzip", "deflate, gzip; q=1.0, *;q=0", "identity;q=0.5, gzip"]
        {
            assert!(accepts(&[yes]), "{yes}");
        }
        for no in
            ["", "identity", "br", "gzip;q=0", "*;q=0", "gzip;q=0, *", "gzip;q=0.5, identity", "gzip;q=x"]
        {
            assert!(!accepts(&[no]), "{no}");
        }
        assert!(!accepts(&[]));
        assert!(accepts(&["br", "gzip"]));
    }

    #[test]
    fn any_edit_gives_another_etag() {
        let version = FileVersion { modified_ns: 1, size: 2, inode: 3 };
        let edits = [
            FileVersion { modified_ns: 2, ..version },
            FileVersion { size: 3, ..version },
            FileVersion { inode: 4, ..version },
        ];
        for edit in edits {
            assert_ne!(edit.etag(Coding::Identity), version.etag(Coding::Identity));
        }
        assert_ne!(version.etag(Coding::Gzip), version.etag(Coding::Identity));
    }
}
