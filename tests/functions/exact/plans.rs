//! Spellings of one question that SQLite plans in different ways. `{t}` stands for the search.

/// A filter on another table's column, reached by join from either side, by IN and by EXISTS. `link` is the column of
/// the search and `other` the column of `meta` that find each other.
pub fn by_kind(link: &str, other: &str, kind: &str) -> Vec<String> {
    let wanted = format!("SELECT {other} FROM meta WHERE kind = '{kind}'");
    vec![
        format!("{{t}} AS t JOIN meta AS m ON m.{other} = t.{link} WHERE m.kind = '{kind}'"),
        format!("meta AS m JOIN {{t}} AS t ON m.{other} = t.{link} WHERE m.kind = '{kind}'"),
        format!("meta AS m CROSS JOIN {{t}} AS t ON m.{other} = t.{link} WHERE m.kind = '{kind}'"),
        format!("meta AS m CROSS JOIN {{t}} AS t ON m.{other} = +t.{link} WHERE m.kind = '{kind}'"),
        format!("{{t}} AS t CROSS JOIN meta AS m ON m.{other} = t.{link} WHERE m.kind = '{kind}'"),
        format!("meta AS m LEFT JOIN {{t}} AS t ON m.{other} = t.{link} WHERE m.kind = '{kind}' AND t.id IS NOT NULL"),
        format!("{{t}} AS t LEFT JOIN meta AS m ON m.{other} = t.{link} WHERE m.kind = '{kind}'"),
        format!("(SELECT * FROM {{t}}) AS t WHERE t.{link} IN ({wanted})"),
        format!("{{t}} AS t WHERE t.{link} IN ({wanted})"),
        format!("{{t}} AS t WHERE +t.{link} IN ({wanted})"),
        format!("{{t}} AS t WHERE (SELECT m.kind FROM meta AS m WHERE m.{other} = t.{link}) = '{kind}'"),
        format!("{{t}} AS t WHERE EXISTS (SELECT 1 FROM meta AS m WHERE m.{other} = t.{link} AND m.kind = '{kind}')"),
    ]
}

/// Scores better than a bound that no score is equal to.
pub fn by_bound(score: f64, distance: f64) -> Vec<String> {
    filters([
        format!("t.score > {score:?}"),
        format!("t.score >= {score:?}"),
        format!("+t.score > {score:?}"),
        format!("{score:?} < t.score"),
        format!("t.distance < {distance:?}"),
        format!("t.distance <= {distance:?}"),
        format!("t.score > {score:?} AND t.distance < {distance:?}"),
        format!("t.score > {score:?} OR t.distance < -1e9"),
        format!("t.score > (SELECT {score:?})"),
    ])
}

/// From `low` up to, not including, `high`.
pub fn by_range(column: &str, low: &str, high: &str) -> Vec<String> {
    filters([
        format!("t.{column} >= {low} AND t.{column} < {high}"),
        format!("+t.{column} >= {low} AND +t.{column} < {high}"),
        format!("t.{column} BETWEEN {low} AND {high} AND t.{column} <> {high}"),
        format!("{low} <= t.{column} AND +t.{column} < {high}"),
    ])
}

/// One of two values.
pub fn by_pair(column: &str, first: &str, second: &str) -> Vec<String> {
    filters([
        format!("t.{column} IN ({first}, {second})"),
        format!("+t.{column} IN ({first}, {second})"),
        format!("t.{column} = {first} OR t.{column} = {second}"),
        format!("t.{column} IN (VALUES ({first}), ({second}), (NULL))"),
        format!("t.{column} IN ({first}, {second}) AND t.{column} IN ({second}, {first})"),
    ])
}

/// Each spelling of one filter together with a spelling of another.
pub fn both(first: &[String], second: &[String]) -> Vec<String> {
    let conditions = second.iter().cycle().map(|spelling| spelling.split_once(" WHERE ").unwrap().1);
    first.iter().zip(conditions).map(|(spelling, condition)| format!("{spelling} AND ({condition})")).collect()
}

fn filters<const N: usize>(conditions: [String; N]) -> Vec<String> {
    conditions.iter().map(|condition| format!("{{t}} AS t WHERE {condition}")).collect()
}
