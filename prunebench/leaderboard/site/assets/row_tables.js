// The tables of a row's page.
"use strict";
const RowTables = (() => {
  const { element, unseen } = Elements;

  const head = (...titles) =>
    element("thead", {}, element("tr", {}, titles.map((title) => element("th", { scope: "col" }, title))));

  const scroll = (title, table) =>
    element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title }, table);

  const facts = (lines) =>
    element(
      "dl",
      { class: "facts" },
      lines.map(([name, text]) => [element("dt", {}, name), element("dd", {}, text)]),
    );

  const cell = (value) => {
    if (!value) {
      return element("td", { class: "number quiet" }, "–", unseen("not measured"));
    }
    const [, , text, between] = value;
    return element("td", { class: "number" }, text, between && " ", between && element("span", { class: "interval" }, between));
  };

  // All values of a row by family, beside the baseline's and the control's.
  const values = (row, baseline, control) => {
    const others = [
      ["baseline", baseline],
      ["none (fine-tuning only)", control],
    ].filter(([, other]) => other && other.id !== row.id);
    const known = others.map(
      ([, other]) => new Map(other.values.flatMap((family) => family.values).map((value) => [value[0], value])),
    );
    return row.values.map((family, index) => {
      const several = row.records.length > 1;
      const lines = family.values.map((value) => {
        const [, title, , , kind, images, note, seeds] = value;
        const about = [images ? `${images.toLocaleString("en")} images` : "", kind, note].filter(Boolean);
        return element(
          "tr",
          {},
          element("th", { scope: "row" }, title),
          cell(value),
          known.map((other) => cell(other.get(value[0]))),
          several && element("td", { class: "number" }, seeds.join(" · ")),
          element("td", { class: "about" }, about.join("; ")),
        );
      });
      const titles = ["Value", "this network", ...others.map(([name]) => name)];
      if (several) titles.push(`seeds ${row.records.map((one) => one.seed).join(" · ")}`);
      const table = element("table", {}, head(...titles, "how measured"), element("tbody", {}, lines));
      return element(
        "details",
        { class: "family", open: index < 3 },
        element("summary", {}, `${family.title} (${family.values.length})`),
        scroll(family.title, table),
      );
    });
  };

  const plain = (title, { head: titles, rows }, look) => {
    const lines = rows.map(([first, ...rest]) =>
      element("tr", {}, element("th", { scope: "row" }, first), rest.map((text) => element("td", { class: look }, text))),
    );
    return scroll(title, element("table", {}, head(...titles), element("tbody", {}, lines)));
  };

  const slow = (row) =>
    plain("Why it is not faster", {
      head: ["Where", "Why", "Evidence"],
      rows: row.slow.map((one) => [one.place, one.why, one.evidence]),
    }, "words");

  const provenance = (row) =>
    row.provenance.map((group) =>
      element("details", {}, element("summary", {}, group.title), facts(group.lines)),
    );

  return { facts, values, plain, slow, provenance };
})();
