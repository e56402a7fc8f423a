//! The retriever that fits the question.

use std::sync::Arc;

use ragtune_core::text::{Embedder, Embeddings, Query, Role, ScoredChunk, Span};

use super::direction::cosine;
use super::lists::{self, check_threshold};
use crate::error::{Error, Result};
use crate::fusion::Fusion;
use crate::retriever::Retriever;

/// A retriever with a name, and texts that say what it is for.
#[derive(Clone)]
pub struct Route {
    name: String,
    descriptions: Vec<String>,
    retriever: Arc<dyn Retriever>,
}

impl Route {
    /// A route with a sentence about what it answers.
    pub fn new(
        name: impl Into<String>,
        description: impl Into<String>,
        retriever: impl Retriever + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            descriptions: vec![description.into()],
            retriever: Arc::new(retriever),
        }
    }

    /// One more text that stands for the route, such as a question that it answers; the likest counts.
    pub fn with_example(mut self, example: impl Into<String>) -> Self {
        self.descriptions.push(example.into());
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Names the routes for a question.
type Rule = Arc<dyn Fn(&Query) -> Vec<String> + Send + Sync>;

/// How routes are chosen.
#[derive(Clone)]
enum Choice {
    Rule(Rule),
    /// The routes whose texts are nearest to the question.
    Similarity {
        embedder: Arc<dyn Embedder>,
        /// For each route the vectors of its texts.
        texts: Vec<Embeddings>,
        routes: usize,
    },
}

/// Asks the retriever that fits the question, chosen by a rule or by likeness to the descriptions of the routes.
///
/// The hits of a single route come as they are. Those of several are fused by reciprocal ranks, since scores of different
/// retrievers are not comparable. The choice looks at the question alone, so it tells nothing about documents. Routes
/// over different documents need different ids ([`NamespaceRetriever`](super::NamespaceRetriever)).
///
/// ```
/// use ragtune_core::testing::HashingEmbedder;
/// use ragtune_core::text::{Document, Query};
/// use ragtune_retrieve::{KnowledgeBase, Retriever, Route, RouterRetriever};
///
/// let base = |id: &str, text: &str| -> ragtune_retrieve::Result<KnowledgeBase> {
///     let kb = KnowledgeBase::in_memory()?.with_embedder(HashingEmbedder::new(256))?;
///     kb.add([Document::new(id, text)])?;
///     Ok(kb)
/// };
/// let routes = [
///     Route::new("leave", "Holidays, leave and sickness", base("leave.md", "There are 30 days of leave.")?),
///     Route::new("code", "Source code and releases", base("code.md", "A release is tagged.")?),
/// ];
/// let router = RouterRetriever::by_similarity(routes.clone(), HashingEmbedder::new(256))?;
/// assert_eq!(router.retrieve(&"How many days of leave are there?".into())?[0].chunk.document_id, "leave.md");
///
/// let router = RouterRetriever::by_rule(routes, |query: &Query| {
///     vec![if query.text.contains("release") { "code" } else { "leave" }.to_owned()]
/// });
/// assert_eq!(router.retrieve(&"What is a release?".into())?[0].chunk.document_id, "code.md");
/// # Ok::<(), ragtune_retrieve::Error>(())
/// ```
#[derive(Clone)]
pub struct RouterRetriever {
    routes: Vec<Route>,
    choice: Choice,
}

impl RouterRetriever {
    /// Hits taken from each route where several are asked; never fewer than a query's `top_k`.
    const CANDIDATES: usize = 100;

    /// Chooses by a rule, which names one or several routes; where it names none, nothing is found.
    pub fn by_rule(
        routes: impl IntoIterator<Item = Route>,
        rule: impl Fn(&Query) -> Vec<String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            routes: routes.into_iter().collect(),
            choice: Choice::Rule(Arc::new(rule)),
        }
    }

    /// Chooses the route with a text that is nearest to the question, by cosine; of equally near ones the first.
    ///
    /// # Errors
    /// `InvalidArgument` without routes, and whatever the embedder raises.
    pub fn by_similarity(
        routes: impl IntoIterator<Item = Route>,
        embedder: impl Embedder + 'static,
    ) -> Result<Self> {
        let routes: Vec<Route> = routes.into_iter().collect();
        if routes.is_empty() {
            return Err(Error::Core(ragtune_core::Error::InvalidArgument {
                argument: "routes",
                reason: "there are none to choose from".to_owned(),
            }));
        }
        let mut texts = Vec::with_capacity(routes.len());
        for route in &routes {
            let descriptions: Vec<&str> = route.descriptions.iter().map(String::as_str).collect();
            let vectors = embedder.embed(&descriptions, Role::Document)?;
            vectors.check(embedder.dim(), descriptions.len())?;
            texts.push(vectors);
        }
        Ok(Self {
            routes,
            choice: Choice::Similarity {
                embedder: Arc::new(embedder),
                texts,
                routes: 1,
            },
        })
    }

    /// Asks so many of the nearest routes instead of one; a rule says itself how many.
    pub fn with_nearest(mut self, nearest: usize) -> Self {
        if let Choice::Similarity { routes, .. } = &mut self.choice {
            *routes = nearest;
        }
        self
    }

    /// The names of the routes that a question takes, for logs and tests.
    ///
    /// # Errors
    /// [`Error::UnknownRoute`], and whatever the embedder raises.
    pub fn routes_for(&self, query: &Query) -> Result<Vec<&str>> {
        Ok(self.choose(query)?.into_iter().map(Route::name).collect())
    }

    fn choose(&self, query: &Query) -> Result<Vec<&Route>> {
        match &self.choice {
            Choice::Rule(rule) => {
                let mut chosen: Vec<&Route> = Vec::new();
                for name in rule(query) {
                    if chosen.iter().any(|route| route.name == name) {
                        continue;
                    }
                    match self.routes.iter().find(|route| route.name == name) {
                        Some(route) => chosen.push(route),
                        None => {
                            return Err(Error::UnknownRoute {
                                name,
                                known: self.routes.iter().map(|route| route.name.clone()).collect(),
                            });
                        }
                    }
                }
                Ok(chosen)
            }
            Choice::Similarity {
                embedder,
                texts,
                routes,
            } => {
                let question = embedder.embed(&[&query.text], Role::Query)?;
                question.check(embedder.dim(), 1)?;
                let question = question.row(0).unwrap_or_default();
                let likeness = |vectors: &Embeddings| {
                    let each = vectors.rows().map(|text| cosine(text, question));
                    each.fold(f32::NEG_INFINITY, f32::max)
                };
                let mut order: Vec<(usize, f32)> = texts.iter().map(likeness).enumerate().collect();
                // The sort is stable: of equally near routes the first stays first.
                order.sort_by(|a, b| b.1.total_cmp(&a.1));
                Ok(order
                    .into_iter()
                    .take(*routes)
                    .map(|(at, _)| &self.routes[at])
                    .collect())
            }
        }
    }
}

impl Retriever for RouterRetriever {
    fn retrieve(&self, query: &Query) -> Result<Vec<ScoredChunk>> {
        check_threshold("the router", query)?;
        if query.top_k == 0 {
            return Ok(Vec::new());
        }
        match self.choose(query)?.as_slice() {
            [] => Ok(Vec::new()),
            [only] => only.retriever.retrieve(query),
            several => {
                let mut wide = query.clone();
                wide.top_k = query.top_k.max(Self::CANDIDATES);
                let asked: Vec<(&dyn Retriever, &Query)> = several
                    .iter()
                    .map(|route| (route.retriever.as_ref(), &wide))
                    .collect();
                lists::fuse(lists::gather(&asked)?, &Fusion::default(), query)
            }
        }
    }

    /// That of the first route that has one; answers compare sentences with it.
    fn embedder(&self) -> Option<Arc<dyn Embedder>> {
        self.routes.iter().find_map(|route| route.retriever.embedder())
    }

    fn stored_text(&self, document_id: &str, span: Span) -> Result<Option<String>> {
        lists::stored_text(
            self.routes.iter().map(|route| route.retriever.as_ref()),
            document_id,
            span,
        )
    }
}
