// A table of one page of many rows: headings sort, buttons turn pages, by mouse and by keyboard.
"use strict";
const BoardTable = (() => {
  const { element } = Elements;
  const LENGTHS = [25, 50, 100, 250, 1000];
  const TURNS = [
    ["first", "«", "First page", () => 0],
    ["previous", "‹", "Previous page", (page) => page - 1],
    ["next", "›", "Next page", (page) => page + 1],
    ["last", "»", "Last page", (_, last) => last],
  ];
  const number = Intl.NumberFormat("en");

  // The order after a click on a heading: its column's next direction; with Shift, after the others.
  const nextOrder = (order, { key, directions }, add) => {
    const at = order.findIndex(([other]) => other === key);
    const next = directions[at < 0 ? 0 : directions.indexOf(order[at][1]) + 1];
    const own = next ? [[key, next]] : [];
    if (!add) return own;
    return at < 0 ? [...order, ...own] : order.toSpliced(at, 1, ...own);
  };

  // Makes a table's parts; returns the function that draws a page.
  // columns: { key, title, about, class, directions }; cell(row, column) and lineClass(row) are
  // called for what is shown alone; change({ order } or { page } or { length }) tells a wish.
  const make = (table, { columns, heading, cell, lineClass, change }) => {
    let shown = { order: [], page: 0, last: 0 };

    const heads = new Map(
      columns.map((column) => {
        const button = element("button", { type: "button", title: column.about }, column.title);
        const head = element("th", { scope: "col", class: column.class }, button);
        head.addEventListener("click", (event) => // the button's clicks come here, too
          change({ order: nextOrder(shown.order, column, event.shiftKey) }),
        );
        return [column, head];
      }),
    );
    const headings = element("tr");
    const body = element("tbody");
    table.append(element("thead", {}, headings), body);

    const info = element("p", { id: "board-info", role: "status", "aria-live": "polite" });
    const options = LENGTHS.map((length) => element("option", { value: length }, number.format(length)));
    const lengths = element("select", {}, options);
    lengths.addEventListener("change", () => change({ length: Number(lengths.value) }));
    const at = element("span");
    const turns = TURNS.map(([name, sign, words, target]) => {
      const button = element("button", { type: "button", class: name, "aria-label": words }, sign);
      button.addEventListener("click", () => {
        const page = target(shown.page, shown.last);
        if (page !== shown.page && page >= 0 && page <= shown.last) change({ page });
      });
      return button;
    });
    const pages = element(
      "nav",
      { class: "turns", "aria-label": "Pages of the table" },
      turns.slice(0, 2), at, turns.slice(2),
    );
    table.before(element("div", { class: "bar" }, info, element("label", {}, lengths, " rows a page")));
    const box = element("div", { class: "scroll" });
    table.replaceWith(box);
    box.append(table);
    box.after(pages);

    const line = (row, visible) =>
      element(
        "tr",
        { class: lineClass(row) },
        visible.map((column) => {
          const isHeading = column.key === heading;
          const attributes = isHeading ? { scope: "row" } : { class: column.class };
          return element(isHeading ? "th" : "td", attributes, cell(row, column));
        }),
      );

    const mark = (order) => {
      for (const [column, head] of heads) {
        const direction = order.find(([key]) => key === column.key)?.[1];
        if (direction) {
          head.setAttribute("aria-sort", direction === "asc" ? "ascending" : "descending");
        } else {
          head.removeAttribute("aria-sort");
        }
      }
    };

    // Draws one page of rows, which are in their order already; returns the page that is shown.
    return ({ rows, total, empty, isVisible, order, page: wanted, length }) => {
      const last = Math.max(Math.ceil(rows.length / length) - 1, 0);
      const page = Math.min(wanted, last);
      const start = page * length;
      const some = rows.slice(start, start + length);
      const visible = columns.filter(isVisible);
      shown = { order, page, last };
      const now = visible.map((column) => heads.get(column));
      // Headings that stay are left alone, so that the one in focus keeps it.
      if (now.length !== headings.children.length || now.some((head, i) => head !== headings.children[i])) {
        headings.replaceChildren(...now);
      }
      mark(order);
      const nothing = element("tr", {}, element("td", { class: "empty", colspan: visible.length }, empty));
      body.replaceChildren(...(some.length ? Array.from(some, (row) => line(row, visible)) : [nothing]));
      const ends = [start + 1, start + some.length, rows.length].map((count) => number.format(count));
      const unfiltered = rows.length < total ? ` (${number.format(total)} without filters)` : "";
      info.textContent = (some.length ? `${ends[0]} to ${ends[1]} of ${ends[2]} rows` : "No rows") + unfiltered;
      at.textContent = `Page ${number.format(page + 1)} of ${number.format(last + 1)}`;
      turns.forEach((button, i) => button.setAttribute("aria-disabled", String(page === (i < 2 ? 0 : last))));
      lengths.value = String(length);
      pages.hidden = last === 0;
      return page;
    };
  };

  return { make, LENGTHS };
})();
