// Collections of the installed package, in the module that the first argument names. tests/hosts/packages.rs calls it.
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const { Collection, load, open, vector } = require('fafcas');

const module_ = process.argv[2];
const path = `${module_.replace(':', '-')}.db`;
const connect = (file) =>
  module_ === 'node:sqlite' ? new (require('node:sqlite').DatabaseSync)(file, { allowExtension: true }) : new (require('better-sqlite3'))(file);
const [SEA, FOOD] = ['The moon pulls the sea.', 'The dough rises.'];
// An embedding that tests can foretell, given at once or later: how often a few letters occur.
const letters = (texts) => texts.map((text) => [1, ...[...'moseadgh'].map((letter) => text.toLowerCase().split(letter).length - 1)]);
const later = async (texts) => letters(texts).map((row) => Float64Array.from(row));
const ids = (rows) => rows.map(({ id }) => id);

async function main() {
  fs.rmSync(path, { force: true });
  await whatIsAddedIsFound();
  await misspeltWordsAreFoundWithTrigrams();
  await whatIsNoRowIsRefused();
  await tablesAreAdopted();
  await theLibrarysOwnEmbedding();
  arraysAreVectors();
}

async function misspeltWordsAreFoundWithTrigrams() {
  const notes = new Collection(connect(path), 'misspelt', { embed: later });
  await notes.add([FOOD, ...Array.from({ length: 6 }, (_, at) => `Other things, ${at}.`)]);
  const ways = async () => (await notes.search('doughz', 7, { vector: letters(['x'])[0] })).filter(({ by }) => by === 'both').map(({ id }) => id);
  assert.deepStrictEqual(await ways(), []);
  notes.connection.exec("CREATE VIRTUAL TABLE pieces USING fts5 (text, content = 'misspelt', content_rowid = 'seq', tokenize = 'trigram'); INSERT INTO pieces (pieces) VALUES ('rebuild')");
  assert.deepStrictEqual(await ways(), [1]);
  notes.close();
}

async function whatIsAddedIsFound() {
  const notes = new Collection(connect(path), 'documents', { embed: later });
  assert.deepStrictEqual(await notes.add([SEA, FOOD], [{ kind: 'sea', depth: 3 }, { kind: 'food' }]), [1, 2]);
  const [best] = await notes.search('the moon and the sea');
  assert.deepStrictEqual({ ...best, score: 0 }, { id: 1, score: 0, text: SEA, metadata: { kind: 'sea', depth: 3 }, by: 'both' });
  assert.deepStrictEqual(ids(await notes.search('dough', 10, { by: 'words' })), [2]);
  assert.deepStrictEqual((await notes.search('moon', 10, { by: 'meaning' })).map(({ by }) => by), ['meaning', 'meaning']);
  const [same] = await notes.search(null, 1, { vector: letters([SEA])[0] });
  assert(Math.abs(same.score - 1) < 1e-6 && same.id === 1);
  for (const by of ['both', 'meaning', 'words']) {
    const found = await notes.search('the moon the "dough', 1, { where: "metadata ->> 'kind' = :kind -- that", params: { kind: 'food' }, by });
    assert.deepStrictEqual(ids(found), [2], by);
  }
  for (const by of ['both', 'words']) {
    const text = `\0"dough* ( \t-NEAR(${'a "b ☃ '.repeat(12_000)}`;
    assert(ids(await notes.search(text, 5, { by })).includes(2), by);
  }

  // Python's collection of the same file would have the same ids and types.
  assert.deepStrictEqual(await notes.upsert(['Tea.', 'Bread.'], null, [1, 'new']), [1, 'new']);
  const types = notes.connection.prepare('SELECT typeof(id) AS type FROM documents ORDER BY seq').all();
  assert.deepStrictEqual(types.map(({ type }) => type), ['integer', 'integer', 'text']);
  assert.deepStrictEqual(notes.get().map(({ text, metadata }) => [text, metadata]), [['Tea.', null], [FOOD, { kind: 'food' }], ['Bread.', null]]);
  assert.deepStrictEqual(ids(await notes.search('bread', 10, { by: 'words' })), ['new']);
  assert.deepStrictEqual([notes.length, notes.has('new'), notes.has(1), notes.has('other')], [3, true, true, false]);
  assert.strictEqual(notes.delete([1, 'new', 'none']), 2);

  // It is a table that any SQL may write.
  notes.connection.exec("INSERT INTO documents (id, text) VALUES ('mine', 'Salt.'); UPDATE documents SET text = 'Rye.' WHERE id = 2");
  assert.deepStrictEqual(ids(await notes.search('salt', 10, { by: 'words' })), ['mine']);
  notes.optimize();
  notes.connection.exec("INSERT INTO documents_text (documents_text, rank) VALUES ('integrity-check', 1); INSERT INTO documents_vec (documents_vec) VALUES ('check')");
  notes.connection.exec('BEGIN');
  await notes.add(null, null, null, { vectors: [Float32Array.from({ length: 9 }, () => 1)] });
  notes.connection.exec('ROLLBACK');
  assert.strictEqual(notes.length, 2);
  assert.strictEqual(notes.delete(null, { where: 'id = :id', params: { id: 'mine' } }), 1);
  notes.close();

  const again = open(path, { embed: letters });
  assert.deepStrictEqual(ids(await again.search('rye', 10, { by: 'words' })), [2]);
  again.close();
}

async function whatIsNoRowIsRefused() {
  const notes = new Collection(connect(path), 'documents', { embed: letters });
  const before = notes.get();
  const refused = (wanted, call) => assert.rejects(async () => call(), wanted);
  await refused(/expected 1 ids, not 2/, () => notes.add(['x'], null, [1, 2]));
  await refused(/there already .*see upsert/, () => notes.add(['x', 'y'], null, [3, 2]));
  await refused(/expected texts or vectors/, () => notes.add());
  await refused(/expected an array of texts/, () => notes.add('x'));
  await refused(/expected ids, not none/, () => notes.upsert(['x']));
  await refused(/vectors of 9 numbers, as documents has, not 3/, () => notes.add(null, null, null, { vectors: [[1, 2, 3]] }));
  await refused(/expected a row of numbers/, () => notes.add(null, null, null, { vectors: [1, 2] }));
  await refused(/expected an array of vectors/, () => notes.add(null, null, null, { vectors: new Float32Array(9) }));
  await refused(/expected numbers, not an array of arrays/, () => notes.add(null, null, null, { vectors: [[[1]]] }));
  await refused(/NaN/, () => notes.add(null, null, null, { vectors: [Array(9).fill(NaN)] }));
  await refused(/expected 2 vectors from embed, not 1/, () => new Collection(notes.connection, 'documents', { embed: () => [[1]] }).add(['a', 'b']));
  await refused(/both, meaning or words, not nearest/, () => notes.search('x', 1, { by: 'nearest' }));
  await refused(/other names than k/, () => notes.search('x', 1, { where: ':k', params: { k: 1 } }));
  await refused(/ids or where/, () => notes.delete());
  assert.deepStrictEqual(notes.get(), before);
  notes.close();
}

async function tablesAreAdopted() {
  const db = connect(':memory:');
  db.exec(`CREATE TABLE "my articles" (nr INTEGER PRIMARY KEY, body TEXT, kind TEXT DEFAULT 'none');
           INSERT INTO "my articles" VALUES (5, 'The moon.', 'sea'), (7, NULL, 'food')`);
  assert.throws(() => new Collection(db, 'my articles'), /expected columns id, text, metadata in my articles, which has nr/);
  const columns = { id: 'nr', text: 'body', metadata: null };
  const found = new Collection(db, 'my articles', { embed: letters, columns });
  assert.deepStrictEqual(ids(await found.search('moon', 10, { by: 'words' })), [5]);
  assert.deepStrictEqual(await found.add([SEA]), [8]);
  await found.upsert([FOOD], null, [7]);
  assert.deepStrictEqual(ids(await found.search(SEA, 1, { by: 'meaning', where: "kind = 'none'" })), [8]);
  const schema = () => db.prepare('SELECT name, sql FROM sqlite_schema').all();
  const before = schema();
  new Collection(db, 'my articles', { embed: letters, columns });
  assert.deepStrictEqual(schema(), before);
}

async function theLibrarysOwnEmbedding() {
  const notes = new Collection(connect(':memory:'), 'notes');
  await notes.add(['sails and masts', '', null, 'bread and butter']);
  assert.deepStrictEqual(notes.get(null, { vectors: true }).map(({ vector }) => vector?.length ?? null), [384, null, null, 384]);
  assert.deepStrictEqual(ids(await notes.search('breakfast', 1, { by: 'meaning' })), [4]);
  assert.strictEqual(notes.get([4], { vectors: true })[0].vector.constructor, Float32Array);
}

function arraysAreVectors() {
  const db = connect(':memory:');
  load(db);
  load(db);
  const [one] = [db.prepare('SELECT hex(?) AS bytes')];
  for (const numbers of [new Float32Array([0.5, -2]), new Float64Array([0.5, -2]), vector([0.5, -2])]) {
    assert.strictEqual(one.get(numbers).bytes, '0000003F000000C0');
    assert.strictEqual(db.prepare('SELECT hex(:v) AS bytes').get({ v: numbers }).bytes, '0000003F000000C0');
  }
  assert.strictEqual(one.get(new Int32Array([1, 2])).bytes, '0000803F00000040');
  assert.strictEqual(one.get(new Uint8Array([1, 255])).bytes, '01FF');
  assert.throws(() => one.get(new BigInt64Array([1n])), /not a BigInt64Array/);
  assert.throws(() => vector([[1, 2]]), /not an array of arrays/);
  db.exec('CREATE TABLE t (v)');
  db.prepare('INSERT INTO t VALUES (?)').run(new Float64Array([3, 4]));
  assert.strictEqual(db.prepare('SELECT hex(v) AS bytes FROM t').get().bytes, '0000404000008040');
  assert.strictEqual([...db.prepare('SELECT ? AS x UNION ALL SELECT 2').iterate(1)].length, 2);
}

main().then(
  () => console.log(`collections in ${module_}: fine`),
  (error) => {
    console.error(error);
    process.exitCode = 1;
  },
);
