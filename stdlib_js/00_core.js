// The ground that the rest of the library stands on.
//
// Everything here is captured before a script runs, so that a script which patches built-ins changes its own values
// only (S08). What goes to the host is text, put together from strings: no prototype is ever asked.
// `__pawl` is deleted from the global object after boot; a script cannot reach it.
globalThis.__pawl = (() => {
  "use strict";
  const { apply, construct, defineProperty, ownKeys } = Reflect;
  const { create, setPrototypeOf } = Object;
  const { isArray } = Array;
  const { parse, stringify } = JSON;
  const { isFinite, isInteger } = Number;
  const NativeError = Error;
  const NativeTypeError = TypeError;
  const NativePromise = Promise;

  // A Map whose methods are its own prototype's, not the script's.
  const mapMethods = create(null);
  for (const name of ["get", "set", "has", "delete", "forEach", "clear"]) mapMethods[name] = Map.prototype[name];
  const NativeMap = Map;
  const safeMap = () => setPrototypeOf(new NativeMap(), mapMethods);

  const define = (target, name, value) =>
    defineProperty(target, name, { __proto__: null, value, writable: true, configurable: true, enumerable: false });

  // An array of `n` entries, each made by `f` from its place. (Array.from would ask Object.prototype for an iterator.)
  const makeArray = (n, f) => {
    const made = [];
    for (let i = 0; i < n; i++) define(made, i, f(i));
    return made;
  };

  // `instanceof` asks the class, which is the script's to change, and throws for a revoked proxy.
  const hasInstance = Function.prototype[Symbol.hasInstance];
  const isA = (Class) => (value) => {
    try {
      return apply(hasInstance, Class, [value]);
    } catch {
      return false;
    }
  };
  const isError = isA(NativeError);
  const isPromise = isA(NativePromise);

  // `text` as JSON. JSON.stringify of a primitive string asks no toJSON.
  const quote = (text) => stringify(text);

  // The queue of operations for the host: each one the text of a JSON array, in a chain (a setter that a script puts on
  // Array.prototype sees none of it). `drain` takes 256 at a time, so that a fan-out of ten thousand does not become one
  // message that stops everything else.
  const MOST_AT_ONCE = 256;
  const MOST_TEXT_AT_ONCE = 4 << 20; // many long prompts together must not exceed what one message may hold
  const nativeJoin = Array.prototype.join;
  let first = null;
  let last = null;
  const emit = (text) => {
    const link = { __proto__: null, text, next: null };
    if (last === null) first = link;
    else last.next = link;
    last = link;
  };
  const drain = () => {
    const texts = [];
    for (let n = 0, size = 0; n < MOST_AT_ONCE && size < MOST_TEXT_AT_ONCE && first !== null; n++) {
      define(texts, n, first.text);
      size += first.text.length;
      first = first.next;
    }
    if (first === null) last = null;
    return "[" + apply(nativeJoin, texts, [","]) + "]";
  };

  // An Error as the contract wants it (S24): real, with name, message and a stable code.
  const makeError = (message, code, name, fields) => {
    const error = name === "TypeError" ? new NativeTypeError(message) : new NativeError(message);
    if (name && name !== "TypeError") define(error, "name", name);
    if (code) define(error, "code", code);
    if (fields) {
      const keys = ownKeys(fields);
      for (let i = 0; i < keys.length; i++) define(error, keys[i], fields[keys[i]]);
    }
    return error;
  };
  const typeError = (message, code = "invalid") => makeError(message, code, "TypeError");

  // A thrown value as text. Reading it may run the script's own getters; they are caught here and limited by the host.
  const read = (value, key) => {
    try {
      const found = value[key];
      return typeof found === "string" ? found : undefined;
    } catch {
      return undefined;
    }
  };
  const isObject = (value) => (typeof value === "object" && value !== null) || typeof value === "function";
  const nativeCharCodeAt = String.prototype.charCodeAt;
  const charCodeAt = (text, i) => apply(nativeCharCodeAt, text, [i]);
  const nativeSlice = String.prototype.slice;
  const nativeTest = RegExp.prototype.exec;
  // Halves of characters: the one without the other is no Unicode, and no JSON for the host. By the engine's own matcher,
  // at a tenth of the time that a loop takes, for a prompt of megabytes with one emoji in it.
  const SURROGATE = /[\ud800-\udfff]/;
  const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;
  const hasLoneSurrogate = (text) => apply(nativeTest, SURROGATE, [text]) !== null && apply(nativeTest, LONE_SURROGATE, [text]) !== null;
  const clean = (text) => (hasLoneSurrogate(text) ? wellFormedText(text) : text);
  function wellFormedText(text) {
    let out = "";
    for (let i = 0; i < text.length; i++) {
      const unit = charCodeAt(text, i);
      const next = i + 1 < text.length ? charCodeAt(text, i + 1) : 0;
      if (unit >= 0xd800 && unit <= 0xdbff && next >= 0xdc00 && next <= 0xdfff) {
        out += text[i] + text[i + 1];
        i++;
      } else {
        out += unit >= 0xd800 && unit <= 0xdfff ? "\ufffd" : text[i];
      }
    }
    return out;
  }

  // Text for people has an end; what is longer belongs in a file or in the result.
  const MOST_IN_A_LINE = 65536;
  const MOST_IN_A_TITLE = 1000;
  const cut = (text, most) =>
    clean(text.length > most ? apply(nativeSlice, text, [0, most]) + " … (" + text.length + " characters)" : text);
  const line = (text) => cut(text, MOST_IN_A_LINE);
  const title = (text) => cut(text, MOST_IN_A_TITLE);

  const NativeString = String;
  const describe = (value) => {
    if (!isObject(value)) {
      return { __proto__: null, name: "", message: typeof value === "symbol" ? "a symbol" : NativeString(value), code: "", stack: "" };
    }
    const message = read(value, "message");
    let text = message;
    if (text === undefined) {
      try {
        text = toJson(value);
      } catch {
        text = undefined;
      }
      text ??= "a value that is not JSON";
    }
    return { __proto__: null, name: read(value, "name") ?? "", message: text, code: read(value, "code") ?? "", stack: read(value, "stack") ?? "" };
  };
  const errorText = (value) => {
    const d = describe(value);
    return (
      '{"name":' + quote(title(d.name)) + ',"message":' + quote(line(d.message)) + ',"code":' + quote(title(d.code)) +
      ',"stack":' + quote(line(d.stack)) + "}"
    );
  };

  // Our own JSON writer: it names the path of what JSON cannot hold, finds cycles, is bounded in depth (the engine's own
  // stringify recurses without a check), and asks no prototype but for toJSON, which scripts rely on for Date and URL.
  // The host's own reader and writer go to 254.
  const MOST_DEEP = 200;
  // `up` is the place of the array or object that holds the value, `up.key` where in it; null for the root.
  const pathOf = (place) => {
    let path = "";
    for (let at = place; at !== null && path.length < 300; at = at.up) {
      path = (typeof at.key === "number" ? "[" + at.key + "]" : "." + brief(at.key)) + path;
    }
    return (path.length < 300 ? "$" : "…") + path;
  };
  const brief = (key) => (key.length > 100 ? apply(nativeSlice, key, [0, 100]) + "…" : key);
  const LONG = 4096;
  const toJson = (root) => {
    const write = (given, up) => {
      let value = given;
      if (typeof value === "object" && value !== null) {
        const own = value.toJSON;
        if (typeof own === "function") value = apply(own, value, [up === null ? "" : "" + up.key]);
      }
      switch (typeof value) {
        case "string":
          if (hasLoneSurrogate(value)) {
            throw typeError("JSON cannot hold the lone surrogate in the string at " + pathOf(up), "not_json");
          }
          return quote(value);
        case "number":
          return isFinite(value) ? "" + value : "null";
        case "boolean":
          return value ? "true" : "false";
        case "undefined":
          return undefined;
        case "object":
          break;
        default:
          throw typeError("JSON cannot hold the " + typeof value + " at " + pathOf(up), "not_json");
      }
      if (value === null) return "null";
      if (isPromise(value)) {
        throw typeError("The value at " + pathOf(up) + " is a promise that nobody awaited. Write `await` before it.", "not_json");
      }
      const here = { __proto__: null, up, value, key: 0 };
      let depth = 0;
      for (let at = up; at !== null; at = at.up) {
        if (at.value === value) throw typeError("The value at " + pathOf(up) + " contains itself", "not_json");
        if (++depth > MOST_DEEP) throw typeError("The value at " + pathOf(up) + " is nested deeper than " + MOST_DEEP, "not_json");
      }
      // In parts: `text += more` copies the whole text in the engine of 2021.
      const parts = [];
      let text = "";
      if (isArray(value)) {
        text = "[";
        for (let i = 0; i < value.length; i++) {
          here.key = i;
          text += (i ? "," : "") + (write(value[i], here) ?? "null");
          if (text.length > LONG) {
            define(parts, parts.length, text);
            text = "";
          }
        }
        text += "]";
      } else {
        let isFirst = true;
        const keys = apply(nativeKeys, undefined, [value]);
        for (let i = 0; i < keys.length; i++) {
          const key = keys[i];
          here.key = key;
          const member = write(value[key], here);
          if (member === undefined) continue;
          text += (isFirst ? "{" : ",") + quote(clean(key)) + ":" + member;
          isFirst = false;
          if (text.length > LONG) {
            define(parts, parts.length, text);
            text = "";
          }
        }
        text = isFirst ? "{}" : text + "}";
      }
      if (parts.length === 0) return text;
      define(parts, parts.length, text);
      return apply(nativeJoin, parts, [""]);
    };
    return write(root, null);
  };
  const nativeKeys = Object.keys;

  return {
    __proto__: null,
    apply, charCodeAt, clean, construct, create, define, describe, drain, emit, errorText, hasLoneSurrogate,
    isArray, isError, isFinite, isInteger, isObject, isPromise, line, makeArray, makeError, NativePromise, ownKeys, parse, quote,
    safeMap, setPrototypeOf, title, toJson, typeError,
    // What 90_main.js fills in for the child process: start, settle, step, made.
    config: null,
  };
})();
