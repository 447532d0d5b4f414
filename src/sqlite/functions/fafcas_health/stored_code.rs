//! Views and triggers that a database stores and this connection refuses to run, as they call what only statements may. SQLite
//! is asked for each: one such view is enough, and ALTER TABLE fails on other tables of the database too.

use crate::error::{Error, Result};
use crate::sqlite::host::connection::Connection;
use crate::sqlite::host::ffi;
use crate::sqlite::tables::identifier::quoted;

/// Something stored, and what SQLite knows of it.
struct StoredCode {
    kind: String,
    name: String,
    table: String,
    sql: String,
}

impl StoredCode {
    /// What a database stores of this kind, by name.
    fn all(connection: Connection, schema: &str, kind: &str) -> Result<Vec<Self>> {
        let sql = format!(
            "SELECT type, name, tbl_name, sql FROM {}.sqlite_schema WHERE type = '{kind}' ORDER BY name",
            quoted(schema)
        );
        let mut statement = connection.prepare(&sql)?;
        let mut found = Vec::new();
        while statement.step()? {
            let (kind, name, table) = (statement.text(0), statement.text(1), statement.text(2));
            found.push(Self { kind, name, table, sql: statement.text(3) });
        }
        Ok(found)
    }

    fn names_one_of<'a>(&self, mut names: impl Iterator<Item = &'a str>) -> bool {
        let sql = self.sql.to_ascii_lowercase();
        names.any(|name| sql.contains(&name.to_ascii_lowercase()))
    }

    /// Whether statements that run it are refused.
    fn is_refused(&self, connection: Connection, schema: &str) -> Result<bool> {
        let target = format!("{}.{}", quoted(schema), quoted(&self.table));
        if self.kind == "view" {
            return is_refused(connection, &format!("SELECT 1 FROM {target}"));
        }
        // Its text does not say plainly which event it is for, so all three are compiled. None is ever run.
        Ok(is_refused(connection, &format!("INSERT INTO {target} DEFAULT VALUES"))?
            || is_refused(connection, &format!("DELETE FROM {target}"))?
            || is_refused(connection, &format!("UPDATE {target} SET {}", self.each_column(connection, schema)?))?)
    }

    /// All columns of its table that can be set, each to what it is.
    fn each_column(&self, connection: Connection, schema: &str) -> Result<String> {
        let sql = format!("PRAGMA {}.table_info({})", quoted(schema), quoted(&self.table));
        let mut statement = connection.prepare(&sql)?;
        let mut set = Vec::new();
        while statement.step()? {
            set.push(format!("{0} = {0}", quoted(&statement.text(1))));
        }
        Ok(set.join(", "))
    }
}

/// The views and triggers of a database that may not run on this connection, as `view "a"`. Triggers are looked at if they
/// name one of `functions`, or such a view.
pub fn refused(connection: Connection, schema: &str, functions: &[&str]) -> Result<Vec<String>> {
    let mut views = Vec::new();
    for view in StoredCode::all(connection, schema, "view")? {
        if view.is_refused(connection, schema)? {
            views.push(view.name);
        }
    }
    let mut found: Vec<String> = views.iter().map(|name| format!("view {}", quoted(name))).collect();
    for trigger in StoredCode::all(connection, schema, "trigger")? {
        let named = functions.iter().copied().chain(views.iter().map(String::as_str));
        if trigger.names_one_of(named) && trigger.is_refused(connection, schema)? {
            found.push(format!("trigger {}", quoted(&trigger.name)));
        }
    }
    Ok(found)
}

/// Whether SQLite does not compile a statement, as it would run what only statements may.
fn is_refused(connection: Connection, sql: &str) -> Result<bool> {
    match connection.prepare(sql) {
        Ok(_) => Ok(false),
        Err(Error::Sqlite { code, message }) => match code as u32 & 0xff {
            ffi::SQLITE_ERROR => Ok(message.contains("unsafe use of ")),
            ffi::SQLITE_AUTH => Ok(false),
            _ => Err(Error::Sqlite { code, message }),
        },
        Err(error) => Err(error),
    }
}
