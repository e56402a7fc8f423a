//! The points that a search tries.

use serde_json::{Map, Value as Json, json};

use super::point::Point;
use super::space::SearchSpace;
use crate::error::{Error, Result};

/// The points that a search tries, in order, and where they are from.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidates {
    points: Vec<Point>,
    /// By which a search that goes on tells that it is the same.
    pub(super) source: Json,
}

impl Candidates {
    /// Points of one's own.
    ///
    /// # Errors
    /// [`Error::Empty`] without points.
    pub fn new(points: Vec<Point>) -> Result<Self> {
        if points.is_empty() {
            return Err(Error::Empty {
                what: "the search".to_owned(),
                hint: "name at least one point".to_owned(),
            });
        }
        let source = points.iter().enumerate();
        let source: Map<String, Json> = source
            .map(|(index, point)| (format!("point {}", index + 1), json!(point.to_string())))
            .collect();
        Ok(Self {
            points,
            source: Json::Object(source),
        })
    }

    pub(super) fn from_space(points: Vec<Point>, space: &SearchSpace, how: String) -> Self {
        let domains: Map<String, Json> = space
            .iter()
            .map(|(name, domain)| (name.to_owned(), json!(domain.to_string())))
            .collect();
        let source = json!({ "space": domains, "points": how });
        Self { points, source }
    }

    /// The points.
    #[must_use]
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// How many there are.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.points.len()
    }
}
