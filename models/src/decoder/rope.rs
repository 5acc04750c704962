//! Rotary position embeddings: the angles by which pairs of a head's columns are turned.
//!
//! A pair i turns by position · frequency(i), all in `f32`. The plain frequencies are
//! θ^(−2i / d); what stretches them beyond the positions that a model was trained with is here
//! as transformers has it (`modeling_rope_utils.py`), each with its source.

use std::f64::consts::TAU;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{Device, Tensor};
use serde::Deserialize;

use crate::config::LARGEST;

/// One rotary embedding of a model.
#[derive(Debug, Clone)]
pub struct Rope {
    /// θ.
    theta: f64,
    /// How many of a head's columns are turned, the first ones.
    pub width: usize,
    scaling: Scaling,
}

#[derive(Debug, Clone)]
enum Scaling {
    None,
    /// Frequencies divided by a factor. Position interpolation, arXiv 2306.15595.
    Linear {
        factor: f64,
    },
    /// θ grows with the text once it is longer than `trained`. "Dynamic NTK", by the user emozilla
    /// of Reddit; in transformers since 4.31.
    Dynamic {
        factor: f64,
        trained: f64,
    },
    /// Low frequencies divided by a factor, high ones kept. Llama 3.1's own code.
    Llama3 {
        factor: f64,
        low: f64,
        high: f64,
        trained: f64,
    },
    /// The same with a linear ramp between dimensions, and a temperature. arXiv 2309.00071.
    Yarn {
        factor: f64,
        trained: f64,
        fast: f64,
        slow: f64,
        truncate: bool,
        attention: f64,
    },
    /// A factor of its own for each frequency; others once a text is longer than `trained`.
    /// arXiv 2402.13753.
    LongRope {
        short: Vec<f64>,
        long: Vec<f64>,
        trained: usize,
        attention: f64,
    },
    /// A divisor for each frequency, as GGUF files have what Llama 3's formula gives.
    Divisors(Vec<f64>),
}

/// What a `config.json` says of a rotary embedding.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RopeFields {
    pub rope_type: Option<String>,
    #[serde(rename = "type")]
    old_type: Option<String>,
    pub rope_theta: Option<f64>,
    pub partial_rotary_factor: Option<f64>,
    pub original_max_position_embeddings: Option<usize>,
    factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    attention_factor: Option<f64>,
    beta_fast: Option<f64>,
    beta_slow: Option<f64>,
    mscale: Option<f64>,
    mscale_all_dim: Option<f64>,
    truncate: Option<bool>,
    short_factor: Option<Vec<f64>>,
    long_factor: Option<Vec<f64>>,
}

impl RopeFields {
    /// The name of the scaling.
    pub fn kind(&self) -> &str {
        self.rope_type.as_deref().or(self.old_type.as_deref()).unwrap_or("default")
    }
}

impl Rope {
    /// That of heads of `head` columns, in a model of `positions`.
    pub fn new(fields: &RopeFields, head: usize, positions: usize) -> Result<Self> {
        let theta = fields.rope_theta.context("there is no rope_theta")?;
        ensure!(
            theta > 1.0 && theta.is_finite(),
            "rope_theta is {theta}; it must be a number above 1"
        );
        let part = fields.partial_rotary_factor.unwrap_or(1.0);
        // Rounded before it is cut off: a part may have been divided, as 30 of 44 columns.
        let width = (head as f64 * part + 1e-6) as usize;
        ensure!(
            part > 0.0 && part <= 1.0 && width >= 2 && width.is_multiple_of(2),
            "partial_rotary_factor is {part}; it must take an even part of {head} columns"
        );
        let trained = fields.original_max_position_embeddings.unwrap_or(positions);
        ensure!(trained > 1, "original_max_position_embeddings is {trained}");
        let kind = fields.kind();
        let positive = |name: &str, value: Option<f64>| -> Result<f64> {
            let value = value.with_context(|| format!("the rope_type {kind:?} needs a {name}"))?;
            let fit = value > 0.0 && value.is_finite();
            ensure!(fit, "the {name} of the rope_type {kind:?} is {value}; it must be positive");
            Ok(value)
        };
        let factor = || positive("factor", fields.factor);
        let factors = |name: &str, factors: &Option<Vec<f64>>| -> Result<Vec<f64>> {
            let factors = factors.clone();
            let factors =
                factors.with_context(|| format!("the rope_type {kind:?} needs a {name}"))?;
            check_factors(name, &factors, width)?;
            Ok(factors)
        };
        let stretch = positions as f64 / trained as f64;
        let scaling = match kind {
            "default" | "none" => Scaling::None,
            "linear" => Scaling::Linear { factor: factor()? },
            "dynamic" => {
                ensure!(width > 2, "the rope_type \"dynamic\" needs heads of more than 2 columns");
                Scaling::Dynamic { factor: factor()?, trained: positions as f64 }
            }
            "llama3" => {
                let low = positive("low_freq_factor", fields.low_freq_factor)?;
                let high = positive("high_freq_factor", fields.high_freq_factor)?;
                ensure!(low < high, "low_freq_factor is {low}, and high_freq_factor only {high}");
                Scaling::Llama3 { factor: factor()?, low, high, trained: trained as f64 }
            }
            "yarn" => {
                let factor = positive("factor", fields.factor.or(Some(stretch)))?;
                let temperature = |scale: f64| match factor > 1.0 {
                    true => 0.1 * scale * factor.ln() + 1.0,
                    false => 1.0,
                };
                let attention = match (fields.mscale, fields.mscale_all_dim) {
                    (Some(one), Some(all)) if one != 0.0 && all != 0.0 => {
                        temperature(one) / temperature(all)
                    }
                    _ => temperature(1.0),
                };
                // In transformers, 0 is none.
                let or =
                    |value: Option<f64>, usual| Some(value.filter(|&v| v != 0.0).unwrap_or(usual));
                let attention = fields.attention_factor.or(Some(attention));
                Scaling::Yarn {
                    factor,
                    trained: trained as f64,
                    fast: positive("beta_fast", or(fields.beta_fast, 32.0))?,
                    slow: positive("beta_slow", or(fields.beta_slow, 1.0))?,
                    truncate: fields.truncate.unwrap_or(true),
                    attention: positive("attention_factor", attention)?,
                }
            }
            "longrope" => {
                let factor = positive("factor", fields.factor.or(Some(stretch)))?;
                let usual = match factor > 1.0 {
                    true => (1.0 + factor.ln() / (trained as f64).ln()).sqrt(),
                    false => 1.0,
                };
                Scaling::LongRope {
                    short: factors("short_factor", &fields.short_factor)?,
                    long: factors("long_factor", &fields.long_factor)?,
                    trained,
                    attention: positive(
                        "attention_factor",
                        fields.attention_factor.or(Some(usual)),
                    )?,
                }
            }
            other => bail!(
                "the rope_type {other:?} is not known (default, linear, dynamic, llama3, longrope \
                 and yarn are); run the model in an inference engine"
            ),
        };
        Ok(Self { theta, width, scaling })
    }

    /// How many positions can be told apart, where `positions` are what the model was made for:
    /// some configurations name only those before they are stretched.
    pub fn reach(&self, positions: usize) -> usize {
        let stretched = match &self.scaling {
            Scaling::Linear { factor } => (factor * positions as f64) as usize,
            Scaling::Dynamic { factor, trained } | Scaling::Yarn { factor, trained, .. } => {
                (factor * trained) as usize
            }
            _ => 0,
        };
        positions.max(stretched).min(LARGEST)
    }

    /// Whether a text that has had `earlier` tokens can go on, or begin to differ, at `now` tokens: what
    /// was computed for the former must serve the latter.
    ///
    /// Where θ grows with the text, it serves as far as transformers lets it, too.
    pub fn goes_on(&self, earlier: usize, now: usize) -> bool {
        match &self.scaling {
            Scaling::LongRope { trained, .. } => (earlier > *trained) == (now > *trained),
            _ => true,
        }
    }

    /// The most tokens that a text may have to be turned as all shorter ones are; none if there is
    /// no limit.
    pub fn even(&self) -> Option<usize> {
        match &self.scaling {
            Scaling::LongRope { trained, .. } => Some(*trained),
            Scaling::Dynamic { trained, .. } => Some(*trained as usize),
            _ => None,
        }
    }

    /// Divides each frequency by a number of its own; there must be no other scaling.
    pub fn divide(&mut self, divisors: &[f32]) -> Result<()> {
        let divisors: Vec<f64> = divisors.iter().copied().map(f64::from).collect();
        check_factors("rope_freqs.weight", &divisors, self.width)?;
        ensure!(
            matches!(self.scaling, Scaling::None),
            "its positions are scaled twice, by its metadata and by rope_freqs.weight"
        );
        self.scaling = Scaling::Divisors(divisors);
        Ok(())
    }

    /// The frequencies of a text of `length` tokens, in radians a position, and what both cosines
    /// and sines are multiplied by.
    fn frequencies(&self, length: usize) -> (Vec<f32>, f64) {
        let pairs = self.width / 2;
        let plain = |theta: f64| {
            let width = self.width as f64;
            move |i: usize| theta.powf(-2.0 * i as f64 / width)
        };
        let frequency = plain(self.theta);
        let (frequencies, scale): (Vec<f64>, f64) = match &self.scaling {
            Scaling::None => ((0..pairs).map(frequency).collect(), 1.0),
            Scaling::Linear { factor } => {
                ((0..pairs).map(|i| frequency(i) / factor).collect(), 1.0)
            }
            Scaling::Dynamic { factor, trained } => {
                let length = (length as f64).max(*trained);
                let growth = factor * length / trained - (factor - 1.0);
                let width = self.width as f64;
                let theta = self.theta * growth.powf(width / (width - 2.0));
                ((0..pairs).map(plain(theta)).collect(), 1.0)
            }
            Scaling::Llama3 { factor, low, high, trained } => {
                let scaled = |i: usize| {
                    let turns = trained * frequency(i) / TAU;
                    let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                    frequency(i) * (kept + (1.0 - kept) / factor)
                };
                ((0..pairs).map(scaled).collect(), 1.0)
            }
            Scaling::Yarn { factor, trained, fast, slow, truncate, attention } => {
                let (first, last) = self.ramp(*trained, *fast, *slow, *truncate);
                let scaled = |i: usize| {
                    let divided = ((i as f64 - first) / (last - first)).clamp(0.0, 1.0);
                    frequency(i) * (1.0 - divided + divided / factor)
                };
                ((0..pairs).map(scaled).collect(), *attention)
            }
            Scaling::LongRope { short, long, trained, attention } => {
                let factors = if length > *trained { long } else { short };
                ((0..pairs).map(|i| frequency(i) / factors[i]).collect(), *attention)
            }
            Scaling::Divisors(divisors) => {
                ((0..pairs).map(|i| frequency(i) / divisors[i]).collect(), 1.0)
            }
        };
        (frequencies.into_iter().map(|frequency| frequency as f32).collect(), scale)
    }

    /// The pairs between which YaRN goes from frequencies that are kept to divided ones.
    fn ramp(&self, trained: f64, fast: f64, slow: f64, truncate: bool) -> (f64, f64) {
        let width = self.width as f64;
        // The pair that makes so many turns in the text that the model was trained with.
        let pair = |turns: f64| width * (trained / (turns * TAU)).ln() / (2.0 * self.theta.ln());
        let (mut first, mut last) = (pair(fast), pair(slow));
        if truncate {
            (first, last) = (first.floor(), last.ceil());
        }
        (first, last) = (first.max(0.0), last.min(width - 1.0));
        if first == last {
            last += 0.001;
        }
        (first, last)
    }

    /// Cosines and sines, `f32` `[N, T, width / 2]`, of rows of positions, `T` in each; those of a
    /// row that has read `lengths` tokens in the end.
    ///
    /// Where frequencies depend on the length, each row has those of its own. (transformers takes
    /// the longest row's for all, so that a row's neighbours change what it says.)
    pub fn tables(
        &self,
        positions: &[Vec<u32>],
        lengths: &[usize],
        device: &Device,
    ) -> candle_core::Result<(Tensor, Tensor)> {
        let columns = positions.first().map_or(0, Vec::len);
        let shape = (positions.len(), columns, self.width / 2);
        let (mut cosines, mut sines) = (Vec::new(), Vec::new());
        for (row, &length) in positions.iter().zip(lengths) {
            let (frequencies, scale) = self.frequencies(length);
            let scale = scale as f32;
            for &position in row {
                for frequency in &frequencies {
                    let (sine, cosine) = (position as f32 * frequency).sin_cos();
                    cosines.push(cosine * scale);
                    sines.push(sine * scale);
                }
            }
        }
        Ok((Tensor::from_vec(cosines, shape, device)?, Tensor::from_vec(sines, shape, device)?))
    }
}

fn check_factors(name: &str, factors: &[f64], width: usize) -> Result<()> {
    let (got, wanted) = (factors.len(), width / 2);
    ensure!(got == wanted, "{name} has {got} factors, but {wanted} pairs of columns are turned");
    let fit = |factor: f64| factor > 0.0 && factor.is_finite();
    if let Some(i) = factors.iter().position(|&factor| !fit(factor)) {
        bail!("factor {i} of {name} is {}; it must be positive", factors[i]);
    }
    Ok(())
}
