import type { Changes, OpenOptions, Row, Rows, Values } from './index.js';

export interface StartOptions {
  /** The module, where it does not lie beside worker.js. */
  wasm?: string | URL;
  /** The folder of OPFS. With null, databases are kept in memory. */
  folder?: string | null;
  worker?: string | URL;
}

/** Starts a worker with the module in it. */
export function start(options?: StartOptions): Promise<Client>;

export interface Client {
  /** Whether databases are kept across reloads. */
  readonly kept: boolean;
  /** If they are not, why. */
  readonly why: string | null;
  addModel(name: string, files: Record<string, BufferSource>): Promise<void>;
  loadModel(name?: string, folder?: string | URL): Promise<void>;
  /** What the worker has fetched, and how large it is uncompressed: the module, and the files of models. */
  fetched(): Promise<{ name: string; bytes: number }[]>;
  names(): Promise<string[]>;
  has(name: string): Promise<boolean>;
  /** Makes a database file of these bytes. It must not be open. */
  put(name: string, bytes: Uint8Array): Promise<void>;
  remove(name: string): Promise<void>;
  open(name?: string, options?: OpenOptions): Promise<ClientDatabase>;
  /** Ends the worker. What was written stays. */
  stop(): void;
}

export interface ClientDatabase {
  exec(sql: string): Promise<void>;
  run(sql: string, values?: Values): Promise<Changes>;
  get(sql: string, values?: Values): Promise<Row | undefined>;
  all(sql: string, values?: Values): Promise<Row[]>;
  rows(sql: string, values?: Values): Promise<Rows>;
  /** Runs `[sql, values]` one after the other as one transaction. */
  batch(calls: [sql: string, values?: Values][]): Promise<Changes[]>;
  export(schema?: string): Promise<Uint8Array>;
  close(): Promise<void>;
}
