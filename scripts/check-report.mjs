// Looks at a report as a reader does: wide and narrow, light and dark.
//
//   node scripts/check-report.mjs FILE.html [SCREENSHOT_DIR]
//
// Fails if the page fetches anything, reports an error, is wider than the window, or if a plot or a
// table is empty or cannot be read. Needs the package playwright-core, from where it is run or from
// NODE_PATH, and a Chromium: that of the variable CHROMIUM, or /usr/bin/chromium.
import { createRequire } from "node:module";
import { existsSync, mkdirSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const WIDTHS = [1280, 360];
const SCHEMES = ["light", "dark"];
/** In pixels of the screen. */
const SMALLEST_FONT = 9;
const OVERLAP = 3;
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
  if (screenshots) {
    mkdirSync(screenshots, { recursive: true });
    const path = join(screenshots, `${name}-${width}-${colorScheme}.png`);
    await page.screenshot({ path, fullPage: true });
  }
  const limits = { SMALLEST_FONT, OVERLAP, CONTRAST };
  const found = await page.evaluate(inspect, limits);
  found.problems.forEach(problem);
  const told = problems.length > before ? `${problems.length - before} problems` : "good";
  console.log(
    `${where}: ${found.plots} plots with ${found.texts} texts of ${found.smallest} px or more, ` +
      `${found.tables} tables, ${found.links} links, contrast ${found.contrast} or more: ${told}`,
  );
  await context.close();
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

  const ids = all("[id]").map((element) => element.id);
  ids.filter((id, i) => ids.indexOf(id) < i).forEach((id) => problems.push(`two ids ${id}`));

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
