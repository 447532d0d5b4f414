//! Hosts that finalise every statement of a connection, those of the library among them: some do so before they close it
//! (FMDB does where a close was refused), some to find what they forgot.

#![allow(clippy::unwrap_used, clippy::panic, unsafe_code)]

use crate::support::{Random, blob};
use rusqlite::ffi;
use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::ptr::{null, null_mut};

/// Searches that keep statements of many kinds.
const SEARCHES: [&str; 8] = [
    "SELECT id, score FROM vec_topk('t', 'v', (SELECT v FROM q), 20, '{\"index\": false}')",
    "SELECT id, score FROM vec_topk('t', 'v', (SELECT v FROM q), 20, '{\"index\": \"i\"}')",
    "SELECT id, rank FROM vec_topk('t', 'v', (SELECT v FROM q), NULL, '{\"index\": \"i\"}') ORDER BY rank",
    "SELECT id FROM vec_topk('t', 'v', (SELECT v FROM q)) WHERE id IN (SELECT id FROM t WHERE rowid < 30)",
    "SELECT t.id, score FROM t CROSS JOIN vec_topk('t', 'v', (SELECT v FROM q)) AS m ON m.rowid = t.rowid",
    "SELECT query_id, id, rank FROM vec_topk_many('t', 'v', 't', 'v', 3)",
    "SELECT id, rank FROM vec_mmr('t', 'v', (SELECT v FROM q), 9, 0.5)",
    "SELECT id, x FROM vec_map('t', 'v')",
];

/// A connection as a program in C has it: nothing but what is called here touches its statements.
struct Host(*mut ffi::sqlite3);

type Statement = *mut ffi::sqlite3_stmt;

// SAFETY, for all of it: the connection is open until `close`, and statements are used as long as they are not finalised.
impl Host {
    fn open() -> Self {
        fafcas::register_auto_extension().unwrap();
        let mut db = null_mut();
        // SAFETY: see above.
        assert_eq!(unsafe { ffi::sqlite3_open(c":memory:".as_ptr(), &mut db) }, ffi::SQLITE_OK);
        let host = Self(db);
        host.run("CREATE TABLE t(id TEXT PRIMARY KEY, v BLOB); CREATE TABLE q(v BLOB); BEGIN");
        let mut random = Random(3);
        let mut vector = || {
            let hex: String =
                blob(&[(); 8].map(|()| random.real() as f32)).iter().map(|byte| format!("{byte:02x}")).collect();
            format!("x'{hex}'")
        };
        (0..60).for_each(|row| host.run(&format!("INSERT INTO t VALUES ('k{row}', {})", vector())));
        host.run(&format!("INSERT INTO q VALUES ({}); COMMIT; CREATE VIRTUAL TABLE i USING vec_index(t, v)", vector()));
        host.run(&format!("UPDATE t SET v = {} WHERE id = 'k7'", vector()));
        host
    }

    fn run(&self, sql: &str) {
        let text = CString::new(sql).unwrap();
        // SAFETY: see above.
        let code = unsafe { ffi::sqlite3_exec(self.0, text.as_ptr(), None, null_mut(), null_mut()) };
        assert_eq!(code, ffi::SQLITE_OK, "{sql}: {}", self.message());
    }

    fn message(&self) -> String {
        // SAFETY: see above.
        unsafe { CStr::from_ptr(ffi::sqlite3_errmsg(self.0)) }.to_string_lossy().into_owned()
    }

    fn prepare(&self, sql: &str) -> Statement {
        let (text, mut statement) = (CString::new(sql).unwrap(), null_mut());
        // SAFETY: see above.
        let code = unsafe { ffi::sqlite3_prepare_v2(self.0, text.as_ptr(), -1, &mut statement, &mut null()) };
        assert_eq!(code, ffi::SQLITE_OK, "{sql}: {}", self.message());
        statement
    }

    /// The next row's columns as text; `None` behind the last row, or the message.
    fn next(&self, statement: Statement) -> Result<Option<Vec<String>>, String> {
        // SAFETY: see above.
        unsafe {
            match ffi::sqlite3_step(statement) {
                ffi::SQLITE_ROW => {}
                ffi::SQLITE_DONE => return Ok(None),
                _ => return Err(self.message()),
            }
            let text = |at| CStr::from_ptr(ffi::sqlite3_column_text(statement, at).cast()).to_str().unwrap().to_owned();
            Ok(Some((0..ffi::sqlite3_column_count(statement)).map(text).collect()))
        }
    }

    fn ask(&self, sql: &str) -> Vec<Vec<String>> {
        let statement = self.prepare(sql);
        let rows = std::iter::from_fn(|| self.next(statement).unwrap()).collect();
        // SAFETY: see above.
        unsafe { ffi::sqlite3_finalize(statement) };
        rows
    }

    fn statements(&self) -> Vec<Statement> {
        let mut last = null_mut();
        let next = || {
            // SAFETY: see above.
            last = unsafe { ffi::sqlite3_next_stmt(self.0, last) };
            (!last.is_null()).then_some(last)
        };
        std::iter::from_fn(next).collect()
    }

    /// Finalises all statements but these, as the list has them at each time; says how many they were.
    fn finalise_all_but(&self, own: &HashSet<Statement>) -> usize {
        let mut finalised = 0;
        while let Some(other) = self.statements().into_iter().find(|statement| !own.contains(statement)) {
            // SAFETY: see above.
            unsafe { ffi::sqlite3_finalize(other) };
            finalised += 1;
        }
        finalised
    }

    fn close(self) {
        // SAFETY: see above.
        assert_eq!(unsafe { ffi::sqlite3_close(self.0) }, ffi::SQLITE_OK);
    }
}

/// Issue 12, 15.
#[test]
fn a_connection_closes_after_all_statements_were_finalised() {
    let host = Host::open();
    SEARCHES.iter().for_each(|sql| drop(host.ask(sql)));
    assert!(host.finalise_all_but(&HashSet::new()) > 0, "nothing waited");
    host.close();
}

#[test]
fn searches_go_on_after_all_statements_were_finalised() {
    let host = Host::open();
    for sql in SEARCHES {
        let good = host.ask(sql);
        assert!(good.len() > 3, "{sql}");
        for _ in 0..3 {
            host.finalise_all_but(&HashSet::new());
            assert_eq!(host.ask(sql), good, "{sql}");
        }
    }
    host.close();
}

/// The running search is among them, and ends in the midst of its rows.
#[test]
fn a_search_is_finalised_with_its_own_statements() {
    for sql in SEARCHES {
        let host = Host::open();
        let statement = host.prepare(sql);
        (0..3).for_each(|_| drop(host.next(statement).unwrap().unwrap()));
        assert!(host.finalise_all_but(&HashSet::new()) > 0);
        host.close();
    }
}

/// Only those that the program did not prepare: the search goes on without them.
#[test]
fn a_search_goes_on_when_its_own_statements_were_finalised() {
    let host = Host::open();
    for sql in SEARCHES {
        let good = host.ask(sql);
        let statement = host.prepare(sql);
        let own = HashSet::from([statement]);
        let next = || {
            host.finalise_all_but(&own);
            host.next(statement).unwrap()
        };
        assert_eq!(std::iter::from_fn(next).collect::<Vec<_>>(), good, "{sql}");
        host.finalise_all_but(&HashSet::new());
    }
    host.close();
}

/// The host resets or finalises the statement that reads the queries. The search cannot go on, and says why.
#[test]
fn a_stream_of_many_searches_says_why_it_ends() {
    let host = Host::open();
    let sql = "SELECT query_id, id FROM vec_topk_many('t', 'v', 't', 'v', 1000000)";
    let reset = |own: Statement| {
        for other in host.statements().into_iter().filter(|other| *other != own) {
            // SAFETY: see above.
            unsafe { ffi::sqlite3_reset(other) };
        }
    };
    let finalise = |own| {
        host.finalise_all_but(&HashSet::from([own]));
    };
    let harms: [&dyn Fn(Statement); 2] = [&reset, &finalise];
    for harm in harms {
        assert_eq!(host.ask(sql).len(), 3600);
        let statement = host.prepare(sql);
        for _ in 0..60 {
            host.next(statement).unwrap().unwrap();
            harm(statement);
        }
        let said = host.next(statement).unwrap_err();
        assert!(said.starts_with("vec_topk_many: ") && said.contains("expected the host to "), "{said}");
        host.finalise_all_but(&HashSet::new());
    }
    host.close();
}
