"""Scripts that stand in for App Bridge and Polaris, which exist on Shopify's CDN only: just enough for a settings page.

Written from what shopify.dev documents (docs/api/app-home, docs/apps/build/authentication-authorization/id-tokens), not
from the real scripts. They talk with the page of `app.simulators.shopify_pages` that frames the app.
"""

from __future__ import annotations

APP_BRIDGE = r"""
(() => {
  "use strict";
  const script = document.currentScript;
  const meta = document.querySelector('meta[name="shopify-api-key"]');
  const apiKey = (meta && meta.content) || (script && script.dataset.apiKey);
  if (!apiKey) throw new Error("App Bridge: missing API key");
  if (script.async || script.defer) console.error("App Bridge: loaded with async or defer");
  if (document.querySelector("script") !== script) console.error("App Bridge: not the first script of the page");
  const query = new URLSearchParams(location.search);
  const waiting = new Map();
  let asked = 0;

  const tell = (type, detail) => window.parent.postMessage({ madeUpAdmin: type, ...detail }, "*");
  const ask = (type, detail) => new Promise((resolve) => {
    asked += 1;
    waiting.set(asked, resolve);
    tell(type, { ...detail, ask: asked });
  });
  window.addEventListener("message", (event) => {
    const data = event.data || {};
    if (event.source !== window.parent || !data.madeUpAdmin) return;
    if (data.madeUpAdmin === "answer" && waiting.has(data.ask)) {
      waiting.get(data.ask)(data.value);
      waiting.delete(data.ask);
    }
    if (data.madeUpAdmin === "navigate") location.assign(data.href);
    if (data.madeUpAdmin === "save") saveBarForm()?.requestSubmit();
    if (data.madeUpAdmin === "discard") { saveBarForm()?.reset(); tell("saveBar", { shown: false }); }
  });

  const idToken = () => ask("idToken");

  // A page without a living token: load the wanted one again, with a fresh token.
  const reload = query.get("shopify-reload");
  if (reload) {
    const target = new URL(reload, location.origin);
    if (target.origin !== location.origin) throw new Error("App Bridge: shopify-reload leaves the app");
    idToken().then((token) => { target.searchParams.set("id_token", token); location.replace(target); });
  }

  const plainFetch = window.fetch.bind(window);
  window.fetch = async (resource, options) => {
    const request = new Request(resource, options);
    const own = new URL(request.url).origin === location.origin;
    if (!own || request.headers.has("Authorization")) return plainFetch(request);
    const send = async () => {
      const copy = request.clone();
      copy.headers.set("Authorization", `Bearer ${await idToken()}`);
      copy.headers.set("X-Requested-With", "XMLHttpRequest");
      return plainFetch(copy);
    };
    let response = await send();
    if (response.status === 401 && response.headers.get("X-Shopify-Retry-Invalid-Session-Request")) {
      response = await send();
    }
    const away = response.headers.get("X-Shopify-API-Request-Failure-Reauthorize-Url");
    if (response.status === 401 && away) tell("leave", { href: new URL(away, location.href).href });
    return response;
  };

  const { open, send, setRequestHeader } = XMLHttpRequest.prototype;
  XMLHttpRequest.prototype.open = function (method, url, async = true, ...rest) {
    this.madeUpOwn = async && new URL(url, location.href).origin === location.origin;
    return open.call(this, method, url, async, ...rest);
  };
  XMLHttpRequest.prototype.setRequestHeader = function (name, value) {
    if (name.toLowerCase() === "authorization") this.madeUpOwn = false;
    return setRequestHeader.call(this, name, value);
  };
  XMLHttpRequest.prototype.send = function (body) {
    if (!this.madeUpOwn) return send.call(this, body);
    idToken().then((token) => {
      setRequestHeader.call(this, "Authorization", `Bearer ${token}`);
      send.call(this, body);
    });
    return undefined;
  };

  const saveBarForm = () => document.querySelector("form[data-save-bar]");
  const saveBar = (shown) => () => { tell("saveBar", { shown }); return Promise.resolve(); };
  const ready = () => {
    const links = [...document.querySelectorAll("s-app-nav s-link, s-app-nav a, ui-nav-menu a")];
    tell("nav", { links: links.map((each) => ({ href: each.getAttribute("href"), text: each.textContent.trim() })) });
    const form = saveBarForm();
    if (form) {
      form.addEventListener("input", saveBar(true));
      form.addEventListener("change", saveBar(true));
      form.addEventListener("submit", saveBar(false));
    }
    tell("loaded", { path: location.pathname });
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", ready);
  else ready();

  window.shopify = {
    config: { apiKey, shop: query.get("shop"), host: query.get("host"), locale: query.get("locale") || "en" },
    idToken,
    toast: { show: (text, options = {}) => { tell("toast", { text, isError: !!options.isError }); return "toast"; } },
    loading: (on = true) => tell("loading", { on }),
    saveBar: { show: saveBar(true), hide: saveBar(false), leaveConfirmation: () => Promise.resolve() },
    scopes: { query: () => ask("scopes") },
    app: { extensions: () => Promise.resolve([]) },
    environment: { embedded: window.parent !== window, mobile: false },
  };
})();
"""

POLARIS = r"""
(() => {
  "use strict";
  const text = (element, name) => element.getAttribute(name) || "";

  class Field extends HTMLElement {
    static formAssociated = true;
    static observedAttributes = ["value", "error", "disabled", "checked"];
    constructor() { super(); this.internals = this.attachInternals(); }
    connectedCallback() {
      if (this.control) return;
      this.first = { value: text(this, "value"), checked: this.hasAttribute("checked") };
      const label = document.createElement("label");
      label.append(text(this, "label"), " ", (this.control = this.make()));
      this.message = document.createElement("span");
      this.message.setAttribute("role", "alert");
      this.append(label, this.message);
      this.control.addEventListener("input", () => this.sync());
      this.control.addEventListener("change", () => this.sync());
      this.formResetCallback();
      this.attributeChangedCallback("error", null, this.getAttribute("error"));
    }
    get name() { return text(this, "name"); }
    get value() { return this.control ? this.control.value : text(this, "value"); }
    set value(value) { if (this.control) { this.control.value = value; this.sync(); } }
    get error() { return text(this, "error"); }
    set error(value) { this.setAttribute("error", value || ""); }
    get disabled() { return this.hasAttribute("disabled"); }
    set disabled(value) { this.toggleAttribute("disabled", !!value); }
    sync() { this.internals.setFormValue(this.control.value); }
    formResetCallback() { this.control.value = this.first.value; this.sync(); }
    attributeChangedCallback(name, _old, value) {
      if (!this.control) return;
      if (name === "value") { this.control.value = value || ""; this.sync(); }
      if (name === "error") this.message.textContent = value || "";
      if (name === "disabled") this.control.disabled = value !== null;
    }
    make() {
      const input = document.createElement("input");
      input.type = this.constructor.type;
      input.placeholder = text(this, "placeholder");
      input.required = this.hasAttribute("required");
      return input;
    }
  }
  class Tick extends Field {
    get checked() { return this.control.checked; }
    set checked(value) { this.control.checked = !!value; this.sync(); }
    sync() { this.internals.setFormValue(this.control.checked ? this.first.value || "on" : null); }
    formResetCallback() { this.control.checked = this.first.checked; this.sync(); }
    make() { const input = document.createElement("input"); input.type = "checkbox"; return input; }
  }
  class Select extends Field {
    make() {
      const select = document.createElement("select");
      const fill = () => {  // the parser may not have come to the options yet
        const options = [...this.querySelectorAll("s-option")];
        if (options.length === select.options.length) return;
        select.replaceChildren(
          ...options.map((each) => new Option(each.textContent.trim(), each.getAttribute("value"))));
        select.value = this.first.value;
        this.sync();
      };
      new MutationObserver(fill).observe(this, { childList: true, subtree: true });
      queueMicrotask(fill);
      return select;
    }
  }
  class Area extends Field { make() { return document.createElement("textarea"); } }
  class Button extends HTMLElement {
    connectedCallback() {
      if (!this.hasAttribute("tabindex")) this.tabIndex = 0;
      this.setAttribute("role", "button");
      this.addEventListener("click", () => {
        if (this.hasAttribute("disabled")) return;
        if (text(this, "type") === "submit") this.closest("form")?.requestSubmit();
        if (this.hasAttribute("href")) window.open(text(this, "href"), text(this, "target") || "_self");
      });
    }
  }
  class Link extends HTMLElement {
    connectedCallback() {
      this.setAttribute("role", "link");
      this.addEventListener("click", () => window.open(text(this, "href"), text(this, "target") || "_self"));
    }
  }
  class Headed extends HTMLElement {
    connectedCallback() {
      if (!this.hasAttribute("heading")) return;
      const heading = document.createElement(this.constructor.level);
      heading.textContent = text(this, "heading");
      this.prepend(heading);
    }
  }
  const kinds = {
    "s-text-field": class extends Field { static type = "text"; },
    "s-password-field": class extends Field { static type = "password"; },
    "s-url-field": class extends Field { static type = "url"; },
    "s-email-field": class extends Field { static type = "email"; },
    "s-number-field": class extends Field { static type = "number"; },
    "s-text-area": Area, "s-select": Select, "s-checkbox": Tick, "s-switch": class extends Tick {},
    "s-button": Button, "s-link": Link,
    "s-page": class extends Headed { static level = "h1"; },
    "s-section": class extends Headed { static level = "h2"; },
    "s-banner": class extends Headed { static level = "h3"; },
  };
  for (const [name, kind] of Object.entries(kinds)) if (!customElements.get(name)) customElements.define(name, kind);
  const style = document.createElement("style");
  style.textContent = "s-page,s-section,s-banner,s-stack,s-box,s-paragraph,s-text-field,s-select{display:block}" +
    "s-app-nav{display:none}s-button{display:inline-block;border:1px solid;padding:.2em .6em;cursor:pointer}" +
    "s-banner{border:1px solid;padding:.5em}[role=alert]{color:#a00}s-option{display:none}s-link{cursor:pointer}";
  document.head.append(style);
})();
"""

#: The page around the app: answers what the scripts ask, and shows what they tell.
ADMIN = r"""
(() => {
  "use strict";
  const frame = document.getElementById("app");
  const settings = JSON.parse(document.getElementById("settings").textContent);
  const show = (id, fill) => { const element = document.getElementById(id); fill(element); return element; };
  const post = (detail) => frame.contentWindow.postMessage(detail, settings.origin);
  const answers = {
    idToken: async () => (await (await fetch(settings.idTokens, { cache: "no-store" })).json()).token,
    scopes: async () => ({ granted: settings.scopes, required: settings.scopes, optional: [] }),
  };
  window.addEventListener("message", async (event) => {
    const data = event.data || {};
    if (event.source !== frame.contentWindow || event.origin !== settings.origin || !data.madeUpAdmin) return;
    const kind = data.madeUpAdmin;
    if (answers[kind]) post({ madeUpAdmin: "answer", ask: data.ask, value: await answers[kind]() });
    if (kind === "toast") {
      const toast = document.createElement("div");
      toast.className = data.isError ? "toast error" : "toast";
      toast.textContent = data.text;
      show("toasts", (element) => element.append(toast));
    }
    if (kind === "loading") show("loading", (element) => { element.hidden = !data.on; });
    if (kind === "saveBar") show("save-bar", (element) => { element.hidden = !data.shown; });
    if (kind === "loaded") document.body.dataset.path = data.path;
    if (kind === "leave") location.assign(data.href);
    if (kind === "nav") show("nav", (element) => {
      element.replaceChildren(...data.links.map((each) => {
        const link = document.createElement("button");
        link.textContent = each.text;
        link.onclick = () => post({ madeUpAdmin: "navigate", href: each.href });
        return link;
      }));
    });
  });
  document.getElementById("save").onclick = () => post({ madeUpAdmin: "save" });
  document.getElementById("discard").onclick = () => post({ madeUpAdmin: "discard" });
})();
"""
