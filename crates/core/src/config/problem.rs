//! Owns how a wrong document is described: the path inside it, what was found, what is allowed.

use std::fmt;

use super::place;

/// One thing wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: `routes[2].cost`; empty for the document itself.
    pub path: String,
    /// What was found there. Never a secret.
    pub found: String,
    /// What is allowed there.
    pub allowed: String,
}

/// All that is wrong with a document; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problem {
    /// A problem at a path.
    pub fn new(path: impl Into<String>, found: impl Into<String>, allowed: impl Into<String>) -> Self {
        Self { path: path.into(), found: found.into(), allowed: allowed.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "document" } else { &self.path };
        write!(formatter, "{path}: found {}; allowed: {}", self.found, self.allowed)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.0.iter().enumerate() {
            if position > 0 {
                formatter.write_str("\n")?;
            }
            problem.fmt(formatter)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}
impl std::error::Error for Problems {}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

/// Turns serde's words ("invalid type: string "x", expected u32 at line 1 column 5") into ours.
pub(super) fn of_serde(json: &[u8], inner: &serde_json::Error) -> Problems {
    let text = inner.to_string();
    let mut path = place::path_at(json, inner.line(), inner.column());
    if text.starts_with("duplicate field") {
        // It is the object that has it twice.
        path.truncate(path.rfind('.').unwrap_or(0));
    }
    let place = format!(" at line {} column {}", inner.line(), inner.column());
    let text = text.strip_suffix(place.as_str()).unwrap_or(&text);
    let (found, allowed) = if let Some((found, allowed)) = split_expected(text) {
        (found.to_owned(), if allowed.starts_with("struct ") { "an object".to_owned() } else { allowed.to_owned() })
    } else if let Some(field) = text.strip_prefix("missing field ") {
        ("nothing".to_owned(), format!("the field {field} is required"))
    } else {
        (text.to_owned(), "JSON as in the schema".to_owned())
    };
    let found = if inner.line() > 0 { format!("{found} (line {}, column {})", inner.line(), inner.column()) } else { found };
    Problem::new(path, found, allowed).into()
}

/// Both halves of "invalid type: string "x", expected u32". Of a value of the wrong type only the type is kept: it may be
/// a secret that stands where a reference to it belongs.
fn split_expected(text: &str) -> Option<(&str, &str)> {
    let (found, allowed) = text.rsplit_once(", expected ")?;
    let value = if found.starts_with("invalid type: ") { found.find(['`', '"']) } else { None };
    Some((value.and_then(|value| found.get(..value)).map_or(found, str::trim_end), allowed))
}
