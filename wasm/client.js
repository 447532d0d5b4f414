// For pages: the module in a worker, so that the page stays awake and databases can lie in OPFS. Every call gives a promise.

import { SqliteError, isSupported } from './index.js';

/** Starts a worker with the module in it. */
export async function start({ wasm, folder = 'fafcas', worker = new URL('./worker.js', import.meta.url) } = {}) {
  if (!isSupported()) {
    throw new Error('fafcas: expected WebAssembly with SIMD, as Chrome 91, Firefox 89 and Safari 16.4 have it, or newer');
  }
  const client = new Client(new Worker(worker, { type: 'module' }));
  Object.assign(client, await client.call('start', { wasm: wasm && String(wasm), folder }));
  return client;
}

class Client {
  #worker;
  #waiting = new Map();
  #last = 0;

  constructor(worker) {
    this.#worker = worker;
    worker.addEventListener('message', ({ data: { number, value, error } }) => {
      const { resolve, reject } = this.#waiting.get(number);
      this.#waiting.delete(number);
      if (error) reject(error.name === 'SqliteError' ? new SqliteError(error.message, error.code) : new Error(error.message));
      else resolve(value);
    });
    worker.addEventListener('error', (event) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`fafcas: the worker failed: ${event.message ?? 'it could not be loaded'}`));
      this.#waiting.clear();
    });
  }

  call(name, ...values) {
    return new Promise((resolve, reject) => {
      this.#waiting.set(++this.#last, { resolve, reject });
      this.#worker.postMessage({ number: this.#last, name, values });
    });
  }

  addModel(name, files) { return this.call('addModel', name, files); }
  loadModel(name, folder) { return this.call('loadModel', name, folder && String(folder)); }
  /** What the worker has fetched, and how large it is uncompressed: the module, and the files of models. */
  fetched() { return this.call('fetched'); }
  /** The files that are there. */
  names() { return this.call('names'); }
  has(name) { return this.call('has', name); }
  /** Makes a database file of these bytes. It must not be open. */
  put(name, bytes) { return this.call('put', name, bytes); }
  remove(name) { return this.call('remove', name); }

  async open(name, options) {
    return new ClientDatabase(this, await this.call('open', name, options));
  }

  /** Ends the worker. What was written stays. */
  stop() {
    this.#worker.terminate();
  }
}

class ClientDatabase {
  constructor(client, number) {
    this.client = client;
    this.number = number;
  }

  exec(sql) { return this.client.call('exec', this.number, sql); }
  run(sql, values) { return this.client.call('run', this.number, sql, values); }
  get(sql, values) { return this.client.call('get', this.number, sql, values); }
  all(sql, values) { return this.client.call('all', this.number, sql, values); }
  rows(sql, values) { return this.client.call('rows', this.number, sql, values); }
  /** Runs `[sql, values]` one after the other as one transaction. */
  batch(calls) { return this.client.call('batch', this.number, calls); }
  export(schema) { return this.client.call('export', this.number, schema); }
  close() { return this.client.call('close', this.number); }
}
