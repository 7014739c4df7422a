// agent(prompt, opts?): S20 to S26. The script's side: options are checked here, everything else is the host's.
((core) => {
  "use strict";
  const { define, isArray, isFinite, isObject, makePromise, ownKeys, quote, request, toJson, typeError } = core;

  // Each option: whether a value fits, what fits, for the message. `own` options never reach the host's request.
  const text = (v) => typeof v === "string" && v !== "";
  const positive = (v) => typeof v === "number" && isFinite(v) && v > 0;
  const whole = (least) => (v) => core.isInteger(v) && v >= least;
  const among = (words, v) => {
    for (let i = 0; i < words.length; i++) if (words[i] === v) return true;
    return false;
  };
  const oneOf = (...words) => ({ fits: (v) => among(words, v), expected: "'" + words.join("' or '") + "'" });
  const texts = (v) => {
    for (let i = 0; i < v.length; i++) if (!text(v[i])) return false;
    return true;
  };
  const OPTIONS = {
    __proto__: null,
    label: { fits: text, expected: "a non-empty string", own: true },
    phase: { fits: text, expected: "a phase title", own: true },
    schema: { fits: (v) => isObject(v) && !isArray(v) && typeof v !== "function", expected: "a JSON Schema object" },
    model: { fits: text, expected: "a model name" },
    effort: oneOf("low", "medium", "high", "xhigh", "max"),
    isolation: oneOf("worktree"),
    agentType: { fits: text, expected: "the name of an agent definition" },
    tools: { fits: (v) => isArray(v) && texts(v), expected: "an array of tool names" },
    timeoutMinutes: { fits: positive, expected: "a number of minutes above 0" },
    retry: {
      fits: (v) => isObject(v) && (v.attempts === undefined || whole(1)(v.attempts)) &&
        (v.backoffSeconds === undefined || (isFinite(v.backoffSeconds) && v.backoffSeconds >= 0)),
      expected: "{attempts: 1 or more, backoffSeconds: 0 or more}",
    },
    backend: { fits: text, expected: "a backend, as in --backend" },
    cwd: { fits: text, expected: "a folder inside the workspace" },
    cache: oneOf("reuse", "rerun"),
    goal: { fits: text, expected: "a condition in words" },
    check: { fits: text, expected: "a shell command" },
    candidates: { fits: whole(1), expected: "a whole number from 1" },
    full: { fits: (v) => typeof v === "boolean", expected: "true or false", own: true },
  };
  const NAMES = ownKeys(OPTIONS).join(", ");
  const warned = { __proto__: null };
  const unknown = (name) => {
    if (warned[name]) return;
    warned[name] = true;
    core.warn("agent() knows no option '" + name + "'; it is ignored. Options: " + NAMES, "unknown_option");
  };

  const contentOf = (prompt, options) => {
    if (typeof prompt !== "string" || prompt === "") {
      throw typeError("agent() needs a prompt: a non-empty string, not " + (prompt === "" ? "an empty one" : prompt === null ? "null" : typeof prompt));
    }
    if (core.hasSurrogate(prompt) && core.wellFormedText(prompt) !== prompt) {
      throw typeError("The prompt of agent() holds half of a character (a lone surrogate). Cut text with [...text].slice(), or call text.toWellFormed()");
    }
    let content = '{"prompt":' + quote(prompt);
    if (options !== undefined && options !== null) {
      if (!isObject(options)) throw typeError("agent() takes options as an object: agent(prompt, {label: 'x'}), not " + typeof options);
      const keys = ownKeys(options);
      for (let i = 0; i < keys.length; i++) {
        const name = keys[i];
        const value = options[name];
        if (typeof name === "symbol" || value === undefined) continue;
        const option = OPTIONS[name];
        if (option === undefined) {
          unknown(name);
        } else if (!option.fits(value)) {
          throw typeError("agent() option '" + name + "' must be " + option.expected + ", not " + core.brief(value), "invalid_option");
        } else if (!option.own) {
          content += "," + quote(name) + ":" + toJson(value);
        }
      }
    }
    return content + "}";
  };

  core.brief = (value) => {
    let shown;
    try {
      shown = toJson(value);
    } catch {
      shown = undefined;
    }
    shown ??= typeof value;
    return shown.length > 60 ? typeof value : shown;
  };

  // A promise that rejects: argument mistakes of an async function.
  core.rejected = (error) => {
    const made = makePromise(core.nextId(), true);
    made.reject(error);
    return made.promise;
  };

  const agent = function agent(prompt, options) {
    try {
      const content = contentOf(prompt, options);
      const line = core.callLine();
      return request("agent", content, {
        __proto__: null, label: options?.label, phase: options?.phase, full: options?.full === true, line,
      });
    } catch (error) {
      return core.rejected(error);
    }
  };
  define(globalThis, "agent", agent);
})(globalThis.__pawl);
