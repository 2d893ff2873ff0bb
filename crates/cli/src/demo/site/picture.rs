//! Pictures of hills, drawn and encoded here: true PNG files without a picture in the repository.

use std::io::Write as _;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

const WIDTH: usize = 640;
const HEIGHT: usize = 360;

type Colour = [u8; 3];

/// The colours of one hour of the day, red, green and blue.
#[derive(Clone, Copy)]
pub struct Palette {
    /// The sky's top.
    pub sky: Colour,
    /// The sky at the horizon.
    pub low: Colour,
    pub sun: Colour,
    /// The nearest hill; the others fade towards the horizon.
    pub hill: Colour,
}

/// Three ranges of hills under a sun, as a PNG file.
pub fn hills(palette: Palette) -> Vec<u8> {
    let mut pixels = Vec::with_capacity(HEIGHT * WIDTH * 3);
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            pixels.extend_from_slice(&colour_at(palette, x as f32 / WIDTH as f32, y as f32 / HEIGHT as f32));
        }
    }
    encode(&pixels)
}

/// The colour at a place, both coordinates from 0 to 1, from the left and from the top.
fn colour_at(palette: Palette, x: f32, y: f32) -> Colour {
    // From the nearest range to the farthest: how high it lies, how steep it is, how much it fades.
    for (level, steepness, fading) in [(0.82, 0.06, 0.0), (0.68, 0.09, 0.35), (0.55, 0.07, 0.65)] {
        let wave = (x * 7.0 + level * 20.0).sin() + 0.5 * (x * 17.0 + level * 50.0).sin();
        if y > level + steepness * wave {
            return mix(palette.hill, palette.low, fading);
        }
    }
    let aspect = WIDTH as f32 / HEIGHT as f32;
    if ((x - 0.72) * aspect).hypot(y - 0.24) < 0.09 {
        return palette.sun;
    }
    mix(palette.sky, palette.low, (y / 0.6).min(1.0))
}

fn mix(from: Colour, to: Colour, share: f32) -> Colour {
    std::array::from_fn(|i| (f32::from(from[i]) * (1.0 - share) + f32::from(to[i]) * share).round() as u8)
}

/// A PNG file of 8-bit RGB pixels, rows unfiltered.
fn encode(pixels: &[u8]) -> Vec<u8> {
    let mut header = Vec::with_capacity(13);
    header.extend_from_slice(&(WIDTH as u32).to_be_bytes());
    header.extend_from_slice(&(HEIGHT as u32).to_be_bytes());
    header.extend_from_slice(&[8, 2, 0, 0, 0]); // 8 bits, RGB, the one compression, the one filter set, no interlace

    let mut rows = Vec::with_capacity(pixels.len() + HEIGHT);
    for row in pixels.chunks_exact(WIDTH * 3) {
        rows.push(0); // no filter
        rows.extend_from_slice(row);
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let compressed = encoder.write_all(&rows).and_then(|()| encoder.finish());

    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut file, b"IHDR", &header);
    chunk(&mut file, b"IDAT", &compressed.expect("writing to memory does not fail"));
    chunk(&mut file, b"IEND", b"");
    file
}

fn chunk(file: &mut Vec<u8>, kind: &[u8; 4], content: &[u8]) {
    let mut crc = Crc::new();
    crc.update(kind);
    crc.update(content);
    file.extend_from_slice(&(content.len() as u32).to_be_bytes());
    file.extend_from_slice(kind);
    file.extend_from_slice(content);
    file.extend_from_slice(&crc.sum().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn a_picture_reads_back_pixel_by_pixel() {
        let (grey, black) = ([128; 3], [0; 3]);
        let file = hills(Palette { sky: grey, low: grey, sun: [255; 3], hill: black });
        let mut rest = file.strip_prefix(b"\x89PNG\r\n\x1a\n").unwrap();
        let mut chunks = Vec::new();
        while !rest.is_empty() {
            let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
            let (kind, content) = rest[4..8 + length].split_at(4);
            let mut crc = Crc::new();
            crc.update(&rest[4..8 + length]);
            assert_eq!(rest[8 + length..12 + length], crc.sum().to_be_bytes());
            chunks.push((kind, content));
            rest = &rest[12 + length..];
        }
        let kinds: Vec<&[u8]> = chunks.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [b"IHDR", b"IDAT", b"IEND"]);
        let mut rows = Vec::new();
        flate2::read::ZlibDecoder::new(chunks[1].1).read_to_end(&mut rows).unwrap();
        assert_eq!(rows.len(), HEIGHT * (1 + WIDTH * 3));
        assert_eq!(rows[1..4], grey, "sky at the top");
        assert_eq!(rows[rows.len() - 3..], black, "a hill at the bottom");
    }
}
