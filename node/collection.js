'use strict';
// Texts with vectors in an ordinary table: the Collection of the Python package, by the same names. docs/node.md tells of it.

const { FOLDERS, load, loadedIn, vector, wholeNumber } = require('./connection.js');

const TEXTS_AT_ONCE = 1000;
// As many as vec_hybrid takes.
const MOST_WORDS = 1000;
const OURS = ['query', 'words', 'k', 'options'];
const IDENTIFIER = '(?:"((?:[^"]|"")+)"|([^\\s,()"\']+))';
const INDEX = new RegExp(`USING\\s+vec_index\\s*\\(\\s*${IDENTIFIER}\\s*,\\s*${IDENTIFIER}`, 'i');
const CONTENT = /\bcontent\s*=\s*(?:'((?:[^']|'')+)'|"((?:[^"]|"")+)"|([^\s,()"']+))/i;
const COLUMNS = { id: 'id', text: 'text', metadata: 'metadata', embedding: 'embedding' };

const quoted = (name) => `"${name.replaceAll('"', '""')}"`;
const literal = (text) => `'${text.replaceAll("'", "''")}'`;
const pathOf = (name) => (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) ? name : quoted(name));

/** The collection in a table of a database file; both are made where they are not there. */
function open(path, options = {}) {
  return new Collection(connect(path), options.table ?? 'documents', options);
}

/** A database of the module that has the library already; else of better-sqlite3 if the program has it, else of node:sqlite. */
function connect(path) {
  const better = loadedIn() === 'node:sqlite' ? undefined : betterSqlite();
  if (better) return new better(path);
  const { DatabaseSync } = require('node:sqlite');
  return new DatabaseSync(path, { allowExtension: true });
}

function betterSqlite() {
  try {
    return require(require.resolve('better-sqlite3', { paths: FOLDERS }));
  } catch (error) {
    if (error.code === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

class Collection {
  /** @param db a Database of better-sqlite3 or a DatabaseSync of node:sqlite */
  constructor(db, table = 'documents', { embed, model, columns } = {}) {
    Object.assign(this, { connection: db, table, columns: { ...COLUMNS, ...columns } });
    this._embed = embed;
    this._model = model;
    load(db);
    this._make(columns !== undefined);
  }

  // The table

  _make(adopt) {
    const { id, text, metadata, embedding } = this.columns;
    const there = this._all('SELECT name FROM pragma_table_info(?)', this.table).map(({ name }) => name);
    if (there.length === 0) {
      const json = metadata ? `\n    ${quoted(metadata)} TEXT CHECK (${quoted(metadata)} IS NULL OR json_valid(${quoted(metadata)})),` : '';
      this._run(`CREATE TABLE ${quoted(this.table)} (
    seq INTEGER PRIMARY KEY,
    ${quoted(id)} NOT NULL UNIQUE,
    ${quoted(text)} TEXT,${json}
    ${quoted(embedding)} BLOB
)`);
    } else {
      const missing = [id, text, metadata].filter((name) => name && !there.includes(name));
      if (missing.length) throw new Error(`fafcas.Collection: expected columns ${missing.join(', ')} in ${this.table}, which has ${there.join(', ')}: say columns:`);
      if (!there.includes(embedding)) {
        if (!adopt) throw new Error(`fafcas.Collection: expected a column ${embedding} in ${this.table}: say columns: to have it added`);
        this._run(`ALTER TABLE ${quoted(this.table)} ADD COLUMN ${quoted(embedding)} BLOB`);
      }
    }
    if (adopt) this._makeFullText();
    if (!this._index()) {
      this._run(`CREATE VIRTUAL TABLE ${quoted(`${this.table}_vec`)} USING vec_index(${quoted(this.table)}, ${quoted(embedding)})`);
    }
  }

  /** Once there is text: a table of vectors alone is written faster without. */
  _makeFullText() {
    if (this._words()) return;
    const [table, name, text] = [this.table, `${this.table}_text`, this.columns.text].map(quoted);
    const [key] = this._all("SELECT name FROM pragma_table_info(?) WHERE pk = 1 AND upper(type) = 'INTEGER'", this.table);
    const row = key ? quoted(key.name) : 'rowid';
    const old = `INSERT INTO ${name} (${name}, rowid, ${text}) VALUES ('delete', old.${row}, old.${text})`;
    const added = `INSERT INTO ${name} (rowid, ${text}) VALUES (new.${row}, new.${text})`;
    const trigger = (event, when, body) =>
      this._run(`CREATE TRIGGER ${quoted(`${this.table}_text_${event.split(' ')[0].toLowerCase()}`)} AFTER ${event} ON ${table} ${when} BEGIN ${body}; END`);
    this._writing(() => {
      const options = `content = ${literal(this.table)}, content_rowid = ${literal(key?.name ?? 'rowid')}`;
      this._run(`CREATE VIRTUAL TABLE ${name} USING fts5 (${text}, ${options}, tokenize = 'porter unicode61 remove_diacritics 2')`);
      this._run(`INSERT INTO ${name} (${name}) VALUES ('rebuild')`);
      trigger('INSERT', '', added);
      trigger('DELETE', '', old);
      const changed = `WHEN (old.${row}, old.${text}) IS NOT (new.${row}, new.${text})`;
      trigger(`UPDATE OF ${text}${key ? `, ${row}` : ''}`, changed, `${old}; ${added}`);
    });
  }

  /** The full text of the table. */
  _words() {
    return this._fullText("sql NOT LIKE '%trigram%'");
  }

  /** Misspelt words are found where a full text of the table is in trigrams. */
  _options() {
    const pieces = this._fullText("sql LIKE '%trigram%'");
    return pieces ? literal(JSON.stringify({ fuzzy: pathOf(pieces) })) : 'NULL';
  }

  _fullText(kind) {
    const tables = this._all(`SELECT name, sql FROM sqlite_schema WHERE sql LIKE '%USING%fts5%' AND ${kind} ORDER BY rowid`);
    const found = tables.find(({ sql }) => {
      const [, single, double, bare] = CONTENT.exec(sql) ?? [];
      return (single?.replaceAll("''", "'") ?? double?.replaceAll('""', '"') ?? bare) === this.table;
    });
    return found?.name;
  }

  _index() {
    const tables = this._all("SELECT name, sql FROM sqlite_schema WHERE sql LIKE '%vec_index%'");
    const found = tables.find(({ sql }) => {
      const [, table, bareTable, column, bareColumn] = INDEX.exec(sql) ?? [];
      return (table?.replaceAll('""', '"') ?? bareTable) === this.table && (column?.replaceAll('""', '"') ?? bareColumn) === this.columns.embedding;
    });
    return found?.name;
  }

  // Writing

  /** Adds rows and gives their ids, which are numbers where none are named. All of them or none. */
  add(texts, metadata, ids, { vectors } = {}) {
    return this._write(texts, metadata, ids, vectors, '');
  }

  /** Adds rows, or replaces the text, metadata and vector of those whose ids are there. */
  async upsert(texts, metadata, ids, { vectors } = {}) {
    if (!ids) throw new Error('fafcas.Collection.upsert: expected ids, not none');
    const { id, text, metadata: json, embedding } = this.columns;
    const update = [text, json, embedding].filter(Boolean).map((name) => `${quoted(name)} = excluded.${quoted(name)}`);
    return this._write(texts, metadata, ids, vectors, ` ON CONFLICT (${quoted(id)}) DO UPDATE SET ${update.join(', ')}`);
  }

  async _write(texts, metadata, ids, vectors, conflict) {
    [texts, metadata, ids, vectors] = [texts, metadata, ids, vectors].map((values, at) => asArray(values, ['texts', 'metadata', 'ids', 'vectors'][at]));
    if (!texts && !vectors) throw new Error('fafcas.Collection: expected texts or vectors, not neither');
    const number = (vectors ?? texts).length;
    for (const [what, values] of Object.entries({ texts, metadata, ids })) {
      if (values && values.length !== number) throw new Error(`fafcas.Collection: expected ${number} ${what}, not ${values.length}`);
    }
    const columns = this.columns;
    if (metadata && !columns.metadata) throw new Error(`fafcas.Collection: expected no metadata, as ${this.table} has no column for it`);
    if (number === 0) return [];
    const jsons = metadata?.map((each) => (each == null ? null : JSON.stringify(each)));
    const blobs = vectors ? vectors.map(asBlob) : await this._embedded(texts);
    this._checkLengths(blobs);
    if (texts) this._makeFullText();
    return this._writing(() => {
      const named = ids ?? this._newIds(number);
      const parts = [[columns.id, named.map(wholeNumber)]];
      if (texts || conflict) parts.push([columns.text, texts ?? Array(number).fill(null)]);
      if (columns.metadata && (jsons || conflict)) parts.push([columns.metadata, jsons ?? Array(number).fill(null)]);
      parts.push([columns.embedding, blobs]);
      const places = parts.map((_, at) => (at === parts.length - 1 ? 'fafcas_normalize(?)' : '?'));
      const names = parts.map(([name]) => quoted(name)).join(', ');
      const statement = this.connection.prepare(`INSERT INTO ${quoted(this.table)} (${names}) VALUES (${places.join(', ')})${conflict}`);
      try {
        for (let at = 0; at < number; at += 1) statement.run(...parts.map(([, values]) => values[at]));
      } catch (cause) {
        if (!/UNIQUE constraint failed/.test(cause.message)) throw cause;
        throw new Error(`fafcas.Collection.add: expected new ids, not one that is there already (${cause.message}): see upsert`, { cause });
      }
      return named;
    });
  }

  _newIds(number) {
    // Numbers come before all texts.
    const key = quoted(this.columns.id);
    const [{ last }] = this._all(`SELECT coalesce(max(${key}), 0) AS last FROM ${quoted(this.table)} WHERE ${key} < ''`);
    return Array.from({ length: number }, (_, at) => Number(last) + 1 + at);
  }

  /** A vector of another length than those there would be an error of every search. */
  _checkLengths(blobs) {
    const column = quoted(this.columns.embedding);
    const [row] = this._all(`SELECT length(${column}) AS size FROM ${quoted(this.table)} WHERE ${column} IS NOT NULL LIMIT 1`);
    const wanted = row?.size ?? blobs.find((blob) => blob?.length)?.length;
    const other = blobs.find((blob) => blob?.length && blob.length !== wanted);
    if (other) throw new Error(`fafcas.Collection: expected vectors of ${wanted / 4} numbers, as ${this.table} has, not ${other.length / 4}`);
  }

  /** A vector for each text, and none for those that say nothing. */
  async _embedded(texts) {
    const wanted = [...texts.keys()].filter((at) => texts[at]?.trim());
    const vectors = Array(texts.length).fill(null);
    for (let begin = 0; begin < wanted.length; begin += TEXTS_AT_ONCE) {
      const places = wanted.slice(begin, begin + TEXTS_AT_ONCE);
      const found = await this._vectorsOf(places.map((at) => texts[at]));
      places.forEach((at, place) => (vectors[at] = found[place]));
    }
    return vectors;
  }

  async _vectorsOf(texts) {
    if (this._embed) {
      const found = [...(await this._embed(texts))].map(asBlob);
      if (found.length !== texts.length) throw new Error(`fafcas.Collection: expected ${texts.length} vectors from embed, not ${found.length}`);
      return found;
    }
    // Through a table of its own, so that texts of one length go together, and no other program waits meanwhile.
    return this._writing(() => {
      this._run('CREATE TEMP TABLE fafcas_texts (seq INTEGER PRIMARY KEY, text TEXT)');
      const insert = this.connection.prepare('INSERT INTO temp.fafcas_texts VALUES (?, ?)');
      texts.forEach((text, at) => insert.run(BigInt(at), text));
      const model = this._model ? [this._model] : [];
      const rows = this._all(`SELECT rowid AS at, embedding FROM embed_rows('temp.fafcas_texts', 'text'${model.length ? ', ?' : ''})`, ...model);
      this._run('DROP TABLE temp.fafcas_texts');
      const found = new Map(rows.map(({ at, embedding }) => [Number(at), embedding]));
      return texts.map((_, at) => found.get(at));
    });
  }

  /** Deletes the rows with these ids, or those that meet a condition, and gives how many that were. */
  delete(ids, { where, params } = {}) {
    if ((ids == null) === (where == null)) throw new Error('fafcas.Collection.delete: expected ids or where, and not both');
    const [condition, values] = this._condition(ids, where, params);
    return this._writing(() => Number(this.connection.prepare(`DELETE FROM ${quoted(this.table)} WHERE ${condition}`).run(...values).changes));
  }

  /** Brings what was added since into the index and the full text as a whole: after much has changed. */
  optimize() {
    this._writing(() => {
      for (const [name, what] of [[this._index(), 'merge'], [this._words(), 'optimize']]) {
        if (name) this._run(`INSERT INTO ${quoted(name)} (${quoted(name)}) VALUES ('${what}')`);
      }
    });
  }

  // Reading

  /** The k best rows: by meaning and words at once, or by one of them. There are k whenever enough meet `where`. */
  async search(question, k = 10, { where, params, vector: given, by = 'both' } = {}) {
    if (!['both', 'meaning', 'words'].includes(by)) throw new Error(`fafcas.Collection.search: expected by to be both, meaning or words, not ${by}`);
    if (question == null && (given == null || by === 'words')) throw new Error('fafcas.Collection.search: expected a question or a vector, not neither');
    const words = this._words();
    if (by === 'words' && !words) return [];
    const values = { ...ownNames(params), k: BigInt(k) };
    let way = by;
    if (way === 'both' && (question == null || !words)) way = 'meaning';
    if (way !== 'words') values.query = given == null ? await this._vectorOfQuestion(question) : asBlob(given);
    if (way === 'both') values.words = question;
    if (way === 'words') values.words = anyWord(question);
    const rows = this._all(this._statement(way, words, where), values);
    return rows.map(({ id, score, text, metadata, vec, fts }) => {
      const reason = way !== 'both' ? way : vec == null ? 'words' : fts == null ? 'meaning' : 'both';
      return { id, score, text, metadata: fromJson(metadata), by: reason };
    });
  }

  async _vectorOfQuestion(question) {
    if (this._embed) return (await this._vectorsOf([question]))[0];
    // With the model's prompt for questions, where rows have that for documents.
    const model = this._model ? [this._model] : [];
    return this._all(`SELECT embed_query(?${model.length ? ', ?' : ''}) AS vector`, question, ...model)[0].vector;
  }

  _statement(way, words, where) {
    const { id, text, metadata, embedding } = this.columns;
    const names = `${literal(pathOf(this.table))}, ${literal(embedding)}`;
    // A condition on rowids, as a column of the user's may have the name of one of the search.
    const meets = where == null ? '' : `WHERE s.rowid IN (SELECT rowid FROM ${quoted(this.table)} WHERE (${where}\n))`;
    // Without k these give all rows, best first, so that there are k that meet the condition.
    const most = where == null ? ', :k' : '';
    const normal = 'fafcas_normalize(:query)';
    const sources = {
      meaning: `SELECT rowid, score, rank, NULL AS vec, NULL AS fts FROM vec_topk(${names}, ${normal}${most}) AS s ${meets} ORDER BY score DESC LIMIT :k`,
      both: `SELECT rowid, score, rank, by_vector AS vec, by_words AS fts
             FROM vec_hybrid(${names}, ${literal(pathOf(words ?? ''))}, ${normal}, :words, ${where == null ? ':k' : 'NULL'}, ${this._options()}) AS s ${meets} ORDER BY rank LIMIT :k`,
      words: `SELECT rowid, -rank AS score, rank, NULL AS vec, NULL AS fts
              FROM ${quoted(words ?? '')} AS s ${meets || 'WHERE true'} AND ${quoted(words ?? '')} MATCH :words ORDER BY rank, rowid LIMIT :k`,
    };
    return `WITH hits AS MATERIALIZED (${sources[way]})
SELECT d.${quoted(id)} AS id, h.score, d.${quoted(text)} AS text, ${metadata ? `d.${quoted(metadata)}` : 'NULL'} AS metadata, h.vec, h.fts
FROM hits AS h JOIN ${quoted(this.table)} AS d ON d.rowid = h.rowid ORDER BY h.rank`;
  }

  /** The rows with these ids, or those that meet a condition, or all; with their vectors if that is asked for. */
  get(ids, { where, params, limit, vectors = false } = {}) {
    const { id, text, metadata, embedding } = this.columns;
    const [condition, values] = this._condition(ids, where, params);
    const named = [id, text, metadata, vectors ? embedding : null].map((name) => (name ? quoted(name) : 'NULL'));
    const sql = `SELECT ${named[0]} AS id, ${named[1]} AS text, ${named[2]} AS metadata, ${named[3]} AS vector
                 FROM ${quoted(this.table)} WHERE ${condition} ORDER BY rowid LIMIT ${limit == null ? -1 : Math.trunc(limit)}`;
    return this._all(sql, ...values).map((row) => ({ id: row.id, text: row.text, metadata: fromJson(row.metadata), vector: asFloats(row.vector) }));
  }

  _condition(ids, where, params) {
    const values = ownNames(params);
    const conditions = ['true'];
    if (ids != null) {
      conditions.push(`${quoted(this.columns.id)} IN (SELECT value FROM json_each(:query))`);
      values.query = JSON.stringify([...ids]);
    }
    if (where != null) conditions.push(`(${where}\n)`);
    return [conditions.join(' AND '), Object.keys(values).length ? [values] : []];
  }

  get length() {
    return Number(this._all(`SELECT count(*) AS number FROM ${quoted(this.table)}`)[0].number);
  }

  has(id) {
    return this._all(`SELECT 1 FROM ${quoted(this.table)} WHERE ${quoted(this.columns.id)} = ?`, wholeNumber(id)).length > 0;
  }

  close() {
    this.connection.close();
  }

  _run(sql) {
    this.connection.exec(sql);
  }

  _all(sql, ...values) {
    return this.connection.prepare(sql).all(...values);
  }

  /** One transaction, or a part of the one that is open. */
  _writing(work) {
    this._run('SAVEPOINT fafcas');
    try {
      const result = work();
      this._run('RELEASE fafcas');
      return result;
    } catch (error) {
      this._run('ROLLBACK TO fafcas');
      this._run('RELEASE fafcas');
      throw error;
    }
  }
}

/** The FTS5 expression for any of the words of a text: each is quoted, so that no sign in it has a meaning. */
function anyWord(text) {
  const words = new Set(text.split(/[\s"\0]+/).filter(Boolean));
  return [...words].slice(0, MOST_WORDS).map((word) => `"${word}"`).join(' OR ') || '""';
}

function ownNames(params) {
  const taken = OURS.filter((name) => Object.hasOwn(params ?? {}, name));
  if (taken.length) throw new Error(`fafcas.Collection: expected params of other names than ${taken.join(', ')}`);
  return { ...params };
}

function asArray(values, what) {
  if (values == null) return undefined;
  if (typeof values === 'string' || ArrayBuffer.isView(values)) throw new TypeError(`fafcas.Collection: expected an array of ${what}, not one of them alone`);
  return [...values];
}

function asBlob(numbers) {
  if (Buffer.isBuffer(numbers) || numbers instanceof Uint8Array) return numbers;
  if (numbers == null || typeof numbers === 'number') throw new TypeError(`fafcas.Collection: expected a row of numbers for each vector, not ${numbers}`);
  return vector(numbers);
}

function asFloats(blob) {
  if (blob == null) return null;
  const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
  return Float32Array.from({ length: blob.byteLength / 4 }, (_, at) => view.getFloat32(4 * at, true));
}

function fromJson(metadata) {
  const found = metadata == null ? null : JSON.parse(metadata);
  return typeof found === 'object' && !Array.isArray(found) ? found : null;
}

module.exports = { Collection, open };
