//! Every kind of fault, how bad it is, and what helps.

use std::fmt;

use serde::Serialize;

/// How bad a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// The result will likely be worse, or its measure wrong.
    Warning,
    /// Something is learned or measured that is not meant.
    Error,
}

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Fault {
    /// A sequence of which no token is trained.
    EmptyMask,
    /// A conversation of which every token is trained, the question too.
    FullMask,
    /// An answer whose end is not trained.
    UntrainedStop,
    /// The padding token is the stop token, and it is never trained: a mask of padding has hidden it.
    PadIsStop,
    /// Padding at the end of a sequence that is trained.
    TrainedPadding,
    /// An answer that was cut off at the limit of length.
    TruncatedAnswer,
    /// An answer that the chat template does not close.
    OpenTurn,
    /// Two start tokens one behind the other.
    DoubledStart,
    /// No start token where the tokenizer puts one.
    MissingStart,
    /// A token that the embedding has no row for.
    TokenOutsideEmbedding,
    /// An embedding that is much larger than the tokenizer.
    ForeignEmbedding,
    /// Many tokens that the tokenizer does not know.
    UnknownTokens,
    /// A stop token that the model has no row for, or the tokenizer no token.
    StopOutsideVocabulary,
    /// A sequence that is longer than the model reads.
    LongerThanContext,
    /// Markers of the chat template that are no tokens of the tokenizer.
    ForeignTemplate,
    /// A chat template that does not write what somebody says.
    TemplateDropsText,
    /// A file with weights of more layers than its configuration says.
    UnusedLayers,
    /// A set without examples.
    NoExamples,
    /// An example without a text or a label.
    EmptyField,
    /// A text with replacement characters, which was read in a wrong encoding.
    DamagedText,
    /// An example that occurs twice in the training set.
    Duplicate,
    /// Equal inputs with different outputs.
    Conflict,
    /// An example that is in two of the sets.
    Leakage,
    /// No validation set.
    EvaluationMissing,
    /// A validation or test set of which no measure is sure.
    EvaluationTooSmall,
    /// An answer that does not stand where it is said to in its context.
    AnswerNotInContext,
    /// An answer that no window of its context shows as a whole.
    AnswerInNoWindow,
    /// A preferred answer that is the same as the rejected one.
    EqualPreference,
    /// A text that is to be found and not to be found.
    PositiveAmongNegatives,
    /// A judgement outside of 0 to 1.
    JudgementOutOfRange,
    /// A tag that continues an entity which has not begun.
    BrokenTag,
    /// A tag that is of no entity, among tags that are.
    OddTag,
    /// Only one label in the training set.
    OneLabel,
    /// A label that is far rarer than another.
    ImbalancedLabels,
    /// A label that the model has to predict and never sees.
    LabelUnseenInTraining,
    /// A label that is never validated.
    LabelUnseenInValidation,
    /// A label that the head has no output for.
    LabelOutsideHead,
    /// A learning rate at which every method fails.
    AbsurdLearningRate,
    /// A learning rate above what the method bears.
    LearningRateTooHigh,
    /// A learning rate at which the method learns nothing.
    LearningRateTooLow,
    /// A step that takes more examples than there are.
    BatchLargerThanData,
    /// A run that ends before its warm-up.
    WarmupLongerThanRun,
    /// A run that ends before its first evaluation.
    EvaluationNeverRuns,
    /// The best weights are to be kept, and nothing says which these are.
    SelectionWithoutEvaluation,
    /// Batches of one example for a loss that takes its negatives from the batch.
    NoNegatives,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 45] = [
        Self::EmptyMask,
        Self::FullMask,
        Self::UntrainedStop,
        Self::PadIsStop,
        Self::TrainedPadding,
        Self::TruncatedAnswer,
        Self::OpenTurn,
        Self::DoubledStart,
        Self::MissingStart,
        Self::TokenOutsideEmbedding,
        Self::ForeignEmbedding,
        Self::UnknownTokens,
        Self::StopOutsideVocabulary,
        Self::LongerThanContext,
        Self::ForeignTemplate,
        Self::TemplateDropsText,
        Self::UnusedLayers,
        Self::NoExamples,
        Self::EmptyField,
        Self::DamagedText,
        Self::Duplicate,
        Self::Conflict,
        Self::Leakage,
        Self::EvaluationMissing,
        Self::EvaluationTooSmall,
        Self::AnswerNotInContext,
        Self::AnswerInNoWindow,
        Self::EqualPreference,
        Self::PositiveAmongNegatives,
        Self::JudgementOutOfRange,
        Self::BrokenTag,
        Self::OddTag,
        Self::OneLabel,
        Self::ImbalancedLabels,
        Self::LabelUnseenInTraining,
        Self::LabelUnseenInValidation,
        Self::LabelOutsideHead,
        Self::AbsurdLearningRate,
        Self::LearningRateTooHigh,
        Self::LearningRateTooLow,
        Self::BatchLargerThanData,
        Self::WarmupLongerThanRun,
        Self::EvaluationNeverRuns,
        Self::SelectionWithoutEvaluation,
        Self::NoNegatives,
    ];

    /// How bad it is, what is found, and what helps.
    const fn entry(self) -> (Severity, &'static str, &'static str) {
        use Severity::{Error, Note, Warning};
        match self {
            Self::EmptyMask => (
                Error,
                "no token is trained",
                "check that the conversation ends with the assistant, and that the answer is not cut off; leave such examples out",
            ),
            Self::FullMask => (
                Error,
                "every token is trained, the question too",
                "encode with `ChatEncoder`, which trains what the assistant says; for plain text say `Learns::Everything`",
            ),
            Self::UntrainedStop => (
                Error,
                "the end of the answer is not trained, so the model will not learn to stop",
                "put the stop token behind the answer and train it, as `ChatEncoder` does; or name the token that ends answers here",
            ),
            Self::PadIsStop => (
                Error,
                "padding and stop token are the same, and it is trained nowhere",
                "mask padding by its position, not by its id; nothing is padded here, so encode anew from the records",
            ),
            Self::TrainedPadding => (
                Error,
                "padding behind the text is trained",
                "remove the padding: sequences are packed, never padded",
            ),
            Self::TruncatedAnswer => (
                Warning,
                "the answer is cut off at the limit of length",
                "raise the limit of tokens, shorten the prompt, or choose `Overflow::Drop`",
            ),
            Self::OpenTurn => (
                Warning,
                "the chat template does not close an answer within the conversation",
                "train on the last answer only, or take a template that closes every turn",
            ),
            Self::DoubledStart => (
                Error,
                "there are two start tokens one behind the other",
                "the template writes the start token already: encode its text without special tokens",
            ),
            Self::MissingStart => (
                Warning,
                "there is no start token, which the tokenizer puts before every text",
                "encode with special tokens, or take the template that belongs to the model",
            ),
            Self::TokenOutsideEmbedding => (
                Error,
                "the tokenizer has tokens that the embedding has no row for",
                "take the tokenizer of the model's own folder, or enlarge the embedding",
            ),
            Self::ForeignEmbedding => (
                Warning,
                "the embedding has many more rows than the tokenizer has tokens",
                "check that tokenizer and weights are of the same model",
            ),
            Self::UnknownTokens => (
                Warning,
                "many tokens are unknown to the tokenizer",
                "take a model whose tokenizer knows the language and characters of the texts, or normalise the texts",
            ),
            Self::StopOutsideVocabulary => (
                Error,
                "the token that ends answers is beyond the vocabulary, so that it can be neither learned nor generated",
                "correct `eos_token_id` in config.json and generation_config.json to the tokenizer's end token",
            ),
            Self::LongerThanContext => (
                Error,
                "longer than the model reads",
                "set the limit of tokens to the model's context, and choose what happens to longer examples",
            ),
            Self::ForeignTemplate => (
                Warning,
                "markers of the chat template are no tokens of this tokenizer, as if it were another model's",
                "take the template of the model's own folder; only if the markers are meant, add them to tokenizer and embedding",
            ),
            Self::TemplateDropsText => (
                Error,
                "the chat template leaves out what somebody says, so that answers are learned without their question",
                "take the template of the model's own folder; it has to write the content of every message",
            ),
            Self::UnusedLayers => (
                Warning,
                "the checkpoint has layers that its configuration leaves out, so that another model is tuned than was saved",
                "correct the number of layers in config.json; if the model is meant to be shorter, save it so first",
            ),
            Self::NoExamples => (
                Error,
                "there are no examples",
                "check the file, and what cleaning and limits of length left over",
            ),
            Self::EmptyField => (
                Error,
                "a text or label is missing",
                "fill it in, or remove such examples by cleaning",
            ),
            Self::DamagedText => (
                Warning,
                "the text has replacement characters: it was read in a wrong encoding",
                "convert the source to UTF-8 from the encoding that it really has",
            ),
            Self::Duplicate => (
                Warning,
                "the example occurs before",
                "remove duplicates by cleaning; what is meant to count more can be given a weight",
            ),
            Self::Conflict => (
                Warning,
                "the same input has another output elsewhere",
                "decide for one of them, or remove both by cleaning",
            ),
            Self::Leakage => (
                Error,
                "the example is in another set too, so that scores are too good",
                "remove duplicates before splitting, and split by document where texts share one",
            ),
            Self::EvaluationMissing => (
                Warning,
                "there is no validation set, so that overfitting is not seen",
                "split some examples off the training set",
            ),
            Self::EvaluationTooSmall => (
                Warning,
                "the set is too small to tell models apart",
                "use more examples, or measure over several folds",
            ),
            Self::AnswerNotInContext => (
                Error,
                "the answer does not stand where it is said to in the context",
                "count its start in the unit of the format, or search the answer in the context",
            ),
            Self::AnswerInNoWindow => (
                Warning,
                "the answer is longer than what neighbouring windows share, and no window shows it as a whole",
                "raise the overlap or the tokens of a window above the longest answer, or shorten such answers",
            ),
            Self::EqualPreference => (
                Error,
                "the preferred answer is the rejected one",
                "remove such examples: they have nothing to learn",
            ),
            Self::PositiveAmongNegatives => (
                Error,
                "a text is to be found and not to be found",
                "remove it from the negatives",
            ),
            Self::JudgementOutOfRange => (
                Error,
                "a judgement is not from 0 to 1",
                "scale judgements to 0 for not at all and 1 for fully",
            ),
            Self::BrokenTag => (
                Warning,
                "a tag continues an entity that has not begun",
                "begin every entity with B-, or convert from the scheme that the file is written in",
            ),
            Self::OddTag => (
                Warning,
                "a tag is of no entity, although the others are: it is never found as one and its words are lost",
                "write it as B-KIND or I-KIND, or O where nothing is meant",
            ),
            Self::OneLabel => (
                Error,
                "all examples have the same label",
                "check the column of the labels; there is nothing to learn from one",
            ),
            Self::ImbalancedLabels => (
                Warning,
                "some labels are far rarer than others",
                "use class weights, collect more of the rare, and look at the macro F1 instead of the accuracy",
            ),
            Self::LabelUnseenInTraining => (
                Error,
                "a label has no example in the training set, so that it is never predicted",
                "add examples, correct its spelling, or leave the label out; split with strata",
            ),
            Self::LabelUnseenInValidation => (
                Note,
                "a label has no example in the validation set",
                "split with strata, or use a larger part for validation",
            ),
            Self::LabelOutsideHead => (
                Error,
                "the head has no output for the label",
                "make the head from the labels of the training set, or correct the label",
            ),
            Self::AbsurdLearningRate => (
                Error,
                "the learning rate is no rate that anything is learned with",
                "leave it out for the method's own, or choose one from its range",
            ),
            Self::LearningRateTooHigh => (
                Warning,
                "the learning rate is above what the method bears",
                "lower it into the range, or leave it out for the method's own",
            ),
            Self::LearningRateTooLow => (
                Warning,
                "the learning rate is so low that the method hardly learns",
                "raise it into the range, or leave it out for the method's own",
            ),
            Self::BatchLargerThanData => (
                Warning,
                "one step takes more examples than there are",
                "make batch or accumulation smaller",
            ),
            Self::WarmupLongerThanRun => (
                Error,
                "the run ends before the learning rate has risen",
                "shorten the warm-up, commonly to 3 to 10 % of the steps, or train longer",
            ),
            Self::EvaluationNeverRuns => (
                Warning,
                "the run ends before its first evaluation",
                "evaluate more often",
            ),
            Self::SelectionWithoutEvaluation => (
                Warning,
                "the best weights are to be kept, or the run stopped early, and there is no validation set to tell",
                "give a validation set, or keep the last weights",
            ),
            Self::NoNegatives => (
                Error,
                "the loss takes its negatives from the batch, and a batch is one example",
                "use batches of many examples; accumulation does not add negatives",
            ),
        }
    }

    /// How bad it is.
    pub const fn severity(self) -> Severity {
        self.entry().0
    }

    /// What is found, in a few words.
    pub const fn title(self) -> &'static str {
        self.entry().1
    }

    /// What helps.
    pub const fn remedy(self) -> &'static str {
        self.entry().2
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_listed_once_and_has_a_remedy() {
        let names: std::collections::BTreeSet<_> = Fault::ALL
            .iter()
            .map(|fault| serde_json::to_string(fault).expect("a name"))
            .collect();
        assert_eq!(names.len(), Fault::ALL.len());
        assert!(
            Fault::ALL
                .iter()
                .all(|f| f.title().len() > 5 && f.remedy().len() > 15)
        );
        assert!(
            Fault::ALL.windows(2).all(|pair| pair[0] < pair[1]),
            "in the order of the enum"
        );
    }
}
