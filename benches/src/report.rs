//! What was measured, as a table for people and as JSON.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

/// One figure of ours beside its baseline's, round by round.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    stage: String,
    measure: String,
    unit: &'static str,
    baseline: Vec<f64>,
    ours: Vec<f64>,
    target: Option<Target>,
}

/// What the ratio of ours to the baseline is to be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

/// The median of some rounds and how far they lie apart.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

#[derive(Serialize)]
struct Summary<'a> {
    #[serde(flatten)]
    comparison: &'a Comparison,
    baseline_spread: Spread,
    ours_spread: Spread,
    ratio: Spread,
    is_met: Option<bool>,
}

impl Spread {
    pub(crate) fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        let half = sorted.len() / 2;
        let median =
            if sorted.len() % 2 == 1 { middle(half) } else { (middle(half.wrapping_sub(1)) + middle(half)) / 2.0 };
        Self { median, min: middle(0), max: middle(sorted.len().wrapping_sub(1)) }
    }

    fn text(self) -> String {
        format!("{} ({}–{})", short(self.median), short(self.min), short(self.max))
    }
}

/// Three digits that count.
fn short(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        small if small >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

impl Target {
    fn is_met_by(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(least) => ratio >= least,
            Self::AtMost(most) => ratio <= most,
        }
    }

    /// What a line says of it behind this ratio.
    fn text(self, ratio: f64) -> String {
        let met = if self.is_met_by(ratio) { "met" } else { "missed" };
        match self {
            Self::AtLeast(least) => format!("   target >= {least}: {met}"),
            Self::AtMost(most) => format!("   target <= {most}: {met}"),
        }
    }
}

impl Comparison {
    /// The figures of a measure, those of a round at the same place in both lists.
    pub(crate) fn new(
        stage: &str,
        measure: impl Into<String>,
        unit: &'static str,
        baseline: Vec<f64>,
        ours: Vec<f64>,
        target: impl Into<Option<Target>>,
    ) -> Self {
        Self { stage: stage.to_owned(), measure: measure.into(), unit, baseline, ours, target: target.into() }
    }

    fn summary(&self) -> Summary<'_> {
        let ratios: Vec<f64> = self.ours.iter().zip(&self.baseline).map(|(ours, baseline)| ours / baseline).collect();
        let ratio = Spread::of(&ratios);
        Summary {
            comparison: self,
            baseline_spread: Spread::of(&self.baseline),
            ours_spread: Spread::of(&self.ours),
            ratio,
            is_met: self.target.map(|target| target.is_met_by(ratio.median)),
        }
    }
}

/// Prints the comparisons of a stage and writes them to `folder`, as `<stage>.json`.
pub(crate) fn report(folder: &Path, stage: &str, comparisons: &[Comparison]) -> Result<()> {
    let summaries: Vec<_> = comparisons.iter().map(Comparison::summary).collect();
    let mut out = std::io::stdout().lock();
    for summary in &summaries {
        let Comparison { stage, measure, unit, target, .. } = summary.comparison;
        let (baseline, ours) = (summary.baseline_spread.text(), summary.ours_spread.text());
        let target = target.map_or_else(String::new, |target| target.text(summary.ratio.median));
        writeln!(out, "{stage}: {measure} [{unit}]")?;
        writeln!(out, "    baseline {baseline}   ours {ours}   ratio {}{target}", summary.ratio.text())?;
    }
    fs::create_dir_all(folder)?;
    Ok(fs::write(folder.join(format!("{stage}.json")), serde_json::to_vec_pretty(&summaries)?)?)
}

/// Says that a stage ran, in a run whose figures mean nothing.
pub(crate) fn note(stage: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{stage}: runs")?)
}
