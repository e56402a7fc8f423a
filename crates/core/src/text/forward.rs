//! The traits through `Box`, `Arc` and `&`.

use std::sync::Arc;

use super::{
    Embedder, Embeddings, GenerateOptions, Generation, Generator, Prompt, Reranker, Role, TokenCount,
    TokenStream,
};
use crate::error::Result;

/// Implements a trait for `Box<T>`, `Arc<T>` and `&T` by calling through.
///
/// Also used by the other crates of the workspace, for their own traits.
#[macro_export]
#[doc(hidden)]
macro_rules! forward_trait {
    ($trait:ident { $(fn $method:ident(&self $(, $arg:ident: $type:ty)*) $(-> $output:ty)?;)+ }) => {
        $crate::forward_trait!(@impl $trait, Box<T>, { $(fn $method(&self $(, $arg: $type)*) $(-> $output)?;)+ });
        $crate::forward_trait!(@impl $trait, Arc<T>, { $(fn $method(&self $(, $arg: $type)*) $(-> $output)?;)+ });
        $crate::forward_trait!(@impl $trait, &T, { $(fn $method(&self $(, $arg: $type)*) $(-> $output)?;)+ });
    };
    (@impl $trait:ident, $pointer:ty, { $(fn $method:ident(&self $(, $arg:ident: $type:ty)*) $(-> $output:ty)?;)+ }) => {
        impl<T: $trait + ?Sized> $trait for $pointer {
            $(fn $method(&self $(, $arg: $type)*) $(-> $output)? {
                (**self).$method($($arg),*)
            })+
        }
    };
}

forward_trait!(Embedder {
    fn id(&self) -> &str;
    fn dim(&self) -> usize;
    fn max_tokens(&self) -> usize;
    fn embed(&self, texts: &[&str], role: Role) -> Result<Embeddings>;
    fn count_tokens(&self, text: &str) -> TokenCount;
});

forward_trait!(Reranker {
    fn score(&self, query: &str, passages: &[&str]) -> Result<Vec<f32>>;
});

forward_trait!(Generator {
    fn id(&self) -> &str;
    fn context_tokens(&self) -> usize;
    fn count(&self, prompt: &Prompt) -> Result<TokenCount>;
    fn stream(&self, prompt: Prompt, options: GenerateOptions) -> Result<TokenStream>;
    fn generate(&self, prompt: Prompt, options: GenerateOptions) -> Result<Generation>;
    fn generate_batch(&self, prompts: Vec<Prompt>, options: GenerateOptions) -> Result<Vec<Generation>>;
});
