//! What all models with a head are made of: tokenizer, transformer, and the way of texts through both.
//!
//! Letters: `t` tokens of a batch, `h` hidden width, `i` input width, `o` output width.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use super::super::batch::{Batching, in_pool};
use super::super::config_file::ConfigFile;
use super::super::decoder::{DECODER_FAMILIES, DecoderConfig, DecoderModel};
use super::super::encoder::{EncoderConfig, EncoderModel, Family, linear};
use super::super::layered::{Layered, Tokens};
use super::super::sentence::{max_length, transformer_files};
use super::super::tokenizer::{Encoded, TextTokenizer};
use super::new_head::{new_linear, new_projection};
use crate::adapters::{AdapterBase, AdapterStack, Module, ModuleShapes};
use crate::error::{Error, Result};
use crate::generation::Random;
use crate::nn::{Context, Linear, Segments};
use crate::weights::{LoadReport, Loader, ModelFiles};

/// The deviation of new weights where `config.json` names none, as in transformers.
const INITIALIZER_RANGE: f64 = 0.02;

/// Tokenizer and transformer of a model with a head.
#[derive(Clone, Debug)]
pub(super) struct Body<T = Arc<EncoderModel>> {
    /// The files of the whole model.
    pub(super) files: ModelFiles,
    /// The files of the transformer, which may stand in a folder of its own.
    pub(super) transformer: ModelFiles,
    pub(super) tokenizer: Arc<TextTokenizer>,
    pub(super) encoder: T,
    pub(super) model_type: String,
    /// What stands in front of the bare model's names in files, where its slots do not have it.
    pub(super) prefix: &'static str,
    /// The token that fills batches in Python, where a head depends on it and it is known.
    pub(super) padding: Option<u32>,
    pub(super) max_length: usize,
    /// Tokens of the longest text that the model can read.
    positions: usize,
    pub(super) report: LoadReport,
    /// The modules of transformer and head.
    pub(super) shapes: Arc<ModuleShapes>,
    batching: Batching,
}

/// The layers behind a transformer.
pub(super) trait Head {
    /// The modules that adapters can change, in the order of the data flow.
    fn modules<'a>(&'a self, into: &mut Vec<Module<'a>>);

    /// The slot of a module that stands under the prefix of the bare model.
    fn in_model(&self) -> Option<&str> {
        None
    }

    /// Whether the encoder is written as a bare model, the head beside it.
    fn is_apart(&self) -> bool {
        false
    }
}

/// Takes a head out of a checkpoint, or makes a new one.
pub(super) struct HeadLoader<'a, 'b> {
    pub(super) config: &'a EncoderConfig,
    pub(super) family: Family,
    whole: &'a Loader<'b>,
    bare: Loader<'b>,
    initializer_range: f64,
}

impl HeadLoader<'_, '_> {
    pub(super) fn device(&self) -> &Device {
        self.whole.device()
    }

    /// A layer of the file, under the prefix of the bare model or not.
    pub(super) fn linear(&self, slot: &str, in_model: bool, (i, o): (usize, usize)) -> Result<Linear> {
        linear(if in_model { &self.bare } else { self.whole }, slot, i, o)
    }

    /// Whether the file has a layer.
    pub(super) fn contains(&self, slot: &str, in_model: bool) -> bool {
        let loader = if in_model { &self.bare } else { self.whole };
        loader.contains(&format!("{slot}.weight"))
    }

    /// A layer that nobody trained yet.
    pub(super) fn new_linear(&self, slot: &str, dims: (usize, usize), random: &mut Random) -> Result<Linear> {
        new_linear(slot, dims, self.initializer_range, random, self.device())
    }
}

/// Takes the head of a decoder out of a checkpoint, or makes a new one.
pub(super) struct DecoderHeadLoader<'a, 'b> {
    config: &'a DecoderConfig,
    loader: &'a Loader<'b>,
    initializer_range: f64,
}

impl DecoderHeadLoader<'_, '_> {
    /// A layer of the file, without a bias, of so many rows.
    pub(super) fn projection(&self, slot: &str, o: usize) -> Result<Linear> {
        DecoderModel::head(self.config, self.loader, slot, o)
    }

    /// Such a layer that nobody trained yet.
    pub(super) fn new_projection(&self, slot: &str, o: usize, random: &mut Random) -> Result<Linear> {
        let dims = (self.config.hidden_size, o);
        new_projection(slot, dims, self.initializer_range, random, self.loader.device())
    }
}

/// Whether a folder's transformer is a decoder.
pub(super) fn is_decoder(files: &ModelFiles) -> Result<bool> {
    let file = Body::config_file(files)?;
    let model_type = file.text("model_type")?;
    Ok(model_type.is_some_and(|name| DECODER_FAMILIES.contains(&name)))
}

impl Body {
    /// The fields of the transformer's `config.json`.
    pub(super) fn config_file(files: &ModelFiles) -> Result<ConfigFile> {
        let remedy = "it says what model the weights are of; download it with the weights";
        ConfigFile::require(&transformer_files(files)?, "config.json", remedy)
    }

    /// Loads tokenizer and encoder, and the head that `build` takes or makes.
    pub(super) fn load<H: Head>(
        files: &ModelFiles,
        device: &Device,
        build: impl FnOnce(&HeadLoader<'_, '_>) -> Result<(H, LoadReport)>,
    ) -> Result<(Self, H)> {
        let transformer = transformer_files(files)?;
        let (family, config) = EncoderModel::family(&transformer)?;
        let initializer_range = Self::config_file(files)?.number("initializer_range", 0.0..=1.0)?;
        let mut tokenizer = TextTokenizer::load(&transformer)?;
        let (max_length, do_lower_case) = max_length(&transformer, &tokenizer, &config)?;
        if do_lower_case {
            tokenizer = tokenizer.lower_cased()?;
        }
        let ((encoder, (head, beside)), mut report) = transformer.checkpoint()?.load(device, |loader| {
            let encoder = EncoderModel::load(&config, loader)?;
            let parts = HeadLoader {
                config: &config,
                family,
                whole: loader,
                bare: EncoderModel::loader(loader),
                initializer_range: initializer_range.unwrap_or(INITIALIZER_RANGE),
            };
            Ok((encoder, build(&parts)?))
        })?;
        // Behind the loading, which checks that the table has the rows that config.json says.
        tokenizer.check_ids("embeddings.word_embeddings", config.vocab_size)?;
        report.absorb(beside, "");
        let mut modules = encoder.modules();
        let inside =
            |slot: &str| encoder.module_shapes().get(slot).is_some() || head.in_model() == Some(slot);
        head.modules(&mut modules);
        let positions = config.max_tokens();
        let shapes = ModuleShapes::new(&modules, |_| false, None).with_sublayers(encoder.sublayers());
        let shapes = Arc::new(match head.is_apart() {
            false => shapes.with_prefix(family.prefix, inside),
            true => shapes.with_optional_prefix(family.prefix, inside),
        });
        let body = Self {
            files: files.without_weights(),
            transformer: transformer.without_weights(),
            tokenizer: Arc::new(tokenizer),
            encoder: Arc::new(encoder.under(&shapes)),
            model_type: config.model_type,
            prefix: family.prefix,
            padding: None,
            positions,
            max_length,
            report,
            shapes,
            batching: Batching::on(device),
        };
        Ok((body, head))
    }
}

impl Body<Arc<DecoderModel>> {
    /// Loads tokenizer and decoder, and the head that `build` takes or makes. `padding` says which token fills batches in
    /// Python, and so is no part of a text at its end.
    pub(super) fn load_decoder<H: Head>(
        files: &ModelFiles,
        device: &Device,
        padding: fn(&ModelFiles, &TextTokenizer, &DecoderConfig) -> Result<Option<u32>>,
        build: impl FnOnce(&DecoderHeadLoader<'_, '_>) -> Result<H>,
    ) -> Result<(Self, H)> {
        let transformer = transformer_files(files)?;
        let config = DecoderModel::config(&transformer)?;
        let initializer_range = Body::config_file(files)?.number("initializer_range", 0.0..=1.0)?;
        let tokenizer = TextTokenizer::load(&transformer)?;
        let padding = padding(files, &tokenizer, &config)?;
        let tokenizer = tokenizer.without_trailing(padding);
        let ((decoder, head), report) = transformer.checkpoint()?.load(device, |loader| {
            let parts = DecoderHeadLoader {
                config: &config,
                loader,
                initializer_range: initializer_range.unwrap_or(INITIALIZER_RANGE),
            };
            Ok((DecoderModel::load(&config, loader)?, build(&parts)?))
        })?;
        // Behind the loading, which checks that the table has the rows that config.json says.
        tokenizer.check_ids(config.names.embed_tokens, config.vocab_size)?;
        let mut modules = decoder.modules();
        let inside = decoder.module_shapes();
        head.modules(&mut modules);
        // The head's weight is stored as it is in every family.
        let transposed = |slot: &str| inside.get(slot).is_some_and(|shape| shape.transposed);
        let shapes = ModuleShapes::new(&modules, transposed, None).with_sublayers(decoder.sublayers());
        let shapes = Arc::new(shapes);
        let positions = config.max_position_embeddings;
        let body = Self {
            files: files.without_weights(),
            transformer: transformer.without_weights(),
            max_length: tokenizer.model_max_length().unwrap_or(usize::MAX).min(positions),
            tokenizer: Arc::new(tokenizer),
            encoder: Arc::new(decoder.under(&shapes)),
            model_type: config.model_type,
            prefix: "",
            padding,
            positions,
            report,
            shapes,
            batching: Batching::on(device),
        };
        Ok((body, head))
    }
}

impl<T> Body<T> {
    /// The same with its transformer as something else that is one.
    pub(super) fn map<U>(self, map: impl FnOnce(T) -> U) -> Body<U> {
        Body {
            files: self.files,
            transformer: self.transformer,
            tokenizer: self.tokenizer,
            encoder: map(self.encoder),
            model_type: self.model_type,
            prefix: self.prefix,
            padding: self.padding,
            max_length: self.max_length,
            positions: self.positions,
            report: self.report,
            shapes: self.shapes,
            batching: self.batching,
        }
    }
}

impl<T: Layered> Body<T> {
    /// Sets the tokens after which texts are cut.
    pub(super) fn set_max_length(&mut self, max_length: usize) -> Result<()> {
        let (special, most) = (self.tokenizer.special_tokens(true), self.positions);
        if max_length > most || max_length <= special {
            return Err(Error::InvalidArgument {
                argument: "max_seq_length",
                reason: format!(
                    "{max_length} is not more than the {special} special tokens of a pair and at most the {most} \
                     positions of the model"
                ),
            });
        }
        self.max_length = max_length;
        Ok(())
    }

    /// All modules, those of the transformer first.
    pub(super) fn modules<'a>(&'a self, head: &'a impl Head) -> Vec<Module<'a>> {
        let mut modules = self.encoder.modules();
        head.modules(&mut modules);
        modules
    }

    /// Computes texts in batches, and gives what `compute` makes of their hidden states `[t, h]`, one thing for each
    /// text, in the order of the texts.
    pub(super) fn run<R: Send>(
        &self,
        texts: &[Encoded],
        adapters: &AdapterStack,
        compute: impl Fn(Tensor<2>, &Context) -> Result<Vec<R>> + Sync,
    ) -> Result<Vec<R>> {
        let lengths: Vec<usize> = texts.iter().map(|text| text.ids.len()).collect();
        if let Some(text) = lengths.iter().position(|length| *length == 0) {
            return Err(Error::InvalidArgument {
                argument: "texts",
                reason: format!("text {text} has no token, and this tokenizer puts none around it"),
            });
        }
        let batch = |members: &[usize]| {
            let texts = || members.iter().map(|&i| &texts[i]);
            let segments = Segments::from_lengths(texts().map(|text| text.ids.len()));
            let context = Context::new(segments).with_adapters(vec![adapters.clone(); members.len()]);
            let tokens = Tokens {
                ids: texts().flat_map(|text| &text.ids).copied().collect(),
                type_ids: texts().flat_map(|text| &text.type_ids).copied().collect(),
            };
            compute(self.encoder.hidden(&tokens, &context)?, &context)
        };
        let batches = in_pool(|| self.batching.run(&lengths, batch))?;
        let mut numbered: Vec<(usize, R)> = batches
            .into_iter()
            .flat_map(|(members, found)| members.into_iter().zip(found))
            .collect();
        numbered.sort_unstable_by_key(|(i, _)| *i);
        Ok(numbered.into_iter().map(|(_, found)| found).collect())
    }
}
