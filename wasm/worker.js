// The worker that client.js starts: one module, whose databases are in OPFS where the browser has it, else in memory.

import { OpfsFiles, load } from './index.js';

const databases = new Map();
let fafcas;
let lastNumber = 0;

const CALLS = {
  /** Gives where databases are kept, and why not in OPFS. */
  async start({ wasm, folder }) {
    let files;
    let why = null;
    if (folder !== null) {
      try {
        files = await OpfsFiles.open(folder);
      } catch (error) {
        why = error.message;
      }
    }
    fafcas = await load({ wasm: wasm && new URL(wasm), files });
    return { kept: Boolean(files), why };
  },
  addModel: (name, files) => fafcas.addModel(name, files),
  loadModel: (name, folder) => fafcas.loadModel(name, folder && new URL(folder)),
  names: () => fafcas.files.names(),
  fetched: () => performance.getEntriesByType('resource').map(({ name, decodedBodySize }) => ({ name, bytes: decodedBodySize })),
  has: (name) => fafcas.files.exists(name),
  put: (name, bytes) => fafcas.files.put(name, bytes),
  remove: (name) => ['', '-journal', '-wal'].forEach((end) => fafcas.files.delete(name + end)),
  open(name, options) {
    databases.set(++lastNumber, fafcas.open(name, options));
    return lastNumber;
  },
  close(number) {
    databases.get(number).close();
    databases.delete(number);
  },
  /** Statements of one call after the other, as one transaction. */
  batch(number, calls) {
    const db = databases.get(number);
    return db.transaction(() => calls.map(([sql, values]) => db.run(sql, values)));
  },
};
for (const name of ['exec', 'run', 'get', 'all', 'rows', 'export']) {
  CALLS[name] = (number, ...values) => databases.get(number)[name](...values);
}

// One call ends before the next begins, in the order in which they came.
let last = Promise.resolve();
addEventListener('message', ({ data: { number, name, values } }) => {
  last = last.then(async () => {
    try {
      postMessage({ number, value: await CALLS[name](...values) });
    } catch (error) {
      postMessage({ number, error: { name: error.name, message: error.message, code: error.code } });
    }
  });
});
