// The npm package as a program of a user's has it: package.mjs ARCHIVE NODE_MODULES
//
// npm installs it into a new folder, a program runs there, and TypeScript, which NODE_MODULES has, checks one in its strict mode.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const [archive, modules] = process.argv.slice(2).map((path) => resolve(path));
const app = mkdtempSync(join(tmpdir(), 'fafcas-wasm-'));
const run = (program, ...values) => execFileSync(program, values, { cwd: app, encoding: 'utf8' });

try {
  writeFileSync(join(app, 'package.json'), '{"type": "module"}');
  run('npm', 'install', '--offline', '--silent', '--no-audit', '--no-fund', archive);
  symlinkSync(join(modules, '@types'), join(app, 'node_modules/@types'));

  // The first program of the page of the docs, and what the page says that it prints.
  const page = readFileSync(new URL('../../docs/wasm.md', import.meta.url), 'utf8');
  const [, program, printed] = page.match(/```js\n(.*?)```\n```text\n(.*?)```/s);
  writeFileSync(join(app, 'notes.js'), program);
  assert.equal(run('node', 'notes.js'), printed);

  writeFileSync(join(app, 'typed.ts'), `
    import { MemoryFiles, SqliteError, isSupported, load, type Database, type Row } from 'fafcas-wasm';
    import { start } from 'fafcas-wasm/client';
    async function one(): Promise<Row | undefined> {
      if (!isSupported()) throw new SqliteError('no', 1);
      const fafcas = await load({ files: new MemoryFiles(), environment: { FAFCAS_KERNELS: 'scalar' } });
      const db: Database = fafcas.open('x.db', { readOnly: false, bigints: true });
      db.run('INSERT INTO t VALUES (:v)', { v: Float32Array.of(1, 2) });
      // @ts-expect-error A date is no value of SQLite.
      db.run('INSERT INTO t VALUES (?)', [new Date()]);
      return db.transaction(() => db.get('SELECT 1 AS x', [1n, null, 'x', true]));
    }
    async function two(): Promise<number> {
      const client = await start({ folder: null });
      const db = await client.open();
      const { columns } = await db.rows('SELECT 1 AS x');
      return client.kept ? columns.length : 0;
    }
    export const all = [one, two];
  `);
  const settings = ['--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext', '--lib', 'es2022,dom', '--types', 'node'];
  run('node', join(modules, 'typescript/bin/tsc'), ...settings, 'typed.ts');
  console.log('the package works in a program, and its types hold');
} catch (error) {
  console.error(error.stdout || error);
  process.exitCode = 1;
} finally {
  rmSync(app, { recursive: true, force: true });
}
