// The part of WASI (preview 1) that the module calls: a clock, random bytes, the environment, what it writes on its standard error,
// and a folder of files that it only reads, in which models lie. SQLite's own files do not come this way; files.js has them.

const SUCCESS = 0, BADF = 8, EXIST = 20, INVAL = 28, ISDIR = 31, NOENT = 44, NOTDIR = 54, NOTSUP = 58, ROFS = 69;
const DIRECTORY = 3, REGULAR_FILE = 4, CHARACTER_DEVICE = 2;
const CREATE = 1, EXCLUSIVE = 4, WANTS_DIRECTORY = 2, TRUNCATE = 8;
const STANDARD_ERROR = 2, ROOT = 3;
/** All that WASI can allow. What may not be written is refused by the calls themselves. */
const ALL_RIGHTS = (1n << 30n) - 1n;

// Node 18 has it only there.
const random = globalThis.crypto ?? (await import('node:crypto')).webcrypto;
const utf8 = new TextEncoder();
const text = new TextDecoder();

/** The imports of the module, and the folder that it reads. */
export class Wasi {
  /** @param {Record<string, string>} environment */
  constructor(environment) {
    this.environment = Object.entries(environment).map(([name, value]) => utf8.encode(`${name}=${value}\0`));
    this.root = new Map();
    this.open = new Map([[ROOT, { node: this.root, at: 0 }]]);
    this.memory = null;
    this.written = '';
  }

  /** Puts a file where the module reads it. Folders in `path` are made. */
  put(path, bytes) {
    const names = path.split('/').filter(Boolean);
    const name = names.pop();
    let folder = this.root;
    for (const part of names) {
      if (!(folder.get(part) instanceof Map)) folder.set(part, new Map());
      folder = folder.get(part);
    }
    folder.set(name, bytes);
  }

  /** What the module has written on its standard error, such as why it stopped. */
  told() {
    return this.written.trim();
  }

  imports() {
    const own = {};
    for (const name of Object.getOwnPropertyNames(CALLS)) own[name] = (...values) => CALLS[name].apply(this, values);
    // What the module could call and never does with files that are only read.
    return new Proxy(own, { get: (calls, name) => calls[name] ?? (() => NOTSUP), has: () => true });
  }

  view() {
    return new DataView(this.memory.buffer);
  }

  bytes(at, length) {
    return new Uint8Array(this.memory.buffer, at, length);
  }

  find(path) {
    let node = this.root;
    for (const name of path.split('/')) {
      if (name === '' || name === '.') continue;
      if (!(node instanceof Map) || !node.has(name)) return undefined;
      node = node.get(name);
    }
    return node;
  }
}

function list(items, pointers, buffer) {
  const view = this.view();
  for (const item of items) {
    view.setUint32(pointers, buffer, true);
    this.bytes(buffer, item.length).set(item);
    pointers += 4;
    buffer += item.length;
  }
  return SUCCESS;
}

function sizes(items, count, length) {
  this.view().setUint32(count, items.length, true);
  this.view().setUint32(length, items.reduce((sum, item) => sum + item.length, 0), true);
  return SUCCESS;
}

function status(node, to) {
  const view = this.view();
  this.bytes(to, 64).fill(0);
  // A number of its own for each file, by which one is told from another.
  view.setBigUint64(to + 8, BigInt(numberOf(node)), true);
  view.setUint8(to + 16, node instanceof Map ? DIRECTORY : REGULAR_FILE);
  view.setBigUint64(to + 24, 1n, true);
  view.setBigUint64(to + 32, BigInt(node instanceof Map ? 0 : node.length), true);
  return SUCCESS;
}

const numbers = new WeakMap();
let lastNumber = 0;
function numberOf(node) {
  if (!numbers.has(node)) numbers.set(node, ++lastNumber);
  return numbers.get(node);
}

/** Reads into the parts that the module lists, from `at`. */
function read(file, parts, count, at, got) {
  const view = this.view();
  let sum = 0;
  for (let part = 0; part < count; part++) {
    const to = view.getUint32(parts + 8 * part, true);
    const length = view.getUint32(parts + 8 * part + 4, true);
    const piece = file.subarray(at + sum, at + sum + length);
    this.bytes(to, piece.length).set(piece);
    sum += piece.length;
    if (piece.length < length) break;
  }
  view.setUint32(got, sum, true);
  return sum;
}

const CALLS = {
  args_get: () => SUCCESS,
  args_sizes_get(count, length) { return sizes.call(this, [], count, length); },
  environ_get(pointers, buffer) { return list.call(this, this.environment, pointers, buffer); },
  environ_sizes_get(count, length) { return sizes.call(this, this.environment, count, length); },
  sched_yield: () => SUCCESS,

  clock_res_get(clock, to) {
    this.view().setBigUint64(to, 1000n, true);
    return SUCCESS;
  },
  clock_time_get(clock, precision, to) {
    const milliseconds = clock === 0 ? Date.now() : performance.now();
    this.view().setBigUint64(to, BigInt(Math.round(milliseconds * 1e6)), true);
    return SUCCESS;
  },
  random_get(to, length) {
    // No more than 65,536 bytes are given at a time.
    for (let at = 0; at < length; at += 65536) {
      const part = new Uint8Array(Math.min(65536, length - at));
      random.getRandomValues(part);
      this.bytes(to + at, part.length).set(part);
    }
    return SUCCESS;
  },
  proc_exit(code) {
    throw new Error(`it exited with ${code}`);
  },

  fd_write(number, parts, count, done) {
    if (number !== 1 && number !== STANDARD_ERROR) return this.open.has(number) ? ROFS : BADF;
    const view = this.view();
    let sum = 0;
    for (let part = 0; part < count; part++) {
      const length = view.getUint32(parts + 8 * part + 4, true);
      this.written += text.decode(this.bytes(view.getUint32(parts + 8 * part, true), length));
      sum += length;
    }
    this.written = this.written.slice(-4000);
    view.setUint32(done, sum, true);
    return SUCCESS;
  },
  fd_prestat_get(number, to) {
    if (number !== ROOT) return BADF;
    this.view().setUint32(to, 0, true);
    this.view().setUint32(to + 4, 1, true);
    return SUCCESS;
  },
  fd_prestat_dir_name(number, to) {
    if (number !== ROOT) return BADF;
    this.bytes(to, 1)[0] = '/'.charCodeAt(0);
    return SUCCESS;
  },
  fd_fdstat_get(number, to) {
    const open = this.open.get(number);
    if (!open && number > 2) return BADF;
    this.bytes(to, 24).fill(0);
    const kind = !open ? CHARACTER_DEVICE : open.node instanceof Map ? DIRECTORY : REGULAR_FILE;
    this.view().setUint8(to, kind);
    this.view().setBigUint64(to + 8, ALL_RIGHTS, true);
    this.view().setBigUint64(to + 16, ALL_RIGHTS, true);
    return SUCCESS;
  },
  fd_fdstat_set_flags: () => SUCCESS,
  fd_filestat_get(number, to) {
    const open = this.open.get(number);
    return open ? status.call(this, open.node, to) : BADF;
  },
  path_filestat_get(folder, flags, path, length, to) {
    if (!this.open.has(folder)) return BADF;
    const node = this.find(text.decode(this.bytes(path, length)));
    return node ? status.call(this, node, to) : NOENT;
  },
  path_open(folder, follow, path, length, flags, rights, inherited, state, to) {
    if (!this.open.has(folder)) return BADF;
    const node = this.find(text.decode(this.bytes(path, length)));
    if (!node) return flags & CREATE ? ROFS : NOENT;
    if (flags & EXCLUSIVE) return EXIST;
    if (flags & TRUNCATE) return ROFS;
    if (flags & WANTS_DIRECTORY && !(node instanceof Map)) return NOTDIR;
    let number = ROOT + 1;
    while (this.open.has(number)) number++;
    this.open.set(number, { node, at: 0 });
    this.view().setUint32(to, number, true);
    return SUCCESS;
  },
  fd_close(number) {
    return number !== ROOT && this.open.delete(number) ? SUCCESS : BADF;
  },
  fd_read(number, parts, count, got) {
    const open = this.open.get(number);
    if (!open) return BADF;
    if (open.node instanceof Map) return ISDIR;
    open.at += read.call(this, open.node, parts, count, open.at, got);
    return SUCCESS;
  },
  fd_pread(number, parts, count, at, got) {
    const open = this.open.get(number);
    if (!open) return BADF;
    if (open.node instanceof Map) return ISDIR;
    read.call(this, open.node, parts, count, Number(at), got);
    return SUCCESS;
  },
  fd_seek(number, offset, from, to) {
    const open = this.open.get(number);
    if (!open || open.node instanceof Map) return BADF;
    const at = Number(offset) + [0, open.at, open.node.length][from];
    if (!(at >= 0)) return INVAL;
    open.at = at;
    this.view().setBigUint64(to, BigInt(at), true);
    return SUCCESS;
  },
  fd_tell(number, to) { return CALLS.fd_seek.call(this, number, 0n, 1, to); },
  fd_readdir(number, buffer, length, cookie, used) {
    const open = this.open.get(number);
    if (!open) return BADF;
    if (!(open.node instanceof Map)) return NOTDIR;
    let at = 0;
    const entries = [...open.node].slice(Number(cookie));
    for (const [index, [name, node]] of entries.entries()) {
      const spelled = utf8.encode(name);
      const entry = new Uint8Array(24 + spelled.length);
      const view = new DataView(entry.buffer);
      view.setBigUint64(0, cookie + BigInt(index) + 1n, true);
      view.setBigUint64(8, BigInt(numberOf(node)), true);
      view.setUint32(16, spelled.length, true);
      view.setUint8(20, node instanceof Map ? DIRECTORY : REGULAR_FILE);
      entry.set(spelled, 24);
      // An entry that is cut fills the buffer, and the module asks for it again.
      const part = entry.subarray(0, length - at);
      this.bytes(buffer + at, part.length).set(part);
      at += part.length;
      if (at === length) break;
    }
    this.view().setUint32(used, at, true);
    return SUCCESS;
  },
};
