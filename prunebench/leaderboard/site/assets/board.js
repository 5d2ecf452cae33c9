// The board: brings together its rows, its filters, its address and its table.
"use strict";
(() => {
  const { copying, load } = Elements;
  const { head } = Board;
  const form = document.getElementById("filters");
  const progress = document.getElementById("progress");
  const table = document.getElementById("board");
  const number = Intl.NumberFormat("en");
  const keys = new Set(head.columns.map((column) => column.key));
  const FALLING = ["percent", "points", "score", "mark", "pruned"]; // kinds of which more comes first
  const columns = head.columns.map((column) => ({
    ...column,
    class: BoardCells.isNumber(column) ? "number" : column.kind,
    directions: FALLING.includes(column.kind) ? ["desc", "asc"] : ["asc", "desc"],
  }));

  let rows = []; // those that pass the filters
  let visible = new Set(); // keys of columns
  let sorted = { of: null, by: null, rows: [] };
  let view = { order: [], page: 0, length: BoardAddress.LENGTH };

  const inOrder = () => {
    const by = String(view.order);
    if (sorted.of !== rows || sorted.by !== by) {
      sorted = { of: rows, by, rows: Board.sorted(rows, view.order) };
    }
    return sorted.rows;
  };

  const draw = () =>
    drawPage({
      rows: inOrder(),
      total: Board.loaded(),
      empty: head.total ? "No row passes these filters." : "No records yet.",
      isVisible: (column) => visible.has(column.key),
      ...view,
    });

  // Typing changes the address in place; each other change is a step that Back undoes.
  const remember = (page, { typing = false } = {}) => {
    const text = BoardAddress.write(form, { ...view, page });
    if (text !== location.hash.slice(1)) {
      const address = text ? `#${text}` : location.pathname;
      history[typing ? "replaceState" : "pushState"](null, "", address);
    }
  };

  const drawPage = BoardTable.make(table, {
    columns,
    heading: "pruner",
    cell: BoardCells.cell,
    lineClass: (row) =>
      head.roles[Board.value(row, "role")] + (Board.value(row, "preliminary") ? " preliminary" : ""),
    change: (wish) => {
      view = { ...view, page: 0, ...wish };
      remember(draw());
    },
  });

  // Leaves the rows that are asked for and, of the families asked for, the columns that tell
  // something of these rows.
  const filter = () => {
    const wanted = BoardAddress.wanted(form);
    rows = Board.matching(wanted);
    const isVisible = ({ key, family, cam }) =>
      key === "pruner" ||
      (wanted.columns.has(family) && (!wanted.cam || !cam || cam === wanted.cam) && Board.anyHas(rows, key));
    visible = new Set(columns.filter(isVisible).map(({ key }) => key));
  };

  // Draws what passes the filters now, without a step in the history.
  const redraw = () => {
    filter();
    draw();
  };

  const restore = () => {
    const { order, page, length } = BoardAddress.view(location.hash.slice(1));
    BoardAddress.fill(form, location.hash.slice(1));
    view = { order: order.filter(([key]) => keys.has(key)), page, length };
    redraw();
  };

  const refresh = (how) => {
    view = { ...view, page: 0 };
    filter();
    remember(draw(), how);
  };

  const loadAll = async () => {
    restore();
    for (const part of head.parts) {
      if (!(await load(part))) {
        progress.textContent = `${part} could not be loaded: the table is not complete.`;
        redraw();
        return;
      }
      const loaded = Board.loaded();
      if (part === head.parts[0] || loaded === head.total) redraw();
      progress.textContent = `${number.format(loaded)} of ${number.format(head.total)} rows loaded …`;
    }
    progress.textContent = "";
    document.documentElement.dataset.ready = "";
  };

  let waiting = 0;
  form.addEventListener("input", (event) => {
    const isText = event.target.matches('input:not([type="checkbox"])');
    clearTimeout(waiting);
    waiting = setTimeout(
      () => refresh({ typing: isText }),
      isText ? 150 : 0,
    );
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => {
    view = { ...view, order: [] };
    setTimeout(refresh);
  });
  addEventListener("popstate", restore);
  // A section's rows are below: go there, too.
  for (const link of document.querySelectorAll("a.rows")) {
    link.addEventListener("click", () => document.getElementById("rows").scrollIntoView());
  }
  copying(document.getElementById("copy"), () => location.href);
  if (matchMedia("(max-width: 60rem)").matches) {
    document.getElementById("controls").open = false;
  }
  loadAll();
})();
