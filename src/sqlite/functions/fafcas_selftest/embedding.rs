//! One embedding, if there is a model.

use crate::embed::{self, DEFAULT_MODEL};
use crate::error::{Error, Result};
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::value::Value;

/// Of the default model.
const DIMENSIONS: i64 = 384;
/// Two texts of one meaning, and one of another: the first is nearer to the second than to the third.
const TEXTS: [&str; 3] =
    ["The dog sleeps in the garden.", "A puppy naps on the lawn.", "Interest rates rose in March."];

/// What was embedded, or that there is no model, which is no mistake.
pub fn check(connection: Connection) -> Result<String> {
    if cfg!(not(feature = "text")) {
        return Ok("not checked: this library is built without the feature text".into());
    }
    let names: Vec<String> = embed::models()?.into_iter().map(|model| model.name).collect();
    let preferred = names.iter().find(|name| *name == DEFAULT_MODEL).or(names.first());
    let Some(name) = preferred else { return Ok("not checked: there is no model here".into()) };
    let mut statement = connection.prepare(
        "WITH e(a, b, c) AS MATERIALIZED (SELECT embed(?2, ?1), embed(?3, ?1), embed(?4, ?1))
         SELECT vec_length(a), abs(vec_dot(a, a) - 1) < 1e-4, vec_dot(a, b) > vec_dot(a, c) FROM e",
    )?;
    statement.bind_all(&[name.as_str()].into_iter().chain(TEXTS).map(Value::from).collect::<Vec<_>>())?;
    if !statement.step()? {
        return Err(Error::expected("a row with embeddings", "none"));
    }
    let (dimensions, is_unit, is_sensible) = (statement.integer(0), statement.integer(1), statement.integer(2));
    if is_unit == 0 {
        return Err(Error::expected(format_args!("embeddings of {name} with length 1"), "another length"));
    }
    // What other models make of English is not known, nor of one that only has the name of the default.
    if is_sensible == 0 && name == DEFAULT_MODEL && dimensions == DIMENSIONS {
        return Err(Error::expected("a text nearer to one of its meaning", "to one of another"));
    }
    Ok(format!("{name}, {dimensions} dimensions"))
}
