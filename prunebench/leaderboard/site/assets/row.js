// One row's page: loads what belongs to the name in the address, and lays it out.
"use strict";
const RowPage = (() => {
  const { element, rowLink, copying, load } = Elements;
  const MOST = 30; // rows kept, so that reading many does not fill the memory
  const rows = new Map();
  const main = document.getElementById("row");

  // Called by each row's file.
  const show = (row) => rows.set(row.id, row);

  const find = async (name) => {
    if (name && !rows.has(name) && /^[\w.+=-]+$/.test(name)) {
      await load(`rows/${encodeURIComponent(name)}.js`);
    }
    const row = rows.get(name) ?? null;
    if (row) {
      rows.delete(name);
      rows.set(name, row); // the last asked for is the last to go
    }
    while (rows.size > MOST) rows.delete(rows.keys().next().value);
    return row;
  };

  const section = (title, ...content) =>
    element("section", {}, element("h2", {}, title), content);

  const heading = (row) => {
    const looks = { "✓": "good", "✗": "bad" };
    const badges = row.badges.map((one) =>
      element("span", { class: `badge ${looks[one.mark] ?? "quiet"}` }, `${one.mark} ${one.words} (${one.cam})`),
    );
    const said = [...row.remarks, row.rank, row.score, row.pareto].filter(Boolean).map((text) => element("span", { class: "badge quiet" }, text));
    const links = [element("a", { href: `index.html#group=${encodeURIComponent(row.group)}` }, "all rows of this group")];
    if (row.pruner) {
      links.push(element("a", { href: row.pruner }, `about ${row.pruner_name}`));
    }
    return [
      element("p", { class: "where" }, row.where, " ", element("small", {}, row.protocol.slice(0, 8))),
      element("h1", {}, row.title),
      element("p", { class: "badges" }, badges.concat(said)),
      element("p", { class: "links" }, links.flatMap((link, at) => (at ? [" · ", link] : [link]))),
      levels(row),
    ];
  };

  const levels = (row) => {
    if (row.levels.length < 2) return null;
    const items = row.levels.map((other) =>
      element("li", {}, other.own ? element("b", { "aria-current": "page" }, other.name) : element("a", { href: rowLink(other.id) }, other.name)),
    );
    return element("nav", { class: "levels", "aria-label": "Levels of this pruner" }, "Levels: ", element("ul", {}, items));
  };

  const looks = (row, baseline, control) => {
    const redrawn = [];
    const maps = RowPictures.heatmaps(row, baseline, control, redrawn);
    const moved = RowPictures.moved(row, redrawn);
    const parts = [];
    if (row.withheld) parts.push(element("p", {}, `Images are not shown, only maps: ${row.withheld}.`));
    if (redrawn.length) parts.push(RowPictures.slider(redrawn));
    if (maps.length || moved.length) parts.push(RowPictures.key());
    if (maps.length) {
      parts.push(element("p", { class: "quiet" }, "Numbers under maps are means over all images explained."), ...maps);
    } else {
      parts.push(element("p", { class: "quiet" }, "This record keeps no heatmaps."));
    }
    if (moved.length) {
      parts.push(element("h3", {}, "Where attention moved most"));
      parts.push(element("p", { class: "quiet" }, "Of all images explained, those with the lowest Sp2PS."), ...moved);
    }
    const own = RowPictures.own(row);
    if (own.length) parts.push(element("h3", {}, "What the method shows of its own work"), ...own);
    return section("Where it looks", ...parts);
  };

  const drawn = [];
  const figures = (title, all, empty) => {
    if (!all.length) return empty ? section(title, element("p", { class: "quiet" }, empty)) : null;
    const made = all.map((one) => {
      const place = element("div", { class: "drawn" });
      drawn.push(() => Plots.draw(place, one.figure, one.alt));
      const caption = element("figcaption", {}, element("b", {}, one.title), one.note ? `. ${one.note}` : "");
      const table = one.table && element("details", {}, element("summary", {}, "as a table"), RowTables.plain(one.title, one.table, "number"));
      return element("figure", {}, caption, place, table);
    });
    return section(title, element("div", { class: "columns" }, made));
  };

  const damage = ({ said, table, pictures }) =>
    section(
      "Who is damaged",
      said.map((text) => element("p", {}, text)),
      table.rows.length ? RowTables.plain("Sp2PS on these images and on all others", table, "number") : null,
      pictures.length ? element("div", { class: "heats" }, pictures.map(RowPictures.changed)) : null,
    );

  const again = (row) => {
    const copy = element("button", { type: "button" }, "Copy the suite");
    const commands = row.records.map((one) => `prunebench reproduce ${one.id}`);
    const said = [
      element("p", {}, "Rebuilds it from its record and says for each number whether it is met:"),
      element("pre", { tabindex: 0 }, commands.join("\n")),
    ];
    if (!row.suite) return section("Make it again", ...said);
    const made = section(
      "Make it again",
      ...said,
      element("p", {}, "Or run the suite that makes this row, saved as ", element("code", {}, "row.yaml"), ":"),
      element("pre", { tabindex: 0 }, "prunebench run row.yaml"),
      element("pre", { tabindex: 0, id: "suite" }, row.suite),
      element("p", {}, copy),
    );
    copying(copy, () => row.suite);
    return made;
  };

  const layOut = (row, baseline, control) => {
    drawn.length = 0;
    const parts = [
      ...heading(row),
      element("div", { class: "flags" }, row.flags.map((flag) => element("p", {}, `Note: ${flag}.`))),
      RowTables.facts(row.facts),
      row.counterpart && section("Beside what has levels", element("p", {}, row.counterpart)),
      looks(row, baseline, control),
      row.damage && damage(row.damage),
      section("All values", ...RowTables.values(row, baseline, control)),
      figures("Sp2PS in parts", row.figures.parts, null),
      figures("Latency", row.figures.latency, "Latency was not measured."),
      row.slow.length ? section("Why is it not faster?", RowTables.slow(row)) : null,
      figures("Training curves", row.figures.curves, "Nothing was trained for this row."),
      again(row),
      section("Provenance", ...RowTables.provenance(row)),
    ];
    main.replaceChildren(...parts.filter(Boolean));
    drawn.forEach((draw) => draw());
    document.title = `${row.title} · ${row.where} · PruneBench`;
  };

  const current = () => {
    try {
      return decodeURIComponent(location.hash.slice(1));
    } catch {
      return ""; // not an address of ours: the page says so
    }
  };

  const open = async () => {
    const name = current();
    const row = await find(name);
    const [baseline, control] = [await find(row?.baseline), await find(row?.control)];
    if (current() !== name) return; // another was asked for meanwhile
    if (row) {
      layOut(row, baseline, control);
    } else {
      main.replaceChildren(
        element("h1", {}, "No such row"),
        element("p", {}, name ? `There is no row ${name}. ` : "The address names no row. ", element("a", { href: "index.html" }, "The board"), " has all of them."),
      );
      document.title = "No such row · PruneBench";
    }
    document.documentElement.dataset.ready = name;
    scrollTo(0, 0);
  };

  addEventListener("hashchange", open);
  document.addEventListener("DOMContentLoaded", open);
  return { show };
})();
