// Looks at a page of a report as a reader does: wide and narrow, light and dark.
//
//   node scripts/check-report.mjs FILE.html [SCREENSHOT_DIR]
//
// Fails if the page fetches anything, reports an error, takes a second to open, is wider than the
// window, or if a plot or a table is empty or cannot be read; if a table is wider than the window and
// does not say so; or if a link to another page leads nowhere. Of samples.html, it also searches the
// table, and reads it without scripts. Needs the package playwright-core, from where it is run or from
// NODE_PATH, and a Chromium: that of the variable CHROMIUM, or /usr/bin/chromium.
import { createRequire } from "node:module";
import { existsSync, mkdirSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const WIDTHS = [1920, 1280, 360];
const SCHEMES = ["light", "dark"];
/** In pixels of the screen. */
const SMALLEST_FONT = 9;
const OVERLAP = 3;
/** In milliseconds, until the page is shown, and until what is looked for is. */
const OPENED = 1000;
const FOUND = 500;
/** Of text to what is behind it. */
const CONTRAST = 4.5;

const [file, screenshots] = process.argv.slice(2);
if (!file || !existsSync(file)) {
  console.error("usage: node scripts/check-report.mjs FILE.html [SCREENSHOT_DIR]");
  process.exit(2);
}
const { chromium } = createRequire(join(process.cwd(), "here.js"))("playwright-core");
const address = pathToFileURL(resolve(file)).href;
const name = basename(file, ".html");
const problems = [];

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
  ],
});
for (const width of WIDTHS) {
  for (const colorScheme of SCHEMES) {
    await look(width, colorScheme);
  }
}
await withoutScripts();
await browser.close();
problems.forEach((problem) => console.error(problem));
process.exit(problems.length > 0 ? 1 : 0);

async function look(width, colorScheme) {
  const where = `${name}, ${width} px, ${colorScheme}`;
  const before = problems.length;
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
  const page = await context.newPage();
  const problem = (what) => problems.push(`${where}: ${what}`);
  page.on("request", (request) => {
    if (request.url() !== address) problem(`fetches ${request.url()}`);
  });
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) problem(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => problem(`error: ${error.message}`));
  await page.goto(address, { waitUntil: "load" });
  const opened = await page.evaluate(() => performance.getEntriesByType("navigation")[0].loadEventEnd);
  if (opened > OPENED) problem(`takes ${Math.round(opened)} ms to open`);
  // What is folded is looked at, too.
  await page.evaluate(() => document.querySelectorAll("details").forEach((e) => (e.open = true)));
  if (screenshots) {
    mkdirSync(screenshots, { recursive: true });
    const path = join(screenshots, `${name}-${width}-${colorScheme}.png`);
    await page.screenshot({ path, fullPage: true });
  }
  for (const link of await page.evaluate(otherPages)) {
    const problem_ = await leadsNowhere(context, link);
    if (problem_) problem(problem_);
  }
  if (await page.evaluate(() => document.getElementById("search") !== null)) {
    (await page.evaluate(lookFor, FOUND)).forEach(problem);
  }
  const limits = { SMALLEST_FONT, OVERLAP, CONTRAST };
  const found = await page.evaluate(inspect, limits);
  found.problems.forEach(problem);
  const told = problems.length > before ? `${problems.length - before} problems` : "good";
  console.log(
    `${where}: opened in ${Math.round(opened)} ms; ${found.plots} plots with ${found.texts} texts of ${found.smallest} px or more, ` +
      `${found.tables} tables, ${found.links} links, contrast ${found.contrast} or more: ${told}`,
  );
  await context.close();
}

/** Where there are no scripts, all samples are in the table, each with its own row. */
async function withoutScripts() {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(address, { waitUntil: "load" });
  const table = page.locator("table.samples");
  if ((await table.count()) > 0) {
    const [rows, told] = [await table.locator("tbody tr").count(), await total(page)];
    if (rows !== told) problems.push(`${name}: without scripts there are ${rows} rows of ${told}`);
    console.log(`${name}, without scripts: ${rows} rows`);
  }
  await context.close();
}

/** The number of answers that the page says it has. */
async function total(page) {
  const text = await page.locator("output").textContent();
  return Number(text.replaceAll(",", "").match(/(\d+) answers/)[1]);
}

/** Runs in the page: one link to each other page, and the last of those that name a row of it. */
function otherPages() {
  const links = [...document.querySelectorAll("a[href]")].filter((link) => link.protocol === "file:");
  const others = links.filter((link) => link.pathname !== location.pathname);
  const kinds = new Map(others.map((link) => [link.pathname + link.hash.slice(0, 2), link.href]));
  return [...kinds.values()];
}

/** What is wrong with a link to another page, which may name a row, or what is to be shown. */
async function leadsNowhere(context, link) {
  const page = await context.newPage();
  const failed = await page.goto(link, { waitUntil: "load" }).then(
    () => null,
    () => `${link} is not there`,
  );
  const { hash } = new URL(link);
  let problem = failed;
  if (!failed && hash.includes("=")) {
    const rows = await page.locator("tbody tr").count();
    const [some, all] = (await page.locator("output").textContent()).match(/[\d,]+/g);
    if (rows === 0 || some === all) problem = `${hash} shows ${some} of ${all}`;
  } else if (!failed && hash) {
    const seen = await page.locator(hash).isVisible();
    if (!seen) problem = `${hash} is not shown`;
  }
  await page.close();
  return problem;
}

/** Runs in the page of samples: searches it, and returns what is wrong with what is found. */
function lookFor(FOUND) {
  const problems = [];
  const { elements } = document.getElementById("search");
  const rows = () => [...document.querySelectorAll("tbody tr")];
  const number = (text) => Number(text.replaceAll(",", ""));
  const told = () => elements.found.value.match(/[\d,]+/g).map(number);
  const set = (name, value) => {
    elements[name].value = value;
    const start = performance.now();
    elements[name].dispatchEvent(new Event("input", { bubbles: true }));
    const took = performance.now() - start;
    if (took > FOUND) problems.push(`${name} ${value}: takes ${Math.round(took)} ms`);
  };
  const [, all] = told();
  const expect = (what, wanted) => {
    const [found] = told();
    if (found !== wanted) problems.push(`${what}: ${found} answers, not ${wanted}`);
    const shown = rows().length;
    if (shown !== Math.min(found, shown) || (found > 0 && shown === 0)) {
      problems.push(`${what}: ${shown} rows of ${found}`);
    }
  };
  if (all === 0) return problems;
  expect("at first", all);

  // Every choice has as many as it says.
  for (const name of ["run", "verdict", "kind"]) {
    if (!elements[name]) continue;
    for (const option of [...elements[name].options].filter((option) => option.value !== "")) {
      set(name, option.value);
      expect(`${name} ${option.label}`, number(option.label.match(/\(([\d,]+)\)$/)[1]));
    }
    set(name, "");
  }

  // A row is found by its own words, in any case; and what is nowhere is not.
  const text = rows()[0].querySelector("th").textContent;
  set("query", `  ${text.toUpperCase()} `);
  const own = rows().some((row) => row.querySelector("th").textContent === text);
  if (!own) problems.push(`${text} is not found`);
  if (rows().some((row) => !row.textContent.toLowerCase().includes(text.toLowerCase().split(/\s+/)[0]))) {
    problems.push(`${text} finds another row`);
  }
  set("query", "nowhere-to-be-found");
  expect("nothing", 0);
  set("query", "");

  for (const [order, sign] of [["mass", -1], ["-mass", 1], ["first", -1], ["-first", 1]]) {
    set("order", order);
    // What has no number comes last.
    const texts = rows().map((row) => row.dataset[order.replace("-", "")]);
    const values = texts.map((text) => (text === "" ? Infinity : sign * Number(text)));
    const isSorted = values.every((value, i) => i === 0 || value >= values[i - 1]);
    if (!isSorted) problems.push(`${order} is not in order`);
  }
  set("order", "");
  expect("at last", all);
  return problems;
}

/** Runs in the page. */
function inspect({ SMALLEST_FONT, OVERLAP, CONTRAST }) {
  const problems = [];
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const short = (element) => JSON.stringify(element.textContent.trim().slice(0, 40));

  const { scrollWidth, clientWidth } = document.documentElement;
  if (scrollWidth > clientWidth) {
    const wide = all("body *").filter((e) => e.getBoundingClientRect().right > clientWidth + 1);
    const outside = wide.filter((e) => !e.closest(".box"));
    const who = outside.slice(0, 3).map((e) => `${e.tagName} ${short(e)}`);
    problems.push(`the page is ${scrollWidth} px wide: ${who.join("; ")}`);
  }
  if (document.documentElement.lang === "") problems.push("the page has no language");
  let level = 0;
  for (const heading of all("h1, h2, h3, h4")) {
    const own = Number(heading.tagName[1]);
    if (own > level + 1) problems.push(`heading ${short(heading)} skips a level`);
    level = own;
  }
  for (const link of all("a[href^='#']")) {
    if (!document.getElementById(link.hash.slice(1))) problems.push(`${link.hash} leads nowhere`);
  }

  for (const box of all(".box")) {
    // Of a pixel more, which rounding makes, it does not matter.
    const more = box.scrollWidth - box.clientWidth;
    const caption = box.querySelector("caption");
    const hint = getComputedStyle(caption, "::after").content;
    const told = hint.includes("scroll");
    if (told ? more < 1 : more > 1) problems.push(`${short(caption)}: ${more} px more, says ${hint}`);
  }

  const ids = all("[id]").map((element) => element.id);
  ids.filter((id, i) => ids.indexOf(id) < i).forEach((id) => problems.push(`two ids ${id}`));

  for (const list of all("ul, ol")) {
    // Safari takes a list without markers for none, unless it has the role.
    const hidden = getComputedStyle(list).listStyleType === "none";
    if (hidden && list.getAttribute("role") !== "list") problems.push(`${short(list)} is no list`);
  }
  for (const article of all("article")) {
    const name = document.getElementById(article.getAttribute("aria-labelledby"));
    if (!name?.textContent.trim()) problems.push(`${short(article)} has no name`);
  }

  const tables = all("table");
  for (const table of tables) {
    const title = table.caption ? short(table.caption) : "a table without a caption";
    const cells = all("tbody td", table);
    if (cells.length === 0) problems.push(`${title} is empty`);
    if (cells.some((cell) => cell.textContent.trim() === "")) problems.push(`${title} has gaps`);
    if (all("th:not([scope])", table).length > 0) problems.push(`${title}: th without scope`);
    const width = (row) => [...row.cells].reduce((sum, cell) => sum + cell.colSpan, 0);
    const first = width(table.rows[0]);
    const carried = new Array(table.rows.length).fill(0);
    [...table.rows].forEach((row, i) => {
      for (const cell of row.cells) {
        for (let below = 1; below < cell.rowSpan; below++) carried[i + below] += cell.colSpan;
      }
      if (width(row) + carried[i] !== first) problems.push(`${title}: row ${i} has another width`);
    });
  }

  let [texts, smallest] = [0, Infinity];
  for (const svg of all("svg")) {
    const box = svg.getBoundingClientRect();
    const shapes = all("line, polyline, polygon, circle, rect, path", svg);
    const role = svg.getAttribute("role") === "img";
    if (role && !svg.getAttribute("aria-label")) problems.push("a plot without a label");
    if (!role && svg.getAttribute("aria-hidden") !== "true") problems.push("an svg without a role");
    const title = (svg.getAttribute("aria-label") ?? "a key").slice(0, 60);
    if (shapes.length === 0 || box.width < 1) problems.push(`${title} is empty`);
    if (role && all(".mark, .ring", svg).length === 0) problems.push(`${title} has no data`);

    const labels = all("text", svg).map((text) => ({ text, box: text.getBoundingClientRect() }));
    texts += labels.length;
    const scale = svg.getScreenCTM().a;
    labels.forEach((label, i) => {
      const size = parseFloat(getComputedStyle(label.text).fontSize) * scale;
      smallest = Math.min(smallest, size);
      if (size < SMALLEST_FONT) {
        problems.push(`${title}: ${short(label.text)} is ${size.toFixed(1)} px high`);
      }
      const [a, out] = [label.box, 1];
      if (a.left < box.left - out || a.right > box.right + out || a.bottom > box.bottom + out) {
        problems.push(`${title}: ${short(label.text)} is cut off`);
      }
      for (const other of labels.slice(i + 1)) {
        const b = other.box;
        const x = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (x > OVERLAP && y > OVERLAP) {
          problems.push(`${title}: ${short(label.text)} overlaps ${short(other.text)}`);
        }
      }
    });
  }

  // The contrast of every text to the nearest background behind it.
  const channels = (colour) => colour.match(/[\d.]+/g).map(Number);
  const luminance = (colour) => {
    const linear = channels(colour).slice(0, 3).map((c) => {
      const part = c / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const background = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if ((channels(colour)[3] ?? 1) > 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const written = all("body *").filter((element) =>
    [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim()),
  );
  let contrast = Infinity;
  for (const element of written) {
    const style = getComputedStyle(element);
    const ink = element instanceof SVGElement ? style.fill : style.color;
    const pair = [luminance(ink), luminance(background(element))].sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    contrast = Math.min(contrast, ratio);
    if (ratio < CONTRAST) problems.push(`${short(element)} has a contrast of ${ratio.toFixed(1)}`);
  }

  return {
    problems,
    plots: all("svg[role=img]").length,
    tables: tables.length,
    links: all("a").length,
    texts,
    smallest: texts === 0 ? "–" : smallest.toFixed(1),
    contrast: contrast.toFixed(1),
  };
}
