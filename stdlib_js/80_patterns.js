// What the files in patterns/ share (S72): public primitives and a few tools for lists, captured before any script, so
// that a script which patches built-ins breaks no vote (S08). A pattern asks agents with the primitives alone: copied
// into a script, with `list.push(x)` for append(list, x) and `throw new TypeError(…)` for invalid(…), it works as here.
((core) => {
  "use strict";
  const { apply, brief, define, isArray, isInteger, isObject, makeArray, parse, safeMap, toJson, typeError } = core;
  const { agent, log, parallel, pipeline } = globalThis;
  const { defineProperty } = Object;
  const nativeJoin = Array.prototype.join;
  const nativeSort = Array.prototype.sort;

  // `list.push` asks a prototype; a setter that a script puts on it would see the value.
  const append = (list, value) => {
    defineProperty(list, list.length, { __proto__: null, value, writable: true, enumerable: true, configurable: true });
    return list;
  };
  const kept = (list, isKept) => {
    const out = [];
    for (let i = 0; i < list.length; i++) if (isKept(list[i], i)) append(out, list[i]);
    return out;
  };
  const part = (list, from, to) => makeArray((to < list.length ? to : list.length) - from, (i) => list[from + i]);
  const sorted = (list, compare) => apply(nativeSort, part(list, 0, list.length), [compare]);
  const isGiven = (value) => value !== null && value !== undefined;
  const isNonEmptyText = (value) => typeof value === "string" && value !== "";

  // JSON with sorted keys: the same for answers that say the same.
  const canonical = (value) => {
    const json = toJson(value);
    return json === undefined ? "null" : written(parse(json));
  };
  const written = (value) => {
    if (!isObject(value)) return toJson(value);
    let text = "";
    if (isArray(value)) {
      for (let i = 0; i < value.length; i++) text += (i ? "," : "") + written(value[i]);
      return "[" + text + "]";
    }
    const keys = sorted(core.ownKeys(value));
    for (let i = 0; i < keys.length; i++) text += (i ? "," : "") + toJson(keys[i]) + ":" + written(value[keys[i]]);
    return "{" + text + "}";
  };
  const asText = (value) => (typeof value === "string" ? value : toJson(value) ?? "undefined");

  // ---- Arguments. What is returned has no prototype that could answer for an option that was not given.

  const optionsOf = (name, given, known) => {
    if (given === undefined || given === null) return { __proto__: null };
    if (!isObject(given) || isArray(given)) throw typeError(name + "() takes options as an object, not " + brief(given));
    const options = { __proto__: null, ...given };
    const keys = known === null ? [] : core.ownKeys(options);
    for (let i = 0; i < keys.length; i++) {
      if (typeof keys[i] === "string" && !known[keys[i]]) {
        core.warn(name + "() knows no option '" + core.clean(keys[i]) + "'; it is ignored. Options: " + apply(nativeJoin, core.ownKeys(known), [", "]), "unknown_option");
      }
    }
    return options;
  };
  const need = (isRight, name, option, expected, value) => {
    if (!isRight) throw typeError(name + "() option '" + option + "' must be " + expected + ", not " + brief(value), "invalid_option");
    return value;
  };
  const needCount = (name, option, value, least, most) =>
    need(isInteger(value) && value >= least && value <= most, name, option, "a whole number from " + least + " to " + most, value);
  const needFunction = (name, option, value, expected) => need(typeof value === "function", name, option, expected, value);
  // The number of voters or attempts, and what each of them is asked.
  const needAsked = (name, n, asked) => {
    if (!isInteger(n) || n < 1 || n > core.config.entries) {
      throw typeError(name + "() needs a number first: " + name + "(3, 'Is it safe?'), a whole number from 1 to " + core.config.entries + ", not " + brief(n));
    }
    if (!isNonEmptyText(asked) && typeof asked !== "function") {
      throw typeError(name + "() needs a prompt or a function second: " + name + "(3, i => agent(…)), not " + brief(asked));
    }
  };
  const refuse = (name, option, value, reason) => {
    if (value !== undefined) throw typeError(name + "() takes no option '" + option + "': " + reason, "invalid_option");
  };
  // What two answers are the same by.
  const keyOf = (name, key, value) => {
    const found = key(value);
    const type = typeof found;
    if (type !== "string" && type !== "number" && type !== "boolean") {
      throw typeError(name + "() option 'key' must give a string, a number or a boolean, not " + brief(found) + " for " + brief(value), "invalid_option");
    }
    return type === "string" ? found : "" + found;
  };

  // ---- Many answers: null where there was none, with a line in the log for each error. A mistake that hits all of them
  // (a wrong option, a cap that is reached) is no lack of answers: it is thrown.
  const answersOf = async (name, who, thunks) => {
    const slots = await parallel(thunks, { settle: true });
    let failed = 0;
    const answers = makeArray(slots.length, (i) => {
      if (slots[i].ok) return isGiven(slots[i].value) ? slots[i].value : null;
      failed++;
      const { name: kind, message } = core.describe(slots[i].error);
      log(name + "(): " + who(i) + " failed: " + (kind ? kind + ": " : "") + message);
      return null;
    });
    if (failed > 0 && failed === slots.length) throw slots[0].error;
    return answers;
  };

  core.patterns = {
    __proto__: null,
    agent, answersOf, append, asText, brief, canonical, define, describe: core.describe, invalid: typeError, isArray, isGiven, isNonEmptyText,
    kept, keyOf, log, makeArray, makeError: core.makeError, need, needAsked, needCount, needFunction, optionsOf, parallel, part, pipeline,
    refuse, safeMap, sorted,
  };
})(globalThis.__pawl);
