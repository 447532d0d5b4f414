// What the WASM module promises beside its SQL: module.mjs PACKAGE MODELS
//
// Values both ways, errors, locks between connections, files, a model, and a module that stops.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';

const [folder, models] = process.argv.slice(2);
const { MemoryFiles, OpfsFiles, SqliteError, isSupported, load } = await import(pathToFileURL(join(folder, 'index.js')));
const NOTES = ['Yeast turns sugar into gas, so the dough rises.', 'The moon pulls the sea into two bulges.', 'A sail is a wing that stands upright.'];

async function withModel(options) {
  const fafcas = await load(options);
  await fafcas.loadModel('static-MiniLM', pathToFileURL(join(models, 'static-MiniLM/')));
  return fafcas;
}

test('every check of fafcas_selftest() holds, with the kernels of SIMD', async () => {
  const db = (await withModel()).open();
  const rows = db.all('SELECT name, ok, detail FROM fafcas_selftest()');
  assert.deepEqual(rows.filter((row) => row.ok !== 1), []);
  for (const name of ['kernels simd128', 'codes simd128', 'bounds simd128', 'kernels scalar', 'index check', 'embed']) {
    assert.ok(rows.some((row) => row.name === name), name);
  }
  assert.match(rows.find((row) => row.name === 'embed').detail, /^static-MiniLM, \d+ dimensions$/);
  const info = JSON.parse(db.get('SELECT fafcas_info() AS info').info);
  assert.equal(info.kernels, 'simd128');
  assert.equal(info.model, 'static-MiniLM');
});

test('the scalar kernels give the same rows as those of SIMD', async () => {
  const answers = [];
  for (const kernels of ['simd128', 'scalar']) {
    const db = (await load({ environment: { FAFCAS_KERNELS: kernels } })).open();
    assert.equal(JSON.parse(db.get('SELECT fafcas_info() AS info').info).kernels, kernels);
    db.exec(`CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB);
      WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 3000)
      INSERT INTO t SELECT n, (SELECT fafcas_normalize(json_group_array((n * 7919 + value * 104729) % 1009 - 504)) FROM generated) FROM n`
      .replace('generated', "json_each('[' || substr(replace(hex(zeroblob(24)), '00', ',1'), 2) || ']')"));
    db.exec('CREATE VIRTUAL TABLE t_vec USING vec_index(t, v)');
    answers.push(db.all(`SELECT q.id, group_concat(h.id) AS found FROM t AS q, vec_topk('t', 'v', q.v, 10) AS h WHERE q.id % 100 = 0 GROUP BY q.id`));
    assert.deepEqual(db.all(`SELECT q.id, group_concat(h.id) AS found FROM t AS q, vec_topk('t', 'v', q.v, 10, '{"index": false}') AS h
      WHERE q.id % 100 = 0 GROUP BY q.id`), answers.at(-1));
  }
  assert.equal(answers[0].length, 30);
  assert.deepEqual(answers[0], answers[1]);
});

test('a question finds its note by meaning, and through an index', async () => {
  const db = (await withModel()).open();
  db.exec('CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT, embedding BLOB)');
  for (const note of NOTES) db.run('INSERT INTO notes (body, embedding) VALUES (:note, embed(:note))', { note });
  const ask = () => db.get("SELECT n.body FROM vec_topk('notes', 'embedding', embed_query(?), 1) AS t JOIN notes AS n ON n.id = t.rowid", ['why are there tides']).body;
  assert.equal(ask(), NOTES[1]);
  db.exec('CREATE VIRTUAL TABLE notes_vec USING vec_index(notes, embedding)');
  assert.equal(ask(), NOTES[1]);
  db.run('DELETE FROM notes WHERE id = 2');
  assert.notEqual(ask(), NOTES[1]);
});

test('values go both ways', async () => {
  const db = (await load()).open();
  const same = (value, expected = value) => assert.deepEqual(db.get('SELECT ? AS v', [value]).v, expected);
  [null, 0, 1.5, -7, 'größe 🧭', '', 'a\0b', 2 ** 53 - 1, new Uint8Array([0, 255]), new Uint8Array(0)].forEach((value) => same(value));
  same(2n ** 62n);
  same(5n, 5);
  same(true, 1);
  same(undefined, null);
  same(Float32Array.of(1, 2), new Uint8Array(Float32Array.of(1, 2).buffer));
  assert.equal(db.get('SELECT vec_dot(?, ?) AS v', [Float64Array.of(1, 2), [1, 2].toString && '[3,4]']).v, 11);
  assert.deepEqual(db.rows('SELECT 1 AS a, 2 AS a'), { columns: ['a', 'a'], rows: [[1, 2]] });
  assert.deepEqual(db.all('SELECT :a AS x, $b AS y, @c AS z', { a: 1, $b: 2, c: 3 }), [{ x: 1, y: 2, z: 3 }]);
  assert.equal(db.get('SELECT 1 WHERE 0'), undefined);
  db.exec('CREATE TABLE t (x); INSERT INTO t VALUES (1), (2);');
  assert.deepEqual(db.run('UPDATE t SET x = x + 1'), { changes: 2, lastInsertRowid: 2 });
  assert.throws(() => db.get('SELECT ?', [{}]), /^TypeError: expected null, a number, a text or bytes to bind, not object/);
  assert.throws(() => db.get('SELECT ?', [2n ** 63n]), RangeError);
  assert.throws(() => db.get('SELECT 1', [1]), /expected 0 values, not 1/);
  assert.throws(() => db.get('SELECT :a', { b: 1 }), /expected a parameter of the statement, not b/);
  assert.throws(() => db.all(' -- nothing'), /expected an SQL statement, not an empty text/);
  assert.throws(() => db.all('SELECT 1; SELECT 2'), /expected one SQL statement, not several/);
  assert.deepEqual(db.all('SELECT 1 AS x; -- and no more'), [{ x: 1 }]);
});

test('errors are those of SQLite and of fafcas, and the connection goes on', async () => {
  const db = (await load()).open();
  const refused = (sql, message, code) => assert.throws(() => db.exec(sql), (error) => {
    assert.ok(error instanceof SqliteError);
    assert.deepEqual([error.message, error.code], [message, code]);
    return true;
  });
  refused('SELECT * FROM missing', 'no such table: missing', 1);
  refused("SELECT vec_dot('[1]', '[1,2]')", 'vec_dot: expected two vectors of 1 dimensions, not 2', 1);
  refused('CREATE TABLE t (x UNIQUE); INSERT INTO t VALUES (1), (1)', 'UNIQUE constraint failed: t.x', 2067);
  assert.throws(() => db.exec("SELECT embed('x')"), /expected a model static-MiniLM in \/models, not none: hand it to the module first, by loadModel\(\) or addModel\(\)$/);
  assert.equal(db.get('SELECT count(*) AS n FROM t').n, 0);
  db.close();
  db.close();
  assert.throws(() => db.exec('SELECT 1'), /expected a database that is open/);
});

test('a transaction is all or nothing', async () => {
  const db = (await load()).open();
  db.exec('CREATE TABLE t (x)');
  assert.equal(db.transaction(() => db.run('INSERT INTO t VALUES (1)').changes), 1);
  assert.throws(() => db.transaction(() => {
    db.run('INSERT INTO t VALUES (2)');
    throw new Error('no');
  }), /^Error: no$/);
  assert.deepEqual(db.all('SELECT x FROM t'), [{ x: 1 }]);
});

test('files stay when a connection is closed, and connections of one file wait for each other', async () => {
  for (const mode of ['delete', 'truncate', 'wal']) {
    const files = new MemoryFiles();
    const fafcas = await load({ files });
    const [one, two] = [fafcas.open('notes.db'), fafcas.open('notes.db')];
    assert.equal(one.get(`PRAGMA journal_mode = ${mode}`).journal_mode, mode);
    one.exec('CREATE TABLE t (x); BEGIN IMMEDIATE; INSERT INTO t VALUES (1)');
    assert.throws(() => two.exec('BEGIN IMMEDIATE'), { message: 'database is locked', code: 5 });
    assert.equal(two.get('SELECT count(*) AS n FROM t').n, 0);
    one.exec('COMMIT');
    assert.equal(two.get('SELECT count(*) AS n FROM t').n, 1);
    // A reader keeps the writer from ending, but in WAL.
    two.exec('BEGIN; SELECT * FROM t');
    if (mode === 'wal') one.exec('INSERT INTO t VALUES (2)');
    else assert.throws(() => one.exec('INSERT INTO t VALUES (2)'), { message: 'database is locked' });
    two.exec('COMMIT');
    one.close();
    two.close();
    assert.ok(files.names().every((name) => name === 'notes.db' || files.get(name).length === 0), files.names().join());
    assert.equal(fafcas.open('notes.db').get('PRAGMA integrity_check').integrity_check, 'ok');
    // The same file in another module, as after a reload.
    const again = await load({ files });
    assert.equal(again.open('notes.db', { readOnly: true }).get('SELECT count(*) AS n FROM t').n, mode === 'wal' ? 2 : 1);
    assert.throws(() => again.open('nothing.db', { readOnly: true }), { message: 'unable to open database file' });
    assert.throws(() => again.open('notes.db', { readOnly: true }).exec('DELETE FROM t'), /readonly/);
  }
});

test('what a module had not committed is rolled back by the next', async () => {
  const files = new MemoryFiles();
  const one = (await load({ files })).open('notes.db');
  one.exec('PRAGMA cache_size = 5; CREATE TABLE t (x); INSERT INTO t VALUES (1)');
  // More than the cache holds, so that the file itself is changed; then the module is left as a closed tab leaves it.
  one.exec("BEGIN; INSERT INTO t SELECT hex(randomblob(2000)) FROM json_each('[' || substr(replace(hex(zeroblob(50)), '00', ',1'), 2) || ']')");
  assert.ok(files.get('notes.db-journal').length > 0);
  const two = (await load({ files })).open('notes.db');
  assert.deepEqual(two.all('SELECT x FROM t'), [{ x: 1 }]);
  assert.equal(two.get('PRAGMA integrity_check').integrity_check, 'ok');
});

test('a storage that is full is an error, and nothing is lost', async () => {
  const files = new MemoryFiles();
  const fafcas = await load({ files });
  const db = fafcas.open('notes.db');
  db.exec('CREATE TABLE t (x); INSERT INTO t VALUES (1)');
  const write = files.files.get('notes.db').write;
  files.files.get('notes.db').write = () => { throw new Error('expected room in the storage of the browser'); };
  assert.throws(() => db.exec('INSERT INTO t VALUES (zeroblob(100000))'), { name: 'SqliteError', message: 'database or disk is full (expected room in the storage of the browser)' });
  files.files.get('notes.db').write = write;
  assert.deepEqual(db.all('SELECT x FROM t'), [{ x: 1 }]);
});

test('a database goes out as bytes and comes back', async () => {
  const fafcas = await load();
  const db = fafcas.open();
  db.exec("CREATE TABLE t (x); INSERT INTO t VALUES ('kept')");
  const bytes = db.export();
  assert.equal(new TextDecoder().decode(bytes.subarray(0, 15)), 'SQLite format 3');
  const back = fafcas.openBytes(bytes);
  back.exec("INSERT INTO t SELECT hex(zeroblob(20000)); DELETE FROM t WHERE x <> 'kept'");
  assert.deepEqual(back.all('SELECT x FROM t'), [{ x: 'kept' }]);
  assert.throws(() => db.export('nothing'), /expected a database called nothing/);
  assert.throws(() => fafcas.openBytes(new TextEncoder().encode('no database'.repeat(100))).exec('SELECT * FROM sqlite_schema'), /file is not a database/);
});

test('where there is no memory, statements fail and the connection goes on', async () => {
  const fafcas = await load();
  const db = fafcas.open();
  db.exec('CREATE TABLE t (x)');
  assert.throws(() => db.exec('SELECT zeroblob(1e10)'), { message: 'string or blob too big', code: 18 });
  // All that a module can have is taken, without being used, but for 20 MB.
  const page = 65536;
  fafcas.memory.grow(2 ** 32 / page - fafcas.memory.buffer.byteLength / page - 320);
  assert.throws(() => db.exec('INSERT INTO t VALUES (zeroblob(100000000))'), { message: 'out of memory', code: 7 });
  assert.throws(() => db.run('INSERT INTO t VALUES (?)', [new Uint8Array(1e8)]), { message: 'out of memory', code: 7 });
  db.exec("INSERT INTO t VALUES (fafcas_normalize('[3,4]'))");
  assert.equal(db.get("SELECT score FROM vec_topk('t', 'x', '[1,0]', 1)").score.toFixed(3), '0.600');
});

test('expressions as deep as SQLite lets them be', async () => {
  const db = (await load()).open();
  assert.equal(db.get(`SELECT ${'1+'.repeat(990)}1 AS x`).x, 991);
  assert.throws(() => db.get(`SELECT ${'1+'.repeat(1100)}1`), /Expression tree is too large \(maximum depth 1000\)/);
  assert.equal(db.get(`SELECT json_valid('${'['.repeat(990)}${']'.repeat(990)}') AS x`).x, 1);
  // A trigger that starts itself.
  db.exec('PRAGMA recursive_triggers = 1; CREATE TABLE t (x); CREATE TRIGGER g AFTER INSERT ON t WHEN new.x < 900 BEGIN INSERT INTO t VALUES (new.x + 1); END; INSERT INTO t VALUES (1)');
  assert.equal(db.get('SELECT count(*) AS n FROM t').n, 900);
});

test('a module that stops says so from then on, and another one works', async () => {
  const fafcas = await load();
  const db = fafcas.open();
  // As a fault in its code would: an address that is none.
  const stopped = /^Error: fafcas: the module has stopped, load\(\) another one: memory access out of bounds/;
  assert.throws(() => fafcas.calls.sqlite3_free(0xfffffff0), stopped);
  assert.throws(() => db.exec('SELECT 1'), stopped);
  assert.throws(() => db.close(), stopped);
  assert.equal((await load()).open().get('SELECT 1 AS x').x, 1);
});

test('what the platform lacks is told', async () => {
  assert.ok(isSupported());
  await assert.rejects(OpfsFiles.open(), /^Error: fafcas: expected a browser that keeps files for a site \(OPFS\)/);
  const { validate } = WebAssembly;
  WebAssembly.validate = () => false;
  try {
    await assert.rejects(load(), /^Error: fafcas: expected WebAssembly with SIMD, as Chrome 91, Firefox 89, Safari 16.4 and Node 18 have it, or newer$/);
  } finally {
    WebAssembly.validate = validate;
  }
  await assert.rejects(load({ wasm: pathToFileURL('/nowhere/fafcas.wasm') }), /ENOENT/);
  const fafcas = await load();
  assert.throws(() => fafcas.addModel('../x', {}), /expected a name of letters, digits, points and dashes, not \.\.\/x/);
});
