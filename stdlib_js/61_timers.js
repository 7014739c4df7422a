// sleep(), setTimeout(), clearTimeout(): durable timers (S27). A timer is a call; its due time is on disk before the wait.
((core) => {
  "use strict";
  const { apply, define, request, typeError } = core;
  const { round } = Math;
  const MOST_MS = 100 * 365 * 86400000;
  const readMs = (name, ms) => {
    let value = 0;
    try {
      if (ms !== undefined) value = +ms;
    } catch {
      value = NaN; // a BigInt, a Symbol, or an object that does not want to be a number
    }
    if (!(value >= 0 && value <= MOST_MS)) throw typeError(name + "() needs milliseconds from 0 to " + MOST_MS + " (100 years), not " + core.brief(ms), "invalid_option");
    return round(value);
  };


  define(globalThis, "sleep", function sleep(ms) {
    try {
      const wait = readMs("sleep", ms);
      return request("timer", '{"ms":' + wait + "}", { __proto__: null, label: "sleep " + wait + " ms", line: core.callLine(), receive: (call) => call.resolve(undefined) });
    } catch (error) {
      return core.rejected(error);
    }
  });

  // Timers that scripts hold by number. A callback runs in the lane that set it; what it throws is told, not lost.
  const timers = core.safeMap();
  let lastTimer = 0;
  define(globalThis, "setTimeout", function setTimeout(callback, ms, ...values) {
    if (typeof callback !== "function") throw typeError("setTimeout() needs a function first: setTimeout(() => …, 1000)");
    const wait = readMs("setTimeout", ms);
    const timer = ++lastTimer;
    const id = core.peekId();
    timers.set(timer, id);
    request("timer", '{"ms":' + wait + "}", {
      __proto__: null,
      label: "timer " + wait + " ms",
      line: core.callLine(),
      receive: () => {
        timers.delete(timer);
        try {
          apply(callback, undefined, values);
        } catch (error) {
          const d = core.describe(error);
          core.warn("A setTimeout() callback threw " + (d.name || "Error") + ": " + d.message, "swallowed_error");
        }
      },
    });
    return timer;
  });
  define(globalThis, "clearTimeout", function clearTimeout(timer) {
    const id = timers.get(timer);
    if (id !== undefined && timers.delete(timer)) core.takeBack(id);
  });
})(globalThis.__pawl);
