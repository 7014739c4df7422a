// log(), phase(), console, budget: what a script says and may ask about itself (S40, S41, S43).
((core) => {
  "use strict";
  const { define, emit, quote } = core;

  const NativeString = String;
  const show = (value) => {
    if (typeof value === "string") return value;
    if (core.isError(value)) {
      const d = core.describe(value);
      return d.name + ": " + d.message;
    }
    try {
      return core.toJson(value) ?? "undefined";
    } catch (error) {
      return typeof value === "symbol" || typeof value === "bigint" ? NativeString(value) : "[" + error.message + "]";
    }
  };
  const say = (level, text, code) => {
    emit('["l","' + level + '",' + quote(core.line(text)) + "," + (code ? quote(code) : "null") + "," + core.callLine() + "]");
  };
  const makeLog = (level) => function log(...values) {
    let text = "";
    for (let i = 0; i < values.length; i++) text += (i ? " " : "") + show(values[i]);
    say(level, text, null);
  };
  const log = makeLog("info");
  core.warn = (text, code) => say("warning", text, code);

  const phase = function phase(title) {
    if (typeof title !== "string" || title === "") throw core.typeError('phase() needs a title: phase("Review")');
    core.lane.group.phase = title;
    emit('["p",' + quote(core.title(title)) + "]");
  };

  // What a script sees of its caps is logical, like its clock: the usage of what was delivered to it so far.
  const spent = { __proto__: null, tokens: 0, costUsd: 0, agents: 0 };
  core.spend = (usage) => {
    spent.tokens += usage[0];
    spent.costUsd += usage[1];
    spent.agents += usage[2];
  };
  const meter = (total, read) => ({
    get total() { return total; },
    spent() { return read(); },
    remaining() {
      if (total === null) return Infinity;
      const left = total - read();
      return left > 0 ? left : 0;
    },
  });
  core.makeBudget = (caps, startedAt) => {
    const budget = meter(caps.tokens, () => spent.tokens);
    define(budget, "costUsd", meter(caps.costUsd, () => spent.costUsd));
    define(budget, "agents", meter(caps.agents, () => spent.agents));
    define(budget, "minutes", meter(caps.minutes, () => (core.clock - startedAt) / 60000));
    define(globalThis, "budget", budget);
  };

  define(globalThis, "log", log);
  define(globalThis, "phase", phase);
  const console = {};
  for (const name of ["debug", "error", "info", "log", "warn"]) define(console, name, makeLog(name === "error" || name === "warn" ? "notice" : "info"));
  define(globalThis, "console", console);
})(globalThis.__pawl);
