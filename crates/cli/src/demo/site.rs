//! The sample site: pages, pictures, a package and a video playlist, for an origin that has nothing of its own yet.
//!
//! Everything is made from code and comes out the same each time, so that two machines can compare checksums.

mod package;
mod picture;
mod video;

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;

use self::picture::Palette;

/// Writes the sample site under `root`, which is made if missing; a file that is there already is left alone.
pub fn generate(root: &Path) -> anyhow::Result<()> {
    for (path, text) in TEXTS {
        write_missing(root, path, || text.as_bytes().to_vec())?;
    }
    for (path, palette) in PICTURES {
        write_missing(root, path, || picture::hills(palette))?;
    }
    write_missing(root, "install/package.zip", package::zip)?;
    write_missing(root, "video/master.m3u8", || video::master_playlist().into_bytes())?;
    write_missing(root, "video/media.m3u8", || video::media_playlist().into_bytes())?;
    for number in 0..video::SEGMENTS {
        write_missing(root, &format!("video/{}", video::segment_name(number)), || video::segment(number))?;
    }
    Ok(())
}

/// Makes one file, whole or not at all: a half-written one would be left alone the next time.
fn write_missing(root: &Path, path: &str, content: impl FnOnce() -> Vec<u8>) -> anyhow::Result<()> {
    let path = root.join(path);
    if path.symlink_metadata().is_ok() {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(root);
    let written = || -> anyhow::Result<()> {
        fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new().permissions(readable()).tempfile_in(folder)?;
        file.write_all(&content())?;
        // Someone else's file that has appeared meanwhile stays, too.
        match file.persist_noclobber(&path) {
            Err(error) if error.error.kind() != std::io::ErrorKind::AlreadyExists => Err(error.error.into()),
            _ => Ok(()),
        }
    };
    written().with_context(|| format!("the sample site's file {}", path.display()))
}

/// As any new file of the user's; temporary files are private by default.
fn readable() -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o644)
}

const PICTURES: [(&str, Palette); 3] = [
    (
        "images/morning.png",
        Palette { sky: [255, 214, 186], low: [253, 238, 224], sun: [255, 247, 214], hill: [92, 84, 122] },
    ),
    (
        "images/noon.png",
        Palette { sky: [118, 182, 232], low: [222, 240, 250], sun: [255, 250, 200], hill: [62, 124, 92] },
    ),
    (
        "images/night.png",
        Palette { sky: [18, 24, 52], low: [64, 70, 116], sun: [236, 238, 246], hill: [12, 16, 34] },
    ),
];

const TEXTS: [(&str, &str); 9] = [
    ("index.html", include_str!("site/index.html")),
    ("style.css", include_str!("site/style.css")),
    ("d/index.html", include_str!("site/d.html")),
    ("d/a.html", include_str!("site/a.html")),
    ("d/b.html", include_str!("site/b.html")),
    ("d/sub/c.html", include_str!("site/c.html")),
    ("dd/x.html", include_str!("site/x.html")),
    ("images/mark.svg", include_str!("site/mark.svg")),
    ("a.txt", "A plain text file. Edit it at the origin, and see who notices.\n"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Every file under a folder with its content, sorted by path.
    fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_dir() {
                found.extend(
                    contents(&entry.path()).into_iter().map(|(path, c)| (format!("{name}/{path}"), c)),
                );
            } else {
                found.push((name, fs::read(entry.path()).unwrap()));
            }
        }
        found.sort();
        found
    }

    #[test]
    fn the_site_is_the_same_each_time() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        generate(&one.path().join("new")).unwrap();
        generate(two.path()).unwrap();
        let made = contents(&one.path().join("new"));
        assert!(made == contents(two.path()));
        let names: Vec<&str> = made.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(names.len(), TEXTS.len() + PICTURES.len() + 3 + video::SEGMENTS);
        assert!(names.contains(&"d/sub/c.html") && names.contains(&"video/segment-5.ts"), "{names:?}");
    }

    #[test]
    fn a_file_that_is_there_is_left_alone() {
        let site = tempfile::tempdir().unwrap();
        fs::write(site.path().join("a.txt"), "mine").unwrap();
        generate(site.path()).unwrap();
        fs::write(site.path().join("index.html"), "mine too").unwrap();
        fs::remove_file(site.path().join("d/a.html")).unwrap();
        generate(site.path()).unwrap();

        assert_eq!(fs::read(site.path().join("a.txt")).unwrap(), b"mine");
        assert_eq!(fs::read(site.path().join("index.html")).unwrap(), b"mine too");
        assert!(site.path().join("d/a.html").exists());
    }

    #[test]
    fn every_link_of_a_page_leads_somewhere() {
        let site = tempfile::tempdir().unwrap();
        generate(site.path()).unwrap();
        let mut links = 0;
        for (page, content) in contents(site.path()).iter().filter(|(path, _)| path.ends_with(".html")) {
            let html = std::str::from_utf8(content).unwrap();
            for mark in ["href=\"", "src=\""] {
                for rest in html.split(mark).skip(1) {
                    let target = rest.split('"').next().unwrap();
                    let path = target.strip_prefix('/').expect("links of the site start with a slash");
                    let path = if path.is_empty() || path.ends_with('/') {
                        format!("{path}index.html")
                    } else {
                        path.to_owned()
                    };
                    assert!(site.path().join(&path).exists(), "{page}: {target}");
                    links += 1;
                }
            }
        }
        assert!(links > 10);
    }
}
