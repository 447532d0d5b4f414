// No code is taken from the folder that a program is started in. tests/hosts/packages.rs calls it in a folder that has the installed
// package. working_directory.cjs FOLDER
'use strict';
const assert = require('node:assert');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const [program, strange, copy] = ['program', 'strange', 'copy'].map((name) => path.join(process.argv[2], name));
const OPEN = "fafcas.open(':memory:').close(); console.log(process.env.FAFCAS_ONNXRUNTIME ?? 'none');";
const FORMS = { 'main.cjs': `const fafcas = require('fafcas'); ${OPEN}`, 'main.mjs': `import fafcas from 'fafcas'; ${OPEN}` };

function write(file, text) {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, text);
}

/** Packages that say who was run, in place of those that fafcas looks for. */
function packages(folder, whose) {
  const modules = path.join(folder, 'node_modules');
  write(path.join(modules, 'better-sqlite3/index.js'), `process.stdout.write('${whose}'); process.exit();`);
  write(path.join(modules, 'onnxruntime-node/package.json'), '{}');
  write(path.join(modules, 'onnxruntime-node/bin/napi-v6', process.platform, process.arch, 'libonnxruntime.so.1'), '');
}

function run(file) {
  const env = { ...process.env };
  delete env.FAFCAS_ONNXRUNTIME;
  return execFileSync(process.execPath, [path.join(program, file)], { cwd: strange, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();
}

// Without those packages: this SQLite is Node's own.
const installed = path.join(program, 'node_modules/fafcas');
fs.cpSync(path.dirname(require.resolve('fafcas/package.json')), installed, { recursive: true });
packages(strange, 'strange');
for (const [file, text] of Object.entries(FORMS)) {
  write(path.join(program, file), text);
  assert.strictEqual(run(file), 'none', file);
}

// A package that is linked into the program, as npm does in a workspace, finds what the program has.
fs.renameSync(installed, copy);
fs.symlinkSync(copy, installed, 'dir');
packages(program, 'own');
assert.strictEqual(run('main.cjs'), 'own');
console.log('working directory');
