//! The fields of a rotary embedding, as transformers 5 writes them (`rope_parameters`) and as older files have them
//! (`rope_scaling` beside top-level fields); read as `RotaryEmbeddingConfigMixin` of transformers 5.23 does.

use std::ops::RangeInclusive;

use super::super::config_file::ConfigFile;
use super::rope::{Rope, Scaling};
use crate::error::{Error, Result};

/// Bases that are believed.
const THETA: RangeInclusive<f64> = 2.0..=1e12;
/// Factors by which a context is stretched that are believed.
const FACTOR: RangeInclusive<f64> = 1.0..=1e6;
/// Smaller numbers of a scaling (shares of a wavelength, numbers of rotations, scales) that are believed.
const SHARE: RangeInclusive<f64> = 1e-6..=1e6;
/// The longest context of a training that is believed.
const MAX_POSITIONS: usize = 1 << 31;

/// The kinds of scaling, by their `rope_type`.
const KINDS: &[&str] = &["default", "linear", "dynamic", "yarn", "longrope", "llama3"];

/// What a family says about the fields of its rotary embedding.
#[derive(Clone, Copy, Debug)]
pub(in crate::models) struct RopeFields {
    /// Components of a head.
    pub(in crate::models) head_dim: usize,
    /// Tokens of the longest text, scaling included.
    pub(in crate::models) max_position_embeddings: usize,
    /// The base where no field gives it.
    pub(in crate::models) default_theta: f64,
    /// The top-level field of older files that has the base.
    pub(in crate::models) theta_field: &'static str,
    /// The top-level field of older files that has the rotated share of a head, and the share without it; `None` for a
    /// family that rotates whole heads.
    pub(in crate::models) partial: Option<(&'static str, f64)>,
}

impl RopeFields {
    /// Fields under the names that most families use.
    pub(in crate::models) fn usual(head_dim: usize, max_position_embeddings: usize) -> Self {
        Self {
            head_dim,
            max_position_embeddings,
            default_theta: 10_000.0,
            theta_field: "rope_theta",
            partial: None,
        }
    }
}

impl Rope {
    /// Reads `rope_parameters` as transformers 5 writes them, or `rope_scaling` and the top-level fields of older files.
    pub(in crate::models) fn read(file: &ConfigFile, fields: RopeFields) -> Result<Self> {
        let older = file.object("rope_scaling")?;
        let parameters = match older {
            Some(parameters) => Some(parameters),
            None => file.object("rope_parameters")?,
        };
        Self::read_parameters(file, parameters.as_ref(), fields)
    }

    /// Reads one object of parameters (absent: no scaling); what it lacks is looked for at the top of the file.
    pub(in crate::models) fn read_parameters(
        file: &ConfigFile,
        parameters: Option<&ConfigFile>,
        fields: RopeFields,
    ) -> Result<Self> {
        let theta = match parameters {
            Some(parameters) => parameters.number("rope_theta", THETA)?,
            None => None,
        };
        let theta = match theta {
            Some(theta) => theta,
            None => file
                .number(fields.theta_field, THETA)?
                .unwrap_or(fields.default_theta),
        };
        let dim = rotated(file, parameters, fields)?;
        let Some(parameters) = parameters else {
            return Ok(Self::new(theta, dim));
        };
        let kind = match parameters.text("rope_type")? {
            Some(kind) => kind,
            None => parameters.text("type")?.unwrap_or("default"),
        };
        let given = || required(parameters, "factor", FACTOR);
        let (scaling, attention_factor) = match kind {
            "default" => (Scaling::Default, 1.0),
            "linear" => (Scaling::Linear { factor: given()? }, 1.0),
            "dynamic" => {
                if dim <= 2 {
                    return Err(parameters.wrong(
                        "rope_type",
                        "a kind other than \"dynamic\" for heads of two rotated components",
                    ));
                }
                let trained = fields.max_position_embeddings;
                let factor = given()?;
                (Scaling::Dynamic { factor, trained }, 1.0)
            }
            "llama3" => {
                let low = required(parameters, "low_freq_factor", SHARE)?;
                let high = required(parameters, "high_freq_factor", SHARE)?;
                if high <= low {
                    let expected = format!("more than the low_freq_factor {low}");
                    return Err(parameters.wrong("high_freq_factor", expected));
                }
                let scaling = Scaling::Llama3 {
                    factor: given()?,
                    trained: trained(file, parameters, fields)?,
                    low,
                    high,
                };
                (scaling, 1.0)
            }
            // Early files of Phi-3 say "su" or "yarn" for LongRoPE.
            "yarn" if parameters.get("short_factor").is_none() => yarn(file, parameters, fields)?,
            "yarn" | "longrope" | "su" => long_rope(file, parameters, fields, dim)?,
            other => {
                return Err(Error::Unsupported {
                    path: file.path().to_owned(),
                    field: parameters.name("rope_type"),
                    found: other.to_owned(),
                    supported: KINDS,
                });
            }
        };
        Ok(Self::scaled(theta, dim, scaling, attention_factor))
    }
}

/// A number that a kind of scaling needs.
fn required(parameters: &ConfigFile, field: &str, limits: RangeInclusive<f64>) -> Result<f64> {
    match parameters.number(field, limits.clone())? {
        Some(number) => Ok(number),
        None => {
            let expected = format!("a number from {} to {}", limits.start(), limits.end());
            Err(parameters.wrong(field, expected))
        }
    }
}

/// Components of a head that are turned.
fn rotated(file: &ConfigFile, parameters: Option<&ConfigFile>, fields: RopeFields) -> Result<usize> {
    const FIELD: &str = "partial_rotary_factor";
    let inside = match parameters {
        Some(parameters) => parameters.number(FIELD, 0.0..=1.0)?,
        None => None,
    };
    let (owner, field) = match (inside, parameters, fields.partial) {
        (Some(_), Some(parameters), _) => (parameters, FIELD),
        (_, _, Some((field, _))) => (file, field),
        _ => (file, FIELD),
    };
    let share = match (inside, fields.partial) {
        (Some(share), _) => share,
        (None, Some((field, default))) => file.number(field, 0.0..=1.0)?.unwrap_or(default),
        (None, None) => file.number(FIELD, 0.0..=1.0)?.unwrap_or(1.0),
    };
    if fields.partial.is_none() && share < 1.0 {
        return Err(owner.wrong(field, "1, as this family rotates whole heads"));
    }
    let dim = (fields.head_dim as f64 * share) as usize;
    if dim == fields.head_dim && !dim.is_multiple_of(2) {
        return Err(file.wrong(
            "head_dim",
            format!("an even number of components per head, not {dim}"),
        ));
    }
    if dim == 0 || 2 * dim.div_ceil(2) > fields.head_dim {
        let expected = format!(
            "a share of which an even number of a head's {} components is rotated",
            fields.head_dim
        );
        return Err(owner.wrong(field, expected));
    }
    Ok(dim)
}

/// Tokens of the longest text of the training, before the scaling.
fn trained(file: &ConfigFile, parameters: &ConfigFile, fields: RopeFields) -> Result<usize> {
    const FIELD: &str = "original_max_position_embeddings";
    if let Some(tokens) = file.optional_size(FIELD, 1..=MAX_POSITIONS)? {
        return Ok(tokens);
    }
    let tokens = parameters.optional_size(FIELD, 1..=MAX_POSITIONS)?;
    Ok(tokens.unwrap_or(fields.max_position_embeddings))
}

/// The stretching factor, which some files leave to the ratio of two lengths.
fn factor(parameters: &ConfigFile, fields: RopeFields, trained: usize) -> Result<f64> {
    let factor = parameters.number("factor", FACTOR)?;
    Ok(factor.unwrap_or(fields.max_position_embeddings as f64 / trained as f64))
}

/// YaRN and its factor on attention (Peng et al. 2023, equation 22).
fn yarn(file: &ConfigFile, parameters: &ConfigFile, fields: RopeFields) -> Result<(Scaling, f64)> {
    let trained = trained(file, parameters, fields)?;
    let factor = factor(parameters, fields, trained)?;
    let scale = |mscale: f64| {
        if factor <= 1.0 {
            1.0
        } else {
            0.1 * mscale * factor.ln() + 1.0
        }
    };
    // Zero counts as absent, as there.
    let optional = |field: &str| -> Result<Option<f64>> {
        let number = parameters.number(field, 0.0..=*SHARE.end())?;
        Ok(number.filter(|number| *number != 0.0))
    };
    let (mscale, mscale_all_dim) = (optional("mscale")?, optional("mscale_all_dim")?);
    let attention_factor = match (
        parameters.number("attention_factor", SHARE)?,
        mscale,
        mscale_all_dim,
    ) {
        (Some(given), ..) => given,
        (None, Some(mscale), Some(all)) => scale(mscale) / scale(all),
        (None, ..) => scale(1.0),
    };
    let beta_fast = optional("beta_fast")?.unwrap_or(32.0);
    let beta_slow = optional("beta_slow")?.unwrap_or(1.0);
    if beta_fast < beta_slow {
        let expected = format!("at least the beta_slow {beta_slow}");
        return Err(parameters.wrong("beta_fast", expected));
    }
    let scaling = Scaling::Yarn {
        factor,
        trained,
        beta_fast,
        beta_slow,
        truncate: parameters.flag("truncate", true)?,
    };
    Ok((scaling, attention_factor))
}

/// LongRoPE and its factor on attention (Ding et al. 2024; the factor as in Phi-3's own code).
fn long_rope(
    file: &ConfigFile,
    parameters: &ConfigFile,
    fields: RopeFields,
    dim: usize,
) -> Result<(Scaling, f64)> {
    let trained = trained(file, parameters, fields)?;
    if trained < 2 {
        return Err(parameters.wrong("original_max_position_embeddings", "2 or more"));
    }
    let factor = factor(parameters, fields, trained)?;
    let attention_factor = match parameters.number("attention_factor", SHARE)? {
        Some(given) => given,
        None if factor <= 1.0 => 1.0,
        None => (1.0 + factor.ln() / (trained as f64).ln()).sqrt(),
    };
    let pairs = dim.div_ceil(2);
    let factors = |field: &str| match parameters.numbers(field, pairs, SHARE)? {
        Some(factors) => Ok(factors),
        None => Err(parameters.wrong(field, format!("a list of {pairs} numbers"))),
    };
    let scaling = Scaling::LongRope {
        trained,
        short: factors("short_factor")?,
        long: factors("long_factor")?,
    };
    Ok((scaling, attention_factor))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use serde::Deserialize;
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::models::decoder::RopeRegime;
    use crate::weights::ModelFiles;

    /// A case of `tests/fixtures/decoder/rope.json`, which `make.py` beside it wrote.
    #[derive(Deserialize)]
    struct Case {
        name: String,
        model_type: String,
        head_dim: usize,
        max_position_embeddings: usize,
        newer: Map<String, Value>,
        older: Map<String, Value>,
        texts: Vec<Text>,
    }

    #[derive(Deserialize)]
    struct Text {
        tokens: usize,
        positions: Vec<u32>,
        cos: Vec<f32>,
        sin: Vec<f32>,
        frequencies: Vec<f32>,
    }

    fn file(fields: &Value) -> ConfigFile {
        let bytes = fields.to_string().into_bytes();
        let files = ModelFiles::in_memory("m", [("config.json", Cow::Owned(bytes))]);
        ConfigFile::require(&files, "config.json", "").unwrap()
    }

    fn fields(model_type: &str, head_dim: usize, max_position_embeddings: usize) -> RopeFields {
        let usual = RopeFields::usual(head_dim, max_position_embeddings);
        match model_type {
            "gpt_neox" => RopeFields {
                theta_field: "rotary_emb_base",
                partial: Some(("rotary_pct", 0.25)),
                ..usual
            },
            "phi3" => RopeFields {
                partial: Some(("partial_rotary_factor", 1.0)),
                ..usual
            },
            _ => usual,
        }
    }

    #[test]
    fn every_kind_in_both_styles_equals_transformers() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/decoder/rope.json");
        let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let mut kinds = std::collections::BTreeSet::new();
        for case in cases {
            let fields = fields(&case.model_type, case.head_dim, case.max_position_embeddings);
            let newer = Rope::read(&file(&Value::Object(case.newer)), fields).unwrap();
            let older = Rope::read(&file(&Value::Object(case.older)), fields).unwrap();
            assert_eq!(newer, older, "{}", case.name);
            kinds.insert(case.name.split('-').next().unwrap_or_default().to_owned());
            for text in case.texts {
                let regime = newer.regime(text.tokens);
                assert!(regime == RopeRegime::Usual || !newer.is_static(), "{}", case.name);
                let what = format!("{}, {} tokens", case.name, text.tokens);
                // Powers may be rounded otherwise in the last place.
                let frequencies = newer.frequencies(regime);
                assert_eq!(frequencies.len(), text.frequencies.len(), "{what}");
                assert_eq!(newer.rotary_dim(), 2 * frequencies.len());
                for (found, expected) in frequencies.iter().zip(&text.frequencies) {
                    let ulps = found.to_bits().abs_diff(expected.to_bits());
                    assert!(ulps <= 2, "{what}: {found:e}, not {expected:e}");
                }
                let (cos, sin) = newer.tables(&text.positions, regime);
                for (found, expected) in [(cos, text.cos), (sin, text.sin)] {
                    assert_eq!(found.len(), expected.len(), "{what}");
                    for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                        let position = text.positions[i / frequencies.len()];
                        // A unit in the last place of a frequency moves the angle in proportion.
                        let angle = position as f32 * frequencies[i % frequencies.len()];
                        let tolerance = 3e-7 * angle.max(1.0) + 3e-7;
                        assert!(
                            (found - expected).abs() <= tolerance,
                            "{what}, position {position}: {found}, not {expected}"
                        );
                    }
                }
            }
        }
        assert!(KINDS.iter().all(|kind| kinds.contains(*kind)), "{kinds:?}");
    }

    #[test]
    fn damaged_fields_are_named() {
        let llama3 = json!({
            "rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        });
        let yarn = json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64});
        let longrope = json!({
            "rope_type": "longrope", "short_factor": [1, 1, 1, 1], "long_factor": [1, 2, 3, 4],
            "original_max_position_embeddings": 64,
        });
        let fine = |parameters: &Value| {
            Rope::read(
                &file(&json!({"rope_parameters": parameters})),
                RopeFields::usual(8, 128),
            )
        };
        for parameters in [&llama3, &yarn, &longrope] {
            fine(parameters).unwrap();
        }
        let absurd = [
            json!(-1),
            json!(0),
            json!(1e300),
            json!("x"),
            json!([]),
            json!({}),
        ];
        for (parameters, names) in [
            (
                &llama3,
                &[
                    "factor",
                    "low_freq_factor",
                    "high_freq_factor",
                    "original_max_position_embeddings",
                    "rope_theta",
                ][..],
            ),
            (&yarn, &["factor", "original_max_position_embeddings"][..]),
            (&longrope, &["short_factor", "long_factor"][..]),
        ] {
            for name in names {
                for value in &absurd {
                    let mut damaged = parameters.clone();
                    damaged[*name] = value.clone();
                    let message = fine(&damaged).unwrap_err().to_string();
                    let expected = format!("m/config.json: the field \"rope_parameters.{name}\" is ");
                    assert!(message.starts_with(&expected), "{message}");
                }
            }
        }
        let message = |parameters: Value| fine(&parameters).unwrap_err().to_string();
        assert!(
            message(json!({"rope_type": "magic"}))
                .contains("\"magic\" is not supported; supported are default")
        );
        assert!(message(json!({"rope_type": "linear"})).contains("rope_parameters.factor"));
        assert!(message(json!({"rope_type": "longrope"})).contains("short_factor"));
        assert!(message(json!({"rope_type": "llama3", "factor": 8})).contains("low_freq_factor"));
        assert!(message(json!({"partial_rotary_factor": 0.5})).contains("rotates whole heads"));
        assert!(message(json!("default")).contains("an object"));
        assert!(fine(&json!({})).is_ok());
    }

    #[test]
    fn rotated_shares_fit_their_heads() {
        let read = |share: f64, head_dim| {
            let fields = fields("phi3", head_dim, 64);
            Rope::read(&file(&json!({"partial_rotary_factor": share})), fields).map(|rope| rope.rotary_dim())
        };
        assert_eq!(read(0.5, 8).unwrap(), 4);
        // An odd number of components is rounded up while the head has room, as in transformers.
        assert_eq!(read(0.4, 8).unwrap(), 4);
        assert!(read(0.0, 8).is_err());
        assert!(read(1.0, 7).is_err());
    }
}
