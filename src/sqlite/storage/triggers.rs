//! The triggers that keep an index fresh. They are plain SQL on the user's table, so that writers need no library.
//!
//! They append the rowid of every changed row to the table `_pending` of the index. Their text must never change, because
//! files live longer than versions of the library. The text also tells which table and column the index belongs to: ALTER
//! TABLE rewrites triggers, but not the arguments of a virtual table. An index whose triggers are missing or altered is not
//! used.
//!
//! Triggers may be dropped and made again later from the same text. They then look as before, but changes in between were
//! missed. The seal shows that: it is one more trigger, made after the others. SQLite gives each new trigger a greater number,
//! so a trigger that was made again has a greater number than the seal. VACUUM and dumps keep the order.

use super::signs::Sign;
use crate::error::Result;
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::value::ValueRef;
use crate::sqlite::tables::identifier::quoted;

/// The name of an index, and the table and column it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracked {
    /// The index.
    pub index: String,
    /// The user's table.
    pub table: String,
    /// The column with the vectors.
    pub column: String,
    /// The name of the rowid in the table: `rowid`, or another one if a column has that name.
    pub rowid: String,
}

/// The events for which there is a trigger. The name of the trigger ends with the event.
pub const EVENTS: [&str; 4] = ["insert", "delete", "update", "move"];

/// The name of the seal ends with this.
pub const SEAL: &str = "seal";

/// What the triggers of a table say about one of its indexes.
pub struct WatchedIndex {
    /// The index, its table and its column.
    pub tracked: Tracked,
    /// Why the triggers may have missed changes.
    pub sign: Option<Sign>,
    /// The user has a newer trigger, which runs before those of the index.
    pub is_outrun: bool,
}

impl Tracked {
    /// The statement that makes the trigger for an event.
    fn statement(&self, event: &str, schema: &str) -> String {
        let (table, column, rowid) = (quoted(&self.table), quoted(&self.column), &self.rowid);
        let pending = quoted(&pending(&self.index));
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

    /// The statement that makes the seal. Nobody updates the list of changes, so the seal never runs.
    fn seal(&self, name: &str, schema: &str) -> String {
        let pending = quoted(&pending(&self.index));
        format!("CREATE TRIGGER {schema}{} BEFORE UPDATE ON {pending} BEGIN SELECT RAISE(IGNORE); END", quoted(name))
    }

    fn trigger(&self, event: &str) -> String {
        format!("{}_{event}", self.index)
    }

    /// Makes the triggers, and then the seal.
    pub fn create(&self, connection: Connection, schema: &str) -> Result<()> {
        let schema = format!("{}.", quoted(schema));
        EVENTS.iter().try_for_each(|event| connection.execute(&self.statement(event, &schema), &[]))?;
        connection.execute(&self.seal(&self.trigger(SEAL), &schema), &[])
    }

    /// Removes the triggers of an index that exist, and its seals. There may be a seal under an older name of the index: a
    /// version that knew no seals did not rename it. A trigger that only has the name of one of ours is the user's, and stays.
    pub fn drop(connection: Connection, schema: &str, index: &str) -> Result<()> {
        Self::drop_those(connection, schema, index, |trigger| trigger.notes_for(index))
    }

    /// The same before the triggers of this index are made anew. If one on its table has the name of ours and notes nothing,
    /// somebody has altered it.
    pub fn clear(&self, connection: Connection, schema: &str) -> Result<()> {
        Self::drop_those(connection, schema, &self.index, |trigger| {
            trigger.notes_for(&self.index) || trigger.is_on(&self.table)
        })
    }

    fn drop_those(connection: Connection, schema: &str, index: &str, is_ours: impl Fn(&Trigger) -> bool) -> Result<()> {
        let drop = |name: &str| connection.execute(&format!("DROP TRIGGER {}.{}", quoted(schema), quoted(name)), &[]);
        for event in EVENTS {
            let named = Trigger::named(connection, schema, &format!("{index}_{event}"))?;
            if let Some(trigger) = named.filter(&is_ours) {
                drop(&trigger.name)?;
            }
        }
        let seals = Trigger::on(connection, schema, &pending(index))?.into_iter();
        seals.filter(|trigger| trigger.is_seal(index)).try_for_each(|trigger| drop(&trigger.name))
    }

    /// What the text of an update trigger says, if the trigger is one of ours and not altered.
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
        is_same(sql, &self.statement(event, ""))
    }
}

/// The name of an index's list of changes.
fn pending(index: &str) -> String {
    format!("{index}_pending")
}

/// A trigger as the schema has it.
struct Trigger {
    /// A trigger that was made later has a greater number.
    number: i64,
    name: String,
    sql: String,
    table: String,
}

impl Trigger {
    /// The triggers of a table, by name.
    fn on(connection: Connection, schema: &str, table: &str) -> Result<Vec<Self>> {
        Self::select(connection, schema, table, "")
    }

    /// The trigger of this name.
    fn named(connection: Connection, schema: &str, name: &str) -> Result<Option<Self>> {
        let sql = format!(
            "SELECT rowid, name, sql, tbl_name FROM {}.sqlite_schema WHERE type = 'trigger' AND name = ?1 COLLATE NOCASE",
            quoted(schema)
        );
        Ok(Self::all(connection, &sql, name)?.pop())
    }

    /// The triggers of a table and of all lists of changes.
    fn on_all(connection: Connection, schema: &str, table: &str) -> Result<Vec<Self>> {
        Self::select(connection, schema, table, "OR tbl_name LIKE '%!_pending' ESCAPE '!'")
    }

    fn select(connection: Connection, schema: &str, table: &str, others: &str) -> Result<Vec<Self>> {
        let sql = format!(
            "SELECT rowid, name, sql, tbl_name FROM {}.sqlite_schema WHERE type = 'trigger' \
             AND (tbl_name = ?1 COLLATE NOCASE {others}) ORDER BY name",
            quoted(schema)
        );
        Self::all(connection, &sql, table)
    }

    fn all(connection: Connection, sql: &str, parameter: &str) -> Result<Vec<Self>> {
        let mut statement = connection.prepare(sql)?;
        statement.bind(1, ValueRef::Text(parameter.as_bytes()))?;
        let mut triggers = Vec::new();
        while statement.step()? {
            let (number, table) = (statement.integer(0), statement.text(3));
            triggers.push(Self { number, name: statement.text(1), sql: statement.text(2), table });
        }
        Ok(triggers)
    }

    fn is_on(&self, table: &str) -> bool {
        self.table.eq_ignore_ascii_case(table)
    }

    fn is_seal(&self, index: &str) -> bool {
        let any = Tracked { index: index.into(), table: String::new(), column: String::new(), rowid: String::new() };
        self.is_on(&pending(index)) && is_same(&self.sql, &any.seal(&self.name, ""))
    }

    /// Whether it writes to the list of changes of an index, as ours do, also those that somebody has altered.
    fn notes_for(&self, index: &str) -> bool {
        let (wanted, tokens) = (["insert".to_string(), "into".to_string(), pending(index)], tokens(&self.sql));
        tokens
            .windows(wanted.len())
            .any(|words| words.iter().zip(&wanted).all(|(word, wanted)| word.eq_ignore_ascii_case(wanted)))
    }

    /// Whether it runs after a change, like ours. SQLite runs the newest of them first.
    fn is_after(&self) -> bool {
        tokens(&self.sql).get(3).is_some_and(|word| word.eq_ignore_ascii_case("after"))
    }

    /// Whether it can keep triggers that come after it from running, while the change itself stays.
    fn can_end(&self) -> bool {
        let squeezed = |text: &str| text.split_whitespace().collect::<String>().to_ascii_lowercase();
        [squeezed(&self.sql), squeezed(&without_comments(&self.sql))]
            .iter()
            .any(|text| text.contains("raise(ignore") || text.contains("raise(fail"))
    }
}

/// Whether the text of a virtual table names this module.
pub fn is_of_module(sql: &str, module: &str) -> bool {
    // CREATE VIRTUAL TABLE name USING module(...
    let names_it = |sql: &str| {
        let behind_name = tokens(sql).into_iter().skip(4);
        let named = behind_name.skip_while(|token| !token.eq_ignore_ascii_case("using")).nth(1);
        named.is_some_and(|named| named.eq_ignore_ascii_case(module))
    };
    names_it(sql) || names_it(&without_comments(sql))
}

/// A statement without its comments. What looks like a comment within a string is removed too.
fn without_comments(sql: &str) -> String {
    let (mut kept, mut rest) = (String::new(), sql);
    while let Some(at) = [rest.find("--"), rest.find("/*")].into_iter().flatten().min() {
        let (before, comment) = rest.split_at(at);
        kept.push_str(before);
        kept.push(' ');
        let end = if comment.starts_with("--") { "\n" } else { "*/" };
        rest = comment.get(2..).and_then(|comment| comment.split_once(end)).map_or("", |(_, after)| after);
    }
    kept + rest
}

/// What an index belongs to, if it has all its triggers and none is altered.
pub fn of_index(connection: Connection, schema: &str, index: &str) -> Result<Option<WatchedIndex>> {
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
    let mut indexes = watched(connection, schema, &table)?.into_iter();
    Ok(indexes.find(|watched| watched.tracked.index.eq_ignore_ascii_case(index)))
}

/// A trigger of somebody else on a table of an index.
pub struct ForeignTrigger {
    /// What it is called.
    pub name: String,
    /// The table it is on.
    pub table: String,
    /// Whether that is the list of changes.
    pub is_on_pending: bool,
}

/// A trigger on the tables of an index that is not its seal.
pub fn foreign(connection: Connection, schema: &str, index: &str) -> Result<Option<ForeignTrigger>> {
    let list = pending(index);
    for table in [format!("{index}_blocks"), list.clone()] {
        let is_foreign = |trigger: &Trigger| !trigger.is_seal(index);
        if let Some(Trigger { name, table, .. }) = Trigger::on(connection, schema, &table)?.into_iter().find(is_foreign)
        {
            let is_on_pending = table.eq_ignore_ascii_case(&list);
            return Ok(Some(ForeignTrigger { name, table, is_on_pending }));
        }
    }
    Ok(None)
}

/// The indexes of a table that have all their triggers, none of them altered; in the order of their names.
pub fn tracked(connection: Connection, schema: &str, table: &str) -> Result<Vec<Tracked>> {
    let triggers = Trigger::on(connection, schema, table)?;
    Ok(complete(&triggers, table).into_iter().map(|(tracked, _)| tracked).collect())
}

/// The same indexes, with what else the triggers say about them.
pub fn watched(connection: Connection, schema: &str, table: &str) -> Result<Vec<WatchedIndex>> {
    let triggers = Trigger::on_all(connection, schema, table)?;
    let indexes = complete(&triggers, table);
    let of_indexes: Vec<i64> = indexes.iter().flat_map(|(_, own)| own).map(|trigger| trigger.number).collect();
    let is_of_user = |trigger: &&Trigger| trigger.is_on(table) && !of_indexes.contains(&trigger.number);
    let of_user: Vec<&Trigger> = triggers.iter().filter(is_of_user).collect();
    let watch = |(tracked, own): (Tracked, Vec<&Trigger>)| {
        let list = pending(&tracked.index);
        let on_pending: Vec<&Trigger> = triggers.iter().filter(|trigger| trigger.is_on(&list)).collect();
        WatchedIndex::new(tracked, &own, &on_pending, &of_user)
    };
    Ok(indexes.into_iter().map(watch).collect())
}

/// The indexes of a table that have all their triggers, each with its triggers.
fn complete<'a>(triggers: &'a [Trigger], table: &str) -> Vec<(Tracked, Vec<&'a Trigger>)> {
    let on_table: Vec<&Trigger> = triggers.iter().filter(|trigger| trigger.is_on(table)).collect();
    let own = |tracked: &Tracked| -> Option<Vec<&'a Trigger>> {
        let find = |event: &&str| {
            let wanted = tracked.trigger(event);
            let is_it =
                |trigger: &&&Trigger| trigger.name.eq_ignore_ascii_case(&wanted) && tracked.is(&trigger.sql, event);
            on_table.iter().find(is_it).copied()
        };
        EVENTS.iter().map(find).collect()
    };
    let updates = on_table.iter().filter(|trigger| trigger.name.ends_with("_update"));
    let tracked = updates.filter_map(|trigger| Tracked::from_update(&trigger.sql));
    tracked.filter_map(|tracked| own(&tracked).map(|own| (tracked, own))).collect()
}

impl WatchedIndex {
    fn new(tracked: Tracked, own: &[&Trigger], on_pending: &[&Trigger], of_user: &[&Trigger]) -> Self {
        let oldest = own.iter().map(|trigger| trigger.number).min().unwrap_or(0);
        let newest = own.iter().map(|trigger| trigger.number).max().unwrap_or(0);
        let (seals, foreign): (Vec<&Trigger>, Vec<&Trigger>) =
            on_pending.iter().partition(|trigger| trigger.is_seal(&tracked.index));
        let mut before_ours = of_user.iter().filter(|trigger| trigger.number > oldest && trigger.is_after()).peekable();
        let is_outrun = before_ours.peek().is_some();
        let sign = match (foreign.first(), before_ours.find(|trigger| trigger.can_end())) {
            (Some(foreign), _) => Some(Sign::Intercepted(foreign.name.clone())),
            (None, Some(ending)) => Some(Sign::Outrun(ending.name.clone())),
            (None, None) if !seals.iter().any(|seal| seal.number > newest) => Some(Sign::Unsealed),
            (None, None) => None,
        };
        Self { tracked, sign, is_outrun }
    }
}

/// The words and signs of a statement, names without their quotes. This is enough to recognise the statements above. All other
/// statements only have to differ from them.
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

/// Whether two statements are the same, apart from spaces, quotes, and upper and lower case.
fn is_same(one: &str, other: &str) -> bool {
    let folded = |sql| tokens(sql).into_iter().map(|token| token.to_ascii_lowercase()).collect::<Vec<_>>();
    one == other || folded(one) == folded(other)
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
    fn the_module_of_a_virtual_table_is_the_word_after_using() {
        for sql in [
            "CREATE VIRTUAL TABLE i USING vec_index(t, v)",
            "CREATE VIRTUAL TABLE \"using b--c\" using \"Vec_Index\"(t, v)",
            "CREATE VIRTUAL TABLE i /* using fts5 */ USING -- it is\nvec_index",
        ] {
            assert!(is_of_module(sql, "vec_index"), "{sql}");
        }
        for sql in [
            "CREATE VIRTUAL TABLE vec_index USING fts5(a)",
            "CREATE VIRTUAL TABLE f USING fts5(using, vec_index)",
            "CREATE VIRTUAL TABLE vec_index USING",
            "CREATE TABLE t(a)",
        ] {
            assert!(!is_of_module(sql, "vec_index"), "{sql}");
        }
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
