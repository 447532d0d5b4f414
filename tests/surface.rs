//! Every name that the library adds to SQL, with how far SQLite may trust it. A name that is not here is a mistake.

#![allow(clippy::unwrap_used)]

mod support;

use rusqlite::Connection;
use std::collections::BTreeSet;

/// Aggregates, which are window functions too: name, number of arguments, flags.
const AGGREGATES: &[(&str, i64, i64)] = &[("vec_avg", 1, ON_VECTORS), ("vec_sum", 1, ON_VECTORS)];

/// Functions: name, number of arguments, flags.
const FUNCTIONS: &[(&str, i64, i64)] = &[
    // These two stand behind FTS5's own of the name, which no pragma lists.
    ("bm25_bound", -1, PLAIN),
    ("bm25_share", -1, PLAIN),
    ("embed", 1, DETERMINISTIC),
    ("embed", 2, DETERMINISTIC),
    ("embed_query", 1, DETERMINISTIC),
    ("embed_query", 2, DETERMINISTIC),
    ("embed_tokens", 1, DETERMINISTIC),
    ("embed_tokens", 2, DETERMINISTIC),
    ("fafcas_config", 1, DIRECTONLY),
    ("fafcas_config", 2, DIRECTONLY),
    ("fafcas_info", 0, PLAIN),
    ("fafcas_normalize", 1, ON_VECTORS),
    ("rrf", -1, DETERMINISTIC | INNOCUOUS),
    ("vec_add", 2, ON_VECTORS),
    ("vec_bf16", 1, ON_VECTORS),
    ("vec_bf16", 2, ON_VECTORS),
    ("vec_bit", 1, ON_VECTORS),
    ("vec_distance_cosine", 2, ON_VECTORS),
    ("vec_distance_hamming", 2, ON_VECTORS),
    ("vec_distance_l1", 2, ON_VECTORS),
    ("vec_distance_l2", 2, ON_VECTORS),
    ("vec_dot", 2, ON_VECTORS),
    ("vec_f16", 1, ON_VECTORS),
    ("vec_f16", 2, ON_VECTORS),
    ("vec_f32", 1, ON_VECTORS),
    ("vec_int8", 1, ON_VECTORS),
    ("vec_length", 1, ON_VECTORS),
    ("vec_normalize", 1, ON_VECTORS),
    ("vec_quantize_binary", 1, ON_VECTORS),
    ("vec_quantize_int8", 2, ON_VECTORS),
    ("vec_slice", 3, ON_VECTORS),
    ("vec_sub", 2, ON_VECTORS),
    ("vec_to_json", 1, ON_VECTORS),
    ("vec_type", 1, ON_VECTORS),
    ("vec_version", 0, DETERMINISTIC | INNOCUOUS),
];

/// Table functions and modules, and whether views and triggers that a file stores may use them.
const MODULES: &[(&str, bool)] = &[
    ("chunk", true),
    ("embed_rows", false),
    ("fafcas_audit", false),
    ("fafcas_health", false),
    ("fafcas_models", true),
    ("fafcas_selftest", false),
    ("vec_each", true),
    ("vec_hybrid", false),
    // It is made by CREATE VIRTUAL TABLE, and reads no other table than that it was made for.
    ("vec_index", true),
    ("vec_map", false),
    ("vec_mmr", false),
    ("vec_stats", false),
    ("vec_topk", false),
    ("vec_topk_many", false),
    ("vec_trace", false),
];

const PLAIN: i64 = 0;
const DETERMINISTIC: i64 = 0x800;
const DIRECTONLY: i64 = 0x8_0000;
const INNOCUOUS: i64 = 0x20_0000;
const SUBTYPE: i64 = 0x10_0000;
const ON_VECTORS: i64 = DETERMINISTIC | INNOCUOUS | SUBTYPE;

/// One test, as what the second half registers is there for the whole process.
#[test]
fn both_doors_add_these_names_and_no_others() {
    let loaded = Connection::open_in_memory().unwrap();
    let (functions, modules) = (functions(&loaded), modules(&loaded));
    support::load(&loaded, &support::library()).unwrap();
    assert_added(&loaded, &functions, &modules);

    fafcas::register_auto_extension().unwrap();
    assert_added(&Connection::open_in_memory().unwrap(), &functions, &modules);
}

type Functions = BTreeSet<(String, String, i64, i64)>;

fn assert_added(connection: &Connection, functions_before: &Functions, modules_before: &BTreeSet<String>) {
    let added: Vec<_> = functions(connection).difference(functions_before).cloned().collect();
    let added: Vec<_> =
        added.iter().map(|(name, kind, arguments, flags)| (&**name, &**kind, *arguments, *flags)).collect();
    let functions = FUNCTIONS.iter().map(|&(name, arguments, flags)| (name, "s", arguments, flags));
    let aggregates = AGGREGATES.iter().map(|&(name, arguments, flags)| (name, "w", arguments, flags));
    let mut expected: Vec<_> = functions.chain(aggregates).collect();
    expected.sort_unstable();
    assert_eq!(added, expected);
    let added: Vec<_> = modules(connection).difference(modules_before).cloned().collect();
    assert_eq!(added, MODULES.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    for (name, is_for_views) in MODULES {
        assert_eq!(views_may_use(connection, name), *is_for_views, "{name}");
    }
}

fn views_may_use(connection: &Connection, module: &str) -> bool {
    connection.execute_batch(&format!("CREATE VIEW use_of_{module} AS SELECT * FROM {module}")).unwrap();
    let compiled = connection.prepare(&format!("SELECT * FROM use_of_{module}"));
    compiled.err().is_none_or(|error| !error.to_string().contains("unsafe use of virtual table"))
}

/// Name, type (`s`calar, `a`ggregate, `w`indow), arguments, flags.
fn functions(connection: &Connection) -> Functions {
    let sql = "SELECT name, type, narg, flags FROM pragma_function_list";
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

fn modules(connection: &Connection) -> BTreeSet<String> {
    let mut statement = connection.prepare("SELECT name FROM pragma_module_list").unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}
