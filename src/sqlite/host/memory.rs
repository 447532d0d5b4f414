//! A database in memory that belongs to nobody else: for work that the host's own databases must not see.

use super::api;
use super::connection::Connection;
use super::ffi;
use crate::error::{Error, Result};
use crate::register;
use crate::resources::config::SchemaSearch;
use std::ffi::c_int;
use std::ptr::{null, null_mut};

/// The database, with the functions of this crate. It is closed when it is dropped.
pub struct MemoryDatabase(*mut ffi::sqlite3);

impl MemoryDatabase {
    /// A new one, empty.
    pub fn open() -> Result<Self> {
        let flags = ffi::SQLITE_OPEN_READWRITE | ffi::SQLITE_OPEN_CREATE | ffi::SQLITE_OPEN_MEMORY;
        let mut raw = null_mut();
        // SAFETY: the name is terminated, and `raw` receives the connection, which may be there also after a failure.
        let code = unsafe { api::open_v2(c":memory:".as_ptr(), &mut raw, flags as c_int, null()) };
        let database = Self(raw);
        if code != ffi::SQLITE_OK as c_int {
            return Err(Error::Sqlite { code, message: "SQLite opened no database in memory".into() });
        }
        register(database.connection()?, SchemaSearch::Refused)?;
        Ok(database)
    }

    /// Its connection, for statements that end before the database does.
    pub fn connection(&self) -> Result<Connection> {
        // SAFETY: the connection is open until `self` is dropped. If a statement is left then, SQLite keeps the connection
        // until that statement is finalised.
        unsafe { Connection::new(self.0) }
    }
}

impl Drop for MemoryDatabase {
    fn drop(&mut self) {
        // SAFETY: the connection is ours, or null, which is ignored. It is closed once.
        unsafe { api::close_v2(self.0) };
    }
}
