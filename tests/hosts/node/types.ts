// The package's types as a program uses them. tests/hosts/packages.rs has tsc check it; it is never run.
import { DatabaseSync } from 'node:sqlite';
import { getLoadablePath, load, vector } from 'fafcas';

const db = new DatabaseSync('notes.db', { allowExtension: true });
load(db);
load(db, { schemaSearch: true });
const path: string = getLoadablePath();
db.prepare('SELECT ?').get(vector([1, 2]), vector(new Float64Array([1, 2])), path);
// @ts-expect-error: a path is no database
load('notes.db');
// @ts-expect-error: a switch is no text
load(db, { schemaSearch: 'yes' });
// @ts-expect-error: texts are no numbers
vector(['one']);
