// The rows of the board: kept by column as they come, filtered and sorted by number.
"use strict";
const Board = (() => {
  const head = JSON.parse(document.getElementById("board-data").textContent);
  const parts = [];
  let loaded = 0;

  // Called by each part of the data.
  const part = (content) => {
    parts[content.start / head.rowsOfPart] = content;
    loaded += content.names.length;
  };

  const partOf = (row) => parts[Math.floor(row / head.rowsOfPart)];
  const read = (row, key, which) =>
    partOf(row).columns[key]?.[which]?.[row % head.rowsOfPart] ?? null;

  const value = (row, key) => read(row, key, "v");
  const bounds = (row, key) => [read(row, key, "l"), read(row, key, "h")];
  const name = (row) => partOf(row).names[row % head.rowsOfPart];
  const note = (row, key) => {
    const number = read(row, key, "n");
    return number === null ? null : partOf(row).notes[number];
  };

  // Whether any of some rows has a number or a text in a column.
  const anyHas = (rows, key) => rows.some((row) => value(row, key) !== null);

  const trustedBy = (row, cam) => {
    const keys = head.columns.filter((column) => column.key.startsWith("trusted/"));
    const judged = keys.filter((column) => !cam || column.cam === cam);
    const verdicts = judged.map((column) => value(row, column.key)).filter((v) => v !== null);
    return verdicts.length > 0 && verdicts.every((verdict) => verdict === 1);
  };

  const textOf = (row) => {
    const group = head.groups[value(row, "group")];
    const parts = [head.labels[value(row, "pruner")], group.title, group.protocol];
    const level = value(row, "level");
    parts.push(level === null ? "" : `${+(100 * level).toFixed(2)}%`);
    parts.push(head.axes[value(row, "axis")], note(row, "level") ?? "", name(row));
    return parts.join(" ").toLowerCase();
  };

  // Tests of a row, one for each filter that is set.
  const tests = (wanted) => {
    const found = [];
    const words = wanted.q.toLowerCase().split(/\s+/).filter(Boolean);
    const from = wanted.from === "" ? null : Number(wanted.from) / 100;
    const to = wanted.to === "" ? null : Number(wanted.to) / 100;
    if (!wanted.controls) {
      found.push((row) => value(row, "role") === 0);
    }
    if (wanted.group) {
      found.push((row) => head.groups[value(row, "group")].key === wanted.group);
    }
    if (wanted.pruner) {
      found.push((row) => head.plugins[value(row, "plugin")] === wanted.pruner);
    }
    if (wanted.axis) {
      found.push((row) => head.axes[value(row, "axis")] === wanted.axis);
    }
    if (wanted.cam) {
      const keys = head.columns.filter((column) => column.cam === wanted.cam);
      found.push((row) => keys.some((column) => value(row, column.key) !== null));
    }
    if (from !== null || to !== null) {
      const low = (from ?? 0) - 1e-6;
      const high = (to ?? 1) + 1e-6;
      found.push((row) => {
        const level = value(row, "level");
        return level !== null && level >= low && level <= high;
      });
    }
    if (wanted.ranked) {
      found.push((row) => value(row, "rank") !== null);
    }
    if (wanted.enough) {
      found.push((row) => value(row, "preliminary") === 0);
    }
    if (wanted.pareto) {
      found.push((row) => value(row, "pareto") === 1);
    }
    if (wanted.trusted) {
      found.push((row) => trustedBy(row, wanted.cam));
    }
    if (words.length) {
      found.push((row) => {
        const text = textOf(row);
        return words.every((word) => text.includes(word));
      });
    }
    return found;
  };

  const matching = (wanted) => {
    const wants = tests(wanted);
    const rows = [];
    for (let row = 0; row < loaded; row += 1) {
      if (wants.every((test) => test(row))) {
        rows.push(row);
      }
    }
    return rows;
  };

  // Places of texts in their order, so that texts sort as fast as numbers.
  const places = (texts) => {
    const order = texts.map((_, index) => index).sort((a, b) => collator.compare(texts[a], texts[b]));
    const found = [];
    order.forEach((index, place) => (found[index] = place));
    return found;
  };
  const collator = new Intl.Collator("en", { numeric: true });
  const alphabets = {
    pruner: places(head.labels),
    group: places(head.groups.map((group) => `${group.title} ${group.protocol}`)),
  };

  // Some rows in another order: [[key, "asc" or "desc"], ...]; what is missing comes last either way.
  const sorted = (rows, order) => {
    const keys = order.map(([key, direction]) => {
      const alphabet = alphabets[key];
      const numbers = new Float64Array(loaded).fill(NaN);
      for (const row of rows) {
        const found = value(row, key);
        if (found !== null) {
          numbers[row] = alphabet ? alphabet[found] : found;
        }
      }
      return [numbers, direction === "desc" ? -1 : 1];
    });
    const compare = (a, b) => {
      for (const [numbers, sign] of keys) {
        const x = numbers[a];
        const y = numbers[b];
        if (x !== x || y !== y) {
          if (x === x) return -1;
          if (y === y) return 1;
        } else if (x !== y) {
          return x < y ? -sign : sign;
        }
      }
      return a - b;
    };
    return keys.length ? Uint32Array.from(rows).sort(compare) : Uint32Array.from(rows);
  };

  return {
    head,
    part,
    value,
    bounds,
    note,
    name,
    anyHas,
    matching,
    sorted,
    loaded: () => loaded,
  };
})();
