// The board: DataTables draws it; rows, filters and the address come from the other board scripts.
"use strict";
(() => {
  const { element, copying, load } = Elements;
  const { head } = Board;
  const form = document.getElementById("filters");
  const progress = document.getElementById("progress");
  const place = document.getElementById("board");
  const keyOf = (index) => head.columns[index].key;
  const indexOf = new Map(head.columns.map((column, index) => [column.key, index]));

  let rows = []; // those that pass the filters
  let inOrder = { asked: null, rows: [] };
  let restoring = false;

  const order = () =>
    table.order().filter(([, direction]) => direction).map(([at, direction]) => [keyOf(at), direction]);

  // What DataTables asks for at each draw: a page of the rows.
  const answer = (request, callback) => {
    const asked = request.order.filter((one) => one.dir).map((one) => [keyOf(one.column), one.dir]);
    if (inOrder.of !== rows || inOrder.asked !== String(asked)) {
      inOrder = { of: rows, asked: String(asked), rows: Board.sorted(rows, asked) };
    }
    callback({
      draw: request.draw,
      recordsTotal: Board.loaded(),
      recordsFiltered: rows.length,
      data: [...inOrder.rows.slice(request.start, request.start + request.length)].map((row) => ({ row })),
    });
  };

  const headings = element(
    "tr",
    {},
    head.columns.map((column) => element("th", { scope: "col", title: column.about }, column.title)),
  );
  place.append(element("thead", {}, headings));
  const number = Intl.NumberFormat("en");
  const table = new DataTable(place, {
    serverSide: true,
    ajax: answer,
    autoWidth: false,
    searching: false,
    order: [],
    pageLength: 50,
    lengthMenu: [25, 50, 100, 250, 1000],
    columns: head.columns.map((column) => ({
      data: ({ row }, use) => (use === "display" ? BoardCells.cell(row, column) : ""),
      type: "string",
      className: BoardCells.isNumber(column) ? "number" : column.kind,
      orderSequence: ["percent", "points", "score", "mark", "gone"].includes(column.kind)
        ? ["desc", "asc", ""]
        : ["asc", "desc", ""],
      cellType: column.key === "pruner" ? "th" : "td",
      createdCell: (cell) => column.key === "pruner" && cell.setAttribute("scope", "row"),
    })),
    createdRow: (line, { row }) => line.classList.add(head.roles[Board.value(row, "role")]),
    layout: { topStart: "info", topEnd: "pageLength", bottomStart: "paging", bottomEnd: null },
    language: {
      info: "_START_ to _END_ of _TOTAL_ rows",
      infoEmpty: "No rows",
      infoFiltered: "(_MAX_ without filters)",
      zeroRecords: "No row passes these filters.",
      emptyTable: head.total ? "No row passes these filters." : "No records yet.",
      lengthMenu: "_MENU_ rows a page",
      processing: "",
    },
    formatNumber: (found) => number.format(found),
    processing: false,
  });

  // Families that are asked for; in them, only columns that tell something of these rows.
  const showColumns = (wanted) => {
    const shown = head.columns.map(
      (column) =>
        column.key === "pruner" ||
        (wanted.columns.has(column.family) &&
          (!wanted.cam || !column.cam || column.cam === wanted.cam) &&
          Board.anyHas(rows, column.key)),
    );
    table.columns(shown.flatMap((yes, at) => (yes ? [at] : []))).visible(true, false);
    table.columns(shown.flatMap((yes, at) => (yes ? [] : [at]))).visible(false, false);
  };

  const refresh = () => {
    const wanted = BoardAddress.wanted(form);
    rows = Board.matching(wanted);
    showColumns(wanted);
    table.draw();
  };

  const asked = () => BoardAddress.view(location.hash.slice(1));

  // Draws without a step in the history; only then the table knows how many pages it has.
  const redraw = () => {
    restoring = true;
    const { page } = asked();
    refresh();
    if (page) table.page(page).draw("page");
    restoring = false;
  };

  const restore = () => {
    const { order: wanted, rows: length } = asked();
    BoardAddress.fill(form, location.hash.slice(1));
    table.order(wanted.filter(([key]) => indexOf.has(key)).map(([key, dir]) => [indexOf.get(key), dir]));
    table.page.len(length);
    redraw();
  };

  // Typing changes the address in place; each other change is a step that Back undoes.
  let typing = false;
  const remember = () => {
    const { page, length } = table.page.info();
    const text = BoardAddress.write(form, { order: order(), page, rows: length });
    if (!restoring && text !== location.hash.slice(1)) {
      const address = text ? `#${text}` : location.pathname;
      history[typing ? "replaceState" : "pushState"](null, "", address);
    }
  };

  const loadAll = async () => {
    restore();
    table.on("draw", remember);
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
      () => {
        typing = isText;
        refresh();
        typing = false;
      },
      isText ? 150 : 0,
    );
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => {
    table.order([]);
    setTimeout(refresh);
  });
  addEventListener("popstate", restore);
  copying(document.getElementById("copy"), () => location.href);
  if (matchMedia("(max-width: 60rem)").matches) {
    document.getElementById("controls").open = false;
  }
  loadAll();
})();
