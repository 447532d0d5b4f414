'use strict';
// Loads the library fafcas into SQLite, for better-sqlite3 and node:sqlite. docs/node.md tells what a program does with it.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const LIBRARIES = path.join(__dirname, 'libraries');
/** An entry point of the library, beside the one that SQLite finds by itself. */
const SCHEMA_SEARCH = 'sqlite3_fafcas_schema_search_init';
const ENDINGS = { win32: '.dll', darwin: '.dylib' };

/** The path of the library, for whatever loads SQLite extensions by their path. */
function getLoadablePath() {
  const here = `${process.platform}-${process.arch}`;
  const library = path.join(LIBRARIES, here, 'fafcas' + (ENDINGS[process.platform] ?? '.so'));
  if (!fs.existsSync(library)) {
    const there = fs.existsSync(LIBRARIES) ? fs.readdirSync(LIBRARIES).join(', ') : 'none';
    throw new Error(`fafcas: expected a library for ${here}, not a package with: ${there}`);
  }
  return library;
}

/** Gives a Database of better-sqlite3, or a DatabaseSync of node:sqlite, fafcas's SQL functions. */
function load(db, { schemaSearch = false } = {}) {
  if (typeof db?.loadExtension !== 'function') {
    throw new TypeError('fafcas.load: expected a Database of better-sqlite3 or a DatabaseSync of node:sqlite');
  }
  const place = [getLoadablePath(), ...(schemaSearch ? [SCHEMA_SEARCH] : [])];
  nameRuntime();
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
  const floats = numbers instanceof Float32Array ? numbers : Float32Array.from(numbers);
  const bytes = Buffer.from(floats.buffer, floats.byteOffset, floats.byteLength);
  return os.endianness() === 'LE' ? bytes : Buffer.from(bytes).swap32();
}

/** Names the library of onnxruntime-node, if that is installed, before fafcas looks for one. */
function nameRuntime() {
  if (process.env.FAFCAS_ONNXRUNTIME) return;
  const found = runtimeFolder();
  const names = found ? fs.readdirSync(found).sort() : [];
  const name = names.find((name) => /^(libonnxruntime\.so(\..*)?|libonnxruntime.*\.dylib|onnxruntime\.dll)$/.test(name));
  if (name) process.env.FAFCAS_ONNXRUNTIME = path.join(found, name);
}

/** Where onnxruntime-node, beside this package or in the program's own folder, keeps the library for this platform. */
function runtimeFolder() {
  let manifest;
  try {
    manifest = require.resolve('onnxruntime-node/package.json', { paths: [__dirname, process.cwd()] });
  } catch {
    return undefined;
  }
  const bin = path.join(path.dirname(manifest), 'bin');
  const folders = fs.existsSync(bin) ? fs.readdirSync(bin) : [];
  return folders
    .map((folder) => path.join(bin, folder, process.platform, process.arch))
    .find((folder) => fs.existsSync(folder));
}

module.exports = { getLoadablePath, load, vector };
