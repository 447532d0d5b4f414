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
 * From then on its statements bind arrays of numbers (`Float32Array`, `Float64Array`, `Int32Array` ...) as vectors. Arrays of bytes
 * stay bytes.
 *
 * Throws where the database cannot load extensions, or there is no library for this platform.
 */
export function load(db: LoadableDatabase, options?: LoadOptions): void;

/** The path of the library, for whatever loads SQLite extensions by their path. */
export function getLoadablePath(): string;

/** Numbers as the BLOB that SQL takes for a vector. */
export function vector(numbers: Iterable<number> | ArrayLike<number>): Uint8Array;

export type Id = number | bigint | string;
export type Metadata = Record<string, unknown>;
/** Numbers, or a BLOB of 4-byte floats that is ready. */
export type Vector = readonly number[] | Float32Array | Float64Array | Uint8Array;
/** A function of your own from texts to as many vectors, say of a server's. */
export type Embed = (texts: string[]) => Iterable<Vector> | Promise<Iterable<Vector>>;

/** What the columns of a table are called. With `metadata: null` the table has no such column. */
export interface Columns {
  id?: string;
  text?: string;
  metadata?: string | null;
  embedding?: string;
}

export interface CollectionOptions {
  /** Without it the library's `embed` is called, with `model`. */
  embed?: Embed;
  model?: string;
  /** Adopts a table that is there already: its vectors, full text and index are added to it. */
  columns?: Columns;
}

/** A condition on the table's columns, with the values of its parameters: `where: "metadata ->> 'year' > :year"`. */
export interface Condition {
  where?: string;
  params?: Record<string, unknown>;
}

/** A row that a search found, best first. `by` says why. */
export interface Hit {
  id: Id;
  score: number;
  text: string | null;
  metadata: Metadata | null;
  by: 'meaning' | 'words' | 'both';
}

/** A row as it is; the vector where it was asked for. */
export interface Item {
  id: Id;
  text: string | null;
  metadata: Metadata | null;
  vector: Float32Array | null;
}

export interface SearchOptions extends Condition {
  /** Searched in place of the question's own. */
  vector?: Vector;
  by?: 'both' | 'meaning' | 'words';
}

type Texts = Iterable<string | null> | null;
type Metadatas = Iterable<Metadata | null> | null;
type Vectors = { vectors?: Iterable<Vector> };

/**
 * Texts, vectors and metadata in a table, which stays an ordinary table and is that of Python's `fafcas.Collection`. It keeps
 * nothing of its own. Each call that writes is one transaction, or a part of yours.
 */
export class Collection<Database extends LoadableDatabase = LoadableDatabase> {
  constructor(db: Database, table?: string, options?: CollectionOptions);
  readonly connection: Database;
  readonly table: string;
  readonly length: number;
  /** Adds rows and gives their ids, which are numbers where none are named. All of them or none. */
  add(texts?: Texts, metadata?: Metadatas, ids?: Iterable<Id> | null, options?: Vectors): Promise<Id[]>;
  /** Adds rows, or replaces the text, metadata and vector of those whose ids are there. */
  upsert(texts: Texts, metadata: Metadatas | undefined, ids: Iterable<Id>, options?: Vectors): Promise<Id[]>;
  /** Deletes the rows with these ids, or those that meet a condition, and gives how many that were. */
  delete(ids?: Iterable<Id> | null, options?: Condition): number;
  /** The k best rows: by meaning and words at once, or by one of them. There are k whenever enough meet `where`. */
  search(question?: string | null, k?: number, options?: SearchOptions): Promise<Hit[]>;
  get(ids?: Iterable<Id> | null, options?: Condition & { limit?: number; vectors?: boolean }): Item[];
  /** Brings what was added since into the index and the full text as a whole: after much has changed. */
  optimize(): void;
  has(id: Id): boolean;
  close(): void;
}

/** The collection in a table of a database file, by better-sqlite3 if the program has it, else by node:sqlite. */
export function open(path: string, options?: CollectionOptions & { table?: string }): Collection;
