//! Functions about images (SpamAssassin's `ImageInfo`).

use super::{Argument, Context, Does, Function, Known};
use super::{at, count, flag, limit, text_length, word};
use crate::facts::Facts;
use crate::facts::mail::Image;

pub(super) const FUNCTIONS: &[Function] = &[
    Function { name: "image_count", does: Does::Runs(image_count) },
    Function { name: "pixel_coverage", does: Does::Runs(pixel_coverage) },
    Function { name: "image_size_exact", does: Does::Runs(image_size_exact) },
    Function { name: "image_size_range", does: Does::Runs(image_size_range) },
    Function { name: "image_named", does: Does::Runs(image_named) },
    Function { name: "image_name_regex", does: Does::Matches(image_name_regex, &[0]) },
    Function { name: "image_to_text_ratio", does: Does::Runs(image_to_text_ratio) },
];

/// Images of the kind that the first argument names, or all.
fn images<'i>(facts: &'i Facts<'_>, arguments: &'i [Argument]) -> impl Iterator<Item = &'i Image> {
    let kind = word(arguments, 0);
    let all = facts.mail.images().iter();
    all.filter(move |image| kind == "all" || image.kind == kind)
}

fn area<'i>(images: impl Iterator<Item = &'i Image>) -> f64 {
    images
        .filter_map(|image| image.size)
        .map(|(height, width)| f64::from(height) * f64::from(width))
        .sum()
}

fn is_known(arguments: &[Argument]) -> bool {
    ["all", "gif", "png", "jpeg"].contains(&word(arguments, 0))
}

/// `image_count(kind, min, max)`: so many images.
fn image_count(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let found = count(images(context.facts, arguments).count());
    flag(is_known(arguments) && arguments.len() > 1 && limit(arguments, 1, found))
}

/// `pixel_coverage(kind, min, max)`: square pixels of all images.
fn pixel_coverage(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let found = area(images(context.facts, arguments));
    flag(is_known(arguments) && arguments.len() > 1 && limit(arguments, 1, found))
}

/// `image_size_exact(kind, height, width)`: an image of this size.
fn image_size_exact(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let wanted = (word(arguments, 1).parse().ok(), word(arguments, 2).parse().ok());
    let mut sizes = images(context.facts, arguments).filter_map(|image| image.size);
    flag(sizes.any(|(height, width)| wanted == (Some(height), Some(width))))
}

/// `image_size_range(kind, min height, min width, max height, max width)`: an image of such a
/// size, limits included; the highest ones may be left out.
fn image_size_range(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let mut sizes = images(context.facts, arguments).filter_map(|image| image.size);
    let fits = |(height, width): (u32, u32)| {
        super::in_range(arguments, 1, f64::from(height), f64::from(width))
    };
    flag(arguments.len() > 2 && sizes.any(fits))
}

/// `image_named(name)`: an image of a known size has this name.
fn image_named(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let name = word(arguments, 0);
    let found =
        context.facts.mail.images().iter().any(|image| image.size.is_some() && image.name == name);
    if found {
        context.shown = Some(name.to_owned());
    }
    flag(found && !name.is_empty())
}

/// `image_name_regex(regex)`: the name of an image of a known size matches.
fn image_name_regex(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let Some(regex) = arguments.first() else { return flag(false) };
    for image in context.facts.mail.images() {
        let named = image.size.is_some() && !image.name.is_empty();
        if named && context.matches(regex, image.name.as_bytes()) {
            context.shown = Some(image.name.clone());
            return flag(true);
        }
    }
    flag(false)
}

/// `image_to_text_ratio(kind, min, max)`: octets of text for each square pixel, at least `min`
/// and below `max`; without text or images never.
fn image_to_text_ratio(context: &mut Context<'_, '_, '_>, arguments: &[Argument]) -> Known {
    let (area, text) = (area(images(context.facts, arguments)), text_length(context));
    let ratio = count(text) / area;
    let sound = arguments.len() > 2 && text > 0 && area > 0.0;
    flag(sound && ratio >= at(arguments, 1) && ratio < at(arguments, 2))
}
