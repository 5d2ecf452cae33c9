// Builds elements. Text is only ever set as text, so that nothing in a record is read as markup.
"use strict";
const Elements = (() => {
  // element("a", { href: "#x", class: "y" }, "text", otherElement, null)
  const element = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === true) {
        made.setAttribute(name, "");
      } else if (value !== false && value !== null && value !== undefined) {
        made.setAttribute(name, String(value));
      }
    }
    made.append(...children.flat(Infinity).filter((child) => (child ?? false) !== false));
    return made;
  };

  // Text for those who do not see the page.
  const unseen = (text) => element("span", { class: "unseen" }, text);

  const rowLink = (name, root = "") => `${root}row.html#${encodeURIComponent(name)}`;

  // Puts text on the clipboard; says in a live region of the button whether it is there.
  const copying = (button, text) => {
    const said = element("span", { role: "status", class: "quiet" });
    button.after(" ", said);
    button.addEventListener("click", async () => {
      let copied = false;
      try {
        await navigator.clipboard.writeText(text());
        copied = true;
      } catch {
        copied = copiedByHand(text());
      }
      said.textContent = copied ? "copied" : "select it and copy it by hand";
    });
  };

  // Browsers that keep the clipboard from pages opened from disk still copy a selection.
  const copiedByHand = (text) => {
    const field = element("textarea", { class: "unseen", "aria-hidden": "true" });
    field.value = text;
    document.body.append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    return copied;
  };

  // Loads a script; resolves to whether it was there.
  const load = (address) =>
    new Promise((resolve) => {
      const script = element("script", { src: address });
      script.addEventListener("load", () => resolve(true));
      script.addEventListener("error", () => resolve(false));
      document.head.append(script);
    });

  return { element, unseen, rowLink, copying, load };
})();
