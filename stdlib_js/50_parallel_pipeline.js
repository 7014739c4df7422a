// parallel() and pipeline(): S30 to S34, S36.
//
// Both open a join with one slot an entry. A slot ends with a value or an error; the join decides when all have ended,
// or, with failFast, at the first error.
((core) => {
  "use strict";
  const { decide, define, enter, follow, isArray, isObject, later, leaveSlot, makeArray, makePromise, openJoin, typeError } = core;

  const OPTIONS = { __proto__: null, settle: true, failFast: true, concurrency: true };
  const readOptions = (name, options) => {
    // In MiMo Code's scripts (S16) a slot that throws rejects the whole, unless they ask for ours.
    const read = { __proto__: null, settle: false, failFast: core.isMimo(), concurrency: Infinity };
    if (options === undefined) return read;
    if (!isObject(options) || isArray(options)) throw typeError(name + "() takes options as an object, like {settle: true}");
    const keys = core.ownKeys(options);
    for (let i = 0; i < keys.length; i++) {
      if (typeof keys[i] === "string" && !OPTIONS[keys[i]]) core.warn(name + "() knows no option '" + core.clean(keys[i]) + "'; it is ignored. Options: settle, failFast, concurrency", "unknown_option");
    }
    read.settle = options.settle === true;
    read.failFast = options.failFast === true || (read.failFast && !read.settle && options.failFast !== false);
    if (read.settle && read.failFast) throw typeError(name + "() takes settle or failFast, not both", "invalid_option");
    const concurrency = options.concurrency;
    if (concurrency !== undefined) {
      if (!core.isInteger(concurrency) || concurrency < 1) {
        throw typeError(name + "() option 'concurrency' must be a whole number from 1, not " + core.brief(concurrency), "invalid_option");
      }
      read.concurrency = concurrency;
    }
    return read;
  };
  // The entries as they are now: what the script does to its array while they run changes nothing.
  const entriesOf = (name, list, example) => {
    if (!isArray(list)) throw typeError(name + "() needs an array first: " + example + ", not " + core.brief(list));
    const n = list.length;
    if (!core.isInteger(n) || n < 0) throw typeError(name + "() got an array without a length");
    if (n > core.config.entries) {
      throw core.makeError(
        name + "() got " + n + " entries; at most " + core.config.entries + " go into one call. Split the list, or raise the setting limits.entries",
        "too_many_entries", "RangeError",
      );
    }
    return makeArray(n, (i) => list[i]);
  };

  const swallowed = (name, i, error) => {
    const d = core.describe(error);
    core.warn(name + "() slot " + i + ": " + (d.name || "Error") + ": " + d.message + " (its result is null)", "swallowed_error");
  };

  // Runs `n` slots: `start(i, end)` runs slot i and calls end(isOk, value) once, at any time.
  const runSlots = (name, n, options, start) => {
    const outer = core.lane;
    const join = openJoin(n);
    const { promise, resolve, reject } = makePromise(core.nextId(), true);
    const results = makeArray(n, () => null);
    let started = 0;
    const finish = () => {
      decide(join);
      resolve(results);
    };
    const end = (i) => (isOk, value) => {
      if (join.isDecided || join.lanes[i].hasEnded) return;
      leaveSlot(join, i);
      if (options.settle) {
        results[i] = isOk ? { ok: true, value } : { ok: false, error: value };
      } else if (isOk) {
        results[i] = value;
      } else if (options.failFast) {
        decide(join);
        reject(value);
        return;
      } else {
        swallowed(name, i, value);
      }
      if (join.left === 0) finish();
      else if (started < n) startNext();
    };
    const startNext = () => {
      const before = core.lane;
      const i = started++;
      core.lane = join.lanes[i];
      start(i, join.lanes[i], end(i));
      if (!join.isDecided) core.lane = before;
    };
    const atOnce = options.concurrency < n ? options.concurrency : n;
    try {
      while (started < atOnce && !join.isDecided) startNext();
      if (n === 0) finish();
    } finally {
      core.lane = outer; // also when the stack ended in here
    }
    return promise;
  };

  const parallel = function parallel(thunks, options) {
    try {
      const entries = entriesOf("parallel", thunks, "parallel([() => agent('a'), () => agent('b')])");
      const read = readOptions("parallel", options);
      let promises = 0;
      for (let i = 0; i < entries.length; i++) if (core.isPromise(entries[i])) promises++;
      if (promises > 0) {
        core.warn("parallel() got " + promises + " promises where functions belong; they were started before it. Write () => agent(…)", "promise_not_thunk");
      }
      return runSlots("parallel", entries.length, read, (i, lane, end) => {
        const thunk = entries[i];
        try {
          follow(typeof thunk === "function" ? thunk() : thunk, (v) => end(true, v), (e) => end(false, e));
        } catch (error) {
          later(() => end(false, error));
        }
      });
    } catch (error) {
      return core.rejected(error);
    }
  };

  const pipeline = function pipeline(items, ...rest) {
    try {
      const entries = entriesOf("pipeline", items, "pipeline(files, (file) => agent('Review ' + file))");
      let count = rest.length;
      let given;
      if (count > 0 && typeof rest[count - 1] === "object" && rest[count - 1] !== null && !isArray(rest[count - 1])) given = rest[--count];
      for (let s = 0; s < count; s++) {
        if (typeof rest[s] !== "function") throw typeError("pipeline() stage " + (s + 1) + " must be a function (previous, item, index) => …, not " + core.brief(rest[s]));
      }
      const read = readOptions("pipeline", given);
      return runSlots("pipeline", entries.length, read, (i, lane, end) => {
        const item = entries[i];
        const runStage = (s, previous) => {
          if (s === count) {
            end(true, previous);
            return;
          }
          enter(lane);
          try {
            follow(rest[s](previous, item, i), (v) => runStage(s + 1, v), (e) => end(false, e));
          } catch (error) {
            later(() => end(false, error));
          }
        };
        if (count === 0) later(() => end(true, item));
        else runStage(0, item);
      });
    } catch (error) {
      return core.rejected(error);
    }
  };

  core.runSlots = runSlots;
  core.entriesOf = entriesOf;
  define(globalThis, "parallel", parallel);
  define(globalThis, "pipeline", pipeline);
})(globalThis.__pawl);
