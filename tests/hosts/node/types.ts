// The package's types as a program uses them. tests/hosts/packages.rs has tsc check it; it is never run.
import { DatabaseSync } from 'node:sqlite';
import { Collection, getLoadablePath, type Hit, load, open, vector } from 'fafcas';

const db = new DatabaseSync('notes.db', { allowExtension: true });
load(db);
load(db, { schemaSearch: true });
const path: string = getLoadablePath();
db.prepare('SELECT ?').get(vector([1, 2]), vector(new Float64Array([1, 2])), path);
async function search(): Promise<string | null> {
  const embed = async (texts: string[]) => texts.map(() => new Float32Array(3));
  const notes = new Collection(db, 'notes', { embed, columns: { metadata: null } });
  const [id] = await notes.add(['a', null], [{ kind: 'b' }, null], [1, 'two'], { vectors: [[1, 2], new Float64Array(2)] });
  const hits: Hit[] = await notes.search('a', 3, { where: 'kind = :kind', params: { kind: 1 }, by: 'words' });
  notes.connection.prepare('SELECT 1');
  notes.get([id], { vectors: true })[0].vector?.at(0);
  // @ts-expect-error: there is no such way to search
  await notes.search('a', 1, { by: 'nearest' });
  // @ts-expect-error: ids are needed
  await notes.upsert(['a'], null);
  return hits[0].by === 'both' ? open('notes.db', { table: 'notes' }).get()[0].text : null;
}
void search;
// @ts-expect-error: a path is no database
load('notes.db');
// @ts-expect-error: a switch is no text
load(db, { schemaSearch: 'yes' });
// @ts-expect-error: texts are no numbers
vector(['one']);
