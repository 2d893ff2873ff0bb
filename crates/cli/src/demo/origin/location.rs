//! Which file a URL path names, if it names one inside the root.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;

/// What is found where a URL path points.
#[derive(Debug, PartialEq, Eq)]
pub enum Location {
    /// A regular file inside the root, all links followed.
    File(PathBuf),
    /// A directory, named without the slash at its end.
    DirectoryWithoutSlash,
    /// Nothing, or nothing that is meant to be served; the difference is not told.
    Nowhere,
}

/// Finds what `url_path` names under `root`, which is canonical; a path that ends in `/` names its `index.html`.
pub async fn locate(root: &Path, url_path: &str) -> Location {
    let Some(wanted) = join(root, url_path) else { return Location::Nowhere };
    // Links are followed before the check, so that one that leaves the root is refused wherever it stands.
    let Ok(found) = tokio::fs::canonicalize(&wanted).await else { return Location::Nowhere };
    if !found.starts_with(root) {
        return Location::Nowhere;
    }
    match tokio::fs::metadata(&found).await {
        Ok(metadata) if metadata.is_file() => Location::File(found),
        Ok(metadata) if metadata.is_dir() && !url_path.ends_with('/') => Location::DirectoryWithoutSlash,
        _ => Location::Nowhere,
    }
}

/// Joins the decoded segments to the root; `None` when one of them could mean anything but a name.
fn join(root: &Path, url_path: &str) -> Option<PathBuf> {
    let mut path = root.to_path_buf();
    let mut segments = url_path.strip_prefix('/')?.split('/').peekable();
    while let Some(segment) = segments.next() {
        if segment.is_empty() && segments.peek().is_none() {
            path.push("index.html");
            break;
        }
        let name: Vec<u8> = percent_decode_str(segment).collect();
        // Decoded after the split: %2F is then a slash inside a name, and no file has one.
        let is_name =
            !matches!(name.as_slice(), b"" | b"." | b"..") && !name.iter().any(|b| matches!(b, b'/' | 0));
        if !is_name {
            return None;
        }
        path.push(OsStr::from_bytes(&name));
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_the_root() {
        let below = |path| join(Path::new("/r"), path).map(|p| p.display().to_string());
        assert_eq!(below("/a%20b/c.txt").as_deref(), Some("/r/a b/c.txt"));
        assert_eq!(below("/d/").as_deref(), Some("/r/d/index.html"));
        assert_eq!(below("/").as_deref(), Some("/r/index.html"));
        for out in ["/../x", "/%2e%2E/x", "/d/..", "/./x", "/a%2Fb", "/a%00", "//a.txt", "/d//", "*", ""] {
            assert_eq!(below(out), None, "{out}");
        }
    }

    #[tokio::test]
    async fn links_are_followed_inside_the_root_only() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap().join("root");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("a.txt"), "a").unwrap();
        std::fs::write(folder.path().join("secret"), "s").unwrap();
        std::os::unix::fs::symlink("a.txt", root.join("inside")).unwrap();
        std::os::unix::fs::symlink("../secret", root.join("outside")).unwrap();
        std::os::unix::fs::symlink("..", root.join("up")).unwrap();

        assert_eq!(locate(&root, "/inside").await, Location::File(root.join("a.txt")));
        assert_eq!(locate(&root, "/outside").await, Location::Nowhere);
        assert_eq!(locate(&root, "/up/secret").await, Location::Nowhere);
        assert_eq!(locate(&root, "/up").await, Location::Nowhere);
    }
}
