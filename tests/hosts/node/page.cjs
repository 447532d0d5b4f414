// The pages of `fafcas serve` in a real Chromium: node page.cjs CHROMIUM FOLDER KIT_URL OWN_URL
//
// Screenshots of all that was looked at are left in FOLDER. tests/hosts/page.rs calls it, and makes the two databases: the sample,
// and a table `products`, one of which is called <script>.

const assert = require("node:assert/strict");
const http = require("node:http");
const path = require("node:path");
const { chromium } = require("playwright-core");

const [program, folder, kit, own] = process.argv.slice(2);
const origin = (url) => new URL(url).origin;
const hostile = "<script>document.title='run'</script>";

// Everything that would tell of a fault, in all pages of a context.
const faults = [];
let expected = () => false;

function watch(page) {
  const note = (kind, text) => { if (!expected(text)) faults.push(`${kind}: ${text} on ${page.url()}`); };
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) note("console", message.text()); });
  page.on("pageerror", (error) => note("error", error.message));
  page.on("dialog", (dialog) => { note("dialog", dialog.message()); dialog.dismiss(); });
  page.on("request", (request) => {
    if (!/^data:/.test(request.url()) && ![origin(kit), origin(own)].includes(origin(request.url()))) note("network", request.url());
  });
  page.on("response", (response) => { if (response.status() >= 400) note("status", `${response.status()} ${response.url()}`); });
  return page;
}

async function open(browser, settings) {
  return watch(await (await browser.newContext(settings)).newPage());
}

const shot = (page, name) => page.screenshot({ path: path.join(folder, `${name}.png`), fullPage: true });

async function noWiderThanTheWindow(page) {
  const wide = await page.evaluate(() => {
    const room = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= room) return [];
    const reach = [...document.querySelectorAll("*")].map((element) => [element.getBoundingClientRect().right, element.outerHTML.slice(0, 80)]);
    return [[document.documentElement.scrollWidth, room], ...reach.filter(([right]) => right > room)];
  });
  assert.deepEqual(wide, [], page.url());
}

// Text that is at least 4.5 times as bright as what is behind it, or as dark.
async function readable(page) {
  const faint = await page.evaluate(() => {
    const parts = (colour) => (colour.match(/[\d.]+/g) || []).map(Number);
    const light = (colour) => {
      const [r, g, b] = parts(colour).map((part) => part / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element) => {
      for (let at = element; at; at = at.parentElement) {
        const colour = getComputedStyle(at).backgroundColor, alpha = parts(colour)[3];
        if (alpha === undefined || alpha === 1) return colour;
      }
      return "rgb(255, 255, 255)";
    };
    const found = [];
    for (const element of document.querySelectorAll("h1, h2, h3, h3 a, p, p a, p span, mark, label, legend, summary, button, select, input, nav a, code")) {
      if (!element.checkVisibility() || element.disabled) continue;
      const [a, b] = [light(getComputedStyle(element).color), light(behind(element))].sort((x, y) => y - x);
      if ((a + 0.05) / (b + 0.05) < 4.5) found.push(`${element.tagName} ${element.className}: ${((a + 0.05) / (b + 0.05)).toFixed(2)}`);
    }
    return found;
  });
  assert.deepEqual(faint, [], page.url());
}

async function sound(page, name) {
  await noWiderThanTheWindow(page);
  await readable(page);
  await shot(page, name);
}

async function search(page, name) {
  await page.goto(kit);
  // By keyboard alone: the box has the focus, Enter searches, Tab reaches each answer.
  await page.waitForFunction(() => document.activeElement.id === "q");
  await page.keyboard.type("How do readers and writers of one database coexist?");
  await Promise.all([page.waitForURL(/q=How/), page.keyboard.press("Enter")]);
  assert.equal(await page.locator(".hits li").count(), 10);
  const reasons = new Set(await page.locator(".why").allTextContents());
  assert.ok(reasons.has("both") && [...reasons].every((reason) => ["both", "meaning", "words"].includes(reason)), [...reasons]);
  const marked = await page.locator("mark").allTextContents();
  assert.ok(marked.length === 10 && marked.every((text) => text.length > 10 && text === text.trim()), marked);
  assert.match(marked[0], /without blocking each other/);
  await page.locator("details.sql summary").click();
  assert.match(await page.locator("details.sql code").textContent(), /vec_hybrid\('nodes', 'embedding', 'nodes_text', embed_query\('How do/);
  await sound(page, `${name}-search`);
  const first = await page.locator("h3").first().textContent();
  await page.locator("#q").focus();
  for (let presses = 0; (await page.evaluate(() => document.activeElement.getAttribute("aria-label"))) !== `More like ${first}`; presses++) {
    assert.ok(presses < 60, "no Tab leads to 'More like this'");
    await page.keyboard.press("Tab");
  }
  await Promise.all([page.waitForURL(/like=/), page.keyboard.press("Enter")]);
  assert.match(await page.locator("h2").textContent(), /^More like /);
  assert.ok(!(await page.locator("h3").allTextContents()).includes(first));
  await sound(page, `${name}-like`);
}

async function runsInDatasette(page) {
  await page.goto(`${kit}?q=tides&by=meaning`);
  await page.locator("details.sql summary").click();
  await Promise.all([page.waitForURL(/sql=/), page.locator("details.sql a").click()]);
  assert.equal(await page.locator("table.rows-and-columns tbody tr").count(), 10);
}

async function ofOnesOwn(page, name) {
  await page.goto(`${own}?q=a+cup+of+hot+soup`);
  const titles = await page.locator("h3").allTextContents();
  assert.equal(titles[0], hostile);
  assert.ok((await page.locator(".text").first().textContent()).includes("<img src=x onerror="));
  await page.selectOption("select[name=has_kind]", "food");
  await page.locator("details.more summary").click();
  await page.selectOption("select[name=column]", "price");
  await page.selectOption("select[name=is]", "at most");
  await page.fill("input[name=value]", "5");
  await Promise.all([page.waitForURL(/value=5/), page.getByRole("button", { name: "Search" }).click()]);
  assert.deepEqual((await page.locator("h3").allTextContents()).sort(), [hostile, "Ice cream"]);
  assert.equal(await page.locator("select[name=has_kind]").inputValue(), "food");
  assert.equal(await page.locator("input[name=value]").first().inputValue(), "5");
  await sound(page, `${name}-own`);
  await page.goto(`${own}?q=soup&by=words`);
  assert.deepEqual(await page.locator(".why").allTextContents(), ["words"]);
  await page.goto(`${own}?q=soup&has_kind=nothing`);
  assert.match(await page.locator("main").textContent(), /0 answers\s+Nothing found/);
  await page.goto(`${own}?like=3`);
  assert.equal(await page.locator("h3").count(), 9);
}

// Where a row is on the screen, by the points that the page was drawn from.
async function places(page) {
  return page.evaluate(async () => {
    const map = document.getElementById("map");
    const data = await (await fetch(map.dataset.points)).json();
    const box = map.querySelector(".u-over").getBoundingClientRect();
    const share = (values) => {
      const low = Math.min(...values), high = Math.max(...values), edge = (high - low) * 0.05;
      return values.map((value) => (value - low + edge) / (high - low + 2 * edge));
    };
    const across = share(data.x), up = share(data.y);
    return data.title.map((title, at) => ({ title, x: box.left + across[at] * box.width, y: box.bottom - up[at] * box.height }));
  });
}

async function map(page, url, name) {
  await page.goto(url.replace(/search$/, "map"));
  await page.waitForSelector("#map[data-ready]");
  await page.locator("#map").scrollIntoViewIfNeeded();
  const rows = await places(page);
  const told = () => page.locator("#row strong").textContent();
  // Of dots in one place the first is meant, so names are compared with all of them.
  const named = (row) => rows.filter((other) => Math.hypot(other.x - row.x, other.y - row.y) < 1).map((other) => other.title);
  for (const row of [rows[0], rows[rows.length >> 1], rows.at(-1)]) {
    await page.mouse.move(row.x, row.y);
    assert.ok(named(row).includes(await told()), row.title);
  }
  // What is under the pointer stays there while the wheel zooms.
  const before = await page.locator("#map canvas").screenshot();
  const row = rows[rows.length >> 1];
  await page.mouse.move(row.x, row.y);
  await page.mouse.wheel(0, -100);
  await page.mouse.wheel(0, -100);
  await page.mouse.move(row.x + 3, row.y);
  assert.ok(named(row).includes(await told()));
  assert.ok(!before.equals(await page.locator("#map canvas").screenshot()), "the wheel changed nothing");
  // Dragged, it moves along.
  await page.mouse.down();
  await page.mouse.move(row.x + 63, row.y + 20, { steps: 5 });
  await page.mouse.up();
  await page.mouse.move(row.x + 60, row.y + 20);
  assert.ok(named(row).includes(await told()));
  await page.getByRole("button", { name: "Whole map" }).click();
  // By keyboard: rows one after the other, and to what is like them.
  await page.locator("#map").focus();
  await page.keyboard.press("+");
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("0");
  await page.keyboard.press("p");
  const last = await told();
  await page.keyboard.press("n");
  assert.notEqual(await told(), last);
  await sound(page, `${name}-map`);
  const legend = page.locator("#legend button");
  const all = await page.locator("#map canvas").screenshot();
  await legend.first().click();
  assert.equal(await legend.first().getAttribute("aria-pressed"), "false");
  assert.ok(!all.equals(await page.locator("#map canvas").screenshot()), "a group of the legend is still drawn");
  await page.locator("#map").focus();
  await page.keyboard.press("n");
  await Promise.all([page.waitForURL(/like=/), page.keyboard.press("Enter")]);
}

async function coloured(page) {
  await page.goto(own.replace(/search$/, "map"));
  await page.selectOption("select[name=by]", "price");
  await Promise.all([page.waitForURL(/by=price/), page.getByRole("button", { name: "Colour", exact: true }).click()]);
  await page.waitForSelector("#map[data-ready]");
  assert.ok(page.url().endsWith("?by=price"));
  const labels = await page.locator("#legend button").allTextContents();
  assert.ok(labels.length > 3 && labels.at(-1) === "none (1)", labels);
  assert.ok((await page.locator("#row").textContent()).startsWith("Rows that are alike"));
}

// A page of another site gets nothing, and a link to the first page works.
async function otherSites(browser) {
  const server = http.createServer((request, response) => {
    response.setHeader("content-type", "text/html");
    response.end(`<a id=go href="${kit}">go</a><a id=ask href="${kit}?q=x">ask</a>`);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const there = `http://127.0.0.1:${server.address().port}/`;
  const page = await (await browser.newContext()).newPage();
  const asked = new Set(), given = [];
  page.on("request", (request) => asked.add(request.url()));
  page.on("response", (response) => { if (response.status() !== 403) given.push(response.url()); });
  await page.goto(there);
  const said = await page.evaluate(async (url) => {
    const element = (tag, address) => new Promise((resolve) => {
      const made = Object.assign(document.createElement(tag), { src: address, onload: () => resolve(), onerror: () => resolve() });
      document.body.append(made);
    });
    await fetch(`${url}?q=fetched`, { mode: "no-cors" }).catch(() => {});
    await Promise.all([element("img", `${url}?q=image`), element("script", `${url}?q=script`), element("iframe", `${url}?q=frame`)]);
    return fetch(`${url}?q=read`).then(() => "read", () => "refused");
  }, kit);
  assert.equal(said, "refused");
  for (const how of ["fetched", "image", "script", "frame"]) assert.ok(asked.has(`${kit}?q=${how}`), how);
  assert.deepEqual(given.filter((url) => url.startsWith(kit)), []);
  await Promise.all([page.waitForURL(/q=x/), page.click("#ask")]);
  assert.match(await page.textContent("body"), /expected a request of its own pages/);
  await page.goto(there);
  await Promise.all([page.waitForURL(kit), page.click("#go")]);
  assert.equal(await page.locator("#q").count(), 1);
  server.close();
}

async function faultsAreTold(page) {
  expected = (text) => text.includes("400");
  await page.goto(`${own}?q=x&column=nothing&is=is&value=1`);
  assert.match(await page.getByRole("alert").textContent(), /expected a column out of id, name/);
  await page.goto(`${own}?like=999`);
  assert.match(await page.getByRole("alert").textContent(), /expected a row with a vector whose id is 999/);
  expected = () => false;
}

async function main() {
  const browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox", "--disable-gpu"] });
  try {
    for (const colorScheme of ["light", "dark"]) {
      for (const [width, height, isMobile] of [[1280, 900, false], [390, 844, true]]) {
        const page = await open(browser, { colorScheme, viewport: { width, height }, isMobile, hasTouch: isMobile });
        const name = `${colorScheme}-${width}`;
        await search(page, name);
        await ofOnesOwn(page, name);
        await map(page, kit, name);
        await page.context().close();
      }
    }
    const page = await open(browser, {});
    await runsInDatasette(page);
    await coloured(page);
    await faultsAreTold(page);
    await page.goto(origin(own));
    await shot(page, "tables");
    await page.goto(own.replace("/-/search", ""));
    assert.equal(await page.getByRole("link", { name: "Search by meaning" }).first().count(), 1);
    await shot(page, "rows");
    await otherSites(browser);
    assert.deepEqual(faults, []);
  } finally {
    await browser.close();
  }
  console.log("fine");
}

main().catch((error) => { console.error(error); console.error(faults); process.exit(1); });
