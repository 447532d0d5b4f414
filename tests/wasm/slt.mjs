// Runs the golden SQL files of tests/slt through the WASM module: slt.mjs PACKAGE MODELS [FILE...]
//
// tests/slt/README.md says what a file may contain. MODELS is a folder with static-MiniLM in it. Prints a line per failure; the exit status
// is 1 if anything failed.

import { readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const [folder, models, ...named] = process.argv.slice(2);
const { load } = await import(pathToFileURL(join(folder, 'index.js')));

function parse(text) {
  const records = [];
  const conditions = [];
  let block = [];
  for (const [index, line] of [...text.split('\n'), ''].entries()) {
    if (line.trim() !== '') {
      block.push({ number: index + 1, line });
      continue;
    }
    const record = parseBlock(block);
    if (record) records.push(record);
    else conditions.push(...block.map(({ line }) => line).filter((line) => line.startsWith('onlyif ')).map((line) => line.slice(7)));
    block = [];
  }
  for (const record of records) record.conditions.push(...conditions);
  return records;
}

function parseBlock(block) {
  const lines = [...block];
  while (lines[0]?.line.startsWith('#')) lines.shift();
  const conditions = [];
  let bind;
  while (lines.length > 0) {
    const { number, line } = lines.shift();
    const [word] = line.split(' ', 1);
    const rest = line.slice(word.length + 1);
    if (word === 'onlyif') conditions.push(rest);
    else if (word === 'bind') bind = rest;
    else if (['ok', 'error', 'query', 'plan', 'reconnect'].includes(word)) {
      return { number, kind: word, rest, conditions, bind, ...halves(lines.map(({ line }) => line)) };
    } else throw new Error(`line ${number}: expected a record, not ${line}`);
  }
  return null;
}

/** The statement, or each spelling of it; and what it must give. */
function halves(body) {
  const cut = body.includes('----') ? body.indexOf('----') : body.length;
  const spellings = [[]];
  for (const line of body.slice(0, cut)) {
    if (line === 'also') spellings.push([]);
    else spellings.at(-1).push(line.startsWith('.read ') ? readFileSync(join(root, line.slice(6)), 'utf8') : line);
  }
  return { spellings: spellings.map((lines) => lines.join('\n')), expected: body.slice(cut + 1) };
}

function applies(record, version) {
  const holds = (condition) => {
    if (condition === 'trusted') return true;
    if (condition === 'untrusted') return false;
    return version >= Number(condition.replace('sqlite 3.', ''));
  };
  return record.conditions.every((condition) => condition.split(' or ').some(holds));
}

function written(value) {
  if (value === null) return 'NULL';
  if (value instanceof Uint8Array) return `x'${Buffer.from(value).toString('hex')}'`;
  if (typeof value === 'number') return writtenReal(value);
  if (typeof value === 'string') return `'${value.replaceAll("'", "''").replaceAll('\n', '\\n')}'`;
  return String(value);
}

function writtenReal(real) {
  if (!Number.isFinite(real)) return real > 0 ? 'inf' : '-inf';
  const digits = rounded(real).replace(/0+$/, '');
  const padded = digits.endsWith('.') ? `${digits}0` : digits;
  return padded === '-0.0' ? '0.0' : padded;
}

/** Five digits after the point. `toFixed` writes numbers from 1e21 with an exponent. */
function rounded(real) {
  return Math.abs(real) < 1e21 ? real.toFixed(5) : `${BigInt(real)}.00000`;
}

function fits(pattern, text) {
  const parts = pattern.split('*').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`, 's').test(text);
}

/** The rows of one statement as the files write them, or its error. */
function ask(db, sql, bind) {
  try {
    let values;
    if (bind) {
      const { columns, rows } = db.rows(bind);
      // By name where `bind` names the values, else by place; a statement without parameters takes none.
      const named = columns.map((name, at) => [name, rows[0][at]]).filter(([name]) => new RegExp(`:${name}\\b`).test(sql));
      values = / AS /.test(bind) ? Object.fromEntries(named) : rows[0];
    }
    return { rows: db.rows(sql, values).rows.map((row) => row.map(written).join('|')) };
  } catch (error) {
    if (error.name !== 'SqliteError') throw error;
    return { message: error.message };
  }
}

function judge(db, record) {
  if (record.kind === 'ok' && !record.bind) {
    try {
      db.exec(record.spellings[0]);
      return null;
    } catch (error) {
      return `unexpected error: ${error.message}`;
    }
  }
  const prefix = record.kind === 'plan' ? 'EXPLAIN QUERY PLAN ' : '';
  const statements = record.kind === 'ok' ? split(record.spellings[0]) : record.spellings;
  for (const sql of statements) {
    const { rows, message } = ask(db, prefix + sql, record.bind);
    if (record.kind === 'error') {
      if (message === undefined) return `expected the error\n    ${record.rest}\n  not ${rows.length} rows`;
      if (!fits(record.rest, message)) return `expected the error\n    ${record.rest}\n  not\n    ${message}`;
    } else if (message !== undefined) return `unexpected error: ${message}`;
    else if (record.kind === 'query') {
      const arranged = (lines) => (record.rest === 'unordered' ? [...lines].sort() : lines).join('\n');
      if (arranged(rows) !== arranged(record.expected)) return `expected\n${record.expected.join('\n')}\n  not\n${rows.join('\n')}`;
    } else if (record.kind === 'plan') {
      for (const line of record.expected) {
        const [word] = line.split(' ', 1);
        if (rows.join('\n').includes(line.slice(word.length + 1)) !== (word === 'has')) return `the plan must: ${line}\n${rows.join('\n')}`;
      }
    }
  }
  return null;
}

function split(script) {
  const code = script.split('\n').filter((line) => !line.trimStart().startsWith('--')).join('\n');
  return code.split(/;\n/).map((part) => part.trim()).filter(Boolean);
}

/** Models of ONNX Runtime do not run in WASM: this file wants one, and so do records that say one of these. */
const OF_ONNX = 'embedding.slt';
const WANTING = ['all-MiniLM-L6-v2', 'SELECT rowid FROM stale', 'SELECT id, embed_tokens(body) FROM texts'];
const wantsOnnx = ({ bind, spellings, expected }) => WANTING.some((text) => [bind, ...spellings, ...expected].join('\n').includes(text));
const parts = ['config.json', 'config_sentence_transformers.json', 'model.safetensors', 'tokenizer.json'];
const all = readdirSync(join(root, 'tests/slt')).filter((name) => name.endsWith('.slt') && name !== OF_ONNX).sort();
const files = named.length > 0 ? named : all.map((name) => join(root, 'tests/slt', name));
const failures = [];
let count = 0;
let skipped = 0;
let version;
for (const file of files) {
  // A module of its own for each file, as each changes settings of the process.
  const fafcas = await load();
  fafcas.addModel('static-MiniLM', Object.fromEntries(parts.map((name) => [name, readFileSync(join(models, 'static-MiniLM', name))])));
  // Whole numbers as bigints, so that 1 and 1.0 are told apart.
  const open = () => fafcas.open('test.db', { bigints: true });
  let db = open();
  version = db.get('SELECT sqlite_version() AS version').version;
  for (const record of parse(readFileSync(file, 'utf8')).filter((record) => applies(record, Number(version.split('.')[1])))) {
    if (wantsOnnx(record)) {
      skipped++;
      continue;
    }
    count++;
    if (record.kind === 'reconnect') {
      db.close();
      db = open();
      continue;
    }
    const why = judge(db, record);
    if (why) failures.push(`${basename(file)}:${record.number}: ${why}`);
  }
  db.close();
}
for (const failure of failures) console.log(failure);
console.log(`SQLite ${version} in WASM: ${files.length} files, ${count} records, ${skipped} left out that want ONNX Runtime, ${failures.length} failures`);
process.exitCode = failures.length > 0 ? 1 : 0;
