// The board's state in the address, after #: what differs from how the page opens.
"use strict";
const BoardAddress = (() => {
  const LENGTH = 50; // rows of a page, unless the address tells another
  const OLDER = { macs_gone: "macs_pruned", weights_gone: "weights_pruned" }; // in addresses of 0.1
  const families = (form) => [...form.querySelectorAll('input[name="columns"]')];
  const fields = (form) => [...form.elements].filter((field) => field.name && field.name !== "columns");
  const isBox = (field) => field.type === "checkbox";
  const usual = (field) =>
    field.tagName === "SELECT"
      ? ([...field.options].find((option) => option.defaultSelected)?.value ?? field.options[0].value)
      : field.defaultValue;

  // What the form asks for, by name; families of columns as a set.
  const wanted = (form) => {
    const found = Object.fromEntries(
      fields(form).map((field) => [field.name, isBox(field) ? field.checked : field.value.trim()]),
    );
    found.columns = new Set(families(form).filter((box) => box.checked).map((box) => box.value));
    return found;
  };

  // The address's text for a form and the table's order, page and length.
  const write = (form, { order, page, length }) => {
    const parts = new URLSearchParams();
    for (const field of fields(form)) {
      if (isBox(field) && field.checked !== field.defaultChecked) {
        parts.set(field.name, field.checked ? "1" : "0");
      } else if (!isBox(field) && field.value.trim() !== usual(field)) {
        parts.set(field.name, field.value.trim());
      }
    }
    const boxes = families(form);
    if (boxes.some((box) => box.checked !== box.defaultChecked)) {
      parts.set("columns", boxes.filter((box) => box.checked).map((box) => box.value).join(","));
    }
    for (const [key, direction] of order) {
      parts.append("sort", `${key}:${direction}`);
    }
    if (page) parts.set("page", String(page + 1));
    if (length !== LENGTH) parts.set("rows", String(length));
    return parts.toString();
  };

  // Fills the form from an address.
  const fill = (form, text) => {
    const parts = new URLSearchParams(text);
    for (const field of fields(form)) {
      const told = parts.get(field.name);
      if (isBox(field)) {
        field.checked = told === null ? field.defaultChecked : told === "1";
      } else {
        field.value = told ?? usual(field);
        if (field.tagName === "SELECT" && field.selectedIndex < 0) {
          field.value = usual(field);
        }
      }
    }
    const shown = parts.get("columns")?.split(",");
    for (const box of families(form)) {
      box.checked = shown ? shown.includes(box.value) : box.defaultChecked;
    }
  };

  // The table's order, page and length that an address asks for.
  const view = (text) => {
    const parts = new URLSearchParams(text);
    const order = parts
      .getAll("sort")
      .map((one) => [one.slice(0, one.lastIndexOf(":")), one.slice(one.lastIndexOf(":") + 1)])
      .map(([key, direction]) => [OLDER[key] ?? key, direction])
      .filter(([key, direction]) => key && ["asc", "desc"].includes(direction));
    const page = Math.max(Number.parseInt(parts.get("page"), 10) || 1, 1) - 1;
    const rows = Number.parseInt(parts.get("rows"), 10);
    return { order, page, length: BoardTable.LENGTHS.includes(rows) ? rows : LENGTH };
  };

  return { wanted, write, fill, view, LENGTH };
})();
