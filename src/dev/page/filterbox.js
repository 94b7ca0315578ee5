// @ts-check
// The filter box: an expression, applied on Enter, with suggestions while typing and the server's complaint in place.

import { el, fill, make } from "./dom.js";
import { icon } from "./icons.js";
import { traceIdOf } from "./traceid.js";
import { starters, suggestions } from "./suggest.js";

let boxes = 0;

export class FilterBox {
  #known;
  #onApply;
  #onLeave;
  #span = { from: 0, to: 0 };
  #items = [];
  #chosen = -1;

  /** `known()`: names for the suggestions, and slow_s; `onApply(expression)`; `onLeave()` for Escape and ArrowDown. */
  constructor({ known, onApply, onLeave }) {
    this.#known = known;
    this.#onApply = onApply;
    this.#onLeave = onLeave;
    const id = `filter-${(boxes += 1)}`;
    this.input = make("input", {
      class: "filter-input",
      type: "text",
      id,
      placeholder: 'Search, a trace id, or a filter such as  fault  or  responsetime > 0.5',
      autocomplete: "off",
      autocapitalize: "off",
      spellcheck: "false",
      role: "combobox",
      "aria-label": "Filter expression",
      "aria-autocomplete": "list",
      "aria-expanded": "false",
      "aria-controls": `${id}-list`,
      "aria-describedby": `${id}-error`,
      on: {
        input: () => this.#suggest(),
        focus: () => this.#suggest(),
        blur: () => this.#close(),
        keydown: (event) => this.#keydown(event),
        click: () => this.#suggest(),
      },
    });
    this.list = make("ul", { class: "suggestions", id: `${id}-list`, role: "listbox", "aria-label": "Suggestions", hidden: true });
    this.clear = make("button", { class: "icon-button filter-clear", type: "button", "aria-label": "Clear the filter", hidden: true, on: { click: () => this.#apply("") } });
    this.error = make("div", { class: "filter-error", id: `${id}-error`, role: "alert", hidden: true });
    this.element = make(
      "div",
      { class: "filter" },
      make("div", { class: "filter-field" }, make("span", { class: "filter-icon" }), this.input, make("kbd", { class: "filter-key", "aria-hidden": "true", text: "/" }), this.clear, this.list),
      this.error,
    );
    fill(this.clear, icon("close", 14));
    fill(this.element.querySelector(".filter-icon"), icon("search"));
  }

  get value() {
    return this.input.value.trim();
  }

  set value(expression) {
    this.input.value = expression;
    this.clear.hidden = expression === "";
  }

  focus() {
    this.input.focus();
    this.input.select();
  }

  /** Shows what the server did not like, with the expression and a mark under the place; null takes it away. */
  showError(error) {
    const bad = error !== null;
    this.element.classList.toggle("has-error", bad);
    this.error.hidden = !bad;
    this.input.setAttribute("aria-invalid", String(bad));
    if (!bad) {
      fill(this.error);
      return;
    }
    const characters = Array.from(this.value);
    const at = error.position;
    const shown = at !== null && at >= 0 && at <= characters.length;
    fill(
      this.error,
      el("p", { class: "filter-error-message" }, icon("warning", 14), el("span", { text: error.message })),
      shown &&
        el(
          "code",
          { class: "filter-error-place", "aria-label": `At character ${at + 1}` },
          el("span", { text: characters.slice(0, at).join("") }),
          el("mark", { text: characters[at] ?? "\u00a0" }),
          el("span", { text: characters.slice(at + 1).join("") }),
        ),
    );
  }

  #apply(expression) {
    this.#close();
    const id = traceIdOf(expression);
    if (id !== null) {
      this.value = "";
      location.hash = `#/trace/${id}`;
      return;
    }
    this.value = expression;
    this.#onApply(expression.trim());
  }

  #suggest() {
    this.clear.hidden = this.input.value === "";
    const caret = this.input.selectionStart ?? this.input.value.length;
    const known = this.#known();
    const found =
      this.input.value.trim() === ""
        ? { from: 0, to: this.input.value.length, items: starters(known.slow) }
        : suggestions(this.input.value, caret, known);
    this.#span = found;
    this.#items = found.items;
    this.#chosen = -1;
    fill(this.list, this.#items.map((item, index) => this.#option(item, index)));
    const open = this.#items.length > 0 && document.activeElement === this.input;
    this.list.hidden = !open;
    this.input.setAttribute("aria-expanded", String(open));
    this.input.removeAttribute("aria-activedescendant");
  }

  #option(item, index) {
    // On pointerdown, because a click would come after the field lost focus and the list is gone.
    const choose = (event) => {
      event.preventDefault();
      this.#take(index);
    };
    return el(
      "li",
      { class: "suggestion", id: `${this.list.id}-${index}`, role: "option", "aria-selected": "false", on: { pointerdown: choose } },
      el("code", { text: item.label }),
      el("span", { class: "hint", text: item.hint }),
    );
  }

  #choose(index) {
    this.#chosen = (index + this.#items.length) % this.#items.length;
    [...this.list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === this.#chosen)));
    const option = this.list.children[this.#chosen];
    option.scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", option.id);
  }

  #take(index) {
    const { from, to } = this.#span;
    const { insert } = this.#items[index];
    this.input.value = this.input.value.slice(0, from) + insert + this.input.value.slice(to);
    const caret = from + insert.length;
    this.input.setSelectionRange(caret, caret);
    this.#suggest();
  }

  #close() {
    this.list.hidden = true;
    this.#chosen = -1;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  #keydown(event) {
    const open = !this.list.hidden;
    if (event.isComposing) return;
    if (event.key === "Enter") {
      event.preventDefault();
      if (open && this.#chosen >= 0) this.#take(this.#chosen);
      else this.#apply(this.input.value);
    } else if (event.key === "Tab" && open && this.#chosen >= 0) {
      event.preventDefault();
      this.#take(this.#chosen);
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (open) this.#choose(this.#chosen + (event.key === "ArrowDown" ? 1 : this.#chosen < 0 ? 0 : -1));
      else if (event.key === "ArrowDown") this.#onLeave();
    } else if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      if (open) this.#close();
      else if (this.input.value !== "") this.#apply("");
      else this.#onLeave();
    }
  }
}
