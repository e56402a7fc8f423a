//! The names of what is measured, and what each says.

/// The names of measures, of a question and of a set.
pub mod name {
    /// Whether the answer equals a right one (SQuAD 2.0); an abstention is right where there is no answer.
    pub const EXACT_MATCH: &str = "exact_match";
    /// Words in common with the best right answer (SQuAD 2.0); an abstention is right where there is no answer.
    pub const F1: &str = "f1";
    /// [`F1`] over the answerable questions.
    pub const F1_ANSWERABLE: &str = "f1_answerable";
    /// [`F1`] over the answerable questions that were answered.
    pub const F1_ANSWERED: &str = "f1_answered";
    /// F1 of the longest common subsequence of words with the best right answer.
    pub const ROUGE_L: &str = "rouge_l";
    /// BLEU of all answers together, 0 to 100; of one question, that of its answer with the orders that it has.
    pub const BLEU: &str = "bleu";
    /// Cosine of the answer and the nearest right answer.
    pub const SIMILARITY: &str = "similarity";
    /// Share of citations that are from right documents.
    pub const CITATION_PRECISION: &str = "citation_precision";
    /// Share of right documents that are cited.
    pub const CITATION_RECALL: &str = "citation_recall";
    /// Share of citations that were true to the stored text.
    pub const CITATION_VALID: &str = "citation_valid";
    /// Share of a sentence's content words that its cited texts have, over the sentences.
    pub const SUPPORT_LEXICAL: &str = "support_lexical";
    /// Cosine of a sentence and its nearest cited sentence, counted from unrelated texts, over the sentences.
    pub const SUPPORT_ENCODER: &str = "support_encoder";
    /// Share of sentences that their cited texts carry, by either evidence.
    pub const SUPPORTED: &str = "supported";
    /// How far the judge found sentences carried by their cited texts.
    pub const SUPPORT_JUDGED: &str = "support_judged";
    /// Share of questions that were answered.
    pub const COVERAGE: &str = "coverage";
    /// Share of answerable questions that were answered.
    pub const ANSWERED_ANSWERABLE: &str = "answered_answerable";
    /// Share of unanswerable questions on which the system abstained.
    pub const ABSTAINED_UNANSWERABLE: &str = "abstained_unanswerable";
    /// Share of questions on which the system broke.
    pub const FAILED: &str = "failed";
    /// Mean risk over all coverages that were reached.
    pub const AURC: &str = "aurc";
    /// How often an answerable question has more confidence than an unanswerable one.
    pub const AUROC_ANSWERABLE: &str = "auroc_answerable";
    /// How often a right answer has more confidence than a wrong one.
    pub const AUROC_RIGHT: &str = "auroc_right";
    /// Half of the answers took less time.
    pub const LATENCY_P50: &str = "latency_p50_ms";
    /// 95 of 100 answers took less time.
    pub const LATENCY_P95: &str = "latency_p95_ms";
    /// Tokens that language models read for a question.
    pub const PROMPT_TOKENS: &str = "prompt_tokens";
    /// Tokens that language models wrote for a question.
    pub const COMPLETION_TOKENS: &str = "completion_tokens";
    /// Calls of models for a question.
    pub const MODEL_CALLS: &str = "model_calls";
}

/// What a measure says, for people.
pub(super) fn about(measure: &str) -> &'static str {
    match measure {
        name::EXACT_MATCH => "answers that equal a right one",
        name::F1 => "words in common with a right answer; abstaining counts where there is none",
        name::F1_ANSWERABLE => "the same over answerable questions",
        name::F1_ANSWERED => "the same over answerable questions that were answered",
        name::ROUGE_L => "longest common subsequence with a right answer, F1",
        name::BLEU => "n-grams in common with right answers, whole set, 0 to 100",
        name::SIMILARITY => "cosine to the nearest right answer",
        name::CITATION_PRECISION => "citations that are from right documents",
        name::CITATION_RECALL => "right documents that are cited",
        name::CITATION_VALID => "citations that were true to the stored text",
        name::SUPPORT_LEXICAL => "words of a sentence that its cited texts have",
        name::SUPPORT_ENCODER => "nearness of a sentence to its cited texts",
        name::SUPPORTED => "sentences that their cited texts carry",
        name::SUPPORT_JUDGED => "sentences that the judge found carried",
        name::COVERAGE => "questions that were answered",
        name::ANSWERED_ANSWERABLE => "answerable questions that were answered",
        name::ABSTAINED_UNANSWERABLE => "unanswerable questions with an abstention",
        name::FAILED => "questions on which the system broke",
        name::AURC => "mean risk over all coverages, less is better",
        name::AUROC_ANSWERABLE => "confidence tells answerable from unanswerable",
        name::AUROC_RIGHT => "confidence tells right from wrong answers",
        name::LATENCY_P50 => "median time from question to answer",
        name::LATENCY_P95 => "95 of 100 answers took less",
        name::PROMPT_TOKENS => "tokens read for a question",
        name::COMPLETION_TOKENS => "tokens written for a question",
        name::MODEL_CALLS => "calls of models for a question",
        other if other.starts_with("recall@") => "right documents among the first",
        other if other.starts_with("mrr") => "reciprocal rank of the first right document",
        other if other.starts_with("ndcg") => "right documents, the higher the better ranked",
        _ => "",
    }
}
