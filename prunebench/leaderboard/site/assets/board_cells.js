// What stands in a cell of the board: numbers as people write them, reasons, words for marks.
"use strict";
const BoardCells = (() => {
  const { element, unseen, rowLink } = Elements;

  const fixed = (number, digits) => {
    const text = Math.abs(number).toFixed(digits);
    return number < 0 && Number(text) !== 0 ? `−${text}` : text;
  };
  const three = (number) => {
    const text = Math.abs(number) < 100 ? number.toPrecision(3) : number.toFixed(0);
    return text.replace("-", "−");
  };
  const signed = (number, digits) => {
    const text = fixed(number, digits);
    return Number(number.toFixed(digits)) > 0 ? `+${text}` : text;
  };
  const count = (number) => {
    let rest = number;
    for (const unit of ["", "k", "M", "G", "T"]) {
      if (Math.abs(rest) < 999.5 || unit === "T") {
        return unit ? `${three(rest)} ${unit}` : `${Number.isInteger(rest) ? rest : three(rest)}`;
      }
      rest /= 1000;
    }
    return "";
  };
  const pruned = (fraction) => {
    const percentage = Math.round(1000 * fraction) / 10;
    return `${percentage < 0 ? "−" : ""}${Math.abs(percentage)}%`;
  };

  const writers = {
    percent: (number) => fixed(100 * number, 2),
    points: (number) => signed(number, 2),
    score: (number) => fixed(number, 3),
    ratio: (number) => `×${fixed(number, 2)}`,
    ms: three,
    count,
    pruned,
    seeds: String,
    rank: String,
    level: (number) => `${+(100 * number).toFixed(2)}%`,
  };

  const MARKS = {
    trusted: [["✗", "not trusted", "bad"], ["✓", "trusted", "good"]],
    pareto: [["·", "not on the Pareto front", "quiet"], ["★", "on the Pareto front", "good"]],
  };
  const mark = (column, number) => {
    const [sign, words, look] = MARKS[column.key.split("/")[0]][number];
    const shown = element("span", { "aria-hidden": "true" }, sign);
    return element("span", { class: `mark ${look}`, title: words }, shown, unseen(words));
  };

  const missing = (row, column) => {
    const bare = Board.value(row, "role") !== 0 && ["level", "rank", "pareto"].includes(column.key);
    if (bare) {
      return element("span", {}, "");
    }
    const why = Board.note(row, column.key) ?? (column.kind === "mark" ? "no verdict" : "not measured");
    if (column.kind === "level") {
      return element("span", {}, "–");
    }
    const dash = element("span", { "aria-hidden": "true" }, "–");
    return element("span", { class: "missing", title: why }, dash, unseen(`none: ${why}`));
  };

  const pruner = (row, number) => {
    const role = Board.head.roles[Board.value(row, "role")];
    const link = element("a", { href: rowLink(Board.name(row)) }, Board.head.labels[number]);
    return element("span", { class: `pruner ${role}` }, link);
  };

  const group = (number) => {
    const found = Board.head.groups[number];
    return element("span", {}, found.title, " ", element("small", {}, found.protocol));
  };

  const number = (row, column, found) => {
    const write = writers[column.kind] ?? String;
    const note = Board.note(row, column.key);
    if (["level", "seeds", "rank"].includes(column.kind)) {
      return element("span", {}, note?.replace(/ seeds$/, "") ?? write(found));
    }
    const [low, high] = Board.bounds(row, column.key);
    const text = note
      ? element("span", { class: "noted", title: note }, write(found), unseen(` (${note})`))
      : write(found);
    const between = low === null ? null : `[${write(low)}, ${write(high)}]`;
    return element("span", {}, text, between && element("span", { class: "interval" }, between));
  };

  // The content of one cell, an element.
  const cell = (row, column) => {
    const found = Board.value(row, column.key);
    if (found === null) {
      return missing(row, column);
    }
    if (column.kind === "pruner") return pruner(row, found);
    if (column.kind === "group") return group(found);
    if (column.kind === "axis") return element("span", {}, Board.head.axes[found]);
    if (column.kind === "mark") return mark(column, found);
    return number(row, column, found);
  };

  const isNumber = (column) => column.kind in writers;

  return { cell, isNumber };
})();
