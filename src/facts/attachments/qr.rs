//! QR codes in a picture (ISO/IEC 18004).
//!
//! Comes in: a picture in shades of grey. Goes out: what the codes in it say.
//! Not an error: anything but a code. Codes of screens and printers are found, scaled, turned
//! or in colours, also light on dark; photographs of codes held at an angle are not.
//!
//! rqrr decodes what stands in the modules. Where a code is, we find ourselves: rqrr's search
//! takes time with the square of the patterns it sees and stops the process on some pictures,
//! and pictures come from attackers. Here every step has a bound that the picture's size sets.

use super::pixels::Grey;

/// Codes read of one picture.
const CODES: usize = 8;
/// Corner patterns looked at; a code has three.
const CORNERS: usize = 48;
/// Triples of corners tried.
const TRIES: usize = 64;
/// Difference of dark and light below which a picture is one colour.
const CONTRAST: u8 = 40;
/// Modules of a side.
const SIDES: std::ops::RangeInclusive<i32> = 21..=177;

/// A picture of two colours.
struct Bitmap {
    width: i32,
    height: i32,
    dark: Vec<bool>,
}

/// The middle of a corner pattern, and the size of a module along the rows.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Corner {
    x: f64,
    y: f64,
    module: f64,
    seen: f64,
}

/// Three corners: the middle one and those to its right and below.
struct Triple {
    corners: [Corner; 3],
    indexes: [usize; 3],
    /// How far from two equal sides at a right angle.
    skew: f64,
}

/// Reads the codes.
pub(super) fn read(image: &Grey) -> Vec<String> {
    let Some(mut bitmap) = Bitmap::new(image) else { return Vec::new() };
    let codes = bitmap.codes();
    if !codes.is_empty() {
        return codes;
    }
    for dark in &mut bitmap.dark {
        *dark = !*dark;
    }
    bitmap.codes()
}

impl Bitmap {
    /// Parts light and dark where that leaves the two most different (Otsu).
    fn new(image: &Grey) -> Option<Self> {
        let fits = image.pixels.len() == image.width * image.height;
        let small = image.width.min(image.height) < 21;
        let (low, high) = (image.pixels.iter().min()?, image.pixels.iter().max()?);
        if !fits || small || high - low < CONTRAST {
            return None;
        }
        let threshold = threshold(&image.pixels);
        Some(Self {
            width: i32::try_from(image.width).ok()?,
            height: i32::try_from(image.height).ok()?,
            dark: image.pixels.iter().map(|pixel| *pixel <= threshold).collect(),
        })
    }

    fn is_dark(&self, x: i32, y: i32) -> bool {
        let inside = (0..self.width).contains(&x) && (0..self.height).contains(&y);
        inside
            && usize::try_from(y * self.width + x)
                .is_ok_and(|at| self.dark.get(at).is_some_and(|dark| *dark))
    }

    fn codes(&self) -> Vec<String> {
        let corners = self.corners();
        let mut used = vec![false; corners.len()];
        let mut codes = Vec::new();
        for triple in triples(&corners) {
            let taken = |at: &usize| used.get(*at).is_some_and(|used| *used);
            if triple.indexes.iter().any(taken) {
                continue;
            }
            if let Some(text) = self.decode(&triple) {
                for at in triple.indexes {
                    if let Some(used) = used.get_mut(at) {
                        *used = true;
                    }
                }
                codes.push(text);
                if codes.len() >= CODES {
                    break;
                }
            }
        }
        codes
    }

    /// Finds the patterns in the corners: dark and light runs as 1:1:3:1:1, on any line
    /// through the middle.
    fn corners(&self) -> Vec<Corner> {
        let mut corners = Vec::new();
        // The stone in the middle is three modules high: every other row meets it.
        for y in (0..self.height).step_by(2) {
            let mut runs = [0_i32; 5];
            let mut before = false;
            for x in 0..=self.width {
                let dark = self.is_dark(x, y);
                if dark == before && x < self.width {
                    if let Some(run) = runs.last_mut() {
                        *run += 1;
                    }
                    continue;
                }
                if before && is_pattern(runs) {
                    self.corner(x, y, runs, &mut corners);
                    if corners.len() >= CORNERS {
                        return corners;
                    }
                }
                runs.rotate_left(1);
                if let Some(run) = runs.last_mut() {
                    *run = 1;
                }
                before = dark;
            }
        }
        corners
    }

    /// Looks at a pattern that ends before `x` also up and down, and notes its middle.
    fn corner(&self, x: i32, y: i32, runs: [i32; 5], corners: &mut Vec<Corner>) {
        let [_, _, stone, light, dark] = runs;
        let across: i32 = runs.iter().sum();
        let middle = x - dark - light - stone / 2 - 1;
        let Some((down, height)) = self.cross(middle, y, (0, 1), across) else { return };
        let Some((right, width)) = self.cross(middle, down, (1, 0), across) else { return };
        // A square that is turned has runs of other lengths, but the same in both directions.
        if (width - height).abs() * 5 > width.max(height) * 2 {
            return;
        }
        let found = Corner {
            x: f64::from(right) + 0.5,
            y: f64::from(down) + 0.5,
            module: f64::from(width + height) / 14.0,
            seen: 1.0,
        };
        let near = |known: &&mut Corner| {
            let far = (known.x - found.x).abs().max((known.y - found.y).abs());
            far <= known.module * 1.5
        };
        match corners.iter_mut().find(near) {
            Some(known) => {
                let seen = known.seen + 1.0;
                known.x += (found.x - known.x) / seen;
                known.y += (found.y - known.y) / seen;
                known.module += (found.module - known.module) / seen;
                known.seen = seen;
            }
            None => corners.push(found),
        }
    }

    /// Measures the pattern around a point in one direction: where the middle of its stone is
    /// on that line, and how long it is.
    fn cross(&self, x: i32, y: i32, (dx, dy): (i32, i32), length: i32) -> Option<(i32, i32)> {
        if !self.is_dark(x, y) {
            return None;
        }
        let most = length * 2;
        // From the middle: stone, light, dark.
        let arm = |sign: i32| {
            let mut runs = [0_i32; 3];
            let mut at = 0;
            for (run, color) in runs.iter_mut().zip([true, false, true]) {
                let (mut px, mut py) = (x + sign * dx * (at + 1), y + sign * dy * (at + 1));
                let inside =
                    |px, py| (0..self.width).contains(&px) && (0..self.height).contains(&py);
                while inside(px, py) && self.is_dark(px, py) == color && at < most {
                    *run += 1;
                    at += 1;
                    (px, py) = (px + sign * dx, py + sign * dy);
                }
            }
            runs
        };
        let ([back_stone, back_light, back_dark], [stone, light, dark]) = (arm(-1), arm(1));
        let runs = [back_dark, back_light, back_stone + stone + 1, light, dark];
        let middle = (if dx == 0 { y } else { x }) + (stone - back_stone) / 2;
        is_pattern(runs).then(|| (middle, runs.iter().sum()))
    }

    /// Reads the code between three corners.
    fn decode(&self, triple: &Triple) -> Option<String> {
        let [middle, right, below] = triple.corners;
        let (ux, uy) = (right.x - middle.x, right.y - middle.y);
        let (vx, vy) = (below.x - middle.x, below.y - middle.y);
        let across = ux.hypot(uy).midpoint(vx.hypot(vy));
        let turn = (ux.abs().max(uy.abs())) / ux.hypot(uy);
        let module = (middle.module + right.module + below.module) / 3.0 * turn;
        let version = ((across / module + 7.0 - 17.0) / 4.0).round();
        // The nearest size first, then those beside it: runs are measured in whole pixels.
        let mut sizes: Vec<(i32, i32)> = (-3..=3)
            .map(|step| whole(version) * 4 + 17 + step * 4)
            .filter(|size| SIDES.contains(size))
            .map(|size| {
                let modules = f64::from(size - 7);
                let point = |x: i32, y: i32| {
                    let (x, y) = (f64::from(x) - 3.0, f64::from(y) - 3.0);
                    let across = middle.x + (ux * x + vx * y) / modules;
                    let down = middle.y + (uy * x + vy * y) / modules;
                    self.is_dark(whole(across.floor()), whole(down.floor()))
                };
                // The timing patterns between the corners: dark, light, dark …
                let right =
                    (8..size - 8).map(|at| i32::from(point(at, 6) == (at % 2 == 0))).sum::<i32>();
                let down =
                    (8..size - 8).map(|at| i32::from(point(6, at) == (at % 2 == 0))).sum::<i32>();
                ((right + down) * 100 / (2 * (size - 16)), size)
            })
            .filter(|(fit, _)| *fit >= 80)
            .collect();
        sizes.sort_unstable_by_key(|(fit, _)| std::cmp::Reverse(*fit));
        sizes.into_iter().take(2).find_map(|(_, size)| {
            let modules = f64::from(size - 7);
            let grid = rqrr::SimpleGrid::from_func(usize::try_from(size).ok()?, |x, y| {
                let number = |n: usize| i32::try_from(n).map_or(0.0, f64::from) - 3.0;
                let (x, y) = (number(x), number(y));
                let across = middle.x + (ux * x + vx * y) / modules;
                let down = middle.y + (uy * x + vy * y) / modules;
                self.is_dark(whole(across.floor()), whole(down.floor()))
            });
            let mut octets = Vec::new();
            rqrr::Grid::new(grid).decode_to(&mut octets).ok()?;
            Some(String::from_utf8_lossy(&octets).into_owned()).filter(|text| !text.is_empty())
        })
    }
}

/// True for runs of 1:1:3:1:1, each half a module off at most.
fn is_pattern(runs: [i32; 5]) -> bool {
    let total: i32 = runs.iter().sum();
    let fits = |run: i32, modules: i32| {
        // 14ths of the total are half modules.
        run > 0 && (run * 14 - total * 2 * modules).abs() <= (total + 7) * modules.min(2)
    };
    let [a, b, stone, d, e] = runs;
    total >= 7 && fits(a, 1) && fits(b, 1) && fits(stone, 3) && fits(d, 1) && fits(e, 1)
}

/// Corners that may belong together, the best first.
fn triples(corners: &[Corner]) -> Vec<Triple> {
    let mut found = Vec::new();
    for (i, middle) in corners.iter().enumerate() {
        for (j, right) in corners.iter().enumerate() {
            if i == j || !alike(middle, right) {
                continue;
            }
            let (ux, uy) = (right.x - middle.x, right.y - middle.y);
            let u = ux.hypot(uy);
            // Fourteen modules at least lie between two middles, 170 at most.
            if u < middle.module * 9.0 || u > middle.module * 250.0 {
                continue;
            }
            for (k, below) in corners.iter().enumerate() {
                if k == i || k == j || !alike(middle, below) {
                    continue;
                }
                let (vx, vy) = (below.x - middle.x, below.y - middle.y);
                let v = vx.hypot(vy);
                // The other way round it is the same three once more.
                if ux * vy - uy * vx <= 0.0 {
                    continue;
                }
                let angle = (ux * vx + uy * vy).abs() / (u * v);
                let sides = (u - v).abs() / u.max(v);
                if angle <= 0.1 && sides <= 0.1 {
                    let (corners, indexes) = ([*middle, *right, *below], [i, j, k]);
                    found.push(Triple { corners, indexes, skew: angle + sides });
                }
            }
        }
    }
    found.sort_by(|a, b| a.skew.total_cmp(&b.skew));
    found.truncate(TRIES);
    found
}

fn alike(a: &Corner, b: &Corner) -> bool {
    let ratio = a.module / b.module;
    (0.7..=1.43).contains(&ratio)
}

/// The shade up to which pixels are dark (Otsu 1979).
fn threshold(pixels: &[u8]) -> u8 {
    let mut shades = [0_u32; 256];
    for pixel in pixels {
        if let Some(shade) = shades.get_mut(usize::from(*pixel)) {
            *shade += 1;
        }
    }
    let weights = || (0_u32..).map(f64::from).zip(shades.iter().copied().map(f64::from));
    let all: f64 = weights().map(|(_, count)| count).sum();
    let sum: f64 = weights().map(|(shade, count)| shade * count).sum();
    let (mut below, mut sum_below) = (0.0, 0.0);
    let (mut best, mut threshold) = (-1.0, 127);
    for (shade, (value, count)) in (0..=u8::MAX).zip(weights()) {
        below += count;
        sum_below += value * count;
        let above = all - below;
        if below > 0.0 && above > 0.0 {
            let apart = sum_below / below - (sum - sum_below) / above;
            let variance = below * above * apart * apart;
            if variance > best {
                (best, threshold) = (variance, shade);
            }
        }
    }
    threshold
}

/// A coordinate; what is out of any picture saturates and is light there.
#[expect(clippy::cast_possible_truncation, reason = "it saturates, which is what is wanted")]
fn whole(n: f64) -> i32 {
    n as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    /// `https://qr.example/a` in version 2, made by another program.
    const CODE: &str = include_str!("qr-example.txt");

    fn modules() -> Vec<Vec<bool>> {
        CODE.lines().map(|line| line.bytes().map(|byte| byte == b'#').collect()).collect()
    }

    /// A picture whose pixels are made from coordinates in modules, quiet zone included.
    fn picture(side: u32, shade: impl Fn(f64, f64) -> u8) -> Grey {
        let pixels = (0..side)
            .flat_map(|y| (0..side).map(move |x| (f64::from(x) + 0.5, f64::from(y) + 0.5)))
            .map(|(x, y)| shade(x, y))
            .collect();
        let side = usize::try_from(side).unwrap();
        Grey { width: side, height: side, pixels }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers")]
    fn code_at(modules: &[Vec<bool>], x: f64, y: f64) -> bool {
        if x < 0.0 || y < 0.0 {
            return false;
        }
        modules.get(y as usize).and_then(|row| row.get(x as usize)).is_some_and(|dark| *dark)
    }

    #[track_caller]
    fn check(what: &str, image: &Grey) {
        assert_eq!(read(image), ["https://qr.example/a"], "{what}");
    }

    #[test]
    fn reads_codes_of_any_size_and_colour() {
        let code = modules();
        let side = f64::from(u32::try_from(code.len()).unwrap());
        for (what, scale, dark, light) in [
            ("two pixels a module", 2.0, 0, 255),
            ("three and a half", 3.5, 0, 255),
            ("ten pixels", 10.0, 0, 255),
            ("pale", 4.0, 120, 200),
            ("light on dark", 4.0, 255, 0),
        ] {
            let pixels = whole((side + 8.0) * scale);
            let image = picture(u32::try_from(pixels).unwrap(), |x, y| {
                if code_at(&code, x / scale - 4.0, y / scale - 4.0) { dark } else { light }
            });
            check(what, &image);
        }
    }

    #[test]
    fn reads_codes_that_are_turned() {
        let code = modules();
        let middle = f64::from(u32::try_from(code.len()).unwrap()) / 2.0;
        for degrees in [0, 7, 30, 45, 90, 135, 200, 290] {
            let (sin, cos) = f64::from(degrees).to_radians().sin_cos();
            let image = picture(400, |x, y| {
                let (x, y) = ((x - 200.0) / 6.0, (y - 200.0) / 6.0);
                let (x, y) = (x * cos + y * sin + middle, y * cos - x * sin + middle);
                if code_at(&code, x, y) { 20 } else { 250 }
            });
            check(&format!("{degrees} degrees"), &image);
        }
    }

    #[test]
    fn several_codes_in_one_picture() {
        let code = modules();
        let image = picture(400, |x, y| {
            let (x, y) = (x % 200.0, y % 200.0);
            if code_at(&code, x / 5.0 - 5.0, y / 5.0 - 5.0) { 0 } else { 255 }
        });
        assert_eq!(read(&image).len(), 4);
    }

    #[test]
    fn what_is_no_code_says_nothing() {
        assert!(read(&picture(100, |_, _| 255)).is_empty());
        assert!(read(&picture(20, |x, _| if x < 10.0 { 0 } else { 255 })).is_empty());
        let stripes = picture(200, |x, _| if whole(x) % 10 < 5 { 0 } else { 255 });
        assert!(read(&stripes).is_empty());
        assert!(read(&Grey { width: 9, height: 9, pixels: Vec::new() }).is_empty());
        assert!(read(&Grey { width: 0, height: 0, pixels: Vec::new() }).is_empty());
    }

    /// A wall of corner patterns: the search must not try all triples of them.
    #[test]
    fn walls_of_corners_end_soon() {
        let corner = |x: i32, y: i32| {
            let ring = (x - 3).abs().max((y - 3).abs());
            ring == 3 || ring <= 1
        };
        let start = Instant::now();
        for scale in [1, 2, 7] {
            let wall = picture(2_000, |x, y| {
                let (x, y) = (whole(x) / scale % 9, whole(y) / scale % 9);
                if corner(x, y) { 0 } else { 255 }
            });
            let _ = read(&wall);
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
}
