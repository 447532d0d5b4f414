// SQLite with fafcas inside, for browsers and Node. docs/wasm.md tells how to use it.

import { FileImports, MemoryFiles } from './files.js';
import { Wasi } from './wasi.js';

export { MemoryFiles, OpfsFiles } from './files.js';

const ROW = 100, DONE = 101, OK = 0;
const INTEGER = 1, FLOAT = 2, TEXT = 3, BLOB = 4;
const READ_ONLY = 1, READ_WRITE = 2, CREATE = 4, URI = 0x40;
const FREE_ON_CLOSE = 1, RESIZEABLE = 2;

const utf8 = new TextEncoder();
const text = new TextDecoder();

/** What SQLite or fafcas says, with SQLite's extended result code. */
export class SqliteError extends Error {
  constructor(message, code) {
    super(message);
    this.name = 'SqliteError';
    this.code = code;
  }
}

/** Whether this browser, or this Node, runs the module: it has vectors of 128 bits. */
export function isSupported() {
  // A function that makes a vector of zeros and takes a lane of it.
  const module = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 10, 9, 1, 7, 0, 65, 0, 253, 15, 26, 11];
  return typeof WebAssembly === 'object' && WebAssembly.validate(new Uint8Array(module));
}

/** Loads the module. */
export async function load({ wasm, files = new MemoryFiles(), environment = {} } = {}) {
  if (!isSupported()) {
    throw new Error('fafcas: expected WebAssembly with SIMD, as Chrome 91, Firefox 89, Safari 16.4 and Node 18 have it, or newer');
  }
  const wasi = new Wasi({ FAFCAS_MODEL_DIR: '/models', ...environment });
  const storage = new FileImports(files);
  const { instance } = await instantiate(wasm ?? new URL('./fafcas.wasm', import.meta.url), {
    wasi_snapshot_preview1: wasi.imports(),
    files: storage.imports(),
  });
  wasi.memory = storage.memory = instance.exports.memory;
  wasi.put('models/.keep', new Uint8Array(0));
  return new Fafcas(instance.exports, wasi, storage);
}

async function instantiate(source, imports) {
  if (source instanceof WebAssembly.Module) return { instance: await WebAssembly.instantiate(source, imports) };
  return WebAssembly.instantiate(await bytesOf(source), imports);
}

/** Bytes of a URL, of the answer of `fetch`, or bytes. Node's `fetch` reads no files. */
async function bytesOf(source) {
  source = await source;
  if (source instanceof URL && source.protocol === 'file:') {
    const { readFile } = await import('node:fs/promises');
    return readFile(source);
  }
  if (source instanceof URL || typeof source === 'string') source = await fetch(source);
  if (typeof Response === 'undefined' || !(source instanceof Response)) return source;
  if (!source.ok) throw new Error(`fafcas: expected ${source.url}, not the status ${source.status}`);
  return source.arrayBuffer();
}

/** The module: one process of WASM. Its databases are used by one thread. */
class Fafcas {
  constructor(exports, wasi, storage) {
    this.wasi = wasi;
    this.storage = storage;
    this.stopped = null;
    const calls = Object.entries(exports).filter(([, call]) => typeof call === 'function');
    this.calls = Object.fromEntries(calls.map(([name, call]) => [name, (...values) => this.#call(call, values)]));
    this.memory = exports.memory;
    this.calls._initialize();
    const code = this.calls.fafcas_start();
    if (code !== OK) throw new SqliteError(`fafcas: SQLite did not start (code ${code})`, code);
  }

  get files() {
    return this.storage.files;
  }

  /**
   * Gives `embed` a model: its files by their names, as `make model` puts them into a folder. Only static models run here.
   */
  addModel(name, files) {
    if (!/^[A-Za-z0-9._-]+$/.test(name)) throw new Error(`fafcas: expected a name of letters, digits, points and dashes, not ${name}`);
    for (const [file, bytes] of Object.entries(files)) this.wasi.put(`models/${name}/${file}`, new Uint8Array(bytes));
  }

  /** Gives `embed` the model of a folder, by default that of this package. */
  async loadModel(name = 'static-MiniLM', folder = new URL(`./models/${name}/`, import.meta.url)) {
    const files = ['config.json', 'config_sentence_transformers.json', 'model.safetensors', 'tokenizer.json'];
    const fetched = files.map(async (file) => [file, await bytesOf(new URL(file, folder))]);
    this.addModel(name, Object.fromEntries(await Promise.all(fetched)));
  }

  /** Opens a database: one of `files` by its name, or one in memory. */
  open(name = ':memory:', { readOnly = false, bigints = false } = {}) {
    return new Database(this, name, readOnly ? READ_ONLY : READ_WRITE | CREATE, bigints);
  }

  /** Opens a database of these bytes, in memory. */
  openBytes(bytes) {
    const db = this.open();
    const at = this.copy(bytes);
    const schema = this.copyText('main');
    // From here on SQLite owns the bytes, whatever happens.
    const code = this.calls.sqlite3_deserialize(db.at, schema, at, BigInt(bytes.length), BigInt(bytes.length), FREE_ON_CLOSE | RESIZEABLE);
    this.free(schema);
    db.check(code);
    return db;
  }

  #call(call, values) {
    if (this.stopped) throw this.stopped;
    this.storage.reason = '';
    try {
      return call(...values);
    } catch (error) {
      // What the module calls in here throws nothing, so it has trapped, or there was no stack left. Nothing in its memory can be relied
      // on any more.
      const told = this.wasi.told() || error.message;
      this.stopped = new Error(`fafcas: the module has stopped, load() another one: ${told}`, { cause: error });
      throw this.stopped;
    }
  }

  /** Memory of SQLite with these bytes in it. */
  copy(bytes) {
    const at = this.calls.sqlite3_malloc(Math.max(bytes.length, 1));
    if (at === 0) throw new SqliteError('out of memory', 7);
    new Uint8Array(this.memory.buffer, at, bytes.length).set(bytes);
    return at;
  }

  copyText(string) {
    return this.copy(utf8.encode(`${string}\0`));
  }

  free(at) {
    this.calls.sqlite3_free(at);
  }

  bytes(at, length) {
    return new Uint8Array(this.memory.buffer, at, length).slice();
  }

  string(at) {
    if (at === 0) return null;
    const all = new Uint8Array(this.memory.buffer, at);
    return text.decode(all.subarray(0, all.indexOf(0)));
  }
}

/** One connection. */
class Database {
  #sqlite;

  constructor(sqlite, name, flags, bigints) {
    this.#sqlite = sqlite;
    this.name = name;
    this.bigints = bigints;
    const place = sqlite.copy(new Uint8Array(4));
    const spelled = sqlite.copyText(name);
    let code;
    try {
      code = sqlite.calls.sqlite3_open_v2(spelled, place, flags | URI, 0);
      this.at = new DataView(sqlite.memory.buffer).getUint32(place, true);
    } finally {
      sqlite.free(spelled);
      sqlite.free(place);
    }
    if (code === OK) return;
    const error = this.#error(code);
    sqlite.calls.sqlite3_close_v2(this.at);
    this.at = 0;
    throw error;
  }

  /** Runs all statements of a text, and leaves out their rows. */
  exec(sql) {
    for (const statement of this.#statements(sql)) {
      while (statement.step());
    }
  }

  /** Runs one statement. Gives how many rows it changed, and the rowid of the last one it inserted. */
  run(sql, values) {
    const before = this.#calls.sqlite3_total_changes64(this.at);
    this.#one(sql, values, (statement) => { while (statement.step()); });
    const changes = this.#calls.sqlite3_total_changes64(this.at) - before;
    return { changes: Number(changes), lastInsertRowid: this.whole(this.#calls.sqlite3_last_insert_rowid(this.at)) };
  }

  /** All rows of one statement, as objects. */
  all(sql, values) {
    const { columns, rows } = this.rows(sql, values);
    return rows.map((row) => Object.fromEntries(row.map((value, at) => [columns[at], value])));
  }

  /** The first row of one statement, or undefined. */
  get(sql, values) {
    return this.#one(sql, values, (statement) => {
      if (!statement.step()) return undefined;
      const columns = statement.columns();
      return Object.fromEntries(statement.row().map((value, at) => [columns[at], value]));
    });
  }

  /** All rows of one statement as lists of values, and the names of its columns. */
  rows(sql, values) {
    return this.#one(sql, values, (statement) => {
      const rows = [];
      while (statement.step()) rows.push(statement.row());
      return { columns: statement.columns(), rows };
    });
  }

  /** Runs `work` as one transaction: all of it, or nothing if it throws. */
  transaction(work) {
    this.exec('SAVEPOINT fafcas_js');
    try {
      const result = work();
      this.exec('RELEASE fafcas_js');
      return result;
    } catch (error) {
      // An error of SQLite's may have ended all transactions.
      if (!this.#sqlite.stopped && !this.#calls.sqlite3_get_autocommit(this.at)) {
        this.exec('ROLLBACK TO fafcas_js; RELEASE fafcas_js');
      }
      throw error;
    }
  }

  /** The whole database as the bytes of a file. */
  export(schema = 'main') {
    const sqlite = this.#sqlite;
    const length = sqlite.copy(new Uint8Array(8));
    const spelled = sqlite.copyText(schema);
    try {
      const at = this.#calls.sqlite3_serialize(this.#open(), spelled, length, 0);
      const size = Number(new DataView(sqlite.memory.buffer).getBigInt64(length, true));
      if (at === 0) {
        if (size === 0) return new Uint8Array(0);
        throw new SqliteError(size < 0 ? `expected a database called ${schema}` : 'out of memory', 7);
      }
      const bytes = sqlite.bytes(at, size);
      sqlite.free(at);
      return bytes;
    } finally {
      sqlite.free(spelled);
      sqlite.free(length);
    }
  }

  close() {
    if (this.at === 0) return;
    const at = this.at;
    this.at = 0;
    this.#calls.sqlite3_close_v2(at);
  }

  /** Throws what SQLite says, unless the code is that of success. */
  check(code) {
    if (code !== OK) throw this.#error(code);
  }

  /** A number where it is exact, else a bigint; or always a bigint, if the database was opened so. */
  whole(integer) {
    const number = Number(integer);
    return !this.bigints && Number.isSafeInteger(number) ? number : integer;
  }

  get #calls() {
    return this.#sqlite.calls;
  }

  #open() {
    if (this.at === 0) throw new SqliteError(`expected a database that is open, not ${this.name}, which is closed`, 21);
    return this.at;
  }

  #error(code) {
    const { reason } = this.#sqlite.storage;
    const message = this.at === 0 ? 'out of memory' : this.#sqlite.string(this.#calls.sqlite3_errmsg(this.at));
    const extended = this.at === 0 ? code : this.#calls.sqlite3_extended_errcode(this.at);
    return new SqliteError(reason ? `${message} (${reason})` : message, extended);
  }

  #one(sql, values, use) {
    const found = this.#statements(sql);
    const { value: statement, done } = found.next();
    if (done) throw new SqliteError('expected an SQL statement, not an empty text', 21);
    try {
      statement.bind(values);
      const result = use(statement);
      if (found.rest().trim() !== '' && !found.next().done) {
        throw new SqliteError('expected one SQL statement, not several: exec() runs them', 21);
      }
      return result;
    } finally {
      found.return();
    }
  }

  /** The statements of a text, each compiled when the one before has run, and finalised when the next is asked for. */
  #statements(sql) {
    const sqlite = this.#sqlite;
    const db = this.#open();
    const bytes = utf8.encode(`${sql}\0`);
    const start = sqlite.copy(bytes);
    const places = sqlite.copy(new Uint8Array(8));
    const end = start + bytes.length - 1;
    let at = start;
    const self = this;
    const found = (function* () {
      try {
        while (at < end) {
          const code = sqlite.calls.sqlite3_prepare_v3(db, at, end - at + 1, 0, places, places + 4);
          self.check(code);
          const view = new DataView(sqlite.memory.buffer);
          const statement = view.getUint32(places, true);
          at = view.getUint32(places + 4, true);
          if (statement === 0) continue;
          try {
            yield new Statement(self, sqlite, statement);
          } finally {
            if (!sqlite.stopped) sqlite.calls.sqlite3_finalize(statement);
          }
        }
      } finally {
        if (!sqlite.stopped) {
          sqlite.free(places);
          sqlite.free(start);
        }
      }
    })();
    return {
      next: () => found.next(),
      return: () => found.return(),
      rest: () => text.decode(sqlite.bytes(at, end - at)),
      [Symbol.iterator]: () => found,
    };
  }
}

class Statement {
  constructor(db, sqlite, at) {
    this.db = db;
    this.sqlite = sqlite;
    this.at = at;
  }

  step() {
    const code = this.sqlite.calls.sqlite3_step(this.at);
    if (code === ROW) return true;
    if (code === DONE) return false;
    this.db.check(code);
    return false;
  }

  columns() {
    const { calls } = this.sqlite;
    return Array.from({ length: calls.sqlite3_column_count(this.at) }, (_, at) => this.sqlite.string(calls.sqlite3_column_name(this.at, at)));
  }

  row() {
    return Array.from({ length: this.sqlite.calls.sqlite3_column_count(this.at) }, (_, at) => this.#value(at));
  }

  #value(at) {
    const { calls } = this.sqlite;
    switch (calls.sqlite3_column_type(this.at, at)) {
      case INTEGER: return this.db.whole(calls.sqlite3_column_int64(this.at, at));
      case FLOAT: return calls.sqlite3_column_double(this.at, at);
      case TEXT: {
        const start = calls.sqlite3_column_text(this.at, at);
        return text.decode(this.sqlite.bytes(start, calls.sqlite3_column_bytes(this.at, at)));
      }
      case BLOB: {
        const start = calls.sqlite3_column_blob(this.at, at);
        return this.sqlite.bytes(start, calls.sqlite3_column_bytes(this.at, at));
      }
      default: return null;
    }
  }

  /** Values by place, or by name with or without the sign before it. */
  bind(values) {
    if (values === undefined || values === null) return;
    if (Array.isArray(values)) {
      const count = this.sqlite.calls.sqlite3_bind_parameter_count(this.at);
      if (values.length > count) throw new SqliteError(`expected ${count} values, not ${values.length}`, 25);
      values.forEach((value, at) => this.#bind(at + 1, value));
      return;
    }
    for (const [name, value] of Object.entries(values)) this.#bind(this.#place(name), value);
  }

  #place(name) {
    for (const sign of /^[:@$]/.test(name) ? [''] : [':', '@', '$']) {
      const spelled = this.sqlite.copyText(sign + name);
      const place = this.sqlite.calls.sqlite3_bind_parameter_index(this.at, spelled);
      this.sqlite.free(spelled);
      if (place > 0) return place;
    }
    throw new SqliteError(`expected a parameter of the statement, not ${name}`, 25);
  }

  #bind(place, value) {
    this.db.check(this.#bound(place, value));
  }

  #bound(place, value) {
    const { calls } = this.sqlite;
    if (value === null || value === undefined) return calls.sqlite3_bind_null(this.at, place);
    if (typeof value === 'bigint') {
      if (BigInt.asIntN(64, value) !== value) throw new RangeError(`expected a whole number of 64 bits, not ${value}`);
      return calls.sqlite3_bind_int64(this.at, place, value);
    }
    if (typeof value === 'boolean') return calls.sqlite3_bind_int64(this.at, place, BigInt(value));
    if (typeof value === 'number') {
      return Number.isSafeInteger(value) && !Object.is(value, -0)
        ? calls.sqlite3_bind_int64(this.at, place, BigInt(value))
        : calls.sqlite3_bind_double(this.at, place, value);
    }
    if (typeof value === 'string') return this.#bindBytes(place, 1, utf8.encode(value));
    return this.#bindBytes(place, 0, blob(value));
  }

  #bindBytes(place, isText, bytes) {
    const at = this.sqlite.copy(bytes);
    const code = this.sqlite.calls.fafcas_bind(this.at, place, isText, at, bytes.length);
    this.sqlite.free(at);
    return code;
  }
}

/** Bytes, or arrays of numbers as a vector of theirs: 4-byte floats. */
function blob(value) {
  if (value instanceof Uint8Array) return value;
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (value instanceof Float32Array) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (ArrayBuffer.isView(value) && Symbol.iterator in value) return new Uint8Array(Float32Array.from(value).buffer);
  throw new TypeError(`expected null, a number, a text or bytes to bind, not ${typeof value}`);
}
