// URL and URLSearchParams of https://url.spec.whatwg.org/ ("API"), over the parser beside this file.
((core) => {
  "use strict";
  if ("URL" in globalThis) return;
  const { toWellFormed, uncurry } = core.builtins;
  const { FORM, USERINFO, decode, encode, isSpecial, parse, serialize, serializePath } = core.builtins.url;
  const { apply } = Reflect;
  const { iterator, toStringTag } = Symbol;
  const { defineProperty, keys } = Object;
  const indexOf = uncurry(String.prototype.indexOf);
  const replace = uncurry(RegExp.prototype[Symbol.replace]);
  const slice = uncurry(String.prototype.slice);
  const split = uncurry(RegExp.prototype[Symbol.split]);
  const sort = uncurry(Array.prototype.sort);
  const iteratorPrototype = Object.getPrototypeOf(Object.getPrototypeOf([][iterator]()));

  const toText = (value) => toWellFormed(`${value}`);

  const parseForm = (text) => {
    const pairs = [];
    const parts = split(/&/, text);
    const read = (part) => decode(replace(/\+/g, part, " "));
    for (let i = 0; i < parts.length; i++) {
      const part = parts[i];
      if (part === "") continue;
      const at = indexOf(part, "=");
      pairs[pairs.length] = at < 0 ? [read(part), ""] : [read(slice(part, 0, at)), read(slice(part, at + 1))];
    }
    return pairs;
  };

  const writeForm = (pairs) => {
    const write = (text) => replace(/%20/g, encode(text, FORM), "+");
    let text = "";
    for (let i = 0; i < pairs.length; i++) text += (i ? "&" : "") + write(pairs[i][0]) + "=" + write(pairs[i][1]);
    return text;
  };

  const pairsFrom = (init) => {
    const pairs = [];
    const add = (name, value) => void (pairs[pairs.length] = [toText(name), toText(value)]);
    if (typeof init[iterator] === "function") {
      for (const entry of init) {
        const pair = typeof entry === "object" && entry !== null ? [...entry] : [];
        if (pair.length !== 2) throw new TypeError("URLSearchParams needs pairs of a name and a value");
        add(pair[0], pair[1]);
      }
    } else {
      const names = keys(init);
      for (let i = 0; i < names.length; i++) add(names[i], init[names[i]]);
    }
    return pairs;
  };

  // Between the two classes, out of the reach of scripts: makes the parameters of a URL, and sets them anew.
  let linkParams;
  let resetParams;

  class URLSearchParams {
    #pairs = [];
    #update = null;

    // A static block would say this better; the 2021 engine has none.
    static #isLinked = (linkParams = (text, update) => {
      const params = new URLSearchParams();
      params.#pairs = parseForm(text);
      params.#update = update;
      return params;
    }, resetParams = (params, text) => void (params.#pairs = parseForm(text)), true);

    constructor(init = "") {
      if ((typeof init === "object" && init !== null) || typeof init === "function") this.#pairs = pairsFrom(init);
      else {
        const text = toText(init);
        this.#pairs = parseForm(text[0] === "?" ? slice(text, 1) : text);
      }
    }
    #changed() {
      if (this.#update !== null) this.#update(writeForm(this.#pairs));
    }
    #keep(isKept) {
      const kept = [];
      for (let i = 0; i < this.#pairs.length; i++) if (isKept(this.#pairs[i])) kept[kept.length] = this.#pairs[i];
      this.#pairs = kept;
    }
    get size() {
      return this.#pairs.length;
    }
    append(name, value) {
      this.#pairs[this.#pairs.length] = [toText(name), toText(value)];
      this.#changed();
    }
    delete(name, value = undefined) {
      const key = toText(name);
      const text = value === undefined ? undefined : toText(value);
      this.#keep((pair) => pair[0] !== key || (text !== undefined && pair[1] !== text));
      this.#changed();
    }
    get(name) {
      const key = toText(name);
      for (let i = 0; i < this.#pairs.length; i++) if (this.#pairs[i][0] === key) return this.#pairs[i][1];
      return null;
    }
    getAll(name) {
      const key = toText(name);
      const values = [];
      for (let i = 0; i < this.#pairs.length; i++) {
        if (this.#pairs[i][0] === key) values[values.length] = this.#pairs[i][1];
      }
      return values;
    }
    has(name, value = undefined) {
      const key = toText(name);
      const text = value === undefined ? undefined : toText(value);
      for (let i = 0; i < this.#pairs.length; i++) {
        const pair = this.#pairs[i];
        if (pair[0] === key && (text === undefined || pair[1] === text)) return true;
      }
      return false;
    }
    set(name, value) {
      const key = toText(name);
      const text = toText(value);
      let isSet = false;
      this.#keep((pair) => {
        if (pair[0] !== key) return true;
        if (isSet) return false;
        isSet = true;
        pair[1] = text;
        return true;
      });
      if (!isSet) this.#pairs[this.#pairs.length] = [key, text];
      this.#changed();
    }
    sort() {
      sort(this.#pairs, (a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
      this.#changed();
    }
    forEach(callback, thisArg = undefined) {
      if (typeof callback !== "function") throw new TypeError("The callback must be a function");
      for (let i = 0; i < this.#pairs.length; i++) apply(callback, thisArg, [this.#pairs[i][1], this.#pairs[i][0], this]);
    }
    #iterate(read) {
      let i = 0;
      const steps = {
        __proto__: iteratorPrototype,
        next: () => (i < this.#pairs.length ? { value: read(this.#pairs[i++]), done: false } : { value: undefined, done: true }),
      };
      return defineProperty(steps, toStringTag, { value: "URLSearchParams Iterator" });
    }
    keys() {
      return this.#iterate((pair) => pair[0]);
    }
    values() {
      return this.#iterate((pair) => pair[1]);
    }
    entries() {
      return this.#iterate((pair) => [pair[0], pair[1]]);
    }
    toString() {
      return writeForm(this.#pairs);
    }
  }
  core.define(URLSearchParams.prototype, iterator, URLSearchParams.prototype.entries);
  defineProperty(URLSearchParams.prototype, toStringTag, { value: "URLSearchParams", configurable: true });

  const refuse = (input, base, reason) => {
    const error = new TypeError(`Invalid URL: "${input}"${base === undefined ? "" : ` with the base "${base}"`}: ${reason}`);
    core.define(error, "code", "ERR_INVALID_URL");
    throw error;
  };

  class URL {
    #url;
    #params;

    constructor(url, base = undefined) {
      const input = toText(url);
      const baseText = base === undefined ? undefined : toText(base);
      try {
        this.#url = parse(input, baseText === undefined ? undefined : parse(baseText));
      } catch (error) {
        refuse(input, baseText, error.message);
      }
      this.#params = linkParams(this.#url.query ?? "", (text) => void (this.#url.query = text === "" ? null : text));
    }
    static canParse(url, base = undefined) {
      return URL.parse(url, base) !== null;
    }
    static parse(url, base = undefined) {
      const input = toText(url);
      const baseText = base === undefined ? undefined : toText(base);
      try {
        return new URL(input, baseText);
      } catch {
        return null;
      }
    }

    /** What a setter does: a value that does not parse changes nothing more, and nobody is told. */
    #assign(value, name, state) {
      try {
        parse(value, undefined, this.#url, name, state);
      } catch {
        // As the standard has it.
      }
    }
    get #hasNoAuthority() {
      const { host, scheme } = this.#url;
      return host === null || host === "" || scheme === "file";
    }

    get href() {
      return serialize(this.#url);
    }
    set href(value) {
      const input = toText(value);
      try {
        this.#url = parse(input);
      } catch (error) {
        refuse(input, undefined, error.message);
      }
      resetParams(this.#params, this.#url.query ?? "");
    }
    get origin() {
      const { scheme, host, port } = this.#url;
      if (scheme === "blob") {
        const inner = URL.parse(serializePath(this.#url));
        return inner !== null && (inner.protocol === "http:" || inner.protocol === "https:") ? inner.origin : "null";
      }
      if (!isSpecial(this.#url) || scheme === "file") return "null";
      return `${scheme}://${host}${port === null ? "" : `:${port}`}`;
    }
    get protocol() {
      return this.#url.scheme + ":";
    }
    set protocol(value) {
      this.#assign(toText(value) + ":", "protocol", "schemeStart");
    }
    get username() {
      return this.#url.username;
    }
    set username(value) {
      const text = toText(value);
      if (!this.#hasNoAuthority) this.#url.username = encode(text, USERINFO);
    }
    get password() {
      return this.#url.password;
    }
    set password(value) {
      const text = toText(value);
      if (!this.#hasNoAuthority) this.#url.password = encode(text, USERINFO);
    }
    get host() {
      const { host, port } = this.#url;
      return (host ?? "") + (port === null ? "" : `:${port}`);
    }
    set host(value) {
      const text = toText(value);
      if (typeof this.#url.path !== "string") this.#assign(text, "host", "host");
    }
    get hostname() {
      return this.#url.host ?? "";
    }
    set hostname(value) {
      const text = toText(value);
      if (typeof this.#url.path !== "string") this.#assign(text, "hostname", "host");
    }
    get port() {
      const { port } = this.#url;
      return port === null ? "" : `${port}`;
    }
    set port(value) {
      const text = toText(value);
      if (this.#hasNoAuthority) return;
      if (text === "") this.#url.port = null;
      else this.#assign(text, "port", "port");
    }
    get pathname() {
      return serializePath(this.#url);
    }
    set pathname(value) {
      const text = toText(value);
      if (typeof this.#url.path === "string") return;
      this.#url.path = [];
      this.#assign(text, "pathname", "pathStart");
    }
    get search() {
      const { query } = this.#url;
      return query === null || query === "" ? "" : "?" + query;
    }
    set search(value) {
      const text = toText(value);
      this.#url.query = text === "" ? null : "";
      const query = text[0] === "?" ? slice(text, 1) : text;
      if (text !== "") this.#assign(query, "search", "query");
      resetParams(this.#params, query);
    }
    get searchParams() {
      return this.#params;
    }
    get hash() {
      const { fragment } = this.#url;
      return fragment === null || fragment === "" ? "" : "#" + fragment;
    }
    set hash(value) {
      const text = toText(value);
      this.#url.fragment = text === "" ? null : "";
      if (text !== "") this.#assign(text[0] === "#" ? slice(text, 1) : text, "hash", "fragment");
    }
    toString() {
      return this.href;
    }
    toJSON() {
      return this.href;
    }
  }
  defineProperty(URL.prototype, toStringTag, { value: "URL", configurable: true });
  core.define(globalThis, "URL", URL);
  core.define(globalThis, "URLSearchParams", URLSearchParams);
})(globalThis.__pawl);
