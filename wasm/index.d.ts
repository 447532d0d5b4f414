/** What SQLite gives: a whole number beyond 2^53 is a bigint. */
export type Value = null | number | bigint | string | Uint8Array;
/** What is bound. Arrays of numbers become vectors. A boolean becomes 0 or 1. */
export type Bindable = Value | undefined | boolean | ArrayBuffer | Float32Array | Float64Array | Int8Array | Int16Array | Int32Array;
/** By place, or by name with or without the sign before it. */
export type Values = readonly Bindable[] | Readonly<Record<string, Bindable>> | null;
export type Row = Record<string, Value>;
export interface Rows { columns: string[]; rows: Value[][] }
export interface Changes { changes: number; lastInsertRowid: number | bigint }
export interface OpenOptions {
  readOnly?: boolean;
  /** Gives every whole number as a bigint, and so tells 1 from 1.0. */
  bigints?: boolean;
}

/** What SQLite or fafcas says, with SQLite's extended result code. */
export class SqliteError extends Error {
  constructor(message: string, code: number);
  readonly code: number;
}

/** Where databases lie. */
export interface Files {
  exists(name: string): boolean;
  delete(name: string): void;
  /** The whole file, or null. */
  get(name: string): Uint8Array | null;
  /** Makes a file of these bytes. It must not be open. */
  put(name: string, bytes: Uint8Array): void;
  names(): string[];
}

/** In the memory of the program: gone when it ends. */
export class MemoryFiles implements Files {
  exists(name: string): boolean;
  delete(name: string): void;
  get(name: string): Uint8Array | null;
  put(name: string, bytes: Uint8Array): void;
  names(): string[];
}

/** In a folder of the browser's private file system, across reloads. For a worker. Only one worker has a folder at a time. */
export class OpfsFiles implements Files {
  private constructor();
  /** `count` is how many files there can be: two for each database that is written, one more for transactions over several. */
  static open(folder?: string, count?: number): Promise<OpfsFiles>;
  /** Makes room for so many files in all. */
  reserve(count: number): Promise<void>;
  exists(name: string): boolean;
  delete(name: string): void;
  get(name: string): Uint8Array | null;
  put(name: string, bytes: Uint8Array): void;
  names(): string[];
  /** Lets other tabs have the folder. Its databases must be closed. */
  close(): void;
}

export interface LoadOptions {
  /** The module, where it does not lie beside index.js. */
  wasm?: string | URL | Response | Promise<Response> | BufferSource | WebAssembly.Module;
  /** In memory, if nothing else is said. */
  files?: Files;
  /** Variables that fafcas reads, such as FAFCAS_KERNELS. */
  environment?: Record<string, string>;
}

/** Whether this browser, or this Node, runs the module. */
export function isSupported(): boolean;
export function load(options?: LoadOptions): Promise<Fafcas>;

/** One module, with its databases and models. */
export interface Fafcas {
  readonly files: Files;
  /** Gives `embed` a model: the files of its folder by their names. Only static models run here. */
  addModel(name: string, files: Record<string, BufferSource>): void;
  /** Gives `embed` the model of a folder, by default that of this package. */
  loadModel(name?: string, folder?: URL): Promise<void>;
  open(name?: string, options?: OpenOptions): Database;
  /** Opens a database of these bytes, in memory. */
  openBytes(bytes: Uint8Array): Database;
}

/** One connection. */
export interface Database {
  readonly name: string;
  /** Runs all statements of a text, and leaves out their rows. */
  exec(sql: string): void;
  run(sql: string, values?: Values): Changes;
  /** The first row, or undefined. */
  get(sql: string, values?: Values): Row | undefined;
  all(sql: string, values?: Values): Row[];
  rows(sql: string, values?: Values): Rows;
  /** Runs `work` as one transaction: all of it, or nothing if it throws. */
  transaction<T>(work: () => T): T;
  /** The whole database as the bytes of a file. */
  export(schema?: string): Uint8Array;
  close(): void;
}
