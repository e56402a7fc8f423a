//! `--openai URL --openai-model NAME` on a command line.

use std::error::Error;

use clap::Args;
use ragtune::Generator;

/// A language model behind an OpenAI-compatible server.
#[derive(Args, Clone, Debug, Default)]
pub struct OpenAiArgs {
    /// OpenAI-compatible server whose model writes the answer, by its base URL such as http://localhost:8000/v1; question
    /// and passages are sent there
    #[arg(long, value_name = "URL", requires = "openai_model", group = "writer")]
    pub openai: Option<String>,
    /// Name under which the server has the model
    #[arg(long, value_name = "NAME", requires = "openai")]
    pub openai_model: Option<String>,
    /// Environment variable with the key for the server [default: no key]
    #[arg(long, value_name = "VAR", requires = "openai")]
    pub openai_key_env: Option<String>,
    /// Tokens that prompt and answer may have together on the server
    #[arg(long, value_name = "N", requires = "openai", default_value_t = 4096, value_parser = crate::number::at_least_one)]
    pub openai_context_tokens: usize,
}

impl OpenAiArgs {
    /// The model, where a server is named; nothing is sent yet.
    ///
    /// # Errors
    /// A base URL or key that cannot be used.
    #[cfg(feature = "openai")]
    pub fn generator(&self) -> Result<Option<Box<dyn Generator>>, Box<dyn Error>> {
        use ragtune::core::openai::{OpenAiGenerator, OpenAiOptions};

        let (Some(url), Some(model)) = (&self.openai, &self.openai_model) else {
            return Ok(None);
        };
        let mut options = OpenAiOptions::new(url).with_proxy_from_env();
        if let Some(variable) = &self.openai_key_env {
            options = options.with_key_from_env(variable)?;
        }
        let generator = OpenAiGenerator::new(options, model)?.with_context_tokens(self.openai_context_tokens);
        Ok(Some(Box::new(generator)))
    }

    /// Says that the example was built without it.
    ///
    /// # Errors
    /// Where a server is named.
    #[cfg(not(feature = "openai"))]
    pub fn generator(&self) -> Result<Option<Box<dyn Generator>>, Box<dyn Error>> {
        match &self.openai {
            Some(_) => {
                Err("--openai needs the feature `openai`: run the example with --features openai".into())
            }
            None => Ok(None),
        }
    }
}
