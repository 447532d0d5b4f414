// The installed package with Node's own node:sqlite, imported as modules are. tests/hosts/packages.rs calls it.
import assert from 'node:assert';
import { DatabaseSync } from 'node:sqlite';
import { getLoadablePath, load, vector } from 'fafcas';

assert.throws(() => load(new DatabaseSync(':memory:')), /allowExtension: true/);

const db = new DatabaseSync(':memory:', { allowExtension: true });
load(db);
db.exec('CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT, embedding BLOB)');
const add = db.prepare('INSERT INTO notes(body, embedding) VALUES (:text, embed(:text))');
for (const text of ['sails and masts', 'bread and butter']) add.run({ text });
const nearest = db.prepare("SELECT rowid FROM vec_topk('notes', 'embedding', embed(?), 1)");
assert.strictEqual(nearest.get('breakfast').rowid, 2);
for (const bound of [new Float32Array([0.5, -2]), vector([0.5, -2])]) {
  assert.strictEqual(db.prepare("SELECT vec_dot(?, '[2,1]') AS dot").get(bound).dot, -1);
}

// A view that the file stores may search only if that was asked for.
db.exec("CREATE VIEW nearest AS SELECT rowid FROM vec_topk('notes', 'embedding', embed('breakfast'), 1)");
assert.throws(() => db.prepare('SELECT * FROM nearest'), /unsafe use of virtual table/);
load(db, { schemaSearch: true });
assert.strictEqual(db.prepare('SELECT * FROM nearest').get().rowid, 2);

// Afterwards nothing more can be loaded.
assert.throws(() => db.loadExtension(getLoadablePath()), /not allowed/);
console.log(`node:sqlite in Node ${process.version}: SQLite ${db.prepare('SELECT sqlite_version() AS v').get().v}`);
