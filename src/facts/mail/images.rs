//! Images in a mail and how large they say they are.
//!
//! Comes in: the [`Structure`]. Goes out: [`Image`]s. Only GIF, PNG and JPEG in base64 count,
//! by their declared type; the size stands in their first octets.
//! Not an error: an image that is none; it has no size.

use super::structure::Structure;
use crate::message::Message;

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// `gif`, `png` or `jpeg`.
    pub kind: &'static str,
    /// File name; empty when there is none.
    pub name: String,
    /// Height and width in pixels, where both are known and not 0.
    pub size: Option<(u32, u32)>,
}

/// Finds the images.
pub(super) fn find(structure: &Structure, message: &Message<'_>) -> Vec<Image> {
    let mut images = Vec::new();
    for (_, node) in structure.leaves() {
        let kind = match node.kind.as_str() {
            "image/gif" => "gif",
            "image/png" => "png",
            "image/jpeg" | "image/jpg" => "jpeg",
            _ => continue,
        };
        if node.encoding != "base64" {
            continue;
        }
        let octets = structure.content(message, node);
        let size = match kind {
            "gif" => gif(&octets),
            "png" => png(&octets),
            _ => jpeg(&octets),
        };
        let size = size.filter(|(height, width)| *height > 0 && *width > 0);
        images.push(Image { kind, name: node.name.clone(), size });
    }
    images
}

fn gif(octets: &[u8]) -> Option<(u32, u32)> {
    let rest = octets.strip_prefix(b"GIF87a").or_else(|| octets.strip_prefix(b"GIF89a"))?;
    let ([width, height], _) = rest.as_chunks::<2>().0.split_first_chunk::<2>()?;
    Some((u16::from_le_bytes(*height).into(), u16::from_le_bytes(*width).into()))
}

/// The chunk with the size is the first one; it is looked for in steps of eight octets.
fn png(octets: &[u8]) -> Option<(u32, u32)> {
    let rest = octets.strip_prefix(b"\x89PNG\r\n\x1a\n")?;
    let (steps, _) = rest.as_chunks::<8>();
    for (at, step) in steps.iter().enumerate() {
        if step.ends_with(b"IEND") {
            return None;
        }
        if step == b"\0\0\0\x0dIHDR" {
            let [width, height] =
                *rest.get(8 * (at + 1)..)?.as_chunks::<4>().0.first_chunk::<2>()?;
            return Some((u32::from_be_bytes(height), u32::from_be_bytes(width)));
        }
    }
    None
}

/// Goes from segment to segment up to the one with the size.
fn jpeg(octets: &[u8]) -> Option<(u32, u32)> {
    let mut rest = octets.strip_prefix(b"\xff\xd8")?;
    loop {
        let ([0xff, mark, high, low], segment) = rest.split_first_chunk::<4>()? else {
            return None;
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        match mark {
            0xd9 | 0xda => return None,
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                let [_, h1, h2, w1, w2] = *segment
                    .get(..length.checked_sub(2)?.min(segment.len()))?
                    .first_chunk::<5>()?;
                return Some((
                    u16::from_be_bytes([h1, h2]).into(),
                    u16::from_be_bytes([w1, w2]).into(),
                ));
            }
            _ => rest = segment.get(length.checked_sub(2)?..)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(gif(b"GIF89a\x20\x03\x58\x02\0\0\0"), Some((600, 800)));
        assert_eq!(gif(b"GIF90a\x20\x03\x58\x02\0\0\0"), None);
        assert_eq!(gif(b"GIF89a\x20"), None);
        let png_head = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x02\0\0\0\x01\0\x08\x06\0\0\0";
        assert_eq!(png(png_head), Some((256, 512)));
        assert_eq!(png(b"\x89PNG\r\n\x1a\n\0\0\0\0IEND\0\0\0\x0dIHDR\0\0\x02\0\0\0\x01\0"), None);
        assert_eq!(png(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0"), None);
        let jpeg_head = b"\xff\xd8\xff\xe0\0\x04ab\xff\xc0\0\x11\x08\x01\x2c\x00\x64\x03";
        assert_eq!(jpeg(jpeg_head), Some((300, 100)));
        assert_eq!(jpeg(b"\xff\xd8\xff\xda\0\x04ab\xff\xc0\0\x11\x08\x01\x2c\x00\x64\x03"), None);
        assert_eq!(jpeg(b"\xff\xd8\xff\xe0\0\0"), None);
        assert_eq!(jpeg(b"\xff\xd8\xff\xe0\xff\xff"), None);
    }
}
