"use strict";
// Shows the rows that are looked for, some at a time. They are lines of a table in a noscript
// element, which is a text where there are scripts; whatever comes from outside is escaped in it.
(() => {
  const AT_A_TIME = 200;
  const find = (id) => document.getElementById(id);
  const [form, place, more] = [find("search"), find("table"), find("more")];
  const [before, lines] = find("all").textContent.split("<tbody>\n");
  const head = /^<tr id="([^"]*)" data-by="(\d*),(\d*),(\d*)" data-mass="([^"]*)" data-first="([^"]*)">/;
  // None of an answer that has none.
  const number = (text) => (text === "" ? null : Number(text));
  const rows = lines.split("</tbody>")[0].split("\n").slice(0, -1).map((line, asked) => {
    const [, id, run, verdict, kind, mass, first] = head.exec(line);
    return { line, asked, id, run, verdict, kind, mass: number(mass), first: number(first) };
  });
  place.innerHTML = before + "<tbody></tbody></table></div>";
  const body = place.querySelector("tbody");
  const signs = { "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&amp;": "&" };
  // What a row says, which is made when it is first asked for.
  const said = (row) =>
    (row.said ??= row.line
      .replace(/<[^>]*>/g, "\t")
      .replace(/&[^;]*;/g, (sign) => signs[sign])
      .toLowerCase());
  let [found, shown] = [rows, 0];

  function show(upTo) {
    const next = found.slice(shown, upTo);
    body.insertAdjacentHTML("beforeend", next.map((row) => row.line).join(""));
    shown += next.length;
    more.hidden = shown >= found.length;
  }

  function search() {
    const { query, run, verdict, kind, order, found: told } = form.elements;
    const words = query.value.toLowerCase().split(/\s+/).filter((word) => word);
    const by = { run: run?.value ?? "", verdict: verdict.value, kind: kind.value };
    const chosen = Object.keys(by).filter((name) => by[name] !== "");
    found = rows.filter(
      (row) =>
        chosen.every((name) => row[name] === by[name]) &&
        words.every((word) => said(row).includes(word)),
    );
    const name = order.value.replace("-", "");
    const sign = order.value.startsWith("-") ? 1 : -1;
    // What has no number is the last one in either order.
    const none = (row) => Number(row[name] === null);
    const inOrder = (a, b) => none(a) - none(b) || sign * (a[name] - b[name]) || a.asked - b.asked;
    if (name) found.sort(inOrder);
    const count = (rows) => rows.length.toLocaleString("en");
    told.value = `${count(found)} of ${count(rows)} answers`;
    [body.textContent, shown] = ["", 0];
    show(AT_A_TIME);
  }

  // A row, or what is to be chosen, by the address that another page links to.
  function go() {
    const hash = location.hash.slice(1);
    const at = rows.findIndex((row) => row.id === hash);
    if (at >= 0) {
      form.reset();
      search();
      show(at + AT_A_TIME);
      document.querySelector("tr.target")?.classList.remove("target");
      find(hash).classList.add("target");
      find(hash).scrollIntoView({ block: "center" });
    } else if (hash.includes("=")) {
      form.reset();
      const wanted = new URLSearchParams(hash);
      for (const name of ["query", "run", "verdict", "kind", "order"]) {
        if (wanted.has(name) && form.elements[name]) form.elements[name].value = wanted.get(name);
      }
      search();
    }
  }

  form.addEventListener("input", search);
  find("clear").addEventListener("click", () => {
    form.reset();
    search();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", () => show(shown + AT_A_TIME));
  new IntersectionObserver(
    ([seen]) => seen.isIntersecting && show(shown + AT_A_TIME),
    { rootMargin: "600px" },
  ).observe(more);
  addEventListener("hashchange", go);
  form.hidden = false;
  search();
  go();
})();
