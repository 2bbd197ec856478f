  var STORAGE = 'tillwire.sprii';
  // Milliseconds before the second, third and fourth try; then the next page tries again.
  var WAITS = [500, 2000, 8000];
  // Milliseconds for which the shop's own cart code is kept waiting at most.
  var PATIENCE = 1500;
  // Milliseconds after the shop's own code for which a new cart counts as its doing.
  var FRESH = 30000;
  var HOUR = 3600000;

  var memory = null; // where the browser refuses to store
  var refused = false;
  var touched = 0;
  var tried = null;
  var running = null;
  var again = false;
  var timer;

  function pause(milliseconds) {
    return new Promise(function (resolve) { setTimeout(resolve, milliseconds); });
  }

  function valid(number) {
    if (typeof number !== 'string') return null;
    number = number.trim();
    return number && number.length <= 255 && !/\p{Cc}/u.test(number) ? number : null;
  }

  function keep(state) {
    memory = state;
    try {
      if (state) localStorage.setItem(STORAGE, JSON.stringify(state));
      else localStorage.removeItem(STORAGE);
    } catch (error) { refused = true; }
  }

  function kept() {
    var state = memory;
    try { if (!refused) state = JSON.parse(localStorage.getItem(STORAGE)); } catch (error) { state = null; }
    return state && state.until > Date.now() && valid(state.number) ? state : null;
  }

  // Not bound to a cart yet: the first filled one that takes the number will be its cart.
  function remember(number) {
    keep({ number: number, cart: null, until: Date.now() + LOOSE_HOURS * HOUR });
  }

  // Where the shop's own code has just worked on the cart, another one is of its making and no sign of a purchase.
  function bought(state, cart) {
    return state.cart && state.cart !== cart && !(touched > Date.now() - FRESH);
  }

  async function ask(url, options) {
    var signal = window.AbortSignal && AbortSignal.timeout ? AbortSignal.timeout(10000) : undefined;
    var fixed = { credentials: 'same-origin', cache: 'no-store', keepalive: true, signal: signal };
    var answer = await fetch(url, Object.assign(fixed, options));
    if (answer.ok) return answer;
    var passing = answer.status >= 500 || [401, 403, 408, 425, 429].indexOf(answer.status) >= 0;
    throw Object.assign(new Error('status ' + answer.status), { lasting: !passing });
  }

  function post(url, body, headers) {
    headers = Object.assign({ 'Content-Type': 'application/json', Accept: 'application/json' }, headers);
    return ask(url, { method: 'POST', headers: headers, body: JSON.stringify(body) });
  }

  // Brings the cart in line with what is kept, and writes only where they differ.
  async function settle() {
    var state = kept();
    if (!state) return;
    tried = state.number;
    var found = await look();
    if (bought(state, found.cart)) {
      keep(null); // the number must not mark another order
      return;
    }
    if (found.number !== state.number) found = await write(state.number);
    if (found.number !== state.number) throw Object.assign(new Error('not taken'), { lasting: true });
    var now = kept();
    // An empty cart cannot be bought, and may be another one at the next look.
    if (now && now.number === state.number && found.filled) {
      keep({ number: now.number, cart: found.cart, until: Date.now() + KEEP_DAYS * 24 * HOUR });
    }
  }

  // Whether it went well.
  function attempt(tries) {
    return settle().then(function () { return true; }, function (error) {
      if (error.lasting || tries === WAITS.length) return false;
      return pause(WAITS[tries]).then(function () { return attempt(tries + 1); });
    });
  }

  // One at a time: two requests at once could make two carts.
  function sync() {
    if (running) {
      again = true;
      return running;
    }
    again = false;
    running = attempt(0).then(function (settled) {
      running = null;
      var state = kept();
      return again && state && (settled || state.number !== tried) ? sync() : undefined;
    });
    return running;
  }

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(function () { if (kept()) sync(); }, 300);
  }

  async function carry(value) {
    var number = valid(value);
    if (!number) return;
    var state = kept();
    if (state && state.cart && state.number === number) {
      soon();
      return;
    }
    if (!state || state.number !== number) remember(number);
    await Promise.race([sync(), pause(PATIENCE)]);
  }

  // The number goes first, so that it is on the cart before the shop's own code fills it or leaves for the checkout;
  // then it is looked after once more, for that code may have begun a new cart.
  function around(handler) {
    return async function (payload) {
      var number = payload && payload[FIELD];
      await carry(number);
      try {
        return await handler.apply(this, arguments);
      } finally {
        touched = Date.now();
        await carry(number);
      }
    };
  }

  // The shop's own handlers stay the ones that Sprii calls; this only listens on the way.
  function watch(sdk) {
    try {
      var register = sdk.registerAction;
      var watched = ACTIONS.map(function (name) { return (sdk.actions && sdk.actions[name]) || name; });
      sdk.registerAction = function (action, handler) {
        var given = Array.prototype.slice.call(arguments);
        if (watched.indexOf(action) >= 0 && typeof handler === 'function') given[1] = around(handler);
        return register.apply(sdk, given);
      };
    } catch (error) { /* an SDK that cannot be watched: tillwireSprii() is left to the shop's own handlers */ }
  }

  // Sprii's entry is a list of callbacks, or in older shops one function; we have to be called before the others.
  function first(entry) {
    if (Array.isArray(entry)) {
      if (entry.indexOf(watch) < 0) entry.unshift(watch);
      return entry;
    }
    if (typeof entry !== 'function') return entry;
    return function (sdk) {
      watch(sdk);
      return entry.apply(this, arguments);
    };
  }

  function listen() {
    var entry = window[READY];
    if (entry && !Array.isArray(entry) && typeof entry.push === 'function') {
      entry.push(watch); // Sprii is here already
      return;
    }
    entry = first(entry || []);
    try {
      Object.defineProperty(window, READY, {
        configurable: true,
        enumerable: true,
        get: function () { return entry; },
        set: function (value) { entry = first(value); }
      });
    } catch (error) { window[READY] = entry; }
  }

  window.tillwireSprii = carry;
  listen();
  if (kept()) sync();
  // Back from the checkout by the browser's button: the page wakes up with what it knew before.
  window.addEventListener('pageshow', function (event) {
    if (!event.persisted) return;
    touched = 0;
    soon();
  });
