// The page: it makes the sample knowledge base at the first visit, keeps it in OPFS, and searches it.

import { start } from './fafcas/client.js';

const MODEL = 'static-MiniLM';
const DATABASE = 'knowledge.db';
const BATCH = 1000;
/** Files below this many bytes are not listed. */
const LARGE = 1e5;

const at = (id) => document.getElementById(id);
const figures = [];

function figure(name, value) {
  figures.push([name, value]);
  const row = at('figures').insertRow();
  row.insertCell().textContent = name;
  row.insertCell().textContent = value;
}

async function timed(name, work) {
  const begun = performance.now();
  const result = await work;
  if (name) figure(name, `${Math.round(performance.now() - begun)} ms`);
  return result;
}

function tell(text) {
  at('state').textContent = text;
}

function fail(error) {
  at('fault').hidden = false;
  at('fault').textContent = error.message;
}

async function script(name) {
  const answer = await fetch(`sql/${name}.sql`);
  if (!answer.ok) throw new Error(`sql/${name}.sql: expected a script, not the status ${answer.status}`);
  return answer.text();
}

/** The knowledge base, which is made if it is not there. */
async function open(client) {
  const isThere = await client.has(DATABASE);
  const db = await timed('open the database', client.open(DATABASE));
  if (isThere && (await db.get("SELECT count(*) AS n FROM sqlite_schema WHERE name = 'nodes_vec'")).n > 0) return db;
  await timed('tables and texts', makeTexts(db));
  await timed(`${await count(db)} embeddings`, embedAll(db));
  await timed('index', db.exec('CREATE VIRTUAL TABLE nodes_vec USING vec_index(nodes, embedding)'));
  return db;
}

async function makeTexts(db) {
  await db.exec(await script('schema'));
  await db.exec(await script('knowledge'));
}

/** The script has three statements, and each takes only the parameters that it names. */
async function embedAll(db) {
  const [models, kit, nodes] = (await script('reembed')).replace(/^--.*$/gm, '').split(/;\s*$/m).map((part) => part.trim()).filter(Boolean);
  await db.batch([[models, { model: MODEL }], [kit, { model: MODEL }], [nodes, { model: MODEL, batch: BATCH }]]);
}

async function ask(db, question) {
  const begun = performance.now();
  const { query } = await db.get('SELECT embed_query(:text, :model) AS query', { text: question, model: MODEL });
  const embedded = performance.now();
  const rows = await db.all(await hybrid, { query, words: question, k: 5 });
  const done = performance.now();
  at('took').textContent = `${rows.length} answers: question ${(embedded - begun).toFixed(1)} ms, search ${(done - embedded).toFixed(1)} ms`;
  at('answers').replaceChildren(...rows.map(shown));
}

function shown(row) {
  const item = document.createElement('li');
  const title = document.createElement('h2');
  title.textContent = row.title;
  const about = document.createElement('p');
  about.className = 'about';
  about.textContent = `score ${row.score}, ${reason(row)}`;
  const text = document.createElement('p');
  text.textContent = row.text;
  item.append(title, about, text);
  return item;
}

function reason({ by_vector: near, by_words: words }) {
  if (words === null) return 'near in meaning';
  return near === null ? 'has words of the question' : 'near in meaning, with words of the question';
}

async function add(db, title, content) {
  await db.batch([
    ["INSERT INTO nodes (id, title, content) VALUES ('own-' || lower(hex(randomblob(8))), :title, :content)", { title, content }],
  ]);
  await embedAll(db);
}

async function count(db) {
  return (await db.get('SELECT count(*) AS n FROM nodes')).n;
}

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(2)} MB`;

/** What was loaded, as the browser counts it. */
async function sizes(client, db) {
  for (const { name, bytes } of await client.fetched()) {
    if (bytes > LARGE) figure(name.split('/').pop(), megabytes(bytes));
  }
  const { bytes } = await db.get('SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size');
  figure('database', megabytes(bytes));
  const { info } = await db.get('SELECT fafcas_info() AS info');
  figure('kernels', JSON.parse(info).kernels);
}

/** While a form is worked on, it takes no second. */
function answers(form, work) {
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    at('fault').hidden = true;
    try {
      await work();
    } catch (error) {
      fail(error);
    }
  });
}

let hybrid;

async function main() {
  const client = await timed('load the module', start());
  await timed('load the model', client.loadModel(MODEL));
  const db = await open(client);
  hybrid = script('hybrid');
  await hybrid;
  const where = client.kept ? 'kept in this browser' : `not kept when the page is closed: ${client.why}`;
  const show = async () => tell(`${await count(db)} entries, ${where}`);
  answers(at('ask'), () => ask(db, at('question').value));
  answers(at('add'), async () => {
    await add(db, at('title').value, at('content').value);
    at('add').reset();
    await show();
  });
  at('forget').addEventListener('click', async () => {
    await db.close();
    await client.remove(DATABASE);
    location.reload();
  });
  await sizes(client, db);
  await show();
  for (const element of document.querySelectorAll(':disabled')) element.disabled = false;
  document.documentElement.dataset.ready = 'yes';
}

main().catch((error) => {
  tell('This page cannot work here.');
  fail(error);
});
