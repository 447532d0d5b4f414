// Where databases lie: in memory, in files of Node, or in the browser's private file system (OPFS). SQLite calls these functions through
// module.c. `Files` of each kind have the same methods; all of them return at once, as SQLite does not wait.

const DELETE_ON_CLOSE = 0x8, CREATE = 0x4;

/** In the memory of the program: gone when it ends. */
export class MemoryFiles {
  constructor() {
    this.files = new Map();
  }

  open(name, flags) {
    if (!this.files.has(name)) {
      if (!(flags & CREATE)) return null;
      this.files.set(name, new MemoryFile());
    }
    return this.files.get(name);
  }

  exists(name) {
    return this.files.has(name);
  }

  delete(name) {
    this.files.delete(name);
  }

  /** The whole file, or null. */
  get(name) {
    const file = this.files.get(name);
    return file ? file.bytes.slice(0, file.length) : null;
  }

  put(name, bytes) {
    this.files.set(name, new MemoryFile(bytes));
  }

  names() {
    return [...this.files.keys()];
  }
}

class MemoryFile {
  constructor(bytes = new Uint8Array(0)) {
    this.bytes = bytes.slice();
    this.length = bytes.length;
  }

  read(to, at) {
    const piece = this.bytes.subarray(Math.min(at, this.length), Math.min(at + to.length, this.length));
    to.set(piece);
    return piece.length;
  }

  write(from, at) {
    const end = at + from.length;
    if (end > this.bytes.length) {
      const bytes = new Uint8Array(Math.max(end, 2 * this.bytes.length));
      bytes.set(this.bytes.subarray(0, this.length));
      this.bytes = bytes;
    }
    this.bytes.set(from, at);
    this.length = Math.max(this.length, end);
  }

  truncate(length) {
    if (length < this.length) this.bytes.fill(0, length, this.length);
    if (length > this.bytes.length) this.write(new Uint8Array(0), length);
    this.length = length;
  }

  sync() {}
  size() { return this.length; }
  close() {}
}

/** The worker of a page that is just being reloaded may have its files for a moment. So there are some tries, so many ms apart. */
const TRIES = 20, PAUSE = 100;

/**
 * In a folder of OPFS, which only this browser and this site sees, across reloads. For a worker, as pages have no file that can be read
 * at once. Only one worker has the folder at a time.
 *
 * A file of OPFS is opened by a promise, for which SQLite does not wait. So some are opened before, without a name; one that SQLite opens
 * keeps its name in its first bytes.
 */
export class OpfsFiles {
  /**
   * @param {string} folder
   * @param {number} count How many files there can be: two for each database that is written, one more for each transaction over several.
   */
  static async open(folder = 'fafcas', count = 8) {
    if (!globalThis.navigator?.storage?.getDirectory) {
      throw new Error('fafcas: expected a browser that keeps files for a site (OPFS), in a page of https or localhost: databases can be kept in memory here, and saved by export()');
    }
    if (typeof FileSystemFileHandle === 'undefined' || !FileSystemFileHandle.prototype.createSyncAccessHandle) {
      throw new Error('fafcas: expected a worker, not a page: only workers read files of OPFS at once (client.js starts one)');
    }
    let directory;
    try {
      directory = await (await navigator.storage.getDirectory()).getDirectoryHandle(folder, { create: true });
    } catch (error) {
      throw new Error(`fafcas: the browser refuses to keep files (${error.message}): databases can be kept in memory here, as in private windows`);
    }
    const files = new OpfsFiles(directory);
    for (let left = TRIES; ; left--) {
      try {
        await files.#takeAll(count);
        return files;
      } catch (error) {
        files.close();
        if (error.name !== 'NoModificationAllowedError') throw error;
        if (left === 1) throw new Error(`fafcas: the folder ${folder} of OPFS is open in another tab or worker: close that one, or choose another folder`);
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }

  constructor(directory) {
    this.directory = directory;
    this.named = new Map();
    this.free = [];
    this.next = 0;
  }

  async #takeAll(count) {
    for await (const [name, handle] of this.directory.entries()) {
      if (handle.kind === 'file') await this.#take(name);
    }
    await this.reserve(count);
  }

  async #take(name) {
    const handle = await this.directory.getFileHandle(name, { create: true });
    const file = new OpfsFile(await handle.createSyncAccessHandle());
    this.next = Math.max(this.next, Number(name) + 1 || 0);
    if (file.name === '') this.free.push(file);
    else this.named.set(file.name, file);
  }

  /** Makes room for so many files in all. */
  async reserve(count) {
    while (this.named.size + this.free.length < count) await this.#take(String(this.next));
  }

  open(name, flags) {
    const file = this.named.get(name);
    if (file || !(flags & CREATE)) return file ?? null;
    const free = this.free.pop();
    if (!free) throw new Error(`expected no more than ${this.named.size} files in this folder of OPFS: make room by reserve()`);
    // If the browser was ended while a file was deleted, what was in it is still there.
    free.truncate(0);
    free.rename(name);
    this.named.set(name, free);
    return free;
  }

  exists(name) {
    return this.named.has(name);
  }

  delete(name) {
    const file = this.named.get(name);
    if (!file) return;
    file.rename('');
    file.truncate(0);
    this.named.delete(name);
    this.free.push(file);
  }

  get(name) {
    const file = this.named.get(name);
    if (!file) return null;
    const bytes = new Uint8Array(file.size());
    file.read(bytes, 0);
    return bytes;
  }

  put(name, bytes) {
    const file = this.open(name, CREATE);
    file.truncate(0);
    file.write(bytes, 0);
    file.sync();
  }

  names() {
    return [...this.named.keys()];
  }

  /** Lets other tabs have the folder. */
  close() {
    for (const file of [...this.named.values(), ...this.free]) file.handle.close();
    this.named.clear();
    this.free = [];
  }
}

/** Its name and a checksum of it, in the first bytes of the file. */
const HEAD = 4096, LONGEST = 1024;

class OpfsFile {
  constructor(handle) {
    this.handle = handle;
    this.name = this.#readName();
  }

  #readName() {
    const head = new Uint8Array(8 + LONGEST);
    if (this.handle.read(head, { at: 0 }) < head.length) return '';
    const view = new DataView(head.buffer);
    const length = view.getUint32(0, true);
    if (length > LONGEST) return '';
    const name = head.subarray(8, 8 + length);
    return view.getUint32(4, true) === checksum(name) ? new TextDecoder().decode(name) : '';
  }

  rename(name) {
    const spelled = new TextEncoder().encode(name);
    if (spelled.length > LONGEST) throw new Error(`expected a name of at most ${LONGEST} bytes, not ${spelled.length}`);
    const head = new Uint8Array(8 + LONGEST);
    head.set(spelled, 8);
    const view = new DataView(head.buffer);
    view.setUint32(0, spelled.length, true);
    view.setUint32(4, checksum(spelled), true);
    if (this.handle.getSize() < HEAD) this.handle.truncate(HEAD);
    this.handle.write(head, { at: 0 });
    this.handle.flush();
    this.name = name;
  }

  read(to, at) { return this.handle.read(to, { at: HEAD + at }); }
  write(from, at) {
    if (this.handle.write(from, { at: HEAD + at }) < from.length) throw new Error('expected room in the storage of the browser');
  }
  truncate(length) { this.handle.truncate(HEAD + length); }
  sync() { this.handle.flush(); }
  size() { return Math.max(0, this.handle.getSize() - HEAD); }
  close() {}
}

/** FNV-1a. */
function checksum(bytes) {
  let sum = 0x811c9dc5;
  for (const byte of bytes) sum = Math.imul(sum ^ byte, 0x01000193) >>> 0;
  return sum;
}

/** The imports of the module that reach these files. */
export class FileImports {
  constructor(files) {
    this.files = files;
    this.opened = [];
    this.memory = null;
    /** Why the last call failed, which SQLite has only a number for. */
    this.reason = '';
  }

  imports() {
    const file = (number) => this.opened[number].file;
    const bytes = (at, length) => new Uint8Array(this.memory.buffer, at, length);
    const name = (at) => {
      const all = new Uint8Array(this.memory.buffer, at);
      return new TextDecoder().decode(all.slice(0, all.indexOf(0)));
    };
    const attempt = (failed, call) => {
      try {
        return call();
      } catch (error) {
        this.reason = error.message;
        return failed;
      }
    };
    const nothing = (call) => attempt(-1, () => (call(), 0));
    return {
      open: (at, flags) => attempt(-1, () => this.#open(name(at), flags)),
      close: (number, isDeleted) => {
        const { file, name } = this.opened[number];
        delete this.opened[number];
        file.close();
        if (isDeleted && name) attempt(0, () => this.files.delete(name));
      },
      read: (number, to, length, at) => attempt(-1, () => file(number).read(bytes(to, length), at)),
      write: (number, from, length, at) => nothing(() => file(number).write(bytes(from, length), at)),
      truncate: (number, length) => nothing(() => file(number).truncate(length)),
      sync: (number) => nothing(() => file(number).sync()),
      size: (number) => attempt(-1, () => file(number).size()),
      delete: (at) => nothing(() => this.files.delete(name(at))),
      exists: (at) => attempt(0, () => Number(this.files.exists(name(at)))),
    };
  }

  #open(name, flags) {
    // What is for one connection alone is never kept.
    const file = name === '' ? new MemoryFile() : this.files.open(name, flags);
    if (!file) return -1;
    let number = 0;
    while (this.opened[number]) number++;
    this.opened[number] = { file, name: flags & DELETE_ON_CLOSE ? name : '' };
    return number;
  }
}
