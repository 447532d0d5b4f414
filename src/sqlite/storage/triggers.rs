//! The triggers that keep an index fresh: plain SQL on the user's table, so that writers need no library.
//!
//! They append the rowid of every changed row to the index's `_pending` table. What they say is frozen for ever: files
//! outlive libraries. They also say which table and column the index is of, because ALTER TABLE rewrites triggers but not
//! the arguments of a virtual table; an index whose triggers are missing or altered is not used.

use crate::error::Result;
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::value::ValueRef;
use crate::sqlite::tables::identifier::quoted;

/// An index's name and what it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracked {
    /// The index.
    pub index: String,
    /// The user's table.
    pub table: String,
    /// The column with the vectors.
    pub column: String,
    /// The rowid's name in the table: `rowid`, or another where a column hides that one.
    pub rowid: String,
}

/// When a trigger fires; also the end of its name.
pub const EVENTS: [&str; 4] = ["insert", "delete", "update", "move"];

impl Tracked {
    /// The statement that makes the trigger for an event.
    fn statement(&self, event: &str, schema: &str) -> String {
        let (table, column, rowid) = (quoted(&self.table), quoted(&self.column), &self.rowid);
        let pending = quoted(&format!("{}_pending", self.index));
        let (when, rows) = match event {
            "insert" => (format!("INSERT ON {table}"), vec!["new"]),
            "delete" => (format!("DELETE ON {table}"), vec!["old"]),
            "update" => (format!("UPDATE OF {column} ON {table}"), vec!["new"]),
            _ => (format!("UPDATE ON {table} WHEN old.{rowid} IS NOT new.{rowid}"), vec!["old", "new"]),
        };
        let append = |row: &&str| format!("INSERT INTO {pending} (rid, token) VALUES ({row}.{rowid}, random()); ");
        let body: String = rows.iter().map(append).collect();
        format!("CREATE TRIGGER {schema}{} AFTER {when} BEGIN {body}END", quoted(&self.trigger(event)))
    }

    fn trigger(&self, event: &str) -> String {
        format!("{}_{event}", self.index)
    }

    /// Makes the triggers.
    pub fn create(&self, connection: Connection, schema: &str) -> Result<()> {
        let schema = format!("{}.", quoted(schema));
        EVENTS.iter().try_for_each(|event| connection.execute(&self.statement(event, &schema), &[]))
    }

    /// Removes the triggers of an index, those that are there.
    pub fn drop(connection: Connection, schema: &str, index: &str) -> Result<()> {
        EVENTS.iter().try_for_each(|event| {
            let name = quoted(&format!("{index}_{event}"));
            connection.execute(&format!("DROP TRIGGER IF EXISTS {}.{name}", quoted(schema)), &[])
        })
    }

    /// What a trigger for changes of the column says, if it is one of ours and unaltered.
    fn from_update(sql: &str) -> Option<Self> {
        let tokens = tokens(sql);
        let name = |at: usize| tokens.get(at).cloned();
        // CREATE TRIGGER i_update AFTER UPDATE OF c ON t BEGIN INSERT INTO i_pending (rid, token) VALUES (new.rowid, ...
        let tracked = Self {
            index: name(2)?.strip_suffix("_update")?.to_string(),
            column: name(6)?,
            table: name(8)?,
            rowid: name(22)?,
        };
        tracked.is(sql, "update").then_some(tracked)
    }

    fn is(&self, sql: &str, event: &str) -> bool {
        let fold = |tokens: Vec<String>| tokens.into_iter().map(|token| token.to_ascii_lowercase()).collect::<Vec<_>>();
        fold(tokens(sql)) == fold(tokens(&self.statement(event, "")))
    }
}

/// What an index is of, if all its triggers are there and as they were made.
pub fn of_index(connection: Connection, schema: &str, index: &str) -> Result<Option<Tracked>> {
    let sql = format!(
        "SELECT tbl_name FROM {}.sqlite_schema WHERE type = 'trigger' AND name = ?1 COLLATE NOCASE",
        quoted(schema)
    );
    let mut statement = connection.prepare(&sql)?;
    statement.bind(1, ValueRef::Text(format!("{index}_update").as_bytes()))?;
    if !statement.step()? {
        return Ok(None);
    }
    let table = statement.text(0);
    drop(statement);
    Ok(tracked(connection, schema, &table)?.into_iter().find(|tracked| tracked.index.eq_ignore_ascii_case(index)))
}

/// The indexes of a table whose triggers are all there and as they were made, by name.
pub fn tracked(connection: Connection, schema: &str, table: &str) -> Result<Vec<Tracked>> {
    let sql = format!(
        "SELECT name, sql FROM {}.sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE ORDER BY name",
        quoted(schema)
    );
    let mut statement = connection.prepare(&sql)?;
    statement.bind(1, ValueRef::Text(table.as_bytes()))?;
    let mut triggers = Vec::new();
    while statement.step()? {
        triggers.push((statement.text(0), statement.text(1)));
    }
    let complete = |tracked: &Tracked| {
        EVENTS.iter().all(|event| {
            let wanted = tracked.trigger(event);
            triggers.iter().any(|(name, sql)| name.eq_ignore_ascii_case(&wanted) && tracked.is(sql, event))
        })
    };
    Ok(triggers.iter().filter_map(|(_, sql)| Tracked::from_update(sql)).filter(complete).collect())
}

/// The words and signs of a statement, names without their quotes. Enough for the statements above; anything else only has
/// to differ from them.
fn tokens(sql: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = sql.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, after) = token(rest, first);
        tokens.push(token);
        rest = after.trim_start();
    }
    tokens
}

fn token(text: &str, first: char) -> (String, &str) {
    let close = match first {
        '"' | '`' | '\'' => Some(first),
        '[' => Some(']'),
        _ => None,
    };
    if let Some(close) = close {
        let mut token = String::new();
        let mut rest = &text[1..];
        while let Some((part, after)) = rest.split_once(close) {
            token.push_str(part);
            match after.strip_prefix(close).filter(|_| close != ']') {
                Some(more) => {
                    token.push(close);
                    rest = more;
                }
                None => return (if first == '\'' { format!("'{token}'") } else { token }, after),
            }
        }
        return (text.to_string(), "");
    }
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$' || !c.is_ascii();
    let end = if is_word(first) { text.find(|c| !is_word(c)).unwrap_or(text.len()) } else { first.len_utf8() };
    (text[..end].to_string(), &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes() -> Tracked {
        Tracked { index: "n%v".into(), table: "no\"des".into(), column: "em bed".into(), rowid: "rowid".into() }
    }

    #[test]
    fn what_was_written_is_recognised() {
        let tracked = nodes();
        assert_eq!(Tracked::from_update(&tracked.statement("update", "")), Some(tracked));
    }

    #[test]
    fn other_quotes_and_spaces_are_the_same_statement() {
        let tracked = Tracked { index: "v".into(), table: "t".into(), column: "c".into(), rowid: "rowid".into() };
        let rewritten = "CREATE TRIGGER v_update AFTER UPDATE OF [C] ON `t`\nBEGIN INSERT INTO v_pending (rid,token)
            VALUES (new.rowid, random()) ; END";
        assert!(tracked.is(rewritten, "update"));
    }

    #[test]
    fn an_altered_trigger_is_not_ours() {
        let sql = nodes().statement("update", "");
        for (ours, theirs) in
            [("new.", "old."), ("random()", "1"), ("AFTER", "BEFORE"), ("END", "SELECT 1; END"), ("rid", "'rid'")]
        {
            assert!(sql.contains(ours));
            assert_eq!(Tracked::from_update(&sql.replace(ours, theirs)), None, "{theirs}");
        }
    }
}
