// agent(prompt, opts?): S20 to S26. The script's side: options are checked here, everything else is the host's.
((core) => {
  "use strict";
  const { define, isArray, isFinite, isObject, makePromise, ownKeys, parse, quote, request, setPrototypeOf, toJson, typeError } = core;

  // Each option: whether a value fits, what fits, for the message. `own` options never reach the host's request.
  const text = (v) => typeof v === "string" && v !== "";
  const minutes = (v) => typeof v === "number" && v > 0 && v <= 525600; // a year
  const whole = (least) => (v) => core.isInteger(v) && v >= least;
  const among = (words, v) => {
    for (let i = 0; i < words.length; i++) if (words[i] === v) return true;
    return false;
  };
  const oneOf = (...words) => ({ __proto__: null, fits: (v) => among(words, v), expected: "'" + words.join("' or '") + "'" });
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
    timeoutMinutes: { fits: minutes, expected: "a number of minutes above 0, at most 525600" },
    retry: {
      fits: (v) => isObject(v) && (v.attempts === undefined || (whole(1)(v.attempts) && v.attempts <= 1000)) &&
        (v.backoffSeconds === undefined || (typeof v.backoffSeconds === "number" && v.backoffSeconds >= 0 && v.backoffSeconds <= 86400)),
      expected: "{attempts: 1 to 1000, backoffSeconds: 0 to 86400}",
    },
    backend: { fits: text, expected: "a backend, as in --backend" },
    cwd: { fits: text, expected: "a folder inside the workspace" },
    cache: oneOf("reuse", "rerun"),
    goal: { fits: text, expected: "a condition in words" },
    check: { fits: text, expected: "a shell command" },
    candidates: { fits: (v) => whole(1)(v) && v <= 16, expected: "a whole number from 1 to 16" },
    full: { fits: (v) => typeof v === "boolean", expected: "true or false", own: true },
  };
  for (const name of ownKeys(OPTIONS)) setPrototypeOf(OPTIONS[name], null);
  const NAMES = ownKeys(OPTIONS).join(", ");
  const warned = { __proto__: null };
  const unknown = (name) => {
    if (warned[name]) return;
    warned[name] = true;
    core.warn("agent() knows no option '" + name + "'; it is ignored. Options: " + NAMES, "unknown_option");
  };

  // What is sent is what was checked: an object may read differently each time, or have a toJSON.
  const textOf = (option, value) => {
    const json = toJson(value);
    if (!isObject(value)) return json;
    if (json === undefined) return null;
    const plain = parse(json);
    return option.fits(isObject(plain) && !isArray(plain) ? setPrototypeOf(plain, null) : plain) ? json : null;
  };

  // Each option is read once.
  const contentOf = (prompt, options, own) => {
    if (typeof prompt !== "string" || prompt === "") {
      throw typeError("agent() needs a prompt: a non-empty string, not " + (prompt === "" ? "an empty one" : prompt === null ? "null" : typeof prompt));
    }
    if (core.hasLoneSurrogate(prompt)) {
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
          continue;
        }
        const json = !option.fits(value) ? null : option.own ? "" : textOf(option, value);
        if (json === null) {
          throw typeError("agent() option '" + name + "' must be " + option.expected + ", not " + core.brief(value), "invalid_option");
        }
        if (option.own) own[name] = value;
        else content += "," + quote(name) + ":" + json;
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

  // A script for MiMo Code (S16) has the time in milliseconds, and says how to retry what is tried once there.
  const fromMimo = (options) => {
    if (!isObject(options)) return options;
    const { timeoutMs, retry, timeoutMinutes, ...others } = { __proto__: null, ...options };
    const inMinutes = typeof timeoutMs === "number" && timeoutMs > 0 ? timeoutMs / 60000 : undefined;
    return { ...others, timeoutMinutes: timeoutMinutes ?? inMinutes };
  };
  // It gets null where others get an error, and what a worktree was used for beside the answer.
  const likeMimo = (options, own) => {
    own.isNullOnError = true;
    if (own.full || !isObject(options) || options.isolation !== "worktree") return;
    own.full = true;
    own.receive = (call, full) => {
      const { value, worktree } = full;
      if (value === null || worktree === null) {
        call.resolve(value);
        return;
      }
      const _worktree = { branch: worktree.branch, directory: worktree.path, changed: true };
      call.resolve(isObject(value) && !isArray(value) ? { ...value, _worktree } : { _worktree, result: value });
    };
  };

  const agent = function agent(prompt, options) {
    try {
      const own = { __proto__: null, label: undefined, phase: undefined, full: false, line: core.callLine() };
      const isMimo = core.isMimo();
      const content = contentOf(prompt, isMimo ? fromMimo(options) : options, own);
      if (isMimo) likeMimo(options, own);
      return request("agent", content, own);
    } catch (error) {
      return core.rejected(error);
    }
  };
  define(globalThis, "agent", agent);
})(globalThis.__pawl);
