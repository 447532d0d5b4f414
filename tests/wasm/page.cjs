// The page in a real Chromium: page.cjs PAGE FOLDER
//
// It makes the sample knowledge base, searches it, keeps it across a reload, works in private windows and on a phone, and says what is
// missing where it cannot work. Screenshots are left in FOLDER. Without Chromium it is skipped, unless FAFCAS_REQUIRE_HOSTS is set.

const assert = require("node:assert/strict");
const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");
const { chromium } = require("playwright-core");

const [root, folder] = process.argv.slice(2).map((name) => path.resolve(name));
const KINDS = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".wasm": "application/wasm", ".json": "application/json" };

function program() {
  for (const name of ["chromium", "chromium-browser", "google-chrome"]) {
    try {
      return execFileSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).trim();
    } catch { /* the next one */ }
  }
  if (process.env.FAFCAS_REQUIRE_HOSTS) throw new Error("expected chromium");
  return null;
}

function serve() {
  const server = http.createServer((request, response) => {
    const file = path.join(root, new URL(request.url, "http://x").pathname.replace(/\/$/, "/index.html"));
    if (!file.startsWith(root) || !fs.existsSync(file)) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { "content-type": KINDS[path.extname(file)] ?? "application/octet-stream" });
    fs.createReadStream(file).pipe(response);
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

const PATIENCE = 240000;
const faults = [];

/** A busy machine takes its time. */
function patient(context) {
  context.setDefaultTimeout(PATIENCE);
  return context;
}

function watch(page, origin) {
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) faults.push(`console: ${message.text()}`); });
  page.on("pageerror", (error) => faults.push(`pageerror: ${error.message}`));
  page.on("request", (request) => { if (!request.url().startsWith("data:") && new URL(request.url()).origin !== origin) faults.push(`network: ${request.url()}`); });
  return page;
}

async function ready(page) {
  await page.waitForFunction(() => document.documentElement.dataset.ready === "yes" || !document.getElementById("fault").hidden);
  assert.equal(await page.locator("#fault").textContent(), "");
}

async function ask(page, question) {
  await page.fill("#question", question);
  const before = await page.locator("#answers").evaluate((list) => (list.dataset.seen = "yes"));
  assert.equal(before, "yes");
  await page.evaluate(() => { document.getElementById("took").textContent = ""; });
  await page.click("#ask button");
  await page.waitForFunction(() => document.getElementById("took").textContent !== "" || !document.getElementById("fault").hidden);
  assert.equal(await page.locator("#fault").textContent(), "");
  console.log(`${question}: ${await page.locator("#took").textContent()}`);
  return page.locator("#answers h2").allTextContents();
}

async function fits(page) {
  const room = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.ok(room[0] <= room[1], `the page is ${room[0]} wide in a window of ${room[1]}`);
}

const figures = (page) => page.locator("#figures tr").evaluateAll((rows) => Object.fromEntries(rows.map((row) => [...row.cells].map((cell) => cell.textContent))));
const state = (page) => page.locator("#state").textContent();
const shot = (page, name) => page.screenshot({ path: path.join(folder, `${name}.png`), fullPage: true });

async function onADesk(browser, address) {
  const page = watch(await patient(await browser.newContext({ viewport: { width: 1000, height: 800 } })).newPage(), address);
  await page.goto(`${address}/`);
  await ready(page);
  const first = await figures(page);
  assert.equal(first.kernels, "simd128");
  assert.match(first["fafcas.wasm"], /^[234]\.\d\d MB$/);
  assert.match(await state(page), /^359 entries, kept in this browser$/);
  console.log("first visit", JSON.stringify(first));
  assert.equal((await ask(page, "why are there tides"))[0], "Tides");
  await fits(page);
  await shot(page, "desk");

  // What was added is found, and is there after a reload.
  await page.click("summary:text('Add a note')");
  await page.fill("#title", "Sourdough of rye");
  await page.fill("#content", "<b>Rye</b> flour and water are left in a warm place until wild yeast makes them bubble.");
  await page.click("#add button");
  await page.waitForFunction(() => document.getElementById("state").textContent.startsWith("360"));
  assert.equal((await ask(page, "rye flour left to bubble"))[0], "Sourdough of rye");
  await page.reload();
  await ready(page);
  assert.match(await state(page), /^360 entries/);
  assert.ok(!("index" in (await figures(page))), "it was made again");
  console.log("second visit", JSON.stringify(await figures(page)));
  assert.equal((await ask(page, "rye flour left to bubble"))[0], "Sourdough of rye");
  assert.match(await page.locator("#answers li").first().textContent(), /<b>Rye<\/b> flour/);

  // A second tab cannot have the same files; it says so, and works in memory.
  const second = watch(await page.context().newPage(), address);
  await second.goto(`${address}/`);
  await ready(second);
  assert.match(await state(second), /not kept when the page is closed: fafcas: the folder fafcas of OPFS is open in another tab/);
  await second.close();

  await page.click("#forget");
  await page.waitForFunction(() => document.documentElement.dataset.ready === "yes" && document.getElementById("state").textContent.startsWith("359"));
  await page.context().close();
}

async function onAPhone(browser, address) {
  const context = patient(await browser.newContext({ viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true, colorScheme: "dark" }));
  const page = watch(await context.newPage(), address);
  await page.goto(`${address}/`);
  await ready(page);
  assert.equal((await ask(page, "another process uses the file"))[0], "The -shm file");
  await page.click("summary:text('Sizes and times')");
  await fits(page);
  await shot(page, "phone");
  await context.close();
}

/** In a page whose browser lacks something, as old ones do. */
async function without(browser, address, missing, look) {
  const context = patient(await browser.newContext());
  const page = await context.newPage();
  await context.addInitScript(missing);
  await page.goto(`${address}/`);
  await look(page);
  await context.close();
}

async function main() {
  const executablePath = program();
  if (!executablePath) {
    console.log("skipped: chromium is not here");
    return;
  }
  fs.mkdirSync(folder, { recursive: true });
  const server = await serve();
  const address = `http://127.0.0.1:${server.address().port}`;
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"], timeout: PATIENCE });
  try {
    await onADesk(browser, address);
    await onAPhone(browser, address);
    assert.deepEqual(faults, []);
    await without(browser, address, () => { WebAssembly.validate = () => false; }, async (page) => {
      await page.waitForFunction(() => !document.getElementById("fault").hidden);
      assert.match(await page.locator("#fault").textContent(), /^fafcas: expected WebAssembly with SIMD, as Chrome 91, Firefox 89 and Safari 16.4 have it, or newer$/);
      assert.equal(await state(page), "This page cannot work here.");
      await shot(page, "without-simd");
    });
    // A page that is no secure context has no OPFS: what the worker sees cannot be taken away from here, so its file is another.
    const context = patient(await browser.newContext());
    await context.route("**/worker.js", async (route) => {
      const body = `delete StorageManager.prototype.getDirectory;\n${fs.readFileSync(path.join(root, "fafcas/worker.js"), "utf8")}`;
      await route.fulfill({ contentType: "text/javascript", body });
    });
    const page = await context.newPage();
    await page.goto(`${address}/`);
    await ready(page);
    assert.match(await state(page), /^359 entries, not kept when the page is closed: fafcas: expected a browser that keeps files for a site \(OPFS\)/);
    assert.equal((await ask(page, "why are there tides"))[0], "Tides");
    await context.close();
    console.log("the page: kept across a reload, on a phone, in a second tab, without SIMD and without OPFS");
  } finally {
    await browser.close();
    server.close();
  }
}

main().catch((error) => {
  console.error(error, faults);
  process.exitCode = 1;
});
