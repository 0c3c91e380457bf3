//! Pictures to shades of grey, within limits.
//!
//! Comes in: octets. Goes out: [`Grey`]. PNG, JPEG and GIF by their first octets; of an
//! animation the first frame.
//! Not an error: no picture, or one that cannot be decoded; there is nothing to see in it.
//! A picture over a limit is refused by the size in its header, before a pixel is unpacked, and
//! noted in the [`Budget`].

use std::io::Cursor;

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Pixels of one picture: a screen of 3840 x 2160 fits.
const PIXELS: usize = 9 * 1024 * 1024;
/// Pixels of all pictures of a message.
const ALL_PIXELS: usize = 2 * PIXELS;
/// Pixels that a picture counts for at least: a thousand small ones are work, too.
const LEAST: usize = 16 * 1024;
/// Width and height.
const SIDE: usize = 16 * 1024;
/// Passes over a JPEG; usual progressive files have ten.
const PASSES: usize = 16;
/// Octets a decoder may take beside its output.
const MEMORY: usize = 64 * 1024 * 1024;

/// A picture in shades of grey, row by row.
pub(super) struct Grey {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) pixels: Vec<u8>,
}

/// What may still be decoded of a message.
#[derive(Debug, Default)]
pub(super) struct Budget {
    pixels: usize,
    cut: bool,
}

impl Budget {
    /// True when a picture was refused.
    pub(super) fn is_cut(&self) -> bool {
        self.cut
    }

    /// Takes a picture's share; `None` when there is none left.
    fn take(&mut self, width: usize, height: usize) -> Option<()> {
        let pixels = width.checked_mul(height).filter(|pixels| *pixels > 0)?;
        let share = pixels.max(LEAST);
        let fits = width <= SIDE
            && height <= SIDE
            && pixels <= PIXELS
            && self.pixels + share <= ALL_PIXELS;
        if !fits {
            self.cut = true;
            return None;
        }
        self.pixels += share;
        Some(())
    }
}

/// True for the formats that are read.
pub(super) fn is_picture(data: &[u8]) -> bool {
    [&b"\x89PNG"[..], b"\xff\xd8", b"GIF8"].iter().any(|mark| data.starts_with(mark))
}

/// Decodes a picture.
pub(super) fn read(data: &[u8], budget: &mut Budget) -> Option<Grey> {
    if data.starts_with(b"\x89PNG") {
        png(data, budget)
    } else if data.starts_with(b"\xff\xd8") {
        jpeg(data, budget)
    } else if data.starts_with(b"GIF8") {
        gif(data, budget)
    } else {
        None
    }
}

fn png(data: &[u8], budget: &mut Budget) -> Option<Grey> {
    let limits = png::Limits { bytes: MEMORY };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(data), limits);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let (width, height) = decoder.read_header_info().ok()?.size();
    let (width, height) = (usize::try_from(width).ok()?, usize::try_from(height).ok()?);
    budget.take(width, height)?;
    let mut reader = decoder.read_info().ok()?;
    let mut buffer = vec![0; reader.output_buffer_size().filter(|size| *size <= MEMORY)?];
    let (color, _) = reader.output_color_type();
    // A file that breaks off still shows what came before.
    let _ = reader.next_frame(&mut buffer);
    let pixels = match color {
        png::ColorType::Grayscale | png::ColorType::Indexed => buffer,
        png::ColorType::GrayscaleAlpha => {
            buffer.as_chunks::<2>().0.iter().map(|[grey, alpha]| over(*grey, *alpha)).collect()
        }
        png::ColorType::Rgb => {
            buffer.as_chunks::<3>().0.iter().map(|[r, g, b]| grey(*r, *g, *b)).collect()
        }
        png::ColorType::Rgba => rgba(&buffer),
    };
    Some(Grey { width, height, pixels })
}

fn jpeg(data: &[u8], budget: &mut Budget) -> Option<Grey> {
    let options = DecoderOptions::default()
        .set_max_width(SIDE)
        .set_max_height(SIDE)
        .jpeg_set_max_scans(PASSES)
        .jpeg_set_out_colorspace(ColorSpace::Luma);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(data), options);
    decoder.decode_headers().ok()?;
    let info = decoder.info()?;
    let (width, height) = (usize::from(info.width), usize::from(info.height));
    budget.take(width, height)?;
    let pixels = decoder.decode().ok()?;
    Some(Grey { width, height, pixels })
}

fn gif(data: &[u8], budget: &mut Budget) -> Option<Grey> {
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::RGBA);
    let memory = std::num::NonZeroU64::new(u64::try_from(MEMORY).ok()?)?;
    options.set_memory_limit(gif::MemoryLimit::Bytes(memory));
    let mut decoder = options.read_info(data).ok()?;
    let frame = decoder.next_frame_info().ok()??;
    let (width, height) = (usize::from(frame.width), usize::from(frame.height));
    budget.take(width, height)?;
    let mut buffer = vec![0; decoder.buffer_size()];
    // As above: what came before the break counts.
    let _ = decoder.read_into_buffer(&mut buffer);
    Some(Grey { width, height, pixels: rgba(&buffer) })
}

fn rgba(buffer: &[u8]) -> Vec<u8> {
    let pixels = buffer.as_chunks::<4>().0.iter();
    pixels.map(|[r, g, b, alpha]| over(grey(*r, *g, *b), *alpha)).collect()
}

/// Weights of ITU-R BT.601, in 256ths.
fn grey(red: u8, green: u8, blue: u8) -> u8 {
    let sum = 77 * u32::from(red) + 150 * u32::from(green) + 29 * u32::from(blue);
    u8::try_from(sum >> 8).unwrap_or(u8::MAX)
}

/// Over white paper.
fn over(grey: u8, alpha: u8) -> u8 {
    let (grey, alpha) = (u32::from(grey), u32::from(alpha));
    u8::try_from((grey * alpha + 255 * (255 - alpha)) / 255).unwrap_or(u8::MAX)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A PNG file of grey pixels.
    pub(in super::super) fn to_png(width: u32, height: u32, pixels: &[u8]) -> Vec<u8> {
        let mut data = Vec::new();
        let mut encoder = png::Encoder::new(&mut data, width, height);
        encoder.set_color(png::ColorType::Grayscale);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(pixels).unwrap();
        writer.finish().unwrap();
        data
    }

    #[test]
    fn reads_png() {
        let data = to_png(3, 2, &[0, 50, 100, 150, 200, 255]);
        let mut budget = Budget::default();
        let image = read(&data, &mut budget).unwrap();
        assert_eq!((image.width, image.height), (3, 2));
        assert_eq!(image.pixels, [0, 50, 100, 150, 200, 255]);
        assert!(read(b"\x89PNG\r\n", &mut budget).is_none());
        assert!(!budget.is_cut(), "broken is not too large");
    }

    #[test]
    fn refuses_bombs_by_their_headers() {
        let mut data = to_png(1, 1, &[0]);
        // Width and height of the header; its checksum is found wrong only afterwards.
        for (width, height) in [(20_000_u32, 1_u32), (10_000, 10_000), (u32::MAX, u32::MAX)] {
            data[16..20].copy_from_slice(&width.to_be_bytes());
            data[20..24].copy_from_slice(&height.to_be_bytes());
            let crc = crc32(&data[12..29]);
            data[29..33].copy_from_slice(&crc.to_be_bytes());
            let mut budget = Budget::default();
            assert!(read(&data, &mut budget).is_none(), "{width} x {height}");
            let beyond_png = width == u32::MAX;
            assert!(budget.is_cut() || beyond_png, "{width} x {height}");
            assert_eq!(budget.pixels, 0);
        }
        let mut budget = Budget::default();
        let head = b"\xff\xd8\xff\xc0\0\x0b\x08\x3e\x80\x3e\x80\x01\x01\x11\0";
        assert!(read(head, &mut budget).is_none());
    }

    #[test]
    fn the_budget_is_the_messages() {
        let mut budget = Budget::default();
        let side = 3 * 1024;
        assert!(budget.take(side, side).is_some());
        assert!(budget.take(side, side).is_some());
        assert!(!budget.is_cut());
        assert!(budget.take(side, 1).is_none());
        assert!(budget.is_cut());
        let mut budget = Budget::default();
        for _ in 0..ALL_PIXELS / LEAST {
            assert!(budget.take(1, 1).is_some());
        }
        assert!(budget.take(1, 1).is_none());
        assert!(budget.take(0, 0).is_none());
    }

    fn crc32(data: &[u8]) -> u32 {
        let step = |crc: u32, byte: &u8| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
            })
        };
        !data.iter().fold(u32::MAX, step)
    }
}
