// The installed package with better-sqlite3. tests/hosts/packages.rs calls it in a folder that has both.
'use strict';
const assert = require('node:assert');
const Database = require('better-sqlite3');
const fafcas = require('fafcas');

const db = new Database(':memory:');
fafcas.load(db);
fafcas.load(db);
assert(process.env.FAFCAS_ONNXRUNTIME.includes('onnxruntime-node'));

db.exec('CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT, embedding BLOB)');
const add = db.prepare('INSERT INTO notes(body, embedding) VALUES (:text, embed(:text))');
for (const text of ['sails and masts', 'bread and butter']) add.run({ text });
const nearest = db.prepare("SELECT rowid FROM vec_topk('notes', 'embedding', embed(?), 1)");
assert.deepStrictEqual(nearest.get('breakfast'), { rowid: 2 });
const { runtime } = db.prepare("SELECT fafcas_info() ->> 'onnxruntime' AS runtime").get();
assert.strictEqual(runtime, '1.27.0');

// Every spelling of a vector is bound as the same bytes, the middle of a longer array too.
const bound = db.prepare('SELECT hex(?) AS bytes').pluck();
const longer = new Float32Array([9, 0.5, -2, 9]);
const expected = '0000003F000000C0';
for (const vector of [longer.subarray(1, 3), new Float32Array([0.5, -2])]) {
  assert.strictEqual(bound.get(vector), expected);
  assert.strictEqual(bound.get(fafcas.vector(vector)), expected);
}
for (const numbers of [[0.5, -2], new Float64Array([0.5, -2]), new Set([0.5, -2])]) {
  assert.strictEqual(bound.get(fafcas.vector(numbers)), expected);
}
assert.strictEqual(db.prepare("SELECT vec_dot(?, '[2,1]') AS dot").pluck().get(longer.subarray(1, 3)), -1);

// A view that the file stores may search only if that was asked for.
db.exec("CREATE VIEW nearest AS SELECT rowid FROM vec_topk('notes', 'embedding', embed('breakfast'), 1)");
assert.throws(() => db.prepare('SELECT * FROM nearest'), /unsafe use of virtual table/);
fafcas.load(db, { schemaSearch: true });
assert.deepStrictEqual(db.prepare('SELECT * FROM nearest').get(), { rowid: 2 });
fafcas.load(db);
assert.throws(() => db.prepare('SELECT * FROM nearest').get(), /unsafe use of virtual table/);

assert.throws(() => fafcas.load('notes.db'), /expected a Database of better-sqlite3/);
console.log(`better-sqlite3 in Node ${process.version}: SQLite ${db.prepare('SELECT sqlite_version()').pluck().get()}`);
