"use strict";

// The pages of a mapping work without this. It shows the result of a field while it is edited, finds values in long
// lists, and leads to the line that is wrong. It listens at the document: in Shopify's admin pages come and go in it.

const later = { timer: 0, call: null };

document.addEventListener("input", edited);
document.addEventListener("change", edited); // not every browser tells of a list by "input"

function edited(event) {
  if (event.target.id === "find") return sift(event.target);
  const form = event.target.closest("form[data-preview]");
  if (!form) return;
  clearTimeout(later.timer);
  later.timer = setTimeout(() => preview(form), 250);
}

async function preview(form) {
  later.call?.abort();
  later.call = new AbortController();
  const { signal } = later.call;
  const result = document.getElementById("result");
  result.setAttribute("aria-busy", "true");
  try {
    const body = new URLSearchParams(new FormData(form));
    const answer = await fetch(form.dataset.preview, { method: "POST", body, headers: { Accept: "text/html" }, signal });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = page.getElementById("result");
    if (!found) throw new Error("no result");
    result.replaceChildren(...found.childNodes);
  } catch (error) {
    if (error.name === "AbortError") return;
    result.textContent = form.dataset.lost;
  }
  result.removeAttribute("aria-busy");
}

// Options that do not match are taken out, for not every browser hides them; the chosen one always stays.
function sift(box) {
  const wanted = box.value.trim().toLowerCase();
  let number = 0;
  for (const select of box.form.querySelectorAll("select[data-source]")) {
    select.all ??= [...select.children].map((each) => each.cloneNode(true));
    const { value } = select;
    const fits = (option) => !option.value || option.value === value || option.text.toLowerCase().includes(wanted);
    const shown = select.all.map((each) => each.cloneNode(true));
    for (const option of shown.flatMap((each) => [...each.querySelectorAll("option")])) if (!fits(option)) option.remove();
    select.replaceChildren(...shown.filter((each) => each.localName === "option" || each.children.length));
    select.value = value;
    number = Math.max(number, [...select.options].filter((each) => each.value).length);
  }
  const said = document.getElementById("found");
  said.textContent = wanted ? said.dataset.one.replace("{number}", number) : "";
}

document.addEventListener("keydown", (event) => {
  if (event.target.id === "find" && event.key === "Enter") event.preventDefault();
});

function arrive() {
  const text = document.querySelector("textarea[data-line]");
  if (!text) return;
  const lines = text.value.split("\n");
  const line = Number(text.dataset.line) - 1;
  delete text.dataset.line;
  const start = lines.slice(0, line).reduce((sum, each) => sum + each.length + 1, 0);
  text.focus();
  text.setSelectionRange(start, start + (lines[line] ?? "").length);
  text.scrollTop = (text.scrollHeight / lines.length) * Math.max(0, line - 4);
}

arrive();
document.addEventListener("focusin", arrive);
