//! A package to install: a zip archive of about 5 MB that no compression makes smaller.

use flate2::Crc;

/// Bytes of the one big file inside.
const PAYLOAD_BYTES: usize = 5_000_000;
/// 1980-01-01, 00:00, the first date a zip archive can name: the archive is the same on every day.
const DOS_DATE: u16 = 0x0021;

/// A stored (not compressed) zip archive of two files.
pub fn zip() -> Vec<u8> {
    let files = [
        ("package/README.txt", b"Bytes that mean nothing, to be delivered unharmed.\n".to_vec()),
        ("package/payload.bin", noise(PAYLOAD_BYTES, 0x005e_ed0f_f4e5)),
    ];
    let mut archive = Vec::with_capacity(PAYLOAD_BYTES + 1024);
    let mut directory = Vec::new();
    for (name, content) in &files {
        let offset = archive.len();
        let fields = shared_fields(name, content);
        archive.extend_from_slice(b"PK\x03\x04");
        archive.extend_from_slice(&fields);
        archive.extend_from_slice(name.as_bytes());
        archive.extend_from_slice(content);

        directory.extend_from_slice(b"PK\x01\x02");
        directory.extend_from_slice(&20_u16.to_le_bytes()); // made by version 2.0
        directory.extend_from_slice(&fields);
        directory.extend_from_slice(&[0; 10]); // no comment, first disk, no attributes
        directory.extend_from_slice(&le32(offset));
        directory.extend_from_slice(name.as_bytes());
    }
    let offset = archive.len();
    archive.extend_from_slice(&directory);
    archive.extend_from_slice(b"PK\x05\x06");
    archive.extend_from_slice(&[0; 4]); // one disk
    archive.extend_from_slice(&[files.len() as u8, 0, files.len() as u8, 0]);
    archive.extend_from_slice(&le32(directory.len()));
    archive.extend_from_slice(&le32(offset));
    archive.extend_from_slice(&[0; 2]); // no comment
    archive
}

/// What a file's local header and its directory entry have in common, from the needed version to the extra length.
fn shared_fields(name: &str, content: &[u8]) -> Vec<u8> {
    let mut crc = Crc::new();
    crc.update(content);
    let mut fields = Vec::with_capacity(26);
    fields.extend_from_slice(&20_u16.to_le_bytes()); // needs version 2.0
    fields.extend_from_slice(&[0; 4]); // no flags, stored
    fields.extend_from_slice(&[0; 2]); // midnight
    fields.extend_from_slice(&DOS_DATE.to_le_bytes());
    fields.extend_from_slice(&crc.sum().to_le_bytes());
    fields.extend_from_slice(&le32(content.len()));
    fields.extend_from_slice(&le32(content.len()));
    fields.extend_from_slice(&(name.len() as u16).to_le_bytes());
    fields.extend_from_slice(&[0; 2]); // no extra field
    fields
}

/// Sizes and offsets here are a few million.
fn le32(number: usize) -> [u8; 4] {
    (number as u32).to_le_bytes()
}

/// Bytes that look random and are the same for the same seed (the splitmix64 sequence).
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    });
    words.flat_map(u64::to_le_bytes).take(length).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    #[test]
    fn the_archive_is_one_others_can_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("package.zip");
        std::fs::write(&path, super::zip()).unwrap();
        // Python's own reader lists it and checks every checksum.
        let tested = Command::new("python3").args(["-m", "zipfile", "-t"]).arg(&path).output().unwrap();
        let said = String::from_utf8_lossy(&tested.stdout);
        assert!(tested.status.success() && said.contains("Done testing"), "{said}");
        assert!(!said.contains("corrupted"), "{said}");
        let listed = Command::new("python3").args(["-m", "zipfile", "-l"]).arg(&path).output().unwrap();
        let said = String::from_utf8_lossy(&listed.stdout);
        assert!(said.contains("package/payload.bin") && said.contains("5000000"), "{said}");
    }
}
