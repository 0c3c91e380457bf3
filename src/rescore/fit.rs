//! Finds the weights: logistic regression within bounds, by projected gradient.
//!
//! Comes in: a model, patterns, and how much spam and ham shows each. Goes out: a weight for
//! each symbol. Always comes to an end, and always at the same place.

use super::model::{Model, Pattern};
use crate::mass_check::LAMBDA;

/// Points of score over which certainty grows by a factor of e. Half a point: a score is told
/// in tenths, and a threshold is a narrow place.
const SOFTNESS: f64 = 0.5;

/// How strongly the score in force pulls: like this many messages a point away.
const PULL: f64 = 5.0;

/// Steps taken.
const STEPS: usize = 500;

/// Halvings of a step that leads uphill.
const HALVINGS: usize = 40;

/// Weights that move less have arrived.
const ARRIVED: f64 = 1e-5;

/// What one look at all patterns tells.
struct Look {
    loss: f64,
    gradient: Vec<f64>,
    curvature: Vec<f64>,
}

/// The weights of least loss near those in force.
pub(super) fn fit(model: &Model, patterns: &[Pattern], counts: &[(f64, f64)]) -> Vec<f64> {
    let mut weights: Vec<f64> = model.features.iter().map(|feature| feature.score).collect();
    let mut look = look_around(model, patterns, counts, &weights);
    for _ in 0..STEPS {
        let mut step = 1.0;
        let mut next = None;
        for _ in 0..HALVINGS {
            let tried = moved(model, &weights, &look, step);
            let seen = look_around(model, patterns, counts, &tried);
            if seen.loss < look.loss {
                next = Some((tried, seen));
                break;
            }
            step /= 2.0;
        }
        let Some((tried, seen)) = next else { break };
        let far = weights.iter().zip(&tried).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        weights = tried;
        look = seen;
        if far < ARRIVED {
            break;
        }
    }
    weights
}

/// A step downhill, each weight by its own curvature, back into the bounds.
fn moved(model: &Model, weights: &[f64], look: &Look, step: f64) -> Vec<f64> {
    let slopes = look.gradient.iter().zip(&look.curvature);
    let all = weights.iter().zip(slopes).zip(&model.features);
    all.map(|((weight, (slope, curve)), feature)| {
        let (low, high) = feature.bounds;
        (weight - step * slope / curve).clamp(low, high)
    })
    .collect()
}

fn look_around(
    model: &Model,
    patterns: &[Pattern],
    counts: &[(f64, f64)],
    weights: &[f64],
) -> Look {
    let pulls = weights.iter().zip(&model.features).map(|(weight, f)| PULL * (weight - f.score));
    let mut look =
        Look { loss: 0.0, gradient: pulls.collect(), curvature: vec![PULL; model.features.len()] };
    for (weight, feature) in weights.iter().zip(&model.features) {
        look.loss += PULL / 2.0 * (weight - feature.score).powi(2);
    }
    let mut movers = Vec::new();
    for (pattern, (spam, ham)) in patterns.iter().zip(counts) {
        if *spam == 0.0 && *ham == 0.0 {
            continue;
        }
        movers.clear();
        let score = model.score_and_movers(weights, pattern, &mut |index| movers.push(index));
        let above = (score - model.threshold) / SOFTNESS;
        let ham = ham * f64::from(LAMBDA);
        look.loss += spam * softplus(-above) + ham * softplus(above);
        let certainty = 1.0 / (1.0 + (-above).exp());
        let slope = (ham * certainty - spam * (1.0 - certainty)) / SOFTNESS;
        let curve = (spam + ham) * certainty * (1.0 - certainty) / (SOFTNESS * SOFTNESS);
        // All movers of a pattern move at once: each may count on a part of the way.
        #[expect(clippy::cast_precision_loss, reason = "symbols of one message")]
        let share = movers.len() as f64;
        for index in &movers {
            if let Some(gradient) = look.gradient.get_mut(*index) {
                *gradient += slope;
            }
            if let Some(curvature) = look.curvature.get_mut(*index) {
                *curvature += curve * share;
            }
        }
    }
    look
}

/// `ln(1 + e^x)` for any x.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}
