"use strict";

// A sign-in link carries its token behind the "#", which no server sees: put it into the form, and out of sight.
const link = document.querySelector("form[data-link]");
if (link && location.hash.length > 1) {
  link.elements.token.value = location.hash.slice(1);
  link.querySelector("[data-code]").hidden = true;
  history.replaceState(null, "", location.pathname);
}

// Inside Shopify's admin there are no cookies: App Bridge gives every fetch its proof, and a page load none. So links
// and forms fetch the next page there and show its content. Outside, they work as ever.
if (document.documentElement.hasAttribute("data-embedded")) {
  document.addEventListener("click", (event) => {
    const anchor = event.target.closest("a[href]");
    if (!anchor || anchor.target || anchor.origin !== location.origin || event.defaultPrevented) return;
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    if (anchor.pathname === location.pathname && anchor.hash) return;
    event.preventDefault();
    if (anchor.hasAttribute("download")) keep(anchor.href);
    else show(anchor.href, { method: "GET" });
  });

  document.addEventListener("submit", (event) => {
    const form = event.target;
    event.preventDefault();
    if (form.method !== "post") {
      const address = new URL(form.action);
      for (const [name, value] of new FormData(form, event.submitter)) address.searchParams.set(name, value);
      show(address.href, { method: "GET" });
      return;
    }
    if (form.getAttribute("aria-busy") === "true") return; // a second press changes nothing twice
    form.setAttribute("aria-busy", "true");
    event.submitter?.setAttribute("aria-busy", "true");
    show(form.action, { method: "POST", body: new URLSearchParams(new FormData(form, event.submitter)) }).finally(() => {
      form.removeAttribute("aria-busy");
      event.submitter?.removeAttribute("aria-busy");
    });
  });

  addEventListener("popstate", () => location.reload());
}

async function show(address, options) {
  let answer;
  try {
    answer = await fetch(address, { ...options, headers: { Accept: "text/html" } });
    if (answer.headers.get("Content-Type")?.startsWith("application/json")) {
      const { said } = await answer.json();
      return tell(said ?? document.body.dataset.refused);
    }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const main = page.querySelector("main");
    if (!main) throw new Error("no page");
    document.querySelector("main").replaceWith(main);
    document.title = page.title;
    if (options.method === "GET" || answer.redirected) history.pushState(null, "", answer.url);
    main.focus();
    scrollTo(0, 0);
  } catch {
    tell(document.body.dataset.unreached);
  }
}

// A file: fetched with the proof, then handed to the browser under the name that the server gave it.
async function keep(address) {
  try {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error("no file");
    const name = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition"))?.[1] ?? "";
    const file = document.createElement("a");
    file.href = URL.createObjectURL(await answer.blob());
    file.download = name;
    file.target = "_self"; // not one of our pages, see above
    file.click();
    URL.revokeObjectURL(file.href);
  } catch {
    tell(document.body.dataset.lost);
  }
}

function tell(text) {
  const notice = document.createElement("p");
  notice.className = "notice bad";
  notice.setAttribute("role", "alert");
  notice.textContent = text;
  document.querySelector("main").prepend(notice);
}
