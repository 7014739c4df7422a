// check(), ask(), readFile(), writeFile(), glob(), exists(), mergeWorktree(): effects on the host, recorded like agent
// results (S60 to S64).
((core) => {
  "use strict";
  const { define, isArray, isObject, ownKeys, parse, quote, request, toJson, typeError } = core;

  const needText = (name, what, value) => {
    if (typeof value !== "string" || value === "") throw typeError(name + "() needs " + what + ": a non-empty string, not " + core.brief(value));
    if (core.hasLoneSurrogate(value)) throw typeError(name + "(): the string holds half of a character (a lone surrogate)");
    return quote(value);
  };
  const minutes = (v) => typeof v === "number" && v > 0 && v <= 525600; // a year
  const FITS = {
    __proto__: null,
    cwd: [(v) => typeof v === "string" && v !== "", "a folder inside the workspace"],
    timeoutMinutes: [minutes, "a number of minutes above 0, at most 525600"],
    schema: [(v) => isObject(v) && !isArray(v), "a JSON Schema object"],
    choices: [(v) => isArray(v) && v.length > 0, "an array with at least one entry"],
    default: [() => true, "a value"],
    message: [(v) => typeof v === "string" && v !== "", "a non-empty string"],
  };
  const readOptions = (name, allowed, options) => {
    let text = "";
    if (options === undefined || options === null) return text;
    if (!isObject(options) || isArray(options)) throw typeError(name + "() takes options as an object");
    const keys = ownKeys(options);
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i];
      const value = options[key];
      if (typeof key === "symbol" || value === undefined) continue;
      if (!allowed[key]) {
        core.warn(name + "() knows no option '" + core.clean(key) + "'; it is ignored", "unknown_option");
      } else {
        // What is sent is what was checked: an object may read differently each time, or have a toJSON.
        const json = FITS[key][0](value) ? toJson(value) : undefined;
        if (json === undefined || !FITS[key][0](parse(json))) {
          throw typeError(name + "() option '" + key + "' must be " + FITS[key][1] + ", not " + core.brief(value), "invalid_option");
        }
        text += "," + quote(key) + ":" + json;
      }
    }
    return text;
  };

  // The branch of what mergeWorktree() is given, null for a worktree that nothing was changed in. What is most easily
  // passed instead, the whole result of agent() with full: true, is told apart.
  const branchOf = (worktree) => {
    if (worktree === null || typeof worktree === "string") return worktree;
    if (isObject(worktree) && !isArray(worktree)) {
      const branch = worktree.branch;
      if (typeof branch === "string") return branch;
      if (worktree.worktree !== undefined) {
        throw typeError("mergeWorktree() needs the `worktree` of the result: mergeWorktree(result.worktree), not the result itself");
      }
    }
    throw typeError(
      "mergeWorktree() needs a worktree: the `worktree` of what agent() gave with full: true, its branch, or null, not " + core.brief(worktree));
  };

  // Each effect: the JSON text of its request from its arguments. An argument mistake rejects, as everywhere.
  const effects = {
    check: (command, options) =>
      '{"command":' + needText("check", "a command", command) + readOptions("check", { __proto__: null, cwd: true, timeoutMinutes: true }, options) + "}",
    ask: (question, options) =>
      '{"question":' + needText("ask", "a question", question) +
      readOptions("ask", { __proto__: null, schema: true, choices: true, default: true, timeoutMinutes: true }, options) + "}",
    readFile: (path) => '{"path":' + needText("readFile", "a path", path) + "}",
    writeFile: (path, text) => {
      if (typeof text !== "string") throw typeError("writeFile() needs the text second: a string, not " + core.brief(text));
      return '{"path":' + needText("writeFile", "a path", path) + ',"text":' + (text === "" ? '""' : needText("writeFile", "a text", text)) + "}";
    },
    glob: (pattern) => '{"pattern":' + needText("glob", "a pattern", pattern) + "}",
    exists: (path) => '{"path":' + needText("exists", "a path", path) + "}",
    mergeWorktree: (branch, options) =>
      '{"branch":' + (branch === null ? "null" : needText("mergeWorktree", "a branch", branch)) +
      readOptions("mergeWorktree", { __proto__: null, message: true }, options) + "}",
  };
  const short = String.prototype.slice;
  for (const name of ownKeys(effects)) {
    const contentOf = effects[name];
    const effect = {
      [name](first, second) {
        try {
          const what = name === "mergeWorktree" ? branchOf(first) : first;
          const content = contentOf(what, second);
          const label = name + " " + (what === null ? "(unchanged)" : core.apply(short, what, [0, 60]));
          return request(name, content, { __proto__: null, label, line: core.callLine() });
        } catch (error) {
          return core.rejected(error);
        }
      },
    }[name];
    define(globalThis, name, effect);
  }
})(globalThis.__pawl);
