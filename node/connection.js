'use strict';
// The library fafcas in the SQLite of better-sqlite3 and node:sqlite, and what is bound there as vectors.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { getLoadablePath } = require('./platform.js');

/** An entry point of the library, beside the one that SQLite finds by itself. */
const SCHEMA_SEARCH = 'sqlite3_fafcas_schema_search_init';
const TAKES_ARRAYS = Symbol('fafcas');
/** Where other packages are looked for: from the program's own file, and from this one. Never from the working directory, where anybody
 * may have put a package of such a name. Node knows the first of programs in CommonJS alone. */
const FOLDERS = [require.main?.path, __dirname].filter((folder) => folder && path.isAbsolute(folder));

/** Gives a Database of better-sqlite3, or a DatabaseSync of node:sqlite, fafcas's SQL functions. */
function load(db, { schemaSearch = false } = {}) {
  if (typeof db?.loadExtension !== 'function') {
    throw new TypeError('fafcas.load: expected a Database of better-sqlite3 or a DatabaseSync of node:sqlite');
  }
  const place = [getLoadablePath(), ...(schemaSearch ? [SCHEMA_SEARCH] : [])];
  nameRuntime();
  loadInto(db, place);
  takeArrays(db);
  ours = typeof db.enableLoadExtension === 'function' ? 'node:sqlite' : 'better-sqlite3';
}

// One process has the library in one of the two modules.
let ours;

/** The module that the library was loaded in, if it was. */
function loadedIn() {
  return ours;
}

function loadInto(db, place) {
  if (typeof db.enableLoadExtension !== 'function') {
    db.loadExtension(...place);
    return;
  }
  try {
    db.enableLoadExtension(true);
  } catch (cause) {
    const message = 'fafcas.load: expected a database opened with { allowExtension: true }, which node:sqlite asks for';
    throw new Error(message, { cause });
  }
  try {
    db.loadExtension(...place);
  } finally {
    db.enableLoadExtension(false);
  }
}

/** The BLOB of little-endian 4-byte floats that SQL takes for a vector. */
function vector(numbers) {
  const floats = numbers instanceof Float32Array ? numbers : Float32Array.from(numbers, number);
  const bytes = Buffer.from(floats.buffer, floats.byteOffset, floats.byteLength);
  return os.endianness() === 'LE' ? bytes : Buffer.from(bytes).swap32();
}

/** Also refuses arrays of two dimensions, whose rows would become NaN. */
function number(value) {
  if (typeof value !== 'number') throw new TypeError(`fafcas.vector: expected numbers, not ${Array.isArray(value) ? 'an array of arrays' : typeof value}`);
  return value;
}

/** What a value is bound as. Left alone, both modules would store the bytes of any array, which no search could read. */
function bindable(value) {
  if (!ArrayBuffer.isView(value)) return isNamed(value) ? withVectors(value) : Array.isArray(value) ? value.map(bindable) : value;
  if (value.BYTES_PER_ELEMENT === 1 || value instanceof DataView) return value;
  if (value instanceof BigInt64Array || value instanceof BigUint64Array) {
    throw new TypeError(`fafcas: expected an array of floats or of integers up to 32 bits, not a ${value.constructor.name}`);
  }
  return vector(value);
}

/** The values of named parameters. */
function isNamed(value) {
  return typeof value === 'object' && value !== null && [Object.prototype, null].includes(Object.getPrototypeOf(value));
}

function withVectors(named) {
  const hasArrays = Object.values(named).some((value) => ArrayBuffer.isView(value));
  return hasArrays ? Object.fromEntries(Object.entries(named).map(([name, value]) => [name, bindable(value)])) : named;
}

/** From now on, statements of this database bind arrays of numbers as vectors. */
function takeArrays(db) {
  if (Object.hasOwn(db, TAKES_ARRAYS)) return;
  const { prepare } = db;
  Object.defineProperty(db, TAKES_ARRAYS, { value: true });
  Object.defineProperty(db, 'prepare', { value: prepareWith, configurable: true, writable: true });

  function prepareWith(...sql) {
    const statement = prepare.apply(db, sql);
    for (const name of ['run', 'get', 'all', 'iterate', 'bind']) {
      const method = statement[name];
      if (!method) continue;
      const value = (...values) => method.apply(statement, values.map(bindable));
      Object.defineProperty(statement, name, { value, configurable: true, writable: true });
    }
    return statement;
  }
}

/** better-sqlite3 and node:sqlite bind every number as a REAL; a whole one as a BigInt stays an INTEGER. */
function wholeNumber(value) {
  return Number.isSafeInteger(value) ? BigInt(value) : value;
}

/** Names the library of onnxruntime-node, if that is installed, before fafcas looks for one. */
function nameRuntime() {
  if (process.env.FAFCAS_ONNXRUNTIME) return;
  const found = runtimeFolder();
  const names = found ? fs.readdirSync(found).sort() : [];
  const name = names.find((name) => /^(libonnxruntime\.so(\..*)?|libonnxruntime.*\.dylib|onnxruntime\.dll)$/.test(name));
  if (name) process.env.FAFCAS_ONNXRUNTIME = path.join(found, name);
}

/** Where onnxruntime-node, beside this package or the program's own file, keeps the library for this platform. */
function runtimeFolder() {
  let manifest;
  try {
    manifest = require.resolve('onnxruntime-node/package.json', { paths: FOLDERS });
  } catch {
    return undefined;
  }
  const bin = path.join(path.dirname(manifest), 'bin');
  const folders = fs.existsSync(bin) ? fs.readdirSync(bin) : [];
  return folders
    .map((folder) => path.join(bin, folder, process.platform, process.arch))
    .find((folder) => fs.existsSync(folder));
}

module.exports = { FOLDERS, getLoadablePath, load, loadedIn, vector, wholeNumber };
