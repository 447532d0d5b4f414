/** A `Database` of better-sqlite3, or a `DatabaseSync` of node:sqlite opened with `{ allowExtension: true }`. */
export interface LoadableDatabase {
  loadExtension(path: string, entryPoint?: string): unknown;
  enableLoadExtension?(allow: boolean): void;
}

export interface LoadOptions {
  /**
   * Lets views and triggers that the database file stores search. Only for files that you trust: they could read other
   * attached databases. TEMP views and triggers always search.
   */
  schemaSearch?: boolean;
}

/**
 * Gives a database fafcas's SQL functions. If onnxruntime-node is installed, `embed()` finds its library by itself.
 *
 * Throws where the database cannot load extensions, or there is no library for this platform.
 */
export function load(db: LoadableDatabase, options?: LoadOptions): void;

/** The path of the library, for whatever loads SQLite extensions by their path. */
export function getLoadablePath(): string;

/**
 * Numbers as the BLOB that SQL takes for a vector. A Float32Array can also be bound as it is; arrays of numbers and
 * Float64Arrays cannot.
 */
export function vector(numbers: Iterable<number> | ArrayLike<number>): Uint8Array;
